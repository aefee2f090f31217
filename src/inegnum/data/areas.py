"""Territories: which communes make up an intercommunality, a department or a list.

A territory is named by codes (text) and resolved to communes; an unknown code is refused with the
nearest ones. Names come with the codes so that a mistyped code is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import pandas as pd

from inegnum.data import catalogue
from inegnum.data.codebook import REGION
from inegnum.data.strict import read_toml
from inegnum.errors import InputError, nearest

__all__ = ["AREA_COLUMNS", "department_names", "load_areas"]

AREA_COLUMNS = (
    "geo",
    "level",
    "name",
    "department",
    "region",
    "epci",
    "epci_name",
    "epci_type",
    "urban",
    "urban_unit",
)

# Codes of overseas departments and territories: 971 to 989.
_OVERSEAS = ("97", "98")


@cache
def department_names() -> dict[str, str]:
    """Return the name of each department of metropolitan France by its code.

    Examples
    --------
    >>> department_names()["2A"]
    'Corse-du-Sud'
    """
    file = "departments.toml"
    names = read_toml(files("inegnum.data").joinpath(file).read_bytes(), where=file)
    return {code: str(name) for code, name in names.items()}


def load_areas(
    *,
    epci: str | None = None,
    department: str | None = None,
    communes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the communes of one territory, sorted by code.

    Exactly one of the three must be given.

    Parameters
    ----------
    epci : str, optional
        SIREN code of an intercommunality, for instance ``"243300316"``.
    department : str, optional
        Department code, for instance ``"33"``.
    communes : sequence of str, optional
        Commune codes, kept in the order of the codes.

    Returns
    -------
    DataFrame
        Columns `AREA_COLUMNS` and the municipal populations ``population_2018`` ...

    Raises
    ------
    InputError
        None or several selections are given, a code is unknown, repeated, or not text, or overseas
        (the survey is of metropolitan France).

    Examples
    --------
    >>> load_areas(epci="243300316").shape[0]
    28
    """
    given = {"epci": epci, "department": department, "communes": communes}
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise InputError(
            "a territory is named in exactly one way",
            where="load_areas",
            got=", ".join(chosen) or "nothing",
            expected="one of epci, department, communes",
        )
    table, _ = catalogue.table("communes")
    if communes is not None:
        kept = _listed(table, communes)
    elif epci is not None:
        kept = _members(table, "epci", epci)
    else:
        kept = _members(table, "department", str(department))
    kept = kept.assign(level="commune")
    populations = [c for c in kept.columns if c.startswith("population_")]
    return kept.sort_values("geo")[[*AREA_COLUMNS, *populations]].reset_index(drop=True)


def _metropolitan(kept: pd.DataFrame, where: str) -> pd.DataFrame:
    """Refuse communes overseas, of whom the survey asked nobody."""
    outside = kept[~kept["region"].isin(REGION.levels)]
    if len(outside):
        named = [f"{c} ({n})" for c, n in zip(outside["geo"], outside["name"], strict=True)]
        raise _overseas(where, ", ".join(named[:5]) + (", ..." if len(named) > 5 else ""))
    return kept


def _overseas(where: str, got: str) -> InputError:
    return InputError(
        "the survey covers metropolitan France only",
        where=where,
        got=f"{got}, overseas",
        expected="communes of metropolitan France, Corsica (2A, 2B) included",
        hint="leave overseas areas out: nobody was interviewed there, nor in a like territory",
    )


def _members(table: pd.DataFrame, column: str, code: str) -> pd.DataFrame:
    if column == "department" and code.startswith(_OVERSEAS):
        raise _overseas(column, code)
    kept = table[table[column] == code]
    if kept.empty or not code:
        what = {"epci": "intercommunality", "department": "department"}[column]
        raise InputError(
            f"no {what} has this code",
            where=column,
            got=repr(code),
            expected="a code as text" if column == "department" else "a SIREN code of nine digits",
            hint=_suggest(table, column, code),
        )
    return _metropolitan(kept, column)


def _suggest(table: pd.DataFrame, column: str, code: str) -> str:
    """Return the nearest codes with their names, or codes whose name was given instead."""
    if column == "department":
        return nearest(code, sorted(table["department"].unique()))
    named = table[["epci", "epci_name"]].drop_duplicates()
    named = named[named["epci"] != ""]
    labels = dict(zip(named["epci"], named["epci_name"], strict=True))
    by_name = [c for c, label in labels.items() if code and code.lower() in label.lower()]
    close = by_name[:3] or _nearest_codes(code, list(labels))
    return "did you mean " + " or ".join(f"{c} ({labels[c]})" for c in close) + "?"


def _nearest_codes(code: str, allowed: Sequence[str]) -> list[str]:
    """Return the three closest codes; two digits swapped count as one mistake.

    Among equally close codes the first of `allowed` come first.
    """

    def distance(other: str) -> float:
        differing = sum(a != b for a, b in zip(code, other, strict=False))
        swapped = sorted(code) == sorted(other)
        return differing / 2 if swapped else differing + abs(len(code) - len(other))

    return sorted(allowed, key=distance)[:3]


def _listed(table: pd.DataFrame, communes: Sequence[str]) -> pd.DataFrame:
    codes = list(communes)
    wrong = [code for code in codes if not isinstance(code, str)]
    if wrong or isinstance(communes, str):
        raise InputError(
            "commune codes are a list of texts",
            where="communes",
            got=repr(communes if isinstance(communes, str) else wrong[0]),
            expected='["33063", "01004"]: codes keep their zeros',
        )
    if not codes:
        raise InputError("the list of communes is empty", where="communes")
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        raise InputError("a commune stands twice", where="communes", got=", ".join(repeated))
    known = dict(zip(table["geo"], table["name"], strict=True))
    unknown = [code for code in codes if code not in known]
    outside = [code for code in unknown if code.startswith(_OVERSEAS)]
    if outside:
        raise _overseas("communes", ", ".join(outside[:10]))
    if unknown:
        # A larger commune is the likelier one to be meant.
        by_size = table.sort_values("population_2022", ascending=False, na_position="last")["geo"]
        meant = [_near(code, by_size.tolist(), known) for code in unknown[:3]]
        raise InputError(
            "no commune has this code",
            where="communes",
            got=", ".join(unknown[:10]),
            expected="codes of the official geographic code on 1 January 2025",
            hint="; ".join(meant),
        )
    return _metropolitan(table[table["geo"].isin(codes)], "communes")


def _near(code: str, by_size: Sequence[str], known: Mapping[str, str]) -> str:
    """Return the communes an unknown code, or a name given for one, may stand for."""
    named = [c for c in by_size if code and known[c].casefold() == code.casefold()]
    close = named[:3] or _nearest_codes(code, by_size)
    return f"for {code}, did you mean " + " or ".join(f"{c} ({known[c]})" for c in close) + "?"
