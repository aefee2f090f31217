"""Several indicators at once: areas high on one are high (or low) on another.

Model
    y_d = X_d beta + u_d + e_d, r responses an area; u_d ~ N(0, Sigma_u), e_d ~ N(0, V_d) with V_d
    known, its covariances included. Sigma_u is diagonal (model "diagonal": what is shared comes
    from the sampling covariances only) or unstructured ("full", through its Cholesky factor, so
    that it cannot leave the positive semi-definite matrices).

Assumptions
    One Sigma_u for all areas; responses on an additive scale (transform rates first).

Limits
    r (r + 1) / 2 components: "full" needs a few dozen areas for two responses.

References
----------
    Benavent and Morales (2016) doi:10.1016/j.csda.2015.07.013; Fay (1987), in Small Area
    Statistics.

Must match R ``msae::eblupMFH1`` (model "diagonal").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError
from inegnum.estimators.area.fay_herriot import coefficient_table, criteria
from inegnum.estimators.area.inputs import AreaData, named
from inegnum.estimators.result import AreaEstimates, ErrorLaw, area_table
from inegnum.numerics.block_reml import BlockFit, Covariance, block_mse, fit_blocks
from inegnum.numerics.reml import fit_fay_herriot

__all__ = ["Joint", "fit_jointly", "multivariate_fay_herriot"]

Floats = npt.NDArray[np.float64]


def _stack(data: Sequence[AreaData]) -> Floats:
    """Block-diagonal covariates, shape (m, r, sum p)."""
    m, r = len(data[0]), len(data)
    X = np.zeros((m, r, sum(d.p for d in data)))
    start = 0
    for k, d in enumerate(data):
        X[:, k, start : start + d.p] = d.X
        start += d.p
    return X


def _covariance(model: str, m: int, r: int) -> tuple[Covariance, list[str]]:
    if model == "diagonal":
        parts = np.zeros((r, r, r))
        parts[np.arange(r), np.arange(r), np.arange(r)] = 1.0

        def diagonal(theta: Floats) -> tuple[Floats, Floats]:
            G = np.broadcast_to(np.diag(theta), (m, r, r))
            return G, np.broadcast_to(parts[:, None], (r, m, r, r))

        return diagonal, [f"sigma2_{k + 1}" for k in range(r)]
    pairs = [(j, i) for i, j in combinations_with_replacement(range(r), 2)]

    def full(theta: Floats) -> tuple[Floats, Floats]:
        L = np.zeros((r, r))
        for (row, column), value in zip(pairs, theta, strict=True):
            L[row, column] = value
        slopes = np.empty((len(pairs), r, r))
        for q, (row, column) in enumerate(pairs):
            E = np.zeros((r, r))
            E[row, column] = 1.0
            slopes[q] = E @ L.T + L @ E.T
        G = np.broadcast_to(L @ L.T, (m, r, r))
        return G, np.broadcast_to(slopes[:, None], (len(pairs), m, r, r))

    return full, [f"chol_{row + 1}{column + 1}" for row, column in pairs]


def _check(data: Sequence[AreaData], V: Floats) -> None:
    first = data[0]
    for d in data:
        if len(d) != len(first) or (d.geo != first.geo).any():
            raise InputError("the responses are not of the same areas, in the same order")
        if not d.sampled.all():
            raise InputError("every response needs a direct estimate in every area")
    r = len(data)
    if V.shape != (len(first), r, r):
        raise InputError("sampling covariances", got=V.shape, expected=(len(first), r, r))
    own = np.column_stack([d.D for d in data])
    if not np.allclose(np.einsum("kii->ki", V), own, rtol=1e-8, atol=0):
        raise InputError("the diagonal of the sampling covariances is not the responses' variances")
    bad = np.linalg.eigvalsh(V).min(axis=1) <= 0
    if bad.any() or not np.allclose(V, V.swapaxes(1, 2)):
        raise InputError(
            "a sampling covariance is not symmetric and positive definite",
            where=f"area {named(first.geo, bad)}",
        )


def _sigma_u(model: str, fit: BlockFit, r: int, covariance: Covariance) -> dict[str, float]:
    S = covariance(fit.theta)[0][0]
    values = {f"sigma2_u{k + 1}": float(S[k, k]) for k in range(r)}
    if model == "full":
        for i in range(r):
            for j in range(i):
                scale = float(np.sqrt(S[i, i] * S[j, j]))
                name = f"correlation_{j + 1}{i + 1}"
                values[name] = float(S[i, j]) / scale if scale > 0 else float("nan")
    return values


@dataclass(frozen=True, slots=True)
class Joint:
    """Several responses fitted together; shapes (M, r), posterior (M, r, r)."""

    fit: BlockFit
    fixed: Floats
    est: Floats
    mse: Floats
    posterior: Floats
    covariance: Covariance
    labels: tuple[str, ...]


def fit_jointly(data: Sequence[AreaData], V: Floats, *, names: Sequence[str], model: str) -> Joint:
    """Fit r responses of the same areas by REML (see `multivariate_fay_herriot`)."""
    V = np.asarray(V, dtype=np.float64)
    r = len(data)
    if r < 2 or len(names) != r or model not in ("diagonal", "full"):
        raise InputError(
            "a multivariate model needs two responses or more, a name for each, and a known model",
            got=f"{r} responses, {len(names)} names, model {model}",
        )
    _check(data, V)
    m = len(data[0])
    X = _stack(data)
    y = np.column_stack([d.y for d in data])
    covariance, labels = _covariance(model, m, r)
    alone = np.array(
        [max(fit_fay_herriot(d.y, d.X, d.D).sigma2, 0.1 * float(d.D.mean())) for d in data]
    )
    if model == "diagonal":
        start, low = alone, np.zeros(r)
    else:
        pairs = [(j, i) for i, j in combinations_with_replacement(range(r), 2)]
        start = np.array([np.sqrt(alone[a]) if a == b else 0.0 for a, b in pairs])
        low = np.array([0.0 if a == b else -np.inf for a, b in pairs])
    fit = fit_blocks(y, X, V, covariance, start=start, bounds=(low, np.full(len(low), np.inf)))
    mse, posterior = block_mse(fit, X, V, covariance)
    fixed = np.einsum("kni,i->kn", X, fit.beta)
    return Joint(fit, fixed, fixed + fit.effects, mse, posterior, covariance, tuple(labels))


def multivariate_fay_herriot(
    data: Sequence[AreaData],
    V: Floats,
    *,
    names: Sequence[str],
    model: Literal["diagonal", "full"] = "full",
) -> dict[str, AreaEstimates]:
    """Estimate several responses together, by REML.

    Parameters
    ----------
    data : sequence of r AreaData
        One a response, same areas in the same order.
    V : ndarray of shape (M, r, r)
        Sampling covariances.
    names : sequence of r str
        Responses.
    model : {"diagonal", "full"}

    Returns
    -------
    dict of AreaEstimates
        One a response; each carries the variance components of all.

    Raises
    ------
    InputError
        Responses that are not of the same areas, covariances that are not such.
    ConvergenceError
        The restricted likelihood is too flat.
    """
    joint = fit_jointly(data, V, names=names, model=model)
    fit, fixed, est, mse, r = joint.fit, joint.fixed, joint.est, joint.mse, len(data)
    variance = _sigma_u(model, fit, r, joint.covariance)
    found = criteria(fit.loglik, len(fit.beta) + len(joint.labels), len(est))
    notes = tuple(f"{n} at zero" for n, b in zip(joint.labels, fit.at_bound, strict=True) if b)
    start_at = np.cumsum([0, *(d.p for d in data)])
    result: dict[str, AreaEstimates] = {}
    for k, (name, d) in enumerate(zip(names, data, strict=True)):
        at = slice(start_at[k], start_at[k + 1])
        law = ErrorLaw(est[:, k], mse[:, k])
        columns = {
            "direct": d.y,
            "direct_se": np.sqrt(d.D),
            "synthetic": fixed[:, k],
            "n": d.n,
        }
        coefficients: pd.DataFrame = coefficient_table(d.terms, fit.beta[at], fit.cov_beta[at, at])
        result[name] = AreaEstimates(
            area_table(d.geo, est[:, k], mse=mse[:, k], law=law, columns=columns),
            coefficients,
            variance,
            f"multivariate Fay-Herriot ({model}; REML)",
            found,
            notes,
            law,
        )
    return result
