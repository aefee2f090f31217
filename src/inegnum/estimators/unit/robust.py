"""Outlier-robust unit-level prediction of area means (REBLUP).

Model. The nested error regression for the bulk of the data; a few units or areas may be far from it
and are bounded by Huber's psi in every estimating equation and in the prediction of area effects.

Assumptions. Outliers are not representative: were the unsampled units to hold as many, the robust
predictor would be biased and the plain EBLUP preferable.

Limits. No weights and no unit precisions; the MSE is a parametric bootstrap of the bulk model: it
does not hold the error that outliers among the unsampled units would bring.

References
----------
Sinha and Rao (2009), doi:10.1002/cjs.10029; Schoch (2012), doi:10.17713/ajs.v41i4.174.

Compare R ``rsae::fitsaemodel("huberm")`` and ``robpredict``: same variance equations and predictor,
coefficients free of its weighting error (see `inegnum.numerics.robust_bhf`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError
from inegnum.estimators.result import AreaEstimates, ErrorLaw, area_table
from inegnum.estimators.unit.bhf import require_choice
from inegnum.estimators.unit.inputs import AreaMeans, UnitSample
from inegnum.estimators.unit.replicates import run_replicates
from inegnum.estimators.unit.tables import coefficient_table, direct_means, zero_variance_notes
from inegnum.numerics.bhf import Design
from inegnum.numerics.robust_bhf import Predictor, RobustFit, fit_robust

__all__ = ["robust_bhf"]

Floats = npt.NDArray[np.float64]


def robust_bhf(
    sample: UnitSample,
    means: AreaMeans,
    *,
    k: float = 1.345,
    predictor: Predictor = "reblup",
    B: int = 0,
    seed: int = 0,
) -> AreaEstimates:
    """Predict area means with bounded influence of outliers.

    Parameters
    ----------
    sample : UnitSample
        Respondents, without precision factors.
    means : AreaMeans
        Areas to estimate (sizes are not used: the sampled part is predicted like the rest).
    k : float
        Residuals are truncated at k standard deviations.
    predictor : {"reblup", "projected"}
        Area effects of Sinha and Rao, or from decorrelated residuals as in R ``rsae``.
    B : int
        Replicates of the parametric bootstrap; 0 for no MSE.
    seed : int
        Of the bootstrap.

    Returns
    -------
    AreaEstimates
        ``notes`` say how many respondents were truncated.

    Raises
    ------
    InputError
        A sample with precision factors, a k that is not positive.
    ConvergenceError
        Equations without solution in range.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> area = np.repeat(np.arange(8), 6)
    >>> y = 10 + rng.normal(size=8)[area] + rng.normal(size=48)
    >>> y[0] = 60.0
    >>> s = UnitSample.from_arrays(y, np.ones((48, 1)), area)
    >>> est = robust_bhf(s, AreaMeans(s.geo, np.ones((8, 1))))
    >>> bool(est.table["est"][0] < 14)
    True
    """
    if not k > 0:
        raise InputError("k must be positive", got=k, hint="1.345 keeps 95 % efficiency")
    if sample.precision is not None:
        raise InputError(
            "the robust fit takes no precision factors", hint="use bhf, or leave them out"
        )
    at, notes = means.match(sample)
    design = sample.design()
    require_choice("predictor", predictor, get_args(Predictor))
    fit = fit_robust(design, sample.y, k=k, predictor=predictor)
    est = _predict(fit, means.X, at)
    errors = (
        _bootstrap(partial(_squared_errors, design, fit, means.X, at, (k, predictor)), B, seed)
        if B
        else None
    )
    law = None if errors is None else ErrorLaw(est, errors)
    direct, direct_se, n = direct_means(sample, at, np.zeros(len(at)))
    truncated = int((fit.weights < 1).sum())
    columns = {
        "direct": direct,
        "direct_se": direct_se,
        "synthetic": means.X @ fit.beta,
        "basis": np.where(at >= 0, "model", "synthetic"),
        "n": n,
    }
    how = f"parametric bootstrap MSE (B = {B})" if B else "no MSE"
    return AreaEstimates(
        table=area_table(means.geo, est, mse=errors, law=law, columns=columns),
        coefficients=coefficient_table(sample.names, fit.beta, fit.cov_beta),
        variance={"sigma2_u": fit.sigma2_u, "sigma2_e": fit.sigma2_e},
        method=f"robust unit-level predictor (Huber, k = {k:g}), {how}",
        notes=(
            *notes,
            f"{truncated} of {len(sample.y)} respondents were truncated",
            *zero_variance_notes(fit.sigma2_u),
        ),
        law=law,
    )


def _predict(fit: RobustFit, X: Floats, at: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(X @ fit.beta + np.where(at >= 0, fit.u[at], 0.0))


def _bootstrap(task: Callable[[np.random.Generator], Floats], B: int, seed: int) -> Floats:
    """Return the mean of the squared errors of B replicates, shape (D,)."""
    seeds = np.random.SeedSequence(seed).spawn(B)
    return np.asarray(sum(run_replicates(task, seeds, label="robust bootstrap")) / B)


def _squared_errors(
    design: Design,
    fit: RobustFit,
    X: Floats,
    at: npt.NDArray[np.int64],
    how: tuple[float, Predictor],
    rng: np.random.Generator,
) -> Floats:
    """Return squared prediction errors of one replicate of the bulk model, shape (D,)."""
    s_u, s_e = np.sqrt(fit.sigma2_u), np.sqrt(fit.sigma2_e)
    u = s_u * rng.standard_normal(design.m)
    y = design.X @ fit.beta + u[design.area] + s_e * rng.standard_normal(design.n)
    effect = np.where(at >= 0, u[at], s_u * rng.standard_normal(len(at)))
    new = fit_robust(design, y, k=how[0], predictor=how[1])
    return np.asarray((_predict(new, X, at) - X @ fit.beta - effect) ** 2)
