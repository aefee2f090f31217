"""What a page draws of one indicator at one level: map, circles, dots with intervals.

Limits: a chart of neighbourhoods keeps those that are released; on the map, masked ones are drawn
as masked.
"""

from __future__ import annotations

from dataclasses import dataclass

from inegnum.release.cards import nation_rate
from inegnum.release.charts import Band, dots
from inegnum.release.geo import Outline, outline
from inegnum.release.pages import bubbles
from inegnum.release.read import Release
from inegnum.release.text import Phrases
from inegnum.release.view import IndicatorView, indicator_view

__all__ = ["KINDS", "AreaBlock", "area_block", "area_names", "level_outline", "shown_sentence"]

KINDS = {"A": "solid", "B": "solid", "C": "hollow", "D": "hidden"}


@dataclass(frozen=True, slots=True)
class AreaBlock:
    """Everything drawn of one indicator at one level; `dots` is empty when nothing is released."""

    view: IndicatorView
    radii: dict[str, float]
    dots: str
    shown: str


def area_block(release: Release, code: str, words: Phrases, level: str = "commune") -> AreaBlock:
    """Return map and chart of one indicator over the areas of a level."""
    view = indicator_view(release, code, words, level)
    rows = release.at(level, code)
    whole = release.whole(code)
    known = whole["class"] != "D"
    band = Band(
        float(whole["lower"]) if known else None,
        float(whole["upper"]) if known else None,
        nation_rate(release, code),
    )
    table = rows[["name", "est", "lower", "upper"]].assign(kind=rows["class"].map(KINDS))
    if level == "iris":
        table = table[table["kind"] != "hidden"]
    chart = "" if table.empty else dots(table, band, hidden=words["table.masked"])
    return AreaBlock(view, bubbles(view.areas), chart, shown_sentence(view, words))


def shown_sentence(view: IndicatorView, words: Phrases) -> str:
    """Say how many areas have a figure precise enough to be released."""
    shown = sum(area.grade != "D" for area in view.areas)
    return words["explore.shown"].format(shown=shown, total=len(view.areas))


def area_names(release: Release, level: str = "commune") -> dict[str, str]:
    """Return the name of every area of a level, by code."""
    areas = release.estimates[release.estimates["level"] == level]
    return dict(zip(areas["geo"].map(str), areas["name"].map(str), strict=True))


def level_outline(release: Release, level: str = "commune") -> Outline:
    """Return the outlines of a level; nothing is drawn when the release has no shape of it."""
    names = area_names(release, level)
    features = release.geometry["features"] if release.geometry else []
    drawn = {feature["properties"].get("geo") for feature in features} & set(names)
    return outline(release.geometry if drawn else None, names)
