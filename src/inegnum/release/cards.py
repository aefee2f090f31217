"""A key figure in words: number, interval, people, gap, source.

A figure without survey, universe and year is not a statistic: the source line is part of the card.
A masked figure (class D) has no words but the reason.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from inegnum.release.read import IndicatorNote, Release
from inegnum.release.text import Phrases

__all__ = [
    "CardView",
    "card",
    "card_of",
    "concerned",
    "concerned_phrase",
    "nation_rate",
    "people_sentence",
    "source_line",
]


@dataclass(frozen=True, slots=True)
class CardView:
    """Key figure of the whole territory."""

    code: str
    label: str
    shown: bool
    interval_first: bool
    rate: str
    interval: str
    sentence: str
    interval_text: str
    people: str
    gap: str
    nation: str
    grade: str
    grade_text: str
    source: str
    cells: tuple[int, int, int]


def concerned(row: pd.Series[Any], note: IndicatorNote) -> tuple[float, float, float]:
    """Return persons on the far side of digital, with their interval.

    They are those with the characteristic when it marks distance (direction -1), those without it
    otherwise.
    """
    people, lower, upper = (float(row[k]) for k in ("people", "people_lower", "people_upper"))
    if note.direction < 0:
        return people, lower, upper
    N = float(row["N"])
    return N - people, N - upper, N - lower


def concerned_phrase(note: IndicatorNote, words: Phrases) -> str:
    """Say who is counted by `concerned`."""
    said = words.predicate(note.code, without=note.direction > 0)
    if said:
        return said
    key = "people.far" if note.direction > 0 else "people.near"
    return words[key].format(label=note.label(words.language))


def source_line(release: Release, note: IndicatorNote, words: Phrases) -> str:
    """Return the line without which a figure is not a statistic.

    The survey is named with its years, the tables the population comes from by their producers.
    """
    surveys: dict[str, None] = {}
    producers: dict[str, None] = {}
    for entry in release.manifest["inputs"]:
        if entry["role"] != "fit":
            continue
        producer = words.producer(str(entry["producer"]))
        if str(entry["unit"]).startswith("respondents"):
            title = re.split(r"\s*:", words.told(str(entry["title"])))[0]
            surveys[f"{producer}, {title} ({words.told(str(entry['vintage']))})"] = None
        else:
            producers[producer] = None
    others = [name for name in producers if not any(name in survey for survey in surveys)]
    return words["card.source"].format(
        sources=f"{words['list.separator']} ".join([*surveys, *others]),
        modelled=words["modelled"].capitalize(),
        universe=words.universe(note.universe),
        year=release.whole(note.code)["year"],
    )


def card(release: Release, code: str, words: Phrases) -> CardView:
    """Return the key figure of the whole territory for one indicator."""
    return card_of(release, release.whole(code), words)


def card_of(release: Release, row: pd.Series[Any], words: Phrases) -> CardView:
    """Return the key figure of one row of the estimates.

    A masked one keeps the probability of being above the metropolis.
    """
    code = str(row["indicator"])
    note = release.indicators[code]
    shown, gone = row["class"] != "D", row["reason"] == "retracted"
    nation = nation_rate(release, code)
    common = {
        "code": code,
        "label": words.short(code, words.typeset(note.label(words.language))),
        "grade": str(row["class"]),
        "grade_text": words["class.retracted" if gone else f"class.{row['class']}"],
        "source": source_line(release, note, words),
        "sentence": rate_phrase(note, words),
        "nation": "" if nation is None else words["gap.france"].format(rate=words.hundred(nation)),
    }
    if not shown:
        masked = words["card.masked"].format(reason=words[f"reason.{row['reason'] or 'none'}"])
        chance = float(row["p_above_metropolis"])
        if not math.isnan(chance):
            masked = f"{masked} {words['card.above'].format(chances=words.chances(chance))}"
        blank = dict.fromkeys(("rate", "interval", "interval_text", "people"), "")
        if nation is not None:
            common["nation"] = words["card.nation"].format(
                rate=words.hundred(nation), sentence=common["sentence"]
            )
        return CardView(
            **common, **blank, shown=False, interval_first=False, gap=masked, cells=(0, 0, 100)
        )
    est, lower, upper = (float(row[k]) for k in ("est", "lower", "upper"))
    sides = (math.floor(lower * 100 + 0.5), math.floor(upper * 100 + 0.5))
    return CardView(
        **common,
        shown=True,
        interval_first=row["class"] == "C",
        rate=words.hundred(est),
        interval=words.interval(lower, upper),
        interval_text=words["card.interval"].format(
            lower=words.hundred(lower), upper=words.hundred(upper)
        ),
        people=people_sentence(row, note, words),
        gap=gap_sentence(row, words),
        cells=(sides[0], sides[1] - sides[0], 100 - sides[1]),
    )


def rate_phrase(note: IndicatorNote, words: Phrases) -> str:
    """Say what follows the number: ``people aged 12 and over in 100 have a smartphone``."""
    predicate = words.predicate(note.code) or f": {note.label(words.language)}"
    return words["card.sentence"].format(
        universe=words.universe(note.universe), predicate=predicate
    )


def people_sentence(row: pd.Series[Any], note: IndicatorNote, words: Phrases) -> str:
    """Say how many persons are on the far side of digital."""
    count, lower, upper = (words.people(v) for v in concerned(row, note))
    said = words["people.with"].format(people=count, lower=lower, upper=upper)
    return words["people.concerned"].format(people=said, who=concerned_phrase(note, words))


def gap_sentence(row: pd.Series[Any], words: Phrases) -> str:
    """Say the gap to France, and whether it is established."""
    gap, lower, upper = (float(row[k]) for k in ("gap_france", "gap_lower", "gap_upper"))
    if math.isnan(gap):
        return ""
    key = "gap.unclear" if lower <= 0 <= upper else "gap.above"
    return words[key].format(value=words.gap(gap, lower, upper))


def nation_rate(release: Release, code: str) -> float | None:
    """Return the rate of France, if the release holds it."""
    table = release.estimates
    rows = table[(table["level"] == "france") & (table["indicator"] == code)]
    if rows.empty or math.isnan(float(rows["est"].iloc[0])):
        return None
    return float(rows["est"].iloc[0])
