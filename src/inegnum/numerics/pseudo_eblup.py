"""Pseudo-EBLUP of area means: the nested error regression with survey weights.

The area effect is predicted from the weighted area mean, and the coefficients solve weighted
estimating equations, so that the estimates of sampled areas, weighted by their sums of weights, add
up to the weighted regression estimator of the whole: when weights are calibrated to the area sizes,
the pseudo-EBLUP benchmarks itself.

MSE. For given variance components the prediction error is linear in area effects and unit errors;
its variance is computed as it stands, the covariance between the effect and the coefficients
included (it is not zero, the predictor not being best), and twice the variance-component term g3 is
added. Weights are taken as fixed numbers.

References
----------
You and Rao (2002), doi:10.2307/3316146; Torabi and Rao (2010), doi:10.1016/j.jmva.2010.06.014 (the
covariance term); Rao and Molina (2015), doi:10.1002/9781118735855, section 7.6.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.numerics.bhf import BhfFit, Design, information

__all__ = ["PseudoFit", "coefficient_covariance", "fit_pseudo", "predict_pseudo", "pseudo_mse"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PseudoFit:
    """Weighted coefficients and area sums.

    Attributes
    ----------
    beta : ndarray of shape (p,)
        Weighted coefficients.
    inverse : ndarray of shape (p, p)
        Inverse of the matrix of the estimating equations.
    gamma, delta2, size : ndarray of shape (m,)
        Shrinkage weight, sum of squared normalised weights (over precision), sum of weights.
    xbar : ndarray of shape (m, p)
        Weighted area means of the covariates.
    u : ndarray of shape (m,)
        Predicted area effects.
    """

    beta: Floats
    inverse: Floats
    gamma: Floats
    delta2: Floats
    size: Floats
    xbar: Floats
    u: Floats


def fit_pseudo(design: Design, fit: BhfFit, y: Floats, w: Floats) -> PseudoFit:
    """Solve the weighted estimating equations, given the variance components of `fit`.

    Parameters
    ----------
    design, fit
        Sample and unweighted fit (its first response gives the variance components).
    y, w : ndarray of shape (n,)
        Response and survey weights.
    """
    area, m, X = design.area, design.m, design.X
    s2u, s2e = float(fit.sigma2_u[0]), float(fit.sigma2_e[0])
    size = np.bincount(area, w, m)
    share = w / size[area]
    xbar = np.stack([np.bincount(area, share * x, m) for x in X.T], 1)
    ybar = np.bincount(area, share * y, m)
    delta2 = np.bincount(area, share**2 / design.a, m)
    gamma = s2u / (s2u + s2e * delta2)
    shrunk = size * gamma
    # scaled covariates keep the equations well conditioned
    Z, zbar = X @ design.T, xbar @ design.T
    equations = (Z * w[:, None]).T @ Z - (zbar * shrunk[:, None]).T @ zbar
    right = Z.T @ (w * y) - zbar.T @ (shrunk * ybar)
    beta = design.T @ np.linalg.solve(equations, right)
    inverse = design.T @ np.linalg.inv(equations) @ design.T.T
    return PseudoFit(beta, inverse, gamma, delta2, size, xbar, gamma * (ybar - xbar @ beta))


def predict_pseudo(pseudo: PseudoFit, Xbar: Floats, at: Ints) -> Floats:
    """Return the predictor of each area mean; `at` is -1 for areas without sample. Shape (D,)."""
    return np.asarray(Xbar @ pseudo.beta + np.where(at >= 0, pseudo.u[at], 0.0))


def _scores(design: Design, pseudo: PseudoFit, w: Floats) -> tuple[Floats, Floats]:
    """Return the loadings of unit errors (n, p) and of area effects (m, p) on the equations."""
    area = design.area
    z = w[:, None] * (design.X - pseudo.gamma[area, None] * pseudo.xbar[area])
    return z, np.stack([np.bincount(area, column, design.m) for column in z.T], 1)


def _covariance(
    design: Design, pseudo: PseudoFit, z: Floats, z_sum: Floats, s2u: float, s2e: float
) -> Floats:
    middle = s2e * (z / design.a[:, None]).T @ z + s2u * z_sum.T @ z_sum
    return np.asarray(pseudo.inverse @ middle @ pseudo.inverse)


def coefficient_covariance(design: Design, fit: BhfFit, pseudo: PseudoFit, w: Floats) -> Floats:
    """Return the covariance of the weighted coefficients, shape (p, p)."""
    z, z_sum = _scores(design, pseudo, w)
    return _covariance(design, pseudo, z, z_sum, float(fit.sigma2_u[0]), float(fit.sigma2_e[0]))


def pseudo_mse(
    design: Design, fit: BhfFit, pseudo: PseudoFit, w: Floats, Xbar: Floats, at: Ints
) -> tuple[Floats, Floats]:
    """Return the MSE of each area mean (D,) and loadings of its coefficient error (D, p).

    Parameters
    ----------
    design, fit, pseudo
        Sample and fits.
    w : ndarray of shape (n,)
        Survey weights.
    Xbar : ndarray of shape (D, p)
        Population means.
    at : ndarray of shape (D,)
        Positions in the sample, -1 without.
    """
    s2u, s2e = float(fit.sigma2_u[0]), float(fit.sigma2_e[0])
    seen, area, m = at >= 0, design.area, design.m
    gamma = np.where(seen, pseudo.gamma[at], 0.0)
    z, z_sum = _scores(design, pseudo, w)
    d = Xbar - gamma[:, None] * np.where(seen[:, None], pseudo.xbar[at], 0.0)
    spread = _covariance(design, pseudo, z, z_sum, s2u, s2e)
    share = w / pseudo.size[area] / design.a
    z_own = np.stack([np.bincount(area, share * column, m) for column in z.T], 1)
    crossed = np.where(seen[:, None], s2u * z_sum[at] * (gamma - 1)[:, None], 0.0)
    crossed += np.where(seen[:, None], s2e * gamma[:, None] * z_own[at], 0.0)
    covariance = np.einsum("ij,jk,ik->i", d, pseudo.inverse, crossed)
    g2 = np.einsum("ij,jk,ik->i", d, spread, d)
    inverse = np.linalg.inv(information(design, s2u, s2e))
    h = s2e**2 * inverse[0, 0] + s2u**2 * inverse[1, 1] - 2 * s2e * s2u * inverse[0, 1]
    delta2 = pseudo.delta2[at]
    g3 = np.where(seen, delta2**2 * h / (s2u + s2e * delta2) ** 3, 0.0)
    mse = (1 - gamma) * s2u + g2 + 2 * covariance + 2 * g3
    return mse, d @ np.linalg.cholesky(spread)
