"""Battese-Harter-Fuller EBLUP of area means from unit-level data.

Model. ``y_ij = x_ij' beta + u_i + e_ij``, normal area effects and errors; the target is the mean of
y over all units of an area, whose covariate means are known.

Assumptions. Sampling is ignorable given the covariates (weights play no part here: see
`inegnum.estimators.unit.pseudo` when they should); units of an area share one effect.

Limits. Means of a roughly normal response. For a rate of a yes/no characteristic use the multilevel
models; for poverty-like indicators, `inegnum.estimators.unit.ebp`. With a handful of areas the area
variance is poorly known: the MSE says so only to second order.

References
----------
Battese, Harter and Fuller (1988), doi:10.1080/01621459.1988.10478561; Prasad and Rao (1990),
doi:10.1080/01621459.1990.10475320; González-Manteiga et al. (2008), doi:10.1080/00949650601141811.

Matches R ``sae::eblupBHF`` and ``sae::pbmseBHF``; MSE parts as ``JoSAE::eblup.mse.f.wrap``.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError, nearest
from inegnum.estimators.result import AreaEstimates, ErrorLaw, area_table
from inegnum.estimators.unit.inputs import AreaMeans, UnitSample
from inegnum.estimators.unit.tables import (
    coefficient_table,
    criteria,
    direct_means,
    within_mse,
    zero_variance_notes,
)
from inegnum.numerics.bhf import BhfFit, Design, Method, fit_bhf, responses
from inegnum.numerics.bhf_bootstrap import bootstrap_mse
from inegnum.numerics.bhf_predict import Targets, analytic_mse, make_targets, predict_means

__all__ = ["Mse", "bhf"]

Floats = npt.NDArray[np.float64]
Mse = Literal["analytic", "bootstrap", "none"]


def bhf(
    sample: UnitSample,
    means: AreaMeans,
    *,
    method: Method = "REML",
    mse: Mse = "analytic",
    B: int = 200,
    seed: int | np.random.Generator = 0,
) -> AreaEstimates:
    """Estimate area means by the EBLUP of the nested error regression.

    Parameters
    ----------
    sample : UnitSample
        Respondents; its `precision` factors are used, its weights are not.
    means : AreaMeans
        Areas to estimate; with sizes N the sampled part of an area counts as known.
    method : {"REML", "ML"}
        Likelihood of the variance components.
    mse : {"analytic", "bootstrap", "none"}
        Second-order formula, parametric bootstrap, or no mean squared error.
    B : int
        Bootstrap replicates.
    seed : int or Generator
        Of the bootstrap.

    Returns
    -------
    AreaEstimates
        In the order of `means`; ``variance`` holds ``sigma2_u`` and ``sigma2_e``.

    Raises
    ------
    InputError
        Collinear covariates, too few units, areas smaller than their sample, ...
    ConvergenceError
        A likelihood without maximum in range.

    References
    ----------
    Battese, Harter and Fuller (1988), doi:10.1080/01621459.1988.10478561.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> area = np.repeat(np.arange(8), 5)
    >>> x = rng.normal(size=40)
    >>> y = 1 + x + rng.normal(size=8)[area] + rng.normal(size=40)
    >>> s = UnitSample.from_arrays(y, np.column_stack([np.ones(40), x]), area)
    >>> est = bhf(s, AreaMeans(s.geo, np.column_stack([np.ones(8), np.zeros(8)])))
    >>> len(est), bool((est.table["mse"] > 0).all())
    (8, True)
    """
    require_choice("mse", mse, get_args(Mse))
    require_choice("method", method, get_args(Method))
    at, notes = means.match(sample)
    design = sample.design()
    data = responses(design, sample.y)
    fit = fit_bhf(design, data, method=method)
    targets = make_targets(design, at, means.X, means.N)
    est = predict_means(design, fit, targets, data)[0]
    errors, factor, how = _errors(design, fit, targets, mse, B, np.random.default_rng(seed))
    law = None if errors is None else ErrorLaw(est, errors, factor)
    direct, direct_se, n = direct_means(sample, at, targets.f)
    gamma = np.where(at >= 0, fit.gamma[0][at], 0.0)
    columns = {
        "direct": direct,
        "direct_se": direct_se,
        "synthetic": means.X @ fit.beta[0],
        "gamma": gamma,
        "basis": np.where(at >= 0, "model", "synthetic"),
        "n": n,
    }
    return AreaEstimates(
        table=area_table(means.geo, est, mse=errors, law=law, columns=columns),
        coefficients=coefficient_table(sample.names, fit.beta[0], fit.cov_beta[0]),
        variance={"sigma2_u": float(fit.sigma2_u[0]), "sigma2_e": float(fit.sigma2_e[0])},
        method=f"unit-level EBLUP (Battese-Harter-Fuller, {method}), {how}",
        criteria=criteria(float(fit.loglik[0]), design.p + 2, design.n),
        notes=(*notes, *zero_variance_notes(float(fit.sigma2_u[0]))),
        law=law,
    )


def require_choice(where: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a choice that is not offered."""
    if value not in allowed:
        raise InputError(
            "unknown choice",
            where=where,
            got=value,
            expected=", ".join(allowed),
            hint=nearest(str(value), allowed),
        )


def _errors(
    design: Design,
    fit: BhfFit,
    targets: Targets,
    mse: Mse,
    B: int,
    rng: np.random.Generator,
) -> tuple[Floats | None, Floats, str]:
    """Return the MSE, the loadings on the shared error of beta, and words for both."""
    if mse == "none":
        return None, np.empty((0, 0)), "no MSE"
    parts = analytic_mse(design, fit, targets)
    if mse == "analytic":
        return parts.mse, parts.factor, "analytic MSE"
    if B < 2:
        raise InputError("too few bootstrap replicates", where="B", got=B, expected="2 or more")
    boot = bootstrap_mse(design, fit, targets, B=B, rng=rng)
    return boot.mse, within_mse(parts.factor, boot.mse), f"parametric bootstrap MSE (B = {B})"
