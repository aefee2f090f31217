"""The template engine of every page: one environment, a few filters, nothing read from outside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from inegnum.errors import MissingDependencyError
from inegnum.release.cards import CardView, card
from inegnum.release.geo import circle_radius
from inegnum.release.read import Release
from inegnum.release.text import Phrases
from inegnum.release.view import FAMILIES, AreaView

if TYPE_CHECKING:
    import jinja2

__all__ = [
    "METRICS",
    "asset",
    "bubbles",
    "cards_by_family",
    "environment",
    "lead_counts",
    "opening",
]

# What the map shows: its selector and its legends follow this order.
METRICS: Final = ("rate", "above", "people")


def environment() -> jinja2.Environment:
    """Return the environment pages are rendered in (strict: an unknown name is an error)."""
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "pages need an optional package",
            got="jinja2 is not installed",
            expected="jinja2",
            hint="install inegnum[report]",
        ) from error
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        by_geo=lambda areas: {area.geo: area for area in areas},
        any_grade=lambda areas, grade: any(area.grade == grade for area in areas),
        upper_first=lambda text: text[:1].upper() + text[1:],
        lower_first=lambda text: text[:1].lower() + text[1:],
    )
    return made


def asset(name: str) -> str:
    """Return the text of a template, style sheet or script of the package."""
    return files("inegnum.release").joinpath("templates", name).read_text("utf-8")


def cards_by_family(release: Release, words: Phrases) -> list[tuple[str, list[CardView]]]:
    """Return the key figures, families in the order of priority the participants gave."""
    codes = release.indicators
    grouped = [
        (family, [card(release, code, words) for code in codes if codes[code].family == family])
        for family in FAMILIES
    ]
    return [(family, cards) for family, cards in grouped if cards]


def bubbles(areas: Sequence[AreaView]) -> dict[str, float]:
    """Return the radius of each released area's circle, by code."""
    shown = {area.geo: area.need for area in areas if not math.isnan(area.need)}
    largest = max(shown.values(), default=0.0)
    return {geo: round(circle_radius(need, largest), 1) for geo, need in shown.items()}


def lead_counts(release: Release, words: Phrases, level: str = "commune") -> str:
    """Say how many figures of a level are published and how many are masked."""
    rows = release.estimates[release.estimates["level"] == level]
    masked = int((rows["class"] == "D").sum())
    key = "page.lead_counts" if level == "commune" else f"page.lead_counts_{level}"
    return words[key if masked or level != "commune" else "page.lead_counts_one"].format(
        indicators=len(release.indicators),
        areas=rows["geo"].nunique(),
        pairs=words.integer(len(rows)),
        shown=words.integer(len(rows) - masked),
        masked=words.integer(masked),
    )


def opening(codes: Sequence[str]) -> str:
    """Return the indicator a page opens with: the one people ask about first, when it is there."""
    return "smartphone" if "smartphone" in codes else codes[0]
