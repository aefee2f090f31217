"""What changed between two years: rates of both, their difference, the probability of a rise.

Model
    Joint draws of two years (`estimators.years`): rates of the later one are those published, to
    the draw. National rates of both waves are observed; the deviation of a place walks.
Assumptions
    A place has moved with its composition, with the nation's effects, and by what the walk draws.
Limits
    No respondent of an area is told apart in either year: a change of an area is modelled, never
    observed. A row across a break of mode or wording (``comparable`` false) is not a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from inegnum.data.indicators import Break
from inegnum.errors import InputError
from inegnum.estimates.quality import CLASSES, REASONS, QualityLimits
from inegnum.estimates.table import AreaDraws, tabulate

__all__ = ["CHANGE_COLUMNS", "CHANGE_MASKED", "change_table"]

CHANGE_COLUMNS: Final = (
    *("indicator", "level", "geo", "name", "universe", "since", "year"),
    *("before", "after", "change", "lower", "upper", "prob", "p_up", "class", "reason"),
    *("basis", "method", "tier", "comparable", "warning_en", "warning_fr"),
)
CHANGE_MASKED: Final = ("before", "after", "change", "lower", "upper")
_LEVELS: Final = ("france", "epci", "commune")


def change_table(
    before: AreaDraws,
    after: AreaDraws,
    *,
    years: tuple[int, int],
    crossed: Sequence[Break] = (),
    prob: float = 0.95,
    limits: QualityLimits | None = None,
) -> pd.DataFrame:
    """Return one row an area: what its rate was, what it is, and the difference.

    Parameters
    ----------
    before, after : AreaDraws
        Of the same areas in the same order; draw s of one goes with draw s of the other.
    years : tuple of int
    crossed : sequence of Break
        Breaks between the years, when the comparison was asked for all the same.
    prob : float
        Mass of the interval of the difference.
    limits : QualityLimits, optional

    Returns
    -------
    DataFrame
        Columns `CHANGE_COLUMNS`, for France, the territory and its communes. The class is the
        worst of both rates' and of the difference's own half-width; class D keeps ``p_up`` alone.

    Raises
    ------
    InputError
        The draws are not of the same areas, or of different indicators.
    """
    if not before.areas[["geo", "level"]].equals(after.areas[["geo", "level"]]) or (
        before.rates.shape != after.rates.shape or before.indicator.code != after.indicator.code
    ):
        raise InputError(
            "a change is of the same areas, indicator and draws in both years",
            where=after.indicator.code,
            got=f"{before.rates.shape} and {after.rates.shape}",
        )
    limits = limits or QualityLimits()
    first, last = (
        tabulate(one, year=year, prob=prob, limits=limits)
        for one, year in zip((before, after), years, strict=True)
    )
    moved = after.rates - before.rates
    table = last[["indicator", "level", "geo", "name", "universe", "tier"]].copy()
    table["since"], table["year"] = years
    table["before"], table["after"] = before.rates.mean(axis=0), after.rates.mean(axis=0)
    table["change"] = moved.mean(axis=0)
    tails = [(1 - prob) / 2, (1 + prob) / 2]
    table["lower"], table["upper"] = np.quantile(moved, tails, axis=0)
    table["prob"], table["p_up"] = prob, (moved > 0).mean(axis=0)
    table["basis"], table["method"] = last["basis"], last["method"]
    own = np.ptp(np.quantile(moved, [0.025, 0.975], axis=0), axis=0) / 2
    worst = np.maximum.reduce(
        [
            np.searchsorted(CLASSES, first["class"]),
            np.searchsorted(CLASSES, last["class"]),
            np.searchsorted(np.asarray(limits.half_width) + 1e-12, own),
        ]
    )
    table["class"] = CLASSES[worst]
    few = first["reason"].eq(REASONS[2]) | last["reason"].eq(REASONS[2])
    table["reason"] = np.where(few, REASONS[2], np.where(worst == 3, REASONS[1], REASONS[0]))
    table.loc[table["class"] == "D", list(CHANGE_MASKED)] = np.nan
    table["comparable"] = not crossed
    table["warning_en"] = " ".join(one.en for one in crossed)
    table["warning_fr"] = " ".join(one.fr for one in crossed)
    table = table[table["level"].isin(_LEVELS)]
    return table[list(CHANGE_COLUMNS)].reset_index(drop=True)
