"""Robust Fay-Herriot: a few odd areas do not pull the others.

Model
    Fay-Herriot in the bulk; residuals, effects and errors beyond k standard deviations are bounded
    (see `inegnum.numerics.robust_reml`).

Assumptions
    The bulk is normal; odd areas are few. An odd area's estimate is pulled towards the model: read
    `notes`, which names them.

Limits
    The analytic MSE takes weights and variance as known, and is too small by the uncertainty of the
    variance. Every area needs a direct estimate for its weights; others get the synthetic part.

References
----------
    Sinha and Rao (2009) doi:10.1002/cjs.10029.

Must match R ``saeRobust::rfh``, ``emdi::fh(method = "reblup")``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError
from inegnum.estimators.area.fay_herriot import coefficient_table
from inegnum.estimators.area.inputs import AreaData, named
from inegnum.estimators.result import AreaEstimates, ErrorLaw, area_table
from inegnum.numerics.robust_reml import fit_robust, huber_constant, robust_mse, robust_weights

__all__ = ["robust_fay_herriot"]

Floats = npt.NDArray[np.float64]


def robust_fay_herriot(data: AreaData, *, k: float = 1.345) -> AreaEstimates:
    """Estimate every area by the robust EBLUP.

    Parameters
    ----------
    data : AreaData
    k : float
        Bound in standard deviations; large values give the maximum likelihood EBLUP.

    Returns
    -------
    AreaEstimates
        ``gamma`` is each area's weight on its own direct estimate.

    Raises
    ------
    InputError
        k is not positive.
    ConvergenceError
        The estimating equations have no solution that is reached.
    """
    if not k > 0:
        raise InputError("the bound of Huber's function must be positive", where="k", got=k)
    at = data.sampled
    y, X, D = data.y[at], data.X[at], data.D[at]
    fit = fit_robust(y, X, D, k=k)
    weights = robust_weights(fit, y, X, D, k=k)
    V = fit.sigma2 + D
    # Sandwich of Huber's estimator: E psi^2 over (E psi')^2, here P(|Z| < k) observed.
    inside = float(np.mean(~fit.downweighted))
    cov = np.linalg.inv(X.T @ (X / V[:, None])) * huber_constant(k) / inside**2
    est = data.X @ fit.beta
    mse = fit.sigma2 + np.einsum("ij,jk,ik->i", data.X, cov, data.X)
    gamma = np.zeros(len(data))
    est[at] += fit.effects
    mse[at] = robust_mse(weights, fit.sigma2, D)
    gamma[at] = np.diag(weights)
    odd = np.zeros(len(data), dtype=bool)
    odd[at] = fit.downweighted
    notes = [f"beyond {k} standard deviations: {named(data.geo, odd)}"] if odd.any() else []
    if fit.sigma2 == 0:
        notes.append("the area variance is estimated at zero: every estimate is synthetic")
    if not at.all():
        notes.append(f"{int((~at).sum())} areas without direct estimate: synthetic prediction")
    law = ErrorLaw(est, mse)
    table = area_table(
        data.geo,
        est,
        mse=mse,
        law=law,
        columns={
            "direct": data.y,
            "direct_se": np.sqrt(data.D),
            "synthetic": data.X @ fit.beta,
            "gamma": gamma,
            "basis": np.where(at, "model", "synthetic"),
            "n": data.n,
        },
    )
    return AreaEstimates(
        table,
        coefficient_table(data.terms, fit.beta, cov),
        {"sigma2_u": fit.sigma2},
        f"robust Fay-Herriot (k = {k}); MSE with fixed weights",
        notes=tuple(notes),
        law=law,
    )
