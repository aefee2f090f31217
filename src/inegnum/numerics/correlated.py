"""Correlated area effects of several indicators, known with error.

Model
    m_i ~ N(u_i, V_i) for area i, J indicators; u_i ~ N(0, D), D covariance between indicators:
    D | a ~ inverse-Wishart(nu + J - 1, 2 nu diag(1/a)), a_j ~ inverse-gamma(1/2, 1/A_j^2). With
    nu = 2 every correlation is uniform on (-1, 1) and every sd half-t(2, A_j), whatever J.
Method
    Gibbs: every conditional is standard.
Assumptions
    Areas are exchangeable; V_i holds the correlation of sampling errors of the same respondents.
Limits
    A dozen areas tell a correlation to about +-0.5: its draws carry that, a point does not.

References
----------
    Huang & Wand 2013, doi:10.1214/13-BA815 (scaled inverse-Wishart); Benavent & Morales 2016,
    doi:10.1016/j.csda.2015.07.013 (multivariate Fay-Herriot).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import invwishart

from inegnum.errors import InputError

__all__ = ["CorrelatedEffects", "correlated_effects", "correlation_root"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CorrelatedEffects:
    """Draws given noisy effects.

    Attributes
    ----------
    effects : ndarray of shape (S, I, J)
    covariance : ndarray of shape (S, J, J)
        Between indicators.
    """

    effects: Floats
    covariance: Floats

    def sds(self) -> Floats:
        """Return the sd of each indicator's effects, shape (S, J)."""
        return np.asarray(np.sqrt(np.einsum("sjj->sj", self.covariance)))

    def correlation(self) -> Floats:
        """Return the correlation between indicators, shape (S, J, J)."""
        sd = self.sds()
        return np.asarray(self.covariance / (sd[:, :, None] * sd[:, None, :]))


def correlated_effects(
    m: Floats,
    V: Floats,
    *,
    scale: Floats,
    rng: np.random.Generator,
    draws: int = 2000,
    burn: int = 500,
) -> CorrelatedEffects:
    """Draw effects and their covariance between indicators.

    Parameters
    ----------
    m : ndarray of shape (I, J)
        Effects as each indicator's evidence has them, no prior applied.
    V : ndarray of shape (I, J, J)
        Covariance of their errors.
    scale : ndarray of shape (J,)
        Scales A of the half-t priors of the sds.
    rng : numpy Generator
    draws, burn : int
        Kept and left out.

    Raises
    ------
    InputError
        Shapes disagree, one area, or an error covariance that is not positive definite.
    """
    areas, J = m.shape
    if V.shape != (areas, J, J) or scale.shape != (J,) or areas < 3 or (scale <= 0).any():
        raise InputError(
            "correlated effects need three areas, and errors and scales of their shape",
            got=f"m {m.shape}, V {V.shape}, scale {scale.shape}",
            expected="(I, J), (I, J, J), (J,) with I of 3 or more",
        )
    if not np.isfinite(m).all() or np.linalg.eigvalsh(V)[:, 0].min() <= 0:
        raise InputError("errors of effects must have a proper covariance", where="V")
    precision = np.linalg.inv(V)
    information = np.einsum("ijk,ik->ij", precision, m)
    nu, a = 2.0, scale**2
    D = np.diag(scale**2)
    effects, covariance = np.empty((draws, areas, J)), np.empty((draws, J, J))
    for s in range(-burn, draws):
        C = np.linalg.inv(precision + np.linalg.inv(D))
        u = np.einsum("ijk,ik->ij", C, information)
        u += np.einsum("ijk,ik->ij", np.linalg.cholesky(C), rng.standard_normal((areas, J)))
        D = np.atleast_2d(
            invwishart.rvs(nu + J - 1 + areas, 2 * nu * np.diag(1 / a) + u.T @ u, random_state=rng)
        )
        rate = nu * np.diag(np.linalg.inv(D)) + 1 / scale**2
        a = rate / rng.gamma((nu + J) / 2, 1.0, J)
        if s >= 0:
            effects[s], covariance[s] = u, D
    return CorrelatedEffects(effects, covariance)


def correlation_root(R: Floats) -> Floats:
    """Return A with A A' = R, for correlations (J, J) or draws of them (S, J, J).

    Raises
    ------
    InputError
        Not a correlation: a diagonal other than 1, or a negative eigenvalue.
    """
    values, vectors = np.linalg.eigh(R)
    diagonal = np.einsum("...jj->...j", R)
    # 1e-8: a perfect correlation is allowed, rounding aside.
    if np.abs(diagonal - 1).max() > 1e-8 or values.min() < -1e-8:
        raise InputError("not a correlation matrix", got=f"least eigenvalue {values.min():.2g}")
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :])
