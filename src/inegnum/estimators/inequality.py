"""Indicators of inequality of a weighted sample, in the definitions of Eurostat (Laeken).

Gini coefficient, at-risk-of-poverty rate and threshold, relative median poverty gap, income
quintile share ratio. Standard errors come from replicate weights (`Replicates.apply`): quantiles
make these statistics awkward to linearise. Limits: values are of persons, already equivalised.
R: ``laeken::gini``, ``arpr``, ``arpt``, ``rmpg``, ``qsr``. Reference: Alfons & Templ (2013)
doi:10.18637/jss.v054.i15.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError
from inegnum.numerics import indicators
from inegnum.numerics.quantiles import weighted_quantile

__all__ = ["gini", "poverty_gap", "poverty_rate", "poverty_threshold", "quintile_share_ratio"]

Floats = npt.NDArray[np.float64]


def _checked(y: npt.ArrayLike, w: npt.ArrayLike) -> tuple[Floats, Floats]:
    values, weights = (np.asarray(a, dtype=np.float64) for a in (y, w))
    if values.shape != weights.shape or values.ndim != 1:
        raise InputError("values and weights differ in length", got=(values.shape, weights.shape))
    live = weights > 0
    if not live.any() or not np.isfinite(values[live]).all():
        raise InputError("an indicator needs finite values of positive weight")
    return values[live], weights[live]


def gini(y: npt.ArrayLike, w: npt.ArrayLike) -> float:
    """Return the Gini coefficient, between 0 and 1.

    Examples
    --------
    >>> gini([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    0.0
    """
    y, w = _checked(y, w)
    order = np.argsort(y, kind="stable")
    return float(indicators.gini(y[order], w[order]))


def poverty_threshold(y: npt.ArrayLike, w: npt.ArrayLike, *, share: float = 0.6) -> float:
    """Return `share` times the median."""
    y, w = _checked(y, w)
    return float(share * weighted_quantile(y, w, [0.5], rule="school")[0])


def poverty_rate(y: npt.ArrayLike, w: npt.ArrayLike, threshold: float) -> float:
    """Return the share of weight below a threshold."""
    y, w = _checked(y, w)
    return float(np.sum(w[y < threshold]) / np.sum(w))


def poverty_gap(y: npt.ArrayLike, w: npt.ArrayLike, threshold: float) -> float:
    """Return how far the median of those below a threshold lies under it, relative to it."""
    y, w = _checked(y, w)
    poor = y < threshold
    if not poor.any():
        raise InputError("nobody is below the threshold", got=threshold)
    median = weighted_quantile(y[poor], w[poor], [0.5], rule="school")[0]
    return float((threshold - median) / threshold)


def quintile_share_ratio(y: npt.ArrayLike, w: npt.ArrayLike) -> float:
    """Return what the richest fifth receives over what the poorest does (S80/S20)."""
    y, w = _checked(y, w)
    low, high = weighted_quantile(y, w, [0.2, 0.8], rule="school")
    poor, rich = y <= low, y > high
    return float(np.sum(w[rich] * y[rich]) / np.sum(w[poor] * y[poor]))
