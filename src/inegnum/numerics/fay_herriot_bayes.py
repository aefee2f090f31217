"""Posterior of the Fay-Herriot model by one-dimensional quadrature: no Markov chain.

Model
    y = X beta + u + e, flat prior on beta, prior p(s) on the area variance. Given s everything is
    normal and closed; the marginal posterior of s is p(s) times the restricted likelihood.

Priors
    flat          p(s) proportional to 1 (R ``hbsae``): needs m > p + 2
    half-cauchy   on the standard deviation, of a given scale (R ``mcmcsae``)

Limits
    Nodes on s = scale t / (1 - t), Gauss-Legendre in t: the error is checked by doubling them.

References
----------
    Rao and Molina (2015) doi:10.1002/9781118735855, section 10.3; Gelman (2006)
    doi:10.1214/06-BA117A; Boonstra (2012), hbsae.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, InputError
from inegnum.numerics.reml import fit_at, objective

__all__ = ["FayHerriotPosterior", "Prior", "integrate_fay_herriot"]

Floats = npt.NDArray[np.float64]
Prior = Literal["flat", "half-cauchy"]


@dataclass(frozen=True, slots=True)
class FayHerriotPosterior:
    """Posterior on nodes of the area variance.

    Attributes
    ----------
    mean, variance : ndarray of shape (M,)
        Of the areas, those without direct estimate included.
    sigma2, sigma : float
        Posterior means of the variance and of the standard deviation of area effects.
    sigma_sd : float
        Posterior standard deviation of the latter.
    beta : ndarray of shape (p,)
    cov_beta : ndarray of shape (p, p)
    nodes, weights : ndarray of shape (G,)
        Values of the variance and their posterior mass.
    means, variances : ndarray of shape (G, M)
        Of the areas given each node.
    error : float
        Largest change of a mean between the last two quadratures, in posterior sd.
    """

    mean: Floats
    variance: Floats
    sigma2: float
    sigma: float
    sigma_sd: float
    beta: Floats
    cov_beta: Floats
    nodes: Floats
    weights: Floats
    means: Floats
    variances: Floats
    error: float


def _given(s: float, y: Floats, X: Floats, D: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean and variance of the areas, mean and covariance of beta, given the variance."""
    at = ~np.isnan(y)
    fit = fit_at(s, y[at], X[at], D[at])
    B = np.where(at, D / (s + D), 1.0)
    fixed = X @ fit.beta
    mean = np.where(at, fixed + (1 - B) * (np.where(at, y, 0.0) - fixed), fixed)
    spread = B**2 * np.einsum("ij,jk,ik->i", X, fit.cov_beta, X)
    return mean, s * B + spread, fit.beta, fit.cov_beta


def _log_prior(s: Floats, prior: Prior, scale: float) -> Floats:
    if prior == "flat":
        return np.zeros_like(s)
    # Density of s when sqrt(s) is half-Cauchy: 1 / (sqrt(s) (1 + s / scale^2)).
    return np.asarray(-0.5 * np.log(s) - np.log1p(s / scale**2))


def integrate_fay_herriot(
    y: Floats, X: Floats, D: Floats, *, prior: Prior = "half-cauchy", scale: float = 1.0
) -> FayHerriotPosterior:
    """Integrate the area variance out.

    Parameters
    ----------
    y, D : ndarray of shape (M,)
        Missing where an area has no direct estimate.
    X : ndarray of shape (M, p)
    prior : {"half-cauchy", "flat"}
    scale : float
        Of the half-Cauchy prior on the standard deviation, in the unit of y.

    Raises
    ------
    InputError
        The posterior does not exist (flat prior with m <= p + 2).
    ConvergenceError
        Doubling the nodes still moves a mean by a thousandth of its sd.
    """
    at = ~np.isnan(y)
    m, p = int(at.sum()), X.shape[1]
    if prior == "flat" and m <= p + 2:
        raise InputError(
            "a flat prior on the variance has no posterior with so few areas",
            got=f"{m} areas, {p} coefficients",
            hint="use the half-cauchy prior",
        )
    centre = float(np.median(D[at]))
    previous: FayHerriotPosterior | None = None
    G, error = 48, np.inf
    while G <= 1536:
        current = _quadrature(G, (y, X, D), prior, scale, centre)
        if previous is not None:
            change = np.abs(current.mean - previous.mean) / np.sqrt(current.variance)
            ratio = np.abs(current.variance / previous.variance - 1)
            error = float(max(change.max(), ratio.max()))
            if error < 1e-8:
                return replace(current, error=error)
        previous, G = current, 2 * G
    raise ConvergenceError("quadrature of the area variance did not settle", got=error)


def _quadrature(
    G: int, data: tuple[Floats, Floats, Floats], prior: Prior, scale: float, centre: float
) -> FayHerriotPosterior:
    y, X, D = data
    at = ~np.isnan(y)
    t, w = np.polynomial.legendre.leggauss(G)
    # v = sqrt(s) grows like t / (1 - t): smooth at zero for both priors.
    t, w = (t + 1) / 2, w / 2
    v = np.sqrt(centre) * t / (1 - t)
    s = v * v
    jacobian = 2 * v * np.sqrt(centre) / (1 - t) ** 2
    loglik = objective(s, y[at], X[at], D[at])
    log_mass = np.log(w) + np.log(jacobian) + loglik + _log_prior(s, prior, scale)
    mass = np.exp(log_mass - log_mass.max())
    mass /= mass.sum()
    used = mass > 1e-18
    parts = [_given(float(x), y, X, D) for x in s[used]]
    weight = mass[used] / mass[used].sum()
    means, variances, betas, covs = (np.stack([q[k] for q in parts]) for k in range(4))
    mean, beta = weight @ means, weight @ betas
    between = betas - beta
    return FayHerriotPosterior(
        mean,
        weight @ (variances + (means - mean) ** 2),
        float(weight @ s[used]),
        float(weight @ v[used]),
        float(np.sqrt(weight @ s[used] - (weight @ v[used]) ** 2)),
        beta,
        np.einsum("g,gij->ij", weight, covs) + np.einsum("g,gi,gj->ij", weight, between, between),
        s[used],
        weight,
        means,
        variances,
        np.inf,
    )
