"""Iterative proportional fitting of many tables at once.

Model: given a seed table z over cells c and margins m, each a grouping of cells with a target by
group, find the table x closest to z in Kullback-Leibler divergence that meets every target,
x_c = z_c prod_m r_m[group_m(c)]. Ratios are updated margin after margin until every margin is met.
Interactions of the seed that no margin fixes are kept (structure-preserving estimation, Purcell
and Kish 1980). The dual is raking-ratio calibration. A margin need not cover every cell: people a
margin does not count (group -1) are left alone by it. A margin over axes of a dense table
(`axis_margin`) is the usual case.

Assumptions: targets agree wherever they measure the same persons. Every pair of margins is compared
before iterating, on every set of groups both can express (totals, shared axes, nested groups).

Limits: a zero of the seed stays zero. Convergence means that every margin is met to `tol` times the
total of its table; anything else raises. Convergence is geometric: margins that nearly contradict
each other take many passes.

Matches R ``mipfp::Ipfp``, except that margins of unequal totals are refused instead of being
rescaled to probabilities.

References
----------
Deming and Stephan 1940, doi:10.1214/aoms/1177731829; Csiszár 1975, doi:10.1214/aop/1176996454;
Purcell and Kish 1980, doi:10.2307/1402400.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from inegnum.errors import ConvergenceError, MarginError

__all__ = ["Ipf", "Margin", "axis_margin", "contradictions", "ipf"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Tables fitted together: enough to amortise numpy's overhead, few enough to stay in cache.
_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Margin:
    """Targets for groups of cells.

    Attributes
    ----------
    name : str
        How messages call it.
    groups : ndarray of int, shape (d1, d2, ...)
        Group of each cell of one table, 0 to L - 1; -1 where the margin does not count the cell.
    target : ndarray of shape (L,) or (B, L)
        Persons wanted in each group, the same for every table or one row a table.
    labels : tuple of str
        Names of the L groups in messages; their positions when empty.
    """

    name: str
    groups: Ints
    target: Floats
    labels: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        target = np.asarray(self.target, dtype=np.float64)
        groups = np.asarray(self.groups, dtype=np.int64)
        if target.ndim not in (1, 2):
            raise MarginError(
                "a margin's target has too many axes",
                where=self.name,
                got=target.shape,
                expected="(groups,) or (tables, groups)",
            )
        n_groups = target.shape[-1]
        if groups.size and (groups.min() < -1 or groups.max() >= n_groups):
            raise MarginError(
                "a margin's groups and target do not match",
                where=self.name,
                got=f"groups from {groups.min()} to {groups.max()}, {n_groups} targets",
                expected=f"groups from -1 to {n_groups - 1}",
            )
        bad = ~np.isfinite(target) | (target < 0)
        if bad.any():
            raise MarginError(
                "a margin's target is missing or negative",
                where=f"{self.name}, position {tuple(map(int, np.argwhere(bad)[0]))}",
                got=float(target[bad][0]),
                expected="a finite count of zero or more",
                hint="a suppressed count is missing, never zero: leave that margin out",
            )
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "groups", groups)

    def label(self, group: int) -> str:
        """Return the name of one group."""
        return self.labels[group] if self.labels else str(group)


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


def axis_margin(name: str, shape: tuple[int, ...], axes: tuple[int, ...], target: Floats) -> Margin:
    """Return the margin of a dense table over some of its axes.

    Parameters
    ----------
    name : str
        How messages call it.
    shape : tuple of int
        Shape of one table.
    axes : tuple of int
        Axes the margin keeps, in the order of the axes of `target`.
    target : ndarray of shape (shape[axes[0]], ...) or (B, shape[axes[0]], ...)
        Persons wanted.

    Raises
    ------
    MarginError
        The axes do not exist, repeat, or disagree with the shape of `target`.

    Examples
    --------
    >>> axis_margin("sex", (2, 3), (0,), np.array([4.0, 6.0])).groups
    array([[0, 0, 0],
           [1, 1, 1]])
    """
    target = np.asarray(target, dtype=np.float64)
    if len(set(axes)) != len(axes) or any(not 0 <= a < len(shape) for a in axes):
        raise MarginError(
            "a margin names axes the table does not have",
            where=name,
            got=axes,
            expected=f"different axes among 0 to {len(shape) - 1}",
        )
    kept = tuple(shape[a] for a in axes)
    if target.shape != kept and target.shape[1:] != kept:
        raise MarginError(
            "a margin's target has the wrong shape",
            where=name,
            got=target.shape,
            expected=f"{kept}, or one such array a table",
        )
    positions = np.arange(int(np.prod(kept)), dtype=np.int64).reshape(kept)
    order = np.argsort(axes)
    spread = positions.transpose(order).reshape(
        tuple(shape[a] if a in axes else 1 for a in range(len(shape)))
    )
    groups = np.ascontiguousarray(np.broadcast_to(spread, shape))
    batched = target.ndim == len(kept) + 1
    flat = target.reshape(target.shape[0], -1) if batched else target.reshape(-1)
    return Margin(name, groups, flat)


def _shared_groups(a: Ints, b: Ints, n_a: int, n_b: int) -> list[tuple[Ints, Ints]]:
    """Return the smallest sets of groups of two margins that count exactly the same cells."""
    # Nodes: groups of a, "outside a", groups of b, "outside b"; an edge where they share a cell.
    node_a = np.where(a < 0, n_a, a)
    node_b = np.where(b < 0, n_b, b) + n_a + 1
    size = n_a + n_b + 2
    graph = coo_array((np.ones(len(a), dtype=np.int8), (node_a, node_b)), shape=(size, size))
    _, part = connected_components(graph, directed=False)
    outside = {part[n_a]} if (a < 0).any() else set()
    outside |= {part[size - 1]} if (b < 0).any() else set()
    shared = []
    for component in np.unique(part[node_a]):
        if component not in outside:
            members = np.flatnonzero(part == component)
            shared.append(
                (members[members < n_a], members[(members > n_a) & (members < size - 1)] - n_a - 1)
            )
    return shared


def contradictions(
    margins: Sequence[Margin], support: npt.NDArray[np.bool_] | None = None, *, tol: float = 1e-10
) -> list[tuple[str, str, str, int, float, float]]:
    """List where two margins give different totals for the same persons.

    Parameters
    ----------
    margins : sequence of Margin
        Margins of the same tables.
    support : ndarray of bool, shape of one table, optional
        Cells that may hold anyone (all by default).
    tol : float
        Relative gap that counts as a contradiction.

    Returns
    -------
    list of (name, name, groups, table, total, total)
        Worst table of each contradiction, worst contradiction first.

    Examples
    --------
    >>> rows = axis_margin("rows", (2, 2), (0,), np.array([30.0, 71.0]))
    >>> columns = axis_margin("columns", (2, 2), (1,), np.array([50.0, 50.0]))
    >>> contradictions([rows, columns])
    [('rows', 'columns', 'total', 0, 101.0, 100.0)]
    """
    found: list[tuple[str, str, str, int, float, float]] = []
    for a, b in combinations(margins, 2):
        inside = np.ones(a.groups.size, dtype=bool) if support is None else support.ravel()
        n_a, n_b = a.target.shape[-1], b.target.shape[-1]
        shared = _shared_groups(a.groups.ravel()[inside], b.groups.ravel()[inside], n_a, n_b)
        for groups_a, groups_b in shared:
            total_a = np.atleast_1d(a.target[..., groups_a].sum(axis=-1))
            total_b = np.atleast_1d(b.target[..., groups_b].sum(axis=-1))
            total_a, total_b = np.broadcast_arrays(total_a, total_b)
            scale = np.maximum(
                np.atleast_1d(a.target.sum(axis=-1)), np.atleast_1d(b.target.sum(axis=-1))
            )
            excess = np.abs(total_a - total_b) - tol * np.broadcast_to(scale, total_a.shape)
            worst = int(np.argmax(excess))
            if excess[worst] > 0:
                named = (
                    "total"
                    if len(groups_a) == n_a and len(groups_b) == n_b
                    else ", ".join(a.label(int(group)) for group in groups_a[:4])
                )
                found.append(
                    (a.name, b.name, named, worst, float(total_a[worst]), float(total_b[worst]))
                )
    return sorted(found, key=lambda row: -abs(row[4] - row[5]))


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


def _indicator(groups: Ints, n_groups: int) -> Floats:
    """Return the (K, L) matrix that sums cells into groups."""
    matrix = np.zeros((groups.size, n_groups))
    counted = np.flatnonzero(groups >= 0)
    matrix[counted, groups[counted]] = 1.0
    return matrix


def _refuse_unreachable(
    alive: npt.NDArray[np.bool_],
    margins: Sequence[Margin],
    targets: list[Floats],
    sums: list[Floats],
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
    sums: list[Floats],
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


def _gaps(x: Floats, targets: list[Floats], sums: list[Floats]) -> Floats:
    """Return the largest gap of each margin and table, shape (M, b)."""
    return np.stack([np.abs(x @ m - t).max(axis=1) for m, t in zip(sums, targets, strict=True)])


def ipf(
    seed: Floats,
    margins: Sequence[Margin],
    *,
    tol: float = 1e-10,
    max_iterations: int = 2000,
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
    _refuse_contradictions(margins, (flat > 0).any(axis=0), tol)
    _refuse_unreachable(alive, margins, targets, sums)
    x = np.where(alive, flat, 0.0)
    tolerance = tol * np.maximum(np.max([t.sum(axis=1) for t in targets], axis=0), 1e-300)
    iterations = np.zeros(n_tables, dtype=np.int64)
    for start in range(0, n_tables, _CHUNK):
        part = slice(start, start + _CHUNK)
        x[part], iterations[part] = _fit_chunk(
            x[part], [t[part] for t in targets], sums, index, tolerance[part], max_iterations
        )
    residuals = _gaps(x, targets, sums)
    _refuse_unmet(residuals, margins, targets, [x @ m for m in sums], tolerance)
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


def _refuse_contradictions(
    margins: Sequence[Margin], support: npt.NDArray[np.bool_], tol: float
) -> None:
    found = contradictions(margins, support, tol=tol)
    if found:
        a, b, groups, table, total_a, total_b = found[0]
        others = f" ({len(found) - 1} more pairs disagree)" if len(found) > 1 else ""
        raise MarginError(
            "two margins contradict each other",
            where=f"{a} and {b}, {groups}, table {table}",
            got=f"{a} {total_a:.10g}, {b} {total_b:.10g}{others}",
            expected=f"the same number of persons to {tol:g} of the total",
            hint="reconcile them for a stated reason (another year, another universe) or drop one",
        )


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
