"""From source to figure: which input feeds which step, laid out in three columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inegnum.release.text import Phrases

__all__ = ["Box", "Graph", "Link", "provenance_graph"]

STEPS: Final = ("survey", "frame", "benchmark", "validate")
CSS: Final = {"survey": "fit", "frame": "fit"}  # the rest is drawn as its role
LEFT, MIDDLE, RIGHT = 0, 380, 650
WIDE, NARROW_BOX = 330, 200
LINE, PAD, GAP = 15, 8, 8
LETTERS: Final = 43  # letters a line of the left column holds


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle and its lines of text, in pixels."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[tuple[float, str], ...]
    role: str


@dataclass(frozen=True, slots=True)
class Link:
    """A curve between two boxes, as SVG path data."""

    path: str
    role: str


@dataclass(frozen=True, slots=True)
class Graph:
    """The whole drawing."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]


def provenance_graph(
    inputs: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]], words: Phrases
) -> Graph:
    """Lay out sources by the step they feed, the steps, and the figures.

    Parameters
    ----------
    inputs : sequence of dict
        Entries of the manifest: ``producer``, ``title``, ``vintage``, ``role``, ``unit``.
    references : sequence of dict
        Published figures of the manifest: ``source_title``, ``year``.
    words : Phrases
        Names of the steps.
    """
    y = 4.0
    boxes: list[Box] = []
    links: list[Link] = []
    steps: list[Box] = []
    survey: list[Box] = []
    for step, texts in _by_step(inputs, references, words).items():
        css = CSS.get(step, step)
        mine: list[Box] = []
        for text in texts:
            mine.append(_box(LEFT, y, WIDE, textwrap.wrap(text, LETTERS), css))
            y += mine[-1].height + GAP
        lines = textwrap.wrap(words[f"graph.{step}"], 27)
        height = _height(len(lines))
        middle = ((mine[0].y + y - GAP) if mine else 2 * y + height) / 2
        steps.append(_box(MIDDLE, middle - height / 2, NARROW_BOX, lines, f"stage {css}"))
        # The survey's national rate is also what the level is fixed to.
        feeds = [*mine, *survey] if step == "benchmark" else mine
        survey = mine if step == "survey" else survey
        links += [_link(box, steps[-1], css) for box in feeds]
        boxes += mine
        y = max(y, steps[-1].y + height + GAP) + 2 * GAP
    lines = textwrap.wrap(words["graph.figures"], 22)
    figures = _box(RIGHT, max(y / 2 - _height(len(lines)), 4), 170, lines, "stage")
    links += [_link(step, figures, step.role.split()[-1]) for step in steps]
    return Graph(RIGHT + 180, round(y), (*boxes, *steps, figures), tuple(links))


def _by_step(
    inputs: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]], words: Phrases
) -> dict[str, list[str]]:
    """Return what stands in the boxes of each step, the evidence first."""
    found: dict[str, list[str]] = {step: [] for step in STEPS}
    for entry in inputs:
        evidence = entry["role"] == "fit" and str(entry["unit"]).startswith("respondents")
        step = "survey" if evidence else {"fit": "frame"}.get(entry["role"], entry["role"])
        title, vintage = words.told(str(entry["title"])), words.told(str(entry["vintage"]))
        found[step].append(f"{words.producer(str(entry['producer']))}, {title} ({vintage})")
    published = (f"{words.typeset(str(r['source_title']))} ({r['year']})" for r in references)
    found["validate"] += dict.fromkeys(published)
    return {
        step: texts
        for step, texts in found.items()
        if texts or (step == "benchmark" and found["survey"])
    }


def _height(lines: int) -> float:
    return lines * LINE + 2 * PAD


def _box(x: float, y: float, width: float, lines: list[str], role: str) -> Box:
    height = _height(len(lines))
    placed = tuple((y + PAD + LINE * (k + 0.75), line) for k, line in enumerate(lines))
    return Box(x, round(y, 1), width, height, placed, role)


def _link(a: Box, b: Box, role: str) -> Link:
    x1, y1 = a.x + a.width, a.y + a.height / 2
    x2, y2 = b.x, b.y + b.height / 2
    middle = (x1 + x2) / 2
    return Link(
        f"M{x1:.0f} {y1:.0f}C{middle:.0f} {y1:.0f} {middle:.0f} {y2:.0f} {x2:.0f} {y2:.0f}", role
    )
