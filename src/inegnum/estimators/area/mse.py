"""Resampling estimates of the MSE of the Fay-Herriot EBLUP.

    jackknife           Jiang, Lahiri and Wan (2002): g1 corrected for bias, plus the spread of the
                        predictor over fits that leave one area out
    weighted jackknife  Chen and Lahiri (2008): g1 + g2 with leverage weights
    bootstrap           normal area effects and errors (González-Manteiga et al. 2008)
    wild bootstrap      area effects resampled from standardised residuals

Replicates also give the law of the studentised error, (theta - EBLUP) / sqrt(MSE), whose quantiles
make intervals for few areas (Chatterjee, Lahiri and Li 2008).

Jackknives work on the model's scale. The bootstrap brings every replicate back to the target's
scale, so that it covers the back-transformation as well.

References
----------
    Jiang, Lahiri and Wan (2002) doi:10.1214/aos/1043351257; Chen and Lahiri (2008)
    doi:10.1007/s11009-007-9024-9; González-Manteiga et al. (2008)
    doi:10.1080/00949650601141811; Chatterjee, Lahiri and Li (2008) doi:10.1214/07-AOS512; Butar
    and Lahiri (2003) doi:10.1016/S0378-3758(02)00323-3.

Must match R ``emdi::fh(mse_type=)`` within Monte-Carlo error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from inegnum.errors import ConvergenceError
from inegnum.estimators.area.transform import Transform, back_transform
from inegnum.estimators.error_law import SCORES, to_rate_scale
from inegnum.estimators.progress import counted
from inegnum.numerics.reml import FayHerriotFit, fit_at, mse_terms

__all__ = [
    "Bootstrap",
    "Refit",
    "analytic_mse",
    "bootstrap_mse",
    "jackknife_mse",
    "predict",
    "weighted_jackknife_mse",
]

Floats = npt.NDArray[np.float64]
Refit = Callable[[Floats, Floats, Floats], FayHerriotFit]


def predict(fit: FayHerriotFit, y: Floats, X: Floats, D: Floats) -> Floats:
    """EBLUP of every area, synthetic where `y` is missing, shape (M,)."""
    synthetic = X @ fit.beta
    gamma = np.where(np.isnan(y), 0.0, fit.sigma2 / (fit.sigma2 + D))
    return synthetic + np.where(gamma > 0, gamma * (y - synthetic), 0.0)


def analytic_mse(fit: FayHerriotFit, y: Floats, X: Floats, D: Floats) -> tuple[Floats, Floats]:
    """Analytic g1 and MSE of every area, shape (M,) each.

    Without a direct estimate the prediction is ``x'beta``: its MSE is ``sigma2 + x' cov(beta) x``
    and g1 is `sigma2`.
    """
    sampled = ~np.isnan(y)
    if sampled.all():
        terms = mse_terms(fit, X, D)
        return terms.g1, terms.mse()
    g1 = np.full(len(y), fit.sigma2)
    mse = g1 + ((X @ fit.cov_beta) * X).sum(axis=1)
    terms = mse_terms(fit, X[sampled], D[sampled])
    g1[sampled], mse[sampled] = terms.g1, terms.mse()
    return g1, mse


def _g1_g2(fit: FayHerriotFit, X: Floats, D: Floats) -> tuple[Floats, Floats]:
    B = D / (fit.sigma2 + D)
    return fit.sigma2 * B, B**2 * ((X @ fit.cov_beta) * X).sum(axis=1)


def jackknife_mse(y: Floats, X: Floats, D: Floats, fit: FayHerriotFit, refit: Refit) -> Floats:
    """MSE that leaves one area out for the area variance, shape (m,).

    Parameters
    ----------
    y, X, D : ndarray of shapes (m,), (m, p), (m,)
        Areas with a direct estimate.
    refit : callable
        Fits ``(y, X, D)`` without one area.
    """
    m = len(y)
    g1, _ = _g1_g2(fit, X, D)
    at_full = predict(fit, y, X, D)
    bias, spread = np.zeros(m), np.zeros(m)
    for u in counted(m, "jackknife"):
        keep = np.arange(m) != u
        sigma2 = refit(y[keep], X[keep], D[keep]).sigma2
        without = fit_at(sigma2, y, X, D, method=fit.method)
        bias += _g1_g2(without, X, D)[0] - g1
        spread += (predict(without, y, X, D) - at_full) ** 2
    return np.asarray(g1 + (m - 1) / m * (spread - bias))


def weighted_jackknife_mse(
    y: Floats, X: Floats, D: Floats, fit: FayHerriotFit, refit: Refit
) -> Floats:
    """MSE that leaves one area out, with weights 1 - leverage, shape (m,)."""
    m = len(y)
    base = np.add(*_g1_g2(fit, X, D))
    at_full = predict(fit, y, X, D)
    Q = np.linalg.qr(X)[0]
    weight = 1 - np.einsum("ij,ij->i", Q, Q)
    result = base.copy()
    for u in counted(m, "jackknife"):
        keep = np.arange(m) != u
        sigma2 = refit(y[keep], X[keep], D[keep]).sigma2
        without = fit_at(sigma2, y, X, D, method=fit.method)
        change = np.add(*_g1_g2(without, X, D)) - base
        result += weight[u] * ((predict(without, y, X, D) - at_full) ** 2 - change)
    return np.asarray(result)


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Bootstrap MSE of M areas and its Monte-Carlo standard error.

    Attributes
    ----------
    mse, mcse : ndarray of shape (M,)
    replicates : int
        Replicates that were fitted.
    pivot : ndarray of shape (65, M)
        Quantiles of the studentised error on the model's scale, at the normal scores `SCORES`.
    """

    mse: Floats
    mcse: Floats
    replicates: int
    pivot: Floats


def _effects(
    fit: FayHerriotFit, residual: Floats, D: Floats, size: int, *, wild: bool
) -> Callable[[np.random.Generator], Floats]:
    """Return a sampler of area effects, shape (size,), of variance sigma2 in either kind."""
    sd = np.sqrt(fit.sigma2)
    if not wild:
        return lambda rng: rng.standard_normal(size) * sd
    pool = residual / np.sqrt(fit.sigma2 + D)
    pool = (pool - pool.mean()) / pool.std()
    return lambda rng: rng.choice(pool, size) * sd


def bootstrap_mse(
    data: tuple[Floats, Floats, Floats],
    fit: FayHerriotFit,
    refit: Refit,
    transform: Transform,
    *,
    rng: np.random.Generator,
    replicates: int = 200,
    wild: bool = False,
) -> Bootstrap:
    """Bootstrap the MSE of every area, those without direct estimate included.

    Parameters
    ----------
    data : tuple of ndarray (y, X, D)
        Shapes (M,), (M, p), (M,) on the model's scale; missing `y` outside the sample.
    transform : Transform
        The way back of every replicate; the truth of a replicate comes back uncorrected.
    replicates : int
        A replicate whose fit does not converge is an error, never left out.
    """
    y, X, D = data
    at, eta = np.flatnonzero(~np.isnan(y)), X @ fit.beta
    Xs, Ds = X[at], D[at]
    effects = _effects(fit, y[at] - eta[at], Ds, len(y), wild=wild)
    losses, studentised = np.empty((replicates, len(y))), np.empty((replicates, len(y)))
    star = np.full(len(y), np.nan)
    for b in counted(replicates, "bootstrap"):
        theta = eta + effects(rng)
        star[at] = theta[at] + rng.standard_normal(len(at)) * np.sqrt(Ds)
        try:
            fitted = refit(star[at], Xs, Ds)
        except ConvergenceError as error:
            raise ConvergenceError(
                "a bootstrap replicate did not converge",
                where=f"replicate {b + 1} of {replicates}",
                got=error.what,
                hint="use another estimator of the area variance (reml)",
            ) from error
        g1, mse = analytic_mse(fitted, star, X, D)
        predicted = predict(fitted, star, X, D)
        est = back_transform(predicted, g1, mse, transform)
        losses[b] = (est - to_rate_scale(theta, transform.link)) ** 2
        # The second-order MSE can fall below its leading term, even below zero.
        studentised[b] = (theta - predicted) / np.sqrt(np.maximum(mse, g1))
    mcse = losses.std(axis=0, ddof=1) / np.sqrt(replicates)
    pivot = np.quantile(studentised, ndtr(SCORES), axis=0)
    return Bootstrap(losses.mean(axis=0), mcse, replicates, pivot)
