"""Nested error regression of Battese, Harter and Fuller: fit, prediction and analytic MSE.

Model. For unit j of area i, ``y_ij = x_ij' beta + u_i + e_ij`` with ``u_i ~ N(0, sigma2_u)`` and
``e_ij ~ N(0, sigma2_e / a_ij)``; the precision factors ``a_ij`` are known (1 unless the user knows
better). With ``rho = sigma2_u / sigma2_e`` the likelihood has one free parameter: beta and sigma2_e
are profiled out.

Work. Areas enter only through precision-weighted means, counts and the within-area cross products,
so that one pass over the units is enough whatever the number of evaluations, and many responses on
the same covariates (bootstrap replicates, transformations) are fitted together. Covariates are
centred and scaled first; results come back in the user's units.

Limits. One level of areas; normal errors for the likelihood and the MSE. A zero area variance is an
estimate like another: it is reported, and the MSE keeps its second-order term.

References
----------
Battese, Harter and Fuller (1988), doi:10.1080/01621459.1988.10478561; Prasad and Rao (1990),
doi:10.1080/01621459.1990.10475320; Datta and Lahiri (2000), Statistica Sinica 10, 613-627; Rao and
Molina (2015), doi:10.1002/9781118735855, chapter 7.

Matches R ``sae::eblupBHF``, ``nlme::lme`` and ``lme4::lmer`` (random intercept).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, InputError

__all__ = [
    "BhfFit",
    "Design",
    "Responses",
    "fit_bhf",
    "information",
    "make_design",
    "responses",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Method = Literal["REML", "ML"]

# Eigenvalue ratio of the scaled cross products below which columns are called collinear: singular
# values 1e-6 apart leave fewer than four significant digits to a coefficient.
COLLINEAR = 1e-12
_GRID = 32


@dataclass(frozen=True, slots=True)
class Design:
    """Covariates of a sample, reduced to what every response shares.

    Attributes
    ----------
    area : ndarray of shape (n,)
        Area of each unit, 0 to m - 1.
    a : ndarray of shape (n,)
        Precision factors.
    n_i, a_i : ndarray of shape (m,)
        Units and sums of precision factors by area.
    X : ndarray of shape (n, p)
        Covariates as given.
    T : ndarray of shape (p, p)
        Scaling: the work is done on ``X @ T``, ``beta = T @ beta_scaled``.
    xbar : ndarray of shape (m, p)
        Precision-weighted area means of ``X @ T``.
    W : ndarray of shape (p, p)
        Within-area cross products of ``X @ T``.
    xw : ndarray of shape (p, n)
        ``a * (x - xbar[area])``, in the units of X.
    xmean : ndarray of shape (m, p)
        Plain area means, in the units of X.
    """

    area: Ints
    a: Floats
    n_i: Floats
    a_i: Floats
    X: Floats
    T: Floats
    xbar: Floats
    W: Floats
    xw: Floats
    xmean: Floats

    @property
    def n(self) -> int:
        """Return the number of units."""
        return int(self.X.shape[0])

    @property
    def m(self) -> int:
        """Return the number of sampled areas."""
        return int(self.n_i.shape[0])

    @property
    def p(self) -> int:
        """Return the number of covariates, the constant included."""
        return int(self.X.shape[1])


@dataclass(frozen=True, slots=True)
class Responses:
    """B responses on one design, reduced to what the likelihood needs.

    Attributes
    ----------
    ybar : ndarray of shape (B, m)
        Precision-weighted area means.
    Wxy : ndarray of shape (B, p)
        Within-area cross products with the scaled covariates.
    Wyy : ndarray of shape (B,)
        Within-area sums of squares.
    ymean : ndarray of shape (B, m)
        Plain area means.
    """

    ybar: Floats
    Wxy: Floats
    Wyy: Floats
    ymean: Floats


@dataclass(frozen=True, slots=True)
class BhfFit:
    """Fits of B responses; the first axis is always B.

    Attributes
    ----------
    rho : ndarray of shape (B,)
        ``sigma2_u / sigma2_e``.
    sigma2_u, sigma2_e : ndarray of shape (B,)
        Variance components.
    beta : ndarray of shape (B, p)
        Coefficients in the units of X.
    cov_beta : ndarray of shape (B, p, p)
        ``(X' V^-1 X)^-1``.
    gamma, u : ndarray of shape (B, m)
        Shrinkage weight and predicted effect of each sampled area.
    loglik : ndarray of shape (B,)
        Maximised (restricted) log-likelihood, all constants included.
    method : {"REML", "ML"}
        Likelihood that was maximised.
    """

    rho: Floats
    sigma2_u: Floats
    sigma2_e: Floats
    beta: Floats
    cov_beta: Floats
    gamma: Floats
    u: Floats
    loglik: Floats
    method: Method


def _area_means(rows: Floats, area: Ints, a: Floats | None, size: Floats) -> Floats:
    """Return (weighted) area means of each row, shape (rows, m)."""
    m = size.shape[0]
    sums = [np.bincount(area, row if a is None else a * row, m) for row in rows]
    return np.array(sums) / size


def _scaling(xbar: Floats, W: Floats, a_i: Floats) -> Floats:
    """Return T (p, p) such that X @ T is centred, when there is a constant, and scaled."""
    total = a_i.sum()
    centre = a_i @ xbar / total
    spread = np.sqrt((np.diag(W) + a_i @ (xbar - centre) ** 2) / total)
    flat = np.flatnonzero((spread <= 1e-12 * np.abs(centre)) & (centre != 0))
    if len(flat) == 0:
        size = np.sqrt(spread**2 + centre**2)
        return np.diag(1.0 / np.where(size > 0, size, 1.0))
    spread[flat] = 1.0
    T = np.diag(1.0 / np.where(spread > 0, spread, 1.0))
    constant = flat[0]
    T[constant] = -centre / spread / centre[constant]
    T[constant, constant] = 1.0 / centre[constant]
    return T


def make_design(
    X: Floats, area: Ints, m: int, *, a: Floats | None = None, names: Sequence[str] = ()
) -> Design:
    """Reduce covariates to area means and within-area cross products.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Covariates, the constant included when there is one.
    area : ndarray of shape (n,)
        Area of each unit, 0 to m - 1, none empty.
    m : int
        Number of areas.
    a : ndarray of shape (n,), optional
        Known precision factors; 1 when missing.
    names : sequence of str
        Columns of X, for messages.

    Raises
    ------
    InputError
        An area without units, fewer units than needed, or collinear covariates.
    """
    n, p = X.shape
    n_i = np.bincount(area, minlength=m).astype(np.float64)
    if (n_i == 0).any():
        raise InputError("an area of the sample has no unit", got=int((n_i == 0).sum()))
    if n <= p + 1 or m < 2 or n <= m:
        raise InputError(
            "too few units for a nested error regression",
            got=f"{n} units, {m} areas, {p} coefficients",
            expected="at least two areas, more units than areas and than coefficients + 1",
            hint="fit fewer covariates, or use an area-level or a synthetic estimator",
        )
    a_i = n_i if a is None else np.bincount(area, a, m)
    rows = np.ascontiguousarray(X.T)
    means = _area_means(rows, area, a, a_i)
    plain = means if a is None else _area_means(rows, area, None, n_i)
    within = np.array([row - mean[area] for row, mean in zip(rows, means, strict=True)])
    weighted = within if a is None else within * a
    raw = weighted @ within.T
    T = _scaling(means.T, raw, a_i)
    W, xbar = T.T @ raw @ T, means.T @ T
    _require_full_rank(W + (xbar * a_i[:, None]).T @ xbar, T, names)
    factors = np.ones(n) if a is None else a
    return Design(area, factors, n_i, a_i, X, T, xbar, W, weighted, plain.T)


def _require_full_rank(A: Floats, T: Floats, names: Sequence[str]) -> None:
    """Refuse collinear covariates, naming the columns of the smallest eigenvector."""
    values, vectors = np.linalg.eigh(A)
    if values[0] > COLLINEAR * values[-1]:
        return
    size = np.abs(np.linalg.inv(T)).max(axis=0)
    raw = np.abs(T @ vectors[:, 0]) * size
    guilty = [int(j) for j in np.flatnonzero(raw > 1e-6 * raw.max())]
    shown = [names[j] if j < len(names) else f"column {j}" for j in guilty]
    raise InputError(
        "covariates are collinear or constant",
        where=", ".join(shown),
        got=f"eigenvalue ratio {abs(values[0] / values[-1]):.1e}",
        expected=f"above {COLLINEAR:g}",
        hint="drop one of them (a constant beside the intercept counts as one)",
    )


def responses(design: Design, Y: Floats) -> Responses:
    """Reduce responses to their statistics.

    Parameters
    ----------
    design : Design
        Of the same units.
    Y : ndarray of shape (n,) or (B, n)
        One response a row.
    """
    rows = np.atleast_2d(Y)
    equal = bool((design.a_i == design.n_i).all())
    ybar = _area_means(rows, design.area, None if equal else design.a, design.a_i)
    plain = ybar if equal else _area_means(rows, design.area, None, design.n_i)
    Wyy = np.empty(len(rows))
    for b, y in enumerate(rows):
        within = y - ybar[b][design.area]
        Wyy[b] = np.dot(within if equal else design.a * within, within)
    return Responses(ybar, rows @ design.xw.T @ design.T, Wyy, plain)


def _within_rss(design: Design, data: Responses, beta: Floats) -> Floats:
    """Return the within-area residual sum of squares of scaled coefficients, shape (B,)."""
    fitted = np.einsum("bj,jk,bk->b", beta, design.W, beta)
    rest: Floats = data.Wyy - 2.0 * np.einsum("bj,bj->b", beta, data.Wxy) + fitted
    return np.maximum(rest, 0.0)


def _grid_objective(design: Design, data: Responses, method: Method, grid: Floats) -> Floats:
    """Return the profile log-likelihood, up to a constant, of every grid value: (G, B)."""
    nu = design.n - (design.p if method == "REML" else 0)
    out = np.empty((len(grid), len(data.Wyy)))
    for g, rho in enumerate(grid):
        w = design.a_i / (1.0 + design.a_i * rho)
        A = design.W + (design.xbar * w[:, None]).T @ design.xbar
        beta = np.linalg.solve(A, (data.Wxy + (data.ybar * w) @ design.xbar).T).T
        residual = data.ybar - beta @ design.xbar.T
        rss = _within_rss(design, data, beta) + (residual**2) @ w
        out[g] = nu * np.log(rss) + np.log1p(design.a_i * rho).sum()
        if method == "REML":
            out[g] += np.linalg.slogdet(A)[1]
    return -0.5 * out


@dataclass(frozen=True, slots=True)
class _Point:
    """Everything the likelihood gives at one rho a response."""

    A: Floats
    beta: Floats
    rss: Floats
    residual: Floats
    score: Floats
    curvature: Floats


def _at(design: Design, data: Responses, method: Method, rho: Floats, outer: Floats) -> _Point:
    """Evaluate score and curvature of the profile likelihood in rho, one value a response."""
    p, reml = design.p, method == "REML"
    nu = design.n - (p if reml else 0)
    w = design.a_i / (1.0 + np.multiply.outer(rho, design.a_i))
    A = design.W + (w @ outer).reshape(-1, p, p)
    beta = np.linalg.solve(A, (data.Wxy + (w * data.ybar) @ design.xbar)[..., None])[..., 0]
    residual = data.ybar - beta @ design.xbar.T
    squared = residual**2
    rss = _within_rss(design, data, beta) + np.einsum("bi,bi->b", w, squared)
    w2 = w**2
    w3 = w2 * w
    q = np.einsum("bi,bi->b", w2, squared)
    h = (w2 * residual) @ design.xbar
    dq = -2.0 * np.einsum("bi,bi->b", w3, squared) + 2.0 * np.einsum(
        "bj,bj->b", h, np.linalg.solve(A, h[..., None])[..., 0]
    )
    score = nu * q / rss - w.sum(axis=1)
    curvature = nu * (dq / rss + (q / rss) ** 2) + w2.sum(axis=1)
    if reml:
        K2 = np.linalg.solve(A, (w2 @ outer).reshape(-1, p, p))
        K3 = np.linalg.solve(A, (w3 @ outer).reshape(-1, p, p))
        score += np.trace(K2, axis1=1, axis2=2)
        curvature += np.einsum("bjk,bkj->b", K2, K2) - 2.0 * np.trace(K3, axis1=1, axis2=2)
    return _Point(A, beta, rss, residual, 0.5 * score, 0.5 * curvature)


def _grid(design: Design) -> Floats:
    """Return values of rho that span every shrinkage worth telling apart, 0 first."""
    low, high = 1e-4 / design.a_i.max(), 1e5 / design.a_i.min()
    return np.concatenate([[0.0], np.geomspace(low, high, _GRID - 1)])


def _bracket(design: Design, data: Responses, method: Method) -> tuple[Floats, Floats, Floats]:
    """Return lower end, upper end and best grid value of rho, each of shape (B,)."""
    grid = _grid(design)
    best = _grid_objective(design, data, method, grid).argmax(axis=0)
    if (best == len(grid) - 1).any():
        raise ConvergenceError(
            "the area variance dwarfs the unit variance",
            where="nested error regression",
            got=f"sigma2_u / sigma2_e above {grid[-1]:.3g}",
            hint="units of an area are all alike: use an area-level model on area means",
        )
    return grid[np.maximum(best - 1, 0)], grid[best + 1], grid[best]


def _maximise(design: Design, data: Responses, method: Method) -> Floats:
    """Return the maximiser rho of each response by safeguarded Newton, shape (B,)."""
    lower, upper, rho = _bracket(design, data, method)
    outer = (design.xbar[:, :, None] * design.xbar[:, None, :]).reshape(design.m, -1)
    for _ in range(200):
        point = _at(design, data, method, rho, outer)
        rising = point.score > 0
        lower = np.where(rising, rho, lower)
        upper = np.where(rising, upper, rho)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = rho - point.score / point.curvature
        good = (point.curvature < 0) & (step > lower) & (step < upper)
        following = np.where(good, step, 0.5 * (lower + upper))
        # a falling likelihood at 0, or a bracket shrunk onto 0, is a maximum at the boundary
        edge = (lower == 0.0) & (upper <= 1e-10 / design.a_i.max())
        following = np.where(edge, 0.0, following)
        # 1e-11 relative: Newton doubles its digits, and beyond it the score is rounding noise
        if (np.abs(following - rho) <= 1e-11 * rho).all():
            return following
        rho = following
    raise ConvergenceError(
        "the variance ratio did not settle",
        where="nested error regression",
        got=f"bracket widths up to {float((upper - lower).max()):.2e}",
        hint="look for areas or units of extreme values",
    )


def fit_bhf(design: Design, data: Responses, *, method: Method = "REML") -> BhfFit:
    """Fit the nested error regression to each response.

    Parameters
    ----------
    design : Design
        Covariates, from `make_design`.
    data : Responses
        B responses, from `responses`.
    method : {"REML", "ML"}
        Likelihood to maximise.

    Returns
    -------
    BhfFit
        One fit a response.

    Raises
    ------
    ConvergenceError
        No residual variation within areas, or no maximum inside the search range.
    InputError
        A response that the covariates reproduce exactly.
    """
    total = data.Wyy + (data.ybar - data.ybar.mean(axis=1, keepdims=True)) ** 2 @ design.a_i
    flat = np.linalg.lstsq(design.W, data.Wxy.T, rcond=None)[0].T
    # 1e-13 of the total is what rounding alone leaves behind
    if (_within_rss(design, data, flat) <= 1e-13 * total).any():
        raise InputError(
            "the response has no residual variation within areas",
            where="nested error regression",
            hint="it is constant by area or reproduced exactly by the covariates",
        )
    rho = _maximise(design, data, method)
    return _assemble(design, data, method, rho)


def _assemble(design: Design, data: Responses, method: Method, rho: Floats) -> BhfFit:
    """Build the results at the maximising rho."""
    p, n = design.p, design.n
    nu = n - (p if method == "REML" else 0)
    outer = (design.xbar[:, :, None] * design.xbar[:, None, :]).reshape(design.m, -1)
    point = _at(design, data, method, rho, outer)
    sigma2_e = point.rss / nu
    gamma = np.multiply.outer(rho, design.a_i)
    spread = np.log1p(gamma).sum(axis=1) - np.log(design.a).sum()
    gamma = gamma / (1.0 + gamma)
    loglik = nu * (np.log(2 * np.pi * sigma2_e) + 1.0) + spread
    if method == "REML":
        loglik += np.linalg.slogdet(point.A)[1] - 2.0 * np.linalg.slogdet(design.T)[1]
    inverse = np.linalg.inv(point.A) * sigma2_e[:, None, None]
    return BhfFit(
        rho=rho,
        sigma2_u=rho * sigma2_e,
        sigma2_e=sigma2_e,
        beta=point.beta @ design.T.T,
        cov_beta=design.T @ inverse @ design.T.T,
        gamma=gamma,
        u=gamma * point.residual,
        loglik=-0.5 * loglik,
        method=method,
    )


def information(design: Design, sigma2_u: float, sigma2_e: float) -> Floats:
    """Return the expected information of (sigma2_u, sigma2_e), shape (2, 2)."""
    alpha = sigma2_e + design.a_i * sigma2_u
    uu = 0.5 * np.sum((design.a_i / alpha) ** 2)
    ue = 0.5 * np.sum(design.a_i / alpha**2)
    ee = 0.5 * np.sum((design.n_i - 1) / sigma2_e**2 + 1 / alpha**2)
    return np.array([[uu, ue], [ue, ee]])
