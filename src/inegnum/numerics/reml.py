"""Variance of area effects in the Fay-Herriot model, with cost O(m p^2) an evaluation.

Model
    y = X beta + u + e,  u ~ N(0, s I),  e ~ N(0, diag(D)),  D known.
Every quantity is a sum over areas with weights w = 1 / (s + D); no m x m matrix is formed.

Estimators of s
    ml, reml      maximum (restricted) likelihood
    fh            Fay and Herriot's moment equation sum w r^2 = m - p
    ampl, amrl    likelihood (profile, restricted) times s: never zero (Li and Lahiri 2010)
    ampl_yl, amrl_yl   times arctan(sum s w)^(1/m) (Yoshimori and Lahiri 2014)

Limits
    s = 0 is a legitimate maximum for ml, reml and fh: `boundary` says so. The likelihood may have
    several maxima when m is small: a scan brackets the highest before the refinement.

References
----------
    Fay and Herriot (1979) doi:10.1080/01621459.1979.10482505; Prasad and Rao (1990)
    doi:10.1080/01621459.1990.10475320; Datta and Lahiri (2000), Statistica Sinica 10; Datta, Rao
    and Smith (2005) doi:10.1093/biomet/92.1.183; Li and Lahiri (2010)
    doi:10.1016/j.jmva.2009.10.009; Yoshimori and Lahiri (2014) doi:10.1016/j.jmva.2013.10.012.

Must match R ``sae::eblupFH``, ``sae::mseFH``, ``emdi::fh``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, InputError, nearest

__all__ = ["FayHerriotFit", "Method", "MseTerms", "fit_at", "fit_fay_herriot", "mse_terms"]

Floats = npt.NDArray[np.float64]
Method = Literal["reml", "ml", "fh", "ampl", "amrl", "ampl_yl", "amrl_yl"]
_RESTRICTED = ("reml", "amrl", "amrl_yl")


@dataclass(frozen=True, slots=True)
class FayHerriotFit:
    """Fitted Fay-Herriot model.

    Attributes
    ----------
    sigma2 : float
        Variance of the area effects.
    beta : ndarray of shape (p,)
    cov_beta : ndarray of shape (p, p)
        ``(X' W X)^-1`` at `sigma2`.
    loglik : float
        Log-likelihood (not restricted) at the estimates, as R ``sae`` reports it.
    boundary : bool
        The estimate is the lower bound zero.
    iterations : int
    method : str
    """

    sigma2: float
    beta: Floats
    cov_beta: Floats
    loglik: float
    boundary: bool
    iterations: int
    method: Method


@dataclass(frozen=True, slots=True)
class MseTerms:
    """Terms of the analytic MSE, shape (m,) each: ``mse = g1 + g2 + 2 g3 - bias``.

    `bias` is ``gamma-slope x bias of sigma2``, that is ``B^2 b(sigma2)``; zero for REML.
    """

    g1: Floats
    g2: Floats
    g3: Floats
    bias: Floats

    def mse(self) -> Floats:
        """Return the MSE, shape (m,)."""
        return self.g1 + self.g2 + 2 * self.g3 - self.bias


@dataclass(frozen=True, slots=True)
class _State:
    """Sums at one value of s; `Q` is an orthonormal basis of the columns of X."""

    w: Floats
    r: Floats
    Ainv: Floats
    value: float


def _state(s: float, y: Floats, Q: Floats, D: Floats, *, restricted: bool) -> _State:
    w = 1.0 / (s + D)
    Qw = Q * w[:, None]
    Ainv = np.linalg.inv(Q.T @ Qw)
    r = y - Q @ (Ainv @ (Qw.T @ y))
    value = 0.5 * float(np.log(w).sum()) - 0.5 * float(w @ (r * r))
    if restricted:
        value += 0.5 * float(np.linalg.slogdet(Ainv)[1])
    return _State(w, r, Ainv, value)


def _slopes(state: _State, Q: Floats, *, restricted: bool) -> tuple[float, float]:
    """First and second derivative of the (restricted) profile log-likelihood in s."""
    w, r, Ainv = state.w, state.r, state.Ainv
    w2 = w * w
    wr = w * r
    Qw2 = Q * w2[:, None]
    across = Qw2.T @ r
    quadratic = float(wr @ wr)
    cubic = float((w * wr) @ wr) - float(across @ Ainv @ across)
    trace, trace2 = float(w.sum()), float(w2.sum())
    if restricted:
        S2 = Ainv @ (Q.T @ Qw2)
        S3 = Q.T @ (Qw2 * w[:, None])
        trace -= float(np.trace(S2))
        trace2 += float(np.sum(S2 * S2.T)) - 2 * float(np.sum(Ainv * S3))
    return 0.5 * (quadratic - trace), 0.5 * trace2 - cubic


def _adjustment(s: float, D: Floats, method: Method) -> tuple[float, float, float]:
    """Log of the adjustment factor of the likelihood and its two derivatives in s."""
    if method in ("ampl", "amrl"):
        if s == 0:
            return -np.inf, np.inf, -np.inf
        return float(np.log(s)), 1 / s, -1 / s**2
    if method in ("ampl_yl", "amrl_yl"):
        w = 1 / (s + D)
        t, t1, t2 = float((s * w).sum()), float((D * w**2).sum()), -2 * float((D * w**3).sum())
        if t == 0:
            return -np.inf, np.inf, -np.inf
        a, m = np.arctan(t), len(D)
        f1 = 1 / ((1 + t * t) * a)
        f2 = -2 * t / ((1 + t * t) ** 2 * a) - f1 * f1
        return float(np.log(a)) / m, f1 * t1 / m, (f2 * t1 * t1 + f1 * t2) / m
    return 0.0, 0.0, 0.0


def _scan(y: Floats, Q: Floats, D: Floats, method: Method) -> tuple[float, float, float]:
    """Bracket the highest maximum on a geometric grid: (left, best, right)."""
    restricted = method in _RESTRICTED

    def value(s: float) -> float:
        return _state(s, y, Q, D, restricted=restricted).value + _adjustment(s, D, method)[0]

    residual = y - Q @ (Q.T @ y)
    spread = float(residual @ residual) / max(len(y) - Q.shape[1], 1)
    top = max(spread, float(np.median(D)) * 1e-3)
    grid = [0.0, *(top * np.array([1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.6, 2.0]))]
    values = [value(s) for s in grid]
    while values[-1] == max(values) and len(grid) < 60:
        grid.append(grid[-1] * 4)
        values.append(value(grid[-1]))
    at = int(np.argmax(values))
    if at == len(grid) - 1:
        raise ConvergenceError(
            "the likelihood of the area variance has no maximum",
            where=f"method {method}",
            got=f"still rising at {grid[-1]:.3g}",
            hint="the direct estimates do not vary like the model: use reml, or check the data",
        )
    return grid[max(at - 1, 0)], grid[at], grid[at + 1]


def _maximise(y: Floats, Q: Floats, D: Floats, method: Method) -> tuple[float, int]:
    """Newton's method on the score, kept inside a bracket that always holds the root."""
    restricted = method in _RESTRICTED
    left, s, right = _scan(y, Q, D, method)

    def slopes(at: float) -> tuple[float, float]:
        first, second = _slopes(
            _state(at, y, Q, D, restricted=restricted), Q, restricted=restricted
        )
        _, a1, a2 = _adjustment(at, D, method)
        return first + a1, second + a2

    if s == 0:
        if slopes(0.0)[0] <= 0:
            return 0.0, 0
        s = right / 2
    for iteration in range(1, 101):
        first, second = slopes(s)
        if first > 0:
            left = s
        else:
            right = s
        step = -first / second if second < 0 else np.inf
        new = s + step
        if not left < new < right:
            new = (left + right) / 2
        # 1e-13 relative: one more step than double precision can use.
        if abs(new - s) <= 1e-13 * max(new, s):
            return new, iteration
        s = new
    if right - left <= 1e-9 * right:  # rounding of the score makes the last digits wander
        return s, 100
    raise ConvergenceError(
        "the area variance did not converge",
        where=f"method {method}",
        got=f"bracket [{left:.6g}, {right:.6g}] after 100 steps",
    )


def _solve_moment(y: Floats, Q: Floats, D: Floats) -> tuple[float, int]:
    """Solve sum w r^2 = m - p; the left side falls and is convex, so Newton climbs from zero."""
    target = len(y) - Q.shape[1]
    s = 0.0
    for iteration in range(1, 201):
        state = _state(s, y, Q, D, restricted=False)
        wr = state.w * state.r
        gap = float(wr @ state.r) - target
        if iteration == 1 and gap <= 0:
            return 0.0, 0
        step = gap / float(wr @ wr)
        s += step
        if abs(step) <= 1e-13 * s:
            return s, iteration
    raise ConvergenceError(
        "the moment equation of the area variance did not converge",
        where="method fh",
        got=f"last step {step:.3g} at {s:.6g}",
    )


def fit_fay_herriot(y: Floats, X: Floats, D: Floats, *, method: Method = "reml") -> FayHerriotFit:
    """Estimate the area variance and the coefficients.

    Parameters
    ----------
    y : ndarray of shape (m,)
        Direct estimates.
    X : ndarray of shape (m, p)
        Covariates with full column rank, p < m.
    D : ndarray of shape (m,)
        Sampling variances, positive.
    method : {"reml", "ml", "fh", "ampl", "amrl", "ampl_yl", "amrl_yl"}

    Raises
    ------
    ConvergenceError
        No maximum, or the refinement did not reach its tolerance.
    """
    if method not in get_args(Method):
        raise InputError(
            "an unknown estimator of the area variance",
            where="method",
            got=method,
            hint=nearest(str(method), get_args(Method)),
        )
    Q, R = np.linalg.qr(X)
    s, iterations = _solve_moment(y, Q, D) if method == "fh" else _maximise(y, Q, D, method)
    return _finish(s, y, (Q, R), D, method, iterations)


def fit_at(
    sigma2: float, y: Floats, X: Floats, D: Floats, *, method: Method = "reml"
) -> FayHerriotFit:
    """Generalised least squares at a given area variance."""
    Q, R = np.linalg.qr(X)
    return _finish(sigma2, y, (Q, R), D, method, 0)


def _finish(
    s: float, y: Floats, QR: tuple[Floats, Floats], D: Floats, method: Method, iterations: int
) -> FayHerriotFit:
    Q, R = QR
    state = _state(s, y, Q, D, restricted=False)
    Rinv = np.linalg.inv(R)
    beta = Rinv @ (state.Ainv @ (Q.T @ (state.w * y)))
    loglik = state.value - 0.5 * len(y) * float(np.log(2 * np.pi))
    cov = Rinv @ state.Ainv @ Rinv.T
    return FayHerriotFit(s, beta, cov, loglik, s == 0.0, iterations, method)


def _bias_of_sigma2(fit: FayHerriotFit, X: Floats, w: Floats) -> float:
    """First-order bias of the estimator of sigma2, which the MSE must give back."""
    w2 = w * w
    total = float(w2.sum())
    profile = -float(np.sum(fit.cov_beta * (X.T @ (X * w2[:, None])))) / total
    if fit.method == "ml":
        return profile
    if fit.method == "ampl":
        return profile + 2 / (fit.sigma2 * total)
    if fit.method == "amrl":
        return 2 / (fit.sigma2 * total)
    if fit.method == "ampl_yl":
        return profile
    if fit.method == "fh":
        m, first = len(w), float(w.sum())
        return 2 * (m * total - first**2) / first**3
    return 0.0


def mse_terms(fit: FayHerriotFit, X: Floats, D: Floats) -> MseTerms:
    """Compute the terms of the second-order unbiased MSE of the EBLUP.

    Parameters
    ----------
    fit : FayHerriotFit
    X : ndarray of shape (m, p)
    D : ndarray of shape (m,)
        Sampling variances of the areas that were fitted.
    """
    w = 1 / (fit.sigma2 + D)
    B = D * w
    total = float(w.sum())
    variance = 2 * len(D) / total**2 if fit.method == "fh" else 2 / float(w @ w)
    g1 = fit.sigma2 * B
    g2 = B**2 * np.einsum("ij,jk,ik->i", X, fit.cov_beta, X, optimize=True)
    g3 = B**2 * w * variance
    return MseTerms(g1, g2, g3, B**2 * _bias_of_sigma2(fit, X, w))
