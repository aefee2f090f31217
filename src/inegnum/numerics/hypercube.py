"""Points spread evenly over a product of laws on grids.

A Latin hypercube holds one point in each of n slices of every dimension: whatever depends on the
dimensions one at a time is then integrated almost without error, and what is left are their
interactions. Among many such designs the one with the least correlated dimensions is kept.

References
----------
McKay, Beckman & Conover 1979, doi:10.2307/1268522; Stein 1987, doi:10.2307/1269769.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["latin_hypercube", "quantile_cells"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TRIES: Final = 200


def latin_hypercube(n: int, d: int, rng: np.random.Generator) -> Floats:
    """Return n points of the unit cube of d dimensions, shape (n, d).

    Examples
    --------
    >>> u = latin_hypercube(4, 2, np.random.default_rng(0))
    >>> np.sort((4 * u).astype(int), axis=0).tolist()
    [[0, 0], [1, 1], [2, 2], [3, 3]]
    """
    slices = rng.permuted(np.broadcast_to(np.arange(n), (_TRIES, d, n)), axis=2)
    centred = slices - (n - 1) / 2
    products = centred @ centred.transpose(0, 2, 1)
    best = int(np.argmin((products**2).sum(axis=(1, 2))))
    return np.asarray((slices[best].T + rng.random((n, d))) / n)


def quantile_cells(mass: Floats, u: Floats) -> tuple[Ints, Floats]:
    """Return the cell in which each u falls under a law on cells, and how far into it (0 to 1).

    Parameters
    ----------
    mass : ndarray of shape (G,)
        Positive masses of the cells, of any sum.
    u : ndarray of shape (n,)

    Examples
    --------
    >>> cells, within = quantile_cells(np.array([1.0, 3.0]), np.array([0.125, 0.625]))
    >>> cells.tolist(), within.tolist()
    ([0, 1], [0.5, 0.5])
    """
    ends = np.concatenate([[0.0], np.cumsum(mass)])
    target = u * ends[-1]
    cells = np.clip(np.searchsorted(ends, target, side="right") - 1, 0, len(mass) - 1)
    return cells, np.asarray((target - ends[cells]) / mass[cells])
