"""What a page says about an indicator: every number already turned into words.

Templates only lay out; no figure is computed or rounded in them. A masked figure (class D) has no
words but the reason and the probability of being above the metropolis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import pandas as pd

from inegnum.errors import PublicationError
from inegnum.release.cards import concerned, concerned_phrase, nation_rate
from inegnum.release.read import IndicatorNote, Release
from inegnum.release.text import Phrases

__all__ = [
    "AreaView",
    "IndicatorView",
    "LegendKey",
    "ReferenceView",
    "area_views",
    "indicator_view",
    "rate_breaks",
    "rate_colour",
    "rate_legend",
]

FAMILIES: Final = ("uses", "ease", "equipment", "connection")
ABOVE_EDGES: Final = (0.1, 0.3, 0.7, 0.9)
STEPS_IN_POINTS: Final = (0.02, 0.05, 0.10, 0.20)
MOST_COLOURS: Final = 5


@dataclass(frozen=True, slots=True)
class LegendKey:
    """One colour of a legend."""

    css: str
    text: str


@dataclass(frozen=True, slots=True)
class AreaView:
    """One area and one indicator, in words.

    Attributes
    ----------
    geo, name, grade : str
        Code, name, class A to D.
    rate, interval, people, gap, above : str
        Words; empty when not released.
    colour, above_colour : str
        CSS classes of the map.
    need : float
        Persons on the far side of digital, missing when not released.
    sentence : str
        Everything, for a tooltip.
    """

    geo: str
    name: str
    grade: str
    rate: str
    interval: str
    people: str
    gap: str
    above: str
    colour: str
    above_colour: str
    need: float
    sentence: str


@dataclass(frozen=True, slots=True)
class ReferenceView:
    """A figure already published, beside ours."""

    figure: str
    ours: str
    what: str
    difference: str
    comparable: bool
    address: str


@dataclass(frozen=True, slots=True)
class IndicatorView:
    """An indicator over the areas of the territory."""

    code: str
    label: str
    family: str
    predicate: str
    concerned: str
    universe: str
    denominator: str
    wording: str
    nation: str
    whole: str
    areas: tuple[AreaView, ...]
    rate_legend: tuple[LegendKey, ...]
    all_masked: bool


def rate_breaks(rates: Sequence[float]) -> list[float]:
    """Return at most six round edges that hold every rate.

    Examples
    --------
    >>> rate_breaks([0.83, 0.91])
    [0.82, 0.84, 0.86, 0.88, 0.9, 0.92]
    """
    if not rates:
        return []
    for step in STEPS_IN_POINTS:
        low = math.floor(min(rates) / step + 1e-9)
        high = math.ceil(max(rates) / step - 1e-9)
        if high - low <= MOST_COLOURS:
            break
    return [round(k * step, 4) for k in range(low, max(high, low + 1) + 1)]


def area_views(
    release: Release, code: str, words: Phrases, level: str = "commune"
) -> tuple[AreaView, ...]:
    """Return every area of a level for one indicator, in alphabetical order."""
    note = release.indicators[code]
    rows = release.at(level, code)
    edges = rate_breaks(rows["est"].dropna().tolist())
    return tuple(_area(row, note, edges, words) for _, row in rows.iterrows())


def _area(row: pd.Series[Any], note: IndicatorNote, edges: list[float], words: Phrases) -> AreaView:
    grade = str(row["class"])
    chance = float(row["p_above_metropolis"])
    above = "" if math.isnan(chance) else words.chances(chance)
    common = {
        "geo": str(row["geo"]),
        "name": str(row["name"]),
        "grade": grade,
        "above": "" if math.isnan(chance) else words.short_chances(chance),
        "above_colour": "none"
        if math.isnan(chance)
        else f"a{sum(chance > e for e in ABOVE_EDGES)}",
    }
    if grade == "D":
        reason = words[f"reason.{row['reason'] or 'none'}"]
        sentence = words["area.masked"].format(name=row["name"], reason=reason, above=above)
        blank = dict.fromkeys(("rate", "interval", "people", "gap"), "")
        return AreaView(**common, **blank, colour="none", need=math.nan, sentence=sentence)
    est, lower, upper = (float(row[k]) for k in ("est", "lower", "upper"))
    need = concerned(row, note)
    people = words["people.range"].format(
        people=words.people(need[0]), lower=words.people(need[1]), upper=words.people(need[2])
    )
    gaps = [float(row[k]) for k in ("gap_france", "gap_lower", "gap_upper")]
    sentence = words["area.shown" if grade != "C" else "area.imprecise"].format(
        name=row["name"],
        rate=words.hundred(est),
        lower=words.hundred(lower),
        upper=words.hundred(upper),
        people=people,
        grade=grade,
        above=above,
    )
    return AreaView(
        **common,
        rate=words.hundred(est),
        interval=words.interval(lower, upper),
        people=people,
        gap="" if math.isnan(gaps[0]) else words.short_gap(*gaps),
        colour=rate_colour(est, edges),
        need=need[0],
        sentence=sentence,
    )


def rate_colour(rate: float, edges: list[float]) -> str:
    """Return the CSS class of a rate between the edges of `rate_breaks`."""
    return f"k{_bin(rate, edges)}"


def rate_legend(edges: list[float], words: Phrases) -> tuple[LegendKey, ...]:
    """Return the colours between the edges of `rate_breaks`, in words."""
    return tuple(
        LegendKey(
            rate_colour(low, edges),
            words["legend.range"].format(lower=words.hundred(low), upper=words.hundred(high)),
        )
        for low, high in pairwise(edges)
    )


def _bin(value: float, edges: list[float]) -> int:
    """Return which class of colours a rate falls in; few classes use the ramp's ends too."""
    last = len(edges) - 2
    at = min(max(sum(value >= edge for edge in edges) - 1, 0), last)
    return at if last >= MOST_COLOURS - 1 else at + (MOST_COLOURS - 1 - last) // 2


def indicator_view(
    release: Release, code: str, words: Phrases, level: str = "commune"
) -> IndicatorView:
    """Return everything the page says of one indicator in the areas of a level."""
    note = release.indicators[code]
    areas = area_views(release, code, words, level)
    rates = release.at(level, code)["est"].dropna().tolist()
    edges = rate_breaks(rates)
    nation = nation_rate(release, code)
    whole = release.whole(code)
    return IndicatorView(
        code=code,
        label=words.short(code, words.typeset(note.label(words.language))),
        family=note.family,
        predicate=words.predicate(code),
        concerned=concerned_phrase(note, words),
        universe=words.universe(note.universe),
        denominator=words.typeset(note.denominator(words.language)),
        wording=words.wording(note.wording),
        nation="" if nation is None else words["explore.france"].format(rate=words.hundred(nation)),
        whole=_whole_line(release, whole, words),
        areas=areas,
        rate_legend=rate_legend(edges, words),
        all_masked=not rates,
    )


def rate_and_interval(row: pd.Series[Any], words: Phrases) -> str:
    """Return ``93 (90-95)``, or the word for a masked figure."""
    if row["class"] == "D":
        return words["table.masked"]
    return f"{words.hundred(row['est'])} ({words.interval(row['lower'], row['upper'])})"


def _whole_line(release: Release, whole: pd.Series[Any], words: Phrases) -> str:
    if whole["class"] == "D":
        return ""
    return words["explore.metropolis"].format(
        territory=release.territory.name, rate=rate_and_interval(whole, words)
    )


def reference_views(release: Release, code: str, words: Phrases) -> tuple[ReferenceView, ...]:
    """Return the published figures to read beside an indicator."""
    ours = rate_and_interval(release.whole(code), words)
    views = []
    for entry in release.manifest["reference"]:
        if entry["indicator"] != code:
            continue
        value = float(entry["value"])
        if not 0 <= value <= 1:
            raise PublicationError(
                "a published figure is not a proportion",
                where=f"manifest.json, reference, {code}, {entry['year']}",
                got=value,
                expected="between 0 and 1",
            )
        parts = [words.typeset(str(entry["source_title"]))]
        parts += [words.told(str(entry[key])) for key in ("mode", "universe")]
        if entry.get("n"):
            parts.append(words["reference.people"].format(n=words.scalar(entry["n"])))
        views.append(
            ReferenceView(
                figure=f"{words.percent(value)} ({entry['year']})",
                ours=ours,
                what=", ".join(part for part in parts if part and part != "None"),
                difference=words.typeset(str(entry[f"known_difference_{words.language}"])),
                comparable=bool(entry["comparable"]),
                address=str(entry["address"]),
            )
        )
    return tuple(views)
