"""Labour force of communes by occupation, 2012 and 2018: composition for validation."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scripts.build_reference.census import CS, LICENCE, numbers
from scripts.build_reference.geography import INSEE
from scripts.build_reference.sources import read_text
from scripts.build_reference.writing import integer, number, text, write_table

from inegnum.data.catalogue import Record
from inegnum.provenance import Source

COLUMNS = {
    "cs1": "pop_agric",
    "cs2": "pop_indep",
    "cs3": "pop_cadres",
    "cs4": "pop_interm",
    "cs5": "pop_empl",
    "cs6": "pop_ouvr",
}


def build(shared: Path, out: Path) -> None:
    write_table(labour_force(shared), _record(), out)


def labour_force(shared: Path) -> pd.DataFrame:
    """Return persons in the labour force by occupation, communes over 2,000 inhabitants."""
    years = []
    for year in (2012, 2018):
        raw = read_text(shared, f"census/rp{year}_communes_2000hab.csv.gz")
        counts = {code: numbers(raw[column]).round(1) for code, column in COLUMNS.items()}
        years.append(pd.DataFrame({"year": year, "geo": raw["code_insee"], **counts}))
    return pd.concat(years, ignore_index=True)


def _record() -> Record:
    return Record(
        Source(
            name="census_labour_force",
            producer=INSEE,
            title="Recensements 2012 et 2018 : actifs par profession, communes de plus de "
            "2 000 habitants",
            universe="15+",
            vintage="RP2012, RP2018",
            geo_vintage="COG des recensements",
            unit="persons",
            licence=LICENCE,
            address="https://www.insee.fr/fr/information/2008354",
            role="validate",
            sha256="",
            transformation="Counts as published, rounded to 0.1.",
        ),
        file="census_labour_force.parquet",
        rows=0,
        columns=(
            integer("year", "census year", "année du recensement"),
            text("geo", "commune code", "code de la commune"),
            *(number(code, f"{CS[code][0]}, active", f"{CS[code][1]}, actifs") for code in COLUMNS),
        ),
        caveats_en=(
            "Serves to judge the model on census variables and never enters a fit.",
            "The unemployed who never worked have no occupation: classes do not add up to the "
            "labour force.",
        ),
        caveats_fr=(
            "Sert à juger le modèle sur des variables de recensement et n'entre jamais dans une "
            "estimation.",
            "Les chômeurs n'ayant jamais travaillé n'ont pas de profession : les classes ne "
            "totalisent pas les actifs.",
        ),
    )
