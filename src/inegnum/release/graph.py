"""From source to figure: which input feeds which step, laid out in three columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inegnum.release.text import Phrases

__all__ = ["Box", "Graph", "Link", "provenance_graph"]

ROLES: Final = ("fit", "benchmark", "validate")
LEFT, MIDDLE, RIGHT = 0, 380, 650
WIDE, NARROW_BOX = 330, 200
LINE, PAD, GAP = 15, 8, 8
LETTERS: Final = 48  # letters a line of the left column holds


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


def provenance_graph(inputs: Sequence[Mapping[str, Any]], words: Phrases) -> Graph:
    """Lay out inputs by role, the step each role feeds, and the figures.

    Parameters
    ----------
    inputs : sequence of dict
        Entries of the manifest: ``producer``, ``title``, ``vintage``, ``role``.
    words : Phrases
        Names of the steps.
    """
    y = 4.0
    boxes: list[Box] = []
    links: list[Link] = []
    steps: list[Box] = []
    for role in ROLES:
        mine = [entry for entry in inputs if entry["role"] == role]
        if not mine:
            continue
        top = y
        for entry in mine:
            text = f"{entry['producer']}, {entry['title']} ({entry['vintage']})"
            boxes.append(_box(LEFT, y, WIDE, textwrap.wrap(text, LETTERS), role))
            y += boxes[-1].height + GAP
        lines = textwrap.wrap(words[f"graph.{role}"], 27)
        height = _height(len(lines))
        steps.append(_box(MIDDLE, (top + y - GAP - height) / 2, NARROW_BOX, lines, f"stage {role}"))
        links += [_link(box, steps[-1], role) for box in boxes[-len(mine) :]]
        y += 2 * GAP
    lines = textwrap.wrap(words["graph.figures"], 22)
    figures = _box(RIGHT, max(y / 2 - _height(len(lines)), 4), 170, lines, "stage")
    links += [_link(step, figures, step.role.split()[-1]) for step in steps]
    return Graph(RIGHT + 180, round(y), (*boxes, *steps, figures), tuple(links))


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
