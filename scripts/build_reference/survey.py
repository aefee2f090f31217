"""Cells of the Baromètre du numérique, one indicator at a time, and the profile of respondents."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scripts.build_reference.sources import read_text
from scripts.build_reference.writing import integer, number, text, write_table

from inegnum.data.catalogue import Column, Record
from inegnum.data.indicators import definitions
from inegnum.data.survey import CELLS, PROFILE, answers, columns, recode
from inegnum.data.types import CELL_KEYS
from inegnum.provenance import Source

WAVES = (2016, 2017, 2018, 2019, 2020, 2022)
# Four decimals of a weight of mean 1: rates move by less than 0.01 point, and the file is half
# the size.
DECIMALS = 4


def respondents(shared: Path) -> pd.DataFrame:
    raw = read_text(shared, "credoc/barometre_numerique_2007_2022_full.csv.gz", columns())
    return raw[raw["ANNEE"].astype(int).isin(WAVES)].reset_index(drop=True)


def build(shared: Path, out: Path) -> None:
    raw = respondents(shared)
    keys = recode(raw)
    keys["w"] = keys["w"].round(DECIMALS)
    tables = [cells(keys, answers(raw, d.indicator.code)) for d in definitions()]
    write_table(pd.concat(tables), _cells_record(), out)
    profile = keys.assign(n=1).groupby(list(CELL_KEYS))[["n", "w"]].sum().reset_index()
    profile["w"] = profile["w"].round(DECIMALS)
    write_table(profile, _profile_record(), out)


def cells(keys: pd.DataFrame, y: pd.Series) -> pd.DataFrame:
    """Return sums by cell and answer; the loader folds the two answers of a cell together."""
    kept = keys.assign(indicator=y.name, answer=y, n=1, w2=keys["w"] ** 2).dropna(subset=["answer"])
    by = ["indicator", *CELL_KEYS, "answer"]
    sums = kept.groupby(by)[["n", "w", "w2"]].sum().reset_index()
    return sums.assign(w=sums["w"].round(DECIMALS), w2=sums["w2"].round(2 * DECIMALS))


KEYS: tuple[Column, ...] = (
    integer(
        "wave",
        "survey year (2020 was published as edition 2021)",
        "année d'enquête (2020 : édition 2021)",
    ),
    text("age", "age, 12-17 in one class", "âge, 12-17 ans en une classe"),
    text("sex", "sex", "sexe"),
    text(
        "diploma",
        "highest diploma; minors and students apart",
        "diplôme le plus élevé ; mineurs et étudiants à part",
    ),
    text(
        "occupation",
        "occupation; minors and students apart",
        "profession ; mineurs et étudiants à part",
    ),
    text("urban", "size class of the urban unit", "taille de l'unité urbaine"),
    text(
        "region",
        "region code, empty before 2020",
        "code de la région, vide avant 2020",
    ),
    text("mode", "how the interview was held", "mode de recueil"),
)
CAVEATS_EN = (
    "Face to face until 2019, online and telephone since 2020: 2019 to 2020 is not a change.",
    "Telephone interviews aim at people far from digital tools and their share differs by urban "
    "size: in 2022, 24 % of rural weights and 3 % of those of urban units over 100,000.",
    "A cell may hold a single respondent: the producer's file is public (ODbL 1.0).",
    "The class below baccalauréat holds the producer's « BEPC », which includes CAP and BEP.",
    "Quota survey: no strata or replicate weights are published; the weights alone give a Kish "
    "design effect of 1.37 in 2020 and 1.17 in 2022.",
)
CAVEATS_FR = (
    "Face-à-face jusqu'en 2019, en ligne et téléphone depuis 2020 : l'écart 2019-2020 n'est pas "
    "une évolution.",
    "Les entretiens téléphoniques visent les personnes éloignées du numérique et leur part varie "
    "avec la taille d'agglomération : en 2022, 24 % du poids des communes rurales et 3 % de "
    "celui des agglomérations de plus de 100 000 habitants.",
    "Une cellule peut ne compter qu'un répondant : le fichier du producteur est public (ODbL 1.0).",
    "La classe inférieure au baccalauréat reprend le « BEPC » du producteur, qui comprend CAP et "
    "BEP.",
    "Enquête par quotas : ni strates ni poids de réplication publiés ; les poids seuls donnent un "
    "effet de sondage (Kish) de 1,37 en 2020 et 1,17 en 2022.",
)


def _source(name: str, title: str, transformation: str) -> Source:
    return Source(
        name=name,
        producer="CRÉDOC, pour l'Arcep, l'Arcom, le CGE et l'ANCT",
        title=title,
        universe="12+",
        vintage="2016-2020, 2022",
        geo_vintage="régions 2016",
        unit="respondents and weights",
        licence="ODbL-1.0",
        address="https://www.data.gouv.fr/datasets/barometre-du-numerique",
        sha256="",
        role="fit",
        transformation=transformation,
    )


def _cells_record() -> Record:
    return Record(
        _source(
            CELLS,
            "Baromètre du numérique : cellules par indicateur",
            "Respondents recoded onto the package's codebook, each indicator read by the registry "
            "of indicators, then summed by cell and answer; weights rounded to 4 decimals. One "
            "indicator a row: no row links two answers of a respondent.",
        ),
        file=f"{CELLS}.parquet",
        rows=0,
        columns=(
            text("indicator", "code in the registry", "code dans le registre"),
            *KEYS,
            integer("answer", "1 yes, 0 no", "1 oui, 0 non"),
            integer("n", "respondents", "répondants"),
            number("w", "sum of weights", "somme des poids"),
            number("w2", "sum of squared weights", "somme des poids au carré"),
        ),
        caveats_en=(
            *CAVEATS_EN,
            "The universe of each indicator (12+ or 18+) is in the registry.",
        ),
        caveats_fr=(
            *CAVEATS_FR,
            "Le champ de chaque indicateur (12 ans ou 18 ans et plus) est dans le registre.",
        ),
    )


def _profile_record() -> Record:
    return Record(
        _source(
            PROFILE,
            "Baromètre du numérique : profil des répondants",
            "Respondents recoded onto the package's codebook and counted by cell, no answer "
            "attached; weights rounded to 4 decimals.",
        ),
        file=f"{PROFILE}.parquet",
        rows=0,
        columns=(
            *KEYS,
            integer("n", "respondents", "répondants"),
            number("w", "sum of weights", "somme des poids"),
        ),
        caveats_en=CAVEATS_EN,
        caveats_fr=CAVEATS_FR,
    )
