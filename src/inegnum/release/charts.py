"""Charts as static SVG: Altair draws, vl-convert renders, nothing runs in the reader's browser.

Each chart is 340 pixels wide at its own scale, so that it reads on a telephone and stands beside
the map on a desk. Fonts are the reader's. Accessibility lives outside the drawing: the page wraps
each chart in a figure with a text alternative and a table of the same figures, so the marks'
own labels are taken out.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from inegnum.errors import MissingDependencyError

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

__all__ = ["Band", "dots", "stairs"]

WIDTH: Final = 210
ROW: Final = 17
TALL_ROW: Final = 30  # when a name takes two lines
LETTERS: Final = 30  # a line of a name holds
# Names are measured with the renderer's font and shown in the reader's, which may be wider.
PADDING: Final = {"left": 26, "right": 8, "top": 2, "bottom": 2}
FONT: Final = "system-ui, sans-serif"
INK: Final = "#1d2a35"
MUTED: Final = "#5b6873"
MAIN: Final = "#12577a"
BAND: Final = "#dbe8ee"
UP: Final = "#3f8aa8"
DOWN: Final = "#b4682a"
OPEN: Final = ["low", "high"]  # stands for the bounds of the axis in a specification


@dataclass(frozen=True, slots=True)
class Band:
    """What every row is read against: the whole's interval and the nation's rate (proportions)."""

    lower: float | None
    upper: float | None
    nation: float | None


def dots(rows: pd.DataFrame, band: Band, *, hidden: str) -> str:
    """Draw one dot and its interval a row, in the order given.

    Parameters
    ----------
    rows : DataFrame
        ``name``, ``est``, ``lower``, ``upper`` (proportions; missing when not released) and
        ``kind``: ``"solid"``, ``"hollow"`` (imprecise), ``"diamond"`` (no interval), ``"hidden"``.
    band : Band
        Drawn behind the rows.
    hidden : str
        Word written in place of a figure that is not released.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    data = [
        {"name": _wrapped(row["name"]), "kind": row["kind"], "word": hidden}
        | {key: _percent(row[key]) for key in ("est", "lower", "upper")}
        for row in rows.to_dict("records")
    ]
    low, high = _domain([row[k] for row in data for k in ("est", "lower", "upper")], band)
    datasets = {
        "rows": [{**row, "middle": (low + high) / 2} for row in data],
        "whole": []
        if band.lower is None or band.upper is None
        else [{"lower": band.lower * 100, "upper": band.upper * 100}],
        "nation": [] if band.nation is None else [{"at": band.nation * 100}],
    }
    return _svg(_dots_spec(), datasets, (low, high), len(data))


def stairs(rows: pd.DataFrame) -> str:
    """Draw the steps from one rate to another, one bar a step.

    Parameters
    ----------
    rows : DataFrame
        ``name`` of the step, ``start`` and ``end`` (proportions), ``text`` written beside the bar.
    """
    data = [
        {
            "name": row["name"],
            "text": row["text"],
            "start": row["start"] * 100,
            "end": row["end"] * 100,
            "tip": max(row["start"], row["end"]) * 100,
            "kind": "up" if row["end"] >= row["start"] else "down",
        }
        for row in rows.to_dict("records")
    ]
    ends = [row[key] for row in data for key in ("start", "end")]
    pad = max((max(ends) - min(ends)) * 0.08, 0.4)
    # Room on the right for the number written beside the longest bar.
    bounds = (min(ends) - pad, max(ends) + 4 * pad)
    return _svg(_stairs_spec(), {"rows": data}, bounds, len(data))


@cache
def _dots_spec() -> str:
    """Return the specification of `dots` with its data and its axis left open."""
    alt = _altair()
    rows = alt.NamedData("rows")
    y, x = _row_axis(), _rate_axis("est:Q")
    # Every row first and invisible: names keep the order of the data.
    layers = [
        alt.Chart(rows).mark_rule(opacity=0).encode(y=y, x=_rate_axis("middle:Q")),
        alt.Chart(alt.NamedData("whole"))
        .mark_rect(color=BAND)
        .encode(x=_rate_axis("lower:Q"), x2="upper:Q"),
        alt.Chart(alt.NamedData("nation"))
        .mark_rule(color=MUTED, strokeDash=[4, 3], strokeWidth=1.4)
        .encode(x=_rate_axis("at:Q")),
        alt.Chart(rows)
        .transform_filter("datum.kind == 'solid' || datum.kind == 'hollow'")
        .mark_rule(strokeWidth=2, color=MAIN)
        .encode(y=y, x=_rate_axis("lower:Q"), x2="upper:Q"),
    ]
    for kind, shape, fill, edge in (
        ("solid", "circle", MAIN, MAIN),
        ("hollow", "circle", "#ffffff", MAIN),
        ("diamond", "diamond", DOWN, DOWN),
    ):
        layers.append(
            alt.Chart(rows)
            .transform_filter(f"datum.kind == '{kind}'")
            .mark_point(size=58, shape=shape, fill=fill, stroke=edge, strokeWidth=1.6, opacity=1)
            .encode(y=y, x=x)
        )
    layers.append(
        alt.Chart(rows)
        .transform_filter("datum.kind == 'hidden'")
        .mark_text(color=MUTED, fontSize=11, fontStyle="italic")
        .encode(y=y, x=_rate_axis("middle:Q"), text="word:N")
    )
    return _specification(alt.layer(*layers))


@cache
def _stairs_spec() -> str:
    """Return the specification of `stairs` with its data and its axis left open."""
    alt = _altair()
    rows = alt.NamedData("rows")
    colour = alt.Scale(domain=["up", "down"], range=[UP, DOWN])
    y = _row_axis()
    bars = (
        alt.Chart(rows)
        .mark_bar(height=10)
        .encode(
            y=y,
            x=_rate_axis("start:Q"),
            x2="end:Q",
            color=alt.Color("kind:N", scale=colour, legend=None),
        )
    )
    ticks = (
        alt.Chart(rows)
        .mark_tick(thickness=2, size=14, color=INK)
        .encode(y=y, x=_rate_axis("end:Q"))
    )
    words = (
        alt.Chart(rows)
        .mark_text(align="left", dx=6, fontSize=11, color=INK)
        .encode(y=y, x=_rate_axis("tip:Q"), text="text:N")
    )
    return _specification(alt.layer(bars, ticks, words))


def _altair() -> Any:
    try:
        import altair
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "charts need an optional package",
            got="altair is not installed",
            expected="altair and vl-convert-python",
            hint="install inegnum[report]",
        ) from error
    return altair


def _row_axis() -> Any:
    alt = _altair()
    axis = alt.Axis(
        ticks=False,
        domain=False,
        labelLimit=200,
        labelPadding=6,
        labelExpr="split(datum.label, '|')",
    )
    return alt.Y("name:N", sort=None, title=None, axis=axis)


def _rate_axis(field: str) -> Any:
    alt = _altair()
    axis = alt.Axis(title=None, tickCount=5, labelExpr="datum.value", orient="top")
    return alt.X(field, scale=alt.Scale(domain=OPEN, nice=False, zero=False), axis=axis)


def _wrapped(name: object) -> str:
    """Break a long name in two lines (the bar is where the axis splits it)."""
    return "|".join(textwrap.wrap(str(name), LETTERS, max_lines=2, placeholder="…"))


def _percent(rate: object) -> float | None:
    value = float(rate) if isinstance(rate, int | float) else math.nan
    return None if math.isnan(value) else value * 100


def _domain(values: Sequence[float | None], band: Band) -> tuple[float, float]:
    """Return axis bounds on fives that hold every interval, within 0 and 100."""
    bounds = [v * 100 for v in (band.lower, band.upper, band.nation) if v is not None]
    bounds += [v for v in values if v is not None]
    if not bounds:
        return 0.0, 100.0
    low, high = min(bounds) // 5 * 5, -(-max(bounds) // 5) * 5
    return max(low, 0.0), min(max(high, low + 5.0), 100.0)


def _specification(chart: alt.LayerChart) -> str:
    drawn = (
        chart.properties(width=WIDTH, padding=PADDING)
        .configure(font=FONT, background="transparent")
        .configure_view(stroke=None)
        .configure_axis(
            gridColor="#dfe5e9", labelColor=INK, domainColor="#aab4bc", tickColor="#aab4bc"
        )
    )
    return json.dumps(drawn.to_dict())


def _svg(
    specification: str,
    datasets: dict[str, list[dict[str, Any]]],
    bounds: tuple[float, float],
    n_rows: int,
) -> str:
    """Fill a specification with its data, the bounds of its axis and its height, and draw it."""
    import vl_convert

    spec = json.loads(specification.replace(json.dumps(OPEN), json.dumps(list(bounds))))
    tall = any("|" in str(row["name"]) for row in datasets["rows"])
    spec |= {"datasets": datasets, "height": n_rows * (TALL_ROW if tall else ROW) + 4}
    return tidy_svg(vl_convert.vegalite_to_svg(spec))


def tidy_svg(svg: str, drop: Sequence[str] = ("aria-[a-z]+", "role", "class", "version")) -> str:
    """Take out of an SVG what the page says better, and let it scale with its column."""
    for name in drop:
        svg = re.sub(rf' {name}="[^"]*"', "", svg)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(r'^<svg width="([\d.]+)" height="([\d.]+)"', r"<svg", svg)
    svg = re.sub(r"(\d\.\d\d)\d+", r"\1", svg)
    # Said once for the whole drawing, or what is the case anyway: half of a long chart's weight.
    for said in (f' font-family="{FONT}"', ' opacity="1"', ' pointer-events="none"'):
        svg = svg.replace(said, "")
    root = f'<svg class="chart" focusable="false" aria-hidden="true" font-family="{FONT}"'
    return svg.replace("<svg", root, 1)
