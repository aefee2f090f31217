"""One shape for every census file: a row is a count of persons or households.

A row says where (``geo``, ``level``), who (``measure``, ``group``, ``sex``, ``age_from`` to
``age_to`` inclusive, ``occupation``, ``diploma``) and how many (``value``). An empty text or an age
range of 0 to 120 means that the variable does not restrict the count. ``sample`` is ``main`` (every
household) or ``complementary`` (a quarter of them, or two fifths of addresses): counts of the two
are not exactly equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import pandas as pd

from inegnum.errors import InputError

__all__ = ["OLDEST", "PUBLISHED_ON", "TIDY_COLUMNS", "Cell", "Imported", "tidy_rows", "to_margins"]

Cell = Mapping[str, str | int]

OLDEST: Final = 120
# Years between a census and the communes its files are published on.
PUBLISHED_ON: Final = 2
TIDY_COLUMNS: Final = (
    "geo",
    "level",
    "measure",
    "group",
    "sex",
    "age_from",
    "age_to",
    "occupation",
    "diploma",
    "sample",
    "value",
)
Kind = Literal[
    "population",
    "diplomas",
    "activity",
    "households",
    "table",
    "detail",
    "income",
    "barometre",
]


@dataclass(frozen=True, slots=True)
class Imported:
    """A file read and checked.

    Attributes
    ----------
    kind : str
        What the file is.
    year : int
        Its millésime (the last wave of a survey).
    level : str
        ``"iris"``, ``"commune"``, ``"canton_or_city"`` or ``""`` (survey).
    table : DataFrame
        Tidy rows: `TIDY_COLUMNS` for census counts; see each reader for the others.
    file, sha256 : str
        What was read.
    unused : tuple of str
        Columns of the file that were not taken.
    notes : tuple of str
        What a reader must know (English).
    names : mapping of str to str
        Names of areas by code, when the file gives them.
    geography : int
        Year of the communes its rows were brought to; 0 when they stand as published.
    """

    kind: Kind
    year: int
    level: str
    table: pd.DataFrame
    file: str
    sha256: str
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    geography: int = 0


# Columns of the package's own census tables, as rows of the tidy shape.
_ALL = {"group": "", "sex": "", "age_from": 0, "age_to": OLDEST, "occupation": "", "diploma": ""}
_ADULTS = {"age_from": 15, "age_to": OLDEST}
_LEFT_SCHOOL = {**_ALL, **_ADULTS, "group": "not_enrolled"}
_MARGINS: Final = {
    "population": _ALL,
    "age_0_14": _ALL | {"age_to": 14},
    "age_15_29": _ALL | {"age_from": 15, "age_to": 29},
    "age_18_24": _ALL | {"age_from": 18, "age_to": 24},
    "age_75p": _ALL | {"age_from": 75},
    "women": _ALL | {"sex": "women"},
    "enrolled_18_24": _ALL | {"group": "enrolled", "age_from": 18, "age_to": 24},
    "not_enrolled_15p": _LEFT_SCHOOL,
    **{
        name: _LEFT_SCHOOL | {"diploma": name}
        for name in ("none", "bepc", "cap_bep", "bac", "bac2", "bac3_4", "bac5")
    },
    "persons_15p": _ALL | _ADULTS | {"sample": "complementary"},
    **{
        f"cs{i}": _ALL | _ADULTS | {"occupation": f"cs{i}", "sample": "complementary"}
        for i in range(1, 9)
    },
}


def tidy_rows(geo: pd.Series, level: pd.Series | str, value: pd.Series, cell: Cell) -> pd.DataFrame:
    """Return one row per area for one column of a file; `cell` says who the column counts."""
    table = pd.DataFrame({"geo": geo, "level": level, "value": value})
    for name, content in cell.items():
        table[name] = content
    return table


def to_margins(files: Sequence[Imported]) -> pd.DataFrame:
    """Gather census files of one year and level into one row of margins per area.

    Parameters
    ----------
    files : sequence of Imported
        Census files (population, diplomas, activity, tables).

    Returns
    -------
    DataFrame
        ``geo`` and the columns of the package's ``census_2018`` and ``census_occupation_2022``
        tables; a margin that no file gives is NaN.

    Raises
    ------
    InputError
        Files of different years or levels, or that give different counts of the same persons.
    """
    if not files:
        raise InputError("no file is given", where="to_margins")
    for what in ("year", "level"):
        found = sorted({str(getattr(file, what)) for file in files})
        if len(found) > 1:
            raise InputError(
                f"files of different {what}s cannot make one set of margins",
                where=", ".join(file.file for file in files),
                got=", ".join(found),
                expected=f"one {what}",
            )
    rows = pd.concat([file.table for file in files], ignore_index=True)
    rows = rows[rows["measure"] == "persons"]
    margins = {name: _margin(rows, name) for name in _MARGINS}
    geos = sorted(rows["geo"].unique())
    return pd.DataFrame(margins, index=pd.Index(geos, name="geo")).reset_index()


def _margin(rows: pd.DataFrame, name: str) -> pd.Series:
    wanted = _MARGINS[name]
    kept = rows
    for column, value in wanted.items():
        kept = kept[kept[column] == value]
    if "sample" not in wanted:
        kept = kept[kept["sample"] == "main"]
    values = kept.groupby("geo")["value"].agg(["min", "max"])
    apart = values["max"] - values["min"] > 1
    if apart.any():
        geo = values.index[apart][0]
        raise InputError(
            "two files count the same persons differently",
            where=f"{name}, {geo}",
            got=f"{values.loc[geo, 'min']:g} and {values.loc[geo, 'max']:g}",
            expected="the same count, to the unit",
        )
    return values["max"]
