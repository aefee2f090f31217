"""The proximity matrix of a simultaneous autoregression, cut once for many evaluations.

With B = (I - rho W)'(I - rho W): B, its slope in rho, its determinant and solutions, in the layout
of `inegnum.numerics.block_tridiagonal`. Used by `inegnum.numerics.sar`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components

from inegnum.numerics.block_tridiagonal import Blocks, Factor, Layout, factorise

__all__ = ["Graph"]

Floats = npt.NDArray[np.float64]
Solve = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class _Determinant:
    """log|B| and its slope in rho.

    When W is similar to a symmetric matrix S (a row-standardised symmetric proximity is),
    log|B| = 2 log|I - rho S|, whose pattern is that of the graph itself: blocks half as wide.
    """

    one: Blocks
    S: Blocks
    order: npt.NDArray[np.int64]
    c: Floats  # W = diag(1 / c) S diag(c), in that order

    @classmethod
    def of(cls, W: Any) -> _Determinant | None:
        scale = _symmetriser(W)
        if scale is None:
            return None
        S = sparse.csr_array(sparse.diags_array(scale) @ W @ sparse.diags_array(1 / scale))
        S = 0.5 * (S + S.T)
        one = sparse.eye_array(W.shape[0], format="csr")
        layout = Layout.of(abs(S) + one)
        at = layout.order
        return cls(layout.blocks(one), layout.blocks(S), at, scale[at])

    def factor(self, rho: float) -> Factor:
        return factorise(self.one.plus(self.S, -rho))

    def solve(self, factor: Factor, x: Floats) -> Floats:
        """Solve with B = A'A, A = diag(1 / c) (I - rho S) diag(c); x in the areas' order."""
        half = factor.solve(x[self.order] / self.c)
        result = np.empty_like(x)
        result[self.order] = factor.solve(half * self.c**2) / self.c
        return result


def _symmetriser(W: Any) -> Floats | None:
    """Return c such that ``diag(c) W diag(1 / c)`` is symmetric, or nothing when there is none."""
    m = W.shape[0]
    pattern = (abs(W) + abs(W).T).tocsr()
    log_c = np.zeros(m)
    _, component = connected_components(pattern, directed=False)
    for root in np.unique(component, return_index=True)[1]:
        order, parent = breadth_first_order(pattern, int(root), directed=False)
        child = order[1:]
        above = parent[child]
        forth, back = np.asarray(W[above, child]).ravel(), np.asarray(W[child, above]).ravel()
        if (forth <= 0).any() or (back <= 0).any():
            return None
        step = 0.5 * np.log(forth / back)
        for v, u, change in zip(child.tolist(), above.tolist(), step.tolist(), strict=True):
            log_c[v] = log_c[u] + change
    c = np.exp(log_c)
    S = sparse.csr_array(sparse.diags_array(c) @ W @ sparse.diags_array(1 / c))
    gap = abs(S - S.T).max() if S.nnz else 0.0
    # Weights come with at least seven digits; a matrix that is not of this kind is off by 1e-1.
    return c if gap <= 1e-7 else None


@dataclass(frozen=True, slots=True)
class Graph:
    """W cut once: B = I - rho (W + W') + rho^2 W'W in blocks and as sparse matrices."""

    layout: Layout
    sums: Any  # W + W', ordered
    gram: Any  # W'W, ordered
    blocks: tuple[Blocks, Blocks, Blocks]  # identity, W + W', W'W
    determinant: _Determinant | None

    @classmethod
    def of(cls, W: Any) -> Graph:
        """Cut a row-standardised sparse proximity."""
        m = W.shape[0]
        sums, gram, one = W + W.T, W.T @ W, sparse.eye_array(m, format="csr")
        layout = Layout.of(abs(sums) + abs(gram) + one)
        at = layout.order
        cut = (layout.blocks(one), layout.blocks(sums), layout.blocks(gram))
        ordered = [x.tocsr()[at][:, at].tocsr() for x in (sums, gram)]
        return cls(layout, ordered[0], ordered[1], cut, _Determinant.of(W))

    def log_det_B(self, rho: float) -> float:  # noqa: N802
        """log|B|."""
        if self.determinant is not None:
            return 2 * self.determinant.factor(rho).logdet
        return factorise(self.B(rho)).logdet

    def determinant_of_B(self, rho: float) -> tuple[float, float, Solve]:  # noqa: N802
        """log|B|, its slope in rho, and solutions with B (vectors in the layout's order)."""
        one = self.determinant
        if one is None:
            factor = factorise(self.B(rho))
            return factor.logdet, factor.inverse_blocks().inner(self.slope(rho)), factor.solve
        half, at = one.factor(rho), self.layout.order

        def solve(x: Floats) -> Floats:
            back = np.empty_like(x)
            back[at] = x
            return one.solve(half, back)[at]

        return 2 * half.logdet, -2 * half.inverse_blocks().inner(one.S), solve

    def B(self, rho: float) -> Blocks:  # noqa: N802 - the paper's letter
        """Return B in blocks."""
        one, sums, gram = self.blocks
        return one.plus(sums, -rho).plus(gram, rho * rho)

    def slope(self, rho: float) -> Blocks:
        """Return the slope of B in rho, in blocks."""
        _, sums, gram = self.blocks
        return Blocks(
            tuple(2 * rho * g - s for g, s in zip(gram.diagonal, sums.diagonal, strict=True)),
            tuple(2 * rho * g - s for g, s in zip(gram.lower, sums.lower, strict=True)),
        )

    def slope_matrix(self, rho: float) -> Any:
        """Return the slope of B in rho as a sparse matrix."""
        return 2 * rho * self.gram - self.sums

    def times_B(self, rho: float, x: Floats) -> Floats:  # noqa: N802
        """Multiply vectors, in the layout's order, by B."""
        return np.asarray(x - rho * (self.sums @ x) + rho**2 * (self.gram @ x))

    def times_slope(self, rho: float, x: Floats) -> Floats:
        """Multiply vectors, in the layout's order, by the slope of B in rho."""
        return np.asarray(2 * rho * (self.gram @ x) - self.sums @ x)
