"""Calibration of data that come in chunks: weights of any number of rows in bounded memory.

Model
    That of `calibrate`. Rows that share every category of the margins share their ratio, so one
    reading adds up weights by cell, the cells are calibrated, and a second reading gives each row
    its cell's ratio. Numeric margins and households keep rows apart: then each step of Newton's
    method reads the chunks again (`streamed`). Margins are met exactly, as if all rows were in
    memory.
Assumptions
    All readings give the same rows. A chunk is a data frame or a dict of columns; the rows of a
    household follow each other.
Limits
    No unit factors and no bounds by unit.
R
    None reads in chunks; ``survey::calibrate`` on a database-backed design loads its variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InegnumError, InputError
from inegnum.estimators.calibration.calibrate import calibrate
from inegnum.estimators.calibration.encode import Columns, as_columns, given_weights
from inegnum.estimators.calibration.margins import Margin, Margins, as_margins
from inegnum.estimators.calibration.result import Calibration
from inegnum.estimators.calibration.streamed import (
    StreamedCalibration,
    calibrate_each,
    located,
    part_of,
    sums_of,
    whole_households,
)
from inegnum.estimators.calibration.system import Household, cells_of, levels_of
from inegnum.numerics.cells import Cells
from inegnum.numerics.distances import Distance

__all__ = [
    "CellSums",
    "ChunkedCalibration",
    "Chunks",
    "as_household",
    "calibrate_chunks",
    "calibrate_sums",
    "columns_of",
    "count_chunk",
    "keeps_rows_apart",
]

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int64]
# Called once a reading: yields the same chunks each time.
Chunks = Callable[[], Iterable[Columns]]


@dataclass(frozen=True, slots=True)
class CellSums:
    """Weights of the distinct cells of some rows.

    Attributes
    ----------
    keys : ndarray of shape (m,)
        Cells, in increasing order: positions of their levels as one number.
    d : ndarray of shape (m,)
        Sum of the weights of each.
    rows : int
        Rows counted.
    """

    keys: Keys = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    d: Floats = field(default_factory=lambda: np.zeros(0))
    rows: int = 0

    def plus(self, other: CellSums) -> CellSums:
        """Return the sums of both; chunks added in the same order give the same bytes."""
        keys, place = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)
        d = np.bincount(place, np.concatenate([self.d, other.d]), keys.size)
        return CellSums(keys, d, self.rows + other.rows)


@dataclass(frozen=True)
class ChunkedCalibration:
    """Ratios of the cells of data read in chunks.

    Attributes
    ----------
    cells : Calibration
        Calibration of the cells: its table, diagnostics and notes are those of the margins.
    rows : int
        Rows counted.
    """

    cells: Calibration
    rows: int
    _keys: Keys
    _weights: str | None
    _start: float

    def __repr__(self) -> str:
        return f"ChunkedCalibration({self.rows} rows in {self._keys.size} cells, {self.cells!r})"

    @property
    def distance(self) -> Distance:
        """Distance between initial and calibrated weights."""
        return self.cells.distance

    @property
    def steps(self) -> int:
        """Newton steps taken."""
        return self.cells.steps

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and why."""
        return self.cells.notes

    @property
    def no_sums(self) -> CellSums:
        """Sums of no rows, to add those of chunks to."""
        return CellSums()

    def table(self) -> pd.DataFrame:
        """Return one row a total, before and after (see `Calibration.table`)."""
        return self.cells.table()

    def weigh(self, chunk: Columns) -> Floats:
        """Return the calibrated weights of the rows of a chunk, shape (rows,).

        Raises
        ------
        InputError
            The chunk holds a cell that the first reading did not.
        """
        return self.weigh_and_sum(chunk)[0]

    def weigh_and_sum(self, chunk: Columns) -> tuple[Floats, CellSums]:
        """Return the calibrated weights of the rows of a chunk, and their sums by cell."""
        n = as_columns(chunk)
        d, buffer = _initial(chunk, self._weights, n), np.empty(n)
        if not d.any():
            return np.zeros(n), CellSums(rows=n)
        levels = levels_of(self.cells.margins)
        own = cells_of(chunk, levels, d, self._weights or "weights", buffer)
        keys = _keys_of(own, levels)
        at = np.minimum(np.searchsorted(self._keys, keys), self._keys.size - 1)
        if not np.array_equal(self._keys[at], keys):
            raise InputError(
                "a chunk holds categories together that the first reading did not",
                got=f"{int((self._keys[at] != keys).sum())} new combinations",
                hint="both readings must give the same rows",
            )
        w = own.expand(self._start * self.cells.g[at], d, buffer)
        return w, CellSums(keys, own.sums(w), n)

    def totals(self, sums: CellSums) -> Floats:
        """Return what sums by cell add up to, total by total of the margins, shape (p,)."""
        by_cell = np.zeros(self._keys.size)
        by_cell[np.searchsorted(self._keys, sums.keys)] = sums.d
        system = self.cells.system
        return np.asarray(system.x.T @ system.totals_of(by_cell))


def calibrate_chunks(
    chunks: Chunks,
    margins: Margins,
    *,
    weights: str | None = None,
    distance: str | Distance = "raking",
    household: str | Household | None = None,
    tolerance: float = 1e-10,
) -> ChunkedCalibration | StreamedCalibration:
    """Calibrate data that come in chunks.

    Parameters
    ----------
    chunks : callable
        Returns an iterator over chunks (data frames or dicts of columns).
    margins : dict, tidy table, Margin or list of Margin
        Totals to reproduce (see `Margin`).
    weights : str, optional
        Column of initial weights; equal ones that add up to the population when omitted.
    distance : str or Distance
        See `calibrate`.
    household : str or Household, optional
        Column of the household: its members keep one common weight. Their rows follow each other,
        in one chunk or over several; `weigh` wants whole households.
    tolerance : float
        Largest relative miss of a margin.

    Raises
    ------
    CalibrationError
        Margins cannot all be met: which, by how much and, when it can be known, why.
    MarginError, InputError
        Data or margins that cannot be used; the message gives the chunk's first row.

    Examples
    --------
    >>> parts = [{"sex": ["F", "F"]}, {"sex": ["M"]}]
    >>> fit = calibrate_chunks(lambda: parts, {"sex": {"F": 6, "M": 4}})
    >>> [fit.weigh(part).tolist() for part in parts]
    [[3.0, 3.0], [4.0]]
    """
    asked, home = as_margins(margins), as_household(household)
    if keeps_rows_apart(asked, home):
        return _streamed(chunks, asked, weights, distance, home, tolerance)
    sums = CellSums()
    for chunk in chunks():
        sums = sums.plus(count_chunk(chunk, asked, weights, first=sums.rows))
    return calibrate_sums(sums, asked, weights=weights, distance=distance, tolerance=tolerance)


def _streamed(
    chunks: Chunks,
    margins: tuple[Margin, ...],
    weights: str | None,
    distance: str | Distance,
    household: Household | None,
    tolerance: float,
) -> StreamedCalibration:
    rows, mass, squares = 0, 0.0, 0.0
    for chunk in whole_households(chunks(), household, check=True):
        try:
            part_of(chunk, margins, weights, household, 1.0)
            n, d, dd = sums_of(chunk, weights)
        except InegnumError as error:
            stopped = error
        else:
            rows, mass, squares = rows + n, mass + d, squares + dd
            continue
        raise located(stopped, rows)
    if rows == 0:
        raise InputError("data has no rows", got="0 rows")
    return calibrate_each(
        lambda function: map(function, whole_households(chunks(), household)),
        margins,
        weights=weights,
        rows=rows,
        sums=(mass, squares),
        distance=distance,
        household=household,
        tolerance=tolerance,
    )


def as_household(household: str | Household | None) -> Household | None:
    """Return how units make households, from a column's name or as it was given."""
    return Household(household) if isinstance(household, str) else household


def keeps_rows_apart(margins: tuple[Margin, ...], household: Household | None) -> bool:
    """Return whether rows of the same categories may get different weights."""
    return household is not None or any(m.value is not None or m.per != "unit" for m in margins)


def columns_of(
    margins: tuple[Margin, ...], weights: str | None, household: Household | None
) -> list[str]:
    """Return the columns a calibration reads."""
    named = [*levels_of(margins), *(m.value for m in margins if m.value is not None)]
    named += [weights] if weights else []
    named += [household.by] if household else []
    return list(dict.fromkeys(named))


def count_chunk(
    chunk: Columns, margins: tuple[Margin, ...], weights: str | None, *, first: int = 0
) -> CellSums:
    """Return the weights of the cells of one chunk; `first` is its first row, for messages."""
    try:
        n = as_columns(chunk)
        levels = levels_of(margins)
        d = _initial(chunk, weights, n)
        if not d.any():
            return CellSums(rows=n)
        cells = cells_of(chunk, levels, d, weights or "weights", None)
    except InegnumError as error:
        stopped = error
    else:
        keys = _keys_of(cells, levels)
        order = np.argsort(keys)
        return CellSums(keys[order], cells.d[order], n)
    raise located(stopped, first)


def calibrate_sums(
    sums: CellSums,
    margins: tuple[Margin, ...],
    *,
    weights: str | None,
    distance: str | Distance = "raking",
    tolerance: float = 1e-10,
) -> ChunkedCalibration:
    """Calibrate cells whose weights were added up chunk by chunk."""
    if sums.rows == 0:
        raise InputError("data has no rows", got="0 rows")
    if sums.keys.size == 0:
        raise InputError("all initial weights are zero", where=weights or "weights")
    levels = levels_of(margins)
    start = 1.0
    if weights is None:
        start = margins[0].sum() / sums.rows
    table: dict[str, pd.Categorical] = {}
    rest = sums.keys
    for variable, names in reversed(levels.items()):
        rest, code = np.divmod(rest, len(names))
        table[variable] = pd.Categorical.from_codes(code, pd.Index(names, dtype=object))
    cells = calibrate(
        pd.DataFrame(table),
        list(margins),
        weights=start * sums.d,
        distance=distance,
        tolerance=tolerance,
    )
    return ChunkedCalibration(cells, sums.rows, sums.keys, weights, start)


def _initial(chunk: Columns, weights: str | None, n: int) -> Floats:
    d = given_weights(chunk, weights, n)
    return np.broadcast_to(np.float64(1.0), (n,)) if d is None else d


def _keys_of(cells: Cells, levels: Mapping[str, list[object]]) -> Keys:
    """Return each cell as one number, the first variable counting most."""
    size = 1
    keys = np.zeros(cells.d.size, dtype=np.int64)
    for code, names in zip(cells.codes, levels.values(), strict=True):
        size *= len(names)
        keys = keys * len(names) + code
    if size > np.iinfo(np.int64).max:
        raise InputError(
            "too many combinations of categories to number them",
            got=f"{size:.2g}",
            hint="load the columns and use calibrate()",
        )
    return keys
