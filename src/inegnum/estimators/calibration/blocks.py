"""Columns of auxiliary variables: one block a margin, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from inegnum.errors import MarginError
from inegnum.estimators.calibration.margins import Level, Margin
from inegnum.numerics.normal_equations import Matrix, dense

__all__ = ["Block", "block", "side_by_side", "stack"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

# Share of filled entries above which auxiliary variables are worked on dense.
_SPARSE: Final = 0.4


@dataclass(frozen=True, slots=True)
class Block:
    """The columns of one margin: one entry a row at most.

    Attributes
    ----------
    level : ndarray of shape (m,) or None
        Column of each row; None for the plain total of a numeric variable.
    values : ndarray of shape (m,) or None
        Value of each row; None for counts.
    width : int
        Number of columns.
    """

    level: Ints | None
    values: Floats | None
    width: int

    def matrix(self) -> Matrix:
        """Return the columns, shape (m, width)."""
        if self.level is None:
            assert self.values is not None
            return self.values[:, None]
        m = self.level.size
        entries = np.ones(m) if self.values is None else self.values
        return sparse.csr_array((entries, self.level, np.arange(m + 1)), shape=(m, self.width))


def block(
    margin: Margin,
    codes: Mapping[str, npt.NDArray[np.integer[Any]]],
    variables: dict[str, list[object]],
    values: Floats | None,
) -> Block:
    """Return the columns of one margin, one row a unit or cell."""
    if not margin.variables:
        return Block(None, values, 1)
    if len(margin.variables) == 1:
        levels = variables[margin.variables[0]]
        if len(levels) == len(margin.by_level) and levels == [x for (x,) in margin.by_level]:
            own = np.asarray(codes[margin.variables[0]], dtype=np.intp)
            return Block(own, values, len(levels))
    place = {v: {x: i for i, x in enumerate(variables[v])} for v in margin.variables}
    shape = [len(variables[v]) for v in margin.variables]
    table = np.full(int(np.prod(shape)), -1, dtype=np.intp)
    at = np.zeros(len(margin.by_level), dtype=np.intp)
    for i, v in enumerate(margin.variables):
        at = at * shape[i] + np.array([place[v][level[i]] for level in margin.by_level])
    table[at] = np.arange(at.size)
    flat = np.asarray(codes[margin.variables[0]], dtype=np.intp)
    for v, size in zip(margin.variables[1:], shape[1:], strict=True):
        flat = flat * size + codes[v]
    level = table[flat]
    if level.size and level.min() < 0:
        _refuse_unlisted(margin, flat[level < 0], shape, variables)
    return Block(level, values, at.size)


def _refuse_unlisted(
    margin: Margin, flat: Ints, shape: Sequence[int], variables: dict[str, list[object]]
) -> None:
    found: list[Level] = []
    for key in np.unique(flat)[:5]:
        at = np.unravel_index(int(key), shape)
        found.append(tuple(variables[v][int(i)] for v, i in zip(margin.variables, at, strict=True)))
    raise MarginError(
        "the sample has categories without a total",
        where=margin.name,
        got="; ".join(margin.label(level) for level in found),
        expected=f"one of the {len(margin.by_level)} levels of the margin",
        hint="add their totals (0 if nobody of the population is there), or merge categories",
    )


def side_by_side(blocks: Sequence[Block], m: int) -> Matrix:
    """Return the columns of all margins: sparse when categories leave most of them empty."""
    if any(block.level is None for block in blocks):
        return stack([block.matrix() for block in blocks], m)
    j, p = len(blocks), sum(block.width for block in blocks)
    if j > _SPARSE * p:
        return np.hstack([dense(block.matrix()) for block in blocks])
    columns = np.empty((m, j), dtype=np.int32 if m * j < 2**31 else np.int64)
    entries = np.ones((m, j))
    offset = 0
    for i, block in enumerate(blocks):
        assert block.level is not None
        columns[:, i] = block.level + offset
        offset += block.width
        if block.values is not None:
            entries[:, i] = block.values
    start = np.arange(0, m * j + 1, j, dtype=columns.dtype)
    return sparse.csr_array((entries.ravel(), columns.ravel(), start), shape=(m, p))


def stack(blocks: Sequence[Matrix], m: int) -> Matrix:
    """Return matrices of m rows side by side, sparse or dense by how full they are."""
    p = sum(block.shape[1] for block in blocks)
    filled = sum(m * block.shape[1] if isinstance(block, np.ndarray) else m for block in blocks)
    if filled > _SPARSE * m * p:
        return np.hstack([dense(b) for b in blocks])
    return sparse.csr_array(sparse.hstack([sparse.csr_array(b) for b in blocks], format="csr"))
