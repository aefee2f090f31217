"""Iterative proportional fitting of many two-way tables whose margins never cross their two sides.

Model: as `ipf`, for tables over rows r and columns c where every margin groups rows or groups
columns. The fitted table is then z_rc u_r v_c, u and v products of one ratio a margin: a pass needs
the sums of z weighted by u and v only, and the table itself is written once, at the end. Margins
are taken in the same order and the same gaps decide as in `ipf`, so that both give the same table
after the same number of passes, rounding apart.

Assumptions and limits: those of `ipf`, which checks margins before and residuals after.

References
----------
Deming and Stephan 1940, doi:10.1214/aoms/1177731829; Sinkhorn and Knopp 1967,
doi:10.2140/pjm.1967.21.343 (scaling by rows and columns).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inegnum.numerics.tabular import Margin

__all__ = ["collapse", "fit_crossed", "sides"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def sides(margins: Sequence[Margin]) -> Ints | None:
    """Return 0 for a margin of rows and 1 for one of columns; None when one is neither.

    Examples
    --------
    >>> from inegnum.numerics.tabular import axis_margin
    >>> rows = axis_margin("rows", (2, 3), (0,), np.ones(2))
    >>> columns = axis_margin("columns", (2, 3), (1,), np.ones(3))
    >>> sides([rows, columns]).tolist()
    [0, 1]
    """
    found = []
    for margin in margins:
        groups = margin.groups
        if groups.ndim != 2:
            return None
        if (groups == groups[:, :1]).all():
            found.append(0)
        elif (groups == groups[:1]).all():
            found.append(1)
        else:
            return None
    return np.array(found, dtype=np.int64)


def collapse(margins: Sequence[Margin], rows: tuple[int, ...]) -> tuple[Ints, tuple[Margin, ...]]:
    """Gather cells that no margin tells apart: they share every ratio, so they are fitted as one.

    Parameters
    ----------
    margins : sequence of Margin
        Over tables of one shape; each groups either axes `rows` or the other axes.
    rows : tuple of int
        Axes that become the rows of the gathered table.

    Returns
    -------
    ndarray of shape (d1 * d2 * ...,)
        The gathered cell (row-major) each cell belongs to.
    tuple of Margin
        The same margins over the gathered two-way table.
    """
    shape = margins[0].groups.shape
    columns = tuple(axis for axis in range(len(shape)) if axis not in rows)
    n_rows = int(np.prod([shape[axis] for axis in rows]))
    flat = [m.groups.transpose(*rows, *columns).reshape(n_rows, -1) for m in margins]
    of_rows = [groups[:, 0] for groups in flat if (groups == groups[:, :1]).all()]
    of_columns = [groups[0] for groups in flat if not (groups == groups[:, :1]).all()]
    row_first, row_of = _distinct(of_rows, n_rows)
    column_first, column_of = _distinct(of_columns, flat[0].shape[1])
    cells = (row_of[:, None] * len(column_first) + column_of[None, :]).reshape(
        [shape[axis] for axis in (*rows, *columns)]
    )
    back = np.argsort((*rows, *columns))
    gathered = tuple(
        replace(margin, groups=groups[np.ix_(row_first, column_first)])
        for margin, groups in zip(margins, flat, strict=True)
    )
    return cells.transpose(*back).ravel(), gathered


def _distinct(groups: list[Ints], size: int) -> tuple[Ints, Ints]:
    """Return a representative of each distinct combination of groups, and which one each has."""
    if not groups:
        return np.zeros(1, dtype=np.int64), np.zeros(size, dtype=np.int64)
    _, first, inverse = np.unique(
        np.stack(groups, axis=1), axis=0, return_index=True, return_inverse=True
    )
    return first.astype(np.int64), inverse.ravel().astype(np.int64)


def fit_crossed(
    x: Floats,
    shape: tuple[int, int],
    margins: Sequence[Margin],
    targets: Sequence[Floats],
    limits: tuple[Floats, int],
) -> tuple[Floats, Ints]:
    """Fit tables (B, K); return them and the passes each took.

    Parameters
    ----------
    x : ndarray of shape (B, K)
        Seeds, zero where a target is.
    shape : tuple of int
        Rows and columns of a table, of product K.
    margins : sequence of Margin
        Each of rows or of columns (`sides`).
    targets : sequence of ndarray of shape (B, L)
    limits : tuple
        Gap allowed by table, shape (B,), and passes.
    """
    side = sides(margins)
    if side is None:
        raise ValueError("a margin crosses rows and columns")
    n_groups = np.array([m.target.shape[-1] for m in margins], dtype=np.int64)
    groups = np.full((len(margins), max(shape)), -1, dtype=np.int64)
    wanted = np.zeros((len(margins), len(x), int(n_groups.max())))
    for m, (margin, target) in enumerate(zip(margins, targets, strict=True)):
        own = margin.groups[:, 0] if side[m] == 0 else margin.groups[0]
        groups[m, : len(own)] = own
        wanted[m, :, : target.shape[1]] = target
    # numba loads here: 0.7 s that small problems do not pay.
    from inegnum.numerics.ipf_kernel import scale_tables

    tolerance, passes = limits
    fitted = np.array(x, dtype=np.float64).reshape(-1, *shape)
    taken = scale_tables(fitted, side, groups, n_groups, wanted, tolerance, passes)
    return fitted.reshape(x.shape), taken
