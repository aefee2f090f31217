"""INSEE's detailed census tables by commune: BTT_TD_* (long) and BTX_TD_* (wide).

A long file has one line per cell: ``NIVGEO;CODGEO;SEXE;AGED100;NB``. A wide file has one column
per cell, named by variables and modalities: ``AGEQ65015_DIPL_19A_SEXE1``. Both are read for tables
that cross sex, age, occupation, diploma or activity (POP1A, POP1B, POP5, POP6, FOR2); a variable
the package does not know is refused rather than summed over.

Diploma tables (FOR2) count people of 15 and over no longer enrolled. These readers follow the
documented conventions and have met fixtures only.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pandas as pd

from inegnum.data.importers.reading import Raw, codes, numbers, year_in_name
from inegnum.data.importers.tidy import OLDEST, TIDY_COLUMNS, Cell, Imported, tidy_rows
from inegnum.errors import InputError, nearest

__all__ = ["is_table", "read_table"]


def _band(first: int, last: int) -> Cell:
    return {"age_from": first, "age_to": last}


_PYR10 = ((0, 2), (3, 5), (6, 10), (11, 17), (18, 24), (25, 39), (40, 54), (55, 64), (65, 79))
_VARIABLES: Final[dict[str, dict[str, Cell]]] = {
    "SEXE": {"1": {"sex": "men"}, "2": {"sex": "women"}},
    "AGED100": {f"{a:03}": _band(a, a if a < 100 else OLDEST) for a in range(101)},
    "AGEPYR10": {f"{a:02}": _band(a, b) for a, b in (*_PYR10, (80, OLDEST))},
    "AGEQ65": {f"{a:03}": _band(a, a + 4 if a < 65 else OLDEST) for a in range(15, 66, 5)},
    "CS1_8": {str(i): {"occupation": f"cs{i}"} for i in range(1, 9)},
    "DIPL_19": {
        code: {"diploma": level, "group": "not_enrolled"}
        for code, level in zip(
            "ABCDEFG", ("none", "bepc", "cap_bep", "bac", "bac2", "bac3_4", "bac5"), strict=True
        )
    },
    # The older list puts BEPC with no diploma.
    "DIPL_15": {
        code: {"diploma": level, "group": "not_enrolled"}
        for code, level in zip("ABCD", ("none_or_bepc", "cap_bep", "bac", "higher"), strict=True)
    },
    "TACTR": {
        "11": {"group": "employed"},
        "12": {"group": "unemployed"},
        "21": {"group": "retired_inactive"},
        "22": {"group": "student_inactive"},
        "24": {"group": "at_home"},
        "26": {"group": "other_inactive"},
    },
}
# Longest first: DIPL_19A is variable DIPL_19 and modality A.
_TOKEN = re.compile(
    "|".join(
        f"(?:{name})(?:{'|'.join(sorted(modalities, key=len, reverse=True))})"
        for name, modalities in _VARIABLES.items()
    )
)
_LABELS = {"NIVGEO", "CODGEO", "LIBGEO", "NB", "REG", "DEP", "COM"}
_LEVELS = {"COM": "commune", "ARM": "arrondissement"}
# Persons under 15 stand in no table that crosses one of these.
_ADULTS = {"CS1_8", "DIPL_19", "DIPL_15", "TACTR", "AGEQ65"}


def is_table(raw: Raw) -> bool:
    """Tell whether the columns are those of a detailed table, long or wide."""
    columns = set(raw.table.columns)
    if "CODGEO" not in columns:
        return False
    long = "NB" in columns and bool(columns & set(_VARIABLES))
    return long or any(_split(column) for column in columns - _LABELS)


def read_table(raw: Raw, *, year: int | None = None) -> Imported:
    """Read one detailed table.

    Parameters
    ----------
    raw : Raw
        The file.
    year : int, optional
        Millésime, when the name of the file does not carry it.

    Raises
    ------
    InputError
        A variable, modality, code or count is odd, a cell stands twice, or the year is not known.
    """
    year = year or year_in_name(raw.file)
    if year is None:
        raise InputError(
            "the year of the table is not known",
            where=raw.file,
            expected="a year in the name, as in BTT_TD_POP1B_2020.csv",
            hint="give the file the name it was published under, or give the year",
        )
    table = _long(raw) if "NB" in raw.table.columns else _wide(raw)
    notes = ["Detailed tables come from one exploitation: see the name of the table."]
    if (table["diploma"] == "none_or_bepc").any():
        notes.append("The list DIPL_15 does not tell BEPC from no diploma.")
    return Imported(
        kind="table",
        year=year,
        level="commune",
        table=table,
        file=raw.file,
        sha256=raw.sha256,
        notes=tuple(notes),
    )


def _long(raw: Raw) -> pd.DataFrame:
    variables = [c for c in raw.table.columns if c not in _LABELS]
    _known(raw, variables)
    codes(raw, "CODGEO", "commune", unique=False)
    twice = raw.table.duplicated(["CODGEO", *variables])
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise InputError(
            "a cell stands twice",
            where=raw.at(row),
            got=", ".join(raw.table.iloc[row][["CODGEO", *variables]]),
        )
    cells = [_modality(raw, name, raw.table[name].str.strip()) for name in variables]
    table = pd.concat(cells, axis=1)
    table = table.assign(
        geo=raw.table["CODGEO"].str.strip(), level=_level(raw), value=numbers(raw, ["NB"])["NB"]
    )
    return _filled(table, set(variables))


def _wide(raw: Raw) -> pd.DataFrame:
    cells: dict[str, list[tuple[str, str]]] = {}
    for column in raw.table.columns:
        if column in _LABELS:
            continue
        tokens = _split(column)
        if not tokens:
            raise InputError(
                "a column is not made of variables the package knows",
                where=f"{raw.file}, column {column}",
                expected=f"variables among {', '.join(_VARIABLES)}",
                hint="this table crosses a variable that is not read",
            )
        cells[column] = tokens
    used = {name for tokens in cells.values() for name, _ in tokens}
    geo = codes(raw, "CODGEO", "commune")
    values = numbers(raw, list(cells))
    level = _level(raw)
    frames = [
        tidy_rows(
            geo,
            level,
            values[column],
            {k: v for name, modality in tokens for k, v in _VARIABLES[name][modality].items()},
        )
        for column, tokens in cells.items()
    ]
    return _filled(pd.concat(frames, ignore_index=True), used)


def _level(raw: Raw) -> pd.Series | str:
    if "NIVGEO" not in raw.table.columns:
        return "commune"
    level = raw.table["NIVGEO"].str.strip().map(_LEVELS)
    if level.isna().any():
        row = int(np.flatnonzero(level.isna())[0])
        raise InputError(
            "unknown geographic level",
            where=raw.at(row, "NIVGEO"),
            got=raw.table["NIVGEO"].iloc[row],
            expected=", ".join(_LEVELS),
        )
    return level


def _known(raw: Raw, variables: list[str]) -> None:
    for name in variables:
        if name not in _VARIABLES:
            raise InputError(
                "the table crosses a variable that is not read",
                where=raw.file,
                got=name,
                expected=", ".join(_VARIABLES),
                hint=nearest(name, _VARIABLES),
            )


def _modality(raw: Raw, name: str, values: pd.Series) -> pd.DataFrame:
    """Return the tidy columns of one variable, one row per line."""
    known = _VARIABLES[name]
    width = max(map(len, known))
    padded = values.str.zfill(width) if width > 1 and name != "TACTR" else values
    odd = ~padded.isin(list(known))
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise InputError(
            "unknown modality",
            where=raw.at(row, name),
            got=repr(values.iloc[row]),
            expected=", ".join(known) if len(known) < 15 else f"{min(known)} to {max(known)}",
        )
    names = list(dict.fromkeys(key for cell in known.values() for key in cell))
    return pd.DataFrame(
        {key: padded.map({code: cell[key] for code, cell in known.items()}) for key in names}
    )


def _split(column: str) -> list[tuple[str, str]]:
    """Return variables and modalities of a wide column's name, or nothing if one is unknown."""
    tokens = []
    rest = column
    while rest:
        found = _TOKEN.match(rest)
        if not found:
            return []
        text = found.group()
        name = next(n for n in _VARIABLES if text.startswith(n) and text[len(n) :] in _VARIABLES[n])
        tokens.append((name, text[len(name) :]))
        rest = rest[found.end() :].removeprefix("_")
    return tokens


def _filled(table: pd.DataFrame, variables: set[str]) -> pd.DataFrame:
    """Complete the tidy columns a table does not cross."""
    adults = bool(variables & _ADULTS)
    defaults: Cell = {
        "measure": "persons",
        "group": "",
        "sex": "",
        "age_from": 15 if adults else 0,
        "age_to": OLDEST,
        "occupation": "",
        "diploma": "",
        "sample": "complementary" if "CS1_8" in variables else "main",
    }
    missing = {k: v for k, v in defaults.items() if k not in table.columns}
    filled = tidy_rows(table["geo"], table["level"], table["value"], missing)
    others = [c for c in table.columns if c not in filled.columns]
    return filled.join(table[others])[list(TIDY_COLUMNS)].reset_index(drop=True)
