"""Two figures for notebooks: dots with intervals, and a map that shows reliability.

Areas stand in alphabetical order: intervals overlap, and a ranking would say more than is known.
Masked areas (class D) keep their place without a figure; imprecise ones (class C) are hollow on the
chart and hatched on the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

from inegnum.data.geometry import geometry
from inegnum.estimates.table import Estimates
from inegnum.release.charts import Band, dots
from inegnum.release.geo import outline
from inegnum.release.read import sort_key
from inegnum.release.text import phrases

__all__ = ["Svg", "dot_chart", "map_chart"]

# Five sequential blues, readable with any colour vision and in grey.
_SHADES: Final = ("#dbe9f6", "#abcfe5", "#6aaed6", "#3787c0", "#105ba4")
_MASKED: Final = "#eceff1"


@dataclass(frozen=True, slots=True)
class Svg:
    """A drawing that notebooks show as it is."""

    text: str

    def _repr_html_(self) -> str:
        return f'<div style="max-width:46rem">{self.text}</div>'


def dot_chart(estimates: Estimates, indicator: str, *, language: Literal["fr", "en"] = "en") -> Svg:
    """Draw every area's rate with its interval, the territory as a band and France as a line.

    Parameters
    ----------
    estimates : Estimates
    indicator : str
    language : {"fr", "en"}

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from inegnum.data.indicators import indicator
    >>> from inegnum.estimates.table import AreaDraws, combine
    >>> areas = pd.DataFrame({
    ...     "geo": ["FR", "243300316", "33063"], "level": ["france", "epci", "commune"],
    ...     "name": ["France", "Bordeaux Métropole", "Bordeaux"],
    ...     "tier": "F3", "basis": "model", "method": "mrp", "n": 0})
    >>> rates = 0.9 + 0.01 * np.random.default_rng(1).standard_normal((500, 3))
    >>> persons = np.full((500, 3), 1000.0)
    >>> drawn = AreaDraws(indicator("smartphone"), areas, rates, persons, rates[:, 0], whole=1)
    >>> "<svg" in dot_chart(combine([drawn], (), year=2022), "smartphone")._repr_html_()
    True
    """
    rows, whole, france = _of(estimates, indicator)
    kinds = {"A": "solid", "B": "solid", "C": "hollow", "D": "hidden"}
    table = rows[["name", "est", "lower", "upper"]].assign(kind=rows["class"].map(kinds))
    band = Band(
        lower=_or_none(whole["lower"]), upper=_or_none(whole["upper"]), nation=float(france["est"])
    )
    return Svg(dots(table, band, hidden=phrases(language)["table.masked"]))


def map_chart(estimates: Estimates, indicator: str) -> Svg:
    """Draw the areas shaded by rate, class C hatched, class D blank.

    Parameters
    ----------
    estimates : Estimates
    indicator : str

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from inegnum.data.indicators import indicator
    >>> from inegnum.estimates.table import AreaDraws, combine
    >>> areas = pd.DataFrame({
    ...     "geo": ["FR", "243300316", "33063", "33249"],
    ...     "level": ["france", "epci", "commune", "commune"],
    ...     "name": ["France", "Bordeaux Métropole", "Bordeaux", "Lormont"],
    ...     "tier": "F3", "basis": "model", "method": "mrp", "n": 0})
    >>> rates = 0.9 + 0.01 * np.random.default_rng(1).standard_normal((500, 4))
    >>> persons = np.full((500, 4), 1000.0)
    >>> drawn = AreaDraws(indicator("smartphone"), areas, rates, persons, rates[:, 0], whole=1)
    >>> "<svg" in map_chart(combine([drawn], (), year=2022), "smartphone")._repr_html_()
    True
    """
    rows, _, _ = _of(estimates, indicator)
    names = {str(geo): str(name) for geo, name in zip(rows["geo"], rows["name"], strict=True)}
    shapes = outline(geometry(list(names)), names)
    shown = rows["est"].dropna()
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
    by_geo = {str(row["geo"]): row for _, row in rows.iterrows()}
    parts = [
        f'<svg viewBox="0 0 {shapes.width} {shapes.height}" role="img"'
        f' aria-label="{indicator}"><defs><pattern id="hatch-{indicator}" width="6" height="6"'
        ' patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line x1="0" y1="0" x2="0" y2="6" stroke="#ffffff" stroke-width="2.4"/></pattern></defs>'
    ]
    for shape in shapes.shapes:
        row = by_geo[shape.geo]
        masked = row["class"] == "D"
        fill = _MASKED if masked else _shade(float(row["est"]), low, high)
        said = row["name"] if masked else f"{row['name']}: {100 * row['est']:.0f} %"
        parts.append(
            f'<path d="{shape.path}" fill="{fill}" stroke="#ffffff"><title>{said}</title></path>'
        )
        if row["class"] == "C":
            parts.append(f'<path d="{shape.path}" fill="url(#hatch-{indicator})" stroke="none"/>')
    return Svg("".join([*parts, "</svg>"]))


def _of(estimates: Estimates, indicator: str) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    table = estimates.table[estimates.table["indicator"] == indicator]
    geo = table.loc[table["level"] == "epci", "geo"]
    whole = estimates.row(str(geo.iloc[0]) if len(geo) else "", indicator)
    areas = table[table["level"] == "commune"]
    areas = areas.sort_values("name", key=lambda names: names.map(sort_key))
    return areas, whole, estimates.row("FR", indicator)


def _shade(value: float, low: float, high: float) -> str:
    if high <= low:
        return _SHADES[2]
    return _SHADES[min(int((value - low) / (high - low) * len(_SHADES)), len(_SHADES) - 1)]


def _or_none(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
