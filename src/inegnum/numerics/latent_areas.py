"""Posterior of independent areas with any likelihood: exact integrals over each area's effect.

Model
    eta_i = x_i' beta + u_i, u_i ~ N(0, sigma^2) independent, log-likelihood l_i(eta_i);
    beta ~ N(0, P^-1), sigma half-normal.
    Given (beta, sigma) areas are independent: each effect is integrated on nodes around the mode of
    its own integrand (trapezoid rule, which converges geometrically for these integrands).
    Coefficients given sigma are normal around their mode under that exact marginal likelihood;
    sigma is integrated on Gauss-Legendre nodes.

Assumptions, limits
    The only approximation is the normal law of the coefficients given sigma: it wants several areas
    a coefficient. Areas do not depend on each other but through beta and sigma.

References
----------
    Pinheiro and Bates (1995) doi:10.1080/10618600.1995.10474663 (adaptive quadrature); Tierney and
    Kadane (1986) doi:10.1080/01621459.1986.10478240.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, roots_hermitenorm

from inegnum.errors import ConvergenceError

__all__ = ["RatePosterior", "integrate_rates"]

Floats = npt.NDArray[np.float64]
Likelihood = Callable[[Floats], Floats]

_T = np.linspace(-7.0, 7.0, 43)
_OFFSETS, _OFFSET_WEIGHTS = roots_hermitenorm(9)
_OFFSET_WEIGHTS = _OFFSET_WEIGHTS / _OFFSET_WEIGHTS.sum()


@dataclass(frozen=True, slots=True)
class RatePosterior:
    """Posterior of M rates and of the parameters.

    Attributes
    ----------
    mean, variance : ndarray of shape (M,)
        Of the rates.
    center, spread : ndarray of shape (M,)
        Mean and variance of their logits.
    quantiles : ndarray of shape (K, M)
        Of the logits, at the probabilities asked for.
    beta : ndarray of shape (p,)
    cov_beta : ndarray of shape (p, p)
    moments : dict
        ``sigma_u, sd(sigma_u), sigma2_u``.
    synthetic : ndarray of shape (M,)
        Rate at the coefficients, without the area's effect.
    """

    mean: Floats
    variance: Floats
    center: Floats
    spread: Floats
    quantiles: Floats
    beta: Floats
    cov_beta: Floats
    moments: dict[str, float]
    synthetic: Floats


@dataclass(frozen=True, slots=True)
class _Effects:
    """Integrals over the effects at prior means s (m,) and one sigma."""

    log_marginal: Floats  # (m,)
    slope: Floats  # of log_marginal in s
    curvature: Floats
    nodes: Floats  # eta, (m, K)
    weights: Floats  # posterior mass of the nodes, (m, K)
    mode: Floats


def _effects(loglik: Likelihood, s: Floats, sigma: float, start: Floats) -> _Effects:
    mode, width = _modes(loglik, s, sigma, start)
    nodes = mode[:, None] + width[:, None] * _T
    z = (nodes - s[:, None]) / sigma
    log = loglik(nodes) - 0.5 * z * z
    top = log.max(axis=1, keepdims=True)
    mass = np.exp(log - top)
    total = mass.sum(axis=1)
    step = (_T[1] - _T[0]) * width / (sigma * np.sqrt(2 * np.pi))
    weights = mass / total[:, None]
    mean_z = np.einsum("mk,mk->m", weights, z)
    var_z = np.einsum("mk,mk->m", weights, (z - mean_z[:, None]) ** 2)
    return _Effects(
        top[:, 0] + np.log(total * step),
        mean_z / sigma,
        (var_z - 1) / sigma**2,
        nodes,
        weights,
        mode,
    )


def _modes(loglik: Likelihood, s: Floats, sigma: float, start: Floats) -> tuple[Floats, Floats]:
    """Mode of each integrand and the width of its bell, by Newton on central differences."""
    eta = start.copy()
    h = 1e-3

    def value(at: Floats) -> Floats:
        return loglik(at[:, None])[:, 0] - 0.5 * ((at - s) / sigma) ** 2

    here = value(eta)
    for _ in range(60):
        low, middle, high = loglik(eta[:, None] + np.array([-h, 0.0, h])).T
        slope = (high - low) / (2 * h) - (eta - s) / sigma**2
        bend = np.minimum((high - 2 * middle + low) / h**2, 0.75 / sigma**2) - 1 / sigma**2
        step = np.clip(-slope / bend, -1.0, 1.0)
        new = value(eta + step)
        for _ in range(30):
            worse = ~(new >= here - 1e-9 * np.abs(here))
            if not worse.any():
                break
            step = np.where(worse, 0.5 * step, step)
            new = value(eta + step)
        eta, here = eta + step, new
        # The nodes need the bell, not its top: a hundredth of its width is plenty.
        if (np.abs(step) * np.sqrt(-bend) < 1e-2).all():
            return eta, 1 / np.sqrt(-bend)
    raise ConvergenceError("the mode of an area's effect was not reached", got=float(step.max()))


@dataclass(frozen=True, slots=True)
class _AtSigma:
    log_mass: float
    beta: Floats
    cov: Floats
    mode: Floats


def _coefficients(
    loglik: Likelihood, X: Floats, P: Floats, sigma: float, beta: Floats, mode: Floats
) -> _AtSigma:
    """Mode and curvature of the coefficients given sigma, areas integrated out."""

    def evaluate(b: Floats, start: Floats) -> tuple[float, _Effects]:
        found = _effects(loglik, X @ b, sigma, start)
        return float(found.log_marginal.sum() - 0.5 * b @ P @ b), found

    value, effects = evaluate(beta, mode)
    for _ in range(50):
        gradient = X.T @ effects.slope - P @ beta
        # The marginal log-likelihood need not be concave far from the mode: bend at most zero.
        H = P + (X * np.maximum(-effects.curvature, 1e-10)[:, None]).T @ X
        step = np.linalg.solve(H, gradient)
        # Twice the gain still to be had in log posterior.
        gain, length = float(gradient @ step), 1.0
        after, new = evaluate(beta + step, effects.mode)
        # Near the mode Newton needs no guard, and values move with the nodes by more than the gain
        # where a likelihood has an edge (a beta law of given variance).
        while gain > 1e-2 and after < value - 1e-9 * abs(value) and length > 1e-4:
            length *= 0.5
            after, new = evaluate(beta + length * step, effects.mode)
        beta, value, effects = beta + length * step, after, new
        if gain < 1e-8:
            H = P - (X * effects.curvature[:, None]).T @ X
            sign, logdet = np.linalg.slogdet(H)
            if sign <= 0:
                break
            return _AtSigma(value - 0.5 * float(logdet), beta, np.linalg.inv(H), effects.mode)
    raise ConvergenceError("the coefficients given the area effects' sd were not reached")


def integrate_rates(
    loglik: Likelihood,
    X: Floats,
    sampled: npt.NDArray[np.bool_],
    start: Floats,
    *,
    P: Floats,
    scale: float,
    probabilities: Floats,
) -> RatePosterior:
    """Integrate effects, coefficients and their standard deviation out.

    Parameters
    ----------
    loglik : callable
        From logits (m, K) of the sampled areas to log-likelihoods (m, K).
    X : ndarray of shape (M, p)
        All areas.
    sampled : ndarray of bool, shape (M,)
    start : ndarray of shape (m,)
        Logits to start from.
    P : ndarray of shape (p, p)
        Prior precision of the coefficients.
    scale : float
        Of the half-normal prior of sigma.
    probabilities : ndarray of shape (K,)
        Of the quantiles.

    Raises
    ------
    ConvergenceError
        A mode is not reached, or sigma is pushed against the end of its range.
    """
    Xs = X[sampled]
    beta = np.linalg.solve(Xs.T @ Xs + P, Xs.T @ start)
    # The posterior of sigma is close to normal with hundreds of areas: fewer nodes, less memory.
    nodes = 32 if len(Xs) <= 300 else 16
    sigmas, mass, given = _sigmas(loglik, Xs, P, scale, (beta, start), nodes)
    parts = [_areas(loglik, X, sampled, g, float(s)) for g, s in zip(given, sigmas, strict=True)]
    weights = mass
    eta = np.concatenate([p[0] for p in parts], axis=1)
    share = np.concatenate([a * p[1] for a, p in zip(weights, parts, strict=True)], axis=1)
    betas, covs = np.stack([g.beta for g in given]), np.stack([g.cov for g in given])
    mean_beta = weights @ betas
    cov = np.einsum("g,gij->ij", weights, covs)
    cov += (betas - mean_beta).T @ ((betas - mean_beta) * weights[:, None])
    sigma_u, sigma2_u = float(weights @ sigmas), float(weights @ sigmas**2)
    theta = expit(eta)
    mean = np.einsum("mk,mk->m", share, theta)
    center = np.einsum("mk,mk->m", share, eta)
    return RatePosterior(
        mean,
        np.einsum("mk,mk->m", share, (theta - mean[:, None]) ** 2),
        center,
        np.einsum("mk,mk->m", share, (eta - center[:, None]) ** 2),
        _quantiles(eta, share, probabilities),
        mean_beta,
        cov,
        {
            "sigma_u": sigma_u,
            "sd(sigma_u)": float(np.sqrt(max(sigma2_u - sigma_u**2, 0.0))),
            "sigma2_u": sigma2_u,
        },
        expit(X @ mean_beta),
    )


def _sigmas(
    loglik: Likelihood,
    X: Floats,
    P: Floats,
    scale: float,
    start: tuple[Floats, Floats],
    nodes: int,
) -> tuple[Floats, Floats, list[_AtSigma]]:
    """Nodes of sigma that carry mass, their mass, and the coefficients there.

    Nodes lie evenly on the square root, first from almost zero to four prior scales, then, while
    fewer than three in five of them carry mass, between those that bracket it: many areas leave
    sigma little room.
    """
    low, high = 0.02, 2.0
    t, w = np.polynomial.legendre.leggauss(nodes)
    for attempt in range(6):
        root = low + (high - low) * (t + 1) / 2
        sigmas = scale * root**2
        beta, mode = start
        given: list[_AtSigma] = []
        for sigma in sigmas.tolist():
            given.append(_coefficients(loglik, X, P, sigma, beta, mode))
            beta, mode = given[-1].beta, given[-1].mode
        log = np.array([g.log_mass for g in given]) - 0.5 * (sigmas / scale) ** 2 + np.log(root)
        mass = w * np.exp(log - log.max())
        mass /= mass.sum()
        if attempt == 0 and mass[-1] > 1e-6:
            raise ConvergenceError(
                "the area effects outgrow their prior",
                got=f"sigma up to {sigmas[-1]:.3g}",
                hint="raise the scale of the prior, or add covariates",
            )
        kept = np.flatnonzero(mass > 1e-8)
        if len(kept) >= 0.6 * nodes:
            return sigmas[kept], mass[kept] / mass[kept].sum(), [given[k] for k in kept.tolist()]
        low = float(root[kept[0] - 1]) if kept[0] > 0 else low
        high = float(root[kept[-1] + 1]) if kept[-1] + 1 < nodes else high
    raise ConvergenceError("nodes of the area effects' sd did not find its posterior")


def _areas(
    loglik: Likelihood,
    X: Floats,
    sampled: npt.NDArray[np.bool_],
    g: _AtSigma,
    sigma: float,
) -> tuple[Floats, Floats]:
    """Nodes of the logits of every area and their mass given sigma, shape (M, 9 K) each.

    Coefficients reach an area through its prior mean alone, a normal number: nine Hermite nodes,
    each weighed by the likelihood's own answer (`_effects`), since area i is in the mode already.
    """
    M = len(X)
    mean = X @ g.beta
    sd = np.sqrt(np.einsum("ij,jk,ik->i", X, g.cov, X))
    eta = np.empty((M, len(_OFFSETS), len(_T)))
    share = np.empty_like(eta)
    normal = np.exp(-0.5 * _T**2)
    for j, (offset, weight) in enumerate(zip(_OFFSETS, _OFFSET_WEIGHTS, strict=True)):
        s = mean + offset * sd
        found = _effects(loglik, s[sampled], sigma, g.mode)
        eta[sampled, j], share[sampled, j] = found.nodes, weight * found.weights
        eta[~sampled, j] = s[~sampled, None] + sigma * _T
        share[~sampled, j] = weight * normal / normal.sum()
    return eta.reshape(M, -1), share.reshape(M, -1)


def _quantiles(eta: Floats, share: Floats, probabilities: Floats) -> Floats:
    """Quantiles of weighted nodes by interpolation of their distribution function, (K, M)."""
    order = np.argsort(eta, axis=1)
    x = np.take_along_axis(eta, order, axis=1)
    mass = np.take_along_axis(share, order, axis=1)
    cdf = np.cumsum(mass, axis=1) - 0.5 * mass
    return np.stack([np.interp(probabilities, c, v) for c, v in zip(cdf, x, strict=True)], axis=1)
