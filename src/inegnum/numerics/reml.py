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

__all__ = [
    "FayHerriotFit",
    "Method",
    "MseTerms",
    "fit_at",
    "fit_fay_herriot",
    "mse_terms",
    "objective",
]

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
class _Sums:
    """Weighted cross-products of (Q, e), with Q orthonormal and e the residuals of least squares.

    The products of each row are formed once, so that a set of weights costs one matrix product.
    """

    Q: Floats
    e: Floats
    D: Floats
    upper: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    products: Floats  # ((p + 1) (p + 2) / 2, m): of the columns of (Q, e), two by two

    @classmethod
    def of(cls, y: Floats, Q: Floats, D: Floats) -> _Sums:
        m, p = Q.shape
        rows = np.empty((p + 1, m))
        rows[:p] = Q.T
        rows[p] = e = y - Q @ (Q.T @ y)
        i, j = np.triu_indices(p + 1)
        products = np.empty((len(i), m))
        for k in range(len(i)):
            np.multiply(rows[i[k]], rows[j[k]], out=products[k])
        return cls(Q, e, D, (i, j), products)

    def at(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """Return Q'wQ, Q'we, e'we for each row of weights: shapes (k, p, p), (k, p), (k,)."""
        p = self.Q.shape[1]
        i, j = self.upper
        full = np.empty((len(weights), p + 1, p + 1))
        full[:, i, j] = full[:, j, i] = weights @ self.products.T
        return full[:, :p, :p], full[:, :p, p], full[:, p, p]


def _values(s: Floats, sums: _Sums, *, restricted: bool) -> Floats:
    """(Restricted) profile log-likelihood at each s, up to a constant, shape (k,)."""
    w = 1.0 / (s[:, None] + sums.D)
    A, c, q = sums.at(w)
    fit = np.einsum("ki,ki->k", c, np.linalg.solve(A, c[:, :, None])[:, :, 0])
    value = 0.5 * np.log(w).sum(axis=1) - 0.5 * (q - fit)
    if restricted:
        value -= 0.5 * np.linalg.slogdet(A)[1]
    return np.asarray(value)


def _slopes(s: float, sums: _Sums, *, restricted: bool) -> tuple[float, float]:
    """First and second derivative of the (restricted) profile log-likelihood in s."""
    w = 1.0 / (s + sums.D)
    w2 = w * w
    S, c, q = sums.at(np.stack([w, w2, w2 * w]))
    Ainv = np.linalg.inv(S[0])
    b = Ainv @ c[0]
    # Sums of w^k r^2 with r = e - Q b.
    squares = q - 2 * c @ b + np.einsum("kij,i,j->k", S, b, b)
    across = c[1] - S[1] @ b
    cubic = float(squares[2] - across @ Ainv @ across)
    trace, trace2 = float(w.sum()), float(w2.sum())
    if restricted:
        H = Ainv @ S[1]
        trace -= float(np.trace(H))
        trace2 += float(np.sum(H * H.T)) - 2 * float(np.sum(Ainv * S[2]))
    return 0.5 * (float(squares[1]) - trace), 0.5 * trace2 - cubic


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


def objective(
    sigma2: Floats, y: Floats, X: Floats, D: Floats, *, method: Method = "reml"
) -> Floats:
    """Return what `method` maximises, up to a constant, at each area variance, shape (k,)."""
    sums = _Sums.of(y, np.linalg.qr(X)[0], D)
    return _objective(np.asarray(sigma2, dtype=np.float64), sums, method)


def _objective(s: Floats, sums: _Sums, method: Method) -> Floats:
    adjustment = np.array([_adjustment(float(x), sums.D, method)[0] for x in s])
    return np.asarray(_values(s, sums, restricted=method in _RESTRICTED) + adjustment)


def _scan(sums: _Sums, method: Method) -> tuple[float, float, float]:
    """Bracket the highest maximum on a geometric grid: (left, best, right)."""
    m, p = sums.Q.shape
    spread = float(sums.e @ sums.e) / max(m - p, 1)
    top = max(spread, float(np.median(sums.D)) * 1e-3)
    grid = top * np.array([0.0, 1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.6, 2.0])
    values = _objective(grid, sums, method)
    while values.argmax() == len(grid) - 1 and len(grid) < 60:
        grid = np.append(grid, grid[-1] * 4)
        values = np.append(values, _objective(grid[-1:], sums, method))
    at = int(values.argmax())
    if at == len(grid) - 1:
        raise ConvergenceError(
            "the likelihood of the area variance has no maximum",
            where=f"method {method}",
            got=f"still rising at {grid[-1]:.3g}",
            hint="the direct estimates do not vary like the model: use reml, or check the data",
        )
    return float(grid[max(at - 1, 0)]), float(grid[at]), float(grid[at + 1])


def _maximise(sums: _Sums, method: Method) -> tuple[float, int]:
    """Newton's method on the score, kept inside a bracket that always holds the root."""
    restricted = method in _RESTRICTED
    left, s, right = _scan(sums, method)

    def slopes(at: float) -> tuple[float, float]:
        first, second = _slopes(at, sums, restricted=restricted)
        _, a1, a2 = _adjustment(at, sums.D, method)
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
        newton = left < new < right
        if not newton:
            new = (left + right) / 2
        # Newton's error is about the square of its last step: 1e-7 leaves rounding.
        if abs(new - s) <= (1e-7 if newton else 1e-13) * max(new, s):
            return new, iteration
        s = new
    if right - left <= 1e-9 * right:  # rounding of the score makes the last digits wander
        return s, 100
    raise ConvergenceError(
        "the area variance did not converge",
        where=f"method {method}",
        got=f"bracket [{left:.6g}, {right:.6g}] after 100 steps",
    )


def _solve_moment(sums: _Sums) -> tuple[float, int]:
    """Solve sum w r^2 = m - p; the left side falls and is convex, so Newton climbs from zero."""
    m, p = sums.Q.shape
    s = 0.0
    for iteration in range(1, 201):
        w = 1 / (s + sums.D)
        S, c, q = sums.at(np.stack([w, w * w]))
        b = np.linalg.solve(S[0], c[0])
        squares = q - 2 * c @ b + np.einsum("kij,i,j->k", S, b, b)
        gap = float(squares[0]) - (m - p)
        if iteration == 1 and gap <= 0:
            return 0.0, 0
        step = gap / float(squares[1])
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
    sums = _Sums.of(y, Q, D)
    s, iterations = _solve_moment(sums) if method == "fh" else _maximise(sums, method)
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
    w = 1.0 / (s + D)
    Qw = Q * w[:, None]
    Ainv = np.linalg.inv(Q.T @ Qw)
    b = Ainv @ (Qw.T @ y)
    r = y - Q @ b
    constant = len(y) * float(np.log(2 * np.pi))
    loglik = 0.5 * (float(np.log(w).sum()) - float(w @ (r * r)) - constant)
    Rinv = np.linalg.inv(R)
    cov = Rinv @ Ainv @ Rinv.T
    return FayHerriotFit(float(s), Rinv @ b, cov, loglik, s == 0.0, iterations, method)


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
    g2 = B**2 * ((X @ fit.cov_beta) * X).sum(axis=1)
    g3 = B**2 * w * variance
    return MseTerms(g1, g2, g3, B**2 * _bias_of_sigma2(fit, X, w))
