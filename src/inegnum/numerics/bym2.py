"""Area effects part spatial, part independent (BYM2), on any contiguity graph.

Model
    b = sd (sqrt(1 - phi) v + sqrt(phi) u), v ~ N(0, I), u ~ N(0, S); S is the inverse Laplacian of
    the graph, scaled component by component, so that `sd` is the sd of an area whatever the graph
    and `phi` the share of its variance that is spatial. Marginally
    b ~ N(0, sd^2 [(1 - phi) I + phi S]): K effects, not 2K.
Assumptions
    Neighbours resemble each other; every component of the graph has level zero of its own, an area
    without neighbour is independent of all (variance 1 in S).
Limits
    A dozen areas say little of phi: its prior is shown with its posterior.

References
----------
    Riebler, Sørbye, Simpson & Rue 2016, doi:10.1177/0962280216660421 (scaling, prior of phi);
    Freni-Sterrantino, Ventrucci & Rue 2018, doi:10.1016/j.sste.2018.04.002 (disconnected graphs);
    Simpson et al. 2017, doi:10.1214/16-STS576 (penalised complexity).
    R: ``INLA::inla(f(area, model = "bym2", scale.model = TRUE))``, ``brms::car(type = "bym2")``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from inegnum.errors import InputError
from inegnum.numerics.gmrf import icar_covariance

__all__ = [
    "CELLS",
    "NULL",
    "Mixing",
    "PhiPrior",
    "bym2_correlation",
    "bym2_mixing",
    "move_share",
    "share_at",
    "share_mass",
    "spatial_covariance",
]

Floats = npt.NDArray[np.float64]
PhiPrior = Literal["pc", "uniform"]
CELLS: Final = 24  # of the grid of phi, even in arcsin(sqrt(phi))
# Penalised complexity, as Riebler et al. and INLA set it: P(phi < 1/2) = 2/3.
BELOW_HALF: Final = 2 / 3
NULL: Final = 1e-9  # below it, an eigenvalue of the scaled structure is rounding


@dataclass(frozen=True, slots=True)
class Mixing:
    """The spatial structure of a block and the prior of its share phi.

    Attributes
    ----------
    values : ndarray of shape (K,)
        Eigenvalues of S.
    vectors : ndarray of shape (K, K)
        Eigenvectors, by column.
    prior : {"pc", "uniform"}
    rate : float
        Rate of the exponential prior of the distance from independence (pc).
    """

    values: Floats
    vectors: Floats
    prior: PhiPrior
    rate: float

    def variances(self, phi: float) -> Floats:
        """Return the prior variances at sd 1 along the eigenvectors, shape (K,)."""
        return np.asarray(1 - phi + phi * self.values)

    def precision(self, phi: float) -> Floats:
        """Return the prior precision at sd 1, shape (K, K)."""
        return np.asarray((self.vectors / self.variances(phi)) @ self.vectors.T)

    def root(self, phi: float) -> Floats:
        """Return A, shape (K, K), such that A A' is the prior precision at sd 1."""
        return np.asarray(self.vectors / np.sqrt(self.variances(phi)))

    def cumulative(self, phi: Floats) -> Floats:
        """Return the prior probability that the share is below each `phi`, shape of `phi`."""
        if self.prior == "uniform":
            return np.asarray(phi, dtype=np.float64)
        return np.asarray(1 - np.exp(-self.rate * _distance(self.values, phi)))

    def log_masses(self) -> Floats:
        """Return the log prior mass of each cell of the grid of phi, shape (CELLS,)."""
        edges = share_at(np.arange(CELLS + 1))
        return np.asarray(np.log(np.maximum(np.diff(self.cumulative(edges)), 1e-300)))

    def stretch(self) -> tuple[float, float]:
        """Return (a, b) of the scale shares are sampled on: 1 - phi = exp(-a d - b d^2).

        Near 0 the distance d from independence grows like phi times sqrt(sum (v - 1)^2 / 2), near
        1 like the root of -m log(1 - phi), m the eigenvalues at 0. A monotone map with both ends
        right needs no inversion, and its own slope enters the density.
        """
        near = np.sqrt(0.5 * ((self.values - 1) ** 2).sum())
        return float(1 / near), 1 / max(int((self.values < NULL).sum()), 1)


def share_at(position: npt.ArrayLike) -> Floats:
    """Return phi at a position of its grid, 0 to CELLS; never 0, whose logarithm is taken."""
    position = np.maximum(np.asarray(position, dtype=np.float64), 1e-3)
    return np.asarray(np.sin(0.5 * np.pi * position / CELLS) ** 2)


def _distance(values: Floats, phi: Floats) -> Floats:
    """Return sqrt(2 KLD) between shares phi and independence: d(phi) of Riebler et al."""
    excess = np.asarray(values) - 1
    inside = np.maximum(1 + np.multiply.outer(phi, excess), 0.0)
    with np.errstate(divide="ignore"):  # phi = 1 lies infinitely far: S is singular
        twice = np.asarray(phi) * excess.sum() - np.log(inside).sum(axis=-1)
    return np.asarray(np.sqrt(np.maximum(twice, 0.0)))


def spatial_covariance(adjacency: Floats) -> Floats:
    """Return S, scaled within each component; an area without neighbour has variance 1.

    Parameters
    ----------
    adjacency : ndarray of shape (K, K)
        Symmetric weights, zero on the diagonal.

    Returns
    -------
    ndarray of shape (K, K)
        Block diagonal up to the order of the areas; the geometric mean of the variances of each
        component is 1.

    Raises
    ------
    InputError
        Not an adjacency, or no area has a neighbour.

    Examples
    --------
    >>> W = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    >>> spatial_covariance(W).round(3).tolist()
    [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    W = np.asarray(adjacency, dtype=np.float64)
    if W.ndim != 2 or W.shape[0] != W.shape[1] or not W.any():
        raise InputError(
            "a contiguity graph needs two neighbours at least",
            got=f"{W.shape} with {int(np.count_nonzero(W))} links",
            hint="without neighbours, effects of areas are independent: structure = 'iid'",
        )
    count, label = connected_components(W != 0, directed=False)
    S = np.eye(len(W))
    for component in range(count):
        at = np.flatnonzero(label == component)
        if len(at) > 1:
            S[np.ix_(at, at)] = icar_covariance(W[np.ix_(at, at)])
    return S


def bym2_mixing(adjacency: Floats, prior: PhiPrior = "pc") -> Mixing:
    """Return the structure of a BYM2 block.

    Parameters
    ----------
    adjacency : ndarray of shape (K, K)
    prior : {"pc", "uniform"}
        Of the spatial share: penalised complexity with P(phi < 1/2) = 2/3, or flat.
    """
    values, vectors = np.linalg.eigh(spatial_covariance(adjacency))
    values = np.maximum(values, 0.0)
    rate = -np.log1p(-BELOW_HALF) / float(_distance(values, np.asarray(0.5)))
    return Mixing(values, vectors, prior, float(rate))


def bym2_correlation(adjacency: Floats, phi: float) -> Floats:
    """Return the correlation of BYM2 effects at a given spatial share, shape (K, K).

    Examples
    --------
    >>> W = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    >>> bool(bym2_correlation(W, 0.5)[0, 1] > bym2_correlation(W, 0.5)[0, 2])
    True
    """
    if not 0 <= phi <= 1:
        raise InputError("a spatial share lies between 0 and 1", where="phi", got=phi)
    S = (1 - phi) * np.eye(len(adjacency)) + phi * spatial_covariance(adjacency)
    sd = np.sqrt(np.diag(S))
    return np.asarray(S / np.outer(sd, sd))


def share_mass(block: Floats, mean: Floats, mixing: Mixing, sd: float, share: float) -> Floats:
    """Return the law of the share given the sd, effects integrated, on the cells of its grid.

    Parameters
    ----------
    block, mean : ndarray of shape (K, K) and (K,)
        Gaussian posterior of the effects at this sd and share.

    Returns
    -------
    ndarray of shape (CELLS,)
        Of sum 1.
    """
    V = mixing.vectors
    inverse = np.linalg.inv(V.T @ block @ V)
    # What the rest of the model says of the effects: everything but their own prior. It is a
    # precision, which rounding can leave below zero.
    rest = inverse - np.diag(1 / (sd**2 * mixing.variances(share)))
    values, U = np.linalg.eigh((rest + rest.T) / 2)
    rest = (U * np.maximum(values, 0.0)) @ U.T
    variances = sd**2 * np.stack(
        [mixing.variances(phi) for phi in share_at(np.arange(CELLS) + 0.5)]
    )
    L = np.linalg.cholesky(rest + np.eye(len(rest)) / variances[:, None, :])
    half = np.linalg.solve(L, (inverse @ (V.T @ mean))[None, :, None])[..., 0]
    log_density = (
        mixing.log_masses()
        - 0.5 * np.log(variances).sum(axis=1)
        - np.log(np.einsum("fkk->fk", L)).sum(axis=1)
        + 0.5 * (half**2).sum(axis=1)
    )
    mass = np.exp(log_density - log_density.max())
    return np.asarray(mass / mass.sum())


def move_share(
    C: Floats,
    mean: Floats,
    place: slice,
    mixing: Mixing,
    at: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[float, Floats, Floats]:
    """Draw the share of a block given its sd, and move the effects' posterior with it.

    Parameters
    ----------
    C, mean : ndarray of shape (P, P) and (P,)
        Gaussian posterior of all effects.
    place : slice
        The block among them.
    at : tuple of float
        Its sd and its share so far.

    Returns
    -------
    share : float
    C, mean : ndarray
        Given the new share.
    """
    sd, share = at
    mass = share_mass(C[place, place], mean[place], mixing, sd, share)
    cell = min(int(np.searchsorted(np.cumsum(mass), rng.random())), CELLS - 1)
    new = float(share_at(np.asarray(cell + rng.random())))
    change = (1 / mixing.variances(new) - 1 / mixing.variances(share)) / sd**2
    # Woodbury along the eigenvectors of the structure, where the change of precision is diagonal.
    V = mixing.vectors
    reach = C[:, place] @ V
    inner = np.eye(len(change)) + change[:, None] * (V.T @ reach[place])
    gain = np.linalg.solve(inner, change[:, None] * reach.T)
    return new, C - reach @ gain, mean - gain.T @ (V.T @ mean[place])
