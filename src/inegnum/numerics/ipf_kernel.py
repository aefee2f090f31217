"""Compiled passes of `ipf_crossed`; importing this module loads numba.

Inner loops run along the last axis and add in the order written: the compiler may use vectors, yet
bytes do not depend on the machine.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["scale_tables"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# numpy's error model: Python's tests every divisor, and no loop with a test in it is vectorised.
_compiled = numba.njit(cache=True, error_model="numpy")


@_compiled  # type: ignore[untyped-decorator]
def _weigh(z: Floats, factor: Floats, out: Floats) -> None:
    """Sum `z` over its first axis, weighted."""
    out[:] = 0.0
    for i in range(z.shape[0]):
        f, row = factor[i], z[i]
        for j in range(row.shape[0]):
            out[j] += f * row[j]


@_compiled  # type: ignore[untyped-decorator]
def _adjust(
    weight: Floats, factor: Floats, group: Ints, target: Floats, now: Floats, move: bool
) -> float:
    """Return the largest gap of one margin, and close it when `move`."""
    now[:] = 0.0
    for i in range(len(factor)):
        if group[i] >= 0:
            now[group[i]] += weight[i] * factor[i]
    gap = 0.0
    for g in range(len(now)):
        away = abs(now[g] - target[g])
        # Written so that a sum that is not a number is a gap.
        if not away <= gap:
            gap = away
    if move:
        for i in range(len(factor)):
            if group[i] >= 0 and now[group[i]] > 0:
                factor[i] *= target[group[i]] / now[group[i]]
    return gap


@_compiled  # type: ignore[untyped-decorator]
def _sweep(
    z: Floats,
    turned: Floats,
    factors: tuple[Floats, Floats],
    work: tuple[Floats, Floats, Floats],
    side: Ints,
    groups: Ints,
    n_groups: Ints,
    target: Floats,
    move: bool,
) -> float:
    """Go through every margin once; return the largest gap met."""
    u, v = factors
    of_rows, of_columns, now = work
    gap = 0.0
    for m in range(len(side)):
        size = n_groups[m]
        if side[m] == 0:
            _weigh(turned, v, of_rows)
            away = _adjust(of_rows, u, groups[m], target[m, :size], now[:size], move)
        else:
            _weigh(z, u, of_columns)
            away = _adjust(of_columns, v, groups[m], target[m, :size], now[:size], move)
        if not away <= gap:
            gap = away
    return gap


@_compiled  # type: ignore[untyped-decorator]
def scale_tables(
    tables: Floats,
    side: Ints,
    groups: Ints,
    n_groups: Ints,
    wanted: Floats,
    tolerance: Floats,
    passes: int,
) -> Ints:
    """Scale tables (B, R, C) in place to `wanted` (M, B, L); return passes, (B,).

    `side` says whether a margin groups rows (0) or columns (1); `groups` (M, max(R, C)) is -1 where
    a margin does not count.
    """
    B, R, C = tables.shape
    taken = np.full(B, passes, dtype=np.int64)
    turned = np.empty((C, R))
    work = (np.empty(R), np.empty(C), np.empty(wanted.shape[2]))
    for b in range(B):
        z = tables[b]
        for r in range(R):
            for c in range(C):
                turned[c, r] = z[r, c]
        factors = (np.ones(R), np.ones(C))
        target = wanted[:, b]
        for step in range(passes):
            gap = _sweep(z, turned, factors, work, side, groups, n_groups, target, True)
            # Gaps seen just before each adjustment are cheap; the true ones decide.
            if gap <= tolerance[b]:
                gap = _sweep(z, turned, factors, work, side, groups, n_groups, target, False)
                if gap <= tolerance[b]:
                    taken[b] = step + 1
                    break
            elif not gap < np.inf:
                break
        u, v = factors
        for r in range(R):
            for c in range(C):
                z[r, c] *= u[r] * v[c]
    return taken
