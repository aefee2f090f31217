"""Why margins cannot be met: what is seen before iterating, and what is found out afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from inegnum.errors import CalibrationError
from inegnum.numerics.distances import Distance, Linear, bounds_of
from inegnum.numerics.normal_equations import Matrix, dense

__all__ = ["Screened", "closest_totals", "explain_failure", "screen", "tightest_bounds"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

# A linear programme over this many units takes seconds; beyond, the cause is left unsaid.
_LP_UNITS: Final = 200_000
# Relative slack below which a programme's optimum is zero (HiGHS works to 1e-7).
_LP_ZERO: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Screened:
    """What can be said of the margins before any iteration.

    Attributes
    ----------
    active : ndarray of int
        Columns that constrain something.
    frozen : ndarray of bool of shape (m,)
        Units whose weight a zero total forces to zero.
    notes : tuple of str
    """

    active: Ints
    frozen: npt.NDArray[np.bool_]
    notes: tuple[str, ...]


def screen(
    x: Matrix,
    xt: Matrix,
    d: Floats,
    net: Floats,
    totals: Floats,
    distance: Distance,
    names: Sequence[str],
    ridge: Floats,
    *,
    signs: bool,
) -> Screened:
    """Set empty categories and zero totals apart; refuse what no weights can meet.

    `net` is ``x' d``; a column is empty when it adds up to nothing, unless `signs` says that x has
    negative entries.

    Raises
    ------
    CalibrationError
        A category without units has a total, or a total has a sign its units cannot give.
    """
    if not signs and net.min(initial=1.0) > 0 and totals.min(initial=1.0) > 0:
        return Screened(np.arange(totals.size), np.zeros(d.size, dtype=bool), ())
    live = d > 0
    low = np.asarray(bounds_of(distance)[0], dtype=float)
    size = np.abs(xt) if signs else xt
    nonnegative = dense(x.min(axis=0)).ravel() >= 0 if signs else np.ones(totals.size, dtype=bool)
    mass = np.asarray(size @ live.astype(float)) if signs else net
    exact = ridge == 0
    empty = mass == 0
    problems = [
        f"{names[j]}: no unit of the sample, total {totals[j]:.10g}"
        for j in np.flatnonzero(empty & exact & (totals != 0)).tolist()
    ]
    signed = exact & ~empty & nonnegative & bool(np.all(low >= 0))
    problems += [
        f"{names[j]}: total {totals[j]:.10g} is negative, its units are not"
        for j in np.flatnonzero(signed & (totals < 0)).tolist()
    ]
    zero = signed & (totals == 0)
    if zero.any() and np.any(low > 0):
        problems += [
            f"{names[j]}: total 0, but g may not go below {float(np.min(low)):g}"
            for j in np.flatnonzero(zero).tolist()
        ]
    if problems:
        raise CalibrationError(
            "some margins cannot be met by any weights",
            where="; ".join(problems[:8]) + ("; ..." if len(problems) > 8 else ""),
            expected="every category with a total has units in the sample",
            hint="merge the category with a neighbour in the data and in the margins, or drop it",
        )
    notes = [
        f"{names[j]}: total 0, weights of its units set to 0" for j in np.flatnonzero(zero).tolist()
    ]
    notes += [
        f"{names[j]}: no unit in the sample and total 0, left out"
        for j in np.flatnonzero(empty & exact).tolist()
    ]
    frozen = np.zeros(d.size, dtype=bool)
    if zero.any():
        frozen = np.asarray(x @ zero.astype(float)) > 0
    # A column may lose all its units to another's zero total.
    left = np.asarray(size @ (live & ~frozen).astype(float)) if zero.any() else mass
    robbed = exact & ~empty & ~zero & (left == 0)
    if np.any(robbed & (totals != 0)):
        raise CalibrationError(
            "a zero total leaves another margin without units",
            where="; ".join(names[j] for j in np.flatnonzero(robbed & (totals != 0))[:8].tolist()),
            got="; ".join(f"{names[j]}: total 0" for j in np.flatnonzero(zero)[:8].tolist()),
            hint="check the zero totals, or merge categories",
        )
    active = np.flatnonzero(~(empty | zero | robbed))
    return Screened(active, frozen, tuple(notes))


def closest_totals(
    x: Matrix, d: Floats, totals: Floats, distance: Distance, exact: npt.NDArray[np.bool_]
) -> Floats | None:
    """Return the totals nearest to those asked that weights inside the bounds can reach.

    Nearest in the sum of relative misses, which concentrates them on few margins: those that
    really stand in the way.

    Returns
    -------
    ndarray of shape (p,) or None
        None when the programme has no solution to report.
    """
    from scipy.optimize import linprog

    m = x.shape[0]
    scale = np.where(totals != 0, np.abs(totals), np.maximum(np.abs(x).T @ d, 1e-300))
    rows = sparse.csr_array(sparse.diags_array(1 / scale) @ sparse.csr_array(x).T * d)
    rows = rows[np.flatnonzero(exact)]
    e = int(exact.sum())
    eye = sparse.eye_array(e)
    A = sparse.hstack([rows, eye, -eye], format="csr")
    cost = np.concatenate([np.zeros(m), np.ones(2 * e)])
    low, up = (np.broadcast_to(np.asarray(b, dtype=float), (m,)) for b in bounds_of(distance))
    bounds = np.column_stack(
        [np.concatenate([low, np.zeros(2 * e)]), np.concatenate([up, np.full(2 * e, np.inf)])]
    )
    programme: Any = linprog
    result = programme(cost, A_eq=A, b_eq=(totals / scale)[exact], bounds=bounds, method="highs")
    if not result.success:
        return None
    return np.asarray(x.T @ (d * result.x[:m]))


def tightest_bounds(x: Matrix, d: Floats, totals: Floats) -> tuple[float, float]:
    """Return the narrowest interval of g in which the margins can be met.

    A linear programme: smallest ``upper - lower`` with ``lower <= g_k <= upper`` and
    ``sum d_k g_k x_k = X``. R: ``icarus::calibration(method = "min")``.

    Raises
    ------
    CalibrationError
        No weights at all meet the margins.
    """
    from scipy.optimize import linprog

    live = d > 0
    x, d = x[np.flatnonzero(live)], d[live]
    m = d.size
    scale = np.where(totals != 0, np.abs(totals), np.maximum(np.abs(x).T @ d, 1e-300))
    rows = sparse.diags_array(1 / scale) @ sparse.csr_array(x).T * d
    none = sparse.csr_array((rows.shape[0], 2))
    A_eq = sparse.hstack([sparse.csr_array(rows), none], format="csr")
    one = np.ones((m, 1))
    eye = sparse.eye_array(m)
    below = sparse.hstack([-eye, sparse.csr_array(one), sparse.csr_array(0 * one)])
    above = sparse.hstack([eye, sparse.csr_array(0 * one), sparse.csr_array(-one)])
    programme: Any = linprog
    result = programme(
        np.concatenate([np.zeros(m), [-1.0, 1.0]]),
        A_ub=sparse.vstack([below, above], format="csr"),
        b_ub=np.zeros(2 * m),
        A_eq=A_eq,
        b_eq=totals / scale,
        bounds=(None, None),
        method="highs",
    )
    if not result.success:
        raise CalibrationError(
            "no weights meet these margins, whatever their bounds",
            got=result.message,
            hint="calibrate with Linear() to read which margins contradict each other",
        )
    return float(result.x[m]), float(result.x[m + 1])


def explain_failure(
    x: Matrix | None,
    d: Floats | None,
    net: Floats,
    totals: Floats,
    distance: Distance,
    names: Sequence[str],
    achieved: Floats,
    error: Floats,
    exact: npt.NDArray[np.bool_],
    tolerance: float,
    *,
    steered: bool = False,
) -> CalibrationError:
    """Return the error of a calibration that stopped short, with its cause when it can be known.

    `net` is ``x' d``. Without x and d (data in chunks) few causes are looked for; `steered` says
    that instruments were given.
    """
    order = np.argsort(-error)
    worst = [j for j in order[:6] if error[j] > 0]
    table = "; ".join(
        f"{names[j]}: asked {totals[j]:.8g}, reached {achieved[j]:.8g} "
        f"({math.copysign(error[j], achieved[j] - totals[j]):+.2%} off)"
        for j in worst
    )
    scale = _scale_apart(net, totals, distance, exact)
    if scale is not None:
        cause, hint = scale
    elif x is None or d is None or x.shape[0] > _LP_UNITS:
        cause, hint = "cause not investigated (too many units)", "calibrate a sample to learn why"
    else:
        cause, hint = _cause(x, d, totals, distance, names, exact, steered=steered)
    return CalibrationError(
        f"calibration did not meet {int(np.sum(error > tolerance))} of {totals.size} margins"
        f" ({distance.name} distance): {cause}",
        where=", ".join(names[j] for j in worst),
        got=table,
        expected="every margin met",
        hint=hint,
    )


def _scale_apart(
    net: Floats, totals: Floats, distance: Distance, exact: npt.NDArray[np.bool_]
) -> tuple[str, str] | None:
    """Say when bounds leave out every margin's own ratio: weights and margins differ in scale."""
    low, up = (np.asarray(b, dtype=float) for b in bounds_of(distance))
    known = exact & (net > 0) & (totals > 0)
    ratio = totals[known] / net[known]
    if ratio.size == 0 or (ratio.min() <= up.max() and ratio.max() >= low.min()):
        return None
    return (
        f"every margin is {ratio.min():.4g} to {ratio.max():.4g} times what the initial weights "
        f"give, beyond g in [{float(low.min()):g}, {float(up.max()):g}]",
        "bounds are on w/d as given: scale the initial weights to the population first",
    )


def _cause(
    x: Matrix,
    d: Floats,
    totals: Floats,
    distance: Distance,
    names: Sequence[str],
    exact: npt.NDArray[np.bool_],
    *,
    steered: bool,
) -> tuple[str, str]:
    nearest = closest_totals(x, d, totals, distance, exact)
    if nearest is None:
        return "cause unknown", "check the margins against the sample's own totals"
    gap = (nearest - totals) / np.where(totals != 0, np.abs(totals), 1.0)
    blocking = [j for j in np.argsort(-np.abs(gap)) if abs(gap[j]) > _LP_ZERO and exact[j]]
    if isinstance(distance, Linear):
        return "margins are nearly collinear", "merge categories or drop a margin"
    low, up = (np.asarray(b, dtype=float) for b in bounds_of(distance))
    span = f"g in [{float(np.min(low)):g}, {float(np.max(up)):g}]"
    if not blocking and steered:
        return (
            "some weights meet them, but none that depend on the instruments alone",
            "take instruments more closely related to the margins they replace, fewer margins, "
            'or distance="linear"',
        )
    if not blocking:
        return (
            f"margins can only be met on the edge of {span}, with some weights exactly there",
            "merge the categories whose cells are empty, widen the bounds, or use Truncated()",
        )
    least = "; ".join(f"{names[j]} can reach {nearest[j]:.8g} at best" for j in blocking[:4])
    return (
        f"no weights with {span} meet them; least infeasible: {least}",
        "widen the bounds (`tightest_bounds` gives the narrowest), merge categories, "
        "or let these margins give way with a cost",
    )
