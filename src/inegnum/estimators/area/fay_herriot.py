"""Fay-Herriot estimates of areas.

Model
    y_i = theta_i + e_i, theta_i = x_i' beta + u_i, u_i ~ N(0, sigma2_u), e_i ~ N(0, D_i) with
    D_i known; possibly on the log, logit or arcsine scale (`Transform`).
    EBLUP: gamma_i y_i + (1 - gamma_i) x_i' beta with gamma_i = sigma2_u / (sigma2_u + D_i).
    Areas without direct estimate get x_i' beta.

Assumptions
    Sampling variances known and errors independent between areas; linear mean on the model's scale;
    normal effects for the interval (not for the point).

Limits
    The MSE takes D as known: smooth it first (`smooth_variances`). An area variance of zero makes
    every estimate synthetic; it is reported in `notes`, and `amrl` avoids it.

References
----------
    Fay and Herriot (1979) doi:10.1080/01621459.1979.10482505; Prasad and Rao (1990)
    doi:10.1080/01621459.1990.10475320; Rao and Molina (2015) doi:10.1002/9781118735855.

Must match R ``sae::mseFH`` and ``emdi::fh``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError, nearest
from inegnum.estimators.area.inputs import AreaData
from inegnum.estimators.area.mse import (
    analytic_mse,
    bootstrap_mse,
    jackknife_mse,
    predict,
    weighted_jackknife_mse,
)
from inegnum.estimators.area.transform import (
    Transform,
    back_transform,
    delta_mse,
    to_model_scale,
)
from inegnum.estimators.result import AreaEstimates, ErrorLaw, area_table, to_rate_scale
from inegnum.numerics.reml import FayHerriotFit, Method, fit_fay_herriot

__all__ = ["Mse", "coefficient_table", "criteria", "fay_herriot"]

Floats = npt.NDArray[np.float64]
Seed = int | np.random.Generator
Mse = Literal["analytic", "jackknife", "weighted-jackknife", "bootstrap", "wild-bootstrap", "none"]
Interval = Literal["normal", "bootstrap"]
_LEAST_REPLICATES = 400  # ten beyond each 2.5 % quantile


def coefficient_table(terms: Sequence[str], beta: Floats, cov: Floats) -> pd.DataFrame:
    """Return ``term, beta, se, z, p`` (two-sided, normal)."""
    from scipy.special import ndtr

    se = np.sqrt(np.diag(cov))
    z = beta / se
    return pd.DataFrame(
        {"term": list(terms), "beta": beta, "se": se, "z": z, "p": 2 * ndtr(-np.abs(z))}
    )


def criteria(loglik: float, k: int, m: int) -> dict[str, float]:
    """Return ``loglik, AIC, BIC, KIC`` for k parameters and m areas.

    Examples
    --------
    >>> criteria(-10.0, 2, 100)["AIC"]
    24.0
    """
    return {
        "loglik": loglik,
        "AIC": -2 * loglik + 2 * k,
        "BIC": -2 * loglik + k * float(np.log(m)),
        "KIC": -2 * loglik + 3 * k,
    }


@dataclass(frozen=True, slots=True)
class _Model:
    """A fit and its evidence on the model's scale; shapes (M,), (M, p), (M,)."""

    fit: FayHerriotFit
    y: Floats
    X: Floats
    D: Floats
    eta: Floats
    scale: Transform

    @property
    def sampled(self) -> npt.NDArray[np.bool_]:
        return ~np.isnan(self.y)

    @property
    def synthetic_weight(self) -> Floats:
        """Weight of the synthetic part."""
        return np.where(self.sampled, self.D / (self.fit.sigma2 + self.D), 1.0)

    def refit(self, y: Floats, X: Floats, D: Floats) -> FayHerriotFit:
        return fit_fay_herriot(y, X, D, method=self.fit.method)


def _model(data: AreaData, method: Method, scale: Transform) -> _Model:
    y, D = to_model_scale(data.y, data.D, data.geo, scale)
    at = data.sampled
    evidence = (y, data.X, D) if at.all() else (y[at], data.X[at], D[at])
    fit = fit_fay_herriot(*evidence, method=method)
    return _Model(fit, y, data.X, D, predict(fit, y, data.X, D), scale)


def _jackknifed(kind: Mse, model: _Model, analytic: Floats) -> Floats:
    """Jackknife MSE on the model's scale where an area is sampled; analytic elsewhere, (M,)."""
    at, mse = model.sampled, analytic.copy()
    jackknife = jackknife_mse if kind == "jackknife" else weighted_jackknife_mse
    mse[at] = jackknife(model.y[at], model.X[at], model.D[at], model.fit, model.refit)
    return mse


def _positive(mse: Floats, model: _Model) -> tuple[Floats, list[str]]:
    """Put g1 + g2 where an approximation fell to zero or below, and say where."""
    bad = mse <= 0
    if not bad.any():
        return mse, []
    fit, X = model.fit, model.X
    g2 = model.synthetic_weight**2 * ((X @ fit.cov_beta) * X).sum(axis=1)
    naive = fit.sigma2 * np.where(model.sampled, model.synthetic_weight, 1.0) + g2
    note = f"the MSE approximation was not positive in {int(bad.sum())} areas: g1 + g2 stands there"
    return np.where(bad, naive, mse), [note]


def _law(model: _Model, mse: Floats) -> ErrorLaw:
    """Errors shared through the coefficients; the rest of the MSE is each area's own."""
    factor = (model.synthetic_weight[:, None] * model.X) @ np.linalg.cholesky(model.fit.cov_beta)
    shared = np.einsum("ij,ij->i", factor, factor)
    shrink = np.sqrt(np.minimum(1.0, mse / np.maximum(shared, np.finfo(float).tiny)))
    return ErrorLaw(model.eta, mse, factor * shrink[:, None], model.scale.link)


def _uncertainty(
    kinds: tuple[Mse, Interval],
    model: _Model,
    est: Floats,
    analytic: Floats,
    replicates: int,
    seed: Seed,
) -> tuple[Floats, ErrorLaw, list[str]]:
    """MSE on the target's scale, error law on the model's, and what a reader must know."""
    kind, interval = kinds
    if kind in ("bootstrap", "wild-bootstrap"):
        boot = bootstrap_mse(
            (model.y, model.X, model.D),
            model.fit,
            model.refit,
            model.scale,
            rng=np.random.default_rng(seed),
            replicates=replicates,
            wild=kind == "wild-bootstrap",
        )
        on_model = boot.mse if model.scale.link == "identity" else analytic
        error = 100 * float(np.median(boot.mcse / boot.mse))
        note = f"bootstrap MSE, {replicates} replicates, Monte-Carlo error {error:.1f} % (median)"
        on_model, floor = _positive(on_model, model)
        if interval == "normal":
            return boot.mse, _law(model, on_model), [note, *floor]
        # The studentised error was taken over the analytic MSE of each replicate.
        on_model, floor = _positive(analytic, model)
        law = replace(_law(model, on_model), pivot=boot.pivot)
        return (
            boot.mse,
            law,
            [note, "intervals from the bootstrap of the studentised error", *floor],
        )
    on_model = analytic if kind == "analytic" else _jackknifed(kind, model, analytic)
    on_model, floor = _positive(on_model, model)
    return delta_mse(model.eta, est, on_model, model.scale), _law(model, on_model), floor


def fay_herriot(
    data: AreaData,
    *,
    method: Method = "reml",
    mse: Mse = "analytic",
    transform: Transform | None = None,
    interval: Interval = "normal",
    replicates: int = 200,
    seed: Seed = 0,
) -> AreaEstimates:
    """Estimate every area by the Fay-Herriot model.

    Parameters
    ----------
    data : AreaData
        Direct estimates, variances and covariates.
    method : {"reml", "ml", "fh", "ampl", "amrl", "ampl_yl", "amrl_yl"}
        Estimator of the area variance.
    mse : {"analytic", "jackknife", "weighted-jackknife", "bootstrap", "wild-bootstrap", "none"}
        Estimator of the mean squared error.
    transform : Transform, optional
        Scale of the model and the way back.
    interval : {"normal", "bootstrap"}
        Normal with the MSE, or the quantiles of the bootstrapped studentised error (with a
        bootstrap MSE): for fewer than about fifteen areas, with method ``amrl``, whose variance is
        never zero.
    replicates : int
        Bootstrap replicates; at least 400 for bootstrap intervals.
    seed : int or Generator
        Same seed, same bootstrap.

    Returns
    -------
    AreaEstimates
        ``variance`` holds ``sigma2_u``; ``criteria`` refer to the model's scale.

    Raises
    ------
    InputError
        Evidence that cannot be used (see `AreaData` and `Transform`).
    ConvergenceError
        The area variance, or a replicate, did not converge.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.uniform(size=40)
    >>> y = 0.5 + 0.3 * x + rng.normal(0, 0.1, 40)
    >>> data = AreaData(y, np.column_stack([np.ones(40), x]), np.full(40, 0.004))
    >>> est = fay_herriot(data)
    >>> bool((est.table["se"] < np.sqrt(0.004)).all())
    True
    """
    if mse not in get_args(Mse):
        raise InputError(
            "an unknown MSE estimator", where="mse", got=mse, hint=nearest(mse, get_args(Mse))
        )
    _check_interval(interval, mse, replicates)
    model = _model(data, method, transform or Transform())
    fit, scale, at = model.fit, model.scale, data.sampled
    g1, analytic = analytic_mse(fit, model.y, model.X, model.D)
    est = back_transform(model.eta, g1, analytic, scale)
    on_target, law, more = (
        (None, None, [])
        if mse == "none"
        else _uncertainty((mse, interval), model, est, analytic, replicates, seed)
    )
    table = area_table(
        data.geo,
        est,
        mse=on_target,
        law=law,
        columns={
            "direct": data.y,
            "direct_se": np.sqrt(data.D),
            "synthetic": to_rate_scale(data.X @ fit.beta, scale.link),
            "gamma": 1 - model.synthetic_weight,
            "basis": "model" if at.all() else np.where(at, "model", "synthetic"),
            "n": data.n,
        },
    )
    suffix = "" if scale.link == "identity" else f", {scale.link}, back {scale.back}"
    return AreaEstimates(
        table,
        coefficient_table(data.terms, fit.beta, fit.cov_beta),
        {"sigma2_u": fit.sigma2},
        f"Fay-Herriot ({method}{suffix}); MSE {mse}",
        criteria(fit.loglik, data.p + 1, int(at.sum())),
        (*_notes(fit, int((~at).sum())), *more),
        law,
    )


def _check_interval(interval: Interval, mse: Mse, replicates: int) -> None:
    """Refuse bootstrap intervals without enough of a bootstrap."""
    if interval not in get_args(Interval):
        raise InputError("an unknown interval", where="interval", got=interval)
    if interval == "bootstrap" and (
        mse not in ("bootstrap", "wild-bootstrap") or replicates < _LEAST_REPLICATES
    ):
        raise InputError(
            "bootstrap intervals need a bootstrap of enough replicates",
            got=f"mse {mse}, {replicates} replicates",
            expected=f"mse bootstrap or wild-bootstrap, {_LEAST_REPLICATES} replicates or more",
        )


def _notes(fit: FayHerriotFit, outside: int) -> list[str]:
    notes = []
    if fit.boundary:
        notes.append(
            "the area variance is estimated at zero: every estimate is synthetic and its MSE holds "
            "the uncertainty of coefficients and variance only; compare with method amrl"
        )
    if outside:
        notes.append(f"{outside} areas without direct estimate: synthetic prediction")
    return notes
