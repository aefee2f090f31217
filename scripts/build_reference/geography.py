"""Communes of France: urban class, membership, population, shapes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scripts.build_reference.sources import read_text
from scripts.build_reference.writing import number, text, write_table

from inegnum.data.catalogue import Record
from inegnum.provenance import Source

INSEE = "Institut national de la statistique et des études économiques (INSEE)"
# INSEE's nine size classes of urban units (TUU2017) onto the five of the survey (AGGLO5).
URBAN_OF_TUU = {
    "0": "rural",
    "1": "2k-20k",
    "2": "2k-20k",
    "3": "2k-20k",
    "4": "20k-100k",
    "5": "20k-100k",
    "6": "100k+",
    "7": "100k+",
    "8": "paris",
}
YEARS = range(2018, 2024)


def build(shared: Path, out: Path) -> None:
    write_table(communes(shared), _communes_record(), out)


def communes(shared: Path) -> pd.DataFrame:
    """Return one row per commune of metropolitan France and the overseas departments (COG 2025)."""
    people = read_text(shared, "census/communes_epci_population_municipale_2018_2023.csv.gz")
    urban = read_text(shared, "census/table_appartenance_2023_TUU_AAV_communes_france.csv.gz")
    people = people[~people["code"].str.startswith(("975", "977", "978", "98"))]
    joined = people.merge(urban, left_on="code", right_on="CODGEO", how="left").fillna("")
    population = {
        f"population_{year}": pd.to_numeric(joined[f"pmun_{year}"].replace("", None))
        for year in YEARS
    }
    return pd.DataFrame(
        {
            "geo": joined["code"],
            "name": joined["nom"],
            "department": joined["departement"],
            "region": joined["region"],
            "epci": joined["epci"],
            "epci_name": joined["epci_nom"],
            "epci_type": joined["epci_type"],
            "urban": joined["TUU2017"].map(URBAN_OF_TUU).fillna(""),
            "urban_unit": joined["UU2020"],
            **population,
        }
    )


def _communes_record() -> Record:
    return Record(
        Source(
            name="communes",
            producer=INSEE,
            title="Communes : populations municipales, EPCI, tailles d'unité urbaine",
            universe="all",
            vintage="PMUN 2018-2023 ; unités urbaines 2020 (classes de taille 2017)",
            geo_vintage="COG 2025",
            unit="persons",
            licence="etalab-2.0",
            address="https://www.insee.fr/fr/information/7671844",
            role="fit",
            sha256="",
            transformation=(
                "Join of the municipal populations (COG 2025) and of the table of membership of "
                "communes (COG 2023) on the commune code; nine classes of urban-unit size "
                "(TUU2017) gathered into the survey's five; overseas collectivities left out."
            ),
        ),
        file="communes.parquet",
        rows=0,
        columns=(
            text("geo", "commune code", "code de la commune"),
            text("name", "name", "nom"),
            text("department", "department code", "code du département"),
            text("region", "region code", "code de la région"),
            text("epci", "intercommunality code, empty if none", "SIREN de l'EPCI, vide si aucun"),
            text("epci_name", "intercommunality", "intercommunalité"),
            text("epci_type", "CC, CA, CU, METRO or MET69", "CC, CA, CU, METRO ou MET69"),
            text(
                "urban",
                "size class of the urban unit, empty when unknown",
                "classe de taille de l'unité urbaine, vide si inconnue",
            ),
            text("urban_unit", "urban unit 2020", "unité urbaine 2020"),
            *(
                number(
                    f"population_{year}",
                    f"municipal population {year}",
                    f"population municipale {year}",
                )
                for year in YEARS
            ),
        ),
        caveats_en=(
            "The label 2023 of the last population is inferred from the file's order.",
            "Communes created or restored after 1 January 2023 have no urban class of their own.",
            "Each population is that of the commune as it stood when the figure was published: a "
            "commune that merged since jumps in the series.",
            "The urban class is that of the commune's urban unit, not of its intercommunality: "
            "two communes of Bordeaux Métropole belong to small urban units.",
        ),
        caveats_fr=(
            "Le millésime 2023 de la dernière population est déduit de l'ordre du fichier.",
            "Les communes créées ou rétablies après le 1er janvier 2023 n'ont pas de classe "
            "d'unité urbaine propre.",
            "Chaque population est celle de la commune dans ses limites au moment de la "
            "publication : une commune fusionnée depuis fait un saut dans la série.",
            "La classe est celle de l'unité urbaine de la commune, non de son intercommunalité : "
            "deux communes de Bordeaux Métropole relèvent de petites unités urbaines.",
        ),
    )
