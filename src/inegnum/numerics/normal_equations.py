"""Weighted cross-products, the rank of their columns, and steps that survive poor conditioning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from inegnum.errors import CalibrationError

__all__ = ["Matrix", "dense", "gram", "independent_columns", "solve_scaled"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
# A dense array or a `scipy.sparse.csr_array`: both know `@`, `.T` and row selection, which is all
# that is asked of them here, and no type of either library covers the two.
Matrix = Any

# On columns of unit length: a squared distance to the span of the others below this is looked at
# row by row, and a distance below the second is no distance at all.
_SUSPECT: Final = 1e-7
_COLLINEAR: Final = 1e-9
# Totals implied by other margins may differ by their rounding in a published table, no more.
_TOTALS_AGREE: Final = 1e-8


def dense(x: Matrix) -> Floats:
    """Return x as a dense array."""
    return np.asarray(x if isinstance(x, np.ndarray) else x.toarray())


def gram(x: Matrix, v: Floats, z: Matrix | None = None) -> Floats:
    """Return ``x' diag(v) z`` (z = x unless given), shape (p, p)."""
    other = x if z is None else z
    if sparse.issparse(x) or sparse.issparse(other):
        left = sparse.csr_array(x)
        scaled = sparse.csr_array(
            (left.data * np.repeat(v, np.diff(left.indptr)), left.indices, left.indptr),
            shape=left.shape,
        )
        return dense(scaled.T @ other)
    return np.asarray((x * v[:, None]).T @ other)


def solve_scaled(H: Floats, r: Floats, *, symmetric: bool) -> Floats:
    """Solve ``H s = r`` on unit diagonal; where H is singular, give a short step that climbs.

    A bounded distance makes H singular as soon as all units of a category stand on a bound. A small
    diagonal then keeps the step finite, and the line search does the rest.
    """
    size = np.sqrt(np.abs(np.diag(H)))
    size = np.maximum(size, 1e-100 * (np.max(size, initial=0.0) or 1.0))
    S = H / np.outer(size, size)
    b = r / size
    if not symmetric:
        return np.asarray(np.linalg.lstsq(S, b, rcond=None)[0] / size)
    for ridge in (0.0, 1e-10, 1e-6, 1e-2):
        try:
            factor = linalg.cho_factor(S + ridge * np.eye(len(S)), lower=True, check_finite=False)
        except linalg.LinAlgError:
            continue
        step = linalg.cho_solve(factor, b, check_finite=False)
        if np.isfinite(step).all():
            return np.asarray(step / size)
    return np.asarray(b / size)


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A column that is a combination of others, and the total they imply for it."""

    column: int
    partners: Ints
    implied: float


def independent_columns(
    x: Matrix, d: Floats, totals: Floats, candidates: Ints, names: Sequence[str]
) -> tuple[Ints, tuple[str, ...]]:
    """Return the columns to calibrate on, and a note on those that follow from them.

    Parameters
    ----------
    x : Matrix of shape (m, p)
    d : ndarray of shape (m,)
    totals : ndarray of shape (p,)
    candidates : ndarray of int
        Columns to choose among.
    names : sequence of p str

    Raises
    ------
    CalibrationError
        A column repeats others while its total contradicts theirs.
    """
    if candidates.size == 0:
        return candidates, ()
    H = gram(x, d)[np.ix_(candidates, candidates)]
    size = np.sqrt(np.diag(H))
    S = H / np.outer(size, size)
    suspects = _suspects(S)
    if suspects.size == 0:
        return candidates, ()
    kept = np.setdiff1d(np.arange(len(candidates)), suspects)
    repeats: list[_Repeat] = []
    for j in suspects:
        coefficients = np.asarray(linalg.lstsq(S[np.ix_(kept, kept)], S[kept, j])[0])
        coefficients *= size[j] / size[kept]
        rest = _column(x, candidates[j]) - x[:, candidates[kept]] @ coefficients
        if float(np.sqrt(np.sum(d * rest**2))) > _COLLINEAR * size[j] * len(candidates):
            kept = np.sort(np.append(kept, j))
            continue
        mattering = np.abs(coefficients) * size[kept] > 1e-6 * size[j]
        partners = candidates[kept[mattering]]
        implied = float(coefficients[mattering] @ totals[partners])
        repeats.append(_Repeat(int(candidates[j]), partners, implied))
    _require_agreement(repeats, totals, names)
    left_out = ", ".join(names[r.column] for r in repeats[:6]) + (", ..." * (len(repeats) > 6))
    note = f"{len(repeats)} constraint(s) follow from the others and were left out: {left_out}"
    return candidates[kept], (note,) if repeats else ()


def _column(x: Matrix, j: int) -> Floats:
    return dense(x[:, [j]]).ravel()


def _suspects(S: Floats) -> Ints:
    """Return columns whose squared distance to the earlier ones is next to nothing.

    Elimination goes in the given order, not by pivot size, so that the same margins always yield
    the same choice: later columns give way to earlier ones.
    """
    A = S.copy()
    found = []
    for j in range(len(A)):
        pivot = A[j, j]
        if pivot <= _SUSPECT:
            found.append(j)
            A[j, :] = A[:, j] = 0.0
            continue
        A[j + 1 :, j + 1 :] -= np.outer(A[j + 1 :, j], A[j, j + 1 :]) / pivot
    return np.asarray(found, dtype=np.intp)


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
