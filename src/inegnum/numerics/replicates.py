"""Replicate weights: how much each unit counts in each pretended resample.

Each scheme gives factors of shape (C, R) for the sampling units of a one-stage design; variance is
``scale * sum_r rscale_r (theta_r - centre)^2``. Limits: first stage only (with-replacement variance
of the ultimate clusters). R: ``survey::as.svrepdesign``; rescaled bootstrap: ``surveysd``.
References: Rust & Rao (1996) doi:10.1177/096228029600500305; Fay (1989); Canty & Davison (1999);
Rao & Wu (1988); Chipperfield & Preston (2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError
from inegnum.numerics.variance import Stage

__all__ = ["Factors", "Scheme", "replicate_covariance", "replicate_factors"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Scheme = Literal["jk1", "jkn", "brr", "fay", "bootstrap", "subbootstrap", "rescaled"]


@dataclass(frozen=True, slots=True)
class Factors:
    """Replicate factors of sampling units.

    Attributes
    ----------
    values : ndarray of shape (C, R)
    scale : float
    rscales : ndarray of shape (R,)
    """

    values: Floats
    scale: float
    rscales: Floats


def replicate_factors(
    stage: Stage, scheme: Scheme, *, replicates: int, rho: float, seed: int | np.random.Generator
) -> Factors:
    """Return replicate factors of the sampling units of a stage.

    Parameters
    ----------
    stage : Stage
    scheme : str
        ``jk1`` (no strata), ``jkn``, ``brr`` (two units a stratum), ``fay``, ``bootstrap``
        (Canty-Davison), ``subbootstrap`` (Rao-Wu, n - 1 drawn) or ``rescaled`` (half drawn without
        replacement).
    replicates : int
        Number of bootstrap replicates.
    rho : float
        Fay's coefficient.
    seed : int or Generator
    """
    rng = np.random.default_rng(seed)
    match scheme:
        case "jk1":
            return _jk1(stage)
        case "jkn":
            return _jkn(stage)
        case "brr":
            return _balanced(stage, 0.0)
        case "fay":
            return _balanced(stage, rho)
        case "bootstrap" | "subbootstrap" | "rescaled":
            return _bootstrap(stage, scheme, replicates, rng)
        case _:
            raise InputError(
                "unknown replicate scheme",
                got=scheme,
                expected="jk1, jkn, brr, fay, bootstrap, subbootstrap, rescaled",
            )


def replicate_covariance(
    theta: Floats, point: Floats, scale: float, rscales: Floats, *, around_point: bool = False
) -> Floats:
    """Return the covariance of replicated estimates.

    Parameters
    ----------
    theta : ndarray of shape (R, k)
    point : ndarray of shape (k,)
    around_point : bool
        Deviations from the point estimate instead of the replicates' mean.
    """
    centre = point if around_point else theta[rscales > 0].mean(axis=0)
    deviation = (theta - centre) * np.sqrt(scale * rscales)[:, None]
    return np.asarray(deviation.T @ deviation)


def _jk1(stage: Stage) -> Factors:
    if stage.count.size != 1:
        raise InputError("jk1 is for designs without strata", hint='use "jkn"')
    _require_pairs(stage, at_least=2)
    n = stage.stratum.size
    values = np.full((n, n), n / (n - 1))
    np.fill_diagonal(values, 0.0)
    kept = 1 - n / float(stage.population[0])
    return Factors(values, (n - 1) / n * kept, np.ones(n))


def _jkn(stage: Stage) -> Factors:
    _require_pairs(stage, at_least=2)
    C = stage.stratum.size
    n = stage.count[stage.stratum].astype(np.float64)
    same = stage.stratum[:, None] == stage.stratum[None, :]
    values = np.where(same, (n / (n - 1))[None, :], 1.0)
    np.fill_diagonal(values, 0.0)
    kept = 1 - (stage.count / stage.population)[stage.stratum]
    return Factors(values, 1.0, (n - 1) / n * kept * np.ones(C))


def _balanced(stage: Stage, rho: float) -> Factors:
    from scipy.linalg import hadamard

    if not 0 <= rho < 1:
        raise InputError("Fay's coefficient lies between 0 and 1", got=rho)
    if not np.all(stage.count == 2):
        raise InputError(
            "balanced replicates need two sampling units in every stratum",
            got=f"{int((stage.count != 2).sum())} strata with another number",
            hint='use "jkn" or a bootstrap',
        )
    H = stage.count.size
    R = 1 << int(np.ceil(np.log2(H + 1)))
    signs = hadamard(R)[:, 1 : H + 1]
    order = np.argsort(stage.stratum, kind="stable")
    first = np.zeros(stage.stratum.size, dtype=bool)
    first[order[::2]] = True
    sign = np.where(first[:, None], 1, -1) * signs.T[stage.stratum]
    return Factors(1 + (1 - rho) * sign.astype(float), 1 / (R * (1 - rho) ** 2), np.ones(R))


def _bootstrap(stage: Stage, scheme: Scheme, replicates: int, rng: np.random.Generator) -> Factors:
    if replicates < 2:
        raise InputError("a bootstrap needs at least two replicates", got=replicates)
    _require_pairs(stage, at_least=2)
    values = np.empty((stage.stratum.size, replicates))
    ratio = []
    for h, n in enumerate(stage.count.tolist()):
        rows = np.flatnonzero(stage.stratum == h)
        population = float(stage.population[h])
        if scheme == "subbootstrap":
            drawn = rng.multinomial(n - 1, np.full(n, 1 / n), size=replicates).T
            values[rows] = drawn * n / (n - 1)
        elif scheme == "rescaled":
            values[rows] = _half_samples(n, population, replicates, rng)
        else:
            values[rows] = _resampled(n, population, replicates, rng)
            ratio.append(n / (n - 1))
    scale = 1 / (replicates - 1)
    if scheme == "bootstrap":
        # Resampling n of n understates the variance by (n - 1)/n, on average over strata.
        scale *= float(np.mean(ratio))
    return Factors(values, scale, np.ones(replicates))


def _resampled(n: int, population: float, replicates: int, rng: np.random.Generator) -> Floats:
    """Return counts of n units drawn from a pseudo-population of copies of the sample."""
    if not np.isfinite(population):
        return rng.multinomial(n, np.full(n, 1 / n), size=replicates).T.astype(np.float64)
    whole, rest = divmod(round(population), n)
    out = np.empty((n, replicates))
    for r in range(replicates):
        copies = np.full(n, whole)
        copies[rng.permutation(n)[:rest]] += 1
        out[:, r] = rng.multivariate_hypergeometric(copies, n)
    return out


def _half_samples(n: int, population: float, replicates: int, rng: np.random.Generator) -> Floats:
    half = n // 2
    picked = np.argsort(rng.random((n, replicates)), axis=0) < half
    stretch = np.sqrt(half * (1 - n / population) / (n - half))
    return np.asarray(1 - stretch + stretch * (n / half) * picked)


def _require_pairs(stage: Stage, at_least: int) -> None:
    few = np.flatnonzero(stage.count < at_least)
    if few.size:
        raise InputError(
            "replicates need two sampling units in every stratum",
            got=f"{few.size} strata with a single one",
            hint="merge strata",
        )
