"""Iterative proportional fitting of many tables at once.

Model: given a seed table z over cells c and margins m, each a grouping of cells with a target by
group, find the table x closest to z in Kullback-Leibler divergence that meets every target,
x_c = z_c prod_m r_m[group_m(c)]. Ratios are updated margin after margin until every margin is met.
Interactions of the seed that no margin fixes are kept (structure-preserving estimation, Purcell
and Kish 1980). The dual is raking-ratio calibration. A margin need not cover every cell: people a
margin does not count (group -1) are left alone by it. A margin over axes of a dense table
(`axis_margin`) is the usual case. A sparse table is the list of its possible cells, shape (K,), and
each margin the group of every cell of the list: what is not listed is a structural zero.

Assumptions: targets agree wherever they measure the same persons. Every pair of margins is compared
before iterating, on every set of groups both can express (totals, shared axes, nested groups).

Limits: a zero of the seed stays zero. Convergence means that every margin is met to `tol` times the
total of its table; anything else raises (or is NaN when asked). Convergence is geometric: margins
that nearly contradict each other take many passes.

Matches R ``mipfp::Ipfp``, except that margins of unequal totals are refused instead of being
rescaled to probabilities.

References
----------
Deming and Stephan 1940, doi:10.1214/aoms/1177731829; Csiszár 1975, doi:10.1214/aop/1176996454;
Purcell and Kish 1980, doi:10.2307/1402400.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from inegnum.errors import ConvergenceError, MarginError
from inegnum.numerics.ipf_crossed import fit_crossed, sides
from inegnum.numerics.tabular import (
    Margin,
    axis_margin,
    contradictions,
    reconcile,
    refuse_contradictions,
)

__all__ = ["Ipf", "Margin", "axis_margin", "contradictions", "ipf", "reconcile"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Two-way tables beyond this number are worth the second that loading the compiled passes takes.
COMPILED_FROM: Final = 2_000
# Tables fitted together: enough to amortise numpy's overhead, few enough to stay in cache.
_CHUNK = 64
# Sums over groups are dense products up to this many entries, sparse ones beyond.
_DENSE: Final = 1_000_000
# Dense array or `scipy.sparse.csr_array`; both stand to the right of ``@``.
Sums = Any


@dataclass(frozen=True, slots=True)
class Ipf:
    """Fitted tables.

    Attributes
    ----------
    fitted : ndarray of the seed's shape, (d1, d2, ...) or (B, d1, d2, ...)
        Tables that meet every margin.
    iterations : ndarray of shape (B,)
        Passes over all margins.
    residuals : ndarray of shape (M, B)
        Largest absolute gap between fitted and target, by margin and table, in persons.
    names : tuple of str
        Margins, in the order of `residuals`.
    """

    fitted: Floats
    iterations: Ints
    residuals: Floats
    names: tuple[str, ...]


def _targets(margins: Sequence[Margin], n_tables: int) -> list[Floats]:
    """Return each target as (B, L)."""
    spread = []
    for margin in margins:
        target = np.atleast_2d(margin.target)
        if target.shape[0] not in (1, n_tables):
            raise MarginError(
                "a margin has targets for another number of tables",
                where=margin.name,
                got=target.shape[0],
                expected=f"1 or {n_tables}",
            )
        spread.append(np.broadcast_to(target, (n_tables, target.shape[1])))
    return spread


def _indicator(groups: Ints, n_groups: int) -> Sums:
    """Return the (K, L) matrix that sums cells into groups."""
    counted = np.flatnonzero(groups >= 0)
    if groups.size * n_groups > _DENSE:
        entries = (np.ones(counted.size), (counted, groups[counted]))
        return sparse.csr_array(entries, shape=(groups.size, n_groups))
    matrix = np.zeros((groups.size, n_groups))
    matrix[counted, groups[counted]] = 1.0
    return matrix


def _refuse_unreachable(
    alive: npt.NDArray[np.bool_],
    margins: Sequence[Margin],
    targets: list[Floats],
    sums: list[Sums],
) -> None:
    """Refuse a positive target over cells that can hold no one."""
    for margin, target, matrix in zip(margins, targets, sums, strict=True):
        empty = (target > 0) & (alive @ matrix == 0)
        if empty.any():
            table, group = (int(i) for i in np.argwhere(empty)[0])
            raise MarginError(
                "a margin wants persons where the seed has none",
                where=f"{margin.name}, group {margin.label(group)}, table {table}",
                got=f"target {target[table, group]:g}, every cell zero",
                expected="at least one cell with a positive seed and no zero margin",
                hint="give the structural zero a small seed, or correct the margin",
            )


def _fit_chunk(
    x: Floats,
    targets: list[Floats],
    sums: list[Sums],
    index: list[Ints],
    tolerance: Floats,
    max_iterations: int,
) -> tuple[Floats, Ints]:
    """Fit tables (b, K); return them and the passes each took.

    A table leaves as soon as it meets every margin, so that its result does not depend on the
    tables it shares a chunk with.
    """
    fitted = x.copy()
    passes = np.full(len(x), max_iterations, dtype=np.int64)
    left = np.arange(len(x))
    for iteration in range(1, max_iterations + 1):
        gap = np.zeros(len(x))
        for target, matrix, groups in zip(targets, sums, index, strict=True):
            now = x @ matrix
            np.maximum(gap, np.abs(now - target).max(axis=1), out=gap)
            # A group already empty keeps ratio 1; reachability was checked before. The last
            # column is the ratio of cells the margin does not count.
            ratio = np.ones((len(x), target.shape[1] + 1))
            np.divide(target, now, out=ratio[:, :-1], where=now > 0)
            x *= ratio.take(groups, axis=1)
        # Gaps seen just before each adjustment are cheap; the true ones decide.
        near = np.flatnonzero(gap <= tolerance)
        if not len(near):
            continue
        met = near[_gaps(x[near], [t[near] for t in targets], sums).max(axis=0) <= tolerance[near]]
        fitted[left[met]], passes[left[met]] = x[met], iteration
        keep = np.ones(len(x), dtype=bool)
        keep[met] = False
        if not keep.any():
            return fitted, passes
        x, left, tolerance = x[keep], left[keep], tolerance[keep]
        targets = [t[keep] for t in targets]
    fitted[left] = x
    return fitted, passes


def _gaps(x: Floats, targets: list[Floats], sums: list[Sums]) -> Floats:
    """Return the largest gap of each margin and table, shape (M, b)."""
    return np.stack([np.abs(x @ m - t).max(axis=1) for m, t in zip(sums, targets, strict=True)])


def ipf(
    seed: Floats,
    margins: Sequence[Margin],
    *,
    tol: float = 1e-10,
    max_iterations: int = 2000,
    unmet: Literal["raise", "nan"] = "raise",
) -> Ipf:
    """Fit a seed, or a batch of seeds, to margins.

    Parameters
    ----------
    seed : ndarray of shape (d1, d2, ...) or (B, d1, d2, ...)
        Not negative; zeros are structural. One seed serves all tables when targets are batched.
    margins : sequence of Margin
        At least one, all over tables of shape (d1, d2, ...).
    tol : float
        Largest gap allowed in any group of any margin, as a share of the table's largest total.
    max_iterations : int
        Passes over all margins before giving up.
    unmet : {"raise", "nan"}
        What to do with tables that miss a margin: raise, or return them as NaN (for draws of
        margins, some of which no table can meet).

    Returns
    -------
    Ipf
        Fitted tables, batched when the seed or any target is.

    Raises
    ------
    MarginError
        Margins contradict each other (both totals are given), or want persons where the seed is
        zero, or do not fit the tables.
    ConvergenceError
        Some margin is not met after `max_iterations`; the message says which, and by how much.

    Examples
    --------
    >>> rows = axis_margin("rows", (2, 2), (0,), np.array([30.0, 70.0]))
    >>> columns = axis_margin("columns", (2, 2), (1,), np.array([50.0, 50.0]))
    >>> ipf(np.ones((2, 2)), [rows, columns]).fitted
    array([[15., 15.],
           [35., 35.]])
    """
    seed = np.asarray(seed, dtype=np.float64)
    shape = _table_shape(seed, margins)
    single = seed.ndim == len(shape)
    batched = [m.target.shape[0] for m in margins if m.target.ndim == 2]
    n_tables = seed.shape[0] if not single and seed.shape[0] > 1 else max(batched, default=1)
    targets = _targets(margins, n_tables)
    sums = [_indicator(m.groups.ravel(), m.target.shape[-1]) for m in margins]
    # -1 reads the last column of the ratios: no change.
    index = [m.groups.ravel() for m in margins]
    flat = np.broadcast_to(seed.reshape(-1, int(np.prod(shape))), (n_tables, int(np.prod(shape))))
    alive = flat > 0
    for target, groups in zip(targets, index, strict=True):
        held = np.concatenate([target > 0, np.ones((n_tables, 1), dtype=bool)], axis=1)
        alive = alive & held.take(groups, axis=1)
    refuse_contradictions(margins, (flat > 0).any(axis=0), tol)
    _refuse_unreachable(alive, margins, targets, sums)
    x = np.where(alive, flat, 0.0)
    tolerance = tol * np.maximum(np.max([t.sum(axis=1) for t in targets], axis=0), 1e-300)
    iterations = np.zeros(n_tables, dtype=np.int64)
    if n_tables >= COMPILED_FROM and sides(margins) is not None:
        two_way = (shape[0], shape[1])
        x, iterations = fit_crossed(x, two_way, margins, targets, (tolerance, max_iterations))
    else:
        for start in range(0, n_tables, _CHUNK):
            part = slice(start, start + _CHUNK)
            x[part], iterations[part] = _fit_chunk(
                x[part], [t[part] for t in targets], sums, index, tolerance[part], max_iterations
            )
    # What overflowed on the way to nowhere is as far from its targets as can be.
    residuals = np.nan_to_num(_gaps(x, targets, sums), nan=np.inf)
    if unmet == "raise":
        _refuse_unmet(residuals, margins, targets, [x @ m for m in sums], tolerance)
    x[(residuals > tolerance).any(axis=0)] = np.nan
    fitted = x.reshape(n_tables, *shape)
    if single and not batched:
        fitted = fitted[0]
    return Ipf(fitted, iterations, residuals, tuple(m.name for m in margins))


def _table_shape(seed: Floats, margins: Sequence[Margin]) -> tuple[int, ...]:
    """Return the shape of one table, on which seed and margins must agree."""
    if not margins:
        raise MarginError("no margin to fit to", expected="at least one margin")
    shape = margins[0].groups.shape
    for margin in margins[1:]:
        if margin.groups.shape != shape:
            raise MarginError(
                "margins are over tables of different shapes",
                where=f"{margins[0].name} and {margin.name}",
                got=f"{shape} and {margin.groups.shape}",
            )
    if seed.shape != shape and seed.shape[1:] != shape:
        raise MarginError(
            "seed and margins are over tables of different shapes",
            got=f"seed {seed.shape}",
            expected=f"{shape}, or a batch of such tables",
        )
    if not np.isfinite(seed).all() or (seed < 0).any():
        raise MarginError("a seed must be finite and not negative", where="seed")
    return shape


def _refuse_unmet(
    residuals: Floats,
    margins: Sequence[Margin],
    targets: list[Floats],
    reached: list[Floats],
    tolerance: Floats,
) -> None:
    """Raise unless every margin is met."""
    unmet = residuals > tolerance
    if not unmet.any():
        return
    lines = []
    for m in np.argsort(-(residuals / tolerance).max(axis=1)):
        if unmet[m].any():
            table = int(np.argmax(residuals[m] / tolerance))
            gap = np.abs(reached[m][table] - targets[m][table])
            group = int(np.argmax(gap))
            lines.append(
                f"{margins[m].name} (group {margins[m].label(group)}, table {table}: reached "
                f"{reached[m][table, group]:.8g}, wanted {targets[m][table, group]:.8g})"
            )
    raise ConvergenceError(
        "iterative proportional fitting did not meet every margin",
        where="; ".join(lines),
        got=f"{int(unmet.any(axis=0).sum())} of {residuals.shape[1]} tables unmet",
        expected="every margin met to tolerance",
        hint="these margins cannot all hold given the zeros of the seed: reconcile or drop one",
    )
