"""Collapse to distinct cells, solve there, expand once.

Units that share every category share their g-weight, so calibration on categorical margins is a
problem on distinct cells: one pass over the codes gives the cells' weights, another writes the
units' weights. Both passes go tile by tile, so that beyond input and output memory is a constant
and what the cells themselves take; codes and weights are checked while a tile is at hand, and its
keys may wait where its weights will be written. Where the table of all combinations would be large,
the combinations found are kept in order and looked up instead.
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
# A key of this many bits is a positive 64-bit integer.
_KEY_BITS: Final = 62


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
    _known: _Known | None

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
        again = keyed is None or self._known is not None
        tiles = self._ranked() if again else _kept(out)
        looked_up = np.empty(min(unit.size, _TILE if again else _LOOKED_UP))
        for at, key in tiles:
            found = looked_up[: key.size]
            # Keys are known to be in the table: "wrap" only spares a copy against errors.
            np.take(table, key, out=found, mode="wrap")
            np.multiply(found, unit[at], out=out[at])
        return out

    def sums(self, values: Floats) -> Floats:
        """Return unit values added up by cell, shape (m,)."""
        total = np.zeros(self._place.size)
        for at, key in self._ranked():
            _add_up(total, key, values[at])
        return np.asarray(total[self._place < self.d.size])

    def _ranked(self) -> Iterator[tuple[slice, Keys]]:
        """Yield each tile of units with its positions in `_place`."""
        if self._known is None:
            return _tiles(self._units, self._sizes)
        return self._known.ranks(self._units)


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


@dataclass(frozen=True, slots=True)
class _Known:
    """Combinations found, in order, for keys too many to lay out in a table.

    Variables are taken in turn while their bits fit in a key; what was found so far then becomes
    one variable, the rank of its combinations, and the next ones follow it.

    Attributes
    ----------
    bits : tuple of int
        Bits of each variable.
    stages : tuple of (int, ndarray)
        Variables taken up to each stage, and the keys found there in increasing order.
    """

    bits: tuple[int, ...]
    stages: tuple[tuple[int, Keys], ...] = ()

    def ranks(self, units: tuple[Codes, ...]) -> Iterator[tuple[slice, Keys]]:
        """Yield each tile of units with the ranks of its combinations among those found."""
        return self.keys(units, self.stages[-1][0])

    def keys(self, units: tuple[Codes, ...], stop: int) -> Iterator[tuple[slice, Keys]]:
        """Yield each tile with ranks at the last stage, followed by variables up to `stop`."""
        n = len(units[0])
        for start in range(0, n, _TILE):
            at = slice(start, min(start + _TILE, n))
            key = np.zeros(at.stop - start, dtype=np.int64)
            done = 0
            for upto, found in self.stages:
                self._append(key, units, at, slice(done, upto))
                key = _ranked_among(found, key)
                done = upto
            self._append(key, units, at, slice(done, stop))
            yield at, key

    def _append(self, key: Keys, units: tuple[Codes, ...], at: slice, taken: slice) -> None:
        for code, bits in zip(units[taken], self.bits[taken], strict=True):
            np.left_shift(key, bits, out=key)
            np.bitwise_or(key, code[at], out=key, dtype=np.int64)

    def next_stop(self) -> int:
        """Return up to which variable keys still fit after the ranks of the last stage."""
        stop = self.stages[-1][0] if self.stages else 0
        used = len(self.stages[-1][1]).bit_length() if self.stages else 0
        while stop < len(self.bits) and used + self.bits[stop] <= _KEY_BITS:
            used += self.bits[stop]
            stop += 1
        return stop

    def codes(self, keys: Keys) -> tuple[npt.NDArray[np.intp], ...]:
        """Return the codes of combinations, given their keys at the last stage."""
        out: tuple[npt.NDArray[np.intp], ...] = ()
        for i in range(len(self.stages) - 1, -1, -1):
            start = self.stages[i - 1][0] if i else 0
            shape = tuple(1 << b for b in self.bits[start : self.stages[i][0]])
            out = _decode(keys, shape) + out
            if i:
                keys = self.stages[i - 1][1][keys >> sum(self.bits[start : self.stages[i][0]])]
        return out


def _collapse_sorted(units: tuple[Codes, ...], shape: tuple[int, ...], d: Floats) -> Cells:
    """Collapse when the full table would be larger than the data."""
    if not (d.min() >= 0 and np.isfinite(d).all()):
        raise InputError("a weight is negative or not finite")
    known = _Known(_bits(shape))
    while not known.stages or known.stages[-1][0] < len(units):
        stop = known.next_stop()
        found, mass = _distinct(known.keys(units, stop), d)
        known = _Known(known.bits, (*known.stages, (stop, found)))
    live = np.flatnonzero(mass > 0)
    place = np.full(found.size, live.size, dtype=np.intp)
    place[live] = np.arange(live.size)
    return Cells(known.codes(found[live]), mass[live], units, shape, place, known)


def _distinct(tiles: Iterator[tuple[slice, Keys]], d: Floats) -> tuple[Keys, Floats]:
    """Return the distinct keys of all tiles, in increasing order, and the weight of each."""
    found, mass = np.zeros(0, dtype=np.int64), np.zeros(0)
    for at, key in tiles:
        own, row = np.unique(key, return_inverse=True)
        at_own = np.searchsorted(found, own)
        new = (at_own == found.size) | (np.append(found, -1)[at_own] != own)
        if new.any():
            found = np.insert(found, at_own[new], own[new])
            mass = np.insert(mass, at_own[new], 0.0)
        _add_up(mass, np.searchsorted(found, own)[row], d[at])
    return found, mass


def _ranked_among(found: Keys, key: Keys) -> Keys:
    """Return where keys stand among those found; in order they are looked up far faster."""
    own, row = np.unique(key, return_inverse=True)
    return np.searchsorted(found, own)[row]


def _add_up(total: Floats, place: Keys, values: Floats) -> None:
    """Add values to the totals at their places; a long table is not gone through for each tile."""
    if total.size <= 4 * place.size:
        total += np.bincount(place, values, total.size)
    else:
        np.add.at(total, place, values)


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
    # 64-bit codes are shifted on their way into the key; narrower ones are copied first.
    wide = len(units) > 1 and units[0].dtype == np.int64
    for start in range(0, n, _TILE):
        at = slice(start, min(start + _TILE, n))
        key = buffer[: at.stop - start] if keyed is None else keyed[at].view(np.int64)
        for j, (code, size) in enumerate(zip(units, shape, strict=True)):
            if j == 0 and not wide:
                key[:] = code[at]
            elif j > 0:
                np.left_shift(units[0][at] if wide and j == 1 else key, bits[j], out=key)
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
