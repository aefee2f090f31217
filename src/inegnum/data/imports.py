"""Files a study names: official ones as downloaded, or tidied by ``inegnum import``.

A tidy file is a CSV and, beside it, a record (same name, ``.toml``): what it was read from, its
millésime, the hashes of both. A tidy file edited by hand is refused.

INSEE publishes a census on the communes of two years later (RP2018 on those of 1 January 2020).
`brought_forward` follows them to the communes of the package through events: what merged is summed,
what split is refused, and so is a file older than the events at hand.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from inegnum.data import catalogue
from inegnum.data.importers import Imported, read_file
from inegnum.data.importers.tidy import PUBLISHED_ON
from inegnum.data.strict import into, read_toml
from inegnum.data.vintages import Event, follow, known_events
from inegnum.errors import InputError, ProvenanceError
from inegnum.provenance import read_checked, sha256_bytes

__all__ = ["brought_forward", "geography_of", "read_import", "reference_year", "write_import"]


@dataclass(frozen=True, slots=True)
class _Tidied:
    """Record of a tidy file."""

    kind: Literal[
        "population", "diplomas", "activity", "households", "table", "detail", "income", "barometre"
    ]
    year: int
    level: str
    file: str
    sha256: str
    tidy_sha256: str
    notes: tuple[str, ...] = ()


def write_import(found: Imported, out: Path) -> Path:
    """Write a tidy CSV and its record, and return the path of the record.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    text = found.table.to_csv(index=False, lineterminator="\n").encode()
    record = _Tidied(
        found.kind,
        found.year,
        found.level,
        found.file,
        found.sha256,
        sha256_bytes(text),
        found.notes,
    )
    lines = ["# What the tidy file of the same name was read from. Written with it: keep both."]
    for key, value in asdict(record).items():
        lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    try:
        out.write_bytes(text)
        out.with_suffix(".toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            "the tidy file cannot be written", where=str(out), got=error.strerror
        ) from error
    return out.with_suffix(".toml")


def read_import(path: Path, *, departments: tuple[str, ...] = ()) -> Imported:
    """Read a file a study names, official or tidy.

    Raises
    ------
    InputError
        The file is not one the package reads, or a tidy file has lost its record.
    ProvenanceError
        A tidy file is not the one its record describes.
    """
    record = path.with_suffix(".toml")
    if path.suffix == ".csv" and record.is_file():
        return _tidied(path, record)
    if path.suffix == ".csv" and path.is_file() and _looks_tidy(path):
        raise InputError(
            "a tidy file has lost its record",
            where=str(path),
            expected=f"{record.name} beside it",
            hint="run `inegnum import` again: it writes both",
        )
    # Named as the study names it, whatever the member of the archive is called.
    return replace(read_file(path, departments=departments), file=path.name)


def _looks_tidy(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.readline().decode("utf-8", "replace").startswith("geo,level,")


def _tidied(path: Path, record: Path) -> Imported:
    told = into(_Tidied, read_toml(record.read_bytes(), where=record.name), where=record.name)
    try:
        read_checked(path, told.tidy_sha256)
    except ProvenanceError as error:
        raise ProvenanceError(
            "a tidy file is not the one its record describes",
            where=str(path),
            got=error.got,
            expected=error.expected,
            hint="figures are never edited by hand: run `inegnum import` again",
        ) from error
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    numbers = {"value", "age_from", "age_to", "n", "N", "N2"} & set(table.columns)
    for column in sorted(numbers):
        table[column] = pd.to_numeric(table[column])
    origin = f"Tidied from {told.file}, sha256 {told.sha256}."
    return Imported(
        told.kind,
        told.year,
        told.level,
        table,
        path.name,
        told.tidy_sha256,
        notes=(origin, *told.notes),
    )


def reference_year() -> int:
    """Return the year of the communes the package knows (COG of 1 January)."""
    return int(catalogue.source("communes").geo_vintage.split()[-1])


def geography_of(file: Imported) -> int:
    """Return the year of the communes the rows of a census file stand on."""
    return file.geography or file.year + PUBLISHED_ON


def brought_forward(
    file: Imported, territory: Collection[str], *, events: Sequence[Event] | None = None
) -> Imported:
    """Return the rows of a census file in the departments of a territory, on its communes.

    A commune that absorbed others keeps no IRIS: what stood in them is summed into it.

    Parameters
    ----------
    file : Imported
        Census counts, by commune or IRIS.
    territory : collection of str
        Commune codes of the package's year.
    events : sequence of Event, optional
        Those of INSEE's file; the package's own reach from 2023.

    Raises
    ------
    InputError
        The file is older than the events or newer than the package, or a commune of the territory
        comes from a split or from one whose successor is not known.
    """
    until = reference_year()
    since = geography_of(file)
    known = known_events(since, until, events, where=file.file)
    table = file.table[file.table["geo"].map(_department).isin(set(map(_department, territory)))]
    commune = table["geo"].str[:5]
    held = follow(commune.unique(), since=since, until=until, events=known, unknown="keep")
    near = set(_epcis(territory))
    elsewhere = {e.before for e in known if e.after == "" and e.epci and e.epci not in near}
    held = {code: after for code, after in held.items() if code not in elsewhere}
    table, commune = table[commune.isin(held)], commune[commune.isin(held)]
    _whole(held, set(territory), file.file)
    now = commune.map({code: after[0] for code, after in held.items()})
    arrived = {after[0] for code, after in held.items() if after[0] != code}
    changed = now.isin(arrived)
    if changed.any():
        table = table.assign(
            geo=table["geo"].where(~changed, now), level=table["level"].where(~changed, "commune")
        )
        table = _summed(table)
    notes = (*file.notes, f"Communes of {since} followed to {until}: {_told(held)}.")
    return replace(file, table=table.reset_index(drop=True), notes=notes, geography=until)


def _epcis(territory: Collection[str]) -> list[str]:
    """Return the intercommunalities of a territory: an unknown successor is looked for in them."""
    communes, _ = catalogue.table("communes")
    return sorted(communes.loc[communes["geo"].isin(list(territory)), "epci"].unique())


def _department(code: str) -> str:
    return code[:3] if code.startswith("97") else code[:2]


def _whole(held: dict[str, tuple[str, ...]], territory: set[str], file: str) -> None:
    """Refuse what nothing says how to bring to the communes of the territory."""
    split = sorted(c for c, after in held.items() if len(after) > 1 and territory & set(after))
    lost = sorted(c for c, after in held.items() if "" in after)
    if split or lost:
        raise InputError(
            "communes of the file cannot be followed to those of the territory",
            where=file,
            got="; ".join(
                [
                    *(f"{code} split into {', '.join(held[code])}" for code in split[:5]),
                    *(f"{code}: successor not known" for code in lost[:5]),
                ]
            ),
            hint="give INSEE's file of events: frame.events, `inegnum fetch commune_events_2025`",
        )


def _told(held: dict[str, tuple[str, ...]]) -> str:
    moved = [f"{code} into {after[0]}" for code, after in sorted(held.items()) if after[0] != code]
    return ", ".join(moved[:20]) + (", ..." if len(moved) > 20 else "") if moved else "none changed"


def _summed(table: pd.DataFrame) -> pd.DataFrame:
    """Add up the rows that now count one place; a suppressed part leaves the sum missing."""
    counts = ["n", "N", "N2"] if "n" in table.columns else ["value"]
    keys = [c for c in table.columns if c not in counts]
    lacking = table[counts].isna().groupby([table[c] for c in keys], sort=False).any()
    sums = table.groupby(keys, sort=False)[counts].sum()
    return pd.DataFrame(sums.mask(lacking).reset_index())[list(table.columns)]
