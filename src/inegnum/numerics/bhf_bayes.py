"""Posterior of the nested error regression by two-dimensional quadrature: no Markov chain.

Model
    y_ij = x_ij' beta + u_i + e_ij, u_i ~ N(0, rho sigma2_e), e_ij ~ N(0, sigma2_e / a_ij).
    Given (rho, sigma_e) the posterior of coefficients and areas is normal and closed; the two
    scalars are integrated on nodes of sqrt(rho) and log sigma2_e.

Priors
    half-cauchy   sigma_u half-Cauchy of a given scale, beta flat, p(sigma2_e) ~ 1 / sigma2_e
    flat          sigma2_u / sigma2_e flat (R ``hbsae``), beta flat, p(sigma2_e) ~ 1 / sigma2_e
    weak          R ``rstanarm``'s defaults: sigma_u / sigma_e ~ Exp(1), sigma_e ~ Exp(1 / sd(y)),
                  slopes N(0, (2.5 sd(y) / sd(x))^2), intercept at the means of x
                  N(mean(y), (2.5 sd(y))^2)

Assumptions, limits
    Normal effects and errors. Nodes of sqrt(rho) are doubled until means and variances settle; the
    flat prior has a posterior only with more than p + 2 areas.

References
----------
    Datta and Ghosh (1991) doi:10.1214/aos/1176348369; Rao and Molina (2015)
    doi:10.1002/9781118735855, section 10.5; Gelman (2006) doi:10.1214/06-BA117A.

Must match R ``rstanarm::stan_lmer`` (weak) within its Monte-Carlo error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, InputError
from inegnum.numerics.bhf_predict import Targets, rest_means
from inegnum.numerics.bhf_sums import Design, Responses

__all__ = ["BhfPosterior", "Prior", "integrate_bhf"]

Floats = npt.NDArray[np.float64]
Prior = Literal["half-cauchy", "flat", "weak"]

# A node of log posterior density this far below the top holds less than 1e-13 of the mass.
_NEGLIGIBLE = 36.0
_NODES_E = 40


@dataclass(frozen=True, slots=True)
class BhfPosterior:
    """Posterior of D area means and of the parameters, a mixture over G nodes of rho.

    Attributes
    ----------
    mean, variance : ndarray of shape (D,)
        Of the area means.
    means, variances : ndarray of shape (G, D)
        Given each node.
    weights : ndarray of shape (G,)
        Posterior mass of the nodes.
    beta : ndarray of shape (p,)
    cov_beta : ndarray of shape (p, p)
    effects, effect_sd : ndarray of shape (m,)
        Of sampled areas.
    gamma : ndarray of shape (D,)
        Posterior mean of the weight of an area's own data.
    moments : dict
        Posterior means and sds: ``sigma2_u, sigma_u, sd(sigma_u), sigma2_e, sigma_e, sd(sigma_e)``.
    factor : ndarray of shape (D, p)
        Loadings of the area means on the shared error of the coefficients.
    error : float
        Last change of a mean or variance when nodes were doubled, in units of itself.
    """

    mean: Floats
    variance: Floats
    means: Floats
    variances: Floats
    weights: Floats
    beta: Floats
    cov_beta: Floats
    effects: Floats
    effect_sd: Floats
    gamma: Floats
    moments: dict[str, float]
    factor: Floats
    error: float


@dataclass(frozen=True, slots=True)
class _Beliefs:
    """Priors in the scaled coordinates of the design: precision P (p, p) around `centre` (p,)."""

    kind: Prior
    scale: float
    P: Floats
    centre: Floats
    rate: float

    @classmethod
    def of(cls, kind: Prior, scale: float, design: Design, y: Floats) -> _Beliefs:
        p = design.p
        P, centre, sd = np.zeros((p, p)), np.zeros(p), float(np.std(y, ddof=1))
        if kind == "weak":
            Z = design.X @ design.T
            spread = Z.std(axis=0, ddof=1)
            constant = spread <= 1e-9
            wide = 2.5 * sd / np.where(constant, np.abs(Z[0]), spread)
            P = np.diag(1 / wide**2)
            centre[constant] = float(y.mean()) / Z[0, constant]
        return cls(kind, scale, P, centre, 1 / sd)

    def log_density(self, v: Floats, x: Floats) -> Floats:
        """Log prior at v = sqrt(rho) and x = log sigma2_e, as a density in (v, x)."""
        if self.kind == "flat":
            return np.log(v)
        sigma_e = np.exp(x / 2)
        if self.kind == "weak":
            # sigma_e has density exp(-rate sigma_e); dsigma_e = sigma_e dx / 2.
            return np.asarray(-v - self.rate * sigma_e + x / 2)
        return np.asarray(x / 2 - np.log1p((v * sigma_e / self.scale) ** 2))


@dataclass(frozen=True, slots=True)
class _Given:
    """Everything at one node of rho, integrated over sigma2_e."""

    log_mass: float
    beta: Floats
    cov: Floats  # of beta, its mean moving with sigma2_e included
    sigma2_e: float
    sigma_e: float


def _given(
    rho: float, design: Design, data: Responses, beliefs: _Beliefs, nodes: tuple[Floats, Floats]
) -> _Given:
    w = design.a_i / (1.0 + rho * design.a_i)
    A = design.W + (design.xbar * w[:, None]).T @ design.xbar
    b = np.linalg.solve(A, data.Wxy[0] + (w * data.ybar[0]) @ design.xbar)
    r = data.ybar[0] - design.xbar @ b
    within = data.Wyy[0] - 2 * b @ data.Wxy[0] + b @ design.W @ b
    rss = float(max(within, 0.0) + w @ r**2)
    n, p = design.n, design.p
    vague = beliefs.kind != "weak"
    nu = float(n - p) if vague else float(n)
    # nu / 2 (d + e^-d - 1), the fall of the log density of log sigma2_e, passes the bound inside.
    up = 2 * _NEGLIGIBLE / nu + 2 * np.sqrt(_NEGLIGIBLE / nu)
    low, high = -np.log1p(up), up + (0.0 if vague else 0.5)
    t, weight = nodes
    x = np.log(rss / nu) + low + (high - low) * t
    s2 = np.exp(x)
    K = A / s2[:, None, None] + beliefs.P
    C = np.linalg.inv(K)
    off = b - beliefs.centre
    mean = b - np.einsum("kij,j->ki", C, beliefs.P @ off)
    distance = off @ beliefs.P @ off - np.einsum("i,kij,j->k", beliefs.P @ off, C, beliefs.P @ off)
    log = -0.5 * (n * x + rss / s2 + np.linalg.slogdet(K)[1] + distance)
    log += beliefs.log_density(np.full_like(x, np.sqrt(rho)), x) + np.log(weight * (high - low))
    log -= 0.5 * float(np.log1p(rho * design.a_i).sum())
    top = float(log.max())
    mass = np.exp(log - top)
    total = float(mass.sum())
    mass /= total
    centre = mass @ mean
    cov = np.einsum("k,kij->ij", mass, C) + (mean - centre).T @ ((mean - centre) * mass[:, None])
    return _Given(top + float(np.log(total)), centre, cov, float(mass @ s2), float(mass @ s2**0.5))


def integrate_bhf(
    design: Design,
    data: Responses,
    y: Floats,
    targets: Targets,
    *,
    prior: Prior = "half-cauchy",
    scale: float = 1.0,
) -> BhfPosterior:
    """Integrate variance components and coefficients out.

    Parameters
    ----------
    design : Design
    data : Responses
        One response.
    y : ndarray of shape (n,)
        The same, unit by unit (its mean and spread scale the weak prior).
    targets : Targets
        Areas to estimate.
    prior : {"half-cauchy", "flat", "weak"}
    scale : float
        Of the half-Cauchy, in the unit of y.

    Raises
    ------
    InputError
        The flat prior has no posterior with so few areas.
    ConvergenceError
        Doubling the nodes still moves a mean or a variance by 1e-7.
    """
    if prior == "flat" and design.m <= design.p + 2:
        raise InputError(
            "a flat prior on the variance ratio has no posterior with so few areas",
            got=f"{design.m} areas, {design.p} coefficients",
            hint="use the half-cauchy prior",
        )
    beliefs = _Beliefs.of(prior, scale, design, y)
    unit = 1 / np.sqrt(float(np.median(design.a_i)))
    span = _span(design, data, beliefs, unit)
    previous: BhfPosterior | None = None
    G, error = 24, np.inf
    while G <= 768:
        current = _quadrature(G, span, unit, (design, data, beliefs, targets))
        if previous is not None:
            # An area sampled whole has no variance but rounding, and nothing that could move.
            open_ = current.variance > 1e-20 * (current.mean**2 + current.moments["sigma2_e"])
            sd = np.sqrt(np.where(open_, current.variance, np.inf))
            change = np.abs(current.mean - previous.mean) / sd
            ratio = np.abs(current.variance - previous.variance) / sd**2
            error = float(max(change.max(), ratio.max()))
            if error < 1e-7:
                return replace(current, error=error)
        previous, G = current, 2 * G
    raise ConvergenceError("quadrature of the variance components did not settle", got=error)


def _inner_nodes() -> tuple[Floats, Floats]:
    t, w = np.polynomial.legendre.leggauss(_NODES_E)
    return (t + 1) / 2, w / 2


def _outer_log_mass(t: Floats, given: list[_Given]) -> Floats:
    """Log posterior density in t, with v proportional to t / (1 - t), up to a constant."""
    return np.asarray(np.array([g.log_mass for g in given]) - 2 * np.log1p(-t))


def _span(design: Design, data: Responses, beliefs: _Beliefs, unit: float) -> tuple[float, float]:
    """Return the range of t that holds the posterior."""
    t = (np.arange(96) + 0.5) / 96
    nodes = _inner_nodes()
    given = [_given(float(x), design, data, beliefs, nodes) for x in (unit * t / (1 - t)) ** 2]
    log = _outer_log_mass(t, given)
    inside = np.flatnonzero(log > log.max() - _NEGLIGIBLE)
    return max(float(t[inside[0]]) - 1 / 96, 0.0), min(float(t[inside[-1]]) + 1 / 96, 1.0)


def _quadrature(
    G: int,
    span: tuple[float, float],
    unit: float,
    problem: tuple[Design, Responses, _Beliefs, Targets],
) -> BhfPosterior:
    design, data, beliefs, targets = problem
    t, w = np.polynomial.legendre.leggauss(G)
    t = span[0] + (span[1] - span[0]) * (t + 1) / 2
    v = unit * t / (1 - t)
    nodes = _inner_nodes()
    given = [_given(float(x), design, data, beliefs, nodes) for x in v**2]
    log = np.log(w) + _outer_log_mass(t, given)
    mass = np.exp(log - log.max())
    used = mass > 1e-15 * mass.sum()
    mass, v = mass[used] / mass[used].sum(), v[used]
    given = [g for g, keep in zip(given, used.tolist(), strict=True) if keep]
    return _summarise(mass, v, given, (design, data, targets))


def _summarise(
    mass: Floats,
    v: Floats,
    given: list[_Given],
    problem: tuple[Design, Responses, Targets],
) -> BhfPosterior:
    design, data, targets = problem
    seen, at = targets.observed, targets.sampled
    x_rest = rest_means(design, targets) @ design.T
    own = np.where(seen[:, None], design.xbar[at], 0.0)
    ybar = np.where(seen, data.ybar[0][at], 0.0)
    a = np.where(seen, design.a_i[at], 0.0)
    share = 1 - targets.f
    known = targets.f * np.where(seen, data.ymean[0][at], 0.0)
    unsampled = np.where(targets.rest > 0, 1 / np.maximum(targets.rest, 1.0), 0.0)
    means, variances, gammas, us, u_squares = [], [], [], [], []
    for ratio, g in zip((v**2).tolist(), given, strict=True):
        gamma = ratio * a / (1 + ratio * a)
        d = x_rest - gamma[:, None] * own
        means.append(known + share * (d @ g.beta + gamma * ybar))
        spread = np.einsum("ij,jk,ik->i", d, g.cov, d)
        effect = (1 - gamma) * ratio * g.sigma2_e
        variances.append(share**2 * (effect + spread + unsampled * g.sigma2_e))
        gammas.append(gamma)
        weight = ratio * design.a_i / (1 + ratio * design.a_i)
        us.append(weight * (data.ybar[0] - design.xbar @ g.beta))
        loose = weight[:, None] * design.xbar
        own_var = (1 - weight) * ratio * g.sigma2_e
        u_squares.append(own_var + np.einsum("ij,jk,ik->i", loose, g.cov, loose) + us[-1] ** 2)
    M, V = np.stack(means), np.stack(variances)
    mean = mass @ M
    betas = np.stack([g.beta for g in given])
    beta = mass @ betas
    cov = np.einsum("g,gij->ij", mass, np.stack([g.cov for g in given]))
    cov += (betas - beta).T @ ((betas - beta) * mass[:, None])
    effects = mass @ np.stack(us)
    gamma = mass @ np.stack(gammas)
    loading = share[:, None] * (x_rest - gamma[:, None] * own) @ np.linalg.cholesky(cov)
    return BhfPosterior(
        mean,
        mass @ (V + (M - mean) ** 2),
        M,
        V,
        mass,
        design.T @ beta,
        design.T @ cov @ design.T.T,
        effects,
        np.sqrt(mass @ np.stack(u_squares) - effects**2),
        gamma,
        _moments(mass, v, given),
        loading,
        np.inf,
    )


def _moments(mass: Floats, v: Floats, given: list[_Given]) -> dict[str, float]:
    """Posterior means and standard deviations of the variance components."""
    s2, s = (np.array([getattr(g, name) for g in given]) for name in ("sigma2_e", "sigma_e"))
    values = {
        "sigma2_u": float(mass @ (v**2 * s2)),
        "sigma_u": float(mass @ (v * s)),
        "sigma2_e": float(mass @ s2),
        "sigma_e": float(mass @ s),
    }
    for name in ("u", "e"):
        spread = values[f"sigma2_{name}"] - values[f"sigma_{name}"] ** 2
        values[f"sd(sigma_{name})"] = float(np.sqrt(max(spread, 0.0)))
    return values
