"""Fay-Herriot over time: areas resemble their neighbours and their own past.

Model
    y_dt = x_dt' beta + u1_d + u2_dt + e_dt,
    u1 simultaneously autoregressive over areas (sigma2_1, rho_1; independent without W),
    u2 within an area: AR(1) over periods (model "ST": sigma2_2, rho_2) or independent ("S"),
    e_dt ~ N(0, D_dt) independent, D known.
    Without W, "ST" is Rao and Yu's (1994) model with a stationary autoregression.

Assumptions
    Every area at every period; sampling errors independent between periods (no panel).

Limits
    Four variance components from a dozen areas are poorly known: the standard errors are in the
    variance table of the result. Dense algebra on areas x periods: up to about 2,000 rows.

References
----------
    Rao and Yu (1994) doi:10.2307/3315407; Marhuenda, Molina and Morales (2013)
    doi:10.1016/j.csda.2012.09.002.

Must match R ``sae::eblupSTFH``; the MSE is ours (g1 + g2 + 2 g3, or the parametric bootstrap of
``sae::pbmseSTFH``).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError
from inegnum.estimators.area.fay_herriot import coefficient_table, criteria
from inegnum.estimators.area.inputs import AreaData
from inegnum.estimators.area.proximity import checked_proximity
from inegnum.estimators.progress import counted
from inegnum.estimators.result import AreaEstimates, ErrorLaw, area_table
from inegnum.numerics.block_reml import (
    BlockFit,
    Covariance,
    block_mse,
    expected_information,
    fit_blocks,
)

__all__ = ["space_time_fay_herriot"]

Floats = npt.NDArray[np.float64]
Model = Literal["S", "ST"]
_EDGE = 0.999


def _autoregression(rho: float, T: int) -> tuple[Floats, Floats]:
    """Correlation rho^|i-j| of a stationary autoregression and its slope in rho, shape (T, T)."""
    gap = np.abs(np.subtract.outer(np.arange(T), np.arange(T))).astype(np.float64)
    power = np.where(gap == 0, 1.0, np.sign(rho) ** gap * np.abs(rho) ** gap)
    slope = np.where(gap > 0, gap * np.where(gap == 1, 1.0, rho ** np.maximum(gap - 1, 0)), 0.0)
    return power, slope


def _spatial(rho: float, W: Floats) -> tuple[Floats, Floats]:
    """Covariance of a unit SAR process and its slope in rho, shape (A, A)."""
    step = np.eye(len(W)) - rho * W
    over = np.linalg.inv(step.T @ step)
    return over, over @ (W + W.T - 2 * rho * W.T @ W) @ over


def _covariance(
    model: Model, W: Floats | None, A: int, T: int, *, marginal: bool
) -> tuple[Covariance, list[str]]:
    """Return theta -> (G, dG) for rows ordered by area, then period.

    With `marginal`, variances are those of the effects (averaged over areas) instead of those of
    the innovations: the likelihood has no ridge where a correlation goes to one.
    """
    ones, identity = np.ones((T, T)), np.eye(A)

    def over_areas(rho: float) -> tuple[Floats, Floats]:
        assert W is not None
        over, slope = _spatial(rho, W)
        if not marginal:
            return over, slope
        m, dm = float(np.trace(over)) / A, float(np.trace(slope)) / A
        return over / m, slope / m - over * dm / m**2

    def over_periods(rho: float) -> tuple[Floats, Floats]:
        within, slope = _autoregression(rho, T)
        if marginal:
            return within, slope
        one = 1 - rho**2
        return within / one, slope / one + 2 * rho * within / one**2

    def covariance(theta: Floats) -> tuple[Floats, Floats]:
        values = iter(theta.tolist())
        s1 = next(values)
        over, slope = (identity, None) if W is None else over_areas(next(values))
        s2 = next(values)
        within, change = (np.eye(T), None) if model == "S" else over_periods(next(values))
        parts = [np.kron(over, ones)]
        parts += [] if slope is None else [s1 * np.kron(slope, ones)]
        parts.append(np.kron(identity, within))
        parts += [] if change is None else [s2 * np.kron(identity, change)]
        G = s1 * np.kron(over, ones) + s2 * np.kron(identity, within)
        return G[None], np.stack(parts)[:, None]

    names = ["sigma2_1", *([] if W is None else ["rho_1"]), "sigma2_2"]
    return covariance, [*names, *(["rho_2"] if model == "ST" else [])]


def _innovations(theta: Floats, labels: list[str], W: Floats | None) -> Floats:
    """Variances of the innovations from those of the effects."""
    value = dict(zip(labels, theta.tolist(), strict=True))
    if W is not None:
        value["sigma2_1"] /= float(np.trace(_spatial(value["rho_1"], W)[0])) / len(W)
    if "rho_2" in value:
        value["sigma2_2"] *= 1 - value["rho_2"] ** 2
    return np.array([value[name] for name in labels])


def _ordered(
    data: AreaData, area: npt.NDArray[np.object_], period: Floats
) -> npt.NDArray[np.int64]:
    """Rows by area (in order of appearance), then period; every area at every period."""
    names = list(dict.fromkeys(area.tolist()))
    place = {name: i for i, name in enumerate(names)}
    order = np.lexsort((period, np.array([place[a] for a in area.tolist()])))
    periods = np.unique(period)
    wanted = np.tile(periods, len(names))
    if len(order) != len(wanted) or (period[order] != wanted).any():
        raise InputError(
            "an area is missing at a period, or stands twice",
            got=f"{len(order)} rows for {len(names)} areas and {len(periods)} periods",
            expected=f"{len(wanted)} rows",
        )
    if len(periods) < 2:
        raise InputError("a model over time needs two periods", hint="use fay_herriot")
    if not data.sampled.all():
        raise InputError("the model over time needs a direct estimate in every row")
    return np.asarray(order, dtype=np.int64)


def _bootstrap(
    data: tuple[Floats, Floats, Floats],
    fit: BlockFit,
    refit: Any,
    G: Floats,
    replicates: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Parametric bootstrap MSE and its Monte-Carlo error, shape (rows,)."""
    _, X, D = data
    root = np.linalg.cholesky(G + 1e-12 * np.trace(G) / len(G) * np.eye(len(G)))
    losses = np.empty((replicates, len(D)))
    for b in counted(replicates, "space-time bootstrap"):
        truth = X @ fit.beta + root @ rng.standard_normal(len(D))
        again = refit(truth + rng.standard_normal(len(D)) * np.sqrt(D))
        losses[b] = (X @ again.beta + again.effects[0] - truth) ** 2
    return losses.mean(axis=0), losses.std(axis=0, ddof=1) / np.sqrt(replicates)


def space_time_fay_herriot(
    data: AreaData,
    areas: npt.NDArray[np.object_],
    *,
    periods: Floats,
    W: Any | None = None,
    model: Model = "ST",
    mse: Literal["analytic", "bootstrap"] = "analytic",
    replicates: int = 100,
    seed: int | np.random.Generator = 0,
) -> AreaEstimates:
    """Estimate every area at every period.

    Parameters
    ----------
    data : AreaData
        One row per area and period; ``geo`` identifies the row (for instance ``"33063 2022"``).
    areas : ndarray of M str
        Area of each row.
    periods : ndarray of shape (M,)
        Period of each row, equally spaced.
    W : ndarray, sparse array or DataFrame of shape (A, A), optional
        Row-standardised proximity, areas in order of first appearance in `areas`.
    model : {"ST", "S"}
    mse : {"analytic", "bootstrap"}
    replicates, seed : int

    Returns
    -------
    AreaEstimates
        In the order of `data`; ``variance`` holds components and, as ``se(...)``, their errors.

    Raises
    ------
    InputError
        Unbalanced rows, a missing direct estimate, an unusable W.
    ConvergenceError
        The restricted likelihood is too flat.
    """
    if model not in ("S", "ST") or mse not in ("analytic", "bootstrap"):
        raise InputError("an unknown model over time", got=f"{model}, mse {mse}")
    areas = np.asarray(areas, dtype=object)
    order = _ordered(data, areas, np.asarray(periods, dtype=np.float64))
    names = np.array(list(dict.fromkeys(areas.tolist())), dtype=object)
    A = len(names)
    T = len(order) // A
    dense = None if W is None else checked_proximity(W, names).toarray()
    covariance, labels = _covariance(model, dense, A, T, marginal=True)
    y, X, D = data.y[order], data.X[order], data.D[order]
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    spread = max(float(residual.var()) - float(D.mean()), 0.1 * float(D.mean()))
    start = np.array([0.5 * spread if n.startswith("sigma") else 0.3 for n in labels])
    low = np.array([0.0 if n.startswith("sigma") else -_EDGE for n in labels])
    high = np.array([np.inf if n.startswith("sigma") else _EDGE for n in labels])

    def refit(values: Floats) -> BlockFit:
        return fit_blocks(
            values[None], X[None], np.diag(D)[None], covariance, start=start, bounds=(low, high)
        )

    fit = refit(y)
    est = X @ fit.beta + fit.effects[0]
    values, posterior = block_mse(fit, X[None], np.diag(D)[None], covariance)
    G = covariance(fit.theta)[0][0]
    notes = [f"{n} at its bound" for n, b in zip(labels, fit.at_bound, strict=True) if b]
    on_scale = values[0]
    if mse == "bootstrap":
        on_scale, error = _bootstrap(
            (y, X, D), fit, refit, G, replicates, np.random.default_rng(seed)
        )
        share = 100 * float(np.median(error / on_scale))
        notes.append(f"bootstrap MSE, {replicates} replicates, error {share:.1f} % (median)")
    d = X - G @ np.linalg.solve(G + np.diag(D), X)
    shared = posterior[0] + d @ fit.cov_beta @ d.T
    factor = np.linalg.cholesky(shared + 1e-12 * np.trace(shared) / len(D) * np.eye(len(D)))
    own = np.einsum("ij,ij->i", factor, factor)
    factor = factor * np.sqrt(np.minimum(1.0, on_scale / own))[:, None]
    back = np.argsort(order)
    law = ErrorLaw(est[back], on_scale[back], factor[back])
    table = area_table(
        data.geo,
        est[back],
        mse=on_scale[back],
        law=law,
        columns={
            "direct": data.y,
            "direct_se": np.sqrt(data.D),
            "synthetic": data.X @ fit.beta,
            "basis": "model",
            "n": data.n,
        },
    )
    variance = _variance_table(fit, labels, (y, X, D), dense, (model, A, T))
    return AreaEstimates(
        table,
        coefficient_table(data.terms, fit.beta, fit.cov_beta),
        variance,
        f"Fay-Herriot over time (model {model}, {'no W' if W is None else 'SAR'}; REML); MSE {mse}",
        criteria(fit.loglik, data.p + len(labels), len(y)),
        tuple(notes),
        law,
    )


def _variance_table(
    fit: BlockFit,
    labels: list[str],
    data: tuple[Floats, Floats, Floats],
    W: Floats | None,
    shape: tuple[Model, int, int],
) -> dict[str, float]:
    """Components in the units of the model (variances of innovations) and their errors."""
    y, X, D = data
    model, A, T = shape
    covariance, _ = _covariance(model, W, A, T, marginal=False)
    theta = _innovations(fit.theta, labels, W)
    information = expected_information(theta, y[None], X[None], np.diag(D)[None], covariance)
    free = ~fit.at_bound
    error = np.full(len(labels), np.nan)
    error[free] = np.sqrt(np.diag(np.linalg.inv(information[np.ix_(free, free)])))
    values = dict(zip(labels, theta.tolist(), strict=True))
    return values | {f"se({n})": e for n, e in zip(labels, error.tolist(), strict=True)}
