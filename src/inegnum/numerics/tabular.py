"""Margins of a table: groupings of cells with a target by group, and whether they agree.

A margin is a grouping of the cells of one table; a cell it does not count has group -1. Two margins
measure the same persons on the smallest unions of groups they can both express: totals, shared
axes, nested groups. On those they must agree. `contradictions` lists where they do not;
`reconcile` moves later margins onto earlier ones, within a limit, and refuses beyond it.

Limits: pairs are compared, not larger sets; margins that agree two by two may still have no common
table, which the fit then reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from inegnum.errors import MarginError

__all__ = ["Margin", "axis_margin", "contradictions", "reconcile", "refuse_contradictions"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


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


def refuse_contradictions(
    margins: Sequence[Margin], support: npt.NDArray[np.bool_], tol: float
) -> None:
    """Raise when two margins of the same tables contradict each other; both totals are given."""
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


def reconcile(margins: Sequence[Margin], *, limit: float, where: str = "") -> list[Margin]:
    """Move each margin onto those before it, wherever both count the same persons.

    Groups of a later margin are scaled, union by union, to the totals of the earlier ones; within a
    union its proportions are kept.

    Parameters
    ----------
    margins : sequence of Margin
        Best known first; targets of shape (L,), or (B, L) for all.
    limit : float
        Largest share of a margin's persons that may move from one union of groups to another, or
        be added or removed, before it is a contradiction rather than a difference.
    where : str
        What the table is, for messages.

    Raises
    ------
    MarginError
        A margin would move by more than `limit`, has no one where an earlier one has persons, or
        cannot agree with all those before it.

    Examples
    --------
    >>> rows = axis_margin("rows", (2, 2), (0,), np.array([30.0, 70.0]))
    >>> columns = axis_margin("columns", (2, 2), (1,), np.array([50.0, 48.0]))
    >>> reconcile([rows, columns], limit=0.1)[1].target.round(2).tolist()
    [51.02, 48.98]
    """
    agreed: list[Margin] = []
    for margin in margins:
        pairs = [
            (a, union)
            for a in agreed
            for union in _shared_groups(
                a.groups.ravel(),
                margin.groups.ravel(),
                a.target.shape[-1],
                margin.target.shape[-1],
            )
        ]
        agreed.append(_moved(margin, pairs, limit, where))
    return agreed


def _moved(
    margin: Margin, pairs: list[tuple[Margin, tuple[Ints, Ints]]], limit: float, where: str
) -> Margin:
    """Return one margin scaled to earlier ones on every union of groups they share."""
    target = margin.target.copy()
    _refuse_large_moves(margin, pairs, limit, where)
    # One earlier margin takes one pass; several that cross are met as in IPF.
    for _ in range(500):
        worst = 0.0
        for earlier, (groups, own) in pairs:
            wanted = earlier.target[..., groups].sum(axis=-1)
            held = target[..., own].sum(axis=-1)
            if ((held == 0) & (wanted > 0)).any():
                raise MarginError(
                    "a margin has no one where an earlier one has persons",
                    where=f"{where}: {margin.name} against {earlier.name}",
                    got=0,
                    expected=f"{float(np.max(wanted)):g}",
                )
            ratio = np.divide(wanted, held, out=np.ones_like(held), where=held > 0)
            target[..., own] *= ratio[..., None]
            worst = max(worst, float(np.abs(wanted - held).max()))
        if worst <= 1e-12 * max(float(target.sum(axis=-1).max()), 1.0):
            return replace(margin, target=target)
    raise MarginError(
        "a margin cannot agree with all those before it",
        where=f"{where}: {margin.name}",
        got=f"{worst:g} persons apart after 500 passes",
        hint="leave one of the margins out",
    )


def _refuse_large_moves(
    margin: Margin, pairs: list[tuple[Margin, tuple[Ints, Ints]]], limit: float, where: str
) -> None:
    for earlier in {id(a): a for a, _ in pairs}.values():
        unions = [union for a, union in pairs if a is earlier]
        wanted = np.stack([earlier.target[..., groups].sum(axis=-1) for groups, _ in unions])
        held = np.stack([margin.target[..., own].sum(axis=-1) for _, own in unions])
        gap = np.abs(wanted - held)
        share = gap.sum(axis=0) / np.maximum(np.maximum(wanted.sum(axis=0), held.sum(axis=0)), 1)
        if (share > limit).any():
            worst = np.unravel_index(int(np.argmax(gap)), gap.shape)
            named = ", ".join(margin.label(int(g)) for g in unions[int(worst[0])][1][:4])
            raise MarginError(
                "two margins contradict each other",
                where=f"{where}: {earlier.name} and {margin.name}, {named}",
                got=f"{earlier.name} {wanted[worst]:.10g}, {margin.name} {held[worst]:.10g}",
                expected=f"less than {limit:.0%} of persons apart",
                hint="check universes and years, or leave one of the margins out",
            )
