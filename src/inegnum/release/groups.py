"""Who is concerned in an area: rates and persons by group of residents, in words.

Model: none; rows of the release's ``profiles.csv``, read on the far side of digital. Shares of
groups are of the persons of the indicator's universe, from the same table.
Limits: those of `inegnum.estimates.profiles`, said beside every table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from inegnum.data.codebook import AXES
from inegnum.release.cards import concerned_phrase
from inegnum.release.read import Release
from inegnum.release.text import Phrases

__all__ = ["GroupLine", "GroupTable", "Rows", "group_tables", "rows_by_area"]

BOUNDS: Final = ("_lower", "_upper")
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class GroupLine:
    """One group: its share of residents here and in the whole, rate, persons, chance.

    The chance is that of being more concerned than the area as a whole.
    """

    label: str
    here: str
    whole: str
    rate: str
    people: str
    chance: str
    masked: bool


@dataclass(frozen=True, slots=True)
class GroupTable:
    """Every group of an area for one indicator.

    Attributes
    ----------
    code, label, who : str
        Indicator, and who is counted: those on the far side of digital.
    margins : tuple
        Heading and lines of age, diploma, occupation.
    """

    code: str
    label: str
    who: str
    margins: tuple[tuple[str, tuple[GroupLine, ...]], ...]


def rows_by_area(profiles: pd.DataFrame) -> dict[str, dict[str, Rows]]:
    """Return the rows of each area, by indicator."""
    found: dict[str, dict[str, Rows]] = {}
    for (geo, code), rows in profiles.groupby(["geo", "indicator"], sort=False):
        found.setdefault(str(geo), {})[str(code)] = [
            {str(key): value for key, value in row.items()} for row in rows.to_dict("records")
        ]
    return found


def group_tables(
    release: Release, rows: Mapping[str, Mapping[str, Rows]], geo: str, words: Phrases
) -> tuple[GroupTable, ...]:
    """Return a table an indicator; a masked group keeps its chance."""
    whole = rows.get(release.territory.code, {})
    tables = []
    for code, note in release.indicators.items():
        mine = rows.get(geo, {}).get(code, [])
        if not mine:
            continue
        shares = _shares(whole.get(code, mine))
        here = _shares(mine)
        margins: dict[str, list[GroupLine]] = {}
        for row in mine:
            key = (str(row["margin"]), str(row["group"]))
            lines = margins.setdefault(words[f"margin.{key[0]}"], [])
            lines.append(_line(row, (here[key], shares[key]), note.direction, words))
        tables.append(
            GroupTable(
                code,
                words.short(code, note.label(words.language)),
                concerned_phrase(note, words),
                tuple((heading, tuple(lines)) for heading, lines in margins.items()),
            )
        )
    return tuple(tables)


def _shares(rows: Rows) -> dict[tuple[str, str], float]:
    """Return each group's share of the universe; ages make it up, the other margins do not."""
    total = sum(float(row["N"]) for row in rows if row["margin"] == "age")
    return {(str(r["margin"]), str(r["group"])): float(r["N"]) / total for r in rows}


def _line(
    row: Mapping[str, Any], shares: tuple[float, float], direction: int, words: Phrases
) -> GroupLine:
    here, whole = (words.percent(share) for share in shares)
    label = _label(str(row["margin"]), str(row["group"]), words)
    above = float(row["p_above_area"])
    chance = words.short_chances(above if direction < 0 else 1 - above)
    if row["class"] == "D":
        return GroupLine(label, here, whole, words["table.masked"], "", chance, masked=True)
    est, lower, upper = (float(row[k]) for k in ("est", "lower", "upper"))
    if direction > 0:  # those concerned are the others
        est, lower, upper = 1 - est, 1 - upper, 1 - lower
    counted = "people" if direction < 0 else "without"
    people, fewest, most = (words.people(float(row[f"{counted}{k}"])) for k in ("", *BOUNDS))
    return GroupLine(
        label,
        here,
        whole,
        f"{words.hundred(est)} ({words.interval(lower, upper)})",
        words["people.range"].format(people=people, lower=fewest, upper=most),
        chance,
        masked=False,
    )


def _label(margin: str, group: str, words: Phrases) -> str:
    if group in AXES[margin].levels:
        return AXES[margin].label(group, words.language)
    return words[f"group.{group}"]
