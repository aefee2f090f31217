"""Charts as static SVG: Altair draws, vl-convert renders, nothing runs in the reader's browser.

Each chart is 340 pixels wide at its own scale, so that it reads on a telephone and stands beside
the map on a desk. Fonts are the reader's. Accessibility lives outside the drawing: the page wraps
each chart in a figure with a text alternative and a table of the same figures, so the marks'
own labels are taken out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from inegnum.errors import MissingDependencyError

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

__all__ = ["Band", "dots", "stairs"]

WIDTH: Final = 210
ROW: Final = 17
# Names are measured with the renderer's font and shown in the reader's, which may be wider.
PADDING: Final = {"left": 26, "right": 8, "top": 2, "bottom": 2}
INK: Final = "#1d2a35"
MUTED: Final = "#5b6873"
MAIN: Final = "#12577a"
BAND: Final = "#dbe8ee"
UP: Final = "#3f8aa8"
DOWN: Final = "#b4682a"


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
    alt = _altair()
    data = rows.assign(**{k: rows[k].astype(float) * 100 for k in ("est", "lower", "upper")})
    low, high = _domain(data, band)
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    names = list(data["name"])
    y = alt.Y("name:N", sort=names, title=None, axis=_names_axis())
    axis = alt.Axis(title=None, tickCount=5, labelExpr="datum.value", orient="top")
    x = alt.X("est:Q", scale=scale, axis=axis)
    layers = _behind(band, scale)
    seen = data[data["kind"] != "hidden"]
    layers.append(
        alt.Chart(seen)
        .mark_rule(strokeWidth=2, color=MAIN)
        .encode(y=y, x=alt.X("lower:Q", scale=scale, axis=axis), x2="upper:Q")
    )
    for kind, shape, fill in (
        ("solid", "circle", MAIN),
        ("hollow", "circle", "#ffffff"),
        ("diamond", "diamond", DOWN),
    ):
        some = seen[seen["kind"] == kind]
        edge = DOWN if kind == "diamond" else MAIN
        layers.append(
            alt.Chart(some)
            .mark_point(size=58, shape=shape, fill=fill, stroke=edge, strokeWidth=1.6, opacity=1)
            .encode(y=y, x=x)
        )
    masked = data[data["kind"] == "hidden"].assign(at=(low + high) / 2, word=hidden)
    layers.append(
        alt.Chart(masked)
        .mark_text(color=MUTED, fontSize=11, fontStyle="italic")
        .encode(y=y, x=alt.X("at:Q", scale=scale, axis=axis), text="word:N")
    )
    return _svg(alt.layer(*layers), len(names))


def stairs(rows: pd.DataFrame) -> str:
    """Draw the steps from one rate to another, one bar a step.

    Parameters
    ----------
    rows : DataFrame
        ``name`` of the step, ``start`` and ``end`` (proportions), ``text`` written beside the bar.
    """
    alt = _altair()
    data = rows.assign(start=rows["start"] * 100, end=rows["end"] * 100)
    data["kind"] = ["up" if e >= s else "down" for s, e in zip(data.start, data.end, strict=True)]
    data["tip"] = data[["start", "end"]].max(axis=1)
    ends = [float(v) for v in (*data["start"], *data["end"])]
    pad = max((max(ends) - min(ends)) * 0.08, 0.4)
    scale = alt.Scale(domain=[min(ends) - pad, max(ends) + 4 * pad], nice=False, zero=False)
    y = alt.Y("name:N", sort=list(data["name"]), title=None, axis=_names_axis())
    axis = alt.Axis(title=None, tickCount=5, labelExpr="datum.value", orient="top")
    x = alt.X("start:Q", scale=scale, axis=axis)
    colour = alt.Scale(domain=["up", "down"], range=[UP, DOWN])
    bars = (
        alt.Chart(data)
        .mark_bar(height=10)
        .encode(y=y, x=x, x2="end:Q", color=alt.Color("kind:N", scale=colour, legend=None))
    )
    ticks = (
        alt.Chart(data)
        .mark_tick(thickness=2, size=14, color=INK)
        .encode(y=y, x=alt.X("end:Q", scale=scale, axis=axis))
    )
    words = (
        alt.Chart(data)
        .mark_text(align="left", dx=6, fontSize=11, color=INK)
        .encode(y=y, x=alt.X("tip:Q", scale=scale, axis=axis), text="text:N")
    )
    return _svg(alt.layer(bars, ticks, words), len(data))


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


def _names_axis() -> Any:
    return _altair().Axis(ticks=False, domain=False, labelLimit=180, labelPadding=6)


def _domain(data: pd.DataFrame, band: Band) -> tuple[float, float]:
    """Return axis bounds on fives that hold every interval, within 0 and 100."""
    bounds = [v * 100 for v in (band.lower, band.upper, band.nation) if v is not None]
    for column in ("est", "lower", "upper"):
        bounds += [float(v) for v in data[column].dropna()]
    if not bounds:
        return 0.0, 100.0
    low, high = min(bounds) // 5 * 5, -(-max(bounds) // 5) * 5
    return max(low, 0.0), min(max(high, low + 5.0), 100.0)


def _behind(band: Band, scale: Any) -> list[Any]:
    alt = _altair()
    layers: list[Any] = []
    if band.lower is not None and band.upper is not None:
        whole = alt.Data(values=[{"a": band.lower * 100, "b": band.upper * 100}])
        layers.append(
            alt.Chart(whole)
            .mark_rect(color=BAND)
            .encode(x=alt.X("a:Q", scale=scale, title=None), x2="b:Q")
        )
    if band.nation is not None:
        nation = alt.Data(values=[{"a": band.nation * 100}])
        layers.append(
            alt.Chart(nation)
            .mark_rule(color=MUTED, strokeDash=[4, 3], strokeWidth=1.4)
            .encode(x=alt.X("a:Q", scale=scale, title=None))
        )
    return layers


def _svg(chart: alt.LayerChart, n_rows: int) -> str:
    import vl_convert

    spec = (
        chart.properties(width=WIDTH, height=n_rows * ROW + 4, padding=PADDING)
        .configure(font="system-ui, sans-serif", background="transparent")
        .configure_view(stroke=None)
        .configure_axis(
            gridColor="#dfe5e9", labelColor=INK, domainColor="#aab4bc", tickColor="#aab4bc"
        )
        # The renderer refuses what is no chart; checking first costs half of the time.
        .to_dict(validate=False)
    )
    return tidy_svg(vl_convert.vegalite_to_svg(spec))


def tidy_svg(svg: str, drop: Sequence[str] = ("aria-[a-z]+", "role", "class", "version")) -> str:
    """Take out of an SVG what the page says better, and let it scale with its column."""
    for name in drop:
        svg = re.sub(rf' {name}="[^"]*"', "", svg)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(r'^<svg width="([\d.]+)" height="([\d.]+)"', r"<svg", svg)
    svg = re.sub(r"(\d\.\d\d)\d+", r"\1", svg)
    return svg.replace("<svg", '<svg class="chart" focusable="false" aria-hidden="true"', 1)
