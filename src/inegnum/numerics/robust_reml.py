"""Robust Fay-Herriot: Huber's function on standardised residuals, effects and errors.

Estimating equations, with psi(r) = max(-k, min(k, r)), V = s + D, K = E psi(N(0, 1))^2

    sum x_i V_i^-1/2 psi(r_i) = 0,   r = V^-1/2 (y - X beta)
    sum psi(r_i)^2 / V_i = K sum 1 / V_i                     (for s)
    D_i^-1/2 psi(D_i^-1/2 (y_i - x_i' beta - u_i)) = s^-1/2 psi(s^-1/2 u_i)

The MSE holds the weights of the solution fixed: theta_hat = W y, W X = X, hence
``W D W' + s (W - I)(W - I)'`` (Chambers, Chandra and Tzavidis 2011).

References
----------
    Sinha and Rao (2009) doi:10.1002/cjs.10029; Chambers, Chandra and Tzavidis (2011), Survey
    Methodology 37; Warnholz (2016), thesis, Freie Universität Berlin.

Must match R ``saeRobust::rfh`` and ``emdi::fh(method = "reblup")``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy.special import ndtr

from inegnum.errors import ConvergenceError

__all__ = ["RobustFit", "fit_robust", "huber_constant", "robust_mse", "robust_weights"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RobustFit:
    """Robust fit.

    Attributes
    ----------
    sigma2 : float
    beta : ndarray of shape (p,)
    effects : ndarray of shape (m,)
    downweighted : ndarray of bool, shape (m,)
        Areas whose residual exceeds k standard deviations.
    iterations : int
    """

    sigma2: float
    beta: Floats
    effects: Floats
    downweighted: npt.NDArray[np.bool_]
    iterations: int


def huber_constant(k: float) -> float:
    """Return E psi(Z)^2 for a standard normal Z.

    Examples
    --------
    >>> round(huber_constant(1.345), 6)
    0.710165
    """
    density = float(np.exp(-0.5 * k * k) / np.sqrt(2 * np.pi))
    return float(2 * ndtr(k) - 1 - 2 * k * density + 2 * k * k * ndtr(-k))


def _weight(r: Floats, k: float) -> Floats:
    """Huber's psi(r) / r, which is 1 within k."""
    return np.asarray(np.minimum(1.0, k / np.maximum(np.abs(r), np.finfo(float).tiny)))


def _beta(beta: Floats, y: Floats, X: Floats, V: Floats, k: float) -> Floats:
    """Reweight least squares until it settles, at given variances."""
    sd = np.sqrt(V)
    for _ in range(500):
        w = _weight((y - X @ beta) / sd, k) / V
        new = np.linalg.solve(X.T @ (X * w[:, None]), X.T @ (w * y))
        # 1e-12 of the fitted values: their own rounding is 1e-15.
        done = np.abs(X @ (new - beta)).max() <= 1e-12 * np.abs(X @ new).max()
        beta = new
        if done:
            return beta
    raise ConvergenceError("robust coefficients did not converge in 500 steps")


def _sigma2(r: Floats, D: Floats, k: float, K: float) -> float:
    """Root of the robust variance equation, 0 when there is none."""

    def gap(s: float) -> float:
        w = 1 / (s + D)
        return float(np.sum(np.clip(r * np.sqrt(w), -k, k) ** 2 * w) - K * w.sum())

    if gap(0.0) <= 0:
        return 0.0
    high = float(np.mean(r**2))
    while gap(high) > 0:
        high *= 2
    return float(optimize.brentq(gap, 0.0, high, xtol=1e-14 * high, rtol=1e-14))


def fit_robust(y: Floats, X: Floats, D: Floats, *, k: float = 1.345) -> RobustFit:
    """Solve the robust estimating equations.

    Parameters
    ----------
    y, D : ndarray of shape (m,)
    X : ndarray of shape (m, p)
    k : float
        Where Huber's function bends; 1.345 keeps 95 % efficiency at the normal.

    Raises
    ------
    ConvergenceError
        The alternation between coefficients and variance did not settle.
    """
    K = huber_constant(k)
    beta = np.linalg.lstsq(X, y, rcond=None)[0]
    s = _sigma2(y - X @ beta, D, k, K)
    for iteration in range(1, 501):
        beta = _beta(beta, y, X, s + D, k)
        new = _sigma2(y - X @ beta, D, k, K)
        # 1e-12: the alternation is linear with a small factor; what is left is of that order.
        if abs(new - s) <= 1e-12 * max(new, s):
            beta = _beta(beta, y, X, new + D, k)
            r = y - X @ beta
            outside = np.abs(r) > k * np.sqrt(new + D)
            return RobustFit(new, beta, _effects(r, new, D, k), outside, iteration)
        s = new
    raise ConvergenceError("the robust variance did not converge", got=f"{s:.6g} after 500 steps")


def _effects(r: Floats, s: float, D: Floats, k: float) -> Floats:
    """Solve each area's equation in closed form: linear in the middle, bent at either side.

    With e = r - u, psi is linear for both within k; else one of the two sides is at its bound k.
    """
    if s == 0:
        return np.zeros_like(r)
    u = s / (s + D) * r
    size, sign = np.abs(r), np.sign(r)
    # The error beyond k: u = s * k / sqrt(D). The effect beyond k: r - u = D * k / sqrt(s).
    error_out = np.abs(r - u) > k * np.sqrt(D)
    effect_out = np.abs(u) > k * np.sqrt(s)
    bent_error = sign * s * k / np.sqrt(D)
    bent_effect = sign * (size - D * k / np.sqrt(s))
    # Both bounds cannot balance unless D = s: the larger of k/sqrt(D), k/sqrt(s) stays linear.
    return np.where(
        (error_out | effect_out) & (s < D),
        bent_error,
        np.where((error_out | effect_out) & (s >= D), bent_effect, u),
    )


def robust_weights(fit: RobustFit, y: Floats, X: Floats, D: Floats, *, k: float) -> Floats:
    """Return W with ``X beta + effects = W y``, shape (m, m)."""
    r = y - X @ fit.beta
    V = fit.sigma2 + D
    w1 = _weight(r / np.sqrt(V), k) / V
    A = np.linalg.solve(X.T @ (X * w1[:, None]), X.T * w1)
    if fit.sigma2 == 0:
        return np.asarray(X @ A)
    w2 = _weight((r - fit.effects) / np.sqrt(D), k) / D
    w3 = _weight(fit.effects / np.sqrt(fit.sigma2), k) / fit.sigma2
    B = w2 / (w2 + w3)
    H = X @ A
    return np.asarray(H + B[:, None] * (np.eye(len(y)) - H))


def robust_mse(weights: Floats, sigma2: float, D: Floats) -> Floats:
    """MSE with the weights held fixed, shape (m,)."""
    away = weights - np.eye(len(D))
    return np.asarray((weights**2) @ D + sigma2 * (away**2).sum(axis=1))
