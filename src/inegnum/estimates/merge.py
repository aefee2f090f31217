"""Masked areas taken together: what can still be said of places too uncertain to show one by one.

Model: none; the rate of a union of areas is that of its persons, summed in every joint draw, so the
deviations that areas do not share average out and the one they share does not.

Assumptions: joint draws of all areas, as `AreaDraws` carries them.

Limits: the union may still be too uncertain, and then it is masked as well. Nothing is disclosed by
it: the territory and the areas shown already determine their complement.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from inegnum.estimates.quality import QualityLimits
from inegnum.estimates.table import COLUMNS, AreaDraws, tabulate

__all__ = ["MERGED_COLUMNS", "merge_masked"]

MERGED_COLUMNS: Final = (*COLUMNS, "members")


def merge_masked(
    drawn: AreaDraws,
    table: pd.DataFrame,
    *,
    year: int,
    prob: float = 0.95,
    limits: QualityLimits | None = None,
) -> pd.DataFrame:
    """Return one row a level: the masked areas of that level as one.

    Parameters
    ----------
    drawn : AreaDraws
        Joint draws of one indicator.
    table : DataFrame
        Their table, as `tabulate` gives it, rows in the same order.
    year, prob, limits
        As given to `tabulate`.

    Returns
    -------
    DataFrame
        Columns `MERGED_COLUMNS`; ``members`` lists the codes merged, ``level`` is theirs, ``geo``
        that of the territory followed by ``:masked``. No row for a level where fewer than two areas
        are masked, or all of them (their union is the territory, which has its own row).

    Examples
    --------
    >>> from inegnum.data.indicators import indicator
    >>> areas = pd.DataFrame({
    ...     "geo": ["T", "a", "b", "c"], "level": ["epci", *["commune"] * 3],
    ...     "name": list("Tabc"), "tier": "F3", "basis": "model", "method": "mrp", "n": 0})
    >>> rng = np.random.default_rng(1)
    >>> rates = np.clip(0.9 + rng.normal(0, [0.01, 0.01, 0.08, 0.08], (500, 4)), 0, 1)
    >>> persons = np.tile([4000.0, 2000.0, 1000.0, 1000.0], (500, 1))
    >>> smartphone = indicator("smartphone")
    >>> drawn = AreaDraws(smartphone, areas, rates, persons, rates[:, 0], whole=0)
    >>> merge_masked(drawn, tabulate(drawn, year=2022), year=2022)["members"].tolist()
    ['b c']
    """
    levels = drawn.areas["level"].to_numpy()
    # A withdrawn figure is wrong, not uncertain: it enters no sum.
    masked = ((table["class"] == "D") & (table["reason"] != "retracted")).to_numpy()
    below = np.arange(len(levels)) != drawn.whole
    rows = []
    for level in dict.fromkeys(levels[below & (levels != "france")]):
        at_level = below & (levels == level)
        chosen = np.flatnonzero(at_level & masked)
        if 2 <= len(chosen) < at_level.sum():
            rows.append(_row(drawn, chosen, str(level), year, prob, limits))
    if not rows:
        return pd.DataFrame(columns=list(MERGED_COLUMNS))
    return pd.concat(rows, ignore_index=True)


def _row(
    drawn: AreaDraws,
    chosen: np.ndarray[tuple[int], np.dtype[np.int64]],
    level: str,
    year: int,
    prob: float,
    limits: QualityLimits | None,
) -> pd.DataFrame:
    """Return the table row of one union of areas."""
    persons = drawn.persons[:, chosen]
    together = persons.sum(axis=1)
    rate = (drawn.rates[:, chosen] * persons).sum(axis=1) / together
    members = drawn.areas.iloc[chosen]
    whole = drawn.areas.iloc[[drawn.whole]]
    # The frame tier named is the one most of these persons live under.
    people = pd.Series(persons.mean(axis=0)).groupby(members["tier"].to_numpy()).sum()
    one = whole.assign(
        geo=f"{whole['geo'].iloc[0]}:masked",
        level=level,
        name=", ".join(members["name"]),
        tier=str(people.idxmax()),
        basis="model",
        method=members["method"].iloc[0],
        n=int(members["n"].sum()),
    )
    union = AreaDraws(
        drawn.indicator,
        pd.concat([whole, one], ignore_index=True),
        np.column_stack([drawn.rates[:, drawn.whole], rate]),
        np.column_stack([drawn.persons[:, drawn.whole], together]),
        drawn.national,
        whole=0,
    )
    found = tabulate(union, year=year, prob=prob, limits=limits).iloc[[1]]
    return found.assign(members=" ".join(members["geo"].astype(str))).reset_index(drop=True)
