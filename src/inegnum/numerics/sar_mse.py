"""Analytic mean squared error of the spatial Fay-Herriot predictor.

In the notation of `inegnum.numerics.sar`, with dB the slope of B in rho, E = Z dB, Y = Z D^-1 Z
and J the inverse information of (s, rho):

    g1 = s diag Z                         known parameters
    g2 = d (X' V^-1 X)^-1 d', d = X - s Z D^-1 X        coefficients
    g3 = J11 a11 + 2 J12 a12 + J22 a22    variance and correlation, with
         a11 = diag(Z V^-1 Z), a12 = -s diag(Y E'), a22 = s diag(E (B^-1 - Z) E')
    g4 = half of J against the second derivatives of G, seen through the predictor
    bias of the ML variance and correlation, through the slope of g1

    mse = g1 + g2 + 2 g3 - g4 - bias

References
----------
    Singh, Shukla and Kundu (2005), Survey Methodology 31; Molina, Salvati and Pratesi (2009)
    doi:10.1007/s00180-008-0138-4.

Must match R ``sae::mseSFH``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.numerics.block_tridiagonal import Factor, factorise
from inegnum.numerics.sar import SarFit

__all__ = ["SarMse", "sar_mse"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SarMse:
    """Analytic MSE, in the original order of areas.

    Attributes
    ----------
    g1, g2, g3, g4, bias : ndarray of shape (m,)
        ``mse = g1 + g2 + 2 g3 - g4 - bias``.
    information : ndarray of shape (2, 2)
        Of (sigma2, rho).
    covariance : ndarray of shape (m, m)
        Of the area effects given the data, ``s Z``; its diagonal is `g1`.
    """

    g1: Floats
    g2: Floats
    g3: Floats
    g4: Floats
    bias: Floats
    information: Floats
    covariance: Floats

    def mse(self) -> Floats:
        """Return the MSE, shape (m,)."""
        return self.g1 + self.g2 + 2 * self.g3 - self.g4 - self.bias


@dataclass(frozen=True, slots=True)
class _Dense:
    """Products of the whole m x m matrices that information and MSE share."""

    Z: Floats
    Binv: Floats
    E: Floats  # Z dB, with dB the slope of B in rho
    F: Floats  # dB (B^-1 - Z)
    dinv: Floats
    B: Factor

    @classmethod
    def of(cls, fit: SarFit, dinv: Floats) -> _Dense:
        point, one = fit.point, np.eye(len(dinv))
        Z = point.M.solve(one)
        B = factorise(fit.graph.B(fit.rho))
        Binv = B.solve(one)
        slope = fit.graph.slope_matrix(fit.rho)
        Et = slope @ Z
        return cls(Z, Binv, Et.T, slope @ Binv - Et, dinv, B)


def _information(fit: SarFit, dense: _Dense) -> Floats:
    """Return the expected information of (s, rho), shape (2, 2), of the restricted likelihood.

    R ``sae`` uses it for ML as well; the two informations differ by O(p), against O(m).
    """
    graph, point, s, rho = fit.graph, fit.point, fit.sigma2, fit.rho
    Z, dinv = dense.Z, dense.dinv
    I11 = float(dinv @ (Z * Z) @ dinv)
    I12 = -float(dinv @ np.einsum("ij,ij->i", dense.E, dense.Binv - Z))
    I22 = float(np.sum(dense.F * dense.F.T))
    result = np.array([[I11, I12], [I12, I22]])
    T, Q = point.T, fit.cov_beta
    U = [T, -s * (dense.Binv @ graph.times_slope(rho, T))]
    R = [T.T @ graph.times_B(rho, T), -s * (T.T @ graph.times_slope(rho, T))]
    for a in range(2):
        for b in range(2):
            Ub = dinv[:, None] * (Z @ graph.times_B(rho, U[b]))
            both = float(np.sum((Q @ R[a]) * (Q @ R[b]).T))
            result[a, b] += both - 2 * float(np.sum(Q * (U[a].T @ Ub).T))
    return np.asarray(0.25 * (result + result.T))


def sar_mse(fit: SarFit, X: Floats, D: Floats) -> SarMse:
    """Analytic MSE of every area (at an interior estimate)."""
    graph, point, s, rho = fit.graph, fit.point, fit.sigma2, fit.rho
    at = graph.layout.order
    dinv = np.where(np.isnan(D), 0.0, 1 / np.where(np.isnan(D), 1.0, D))[at]
    dense = _Dense.of(fit, dinv)
    Z, E = dense.Z, dense.E
    information = _information(fit, dense)
    J = np.linalg.inv(information)
    # Z = M^-1 = L^-T L^-1: each diagonal below is a product of two half solutions.
    HZ, HE, HB = point.M.half(dinv[:, None] * Z), point.M.half(E.T), dense.B.half(E.T)
    rows, columns = "ij,ij->i", "ij,ij->j"
    ez = np.einsum(rows, E, Z)
    eze = np.einsum(columns, HE, HE)
    ece = np.einsum(columns, HB, HB)
    y = (Z * Z) @ dinv  # diag Y
    g1 = s * np.diag(Z)
    d = X[at] - s * point.T
    g2 = np.einsum("ij,jk,ik->i", d, fit.cov_beta, d)
    a11 = y - s * np.einsum(columns, HZ, HZ)
    a12 = -s * np.einsum(columns, HZ, HE)
    a22 = s * (ece - eze)
    g3 = J[0, 0] * a11 + 2 * J[0, 1] * a12 + J[1, 1] * a22
    g4 = -J[0, 1] * ez + s * J[1, 1] * (ece - np.einsum(rows, (graph.gram @ Z).T, Z))
    bias = np.zeros(len(at))
    if not fit.restricted:
        T = point.T
        trace = np.sum(fit.cov_beta * (T.T @ graph.times_B(rho, T)))
        slope = np.sum(fit.cov_beta * (T.T @ graph.times_slope(rho, T)))
        first = J @ np.array([-trace, s * slope]) / 2
        bias = first[0] * (np.diag(Z) - s * y) - first[1] * s * ez
    back = np.empty(len(at), np.int64)
    back[at] = np.arange(len(at))
    g1, g2, g3, g4, bias = (g[back] for g in (g1, g2, g3, g4, bias))
    return SarMse(g1, g2, g3, g4, bias, information, s * Z[np.ix_(back, back)])
