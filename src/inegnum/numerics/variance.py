"""Variance of weighted totals under stratified, clustered and multistage designs.

Model: with-replacement (ultimate cluster) variance of stage s within its stratum,
``(1 - f) n/(n-1) sum (u_c - mean u)^2``, later stages weighted by the earlier sampling fractions.
Input is already weighted, linearised and residualised: ``u_k = w_k e_k``.
Limits: joint inclusion probabilities are not used; a stage without population sizes ends the
recursion. R: ``survey::svyrecvar``; ``sampling::varest`` for `deville`.
References: Särndal, Swensson & Wretman (1992) chapter 4; Lumley (2010) chapter 3; Deville (1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from inegnum.errors import InputError

__all__ = ["Lonely", "Stage", "deville", "domain_variances", "nested_stages", "stage_covariance"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Lonely = Literal["fail", "remove", "certainty", "adjust", "average"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of sampling.

    Attributes
    ----------
    cluster : ndarray of shape (n,)
        Sampling unit of each row, numbered 0..C-1 across strata.
    stratum : ndarray of shape (C,)
        Stratum of each sampling unit, numbered 0..H-1.
    count : ndarray of shape (H,)
        Sampling units drawn in each stratum.
    population : ndarray of shape (H,)
        Sampling units of each stratum; infinite without a finite population correction.
    share : ndarray of shape (H,)
        Product of the sampling fractions of earlier stages.
    """

    cluster: Ints
    stratum: Ints
    count: Ints
    population: Floats
    share: Floats

    @property
    def factor(self) -> Floats:
        """Return ``share (1 - f) n / (n - 1)``, with n/(n-1) = 1 where n = 1, shape (H,)."""
        n = self.count.astype(np.float64)
        return np.asarray(self.share * (1 - n / self.population) * n / np.maximum(n - 1, 1))


def nested_stages(
    clusters: Sequence[Ints], strata: Sequence[Ints], populations: Sequence[Floats]
) -> tuple[Stage, ...]:
    """Return the stages of a design, each nested in the one before.

    Parameters
    ----------
    clusters, strata : sequence of ndarray of shape (n,)
        Sampling units and strata of each stage.
    populations : sequence of ndarray of shape (n,)
        Population sizes of the strata, infinite where there is no correction.
    """
    stages: list[Stage] = []
    parent = np.zeros(clusters[0].size, dtype=np.intp)
    share = np.ones(parent.size)
    for cluster, stratum, population in zip(clusters, strata, populations, strict=True):
        h = _number(parent, stratum)
        c = _number(h, cluster)
        first = np.unique(c, return_index=True)[1]
        first_h = np.unique(h, return_index=True)[1]
        count = np.bincount(h[first], minlength=first_h.size)
        stages.append(Stage(c, h[first], count, population[first_h], share[first_h]))
        short = np.flatnonzero(population[first_h] < count)
        if short.size:
            raise InputError(
                "a stratum has more sampling units in the sample than in the population",
                where=f"stage {len(stages)}",
                got=f"{count[short[0]]} sampled of {population[first_h][short[0]]:g}",
                hint="fpc holds population sizes (or sampling fractions below 1) of the stratum",
            )
        if not np.isfinite(population).all():
            break
        share = share * (count / population[first_h])[h]
        parent = c
    return tuple(stages)


def _number(outer: Ints, inner: Ints) -> Ints:
    """Return the rank of each pair (outer, inner) among the distinct pairs."""
    key = outer * (int(inner.max(initial=0)) + 1) + inner
    return np.asarray(np.unique(key, return_inverse=True)[1], dtype=np.intp)


def stage_covariance(u: Floats, stages: Sequence[Stage], lonely: Lonely) -> Floats:
    """Return the covariance matrix of the column totals of u.

    Parameters
    ----------
    u : ndarray of shape (n, k)
        Weighted linearised values.
    stages : sequence of Stage
    lonely : {"fail", "remove", "certainty", "adjust", "average"}
        What a stratum with a single sampling unit contributes: an error, nothing (twice), its
        deviation from the mean of all units of the stage, or the mean of the other strata.

    Returns
    -------
    ndarray of shape (k, k)
    """
    total = np.zeros((u.shape[1], u.shape[1]))
    for stage in stages:
        sums = sums_by(stage.cluster, u, stage.stratum.size)
        n = stage.count
        centre = sums_by(stage.stratum, sums, n.size) / n[:, None]
        alone = (n == 1) & (stage.population > 1)
        if alone.any() and lonely == "fail":
            raise InputError(
                "strata with a single sampling unit have no variance",
                got=f"{int(alone.sum())} of {n.size} strata",
                hint='merge them with neighbours, or choose lonely="adjust" or "average"',
            )
        if lonely == "adjust":
            centre[alone] = sums.mean(axis=0)
        deviation = (sums - centre[stage.stratum]) * np.sqrt(stage.factor[stage.stratum])[:, None]
        part = deviation.T @ deviation
        if lonely == "average" and alone.any():
            part *= n.size / (n.size - int(alone.sum()))
        total += part
    return total


def sums_by(group: Ints, values: Floats, size: int) -> Floats:
    """Return sums of rows of values by group, shape (size, k)."""
    return np.column_stack([np.bincount(group, column, size) for column in values.T])


def domain_variances(
    values: sparse.csc_array,
    w: Floats,
    x: sparse.csr_array | None,
    coefficients: Floats | None,
    stage: Stage,
) -> Floats:
    """Return variances of many totals that each concern few rows, without forming their residuals.

    With ``u = w (a - x B)``, a sparse and B of shape (p, D), sums of squares expand into sums over
    the non-zero entries and p x p products, so that D domains cost little more than one.

    Parameters
    ----------
    values : csc_array of shape (n, D)
        Linearised values, zero outside their domain.
    w : ndarray of shape (n,)
        Weights.
    x : csr_array of shape (n, p), optional
        Auxiliary variables of the calibration.
    coefficients : ndarray of shape (p, D), optional
        Regression coefficients of `values` on x.
    stage : Stage
        The only stage; strata of one unit contribute nothing.

    Returns
    -------
    ndarray of shape (D,)
    """
    C, H = stage.stratum.size, stage.count.size
    scale = stage.factor
    by_unit = w.size == C and bool(np.all(stage.cluster == np.arange(C)))
    gather = sparse.csr_array((w, (stage.cluster, np.arange(w.size))), shape=(C, w.size))
    A = sparse.csc_array(values * w[:, None]) if by_unit else sparse.csc_array(gather @ values)
    row = scale[stage.stratum]
    strata = sparse.csr_array((np.ones(C), (stage.stratum, np.arange(C))), shape=(H, C))
    squares = np.asarray((A.multiply(A)).T @ row)
    means = (strata @ A).toarray() if H > 1 else np.asarray(A.sum(axis=0))[None, :]
    if x is not None and coefficients is not None:
        XC = gather @ x
        scaled = sparse.csr_array(
            (XC.data * np.repeat(row, np.diff(XC.indptr)), XC.indices, XC.indptr), shape=XC.shape
        )
        cross = (scaled.T @ A).toarray()
        square = (scaled.T @ XC).toarray()
        squares = (
            squares
            - 2 * np.einsum("pd,pd->d", cross, coefficients)
            + np.einsum("pd,pd->d", coefficients, square @ coefficients)
        )
        means = means - (strata @ XC).toarray() @ coefficients
    correction = (scale / stage.count) @ means**2
    # Rounding may leave a variance that is zero by construction a hair below it.
    return np.asarray(np.maximum(squares - correction, 0.0))


def deville(y: Floats, pi: Floats) -> float:
    """Return Deville's approximate variance of the Horvitz-Thompson total of y.

    Fixed-size designs of unequal probabilities pi; R ``sampling::varest``.
    """
    a = (1 - pi) / np.sum(1 - pi)
    centre = np.sum(a * y / pi)
    return float(np.sum((1 - pi) * (y / pi - centre) ** 2) / (1 - np.sum(a**2)))
