"""Gaussian Markov structures for ordered and spatial factors.

Model
    A factor with K levels has effects b ~ N(0, sd^2 S) with S fixed, scaled so that the geometric
    mean of its diagonal is 1 and `sd` means the same thing whatever K or the graph.
Assumptions
    Neighbouring levels (or areas) resemble each other; the graph is connected.
Limits
    The random walk is made proper by a mean component of variance 0.01 sd^2: the intercept carries
    the level, so the data see no difference, and both engines sample the same proper prior.

References
----------
    Rue & Held 2005, Gaussian Markov Random Fields; Sørbye & Rue 2014,
    doi:10.1016/j.spasta.2013.06.004; Riebler, Sørbye, Simpson & Rue 2016,
    doi:10.1177/0962280216660421.
    Matches INLA's `scale.model = TRUE` (``INLA::inla.scale.model``).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError

__all__ = ["ar1_covariance", "icar_covariance", "random_walk_covariance"]

Floats = npt.NDArray[np.float64]
MEAN_VARIANCE: Final = 0.01


def random_walk_covariance(K: int) -> Floats:
    """Return the scaled covariance of a first-order random walk over K ordered levels.

    Parameters
    ----------
    K : int
        Number of levels, at least 2.

    Returns
    -------
    ndarray of shape (K, K)
        Positive definite.

    Examples
    --------
    >>> random_walk_covariance(3).shape
    (3, 3)
    """
    path = np.eye(K, k=1) + np.eye(K, k=-1)
    return icar_covariance(path) + MEAN_VARIANCE


def ar1_covariance(K: int, rho: float) -> Floats:
    """Return the stationary correlation of an AR(1) over K ordered levels, shape (K, K)."""
    if not -1 < rho < 1:
        raise InputError("an AR(1) needs |rho| < 1", where="rho", got=rho)
    at = np.arange(K)
    return np.asarray(rho ** np.abs(at[:, None] - at[None, :]), dtype=np.float64)


def icar_covariance(adjacency: Floats) -> Floats:
    """Return the scaled, zero-sum covariance of an intrinsic autoregression on a graph.

    Parameters
    ----------
    adjacency : ndarray of shape (K, K)
        Symmetric weights, zero on the diagonal; the graph must be connected.

    Returns
    -------
    ndarray of shape (K, K)
        Moore-Penrose inverse of the graph Laplacian, scaled; rank K - 1.

    Raises
    ------
    InputError
        The matrix is not a symmetric adjacency or the graph falls apart.
    """
    W = np.asarray(adjacency, dtype=np.float64)
    if W.ndim != 2 or W.shape[0] != W.shape[1] or W.shape[0] < 2:
        raise InputError("an adjacency is a square matrix of two areas or more", got=W.shape)
    if not np.array_equal(W, W.T) or (W < 0).any() or np.diag(W).any():
        raise InputError(
            "an adjacency must be symmetric, not negative, with nothing on its diagonal"
        )
    values, vectors = np.linalg.eigh(np.diag(W.sum(axis=1)) - W)
    # The null space is cut by its known dimension, not by a relative tolerance: pinv's default
    # threshold keeps the null vector with an inverse eigenvalue of 1e15.
    if values[1] < 1e-9 * values[-1]:
        raise InputError(
            "the contiguity graph is not connected",
            hint="give each island a neighbour, or model its areas without spatial structure",
        )
    S = (vectors[:, 1:] / values[1:]) @ vectors[:, 1:].T
    return np.asarray(S / np.exp(np.mean(np.log(np.diag(S)))))
