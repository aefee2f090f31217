"""Collapse to distinct cells, solve there, expand once.

Units that share every category share their g-weight, so calibration on categorical margins is a
problem on distinct cells: one pass over the codes gives the cells' weights, another writes the
units' weights. Both passes go tile by tile, so that beyond input and output memory is a constant;
codes and weights are checked while a tile is at hand, and its keys may wait where its weights will
be written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError

__all__ = ["Cells", "collapse"]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer[Any]]
Keys = npt.NDArray[np.int64]

# Keys of a tile stay in a core's cache between the steps of a pass; larger tiles take fewer calls.
_TILE: Final = 131_072
# What is looked up waits in fresh memory, whose pages cost more than a few more calls.
_LOOKED_UP: Final = 65_536
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

    def expand(self, values: Floats, unit: Floats, keyed: Floats | None = None) -> Floats:
        """Return ``unit * values[cell of the unit]``, shape (n,); 0 where the unit has no cell.

        Parameters
        ----------
        values : ndarray of shape (m,)
        unit : ndarray of shape (n,)
        keyed : ndarray of shape (n,), optional
            What `collapse` left its keys in: it is written over, and returned.
        """
        out = np.empty(unit.size) if keyed is None else keyed
        table = np.append(values, 0.0)[self._place]
        if self._keys is not None:
            np.multiply(table[self._keys], unit, out=out)
            return out
        tiles = _tiles(self._units, self._sizes) if keyed is None else _kept(keyed)
        looked_up = np.empty(min(unit.size, _TILE if keyed is None else _LOOKED_UP))
        for at, key in tiles:
            found = looked_up[: key.size]
            # Keys are known to be in the table: "wrap" only spares a copy against errors.
            np.take(table, key, out=found, mode="wrap")
            np.multiply(found, unit[at], out=out[at])
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


def collapse(
    codes: Sequence[Codes], sizes: Sequence[int], d: Floats, *, keyed: Floats | None = None
) -> Cells:
    """Collapse units to distinct cells.

    Parameters
    ----------
    codes : sequence of ndarray of shape (n,)
        One array of codes a variable, each in ``0..size-1``.
    sizes : sequence of int
        Number of categories of each variable.
    d : ndarray of shape (n,)
        Weights; a cell whose units all weigh nothing is left out.
    keyed : ndarray of shape (n,), optional
        Memory that may hold the keys of the units until `Cells.expand` writes their weights there.

    Raises
    ------
    InputError
        A code is out of range, or a weight negative or not finite. Which is not said: the caller
        knows their names.

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
        for code, size in zip(units, shape, strict=True):
            _require_in_range(code, size)
        return _collapse_sorted(units, shape, d)
    mass, lowest = np.zeros(total), 0.0
    for at, key in _tiles(units, shape, keyed, checked=True):
        mass += np.bincount(key, d[at], total)
        lowest = min(lowest, float(d[at].min()))
    if lowest < 0 or not np.isfinite(mass).all():
        raise InputError("a weight is negative or not finite")
    found = np.flatnonzero(mass > 0)
    place = np.full(total, found.size, dtype=np.intp)
    place[found] = np.arange(found.size)
    return Cells(_decode(found, shape), mass[found], units, shape, place, None)


def _require_in_range(code: Codes, size: int) -> None:
    # Read as unsigned a negative code is a huge one, so the largest value settles it.
    unsigned = code.view(np.dtype(f"u{code.dtype.itemsize}")) if code.dtype.kind == "i" else code
    if not int(unsigned.max()) < size:
        raise InputError("a code is out of range")


def _collapse_sorted(units: tuple[Codes, ...], shape: tuple[int, ...], d: Floats) -> Cells:
    """Collapse when the full table would be larger than the data."""
    if not (d.min() >= 0 and np.isfinite(d).all()):
        raise InputError("a weight is negative or not finite")
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
    units: tuple[Codes, ...],
    shape: tuple[int, ...],
    keyed: Floats | None = None,
    *,
    checked: bool = False,
) -> Iterator[tuple[slice, Keys]]:
    """Yield each tile of units with its flat keys.

    Keys are written into `keyed`, or into a buffer that the next tile uses again. Codes are checked
    on demand, each while it is in cache.
    """
    n = len(units[0])
    bits = _bits(shape)
    buffer = np.empty(min(n, _TILE), dtype=np.int64)
    for start in range(0, n, _TILE):
        at = slice(start, min(start + _TILE, n))
        key = buffer[: at.stop - start] if keyed is None else keyed[at].view(np.int64)
        for j, (code, size) in enumerate(zip(units, shape, strict=True)):
            if j == 0:
                key[:] = code[at]
            else:
                np.left_shift(key, bits[j], out=key)
                np.bitwise_or(key, code[at], out=key, dtype=np.int64)
            if checked:
                _require_in_range(code[at], size)
        yield at, key


def _kept(keyed: Floats) -> Iterator[tuple[slice, Keys]]:
    """Yield each tile of units with the keys an earlier pass left in memory."""
    for start in range(0, keyed.size, _LOOKED_UP):
        at = slice(start, min(start + _LOOKED_UP, keyed.size))
        yield at, keyed[at].view(np.int64)


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
