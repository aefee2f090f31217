"""Trimming of extreme weights, with the margins or without.

Model: weights beyond the limits are brought to them. `trim_weights` spreads what was cut evenly
over the others, which keeps the sum of weights and no margin (``survey::trimWeights``); `trim`
calibrates again inside the limits, which keeps every margin (ReGenesees ``trimcal``).
Limits: trimming trades variance for bias; no variance computed afterwards counts the bias.
Reference: Potter (1990); Folsom & Singh (2000).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inegnum.errors import CalibrationError, InputError
from inegnum.estimators.calibration.result import Calibration
from inegnum.numerics.calibration import solve
from inegnum.numerics.distances import Truncated

__all__ = ["trim", "trim_weights"]

Floats = npt.NDArray[np.float64]


def trim(calibration: Calibration, lower: float = 0.0, upper: float = np.inf) -> Calibration:
    """Bring calibrated weights inside limits while every margin stays met.

    Parameters
    ----------
    calibration : Calibration
    lower, upper : float
        Smallest and largest weight allowed.

    Returns
    -------
    Calibration
        Its initial weights are those given, cut to the limits.

    Raises
    ------
    CalibrationError
        No weights inside the limits meet the margins: the message names those in the way.

    Examples
    --------
    >>> from inegnum.estimators.calibration import calibrate
    >>> sample = {"sex": ["F", "F", "F", "M"]}
    >>> fit = calibrate(sample, {"sex": {"F": 9, "M": 1}}, weights=[1.0, 1.0, 4.0, 1.0])
    >>> trim(fit, upper=4.0).weights
    array([2.5, 2.5, 4. , 1. ])
    """
    _require_limits(lower, upper)
    s, n = calibration.system, calibration.weights.size
    if s.group is not None or calibration.instruments is not None:
        raise InputError("trimming is for weights calibrated unit by unit, without instruments")
    place = s.rows_of(n)
    cut = np.clip(calibration.weights, lower, upper)
    live = cut > 0
    low = np.divide(lower, cut, out=np.zeros(n), where=live)
    high = np.divide(upper, cut, out=np.full(n, np.inf), where=live)
    # A weight on both limits at once (lower = upper) has nowhere to go.
    fixed = low >= high
    bounds = Truncated(np.minimum(low, 1.0), np.where(fixed, 1.0 + 1e-15, np.maximum(high, 1.0)))
    system = replace(s, x=s.x[place], d=cut, q=None, cells=None)
    solution = solve(
        system.x, cut, s.totals, distance=bounds, names=s.names, ridge=s.ridge, tolerance=1e-10
    )
    return Calibration(cut * solution.g, cut, calibration.margins, bounds, system, solution)


def trim_weights(
    weights: npt.ArrayLike, lower: float = 0.0, upper: float = np.inf, *, strict: bool = False
) -> Floats:
    """Cut weights to limits and spread what was cut evenly over the others.

    Parameters
    ----------
    weights : array_like of shape (n,)
    lower, upper : float
    strict : bool
        Repeat until no weight is beyond the limits, units once cut staying where they are. Without
        it what is spread may push others beyond them, as in ``survey::trimWeights``.

    Raises
    ------
    CalibrationError
        The sum of weights cannot be kept inside the limits.

    Examples
    --------
    >>> trim_weights([1.0, 2.0, 9.0], upper=6.0)
    array([2.5, 3.5, 6. ])
    """
    _require_limits(lower, upper)
    w = np.array(weights, dtype=np.float64)
    if not np.isfinite(w).all() or (w < 0).any():
        raise InputError("weights must be finite and not negative", where="weights")
    if strict and not lower * w.size <= w.sum() <= upper * w.size:
        raise CalibrationError(
            "no weights inside the limits have this sum",
            got=f"sum {w.sum():.8g}, limits {lower:g} and {upper:g} for {w.size} units",
        )
    cut = np.zeros(w.size, dtype=bool)
    while True:
        outside = (w < lower) | (w > upper)
        if not outside.any():
            return w
        inside = np.clip(w, lower, upper)
        cut |= outside
        if cut.all():
            raise CalibrationError("every weight is at a limit: nothing is left to spread over")
        inside[~cut] += (w - inside).sum() / int((~cut).sum())
        w = inside
        if not strict:
            return w


def _require_limits(lower: float, upper: float) -> None:
    if not 0 <= lower < upper:
        raise InputError(
            "limits of weights must satisfy 0 <= lower < upper", got=f"{lower}, {upper}"
        )
