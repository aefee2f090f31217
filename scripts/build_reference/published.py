"""Figures already published: one table to judge estimates by, another to estimate from.

No figure stands in both. What has no page to cite is left out.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scripts.build_reference.known_differences import DIFFERENCES, Difference
from scripts.build_reference.sources import read_text
from scripts.build_reference.writing import integer, number, text, write_table

from inegnum.data.catalogue import Column, Record
from inegnum.data.indicators import definitions
from inegnum.provenance import Source

VALIDATE, FIT = "published_figures", "published_rates_tic"
EUROSTAT = "https://ec.europa.eu/eurostat/databrowser/view/isoc_r_iuse_i"
TIC = ("Insee Première n°1953", "Insee Première n°1780", "Insee Analyses", "Insee TIC")
# The observatory's own estimator of 2022, cited in its publications; no page gives the method.
OBSERVATORY_2022 = {
    "territory": "Bordeaux Métropole",
    "geo": "243300316",
    "level": "epci",
    "indicator": "smartphone",
    "definition": "owns a smartphone, modelled from the national survey",
    "year": "2022",
    "universe": "12+ (presumed)",
    "value": "94",
    "unit": "%",
    "n": "",
    "source": "a'urba, Observatoire des inégalités numériques, 2022",
    "address": "",
    "kind": "observatory estimator",
}


def build(shared: Path, out: Path) -> None:
    fit = rates_to_fit(shared)
    judged = figures_to_validate(shared)
    key = ["indicator", "year", "geo", "universe"]
    evidence = set(map(tuple, fit.loc[fit["group_variable"] == "total", key].to_numpy().tolist()))
    kept = [tuple(row) not in evidence for row in judged[key].to_numpy().tolist()]
    write_table(judged[kept], _validate_record(), out)
    write_table(fit, _fit_record(), out)


def figures_to_validate(shared: Path) -> pd.DataFrame:
    local = read_text(shared, "published/reference_values.csv")
    local["geo"], local["level"] = zip(*local["territory_code"].map(_territory), strict=True)
    local.loc[local["territory"] == "France métropolitaine", ["geo", "level"]] = "METRO", "country"
    local = local.rename(columns={"source_title": "source", "source_address": "address"})
    local["kind"] = local["nature"].map(_kind)
    local["n"] = local["n_sample"]
    local.loc[local["kind"] == "Eurostat regional estimate", "address"] = EUROSTAT
    own = pd.DataFrame([OBSERVATORY_2022])
    national = _national(shared)
    # Waves up to 2022 are evidence: their printed rates would judge the survey by itself.
    later = national["year"].str.isdigit() & (national["year"] > "2022")
    credoc = national["source"].str.startswith("CRÉDOC") & (national["group_variable"] == "total")
    national = national[later & credoc]
    national = national.assign(kind="national survey", level="country", unit="%")
    figures = pd.concat([local, own, national], ignore_index=True).fillna("")
    figures = figures[
        figures["address"].str.startswith("http") | (figures["kind"] == own["kind"][0])
    ]
    judged = [_difference(row) for row in figures.to_dict("records")]
    percent = figures["unit"].str.startswith("%")
    return pd.DataFrame(
        {
            "level": figures["level"],
            "geo": figures["geo"],
            "territory": figures["territory"],
            "indicator": figures["indicator"],
            "year": figures["year"].astype(int),
            "universe": figures["universe"],
            "value": figures["value"]
            .astype(float)
            .where(~percent, figures["value"].astype(float) / 100),
            "unit": figures["unit"].where(~percent, "rate"),
            "counterpart": [row.counterpart for row in judged],
            "comparable": [row.comparable for row in judged],
            "mode": [row.mode for row in judged],
            "n": figures["n"],
            "kind": figures["kind"],
            "definition": figures["definition"],
            "known_difference_en": [row.en for row in judged],
            "known_difference_fr": [row.fr for row in judged],
            "source": figures["source"],
            "address": figures["address"],
        }
    )


def rates_to_fit(shared: Path) -> pd.DataFrame:
    """Return INSEE's national rates by group, the most precise version of each."""
    raw = _national(shared)
    raw = raw[raw["source"].str.startswith(TIC)]
    decimals = raw["value"].str.partition(".")[2].str.len()
    raw = raw.assign(decimals=decimals, rounding=10.0 ** -(decimals + 2))
    raw["group_level"] = raw["group_level"].replace({"Ensemble (decimal)": "Ensemble"})
    key = ["indicator", "year", "universe", "group_variable", "group_level"]
    raw = raw.sort_values("decimals", ascending=False, kind="stable").drop_duplicates(key)
    return pd.DataFrame(
        {
            "indicator": raw["indicator"],
            "year": raw["year"].astype(int),
            "geo": raw["geo"],
            "universe": raw["universe"].str.partition(",")[0],
            "group_variable": raw["group_variable"],
            "group_level": raw["group_level"],
            "value": (raw["value"].astype(float) / 100).round(6),
            "rounding": raw["rounding"],
            "definition": raw["definition"],
            "source": raw["source"],
            "address": raw["address"],
        }
    )


def _national(shared: Path) -> pd.DataFrame:
    """Return the national rates that have a value and a page to cite."""
    raw = read_text(shared, "published/published_rates.csv")
    raw = raw[(raw["rate_percent"] != "") & raw["source_address"].str.startswith("http")]
    metropolitan = raw["universe"].str.contains("métropolitaine|12\\+ with")
    raw["universe"] = raw["universe"].str.removesuffix(", France métropolitaine")
    return raw.assign(
        territory=metropolitan.map({True: "France métropolitaine", False: "France"}),
        geo=metropolitan.map({True: "METRO", False: "FR"}),
    ).rename(
        columns={
            "rate_percent": "value",
            "n_sample": "n",
            "source_title": "source",
            "source_address": "address",
        }
    )


def _territory(code: str) -> tuple[str, str]:
    """Return code and level from "EPCI 243300316", "R75", "FR10" or nothing."""
    if code.startswith("EPCI "):
        return code.removeprefix("EPCI "), "epci"
    if code.startswith("R") and code[1:].isdigit():
        return code[1:], "region"
    if code == "FR":
        return code, "country"
    if code.startswith("FR"):
        return code, f"nuts{len(code) - 2}"
    return "", "other"


def _kind(nature: str) -> str:
    for start, kind in (
        ("field survey by phone", "local survey"),
        ("Insee regional", "INSEE regional estimate"),
        ("Insee", "INSEE survey"),
        ("regional survey", "regional survey"),
        ("direct survey", "Eurostat regional estimate"),
        ("score", "index"),
    ):
        if nature.startswith(start):
            return kind
    raise ValueError(f"unknown nature of a figure: {nature}")


def _difference(row: dict[str, str]) -> Difference:
    for known in DIFFERENCES:
        if known.kind == row["kind"] and known.indicator in ("", row["indicator"]):
            return known.about(row["indicator"], {d.indicator.code for d in definitions()})
    raise ValueError(f"no known difference for {row['kind']}, {row['indicator']}")


COMMON: tuple[Column, ...] = (
    text("definition", "definition", "définition (en anglais)"),
    text("source", "publication", "publication"),
    text("address", "page", "page"),
)


def _validate_record() -> Record:
    return Record(
        Source(
            name=VALIDATE,
            producer="INSEE, Eurostat, CRÉDOC, Marsouin, a'urba (see each row)",
            title="Chiffres publiés, régionaux, locaux et nationaux, pour juger les estimations",
            universe="see each row",
            vintage="2016-2025",
            geo_vintage="régions 2016, NUTS 2016, EPCI 2023",
            unit="rates (0-1), except where the unit says otherwise",
            licence="etalab-2.0",
            address="https://www.insee.fr",
            sha256="",
            role="validate",
            transformation=(
                "Figures gathered from publications; percentages turned into rates; figures "
                "without a page to cite left out (but the observatory's estimator of 2022), and "
                "those used as evidence: national rates of the Baromètre up to 2022 and of "
                "INSEE's survey. Eurostat rates come through the R package regions 0.1.8."
            ),
        ),
        file=f"{VALIDATE}.csv",
        rows=0,
        columns=(
            text("level", "epci, region, nuts1, nuts2, country, other", "niveau géographique"),
            text("geo", "code", "code"),
            text("territory", "territory", "territoire"),
            text("indicator", "indicator as published", "indicateur tel que publié"),
            integer("year", "year", "année"),
            text("universe", "who is counted", "champ"),
            number("value", "rate or other unit", "taux ou autre unité"),
            text("unit", "unit", "unité"),
            text("counterpart", "indicator of the registry, if any", "indicateur du registre"),
            text("comparable", "yes, partly or no", "yes, partly ou no"),
            text("mode", "how it was collected", "mode de recueil"),
            text("n", "respondents as published", "répondants tels que publiés"),
            text("kind", "kind of figure", "nature"),
            text("known_difference_en", "known difference, English", "écart connu, en anglais"),
            text("known_difference_fr", "known difference, French", "écart connu, en français"),
            *COMMON,
        ),
        caveats_en=(
            "Never used to estimate: role validate, refused by every fit.",
            "Only the smartphone rate has a clean counterpart between the local survey and the "
            "national one; online procedures are 25 % in one and 54 % in the other because the "
            "questions differ.",
        ),
        caveats_fr=(
            "N'entrent jamais dans une estimation : rôle validate, refusé par tout ajustement.",
            "Seul le taux de smartphone se compare proprement entre l'enquête locale et "
            "l'enquête nationale ; les démarches en ligne valent 25 % dans l'une et 54 % dans "
            "l'autre parce que les questions diffèrent.",
        ),
    )


def _fit_record() -> Record:
    return Record(
        Source(
            name=FIT,
            producer="Institut national de la statistique et des études économiques (INSEE)",
            title="Enquête TIC auprès des ménages 2019 et 2021 : taux nationaux par groupe",
            universe="15+",
            vintage="2019, 2021",
            unit="rates (0-1)",
            licence="etalab-2.0",
            address="https://www.insee.fr/fr/statistiques/7633654",
            sha256="",
            role="fit",
            transformation=(
                "Rates by group gathered from publications, some through a relay named in the "
                "source; the most precise version of each kept; half the rounding unit is an "
                "error to count."
            ),
        ),
        file=f"{FIT}.csv",
        rows=0,
        columns=(
            text("indicator", "indicator as published", "indicateur tel que publié"),
            integer("year", "year", "année"),
            text("geo", "FR or METRO (metropolitan France)", "FR ou METRO (France métropolitaine)"),
            text("universe", "who is counted", "champ"),
            text("group_variable", "grouping", "variable de groupe"),
            text("group_level", "group", "groupe"),
            number("value", "rate", "taux"),
            number("rounding", "rounding unit of the rate", "unité d'arrondi du taux"),
            *COMMON,
        ),
        caveats_en=(
            "The number of respondents by group is not published.",
            "The definition of illectronisme changed between 2019 and 2021.",
            "Collected by internet, post and telephone from households drawn at random: levels "
            "differ from the Baromètre du numérique.",
        ),
        caveats_fr=(
            "Le nombre de répondants par groupe n'est pas publié.",
            "La définition de l'illectronisme a changé entre 2019 et 2021.",
            "Recueil par internet, voie postale et téléphone auprès de ménages tirés au sort : "
            "les niveaux diffèrent de ceux du Baromètre du numérique.",
        ),
    )
