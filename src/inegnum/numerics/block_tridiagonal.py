"""Symmetric positive definite matrices that are block tridiagonal after reordering.

On a contiguity graph of m areas, the areas at distance k from a peripheral one touch only those at
distances k - 1 and k + 1: sorted by distance, a precision matrix is block tridiagonal with blocks
of b rows, b of the order of sqrt(m). The determinant, the inverse on the blocks and solutions cost
O(m b^2) in a few dozen matrix products, instead of O(m^3). A dense matrix is one block: the same
code, the usual cost.

References
----------
    Takahashi, Fagan and Chin (1973) for the inverse on the pattern; Rue and Held (2005)
    doi:10.1201/9780203492024.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg
from scipy.sparse.csgraph import breadth_first_order, connected_components

__all__ = ["Blocks", "Factor", "Layout", "factorise"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Diagonal blocks and the blocks below them: ``lower[k]`` links block k + 1 to block k."""

    diagonal: tuple[Floats, ...]
    lower: tuple[Floats, ...]

    def plus(self, other: Blocks, scale: float) -> Blocks:
        """Return ``self + scale * other``."""
        return Blocks(
            tuple(a + scale * b for a, b in zip(self.diagonal, other.diagonal, strict=True)),
            tuple(a + scale * b for a, b in zip(self.lower, other.lower, strict=True)),
        )

    def plus_diagonal(self, values: Floats) -> Blocks:
        """Add a diagonal matrix, given as shape (m,)."""
        start, result = 0, []
        for block in self.diagonal:
            b = block.shape[0]
            result.append(block + np.diag(values[start : start + b]))
            start += b
        return Blocks(tuple(result), self.lower)

    def inner(self, other: Blocks) -> float:
        """Return ``trace(self @ other)`` when one of the two is zero outside the blocks."""
        along = sum(
            float(np.vdot(a, b)) for a, b in zip(self.diagonal, other.diagonal, strict=True)
        )
        across = sum(float(np.vdot(a, b)) for a, b in zip(self.lower, other.lower, strict=True))
        return along + 2 * across


@dataclass(frozen=True, slots=True)
class Layout:
    """Order of the rows and cuts between blocks.

    Attributes
    ----------
    order : ndarray of shape (m,)
        Row of the original matrix at each place.
    cuts : tuple of int
        Places where blocks start, and m.
    """

    order: npt.NDArray[np.int64]
    cuts: tuple[int, ...]

    @classmethod
    def of(cls, pattern: Any) -> Layout:
        """Lay out a symmetric sparse pattern; one block when its levels are too wide to pay."""
        m = pattern.shape[0]
        level = _levels(pattern.tocsr())
        sizes = np.bincount(level)
        # With levels of a third of the matrix the products saved do not repay the loop.
        if 3 * sizes.max() > m:
            return cls(np.arange(m, dtype=np.int64), (0, m))
        cuts, held = [0], 0
        for size in sizes:
            held += int(size)
            # Blocks under 32 rows spend their time in the interpreter: levels are merged.
            if held >= 32:
                cuts.append(cuts[-1] + held)
                held = 0
        if held:  # the rows left over join the last block, or are the only one
            cuts = [*cuts[:-1], m] if len(cuts) > 1 else [0, m]
        return cls(np.argsort(level, kind="stable").astype(np.int64), tuple(cuts))

    def blocks(self, matrix: Any) -> Blocks:
        """Cut a sparse symmetric matrix that has at most the pattern of the layout."""
        ordered = matrix.tocsr()[self.order][:, self.order].tocsr()
        spans = list(pairwise(self.cuts))
        diagonal = tuple(ordered[a:b, a:b].toarray() for a, b in spans)
        lower = tuple(ordered[c:d, a:b].toarray() for (a, b), (c, d) in pairwise(spans))
        return Blocks(diagonal, lower)


def _levels(graph: Any) -> npt.NDArray[np.int64]:
    """Distance of each vertex from a peripheral one; components follow each other."""
    m = graph.shape[0]
    level = np.empty(m, np.int64)
    _, component = connected_components(graph, directed=False)
    first = 0
    for c in range(int(component.max()) + 1):
        root = int(np.flatnonzero(component == c)[0])
        # Three searches, each from the farthest vertex of the last, reach the periphery.
        for _ in range(3):
            order, parent = breadth_first_order(graph, root, directed=False)
            depth = {root: 0}
            for vertex in order[1:].tolist():
                depth[vertex] = depth[int(parent[vertex])] + 1
            root = int(order[-1])
        level[order] = first + np.array([depth[v] for v in order.tolist()], np.int64)
        first = int(level[order].max()) + 1
    return level


@dataclass(frozen=True, slots=True)
class Factor:
    """Block Cholesky factor.

    Attributes
    ----------
    inverse : tuple of ndarray
        Inverses of the diagonal blocks of the factor: solutions are then matrix products, which
        run several times faster than triangular solves of this size.
    link : tuple of ndarray
        Blocks below the diagonal of the factor.
    logdet : float
        Log determinant of the matrix.
    """

    inverse: tuple[Floats, ...]
    link: tuple[Floats, ...]
    logdet: float

    def _spans(self) -> list[tuple[int, int]]:
        return list(pairwise(np.cumsum([0, *(L.shape[0] for L in self.inverse)]).tolist()))

    def half(self, rhs: Floats) -> Floats:
        """Return ``L^-1 rhs``, shape (m, k): ``a' M^-1 b`` is the product of two halves."""
        x = np.array(rhs, dtype=np.float64, order="C")
        spans = self._spans()
        for k, (a, b) in enumerate(spans):
            if k:
                x[a:b] -= self.link[k - 1] @ x[slice(*spans[k - 1])]
            x[a:b] = self.inverse[k] @ x[a:b]
        return x

    def solve(self, rhs: Floats) -> Floats:
        """Solve for ``rhs`` of shape (m,) or (m, k), in the order of the layout."""
        flat = rhs.ndim == 1
        x = self.half(rhs[:, None] if flat else rhs)
        spans = self._spans()
        for k in range(len(spans) - 1, -1, -1):
            a, b = spans[k]
            if k + 1 < len(spans):
                x[a:b] -= self.link[k].T @ x[slice(*spans[k + 1])]
            x[a:b] = self.inverse[k].T @ x[a:b]
        return x[:, 0] if flat else x

    def inverse_blocks(self) -> Blocks:
        """Return the inverse on the blocks, without the rest of it."""
        diagonal = [L.T @ L for L in self.inverse]
        lower = list(self.link)
        for k in range(len(lower) - 1, -1, -1):
            gain = self.inverse[k].T @ self.link[k].T
            lower[k] = -diagonal[k + 1] @ gain.T
            diagonal[k] -= gain @ lower[k]
        return Blocks(tuple(diagonal), tuple(lower))


def factorise(blocks: Blocks) -> Factor:
    """Factorise a positive definite matrix.

    Raises
    ------
    numpy.linalg.LinAlgError
        The matrix is not positive definite.
    """
    inverse: list[Floats] = []
    link: list[Floats] = []
    logdet = 0.0
    for k, block in enumerate(blocks.diagonal):
        schur = block
        if k:
            link.append(blocks.lower[k - 1] @ inverse[-1].T)
            schur = block - link[-1] @ link[-1].T
        L = np.linalg.cholesky(schur)
        logdet += 2 * float(np.log(np.diag(L)).sum())
        inverse.append(np.ascontiguousarray(linalg.lapack.dtrtri(L, lower=1)[0]))
    return Factor(tuple(inverse), tuple(link), logdet)
