"""Cholesky, inverse and triangular solves on small dense matrices, straight from LAPACK.

The matrices here have a few hundred rows and are factored thousands of times: the checks of the
general wrappers cost more than the arithmetic.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas, lapack

from inegnum.errors import ConvergenceError

__all__ = ["factor", "inverse", "solve", "solve_lower", "solve_upper", "subtract"]

Floats = npt.NDArray[np.float64]


def factor(A: Floats) -> Floats:
    """Return the lower Cholesky factor of A, with zeros above the diagonal.

    Raises
    ------
    ConvergenceError
        A is not positive definite.
    """
    # A symmetric matrix by columns is the same by rows: LAPACK copies the latter.
    L, info = lapack.dpotrf(A.T, lower=1, clean=1)
    if info != 0:
        raise ConvergenceError(
            "a precision matrix is not positive definite",
            got=f"a pivot that is not positive at position {info}",
            hint="an effect is informed by neither evidence nor prior: give it a proper prior",
        )
    return np.asarray(L)


def inverse(L: Floats) -> Floats:
    """Return the inverse of L L'."""
    C, _ = lapack.dpotri(L, lower=1)
    # Zeros stand above the diagonal of a factor, and of what replaces it in place.
    full = np.asarray(C + C.T)
    np.fill_diagonal(full, np.diag(C))
    return full


def solve(L: Floats, b: Floats) -> Floats:
    """Return x with L L' x = b."""
    x, _ = lapack.dpotrs(L, b, lower=1)
    return np.asarray(x)


def solve_lower(L: Floats, b: Floats) -> Floats:
    """Return x with L x = b."""
    x, _ = lapack.dtrtrs(L, b, lower=1)
    return np.asarray(x)


def solve_upper(L: Floats, b: Floats) -> Floats:
    """Return x with L' x = b."""
    x, _ = lapack.dtrtrs(L, b, lower=1, trans=1)
    return np.asarray(x)


def subtract(C: Floats, reach: Floats, gain: Floats) -> Floats:
    """Return C - reach diag(gain) reach', a symmetric C (P, P) being overwritten."""
    columns = C if C.flags.f_contiguous else C.T
    less = blas.dgemm(
        -1.0, (reach * gain).T, reach.T, beta=1.0, c=columns, trans_a=1, overwrite_c=1
    )
    return np.asarray(less)
