"""Collapse to distinct cells, solve there, expand once.

Units that share every category share their g-weight, so calibration on categorical margins is a
problem on distinct cells: one pass over the codes gives the cells' weights, another writes the
units' weights. Both passes go tile by tile, so that beyond input and output memory is a constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Cells", "collapse"]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer[Any]]

# 32,768 keys of 8 bytes stay in a core's own cache between the steps of a pass.
_TILE: Final = 32_768
# A dense table of cells up to this size costs less than sorting the keys.
_DENSE: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Cells:
    """Distinct combinations of codes found among units of positive weight.

    Attributes
    ----------
    codes : tuple of ndarray of shape (m,)
        Code of each cell on each variable.
    d : ndarray of shape (m,)
        Weight of each cell.
    """

    codes: tuple[npt.NDArray[np.intp], ...]
    d: Floats
    _units: tuple[Codes, ...]
    _sizes: tuple[int, ...]
    _place: npt.NDArray[np.intp]
    _keys: npt.NDArray[np.intp] | None

    def expand(self, values: Floats, unit: Floats) -> Floats:
        """Return ``unit * values[cell of the unit]``, shape (n,); 0 where the unit has no cell."""
        out = np.empty(unit.size)
        table = np.append(values, 0.0)[self._place]
        if self._keys is not None:
            np.multiply(table[self._keys], unit, out=out)
            return out
        for at, key in _tiles(self._units, self._sizes):
            np.take(table, key, out=out[at], mode="clip")
            np.multiply(out[at], unit[at], out=out[at])
        return out

    def sums(self, values: Floats) -> Floats:
        """Return unit values added up by cell, shape (m,)."""
        total = np.zeros(self._place.size)
        if self._keys is not None:
            total += np.bincount(self._keys, values, self._place.size)
        else:
            for at, key in _tiles(self._units, self._sizes):
                total += np.bincount(key, values[at], self._place.size)
        return np.asarray(total[self._place < self.d.size])


def collapse(codes: Sequence[Codes], sizes: Sequence[int], d: Floats) -> Cells:
    """Collapse units to distinct cells.

    Parameters
    ----------
    codes : sequence of ndarray of shape (n,)
        One array of codes a variable, each in ``0..size-1``.
    sizes : sequence of int
        Number of categories of each variable.
    d : ndarray of shape (n,)
        Weights; a cell whose units all weigh nothing is left out.

    Examples
    --------
    >>> import numpy as np
    >>> cells = collapse([np.array([0, 0, 1])], [2], np.array([1.0, 2.0, 4.0]))
    >>> cells.d
    array([3., 4.])
    >>> cells.expand(np.array([10.0, 1.0]), np.array([1.0, 2.0, 4.0]))
    array([10., 20.,  4.])
    """
    units, shape = tuple(codes), tuple(int(s) for s in sizes)
    total = 1 << sum(_bits(shape))
    if total > _DENSE:
        return _collapse_sorted(units, shape, d)
    mass = np.zeros(total)
    for at, key in _tiles(units, shape):
        mass += np.bincount(key, d[at], total)
    found = np.flatnonzero(mass > 0)
    place = np.full(total, found.size, dtype=np.intp)
    place[found] = np.arange(found.size)
    return Cells(_decode(found, shape), mass[found], units, shape, place, None)


def _collapse_sorted(units: tuple[Codes, ...], shape: tuple[int, ...], d: Floats) -> Cells:
    """Collapse when the full table would be larger than the data."""
    keys = np.zeros(d.size, dtype=np.intp)
    for code, size in zip(units, shape, strict=True):
        if keys.size and int(keys.max()) > np.iinfo(np.intp).max // (size + 1):
            keys = np.asarray(np.unique(keys, return_inverse=True)[1], dtype=np.intp)
        keys = keys * size + code
    _, first, keys = np.unique(keys, return_index=True, return_inverse=True)
    mass = np.bincount(keys, d, first.size)
    found = np.flatnonzero(mass > 0)
    place = np.full(first.size, found.size, dtype=np.intp)
    place[found] = np.arange(found.size)
    cell_codes = tuple(np.asarray(c[first[found]], dtype=np.intp) for c in units)
    return Cells(cell_codes, mass[found], units, shape, place, np.asarray(keys, dtype=np.intp))


def _tiles(
    units: tuple[Codes, ...], shape: tuple[int, ...]
) -> Iterator[tuple[slice, npt.NDArray[np.intp]]]:
    """Yield each tile of units with its flat keys; the buffer is used again by the next tile."""
    n = len(units[0])
    buffer = np.empty(min(n, _TILE), dtype=np.intp)
    for start in range(0, n, _TILE):
        at = slice(start, min(start + _TILE, n))
        key = buffer[: at.stop - at.start]
        key[:] = units[0][at]
        for code, bits in zip(units[1:], _bits(shape)[1:], strict=True):
            np.left_shift(key, bits, out=key)
            np.bitwise_or(key, code[at], out=key)
        yield at, key


def _bits(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the bits each code takes in a key: shifting is far cheaper than multiplying."""
    return tuple(max(size - 1, 1).bit_length() for size in shape)


def _decode(keys: npt.NDArray[np.intp], shape: tuple[int, ...]) -> tuple[npt.NDArray[np.intp], ...]:
    """Return the codes of flat keys."""
    out = []
    for bits in reversed(_bits(shape)):
        out.append(keys & ((1 << bits) - 1))
        keys = keys >> bits
    return tuple(reversed(out))
