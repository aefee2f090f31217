"""Columns that every unit-level estimator reports in the same way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.estimators.unit.inputs import UnitSample

__all__ = [
    "coefficient_table",
    "criteria",
    "direct_means",
    "within_mse",
    "zero_variance_notes",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def coefficient_table(names: Sequence[str], beta: Floats, cov: Floats) -> pd.DataFrame:
    """Return ``term, beta, se, z, p`` (normal two-sided p)."""
    from scipy.special import ndtr

    se = np.sqrt(np.diag(cov))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = beta / se
    return pd.DataFrame(
        {"term": list(names), "beta": beta, "se": se, "z": z, "p": 2 * ndtr(-np.abs(z))}
    )


def criteria(loglik: float, k: int, n: int) -> dict[str, float]:
    """Return ``loglik, AIC, BIC, KIC`` of a model with k parameters and n units."""
    deviance = -2 * loglik
    return {
        "loglik": loglik,
        "AIC": deviance + 2 * k,
        "BIC": deviance + float(np.log(n)) * k,
        "KIC": deviance + 3 * k,
    }


def direct_means(sample: UnitSample, at: Ints, f: Floats) -> tuple[Floats, Floats, Floats]:
    """Return sample mean, its standard error and respondents of each area, shape (D,) each.

    Weighted (Hájek) when the sample has weights; the error is that of sampling with replacement,
    with the fraction `f` as correction. Missing where there are fewer than one (two) respondents.
    """
    m = len(sample.geo)
    n = np.bincount(sample.area, minlength=m).astype(np.float64)
    w = sample.weights
    size = n if w is None else np.bincount(sample.area, w, m)
    mean = np.bincount(sample.area, sample.y if w is None else w * sample.y, m) / size
    residual = sample.y - mean[sample.area]
    if w is not None:
        residual *= w
    squares = np.bincount(sample.area, residual**2, m) / size**2
    variance = np.full(m, np.nan)
    np.divide(squares * n, n - 1, out=variance, where=n > 1)
    seen = at >= 0
    se = np.sqrt(np.where(seen, variance[at], np.nan) * (1 - f))
    return np.where(seen, mean[at], np.nan), se, np.where(seen, n[at], 0.0)


def within_mse(factor: Floats, mse: Floats) -> Floats:
    """Shrink the rows of a factor whose square exceeds the MSE (bootstrap noise)."""
    squares = np.einsum("ij,ij->i", factor, factor)
    shrink = np.ones_like(squares)
    np.divide(mse, squares, out=shrink, where=squares > mse)
    return np.asarray(factor * np.sqrt(shrink)[:, None])


def zero_variance_notes(sigma2_u: float) -> tuple[str, ...]:
    """Say what an area variance of zero means."""
    if sigma2_u > 0:
        return ()
    return (
        "the area variance is estimated at zero: estimates are synthetic for the units outside the "
        "sample, and the analytic MSE rests on its second-order term",
    )
