"""INSEE's census bases by IRIS or commune: base-ic-* and base-cc-*.

Column names say who is counted: ``P18_F1529`` is women of 15 to 29, main exploitation, census 2018;
``C18_POP15P_CS3`` managers of 15 and over, complementary exploitation; ``P18_NSCOL15P_SUP2`` people
of 15 and over no longer enrolled whose diploma is two years after baccalauréat. Since 2022
occupations are named by status and socio-economic group (``C22_POP15P_STAT_GSEC13_23``: managers in
work or out of it); they are read as the eight classes of before.

The reader of evol-struct-pop has met a real file (Seine-Maritime, 2013, by IRIS). Those of
diplomes-formation, activite-residents and couples-familles-menages follow the same documented
conventions and have met fixtures only.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pandas as pd

from inegnum.data.importers.reading import Raw, codes, numbers, year_in_name
from inegnum.data.importers.tidy import OLDEST, TIDY_COLUMNS, Cell, Imported, Kind, tidy_rows
from inegnum.errors import InputError

__all__ = ["decode", "is_base", "read_base"]

_PREFIX = re.compile(r"([PC])(\d{2})_(.+)")
_AGE = r"(?P<age>\d{4}|\d{2}P)"
_SEX = {"H": "men", "F": "women", "POP": "", "": ""}
_DIPLOMA = {
    "DIPLMIN": "none",
    "DIPL0": "no_diploma",
    "CEP": "cep",
    "BEPC": "bepc",
    "CAPBEP": "cap_bep",
    "BAC": "bac",
    "BACP2": "bac2",
    "SUP2": "bac2",
    "SUP34": "bac3_4",
    "SUP5": "bac5",
    "SUP": "higher",
}
_ACTIVITY = {
    "ACT": "active",
    "ACTOCC": "employed",
    "CHOM": "unemployed",
    "INACT": "inactive",
    "ETUD": "student_inactive",
    "RETR": "retired_inactive",
    "AINACT": "other_inactive",
}
_HOUSEHOLD = {
    "": "",
    "PSEUL": "alone",
    "HSEUL": "man_alone",
    "FSEUL": "woman_alone",
    "SFAM": "no_family",
    "FAM": "family",
    "COUPSENF": "couple_no_child",
    "COUPAENF": "couple_children",
    "FAMMONO": "single_parent",
}
_OCCUPATION = r"(?:_CS(?P<cs>[1-8]))?"
# In work (1x) or unemployed (2x) by group, retired (32), others (40).
_GSEC: Final = {
    **{f"1{i}_2{i}": str(i) for i in range(1, 7)},
    **{f"1{i}": str(i) for i in range(1, 7)},
    "32": "7",
    "40": "8",
}
_STATUS_GROUP = re.compile(rf"_STAT_GSEC({'|'.join(sorted(_GSEC, key=len, reverse=True))})$")
_PATTERNS: Final = (
    (re.compile(r"POP(?P<sex>[HF])?"), ""),
    (re.compile(rf"(?P<sex>POP|H|F){_AGE}{_OCCUPATION}"), ""),
    (re.compile(rf"(?P<sex>H|F)?SCOL{_AGE}"), "enrolled"),
    (
        re.compile(rf"(?P<sex>H|F)?NSCOL{_AGE}(?:_(?P<diploma>{'|'.join(_DIPLOMA)}))?"),
        "not_enrolled",
    ),
    (
        re.compile(
            rf"(?P<sex>H|F)?(?P<activity>{'|'.join(sorted(_ACTIVITY, key=len, reverse=True))})"
            rf"{_AGE}{_OCCUPATION}"
        ),
        "",
    ),
    (re.compile(rf"(?P<sex>POP){_AGE}_PSEUL"), "alone"),
    (re.compile(r"PMEN"), "in_household"),
    (re.compile(r"PHORMEN"), "outside_household"),
    (re.compile(rf"MEN(?P<household>{'|'.join(_HOUSEHOLD)}){_OCCUPATION}"), ""),
)
# Totals and the parts that make them: what INSEE's own dictionaries say must add up.
_AGES = ("0014", "1529", "3044", "4559", "6074", "75P")
_SUMS: Final = (
    ("POP", ("POPH", "POPF")),
    ("POP", tuple(f"POP{age}" for age in _AGES)),
    ("POPH", tuple(f"H{age}" for age in _AGES)),
    ("POPF", tuple(f"F{age}" for age in _AGES)),
    ("POP", ("PMEN", "PHORMEN")),
    ("POP15P", tuple(f"POP15P_CS{i}" for i in range(1, 9))),
    ("H15P", tuple(f"H15P_CS{i}" for i in range(1, 9))),
    ("F15P", tuple(f"F15P_CS{i}" for i in range(1, 9))),
    ("POP15P", ("H15P", "F15P")),
    (
        "NSCOL15P",
        tuple(
            f"NSCOL15P_{d}" for d in ("DIPLMIN", "BEPC", "CAPBEP", "BAC", "SUP2", "SUP34", "SUP5")
        ),
    ),
    ("NSCOL15P", ("HNSCOL15P", "FNSCOL15P")),
    ("POP1564", ("ACT1564", "INACT1564")),
    ("ACT1564", ("ACTOCC1564", "CHOM1564")),
    ("INACT1564", ("ETUD1564", "RETR1564", "AINACT1564")),
    ("MEN", ("MENPSEUL", "MENSFAM", "MENFAM")),
    ("MENPSEUL", ("MENHSEUL", "MENFSEUL")),
)
_KINDS: Final[tuple[tuple[str, Kind], ...]] = (
    ("NSCOL15P", "diplomas"),
    ("ACT1564", "activity"),
    ("MEN", "households"),
    ("POP0014", "population"),
    ("POP15P", "population"),
)


def is_base(raw: Raw) -> bool:
    """Tell whether the columns are those of a census base."""
    return (
        any(_PREFIX.fullmatch(column) for column in raw.table.columns)
        and ({"IRIS", "CODGEO", "COM"} & set(raw.table.columns)) != set()
    )


def decode(stem: str) -> Cell | None:
    """Return who a column counts, or None when the package has no use for it.

    Examples
    --------
    >>> decode("F1529")["sex"], decode("F1529")["age_from"], decode("F1529")["age_to"]
    ('women', 15, 29)
    >>> decode("POP_IMM") is None
    True
    """
    stem = _with_classes(stem)
    for pattern, group in _PATTERNS:
        found = pattern.fullmatch(stem)
        if not found:
            continue
        parts: dict[str, str | None] = found.groupdict()
        first, last = _ages(parts.get("age"))
        household, occupation = parts.get("household"), parts.get("cs")
        diploma = parts.get("diploma")
        return {
            "measure": "persons" if household is None else "households",
            "group": _ACTIVITY.get(parts.get("activity") or "", group)
            if household is None
            else _HOUSEHOLD[household],
            "sex": _SEX[parts.get("sex") or ""],
            "age_from": first,
            "age_to": last,
            "occupation": "cs" + occupation if occupation else "",
            "diploma": _DIPLOMA[diploma] if diploma else "",
        }
    return None


def _with_classes(stem: str) -> str:
    """Return the stem with its status and group named as one of the eight classes."""
    return _STATUS_GROUP.sub(lambda found: f"_CS{_GSEC[found[1]]}", stem)


def _ages(text: str | None) -> tuple[int, int]:
    if not text:
        return 0, OLDEST
    return int(text[:2]), OLDEST if text.endswith("P") else int(text[2:])


def read_base(raw: Raw) -> Imported:
    """Read one census base.

    Raises
    ------
    InputError
        A code, a count or a sum is odd (line and column named), the file mixes years without one
        that is last, or its name and its columns disagree on the year.
    """
    level = "iris" if "IRIS" in raw.table.columns else "commune"
    key = next(c for c in ("IRIS", "CODGEO", "COM") if c in raw.table.columns)
    geo = codes(raw, key, "IRIS" if level == "iris" else "commune")
    if level == "iris" and "COM" in raw.table.columns:
        _same_commune(raw, geo)
    year = _year(raw)
    stems = {}
    unused = []
    for column in raw.table.columns:
        found = _PREFIX.fullmatch(column)
        if found and 2000 + int(found[2]) == year and decode(found[3]):
            stems[column] = (found[1], _with_classes(found[3]))
        elif found:
            unused.append(column)
    values = numbers(raw, list(stems))
    _check_sums(raw, values, stems)
    return Imported(
        kind=next((kind for stem, kind in _KINDS if _has(stems, stem)), "population"),
        year=year,
        level=level,
        table=_tidy(geo, level, values, stems),
        file=raw.file,
        sha256=raw.sha256,
        unused=tuple(unused),
        notes=(
            "Complementary counts come from a sample of households and differ from the main ones.",
        ),
        names=_names(raw, geo, level),
    )


def _names(raw: Raw, geo: pd.Series, level: str) -> dict[str, str]:
    column = "LIBIRIS" if level == "iris" else "LIBGEO"
    if column not in raw.table.columns:
        return {}
    return dict(zip(geo, raw.table[column].str.strip(), strict=True))


def _has(stems: dict[str, tuple[str, str]], stem: str) -> bool:
    return any(found == stem for _, found in stems.values())


def _same_commune(raw: Raw, geo: pd.Series) -> None:
    apart = geo.str[:5] != raw.table["COM"].str.strip()
    if apart.any():
        row = int(np.flatnonzero(apart)[0])
        raise InputError(
            "an IRIS is not in its commune",
            where=raw.at(row, "IRIS"),
            got=f"IRIS {geo.iloc[row]} in commune {raw.table['COM'].iloc[row]}",
            expected="an IRIS code that starts with the commune code",
        )


def _year(raw: Raw) -> int:
    """Return the census year: that of the columns, checked against the file name."""
    found = [m for m in map(_PREFIX.fullmatch, raw.table.columns) if m]
    years = {2000 + int(match[2]) for match in found}
    year = max(years)
    named = year_in_name(raw.file)
    if named and named != year:
        raise InputError(
            "the name of the file and its columns disagree on the year",
            where=raw.file,
            got=f"{named} in the name, {year} in the columns",
            expected="one year",
            hint="give the file the name it was published under",
        )
    return year


def _check_sums(raw: Raw, values: pd.DataFrame, stems: dict[str, tuple[str, str]]) -> None:
    """Refuse a line whose parts do not make its total.

    Counts rounded to the unit may miss by half a unit a part and half for the total (eight
    occupations: 4.5; a real file shows 3). Unrounded counts must add up.
    """
    for sample in ("P", "C"):
        columns = {stem: column for column, (s, stem) in stems.items() if s == sample}
        for total, parts in _SUMS:
            if total not in columns or not set(parts) <= set(columns):
                continue
            used = values[[columns[total], *(columns[part] for part in parts)]]
            rounded = bool((used == used.round()).all(axis=None))
            allowed = 0.5 * (len(parts) + 1) if rounded else 1e-3
            gap = (used.iloc[:, 1:].sum(axis=1) - used.iloc[:, 0]).abs()
            odd = gap > allowed + 1e-9 * used.iloc[:, 0]
            if odd.any():
                row = int(np.flatnonzero(odd)[0])
                raise InputError(
                    "parts do not make their total",
                    where=raw.at(row, columns[total]),
                    got=f"{float(used.iloc[row, 1:].sum()):g} in {', '.join(parts)}",
                    expected=f"{float(used[columns[total]].iloc[row]):g}, to {allowed:g}",
                    hint="a cell was edited or suppressed: use the file as published",
                )


def _tidy(
    geo: pd.Series, level: str, values: pd.DataFrame, stems: dict[str, tuple[str, str]]
) -> pd.DataFrame:
    samples = {"P": "main", "C": "complementary"}
    frames = [
        tidy_rows(geo, level, values[column], {**(decode(stem) or {}), "sample": samples[sample]})
        for column, (sample, stem) in stems.items()
    ]
    return pd.concat(frames, ignore_index=True)[list(TIDY_COLUMNS)]
