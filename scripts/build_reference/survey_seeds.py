"""The survey's joint of age, sex, diploma and occupation: the seed of frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from scripts.build_reference.census import insee_record
from scripts.build_reference.census_seeds import SEX
from scripts.build_reference.sources import read_text
from scripts.build_reference.survey import WAVES
from scripts.build_reference.writing import integer, number, text, write_table

from inegnum.data.catalogue import Record
from inegnum.data.survey import columns, recode

CREDOC = "Centre de recherche pour l'étude et l'observation des conditions de vie (CRÉDOC)"
FIRST_AGES = (15, 18, 20, 25, 30, 40, 45, 55, 60, 65, 70, 75, 80)


def build(shared: Path, out: Path) -> None:
    write_table(survey_profiles(shared), _survey_profiles_record(), out)


def survey_profiles(shared: Path) -> pd.DataFrame:
    """Return the survey's joint of age, sex, diploma and occupation, 18 and over."""
    file = "credoc/barometre_numerique_2007_2022_full.csv.gz"
    raw = read_text(shared, file, (*columns(), "AGE"))
    raw = raw[raw["ANNEE"].astype(int).isin(WAVES)]
    keys = recode(raw)
    # Students keep their occupation here: the census counts them in it.
    occupation = recode(raw.assign(SITUEMP=""))["occupation"]
    age = pd.to_numeric(raw["AGE"])
    first = pd.cut(age, [*FIRST_AGES, 200], right=False, labels=list(FIRST_AGES))
    adult = (age >= 18).to_numpy()
    cells = keys.assign(first_age=first, occupation=occupation, n=1, w2=keys["w"] ** 2)[adult]
    cells["first_age"] = cells["first_age"].astype(int)
    by = ["first_age", "sex", "diploma", "occupation"]
    return cells.groupby(by, as_index=False)[["n", "w", "w2"]].sum().round(6)


def _survey_profiles_record() -> Record:
    record = insee_record(
        "survey_profiles",
        "Baromètre du numérique 2016-2022 : âge x sexe x diplôme x profession, 18 ans et plus",
        "18+",
        "2016-2020 and 2022, pooled",
        "https://www.data.gouv.fr/fr/datasets/barometre-du-numerique/",
        "Respondents of 18 and over of the six waves, counted by cell; students by their situation "
        "whatever their occupation.",
        (
            integer("first_age", "first year of the age class", "premier âge de la classe"),
            SEX,
            text("diploma", "highest diploma, or student", "diplôme, ou student (étudiant)"),
            text("occupation", "occupation, seven classes", "profession, sept classes"),
            integer("n", "respondents", "répondants"),
            number("w", "sum of weights", "somme des poids"),
            number("w2", "sum of squared weights", "somme des carrés des poids"),
        ),
        (
            ("Gives the frame its joint of diploma and occupation, never a level.",),
            ("Donne à la base sa structure diplôme x profession, jamais un niveau.",),
        ),
    )
    source = replace(record.source, licence="ODbL-1.0", producer=CREDOC)
    return replace(record, source=source)
