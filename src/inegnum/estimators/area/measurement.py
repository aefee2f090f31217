"""Fay-Herriot with covariates known from a survey: their error is part of the model.

Model
    y_i = theta_i + e_i, theta_i = x_i' beta + u_i; x_i is observed as X_i with MSE matrix C_i.
    Predictor gamma_i y_i + (1 - gamma_i) X_i' beta with
    gamma_i = (sigma2 + beta' C_i beta) / (sigma2 + beta' C_i beta + D_i): the less is known of the
    covariates, the more the direct estimate weighs. beta solves modified least squares
    sum w (X X' - C) beta = sum w X y, w = 1 / (sigma2 + D + beta' C beta); sigma2 by moments.

Assumptions
    Errors of covariates independent of those of the direct estimates (another survey).

Limits
    When the error of a covariate is as large as its spread, ``sum w (X X' - C)`` is not positive:
    refused, since no coefficient can be told from noise. Jackknife MSE; every area sampled.

References
----------
    Ybarra and Lohr (2008) doi:10.1093/biomet/asn048.

Must match R ``emdi::fh(method = "me")`` given its coefficients. Its own solver drops eigenvalues
that are small only because of the unit of a covariate (the intercept of its example becomes 9e-4);
ours standardises first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, InputError
from inegnum.estimators.area.fay_herriot import coefficient_table
from inegnum.estimators.area.inputs import AreaData
from inegnum.estimators.progress import counted
from inegnum.estimators.result import AreaEstimates, ErrorLaw, area_table

__all__ = ["measurement_error_fay_herriot"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Fit:
    sigma2: float
    beta: Floats
    cov_beta: Floats


def _error(beta: Floats, C: Floats) -> Floats:
    """Variance that errors of covariates bring to the prediction, shape (m,)."""
    return np.asarray(np.einsum("i,kij,j->k", beta, C, beta))


def _moments(w: Floats, y: Floats, X: Floats, C: Floats) -> tuple[Floats, Floats]:
    """Solve modified least squares: coefficients and inverse of ``sum w (X X' - C)``."""
    G = (X * w[:, None]).T @ X - np.einsum("k,kij->ij", w, C)
    scale = np.sqrt(np.diag((X * w[:, None]).T @ X))
    lowest = float(np.linalg.eigvalsh(G / np.outer(scale, scale)).min())
    if lowest < 1e-6:
        raise ConvergenceError(
            "the errors of the covariates are as large as their spread",
            got=f"smallest eigenvalue {lowest:.2g} of the standardised moment matrix",
            expected="a positive one",
            hint="drop the covariate that is least known",
        )
    inverse = np.linalg.inv(G)
    return inverse @ (X.T @ (w * y)), inverse


def _fit(y: Floats, X: Floats, D: Floats, C: Floats) -> _Fit:
    m, p = X.shape
    beta, _ = _moments(np.full(m, 1 / float(np.mean(D))), y, X, C)
    s = -1.0
    for _ in range(1000):
        r = y - X @ beta
        new = max(float(np.sum(r**2 - D - _error(beta, C))) / (m - p), 0.0)
        w = 1 / (new + D + _error(beta, C))
        after, inverse = _moments(w, y, X, C)
        # 1e-11 of the fitted values and of the variance.
        close = np.abs(X @ (after - beta)).max() <= 1e-11 * np.abs(X @ after).max()
        done = close and abs(new - s) <= 1e-11 * max(new, s)
        beta, s = after, new
        if done:
            z = X * (w * (y - X @ beta))[:, None] + np.einsum("k,kij,j->ki", w, C, beta)
            return _Fit(s, beta, inverse @ (z.T @ z) @ inverse)
    raise ConvergenceError("modified least squares did not converge", got=f"sigma2 {s:.6g}")


def _predict(fit: _Fit, y: Floats, X: Floats, D: Floats, C: Floats) -> tuple[Floats, Floats]:
    own = fit.sigma2 + _error(fit.beta, C)
    gamma = own / (own + D)
    return gamma * y + (1 - gamma) * (X @ fit.beta), gamma


def _jackknife(fit: _Fit, y: Floats, X: Floats, D: Floats, C: Floats) -> Floats:
    """MSE with one area left out at a time, shape (m,)."""
    m = len(y)
    at_full, gamma = _predict(fit, y, X, D, C)
    bias, spread = np.zeros(m), np.zeros(m)
    for u in counted(m, "jackknife"):
        keep = np.arange(m) != u
        without, weight = _predict(_fit(y[keep], X[keep], D[keep], C[keep]), y, X, D, C)
        bias += (weight - gamma) * D
        spread += (without - at_full) ** 2
    return np.asarray(gamma * D + (m - 1) / m * (spread - bias))


def measurement_error_fay_herriot(data: AreaData, C: Floats) -> AreaEstimates:
    """Estimate every area when covariates have known errors.

    Parameters
    ----------
    data : AreaData
        Covariates as observed; a direct estimate in every area.
    C : ndarray of shape (M, p, p)
        MSE matrices of the covariates; rows and columns of zeros for those known exactly.

    Returns
    -------
    AreaEstimates

    Raises
    ------
    InputError
        C has the wrong shape, is not symmetric, or has a negative variance.
    ConvergenceError
        Covariates too uncertain for their coefficients.
    """
    C = np.asarray(C, dtype=np.float64)
    if C.shape != (len(data), data.p, data.p):
        raise InputError(
            "error matrices do not match the covariates",
            got=C.shape,
            expected=(len(data), data.p, data.p),
        )
    variances = np.einsum("kii->ki", C)
    if not np.isfinite(C).all() or (variances < 0).any() or not np.allclose(C, C.swapaxes(1, 2)):
        raise InputError("error matrices must be finite, symmetric, with variances of at least 0")
    if not data.sampled.all():
        raise InputError("the measurement-error model needs a direct estimate in every area")
    if len(data) < data.p + 2:
        raise InputError(
            "too few areas to leave one out",
            got=f"{len(data)} areas, {data.p} coefficients",
            expected=f"{data.p + 2} areas or more",
            hint="the jackknife refits the variance without each area in turn",
        )
    y, X, D = data.y, data.X, data.D
    fit = _fit(y, X, D, C)
    est, gamma = _predict(fit, y, X, D, C)
    mse = _jackknife(fit, y, X, D, C)
    notes = []
    if (mse <= 0).any():
        notes.append(
            f"the jackknife MSE was not positive in {int((mse <= 0).sum())} areas: g1 stands there"
        )
        mse = np.where(mse <= 0, gamma * D, mse)
    if fit.sigma2 == 0:
        notes.append("the area variance is estimated at zero")
    law = ErrorLaw(est, mse)
    table = area_table(
        data.geo,
        est,
        mse=mse,
        law=law,
        columns={
            "direct": y,
            "direct_se": np.sqrt(D),
            "synthetic": X @ fit.beta,
            "gamma": gamma,
            "n": data.n,
        },
    )
    return AreaEstimates(
        table,
        coefficient_table(data.terms, fit.beta, fit.cov_beta),
        {"sigma2_u": fit.sigma2},
        "Fay-Herriot with measurement error (Ybarra-Lohr); MSE jackknife",
        notes=tuple(notes),
        law=law,
    )
