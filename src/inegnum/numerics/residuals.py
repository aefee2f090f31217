"""Residuals on auxiliary variables: what calibration leaves of a variable's sampling variance.

``e = y - X B`` with ``B = (Z' V X + ridge)^- Z' V y``, V the initial weights times the unit factors
and Z = X unless instruments are given. Deville & Särndal (1992), equations 3.4-3.5. R: the ``qr``
that ``survey::calibrate`` stores in the design.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.numerics.normal_equations import Matrix, cross_products

__all__ = ["Projection", "project"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Projection:
    """A weighted regression, ready for any variable.

    Attributes
    ----------
    z : Matrix of shape (m, p)
    v : ndarray of shape (m,)
        Regression weights.
    inverse : ndarray of shape (p, p)
        Generalised inverse of ``Z' V X``; zero outside the kept columns.
    """

    z: Matrix
    v: Floats
    inverse: Floats

    def coefficients(self, y: Floats) -> Floats:
        """Return B, shape (p,) or (p, k), from y of shape (m,) or (m, k)."""
        v = self.v if y.ndim == 1 else self.v[:, None]
        return np.asarray(self.inverse @ (self.z.T @ (v * y)))


def project(x: Matrix, v: Floats, ridge: Floats, z: Matrix | None = None) -> Projection:
    """Prepare the regression of any variable on x.

    Parameters
    ----------
    x : Matrix of shape (m, p)
    v : ndarray of shape (m,)
        Regression weights.
    ridge : ndarray of shape (p,)
        Softness of each column.
    z : Matrix of shape (m, p), optional
        Instruments.
    """
    H = cross_products(x)(v) if z is None else cross_products(z, x)(v)
    H[np.diag_indices_from(H)] += ridge
    size = np.sqrt(np.abs(np.diag(H)))
    size = np.where(size > 0, size, 1.0)
    # Redundant margins make H singular; the fitted values do not depend on which inverse is taken.
    # Rounding leaves singular values near 1e-16 where algebra says 0; real ones stand far above.
    inverse = np.linalg.pinv(H / np.outer(size, size), rcond=1e-11, hermitian=z is None)
    return Projection(x if z is None else z, v, inverse / np.outer(size, size))
