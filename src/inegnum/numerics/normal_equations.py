"""Weighted cross-products, the rank of their columns, and steps that survive poor conditioning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import lapack

from inegnum.errors import CalibrationError

__all__ = [
    "CrossProducts",
    "Matrix",
    "column_pairs",
    "cross_products",
    "dense",
    "diagonal_of",
    "distances_of",
    "has_negative",
    "independent_columns",
    "is_indicator",
    "solve_scaled",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
# A dense array or a `scipy.sparse.csr_array`: both know `@`, `.T` and row selection, which is all
# that is asked of them here, and no type of either library covers the two.
Matrix = Any
_Pairs = tuple[Ints | None, Ints, Floats | None]

# On columns of unit length: a squared distance to the span of the others below this is looked at
# row by row, and a distance below the second is no distance at all.
_SUSPECT: Final = 1e-7
_COLLINEAR: Final = 1e-9
# Added to a unit diagonal before elimination: above rounding, far below what is looked for.
_ABOVE_ROUNDING: Final = 1e-10
# Totals implied by other margins may differ by their rounding in a published table, no more.
_TOTALS_AGREE: Final = 1e-8
# Beyond this many products laid out, memory costs more than it saves.
_MOST_PAIRS: Final = 4_000_000
# Up to this many columns, rows made dense are multiplied faster than sparse ones.
_NARROW: Final = 100
# Rows made dense at a time.
_ROWS: Final = 8_192


def dense(x: Matrix) -> Floats:
    """Return x as a dense array."""
    return np.asarray(x if isinstance(x, np.ndarray) else x.toarray())


def has_negative(x: Matrix) -> bool:
    """Return whether some entry of x is below zero."""
    entries = x if isinstance(x, np.ndarray) else x.data
    return bool(entries.size and entries.min() < 0)


def diagonal_of(S: Floats) -> Floats:
    """Return the diagonal of a square array, to be read or written in place."""
    return np.asarray(np.einsum("ii->i", S))


def is_indicator(x: Matrix) -> bool:
    """Return whether x is sparse and its entries are all one: columns are categories."""
    return not isinstance(x, np.ndarray) and bool(np.all(x.data == 1.0))


@dataclass(frozen=True, slots=True)
class CrossProducts:
    """Weighted cross-products of the columns of x, for many weights in turn.

    Rows of categorical variables hold a few ones: products of their entries are laid out once, each
    pair of entries in one order only, and ``x' diag(v) x`` is then one count whatever v. Where all
    rows hold the same number of ones, an entry with itself is left out: each column's products with
    the others tell its own.

    Attributes
    ----------
    x, z : Matrix of shape (m, p)
        Columns on either side (z = x without instruments).
    ones : int
        Number of ones in every row of x; 0 where rows differ or hold other numbers.
    """

    x: Matrix
    z: Matrix
    _pairs: _Pairs | None
    ones: int = 0
    _spread: Floats | None = None

    def __call__(self, v: Floats) -> Floats:
        """Return ``x' diag(v) z``, shape (p, p)."""
        if self._pairs is not None:
            p = self.x.shape[1]
            row, key, value = self._pairs
            if row is None:
                # Memory used again: fresh pages cost more than what is written in them.
                weights = np.empty(key.size) if self._spread is None else self._spread
                weights.reshape(-1, v.size)[:] = v
            else:
                weights = v[row]
            if value is not None:
                weights = np.multiply(weights, value, out=weights)
            half = np.bincount(key, weights, p * p).reshape(p, p)
            both = half + half.T
            own = both.sum(axis=1) / (self.ones - 1) if self.ones > 1 else diagonal_of(half)
            diagonal_of(both)[:] = own
            return both
        if isinstance(self.x, np.ndarray) and isinstance(self.z, np.ndarray):
            return np.asarray((self.x * v[:, None]).T @ self.z)
        if self.x.shape[1] <= _NARROW:
            return self._by_tiles(v)
        left = sparse.csr_array(self.x)
        scaled = sparse.csr_array(
            (left.data * np.repeat(v, np.diff(left.indptr)), left.indices, left.indptr),
            shape=left.shape,
        )
        return dense(scaled.T @ self.z)

    def _by_tiles(self, v: Floats) -> Floats:
        """Return the products of narrow sparse columns, some rows at a time made dense."""
        x, z = sparse.csr_array(self.x), sparse.csr_array(self.z)
        out = np.zeros((x.shape[1], z.shape[1]))
        for start in range(0, v.size, _ROWS):
            at = slice(start, start + _ROWS)
            rows = x[at].toarray()
            others = rows if self.z is self.x else z[at].toarray()
            out += (rows * v[at, None]).T @ others
        return out


def cross_products(x: Matrix, z: Matrix | None = None, *, ones: int = 0) -> CrossProducts:
    """Prepare the cross-products of x with itself, or with z.

    `ones` spares a look where every row of x is known to be made of so many ones.
    """
    if z is not None or isinstance(x, np.ndarray):
        return CrossProducts(x, x if z is None else z, None)
    if x.nnz * x.shape[1] > _MOST_PAIRS:
        entries = int(np.sum(np.diff(x.indptr).astype(np.int64) ** 2))
        if entries > _MOST_PAIRS:
            return CrossProducts(x, x, None)
    j = ones or _common_count(x)
    indicator = bool(ones) or is_indicator(x)
    ones = j if indicator else 0
    pairs = _pairs_of(x, j, indicator, apart=ones > 1)
    spread = np.empty(pairs[1].size) if pairs[0] is None else None
    return CrossProducts(x, x, pairs, ones, spread)


def _common_count(x: sparse.csr_array) -> int:
    """Return how many entries every row has; 0 when they differ."""
    m = x.shape[0]
    j = x.nnz // m if m else 0
    same = j * m == x.nnz and bool((x.indptr == np.arange(0, x.nnz + 1, j or 1)).all())
    return j if same else 0


def _pairs_of(x: sparse.csr_array, j: int, indicator: bool, *, apart: bool) -> _Pairs:
    """Return the products of every two entries of a row, each pair once.

    Which row each is from (None when all rows have `j` and products go pair by pair, row by row
    within a pair), where it goes in x'x, and its value (None when all are one). `apart` leaves out
    the products of entries with themselves.
    """
    m, p = x.shape
    columns = x.indices.astype(np.intp)
    if j:
        pairs = [(a, b) for a in range(j) for b in range(a + apart, j)]
        table = np.ascontiguousarray(columns.reshape(m, j).T)
        scaled = table * p
        key = np.empty((len(pairs), m), dtype=np.intp)
        for row, (a, b) in zip(key, pairs, strict=True):
            np.add(scaled[a], table[b], out=row)
        if indicator:
            return None, key.ravel(), None
        data = np.ascontiguousarray(x.data.reshape(m, j).T)
        value = np.concatenate([data[a] * data[b] for a, b in pairs])
        return None, key.ravel(), value
    count = np.diff(x.indptr).astype(np.int64)
    left = np.repeat(np.arange(x.nnz), np.repeat(count, count))
    unit = np.repeat(np.arange(m), count**2)
    begin = np.concatenate([[0], np.cumsum(count**2)])[:-1]
    right = x.indptr[unit] + (np.arange(left.size) - begin[unit]) % count[unit]
    once = right >= left
    left, right, unit = left[once], right[once], unit[once]
    product = None if indicator else x.data[left] * x.data[right]
    return unit, columns[left] * p + columns[right], product


def column_pairs(x: sparse.csr_array) -> sparse.csr_array:
    """Return products of every two columns of x, each pair in one order, shape (p * p, m).

    Its product with many weight vectors gives their cross-products, all at once. Columns within a
    row of x must be sorted: products then lie above the diagonal.
    """
    m, p = x.shape
    row, key, value = _pairs_of(x, _common_count(x), is_indicator(x), apart=False)
    unit = np.tile(np.arange(m), key.size // m) if row is None else row
    entries = np.ones(key.size) if value is None else value
    return sparse.csr_array((entries, (key, unit)), shape=(p * p, m))


def factorise(S: Floats) -> Floats | None:
    """Return the lower Cholesky factor of S, or None when S is not positive definite.

    LAPACK is called directly: for a few dozen margins scipy's wrappers cost more than it does.
    """
    factor, info = lapack.dpotrf(S, lower=1, clean=0)
    return None if info else np.asarray(factor)


def solve_factorised(factor: Floats, b: Floats) -> Floats:
    """Solve ``L L' s = b`` given the lower factor."""
    solution, _ = lapack.dpotrs(factor, b, lower=1)
    return np.asarray(solution)


def solve_scaled(H: Floats, r: Floats, *, symmetric: bool) -> Floats:
    """Solve ``H s = r`` on unit diagonal; where H is singular, give a short step that climbs.

    A bounded distance makes H singular as soon as all units of a category stand on a bound. A small
    diagonal then keeps the step finite, and the line search does the rest.
    """
    size = np.sqrt(np.abs(diagonal_of(H)))
    size = np.maximum(size, 1e-100 * (float(size.max()) if size.any() else 1.0))
    S = H / (size[:, None] * size)
    b = r / size
    if not symmetric:
        return np.asarray(np.linalg.lstsq(S, b, rcond=None)[0] / size)
    for ridge in (0.0, 1e-10, 1e-6, 1e-2):
        diagonal_of(S)[:] += ridge
        factor = factorise(S)
        if factor is None:
            continue
        step = solve_factorised(factor, b)
        if np.isfinite(step).all():
            return np.asarray(step / size)
    return np.asarray(b / size)


def distances_of(x: Matrix, d: Floats) -> Callable[[Floats], Floats]:
    """Return what gives the lengths of combinations of the columns of x."""
    return lambda A: np.asarray(np.sqrt(d @ (x @ A) ** 2))


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A column that is a combination of others, and the total they imply for it."""

    column: int
    partners: Ints
    implied: float


def independent_columns(
    distances: Callable[[Floats], Floats],
    gram: Floats,
    totals: Floats,
    candidates: Ints,
    names: Sequence[str],
    partition: Ints | None = None,
) -> tuple[Ints, tuple[str, ...]]:
    """Return the columns to calibrate on, and a note on those that follow from them.

    Parameters
    ----------
    distances : callable
        Given combinations of columns, an array A of shape (p, k), returns the square roots of
        ``sum d (x A)^2``, taken row by row: shape (k,).
    gram : ndarray of shape (p, p)
        ``x' diag(d) x``.
    totals : ndarray of shape (p,)
    candidates : ndarray of int
        Columns to choose among.
    names : sequence of p str
    partition : ndarray of shape (p,), optional
        Which partition of the rows each column is a class of.

    Raises
    ------
    CalibrationError
        A column repeats others while its total contradicts theirs.
    """
    if candidates.size == 0:
        return candidates, ()
    H = gram if candidates.size == len(gram) else gram[np.ix_(candidates, candidates)]
    size = np.sqrt(np.diag(H))
    S = H / (size[:, None] * size)
    if partition is not None:
        last = _last_classes(partition[candidates], totals[candidates])
        if last.any() and _suspects(S[~last][:, ~last]).size == 0:
            return candidates[~last], (_left_out(candidates[last].tolist(), names),)
    suspects = _suspects(S)
    while suspects.size:
        others = np.ones(candidates.size, dtype=bool)
        others[suspects] = False
        kept = np.flatnonzero(others)
        rows = S[kept]
        C = _regression(rows[:, kept], rows[:, suspects])
        C *= size[suspects] / size[kept][:, None]
        apart_from = np.zeros((totals.size, suspects.size))
        apart_from[candidates[suspects], np.arange(suspects.size)] = 1.0
        apart_from[candidates[kept]] = -C
        apart = np.flatnonzero(
            distances(apart_from) > _COLLINEAR * size[suspects] * candidates.size
        )
        if apart.size == 0:
            break
        # One at a time: a column that comes back may explain the next.
        suspects = np.delete(suspects, apart[0])
    if suspects.size == 0:
        return candidates, ()
    mattering = np.abs(C) * size[kept][:, None] > 1e-6 * size[suspects]
    repeats = [
        _Repeat(j, candidates[kept[on]], float(c[on] @ totals[candidates[kept[on]]]))
        for j, c, on in zip(candidates[suspects].tolist(), C.T, mattering.T, strict=True)
    ]
    _require_agreement(repeats, totals, names)
    return candidates[kept], (_left_out([r.column for r in repeats], names),)


def _last_classes(partition: Ints, totals: Floats) -> npt.NDArray[np.bool_]:
    """Return the classes that follow from others because each partition counts all rows.

    The last class of every partition but the first; none when partitions count differently.
    """
    ends = np.append(partition[1:] != partition[:-1], [True])
    sums = np.bincount(partition, totals)[partition[ends]]
    if np.any(np.abs(sums - sums[0]) > _TOTALS_AGREE * sums[0]):
        return np.zeros(partition.size, dtype=bool)
    return np.asarray(ends & (partition != partition[0]))


def _left_out(columns: Sequence[int], names: Sequence[str]) -> str:
    shown = ", ".join(names[j] for j in columns[:6]) + (", ..." * (len(columns) > 6))
    return f"{len(columns)} constraint(s) follow from the others and were left out: {shown}"


def _regression(S: Floats, b: Floats) -> Floats:
    factor = factorise(S)
    if factor is None:
        return np.asarray(np.linalg.lstsq(S, b, rcond=None)[0])
    return solve_factorised(factor, b)


def _suspects(S: Floats) -> Ints:
    """Return columns whose squared distance to the earlier ones is next to nothing.

    Elimination goes in the given order, not by pivot size, so that the same margins always yield
    the same choice: later columns give way to earlier ones. The caller looks at each row by row.
    """
    lift, factor = _ABOVE_ROUNDING, None
    while factor is None:
        lifted = S.copy()
        diagonal_of(lifted)[:] += lift
        factor = factorise(lifted)
        lift *= 10
    return np.flatnonzero(np.diag(factor) ** 2 <= _SUSPECT)


def _require_agreement(repeats: list[_Repeat], totals: Floats, names: Sequence[str]) -> None:
    wrong = [
        r
        for r in repeats
        if abs(r.implied - totals[r.column])
        > _TOTALS_AGREE * max(abs(r.implied), abs(totals[r.column]), 1e-300)
    ]
    if not wrong:
        return
    lines = []
    for r in wrong[:5]:
        partners = ", ".join(names[j] for j in r.partners[:6])
        partners += ", ..." if len(r.partners) > 6 else ""
        lines.append(
            f"{names[r.column]} is {totals[r.column]:.10g}, but {partners} imply {r.implied:.10g}"
        )
    raise CalibrationError(
        "margins contradict each other",
        where="; ".join(names[r.column] for r in wrong[:5]),
        got="; ".join(lines),
        expected="totals that agree wherever one variable is a combination of others in the sample",
        hint="correct the totals, or drop one of these margins",
    )
