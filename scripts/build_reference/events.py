"""Communes merged, restored or renumbered between the vintages of the package's tables.

INSEE publishes every event (``v_mvt_commune_YYYY.csv``) and `inegnum.data.vintages.read_events`
reads that file. Until a user gives it, the package ships what its own sources tell: codes present
in the official geographic code of 2023 and absent from that of 2025, and the reverse.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scripts.build_reference.geography import INSEE, communes
from scripts.build_reference.sources import plain, read_text
from scripts.build_reference.writing import integer, text, write_table

from inegnum.data.catalogue import Record
from inegnum.data.vintages import EVENTS
from inegnum.provenance import Source

# Events named in official acts, that names alone would not tell: (before, after, year, kind).
STATED = (
    ("49321", "49160", 2024, "merged"),
    ("69152", "69149", 2024, "merged"),
    ("85084", "85165", 2024, "split"),
    ("85084", "85212", 2024, "split"),
    ("93059", "93066", 2025, "merged"),
    ("15141", "15031", 2025, "split"),
    ("15141", "15035", 2025, "split"),
    ("15141", "15047", 2025, "split"),
    ("15141", "15171", 2025, "split"),
)


def build(shared: Path, out: Path) -> None:
    write_table(events(shared), _record(), out)


def events(shared: Path) -> pd.DataFrame:
    """Return one row per code that went or came between 2023 and 2025."""
    before = read_text(shared, "census/table_appartenance_2023_TUU_AAV_communes_france.csv.gz")
    before = before[before["CODGEO"] != "NA"].set_index("CODGEO")
    after = communes(shared).set_index("geo")
    stated = {row[0]: row for row in STATED if row[3] == "merged"}
    rows = [(*row, "stated") for row in STATED]
    kept = before.join(after[["name"]], how="inner")
    # A name that only lost a part, or changed its spelling, does not tell of a merger.
    told = [
        plain(new) not in plain(old) for old, new in zip(kept["LIBGEO"], kept["name"], strict=True)
    ]
    renamed = kept[told]
    new = after[~after.index.isin(before.index)]
    gone = [code for code in before.index.difference(after.index) if code not in stated]
    rows += [_deduced(code, before.loc[code], renamed, new) for code in gone]
    explained = {row[1] for row in rows}
    rows += [("", code, 2025, "restored", "unknown") for code in new.index if code not in explained]
    table = pd.DataFrame(rows, columns=["before", "after", "year", "kind", "basis"])
    # A commune that splits goes on under its own code too.
    splits = table.loc[table["kind"] == "split", ["before", "year", "basis"]].drop_duplicates()
    stay = splits.assign(after=splits["before"], kind="split")
    table = pd.concat([table, stay[table.columns]], ignore_index=True)
    return table.assign(
        name_before=table["before"].map(before["LIBGEO"]).fillna(""),
        name_after=table["after"].map(after["name"]).fillna(""),
        epci_before=table["before"].map(before["EPCI"]).fillna(""),
    )


def _deduced(
    code: str, gone: pd.Series, renamed: pd.DataFrame, new: pd.DataFrame
) -> tuple[str, str, int, str, str]:
    """Return where a code went, when names leave no doubt; the year is the last it could be."""
    same = new[(new["name"] == gone["LIBGEO"]) & (new["department"] == gone["DEP"])]
    if len(same) == 1:
        return code, str(same.index[0]), 2025, "renumbered", "same name"
    near = renamed[renamed["EPCI"] == gone["EPCI"]]
    named = near[[plain(gone["LIBGEO"]) in plain(name) for name in near["name"]]]
    if len(named) == 1:
        return code, str(named.index[0]), 2025, "merged", "its name is in the new one"
    if len(near) == 1:
        return code, str(near.index[0]), 2025, "merged", "only commune renamed in the EPCI"
    return code, "", 2025, "merged", "unknown"


def _record() -> Record:
    return Record(
        Source(
            name=EVENTS,
            producer=INSEE,
            title="Communes fusionnées, rétablies ou renumérotées entre 2023 et 2025",
            universe="communes",
            vintage="2023-2025",
            geo_vintage="COG 2023 to COG 2025",
            unit="communes",
            licence="etalab-2.0",
            address="https://www.insee.fr/fr/information/8377162",
            sha256="",
            role="fit",
            transformation=(
                "Codes of the official geographic code of 2023 that are not in that of 2025, and "
                "the reverse, explained by identical names, by the new name of a neighbour, by the "
                "only commune renamed in the intercommunality, or as stated; the rest is unknown."
            ),
        ),
        file=f"{EVENTS}.csv",
        rows=0,
        columns=(
            text("before", "code before", "code avant"),
            text("after", "code after, empty if unknown", "code après, vide si inconnu"),
            integer("year", "latest vintage before which it happened", "millésime au plus tard"),
            text("kind", "merged, split, restored, renumbered", "nature (en anglais)"),
            text("basis", "how it is known", "comment il est connu (en anglais)"),
            text("name_before", "name before", "nom avant"),
            text("name_after", "name after", "nom après"),
            text("epci_before", "intercommunality before", "intercommunalité avant"),
        ),
        caveats_en=(
            "From 2023 to 2025 only: for older tables, or where the successor is unknown, give "
            "INSEE's own file of events (inegnum fetch commune_events_2025).",
            "Events deduced from names carry 2025 as their year: between 2023 and 2025, the exact "
            "vintage is not known.",
        ),
        caveats_fr=(
            "De 2023 à 2025 seulement : pour des tables plus anciennes, ou un successeur inconnu, "
            "donner le fichier d'événements de l'INSEE (inegnum fetch commune_events_2025).",
            "Les événements déduits des noms portent 2025 pour année : entre 2023 et 2025, le "
            "millésime exact n'est pas connu.",
        ),
    )
