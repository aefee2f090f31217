"""Differences between areas, draw by draw.

Model: none; joint draws of the release are subtracted pair by pair, so what two communes share
(the nation's level, the metropolis's own deviation) cancels, which two separate intervals cannot
show. Limits: areas whose figure is masked (class D) have no draws and are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError

__all__ = ["Contrast", "LocalDraws", "difference", "every_difference", "local_draws"]


@dataclass(frozen=True, slots=True)
class LocalDraws:
    """Joint draws of one indicator over the released communes.

    Attributes
    ----------
    geos : tuple of str
        Communes, J of them.
    values : ndarray of shape (S, J)
        One row per draw.
    """

    geos: tuple[str, ...]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Rate of one area minus that of another, as a proportion.

    Attributes
    ----------
    est, lower, upper : float
        Mean and bounds of the draws of the difference.
    p_above : float
        Probability that the first is above the second.
    """

    est: float
    lower: float
    upper: float
    p_above: float


def local_draws(draws: pd.DataFrame, indicator: str, level: str = "commune") -> LocalDraws:
    """Arrange a release's draws of one indicator, one column a released area of a level.

    Raises
    ------
    InputError
        A commune lacks a draw the others have: the draws would not be joint.
    """
    rows = draws[(draws["indicator"] == indicator) & (draws["level"] == level)]
    wide = rows.set_index(["draw", "geo"])["value"].unstack()  # noqa: PD010 (refuses duplicates)
    if wide.isna().any(axis=None):
        short = wide.columns[wide.isna().any()].tolist()
        raise InputError(
            "draws of a release are not joint",
            where=f"draws.parquet, {indicator}",
            got=f"missing draws in {', '.join(map(str, short[:5]))}",
            expected="the same draws in every area",
        )
    return LocalDraws(tuple(map(str, wide.columns)), wide.to_numpy(dtype=np.float64))


def difference(local: LocalDraws, first: str, second: str, *, prob: float) -> Contrast | None:
    """Return the difference of two areas, or None when one of them is masked."""
    if first not in local.geos or second not in local.geos:
        return None
    at = [local.geos.index(first), local.geos.index(second)]
    delta = local.values[:, at[0]] - local.values[:, at[1]]
    lower, upper = np.quantile(delta, [(1 - prob) / 2, (1 + prob) / 2])
    return Contrast(float(delta.mean()), float(lower), float(upper), float((delta > 0).mean()))


def every_difference(local: LocalDraws, *, prob: float) -> dict[tuple[str, str], Contrast]:
    """Return the difference of every pair of released areas, in the order of `local.geos`."""
    pairs = list(combinations(range(len(local.geos)), 2))
    if not pairs:
        return {}
    first, second = np.array(pairs).T
    delta = local.values[:, first] - local.values[:, second]
    lower, upper = np.quantile(delta, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    means, above = delta.mean(axis=0), (delta > 0).mean(axis=0)
    return {
        (local.geos[i], local.geos[j]): Contrast(
            float(means[k]), float(lower[k]), float(upper[k]), float(above[k])
        )
        for k, (i, j) in enumerate(pairs)
    }
