"""A family of indicators at a glance: mean gap to France, and on how many an area is behind.

Model
    Joint draws of the indicators of a family (`estimators.joint`): deviations of a place are
    correlated between indicators as regions say. Everything is computed draw by draw.
Assumptions
    Every indicator weighs the same. A gap is counted towards digital: a rate above France is
    favourable where a higher rate is closer to digital, unfavourable where it is a barrier.
Limits
    The mean of gaps in points is an average over unlike indicators, each within its own universe: a
    summary, not a rate. Correlations rest on a dozen regions and are wide; the draws carry it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.estimates.quality import CLASSES, QualityLimits
from inegnum.estimates.table import AreaDraws

__all__ = ["FAMILY_COLUMNS", "FAMILY_MASKED", "family_table"]

Floats = npt.NDArray[np.float64]

FAMILY_COLUMNS: Final = (
    *("family", "level", "geo", "name", "indicators", "members", "universe", "year"),
    *("gap", "lower", "upper", "prob", "class", "reason", "basis", "method", "tier"),
    *("reference", "p_less_favoured", "less", "less_lower", "less_upper", "p_less_all"),
    "p_less_none",
)
FAMILY_MASKED: Final = ("gap", "lower", "upper", "less", "less_lower", "less_upper")


def family_table(
    drawn: Sequence[AreaDraws],
    *,
    year: int,
    prob: float = 0.95,
    limits: QualityLimits | None = None,
) -> pd.DataFrame:
    """Return one row an area for one family.

    Parameters
    ----------
    drawn : sequence of J AreaDraws
        Indicators of one family, drawn together, the territory as a whole among the areas.
    year : int
    prob : float
        Mass of the intervals.
    limits : QualityLimits, optional
        Of the half-width of the gap; relative limits do not apply to a difference.

    Returns
    -------
    DataFrame
        Columns `FAMILY_COLUMNS` for the territory and its communes. ``gap``: mean over indicators
        of the gap to the French rate, positive towards digital. ``p_less_favoured``: that this mean
        is below that of ``reference``, the territory for a commune and France for the territory.
        ``less``: expected number of indicators on which the area is less favoured than the
        reference, with its interval; ``p_less_all`` and ``p_less_none``: all of them, none.

    Examples
    --------
    >>> from inegnum.data.indicators import indicator
    >>> areas = pd.DataFrame({
    ...     "geo": ["FR", "T", "a"], "level": ["france", "epci", "commune"], "name": list("FTa"),
    ...     "tier": "F3", "basis": "model", "method": "mrp", "n": 0})
    >>> rates = np.tile([0.80, 0.85, 0.70], (500, 1))
    >>> persons = np.full((500, 3), 1e4)
    >>> drawn = [
    ...     AreaDraws(indicator(code), areas, rates, persons, rates[:, 0], whole=1)
    ...     for code in ("smartphone", "barrier_equipment")
    ... ]
    >>> family_table(drawn, year=2022)[["geo", "gap", "less", "p_less_none"]].values.tolist()
    [['T', 0.0, 1.0, 0.0], ['a', 0.0, 1.0, 0.0]]
    """
    limits = limits or QualityLimits()
    lead = drawn[0]
    kept = np.flatnonzero(lead.areas["level"].isin(["epci", "commune"]))
    gaps = np.stack([_gap(one)[:, kept] for one in drawn])  # (J, S, A), towards digital
    mean: Floats = gaps.mean(axis=0)
    at = int(np.flatnonzero(kept == lead.whole)[0])
    whole = np.arange(len(kept)) == at
    behind = np.where(whole, gaps < 0, gaps < gaps[:, :, [at]])
    count = behind.sum(axis=0)
    tails = [(1 - prob) / 2, (1 + prob) / 2]
    table = lead.areas.iloc[kept][["level", "geo", "name", "tier", "basis"]].reset_index(drop=True)
    table["method"] = "mrp, joint"
    table["family"], table["year"], table["prob"] = lead.indicator.family, year, prob
    table["indicators"] = len(drawn)
    table["members"] = " ".join(one.indicator.code for one in drawn)
    table["universe"] = "; ".join(sorted({one.indicator.universe for one in drawn}))
    table["gap"] = mean.mean(axis=0)
    table["lower"], table["upper"] = np.quantile(mean, tails, axis=0)
    table["reference"] = np.where(whole, "FR", lead.areas["geo"].iloc[lead.whole])
    table["p_less_favoured"] = np.where(whole, mean < 0, mean < mean[:, [at]]).mean(axis=0)
    table["less"] = count.mean(axis=0)
    # A count is a whole number: its bounds are counts that are drawn.
    table["less_lower"] = np.quantile(count, tails[0], axis=0, method="inverted_cdf")
    table["less_upper"] = np.quantile(count, tails[1], axis=0, method="inverted_cdf")
    table["p_less_all"] = (count == len(drawn)).mean(axis=0)
    table["p_less_none"] = (count == 0).mean(axis=0)
    persons: Floats = np.stack([one.persons[:, kept].mean(axis=0) for one in drawn]).min(axis=0)
    table["class"], table["reason"] = _graded(mean, persons, limits)
    table.loc[table["class"] == "D", list(FAMILY_MASKED)] = np.nan
    return table[list(FAMILY_COLUMNS)]


def _gap(one: AreaDraws) -> Floats:
    """Return the gap to France of every area, (S, A), positive towards digital."""
    return one.indicator.direction * (one.rates - one.national[:, None])


def _graded(
    mean: Floats, persons: Floats, limits: QualityLimits
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    half = np.ptp(np.quantile(mean, [0.025, 0.975], axis=0), axis=0) / 2
    worst = np.searchsorted(np.asarray(limits.half_width) + 1e-12, half)
    few = persons < limits.min_persons
    reason = np.where(few, "few_persons", np.where(worst == 3, "width", ""))
    return CLASSES[np.where(few, 3, worst)], reason
