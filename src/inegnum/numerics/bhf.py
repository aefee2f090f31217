"""Nested error regression of Battese, Harter and Fuller: fit, prediction and analytic MSE.

Model. For unit j of area i, ``y_ij = x_ij' beta + u_i + e_ij`` with ``u_i ~ N(0, sigma2_u)`` and
``e_ij ~ N(0, sigma2_e / a_ij)``; the precision factors ``a_ij`` are known (1 unless the user knows
better). With ``rho = sigma2_u / sigma2_e`` the likelihood has one free parameter: beta and sigma2_e
are profiled out.

Work. The likelihood needs area sums only (`inegnum.numerics.bhf_sums`): one pass over the units is
enough whatever the number of evaluations, and many responses on the same covariates (bootstrap
replicates, transformations) are fitted together. Results come back in the user's units.

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

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, InputError
from inegnum.numerics.bhf_sums import Design, Responses, make_design, responses

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
Method = Literal["REML", "ML"]

_GRID = 32
# values a block of grid evaluations may hold
_BLOCK = 2_000_000


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


def _within_rss(design: Design, data: Responses, beta: Floats) -> Floats:
    """Return the within-area residual sum of squares of scaled coefficients, shape (B,)."""
    fitted = np.einsum("bj,jk,bk->b", beta, design.W, beta)
    rest: Floats = data.Wyy - 2.0 * np.einsum("bj,bj->b", beta, data.Wxy) + fitted
    return np.maximum(rest, 0.0)


def _grid_objective(design: Design, data: Responses, method: Method, grid: Floats) -> Floats:
    """Return the profile log-likelihood, up to a constant, of every grid value: (G, B)."""
    block = max(1, _BLOCK // data.ybar.size)
    parts = [
        _shared_objective(design, data, method, grid[start : start + block])
        for start in range(0, len(grid), block)
    ]
    return np.concatenate(parts)


def _shared_objective(design: Design, data: Responses, method: Method, grid: Floats) -> Floats:
    """Return the same for a few values of rho, each shared by all responses: (G, B)."""
    p, nu = design.p, design.n - (design.p if method == "REML" else 0)
    w = design.a_i / (1.0 + np.multiply.outer(grid, design.a_i))
    A = design.W + (w @ _outer(design)).reshape(-1, p, p)
    cross = data.Wxy + (w[:, None, :] * data.ybar) @ design.xbar
    beta = np.linalg.solve(A, cross.transpose(0, 2, 1)).transpose(0, 2, 1)
    residual = data.ybar - beta @ design.xbar.T
    between = np.einsum("gi,gbi->gb", w, residual**2, optimize=False)
    within = data.Wyy + ((beta @ design.W - 2.0 * data.Wxy) * beta).sum(axis=-1)
    out = nu * np.log(np.maximum(within, 0.0) + between)
    out += np.log1p(np.multiply.outer(grid, design.a_i)).sum(axis=1)[:, None]
    if method == "REML":
        out += np.linalg.slogdet(A)[1][:, None]
    return np.asarray(-0.5 * out)


def _outer(design: Design) -> Floats:
    """Return the products of the area means, shape (m, p * p)."""
    return (design.xbar[:, :, None] * design.xbar[:, None, :]).reshape(design.m, -1)


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
    inverse = np.linalg.inv(A)
    beta = np.einsum("bjk,bk->bj", inverse, data.Wxy + (w * data.ybar) @ design.xbar)
    residual = data.ybar - beta @ design.xbar.T
    squared = residual**2
    rss = _within_rss(design, data, beta) + np.einsum("bi,bi->b", w, squared)
    w2 = w**2
    w3 = w2 * w
    q = np.einsum("bi,bi->b", w2, squared)
    h = (w2 * residual) @ design.xbar
    dq = -2.0 * np.einsum("bi,bi->b", w3, squared)
    dq += 2.0 * np.einsum("bj,bjk,bk->b", h, inverse, h)
    score = nu * q / rss - w.sum(axis=1)
    curvature = nu * (dq / rss + (q / rss) ** 2) + w2.sum(axis=1)
    if reml:
        K2 = inverse @ (w2 @ outer).reshape(-1, p, p)
        score += np.trace(K2, axis1=1, axis2=2)
        curvature += (K2 * K2.transpose(0, 2, 1)).sum(axis=(1, 2))
        curvature -= 2.0 * (inverse.reshape(-1, p * p) * (w3 @ outer)).sum(axis=1)
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
    outer = _outer(design)
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
    outer = _outer(design)
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
