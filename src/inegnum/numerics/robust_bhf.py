"""Outlier-robust nested error regression by Huber's psi (Richardson-Welsh proposal II).

Residuals are decorrelated, ``r = V^-1/2 (y - X beta) / sigma_e`` with ``V = I + d 11'`` by area and
``d = sigma2_u / sigma2_e``, and huberised. With kappa = E psi(Z)^2 the three equations

    X' V^-1/2 psi(r) = 0
    sum psi(r)^2 = kappa n
    sum_i (sum_j psi(r_ij))^2 / (1 + n_i d) = kappa sum_i n_i / (1 + n_i d)

give beta, sigma2_e and d; without truncation they are those of maximum likelihood.

Two predictors of the area effects. "reblup" solves, area by area,
``sum_j psi((y_ij - x_ij' beta - u)/sigma_e)/sigma_e = psi(u/sigma_u)/sigma_u``. "projected" is
``sigma_e d / (kappa sqrt(1 + n_i d)) sum_j psi(r_ij)``; decorrelation spreads a gross outlier over
the residuals of its whole area, so that it is bounded but can push the area the other way.

Limits. A predictor of a mean from bounded residuals is biased when outliers are representative of
the population.

References
----------
Richardson and Welsh (1995), doi:10.2307/2533273; Sinha and Rao (2009), doi:10.1002/cjs.10029;
Schoch (2012), Austrian Journal of Statistics 41, 243-265, doi:10.17713/ajs.v41i4.174; Copt and
Victoria-Feser (2009), Recent Advances in Robust Mixed Models.

R ``rsae`` 0.3 solves the same equations for the variances and predicts as "projected", but for beta
it multiplies the response by the root of the weights once per covariate instead of once: its
published coefficients solve ``X' V^-1/2 (w^((p + 1)/2) y~ - w X~ beta) = 0`` and differ from ours
whenever a residual is truncated (the tests verify both statements).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError
from inegnum.numerics.bhf import Design, fit_bhf, responses

__all__ = [
    "Predictor",
    "RobustFit",
    "consistency",
    "decorrelate",
    "fit_robust",
    "projected_effects",
    "reblup_effects",
    "scale_equations",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Predictor = Literal["reblup", "projected"]
# relative change of every parameter at convergence
_SETTLED = 1e-10


@dataclass(frozen=True, slots=True)
class RobustFit:
    """A robust fit.

    Attributes
    ----------
    beta : ndarray of shape (p,)
        Coefficients.
    cov_beta : ndarray of shape (p, p)
        Their covariance, at the normal model with huberised residuals.
    sigma2_u, sigma2_e : float
        Variance components.
    u : ndarray of shape (m,)
        Predicted area effects.
    weights : ndarray of shape (n,)
        Huber weight of each unit, 1 when it is not truncated.
    """

    beta: Floats
    cov_beta: Floats
    sigma2_u: float
    sigma2_e: float
    u: Floats
    weights: Floats


def consistency(k: float) -> float:
    """Return kappa = E psi_k(Z)^2 for a standard normal Z.

    Examples
    --------
    >>> round(consistency(1.345), 4)
    0.7102
    """
    from scipy.special import ndtr

    density = np.exp(-(k**2) / 2) / np.sqrt(2 * np.pi)
    return float(2 * (k**2 * ndtr(-k) + ndtr(k) - 0.5 - k * density))


def decorrelate(values: Floats, area: Ints, n_i: Floats, d: float) -> Floats:
    """Return ``V^-1/2 values`` for one vector, shape (n,)."""
    m = len(n_i)
    shrink = (1.0 - 1.0 / np.sqrt(1.0 + n_i * d)) / n_i
    return np.asarray(values - (shrink * np.bincount(area, values, m))[area])


def scale_equations(r: Floats, area: Ints, n_i: Floats, d: float, k: float) -> tuple[float, float]:
    """Return the ratios, one at the solution, of the two variance equations."""
    kappa, psi = consistency(k), np.clip(r, -k, k)
    sums = np.bincount(area, psi, len(n_i))
    inflation = 1.0 + n_i * d
    unit = float((psi**2).sum() / (kappa * len(r)))
    return unit, float((sums**2 / inflation).sum() / (kappa * (n_i / inflation).sum()))


def fit_robust(
    design: Design, y: Floats, *, k: float, predictor: Predictor = "reblup", rounds: int = 500
) -> RobustFit:
    """Solve the robust estimating equations from the maximum likelihood fit.

    Parameters
    ----------
    design : Design
        Covariates (precision factors must be one).
    y : ndarray of shape (n,)
        Response.
    k : float
        Where residuals are truncated, in standard deviations (1.345: 95 % efficiency).
    predictor : {"reblup", "projected"}
        Of the area effects.
    rounds : int
        Rounds of the three equations before giving up.

    Raises
    ------
    ConvergenceError
        The parameters still move after `rounds`.
    """
    start = fit_bhf(design, responses(design, y), method="ML")
    Z = design.X @ design.T
    beta = np.linalg.solve(design.T, start.beta[0])
    v, d = float(start.sigma2_e[0]), float(start.rho[0])
    change = np.inf
    for _ in range(rounds):
        old = np.concatenate([beta, [v, d]])
        Zt = np.stack([decorrelate(z, design.area, design.n_i, d) for z in Z.T], 1)
        yt = decorrelate(y, design.area, design.n_i, d)
        beta = _solve_beta(Zt, yt, beta, np.sqrt(v), k)
        v = _solve_unit_variance(yt - Zt @ beta, v, k)
        d = _solve_ratio(y - Z @ beta, design, v, k)
        new = np.concatenate([beta, [v, d]])
        scale = np.concatenate([np.full(design.p, np.sqrt(v)), [v, 1.0]])
        change = float(np.max(np.abs(new - old) / np.maximum(np.abs(new), scale)))
        if change <= _SETTLED:
            return _results(design, y, beta, (v, d), k, predictor)
    raise ConvergenceError(
        "the robust equations did not settle",
        where=f"robust nested error regression, k = {k:g}",
        got=f"relative change {change:.1e} after {rounds} rounds",
        expected=f"at most {_SETTLED:g}",
        hint="use a larger k, or look at the most extreme units",
    )


def _weights(r: Floats, k: float) -> Floats:
    size = np.abs(r)
    return np.asarray(np.minimum(1.0, k / np.maximum(size, k * 1e-300)))


def _solve_beta(Zt: Floats, yt: Floats, beta: Floats, sigma: float, k: float) -> Floats:
    """Iterate weighted least squares at a fixed scale."""
    for _ in range(200):
        w = _weights((yt - Zt @ beta) / sigma, k)
        weighted = Zt * w[:, None]
        new: Floats = np.linalg.solve(weighted.T @ Zt, weighted.T @ yt)
        if np.abs(new - beta).max() <= 1e-13 * (np.abs(new).max() + sigma):
            return new
        beta = new
    # the outer rounds go on from here; only they decide on convergence
    return beta


def _solve_unit_variance(residual: Floats, v: float, k: float) -> float:
    """Solve ``sum psi(r)^2 = kappa n`` in the variance, r = residual / sqrt(v)."""
    from scipy.optimize import brentq

    target = consistency(k) * len(residual)

    def excess(log_v: float) -> float:
        r = np.clip(residual * np.exp(-log_v / 2), -k, k)
        return float((r**2).sum() - target)

    low = high = float(np.log(v))
    while excess(low) < 0:
        low -= 1.0
    while excess(high) > 0:
        high += 1.0
    return float(np.exp(brentq(excess, low, high, xtol=1e-13, rtol=1e-13)))


def _solve_ratio(residual: Floats, design: Design, v: float, k: float) -> float:
    """Solve the area equation in d = sigma2_u / sigma2_e; 0 when areas vary less than chance."""
    from scipy.optimize import brentq

    def excess(d: float) -> float:
        r = decorrelate(residual, design.area, design.n_i, d) / np.sqrt(v)
        return scale_equations(r, design.area, design.n_i, d, k)[1] - 1.0

    if excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0:
        high *= 4.0
        if high > 1e12:
            raise ConvergenceError(
                "the area variance dwarfs the unit variance", where="robust nested error regression"
            )
    return float(brentq(excess, 0.0, high, xtol=1e-15, rtol=1e-13))


def projected_effects(
    r: Floats, area: Ints, n_i: Floats, sigma2: tuple[float, float], k: float
) -> Floats:
    """Return area effects from huberised decorrelated residuals, shape (m,).

    Parameters
    ----------
    r : ndarray of shape (n,)
        ``V^-1/2 (y - X beta) / sigma_e``.
    area, n_i
        Areas and their sizes.
    sigma2 : (float, float)
        ``sigma2_u`` and ``sigma2_e``.
    k : float
        Truncation.
    """
    d = sigma2[0] / sigma2[1]
    sums = np.bincount(area, np.clip(r, -k, k), len(n_i))
    return np.asarray(np.sqrt(sigma2[1]) * d / np.sqrt(1.0 + n_i * d) * sums / consistency(k))


def reblup_effects(
    residual: Floats, area: Ints, m: int, sigma2: tuple[float, float], k: float
) -> Floats:
    """Return area effects that balance huberised unit and area errors, shape (m,).

    Parameters
    ----------
    residual : ndarray of shape (n,)
        ``y - X beta``.
    area, m
        Areas and their number.
    sigma2 : (float, float)
        ``sigma2_u`` and ``sigma2_e``.
    k : float
        Truncation, of both.
    """
    s_u, s_e = np.sqrt(sigma2[0]), np.sqrt(sigma2[1])
    if s_u == 0:
        return np.zeros(m)
    low = np.zeros(m)
    high = np.zeros(m)
    np.minimum.at(low, area, residual)
    np.maximum.at(high, area, residual)
    # the balance falls in u: halving 100 times leaves rounding of the bracket's ends
    for _ in range(100):
        u = 0.5 * (low + high)
        pull = np.bincount(area, np.clip((residual - u[area]) / s_e, -k, k), m) / s_e
        above = pull > np.clip(u / s_u, -k, k) / s_u
        low, high = np.where(above, u, low), np.where(above, high, u)
    return 0.5 * (low + high)


def _results(
    design: Design,
    y: Floats,
    beta: Floats,
    sigma: tuple[float, float],
    k: float,
    predictor: Predictor,
) -> RobustFit:
    v, d = sigma
    Z = design.X @ design.T
    Zt = np.stack([decorrelate(z, design.area, design.n_i, d) for z in Z.T], 1)
    r = decorrelate(y - Z @ beta, design.area, design.n_i, d) / np.sqrt(v)
    # Huber's asymptotic covariance: kappa / P(|Z| < k)^2 times the normal one
    inside = float(np.mean(np.abs(r) < k))
    cov = np.linalg.inv(Zt.T @ Zt) * v * consistency(k) / inside**2
    sigma2 = (d * v, v)
    if predictor == "reblup":
        u = reblup_effects(y - Z @ beta, design.area, design.m, sigma2, k)
    else:
        u = projected_effects(r, design.area, design.n_i, sigma2, k)
    return RobustFit(design.T @ beta, design.T @ cov @ design.T.T, *sigma2, u, _weights(r, k))
