"""The calibration problem of a sample: distinct units, auxiliary variables, totals.

Without numeric margins, unit factors or unit bounds the problem lives on distinct cells; with a
household variable, on households; otherwise on the units themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from inegnum.errors import InputError
from inegnum.estimators.calibration.blocks import block as block_of
from inegnum.estimators.calibration.blocks import side_by_side, stack
from inegnum.estimators.calibration.encode import (
    Columns,
    column,
    encode,
    numeric,
    require_usable_weights,
)
from inegnum.estimators.calibration.margins import Margin, TotalNames
from inegnum.numerics.cells import Cells, collapse
from inegnum.numerics.normal_equations import Matrix

__all__ = ["Household", "System", "build_system", "cells_of", "levels_of", "softness"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Household:
    """One weight per household.

    Attributes
    ----------
    by : str
        Column that identifies the household.
    distance : {"households", "persons"}
        What the distance between weights counts: each household once (Calmar 2), or each of its
        members (``survey``, ReGenesees).
    """

    by: str
    distance: Literal["households", "persons"] = "households"


@dataclass(frozen=True, slots=True)
class System:
    """Auxiliary variables and totals on distinct units.

    Attributes
    ----------
    x : Matrix of shape (m, p)
        One row a cell, household or unit.
    d : ndarray of shape (m,)
        Their initial weights.
    q : ndarray of shape (m,) or None
        Their unit factors.
    totals, ridge : ndarray of shape (p,)
        Totals and softness of each column.
    names : sequence of p str
    margin : ndarray of shape (p,)
        Which margin each column belongs to.
    cells : Cells or None
        How cells expand to units.
    group : ndarray of shape (n,) or None
        Household of each unit.
    """

    x: Matrix
    d: Floats
    q: Floats | None
    totals: Floats
    ridge: Floats
    names: Sequence[str]
    margin: Ints
    cells: Cells | None
    group: Ints | None

    def expand(self, values: Floats, unit: Floats, keyed: Floats | None = None) -> Floats:
        """Return ``unit * values`` of the cell, household or unit itself, shape (n,).

        `keyed` is the memory `build_system` may have left the cells' keys in (see `Cells.expand`).
        """
        if self.cells is not None:
            return self.cells.expand(values, unit, keyed)
        return unit * (values if self.group is None else values[self.group])

    def totals_of(self, wy: Floats) -> Floats:
        """Return unit values added up by distinct unit, shape (m,)."""
        if self.cells is not None:
            return self.cells.sums(wy)
        return wy if self.group is None else np.bincount(self.group, wy, self.d.size)

    def replicated(self, weights: Floats) -> Floats:
        """Return replicate weights of the distinct units, shape (m, R), from (n, R).

        A household's weight is that of its first member: members share it.
        """
        n = weights.shape[0]
        if self.group is not None:
            first = np.unique(self.group, return_index=True)[1]
            return np.asarray(weights[first])
        if self.cells is None:
            return weights
        place = self.rows_of(n)
        gather = sparse.csr_array((np.ones(n), (place, np.arange(n))), shape=(self.d.size, n))
        return np.asarray(gather @ weights)

    def rows_of(self, n: int) -> Ints:
        """Return the row of x of each unit, shape (n,)."""
        if self.cells is not None:
            row = self.cells.expand(np.arange(self.d.size, dtype=np.float64), np.ones(n))
            return np.asarray(row, dtype=np.intp)
        return np.arange(n) if self.group is None else self.group

    @property
    def members(self) -> Floats:
        """Number of units a row of x is the sum of: household sizes, one otherwise."""
        if self.group is None:
            return np.ones(self.d.size)
        return np.bincount(self.group, minlength=self.d.size).astype(np.float64)


def build_system(
    data: Columns,
    margins: Sequence[Margin],
    d: Floats,
    q: Floats | None,
    household: Household | None,
    *,
    by_unit: bool,
    weights_name: str = "weights",
    keyed: Floats | None = None,
) -> System:
    """Return the calibration problem.

    Parameters
    ----------
    data, margins
        Sample and margins.
    d, q : ndarray of shape (n,)
        Initial weights and unit factors.
    household : Household, optional
    by_unit : bool
        Bounds differ from unit to unit, so units may not be collapsed.
    weights_name : str
        What messages call the weights, which are checked here.
    keyed : ndarray of shape (n,), optional
        Memory that may hold the keys of the cells until the weights are written there.
    """
    variables = levels_of(margins)
    _require_household(margins, household)
    names = TotalNames(margins)
    owner = np.repeat(np.arange(len(margins)), [len(m.by_level) for m in margins])
    totals = np.array([t for m in margins for t in m.by_level.values()], dtype=np.float64)
    ridge = softness(margins, totals, d)
    collapsible = q is None and household is None and not by_unit
    if collapsible and all(m.value is None for m in margins):
        cells = cells_of(data, variables, d, weights_name, keyed)
        at = dict(zip(variables, cells.codes, strict=True))
        x = side_by_side([block_of(m, at, variables, None) for m in margins], cells.d.size)
        return System(x, cells.d, None, totals, ridge, names, owner, cells, None)
    require_usable_weights(d, weights_name)
    codes = {v: encode(data, v, levels) for v, levels in variables.items()}
    values = {m.value: numeric(data, m.value) for m in margins if m.value is not None}
    blocks = [
        block_of(m, codes, variables, None if m.value is None else values[m.value]) for m in margins
    ]
    if household is None:
        x = side_by_side(blocks, d.size)
        return System(x, d, q, totals, ridge, names, owner, None, None)
    matrices = [block.matrix() for block in blocks]
    return _by_household(data, household, matrices, margins, d, q, totals, ridge, names, owner)


def _require_household(margins: Sequence[Margin], household: Household | None) -> None:
    per_household = [m.name for m in margins if m.per == "household"]
    if per_household and household is None:
        raise InputError(
            "a margin counts households, but which rows make one is not said",
            where=", ".join(per_household),
            hint="give household=, or count units",
        )


def cells_of(
    data: Columns,
    variables: Mapping[str, list[object]],
    d: Floats,
    weights_name: str,
    keyed: Floats | None,
) -> Cells:
    """Return the distinct cells; codes and weights are checked in the pass that counts them."""
    codes = [encode(data, v, levels, trusted=True) for v, levels in variables.items()]
    sizes = [len(levels) for levels in variables.values()]
    try:
        cells = collapse(codes, sizes, d, keyed=keyed)
    except InputError as error:
        stopped: InputError | None = error
    else:
        stopped = None
    if stopped is None and cells.d.size:
        return cells
    # Something is out of range: read all again, to say what and where.
    require_usable_weights(d, weights_name)
    for v, levels in variables.items():
        encode(data, v, levels)
    raise stopped or InputError("no unit can be calibrated")


def levels_of(margins: Sequence[Margin]) -> dict[str, list[object]]:
    """Return the levels of every categorical variable: those its margins name, in order."""
    found: dict[str, dict[object, None]] = {}
    for margin in margins:
        for i, variable in enumerate(margin.variables):
            levels = found.setdefault(variable, {})
            levels.update(dict.fromkeys(level[i] for level in margin.by_level))
    return {variable: list(levels) for variable, levels in found.items()}


def softness(
    margins: Sequence[Margin], totals: Floats, d: Floats, sums: tuple[float, float] | None = None
) -> Floats:
    """Return the softness of each column (see `Margin`): ``X - x'w = ridge lam``.

    A standard error s gives ``s^2 / (sum d^2 / sum d)``: calibrated totals are then the
    generalised-least-squares combination of survey and margin under Poisson sampling with the
    mean weight. A cost c gives ``X^2 / (c sum d)``: a relative miss weighs c times as much as
    moving every weight by the same proportion. `sums` are those of d and its squares, where known.
    """
    if not any(margin.soft for margin in margins):
        return np.zeros(totals.size)
    mass, squares = (float(d.sum()), float(d @ d)) if sums is None else sums
    mean = squares / mass
    out = []
    for margin in margins:
        size = np.array(list(margin.by_level.values()))
        soft = np.zeros(size.size)
        if margin.se is not None:
            soft += margin.errors**2 / mean
        if np.isfinite(margin.cost):
            soft += np.maximum(np.abs(size), 1.0) ** 2 / (margin.cost * mass)
        out.append(soft)
    return np.concatenate(out)


def _by_household(
    data: Columns,
    household: Household,
    blocks: Sequence[Matrix],
    margins: Sequence[Margin],
    d: Floats,
    q: Floats | None,
    totals: Floats,
    ridge: Floats,
    names: Sequence[str],
    owner: Ints,
) -> System:
    group, _ = pd.factorize(column(data, household.by))
    if group.min() < 0:
        raise InputError("a unit has no household", where=household.by)
    group = np.asarray(group, dtype=np.intp)
    h = int(group.max()) + 1
    first = np.full(h, group.size, dtype=np.intp)
    np.minimum.at(first, group, np.arange(group.size))
    _require_constant(d, group, first, "initial weights", household.by)
    sums = sparse.csr_array((np.ones(group.size), (group, np.arange(group.size))))
    rows = []
    for margin, block in zip(margins, blocks, strict=True):
        if margin.per == "unit":
            rows.append(sums @ block)
            continue
        _require_constant(_fingerprint(block), group, first, margin.name, household.by)
        rows.append(block[first])
    size = np.bincount(group, minlength=h).astype(np.float64)
    factor = np.ones(h)
    if q is not None:
        _require_constant(q, group, first, "q", household.by)
        factor = q[first]
    if household.distance == "persons":
        factor = factor / size
    return System(stack(rows, h), d[first], factor, totals, ridge, names, owner, None, group)


def _fingerprint(block: Matrix) -> Floats:
    """Return one number a row that differs where rows differ."""
    marks = np.sqrt(np.arange(2.0, 2.0 + block.shape[1]))
    return np.asarray(block @ marks)


def _require_constant(values: Floats, group: Ints, first: Ints, what: str, by: str) -> None:
    differing = np.flatnonzero(values != values[first][group])
    if differing.size:
        raise InputError(
            f"{what} must be the same for all members of a household",
            where=f"{by}, rows {differing[:5].tolist()}",
            got=f"{differing.size} rows that differ from the first of their household",
        )
