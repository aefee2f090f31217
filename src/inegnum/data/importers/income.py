"""INSEE's Filosofi files by commune or IRIS: income and poverty.

A row of the result is one value of one area: ``geo, level, variable, value, status``. A masked
value is missing, never zero, and says why: ``secret`` (s, ns), ``not_available`` (nd),
``not_applicable`` (so). Read on real files: communes 2021, IRIS 2021 and 2019, regions 2019.
"""

from __future__ import annotations

import re
from typing import Final

import pandas as pd

from inegnum.data.importers.reading import Raw, codes, numbers, year_in_name
from inegnum.data.importers.tidy import Imported
from inegnum.errors import InputError

__all__ = ["is_income", "read_income"]

_STATUS: Final = {
    "s": "secret",
    "ns": "secret",
    "nd": "not_available",
    "so": "not_applicable",
    "": "not_available",
}
_VARIABLE = re.compile(r"(?:DISP_|DEC_)?[A-Z]+[A-Z0-9_]*?(\d{2}|20\d{2})")
_MARKERS = ("MED", "TP60", "NBMENFISC", "NBPERSMENFISC", "DISP_", "DEC_", "S80S20", "D1")
_NOT_VALUES = {"LIBGEO", "LIBIRIS", "COM", "LIBCOM", "IRIS", "CODGEO", "NIVEAU"}


def is_income(raw: Raw) -> bool:
    """Tell whether the columns are those of Filosofi."""
    columns = set(raw.table.columns)
    return bool(columns & {"CODGEO", "IRIS"}) and any(c.startswith(_MARKERS) for c in columns)


def read_income(raw: Raw, *, year: int | None = None) -> Imported:
    """Read one Filosofi file.

    Raises
    ------
    InputError
        A code or a value is odd, or columns disagree on the year.
    """
    level: pd.Series | str
    if "NIVEAU" in raw.table.columns:
        geo, level = _mixed(raw)
    elif "IRIS" in raw.table.columns:
        geo, level = codes(raw, "IRIS", "IRIS"), "iris"
    else:
        geo, level = codes(raw, "CODGEO", "commune"), "commune"
    columns = [c for c in raw.table.columns if c not in _NOT_VALUES]
    found = year or _year(raw, columns)
    values = numbers(raw, columns, missing=_STATUS, negative=True)
    texts = raw.table[columns].apply(lambda column: column.str.strip())
    frames = [
        pd.DataFrame(
            {
                "geo": geo,
                "level": level,
                "variable": _stem(column, found),
                "value": values[column],
                "status": texts[column].map(_STATUS).fillna(""),
            }
        )
        for column in columns
    ]
    return Imported(
        kind="income",
        year=found,
        level=level if isinstance(level, str) else "mixed",
        table=pd.concat(frames, ignore_index=True),
        file=raw.file,
        sha256=raw.sha256,
        notes=("Masked values are missing, never zero.",),
    )


def _mixed(raw: Raw) -> tuple[pd.Series, pd.Series]:
    """Return codes and levels of a file that gathers regions, departments and the like."""
    geo, level = (raw.table[c].str.strip() for c in ("CODGEO", "NIVEAU"))
    odd = (geo == "") | (level == "") | pd.DataFrame({"g": geo, "l": level}).duplicated()
    if odd.any():
        row = int(odd.to_numpy().argmax())
        raise InputError(
            "a code is empty or stands twice in its level",
            where=raw.at(row, "CODGEO"),
            got=f"{level.iloc[row]} {geo.iloc[row]}",
        )
    return geo, level.str.lower()


def _year(raw: Raw, columns: list[str]) -> int:
    """Return the millésime that ends the names of most columns."""
    ends = pd.Series([m[1][-2:] for m in map(_VARIABLE.fullmatch, columns) if m])
    if ends.empty:
        named = year_in_name(raw.file)
        if named is None:
            raise InputError("the year of the file is not known", where=raw.file, hint="give it")
        return named
    return 2000 + int(ends.mode().iloc[0])


def _stem(column: str, year: int) -> str:
    for end in (str(year), f"{year % 100:02}"):
        if column.endswith(end):
            return column.removesuffix(end)
    return column
