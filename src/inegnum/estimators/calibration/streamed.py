"""Calibration of data in chunks on margins that keep rows apart: numeric totals, households.

Model
    That of `calibrate`. Each step of Newton's method reads all chunks once and adds up what it
    needs, so memory is that of one chunk whatever the number of distinct incomes or households.
Assumptions
    All readings give the same rows. The rows of a household follow each other; they may be cut
    between chunks, not between the partitions of a Dask frame.
Limits
    No unit factors of one's own and no bounds by unit. Six to ten readings, where counts alone
    take two. Households are remembered by eight bytes each, to see one whose rows are apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InegnumError, InputError
from inegnum.estimators.calibration.calibrate import variant_of
from inegnum.estimators.calibration.encode import Columns, as_columns, column, given_weights
from inegnum.estimators.calibration.margins import Margin, TotalNames
from inegnum.estimators.calibration.system import Household, System, build_system, softness
from inegnum.numerics.distances import Distance
from inegnum.numerics.streamed import OfPart, StreamedSolution, Sums, look, solve_streamed

__all__ = [
    "ColumnSums",
    "Households",
    "StreamedCalibration",
    "calibrate_each",
    "hashes_of",
    "located",
    "part_of",
    "require_same_for_all",
    "sums_of",
    "whole_households",
]

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
# Applies a function to every chunk, in order, and yields what it returns.
EachChunk = Callable[[Callable[[Columns], Any]], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class ColumnSums:
    """What the weights of some rows add up to: total by total, and alone."""

    totals: Floats
    d: Floats
    rows: int

    def plus(self, other: ColumnSums) -> ColumnSums:
        """Return the sums of both."""
        return ColumnSums(self.totals + other.totals, self.d + other.d, self.rows + other.rows)


@dataclass(frozen=True)
class StreamedCalibration:
    """The dual point of a calibration of data in chunks: it gives the weight of any row.

    Attributes
    ----------
    margins : tuple of Margin
    distance : Distance
    household : Household or None
    rows : int
        Rows counted.
    solution : StreamedSolution
        Dual point, totals before and after, misses.
    """

    margins: tuple[Margin, ...]
    distance: Distance
    household: Household | None
    rows: int
    solution: StreamedSolution
    _weights: str | None
    _start: float

    def __repr__(self) -> str:
        return (
            f"StreamedCalibration({self.distance.name}, {self.rows} rows, "
            f"{self.solution.lam.size} totals, "
            f"largest miss {self.solution.error.max(initial=0.0):.1e})"
        )

    @property
    def steps(self) -> int:
        """Newton steps taken."""
        return self.solution.steps

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and why."""
        return self.solution.notes

    @property
    def no_sums(self) -> ColumnSums:
        """Sums of no rows, to add those of chunks to."""
        return ColumnSums(np.zeros(self.solution.lam.size), np.zeros(1), 0)

    def table(self) -> pd.DataFrame:
        """Return one row a total: ``margin, level, total, before, after, miss``."""
        levels = [(m, level) for m in self.margins for level in m.by_level]
        return pd.DataFrame(
            {
                "margin": [m.name for m, _ in levels],
                "level": [", ".join(map(str, level)) for _, level in levels],
                "total": [m.by_level[level] for m, level in levels],
                "before": self.solution.before,
                "after": self.solution.achieved,
                "miss": self.solution.error,
            }
        )

    def weigh(self, chunk: Columns) -> Floats:
        """Return the calibrated weights of the rows of a chunk, shape (rows,).

        Households must be whole in it.
        """
        return self.weigh_and_sum(chunk)[0]

    def weigh_and_sum(self, chunk: Columns) -> tuple[Floats, ColumnSums]:
        """Return the calibrated weights of the rows of a chunk, and what they add up to."""
        n = as_columns(chunk)
        d = _initial(chunk, self._weights, n, self._start)
        if not d.any():
            return np.zeros(n), replace(self.no_sums, rows=n)
        system = _system(chunk, self.margins, d, self._weights, self.household)
        g = self.solution.ratios(system.x, self.distance, system.q)
        w = system.expand(g, d)
        return w, ColumnSums(np.asarray(system.x.T @ (system.d * g)), np.array([w.sum()]), n)

    def totals(self, sums: ColumnSums) -> Floats:
        """Return what sums add up to, total by total of the margins, shape (p,)."""
        return sums.totals


@dataclass(slots=True)
class Households:
    """Households met so far, in hashes of their identifiers: each must come once."""

    by: str
    met: Hashes = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))

    def meet(self, hashes: Hashes) -> None:
        """Note households, refusing those met before."""
        at = np.searchsorted(self.met, hashes)
        again = int((np.append(self.met, 0)[at] == hashes)[at < self.met.size].sum())
        if again:
            raise InputError(
                "the rows of a household are apart",
                where=self.by,
                got=f"{again} households seen again in a later chunk or partition",
                hint="sort the data by household; a Dask frame, so that partitions hold whole ones",
            )
        self.met = np.sort(np.concatenate([self.met, hashes]))


def hashes_of(chunk: Columns, by: str) -> Hashes:
    """Return one number a household, in increasing order."""
    ids = np.asarray(pd.unique(pd.Series(column(chunk, by))))
    return np.sort(pd.util.hash_array(ids))


def whole_households(
    chunks: Iterable[Columns], household: Household | None, *, check: bool = False
) -> Iterator[Columns]:
    """Yield chunks that hold whole households: the last one waits for its other rows."""
    if household is None:
        yield from chunks
        return
    by, held = household.by, None
    known = Households(by)
    for chunk in chunks:
        frame = chunk if isinstance(chunk, pd.DataFrame) else pd.DataFrame(dict(chunk))
        if held is not None:
            frame = pd.concat([held, frame], ignore_index=True)
        ids = np.asarray(column(frame, by))
        differing = np.flatnonzero(ids != ids[-1]) if ids.size else np.zeros(0, dtype=int)
        cut = int(differing[-1]) + 1 if differing.size else 0
        held = frame.iloc[cut:]
        if cut:
            ready = frame.iloc[:cut]
            if check:
                known.meet(hashes_of(ready, by))
            yield ready
    if held is not None and len(held):
        if check:
            known.meet(hashes_of(held, by))
        yield held


def part_of(
    chunk: Columns,
    margins: tuple[Margin, ...],
    weights: str | None,
    household: Household | None,
    start: float,
) -> System | None:
    """Return auxiliary variables and weights of a chunk's units; None where all weigh nothing."""
    n = as_columns(chunk)
    d = _initial(chunk, weights, n, start)
    if not d.any():
        return None
    return _system(chunk, margins, d, weights, household)


def sums_of(chunk: Columns, weights: str | None) -> tuple[int, float, float]:
    """Return the rows of a chunk, the sum of their weights and that of their squares."""
    n = as_columns(chunk)
    d = _initial(chunk, weights, n, 1.0)
    return n, float(d.sum()), float(d @ d)


def calibrate_each(
    each_chunk: EachChunk,
    margins: tuple[Margin, ...],
    *,
    weights: str | None,
    rows: int,
    sums: tuple[float, float],
    distance: str | Distance,
    household: Household | None,
    tolerance: float,
) -> StreamedCalibration:
    """Calibrate chunks whose number of rows and sums of weights and of their squares are known.

    `each_chunk` applies a function to every chunk that is not empty, whole households in each.
    """
    variant = require_same_for_all(distance)
    start = 1.0 if weights is not None else _equal_start(margins, rows)
    each = _Each(each_chunk, margins, weights, household, start)
    totals = np.array([t for m in margins for t in m.by_level.values()], dtype=np.float64)
    mass, squares = sums[0] * start, sums[1] * start**2
    ridge = softness(margins, totals, np.zeros(0), (mass, squares))
    solution = solve_streamed(
        each,
        look(each),
        totals,
        distance=variant,
        names=TotalNames(margins),
        ridge=ridge,
        tolerance=tolerance,
    )
    return StreamedCalibration(margins, variant, household, rows, solution, weights, start)


def require_same_for_all(distance: str | Distance) -> Distance:
    """Return the distance, refusing bounds that differ from unit to unit."""
    bounds = [getattr(distance, name, 0.0) for name in ("lower", "upper")]
    if any(np.ndim(bound) for bound in bounds):
        raise InputError("data in chunks take the same bounds for all units")
    return variant_of(distance, 1)


@dataclass(frozen=True, slots=True)
class _Each:
    """Applies a function of auxiliary variables and weights to every chunk."""

    chunks: EachChunk
    margins: tuple[Margin, ...]
    weights: str | None
    household: Household | None
    start: float

    def __call__(self, function: OfPart) -> Iterator[Sums]:
        on = _OnPart(function, self.margins, self.weights, self.household, self.start)
        found = False
        for sums in self.chunks(on):
            if sums is not None:
                found = True
                yield sums
        if not found:
            raise InputError("all initial weights are zero", where=self.weights or "weights")


@dataclass(frozen=True, slots=True)
class _OnPart:
    """A function of auxiliary variables and weights, as one of a chunk; it can be pickled."""

    function: OfPart
    margins: tuple[Margin, ...]
    weights: str | None
    household: Household | None
    start: float

    def __call__(self, chunk: Columns) -> Sums | None:
        part = part_of(chunk, self.margins, self.weights, self.household, self.start)
        return None if part is None else self.function(part.x, part.d, part.q)


def located(error: InegnumError, first: int) -> InegnumError:
    """Return an error that says in which chunk it arose."""
    where = f"{error.where} of the chunk that starts at row {first}".strip()
    return type(error)(
        error.what, where=where, got=error.got, expected=error.expected, hint=error.hint
    )


def _equal_start(margins: tuple[Margin, ...], rows: int) -> float:
    counts = [m.sum() for m in margins if m.value is None and m.per == "unit"]
    if not counts or counts[0] <= 0:
        raise InputError(
            "initial weights are needed: no margin counts the population",
            where="weights",
            hint="give weights=, or add a margin of counts",
        )
    return counts[0] / rows


def _initial(chunk: Columns, weights: str | None, n: int, start: float) -> Floats:
    d = given_weights(chunk, weights, n)
    return np.full(n, start) if d is None else d


def _system(
    chunk: Columns,
    margins: tuple[Margin, ...],
    d: Floats,
    weights: str | None,
    household: Household | None,
) -> System:
    return build_system(
        chunk, margins, d, None, household, by_unit=True, weights_name=weights or "weights"
    )
