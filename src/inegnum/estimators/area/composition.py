"""Shares of several categories at once, that add up to one in every area.

Model
    alr(z)_j = log(z_j / z_q), j < q, follows a multivariate Fay-Herriot model with unstructured
    covariance of the area effects; the sampling covariance goes through the delta method. Estimates
    come back as E[softmax(theta) | data], by quasi-Monte-Carlo normals.

Assumptions
    Those of `multivariate_fay_herriot`; no observed share is 0 or 1. Which category is the last
    does not matter to the model's flexibility, only to rounding.

Limits
    The delta method at observed shares is noisy for small samples: smooth the covariances, or take
    them at equal shares as R ``sae.prop`` does. Every area needs a direct estimate.

References
----------
    Aitchison (1986) doi:10.1007/978-94-009-4109-0; Esteban, Lombardía, López-Vizcaíno, Morales and
    Pérez (2020) doi:10.1007/s11749-019-00688-w.

Must match R ``sae.prop::saeFH.mprop`` (``at="equal"``) up to its stopping rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri, softmax
from scipy.stats import qmc

from inegnum.errors import InputError
from inegnum.estimators.area.fay_herriot import coefficient_table, criteria
from inegnum.estimators.area.inputs import AreaData, named
from inegnum.estimators.area.multivariate import fit_jointly
from inegnum.estimators.error_law import SCORES, ErrorLaw
from inegnum.estimators.result import AreaEstimates, area_table

__all__ = ["composition_fay_herriot"]

Floats = npt.NDArray[np.float64]
_NORMALS: Final = 11  # 2^11 points


def _to_ratios(shares: Floats, V: Floats, at: str) -> tuple[Floats, Floats]:
    """Log ratios to the last category and their sampling covariances, (M, r) and (M, r, r)."""
    last = 1 - shares.sum(axis=1)
    q = shares.shape[1] + 1
    inner, outer = (1 / shares, 1 / last) if at == "observed" else (np.full_like(shares, q), q)
    H = np.einsum("mj,jk->mjk", inner, np.eye(q - 1)) + np.reshape(outer, (-1, 1, 1))
    return np.log(shares / last[:, None]), H @ V @ H.transpose(0, 2, 1)


def _normals(r: int) -> Floats:
    """Quasi-random normal points, shape (2048, r): the same at every call."""
    points = qmc.Sobol(r, scramble=True, rng=np.random.default_rng(2020)).random_base2(_NORMALS)
    return np.asarray(ndtri(np.clip(points, 1e-12, 1 - 1e-12)))


def _shares(center: Floats, covariance: Floats, z: Floats) -> Floats:
    """Shares at quasi-random points of normal log ratios, shape (S, M, q)."""
    root = np.linalg.cholesky(covariance + 1e-14 * np.eye(center.shape[1]))
    eta = center + np.einsum("mij,sj->smi", root, z)
    return np.asarray(softmax(np.concatenate([eta, np.zeros((*eta.shape[:2], 1))], axis=2), axis=2))


def composition_fay_herriot(
    data: Sequence[AreaData],
    V: Floats,
    *,
    names: Sequence[str],
    at: Literal["observed", "equal"] = "observed",
) -> dict[str, AreaEstimates]:
    """Estimate the shares of q categories, summing to one in every area.

    Parameters
    ----------
    data : sequence of q - 1 AreaData
        Shares of all categories but the last, of the same areas in the same order.
    V : ndarray of shape (M, q - 1, q - 1)
        Sampling covariances of these shares.
    names : sequence of q str
        Categories, the one left out last.
    at : {"observed", "equal"}
        Shares where the delta method takes its slopes.

    Returns
    -------
    dict of AreaEstimates
        One a category; ``law`` holds posterior quantiles of each share.

    Raises
    ------
    InputError
        Shares that are not, or sum to one or more; areas or covariances that do not match.
    ConvergenceError
        The restricted likelihood is too flat.
    """
    if len(data) < 2 or len(names) != len(data) + 1 or at not in ("observed", "equal"):
        raise InputError(
            "a composition needs three categories or more, and a name for each",
            got=f"{len(data)} shares, {len(names)} names, at {at}",
            expected="one share fewer than names",
            hint="for two categories use fay_herriot with a logit, or rate_fay_herriot",
        )
    shares = np.column_stack([d.y for d in data])
    bad = ~((shares > 0).all(axis=1) & (shares.sum(axis=1) < 1))
    if bad.any():
        raise InputError(
            "an area's shares have no log ratio",
            where=f"area {named(data[0].geo, bad)}",
            got=shares[bad][0].tolist(),
            expected="positive shares that sum to less than one",
            hint="merge rare categories",
        )
    ratios, covariances = _to_ratios(shares, np.asarray(V, dtype=np.float64), at)
    logged = [replace(d, y=ratios[:, k], D=covariances[:, k, k].copy()) for k, d in enumerate(data)]
    joint = fit_jointly(logged, covariances, names=names[:-1], model="full")
    z = _normals(len(data))
    est = _shares(joint.est, joint.posterior, z).mean(axis=0)
    # What is not known of coefficients and components widens each ratio, correlations kept.
    known = np.einsum("mkk->mk", joint.posterior)
    widen = np.sqrt(joint.mse / known)
    spread = joint.posterior * widen[:, :, None] * widen[:, None, :]
    drawn = _shares(joint.est, spread, z)
    mse = ((drawn - est) ** 2).mean(axis=0)
    whole = np.column_stack([shares, 1 - shares.sum(axis=1)])
    sampling = np.asarray(V, dtype=np.float64)
    variances = np.column_stack([np.einsum("mkk->mk", sampling), np.einsum("mij->m", sampling)])
    fixed = _shares(joint.fixed, np.zeros_like(spread), z[:1])[0]
    found = criteria(joint.fit.loglik, len(joint.fit.beta) + len(joint.labels), len(est))
    places = np.cumsum([0, *(d.p for d in data)])
    result: dict[str, AreaEstimates] = {}
    for k, name in enumerate(names):
        pivot = (np.quantile(drawn[:, :, k], ndtr(SCORES), axis=0) - est[:, k]) / np.sqrt(mse[:, k])
        law = ErrorLaw(est[:, k], mse[:, k], pivot=pivot)
        columns = {
            "direct": whole[:, k],
            "direct_se": np.sqrt(variances[:, k]),
            "synthetic": fixed[:, k],
            "n": data[0].n,
        }
        coefficients = pd.DataFrame(columns=["term", "beta", "se", "z", "p"])
        if k < len(data):
            own = slice(places[k], places[k + 1])
            coefficients = coefficient_table(
                data[k].terms, joint.fit.beta[own], joint.fit.cov_beta[own, own]
            )
        result[name] = AreaEstimates(
            area_table(data[0].geo, est[:, k], mse=mse[:, k], law=law, columns=columns),
            coefficients,
            dict(zip(joint.labels, joint.fit.theta.tolist(), strict=True)),
            f"composition ({len(names)} categories, log ratios to {names[-1]}; REML)",
            found,
            law=law,
        )
    return result
