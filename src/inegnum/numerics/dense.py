"""Cholesky, inverse and triangular solves on small dense matrices, straight from LAPACK.

The matrices here have a few hundred rows and are factored thousands of times: the checks of the
general wrappers cost more than the arithmetic.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

from inegnum.errors import ConvergenceError

__all__ = ["factor", "inverse", "solve", "solve_lower", "solve_upper"]

Floats = npt.NDArray[np.float64]


def factor(A: Floats) -> Floats:
    """Return the lower Cholesky factor of A, with zeros above the diagonal.

    Raises
    ------
    ConvergenceError
        A is not positive definite.
    """
    L, info = lapack.dpotrf(A, lower=1, clean=1)
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
    return np.asarray(np.tril(C) + np.tril(C, -1).T)


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
