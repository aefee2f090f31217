"""Calibration of many weight vectors at once, for replicates.

All replicates share auxiliary variables and totals, so Newton's steps are taken together: products
with the auxiliary variables run over blocks of replicates, small systems are solved in one call.
Every replicate starts from the dual point of the full sample and must meet every margin.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from inegnum.errors import CalibrationError
from inegnum.numerics.distances import Distance, Linear, by_row
from inegnum.numerics.normal_equations import (
    Matrix,
    column_pairs,
    cross_products,
    distances_of,
    independent_columns,
)

__all__ = ["solve_batch"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

# Replicates worked on together: enough to share the cost of a call, few enough to bound memory,
# which is a few times as many numbers as units and replicates make.
_BLOCK: Final = 100
_NUMBERS: Final = 1_000_000
_MAX_STEPS: Final = 60
_MAX_HALVINGS: Final = 8
# A step that leaves more than this share of the miss calls for a fresh slope.
_GAIN: Final = 0.01


def solve_batch(
    x: Matrix,
    D: Floats,
    totals: Floats,
    *,
    distance: Distance,
    start: Floats,
    q: Floats | None = None,
    z: Matrix | None = None,
    ridge: Floats | None = None,
    tolerance: float = 1e-10,
) -> Floats:
    """Return calibrated ratios of every replicate.

    Parameters
    ----------
    x : Matrix of shape (m, p)
    D : ndarray of shape (m, R)
        Initial weights of each replicate; 0 where a replicate leaves a unit out.
    totals : ndarray of shape (p,)
    distance : Distance
    start : ndarray of shape (p,)
        Dual point of the full sample.
    q : ndarray of shape (m,), optional
    z : Matrix of shape (m, p), optional
        Instruments (generalised calibration).
    ridge : ndarray of shape (p,), optional
    tolerance : float

    Returns
    -------
    ndarray of shape (m, R)

    Raises
    ------
    CalibrationError
        Some replicate cannot meet the margins, for instance because it left a category empty.
    """
    soft = np.zeros(totals.size) if ridge is None else ridge
    distance = by_row(distance)
    full = D.mean(axis=1)
    exact = np.flatnonzero((soft == 0) & (np.asarray(np.abs(x).T @ full) > 0))
    names = [str(j) for j in range(totals.size)]
    gram = cross_products(x)(full)
    kept, _ = independent_columns(distances_of(x, full), gram, totals, exact, names)
    kept = np.sort(np.concatenate([kept, np.flatnonzero(soft > 0)]))
    X = sparse.csr_array(x)[:, kept]
    Z = None if z is None else sparse.csr_array(z)[:, kept]
    block = _Block(X, Z, totals[kept], distance, q, soft[kept], tolerance)
    common = block.inverse_at(full, start[kept])
    out = np.empty(D.shape)
    together = max(_BLOCK, _NUMBERS // max(len(D), 1))
    for at in range(0, D.shape[1], together):
        span = slice(at, min(at + together, D.shape[1]))
        out[:, span] = block.solve(np.ascontiguousarray(D[:, span]), start[kept], common, at)
    return out


class _Block:
    """Newton's steps of a block of replicates."""

    def __init__(
        self,
        x: sparse.csr_array,
        z: sparse.csr_array | None,
        totals: Floats,
        distance: Distance,
        q: Floats | None,
        ridge: Floats,
        tolerance: float,
    ) -> None:
        self.z, self.xt = x if z is None else z, sparse.csr_array(x.T)
        p = totals.size
        self.upper = np.triu_indices(p)
        self.pairs = (
            sparse.csr_array(column_pairs(x)[self.upper[0] * p + self.upper[1]])
            if z is None
            else None
        )
        self.products = None if z is None else cross_products(x, z)
        self.totals, self.distance = totals[:, None], distance
        self.q = None if q is None else q[:, None]
        self.ridge, self.tolerance = ridge[:, None], tolerance
        self.soft = bool(ridge.any())
        self.size = np.where(totals != 0, np.abs(totals), 1.0)[:, None]

    def inverse_at(self, d: Floats, lam: Floats) -> Floats:
        """Return the inverse slope of one weight vector, shape (p, p)."""
        D = d[:, None]
        u, g, _ = self._at(D, lam[:, None])
        S, size = self._slope(D, u, g)
        return np.asarray(np.linalg.pinv(S[0], rcond=1e-12) / np.outer(size[:, 0], size[:, 0]))

    def solve(self, D: Floats, start: Floats, common: Floats, offset: int) -> Floats:
        """Return ratios of a block.

        The first step takes the slope of the full sample, the next that of each replicate, which
        then serves as long as every step gains two digits.
        """
        lam = np.repeat(start[:, None], D.shape[1], axis=1)
        u, g, residual = self._at(D, lam)
        before = np.inf
        for step in range(_MAX_STEPS):
            miss = self._miss(residual)
            worst = float(miss.max())
            # Weights are asked for two digits more than margins, as far as rounding lets them.
            if worst <= self.tolerance and (worst <= 0.01 * self.tolerance or worst >= before):
                return g
            if step == 0:
                move = common @ residual
            else:
                if step == 1 or worst > _GAIN * before:
                    slope = self._slope(D, u, g)
                move = _moves(*slope, residual)
            before = worst
            lam, u, g, residual = self._search(D, lam, move, miss)
        raise self._stopped(residual, offset)

    def _at(self, D: Floats, lam: Floats) -> tuple[Floats, Floats, Floats]:
        u = self.z @ lam
        if self.q is not None:
            u *= self.q
        g = self.distance.ratio(u)
        residual = self.totals - self.xt @ (D * g)
        if self.soft:
            residual -= self.ridge * lam
        return u, g, residual

    def _slope(self, D: Floats, u: Floats, g: Floats) -> tuple[Floats, Floats]:
        """Return slopes on unit diagonal, shape (R, p, p), and their scale, shape (p, R)."""
        v = D * self.distance.slope(u, g)
        if self.q is not None:
            v *= self.q
        p, R = self.totals.shape[0], D.shape[1]
        S = np.empty((R, p, p))
        if self.products is not None:
            for r in range(R):
                S[r] = self.products(v[:, r])
        else:
            assert self.pairs is not None
            half = np.asarray(self.pairs @ v).T
            S[:, self.upper[0], self.upper[1]] = half
            S[:, self.upper[1], self.upper[0]] = half
        S[:, np.arange(p), np.arange(p)] += self.ridge.T
        size = np.sqrt(np.maximum(np.abs(np.diagonal(S, axis1=1, axis2=2)), 1e-200))
        S /= size[:, :, None] * size[:, None, :]
        return S, size.T

    def _miss(self, residual: Floats) -> Floats:
        return np.asarray(np.max(np.abs(residual) / self.size, axis=0))

    def _search(
        self, D: Floats, lam: Floats, move: Floats, miss: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Take full steps, shortened for replicates whose residuals would grow and overshoot."""
        length = np.ones(lam.shape[1])
        for _ in range(_MAX_HALVINGS):
            trial = lam + length * move
            u, g, after = self._at(D, trial)
            # Written so that a miss that is not a number has grown.
            grown = ~(self._miss(after) <= np.maximum(miss, self.tolerance))
            if isinstance(self.distance, Linear) or not grown.any():
                break
            # Without instruments the dual is concave: a step that still climbs has gained.
            climbing = np.sum(after * move, axis=0) >= 0
            bad = grown if self.products is not None else grown & ~climbing
            if not bad.any():
                break
            length[bad] /= 4
        return trial, u, g, after

    def _stopped(self, residual: Floats, offset: int) -> CalibrationError:
        miss = self._miss(residual)
        bad = np.flatnonzero(~(miss <= self.tolerance))
        return CalibrationError(
            "some replicates cannot be calibrated",
            where=f"replicates {(bad[:5] + offset).tolist()}",
            got=f"{bad.size} of a block, margins missed by up to {np.nanmax(miss):.1%}",
            expected="every margin met in every replicate",
            hint="merge small categories: a replicate may have left one without units",
        )


def _moves(S: Floats, size: Floats, residual: Floats) -> Floats:
    """Return the Newton move of every replicate, shape (p, R)."""
    scaled = (residual / size).T[:, :, None]
    try:
        move = np.linalg.solve(S, scaled)
    except np.linalg.LinAlgError:
        move = np.matmul(np.linalg.pinv(S, rcond=1e-10), scaled)
    return np.asarray(move[:, :, 0].T / size)
