"""Confidence intervals for proportions estimated from a complex sample.

All take the estimate, its standard error under the design and the design's degrees of freedom; the
effective sample size carries the design effect into the exact and score intervals.
Limits: likelihood needs the mean design effect to be constant. R: ``survey::svyciprop``.
References: Korn & Graubard (1998); Kott & Carr (1997);
Rao & Scott (1984) doi:10.1214/aos/1176346391.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from inegnum.errors import InputError

__all__ = ["Method", "effective_size", "proportion_interval"]

Floats = npt.NDArray[np.float64]
Method = Literal["logit", "wilson", "beta", "likelihood", "xlogit", "asin", "mean"]


def effective_size(p: Floats, se: Floats, n: Floats, df: float) -> Floats:
    """Return the effective sample size, adjusted for the design's degrees of freedom.

    ``p (1 - p) / se^2`` times the squared ratio of t quantiles at 95 % (Korn & Graubard). Where the
    estimate is 0 or 1 its standard error is 0, and n is taken.
    """
    size = np.where(se > 0, p * (1 - p) / np.where(se > 0, se, 1.0) ** 2, n)
    if np.isfinite(df):
        nominal = special.stdtrit(np.maximum(n - 1, 1), 0.975)
        size = size * (nominal / special.stdtrit(df, 0.975)) ** 2
    return np.asarray(size)


def proportion_interval(
    p: npt.ArrayLike,
    se: npt.ArrayLike,
    n: npt.ArrayLike,
    *,
    df: float,
    method: Method = "logit",
    prob: float = 0.95,
) -> tuple[Floats, Floats]:
    """Return lower and upper bounds.

    Parameters
    ----------
    p, se, n : array_like of shape (k,)
        Estimates, their standard errors, respondents.
    df : float
        Degrees of freedom of the design.
    method : {"logit", "wilson", "beta", "likelihood", "xlogit", "asin", "mean"}
        ``beta`` is the exact (Korn-Graubard) interval; ``wilson`` the score interval with the
        effective size; ``xlogit`` and ``logit`` coincide up to the linearisation's rounding.
    prob : float
        Coverage.

    Examples
    --------
    >>> low, high = proportion_interval([0.5], [0.05], [100], df=99)
    >>> low.round(4), high.round(4)
    (array([0.4021]), array([0.5979]))
    """
    p, se, n = (np.asarray(a, dtype=np.float64) for a in (p, se, n))
    if not 0 < prob < 1:
        raise InputError("an interval needs a mass between 0 and 1", where="prob", got=prob)
    if np.any((p < 0) | (p > 1)):
        raise InputError("a proportion lies outside 0 to 1", got=p[(p < 0) | (p > 1)][:5].tolist())
    tail = (1 - prob) / 2
    t = float(special.stdtrit(df, 1 - tail)) if np.isfinite(df) else float(special.ndtri(1 - tail))
    match method:
        case "mean":
            low, high = p - t * se, p + t * se
        case "asin":
            centre = np.arcsin(np.sqrt(p))
            half = t * np.divide(se, 2 * np.sqrt(p * (1 - p)), out=np.zeros_like(se), where=se > 0)
            low = np.sin(np.maximum(centre - half, 0)) ** 2
            high = np.sin(np.minimum(centre + half, np.pi / 2)) ** 2
        case "logit" | "xlogit":
            slope = np.divide(se, p * (1 - p), out=np.zeros_like(se), where=se > 0)
            low, high = (special.expit(special.logit(p) + s * t * slope) for s in (-1, 1))
        case "wilson":
            size = effective_size(p, se, n, np.inf)
            low, high = _wilson(p, size, t)
        case "beta":
            size = effective_size(p, se, n, df)
            x = p * size
            low = np.where(
                x > 0, special.betaincinv(np.maximum(x, 1e-300), size - x + 1, tail), 0.0
            )
            rest = np.maximum(size - x, 1e-300)
            high = np.where(x < size, special.betaincinv(x + 1, rest, 1 - tail), 1.0)
        case "likelihood":
            size = effective_size(p, se, n, np.inf)
            pairs = zip(p.ravel().tolist(), size.ravel().tolist(), strict=True)
            bounds = [_likelihood(share, count, t) for share, count in pairs]
            low, high = (np.array(b).reshape(p.shape) for b in zip(*bounds, strict=True))
        case _:
            raise InputError("unknown interval", got=method, hint="logit, wilson, beta, likelihood")
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)


def _wilson(p: Floats, size: Floats, t: float) -> tuple[Floats, Floats]:
    centre = (p + t**2 / (2 * size)) / (1 + t**2 / size)
    half = t / (1 + t**2 / size) * np.sqrt(p * (1 - p) / size + t**2 / (4 * size**2))
    return centre - half, centre + half


def _likelihood(p: float, size: float, t: float) -> tuple[float, float]:
    """Return where the binomial deviance, on the effective size, reaches t squared."""

    def part(a: float, b: float) -> float:
        return a * math.log(a / b) if a > 0 else 0.0

    def gap(q: float) -> float:
        return 2 * size * (part(p, q) + part(1 - p, 1 - q)) - t**2

    # Far enough out that the deviance exceeds any quantile; brentq then has its bracket.
    tiny = 1e-14
    low = 0.0 if p <= tiny else float(optimize.brentq(gap, tiny * p, p, xtol=1e-16, rtol=1e-14))
    top = 1 - tiny * (1 - p)
    high = 1.0 if p >= 1 - tiny else float(optimize.brentq(gap, p, top, xtol=1e-16, rtol=1e-14))
    return low, high
