"""Spatial Fay-Herriot: area effects that resemble those of neighbours.

Model
    Fay-Herriot with (I - rho W) v = u, u ~ N(0, sigma2_u I), W row-standardised (see
    `inegnum.numerics.sar` for the algebra). Areas without direct estimate borrow the effects of
    their neighbours: their prediction is not only synthetic.

Assumptions
    One rho for the territory; normal effects; known sampling variances, independent errors.

Limits
    rho estimated from a few dozen areas is uncertain: compare with `fay_herriot` (KIC, Moran). When
    the variance is estimated at zero there is nothing to correlate: reported, and the estimates are
    synthetic. At |rho| = 0.999 the analytic MSE does not hold: refused, use the bootstrap.

References
----------
    Pratesi and Salvati (2008) doi:10.1007/s10260-007-0061-9; Molina, Salvati and Pratesi (2009)
    doi:10.1007/s00180-008-0138-4.

Must match R ``sae::mseSFH``, ``sae::pbmseSFH``, ``emdi::fh(correlation = "spatial")``.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import splu

from inegnum.errors import ConvergenceError, InputError
from inegnum.estimators.area.fay_herriot import coefficient_table, criteria, fay_herriot
from inegnum.estimators.area.inputs import AreaData
from inegnum.estimators.area.proximity import checked_proximity
from inegnum.estimators.progress import counted
from inegnum.estimators.result import AreaEstimates, ErrorLaw, area_table
from inegnum.numerics.reml import fit_fay_herriot
from inegnum.numerics.sar import SarFit, fit_sar
from inegnum.numerics.sar_mse import SarMse, sar_mse

__all__ = ["spatial_fay_herriot"]

Floats = npt.NDArray[np.float64]
SpatialMse = Literal["analytic", "bootstrap", "none"]


def _start(data: AreaData, y: Floats) -> float:
    """Variance to start from: Fay-Herriot's, or a tenth of the sampling variance at zero."""
    at = data.sampled
    plain = fit_fay_herriot(y[at], data.X[at], data.D[at]).sigma2
    return max(plain, 0.1 * float(np.median(data.D[at])))


def _law(data: AreaData, fit: SarFit, analytic: SarMse, mse: Floats) -> ErrorLaw:
    """Joint errors: posterior covariance of the effects and the coefficients'; g3 is own."""
    cov = analytic.covariance
    weight = np.where(data.sampled, 1 / np.where(data.sampled, data.D, 1.0), 0.0)
    d = data.X - cov @ (weight[:, None] * data.X)
    shared = cov + d @ fit.cov_beta @ d.T
    factor = np.linalg.cholesky(shared)
    shrink = np.sqrt(np.minimum(1.0, mse / np.diag(shared)))
    return ErrorLaw(data.X @ fit.beta + fit.effects, mse, factor * shrink[:, None])


def _bootstrap(
    data: AreaData, W: Any, fit: SarFit, replicates: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Parametric bootstrap MSE and its Monte-Carlo error, shape (M,) each."""
    from scipy import sparse

    M = len(data)
    solve = splu(sparse.csc_array(sparse.eye_array(M) - fit.rho * W)).solve
    losses = np.empty((replicates, M))
    sd = np.sqrt(np.where(data.sampled, data.D, np.nan))
    for b in counted(replicates, "spatial bootstrap"):
        theta = data.X @ fit.beta + solve(rng.standard_normal(M) * np.sqrt(fit.sigma2))
        y = theta + rng.standard_normal(M) * sd
        again = fit_sar(y, data.X, data.D, W, restricted=fit.restricted, start=_start(data, y))
        losses[b] = (data.X @ again.beta + again.effects - theta) ** 2
    return losses.mean(axis=0), losses.std(axis=0, ddof=1) / np.sqrt(replicates)


def spatial_fay_herriot(
    data: AreaData,
    W: Any,
    *,
    method: Literal["reml", "ml"] = "reml",
    mse: SpatialMse = "analytic",
    replicates: int = 100,
    seed: int | np.random.Generator = 0,
) -> AreaEstimates:
    """Estimate every area with spatially correlated area effects.

    Parameters
    ----------
    data : AreaData
    W : ndarray, sparse array or DataFrame of shape (M, M)
        Row-standardised proximity of the areas of `data`, in their order (or labelled).
    method : {"reml", "ml"}
    mse : {"analytic", "bootstrap", "none"}
    replicates, seed : int
        Of the bootstrap.

    Returns
    -------
    AreaEstimates
        ``variance`` holds ``sigma2_u`` and ``rho``.

    Raises
    ------
    InputError
        W is not a row-standardised proximity of these areas; see `checked_proximity`.
    ConvergenceError
        The likelihood is too flat to be maximised.

    Examples
    --------
    >>> import numpy as np
    >>> from inegnum.estimators.area import AreaData
    >>> rng = np.random.default_rng(1)
    >>> m = 30
    >>> ring = np.roll(np.eye(m), 1, axis=1) + np.roll(np.eye(m), -1, axis=1)
    >>> u = np.linalg.solve(np.eye(m) - 0.25 * ring, rng.normal(0, 0.1, m))
    >>> data = AreaData(y=u + rng.normal(0, 0.05, m), X=np.ones((m, 1)), D=np.full(m, 0.05**2))
    >>> found = spatial_fay_herriot(data, ring / 2)
    >>> sorted(found.variance)
    ['rho', 'sigma2_u']
    """
    if method not in ("reml", "ml") or mse not in ("analytic", "bootstrap", "none"):
        raise InputError(
            "an unknown estimator of the spatial model",
            got=f"method {method}, mse {mse}",
            expected="method reml or ml; mse analytic, bootstrap or none",
        )
    W = checked_proximity(W, data.geo)
    fit = fit_sar(
        data.y, data.X, data.D, W, restricted=method == "reml", start=_start(data, data.y)
    )
    if fit.boundary == "sigma2":
        plain = fay_herriot(data, method=method, mse="none" if mse == "none" else "analytic")
        note = "the variance of area effects is zero: no spatial correlation can be estimated"
        return AreaEstimates(
            plain.table,
            plain.coefficients,
            {"sigma2_u": 0.0, "rho": float("nan")},
            f"spatial Fay-Herriot ({method}), zero variance",
            criteria(fit.loglik, data.p + 2, int(data.sampled.sum())),
            (note, *plain.notes),
            plain.law,
        )
    notes: list[str] = []
    est = data.X @ fit.beta + fit.effects
    values: Floats | None = None
    law: ErrorLaw | None = None
    if mse != "none":
        if fit.boundary == "rho" and mse == "analytic":
            raise ConvergenceError(
                "the spatial correlation is at its bound, where the analytic MSE does not hold",
                got=f"rho {fit.rho:.3f}",
                hint="use mse='bootstrap', or fay_herriot with covariates that explain the pattern",
            )
        analytic = sar_mse(fit, data.X, data.D)
        values = analytic.mse()
        low = values <= 0
        if mse == "analytic" and low.any():
            # With a handful of areas the corrections for bias exceed what they correct.
            notes.append(
                f"the analytic MSE was not positive in {int(low.sum())} areas: g1 + g2 stand there"
            )
            values = np.where(low, analytic.g1 + analytic.g2, values)
        if mse == "bootstrap":
            values, error = _bootstrap(data, W, fit, replicates, np.random.default_rng(seed))
            share = 100 * float(np.median(error / values))
            notes.append(
                f"bootstrap MSE, {replicates} replicates, Monte-Carlo error {share:.1f} % (median)"
            )
        law = _law(data, fit, analytic, values)
    outside = int((~data.sampled).sum())
    if outside:
        notes.append(f"{outside} areas without direct estimate: prediction from their neighbours")
    lonely = np.asarray(W.sum(axis=1)).ravel() == 0
    if lonely.any():
        notes.append(f"{int(lonely.sum())} areas without neighbour")
    synthetic = data.X @ fit.beta
    table = area_table(
        data.geo,
        est,
        mse=values,
        law=law,
        columns={
            "direct": data.y,
            "direct_se": np.sqrt(data.D),
            "synthetic": synthetic,
            "basis": np.where(data.sampled, "model", "synthetic"),
            "n": data.n,
        },
    )
    return AreaEstimates(
        table,
        coefficient_table(data.terms, fit.beta, fit.cov_beta),
        {"sigma2_u": fit.sigma2, "rho": fit.rho},
        f"spatial Fay-Herriot ({method}); MSE {mse}",
        criteria(fit.loglik, data.p + 2, int(data.sampled.sum())),
        tuple(notes),
        law,
    )
