"""Products of rows and effects, met through the terms that determine the others.

Model
    X = Z S: row r carries one level of each *fine* term (Z), and a level of a fine term tells the
    level of every term it determines (S): age x diploma tells age, diploma and the intercept.
    Sums over rows are those of the fine terms, then sums of sums: X'WX = S' (Z'WZ) S.
Assumptions
    A row without an effect of a fine term is one more level of it, so that it tells the others too.
Limits
    Terms with a multiplier by row stand alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array, csr_array

__all__ = ["Block", "RowMaps"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Levels of one term.

    Attributes
    ----------
    index : ndarray of shape (R,)
        Level of each row, -1 where it has none.
    size : int
    start : int
        Place of level 0 among the effects.
    value : ndarray of shape (R,)
        Multiplier; empty means 1.
    """

    index: Ints
    size: int
    start: int
    value: Floats


@dataclass(frozen=True, slots=True)
class RowMaps:
    """What rows and effects say of each other.

    Attributes
    ----------
    Z : csr_array of shape (R, F)
        Levels of fine terms by row.
    S : csr_array of shape (F, P)
        Effects by level of a fine term.
    pairs : csr_array of shape (R, U)
        ``pairs.T @ w`` lists the entries of Z'diag(w)Z that can differ from zero...
    at : ndarray of shape (U,)
        ...and this is where they stand in the flattened (F, F) upper triangle.
    back : tuple of csc_array
        Transposes of Z, S and pairs: views, that take longer to make than to use.
    """

    Z: csr_array
    S: csr_array
    pairs: csr_array
    at: Ints
    back: tuple[csc_array, csc_array, csc_array]

    @classmethod
    def of(cls, blocks: Sequence[Block], R: int) -> RowMaps:
        """Lay out the maps of terms over R rows."""
        told = _hosts(blocks)
        hosts = [k for k, host in enumerate(told) if host is None]
        fine, entries, begin = {}, [], 0
        for k in hosts:
            block = blocks[k]
            code = block.index + 1  # level 0: rows without an effect of this term
            fine[k] = (code, block.size + 1, begin)
            for t in [k, *(t for t, host in enumerate(told) if host == k)]:
                levels = np.full(block.size + 1, -1)
                levels[code] = blocks[t].index
                has = np.flatnonzero(levels >= 0)
                entries.append((begin + has, blocks[t].start + levels[has], np.ones(len(has))))
            begin += block.size + 1
        P = max(block.start + block.size for block in blocks)
        level, effect, one = (np.concatenate(part) for part in zip(*entries, strict=True))
        S = csr_array((one, (level, effect)), shape=(begin, P))
        value = {k: blocks[k].value for k in hosts if blocks[k].value.size}
        Z = _Rows(R, len(hosts))
        for k in hosts:
            Z.add(fine[k][0] + fine[k][2], value.get(k))
        crossed, at, used = _Rows(R, len(hosts) * (len(hosts) + 1) // 2), [], 0
        for i, k in enumerate(hosts):
            for m in hosts[i:]:
                (mine, _, first), (other, size, second) = fine[k], fine[m]
                local = mine * size + other
                reached = np.bincount(local) > 0
                places = np.flatnonzero(reached)
                at.append((places // size + first) * begin + places % size + second)
                crossed.add((np.cumsum(reached) - 1 + used)[local], value.get(k), value.get(m))
                used += len(places)
        rows, pairs = Z.matrix(begin), crossed.matrix(used)
        return cls(rows, S, pairs, np.concatenate(at), (rows.T, S.T, pairs.T))

    def predictor(self, b: Floats) -> Floats:
        """Return X b, shape (R,) or (R, S) as b is (P,) or (P, S)."""
        return np.asarray(self.Z @ (self.S @ b))

    def scores(self, v: Floats) -> Floats:
        """Return X'v, shape (P,) or (P, S) as v is (R,) or (R, S)."""
        Zt, St, _ = self.back
        return np.asarray(St @ (Zt @ v))

    def gram(self, w: Floats) -> Floats:
        """Return X'diag(w)X, shape (P, P)."""
        F = self.S.shape[0]
        flat = np.zeros(F * F)
        flat[self.at] = self.back[2] @ w
        upper = flat.reshape(F, F)
        diagonal = flat[:: F + 1].copy()
        full = upper + upper.T
        full.ravel()[:: F + 1] = diagonal
        St = self.back[1]
        return np.asarray(St @ (St @ full).T)

    def row_variances(self, C: Floats) -> Floats:
        """Return diag(X C X'), shape (R,), for a symmetric C of shape (P, P)."""
        twice = np.asarray(self.S @ (self.S @ C).T)
        diagonal = np.diag(twice).copy()
        twice *= 2
        np.fill_diagonal(twice, diagonal)
        return np.asarray(self.pairs @ twice.ravel()[self.at])


def _hosts(blocks: Sequence[Block]) -> list[int | None]:
    """Return, for each term, the fine term that determines it, or None where it is one."""
    told: list[int | None] = [None] * len(blocks)
    fine: list[int] = []
    for t in sorted(range(len(blocks)), key=lambda t: -blocks[t].size):
        if not blocks[t].value.size:
            told[t] = next((k for k in fine if _tells(blocks[k], blocks[t])), None)
        if told[t] is None:
            fine.append(t)
    return told


def _tells(host: Block, other: Block) -> bool:
    """Return whether the level of one term is known once that of the other is."""
    if host.value.size:
        return False
    level = np.full(host.size + 1, -1)
    level[host.index + 1] = other.index
    return bool((level[host.index + 1] == other.index).all())


class _Rows:
    """A sparse matrix with as many entries in every row, filled one entry of all rows at a time."""

    def __init__(self, R: int, count: int) -> None:
        index = np.int32 if R * count < 2**31 else np.int64
        self.where, self.what, self.filled = np.empty((R, count), index), np.ones((R, count)), 0

    def add(self, column: Ints, *values: Floats | None) -> None:
        """Place one entry a row, the product of the values given (1 without any)."""
        self.where[:, self.filled] = column
        for value in values:
            if value is not None:
                self.what[:, self.filled] *= value
        self.filled += 1

    def matrix(self, width: int) -> csr_array:
        """Return the matrix, shape (R, width)."""
        R, count = self.where.shape
        ends = np.arange(0, R * count + 1, count, dtype=self.where.dtype)
        return csr_array((self.what.ravel(), self.where.ravel(), ends), shape=(R, width))
