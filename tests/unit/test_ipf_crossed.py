"""The compiled passes against the array ones, which golden cases hold to mipfp."""

from __future__ import annotations

import numpy as np
import pytest

from inegnum.errors import ConvergenceError
from inegnum.numerics import ipf as module
from inegnum.numerics.ipf import Margin, axis_margin, ipf
from inegnum.numerics.ipf_crossed import collapse, fit_crossed, sides

SHAPE = (5, 4)


def _tables(n: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    tables = rng.gamma(0.7, size=(n, *SHAPE)) + 1e-3
    tables[0, 2, 1] = 0.0  # a structural zero
    return tables


def _margins(n: int) -> list[Margin]:
    """Margins of other tables with the same supports: one of rows, two of columns, one partial."""
    rng = np.random.default_rng(4)
    truth = rng.gamma(2.0, size=(n, *SHAPE))
    truth[:, 4] *= rng.integers(0, 2, size=(n, 1))  # a group that nobody belongs to
    truth[0, 2, 1] = 0.0
    rows = axis_margin("rows", SHAPE, (0,), truth.sum(axis=2))
    columns = axis_margin("columns", SHAPE, (1,), truth.sum(axis=1))
    pairs = Margin("pairs", np.indices(SHAPE)[1] // 2, truth.sum(axis=1).reshape(n, 2, 2).sum(2))
    part = np.where(np.indices(SHAPE)[0] < 2, np.indices(SHAPE)[0], -1)
    some = Margin("some rows", part, truth.sum(axis=2)[:, :2])
    return [rows, pairs, columns, some]


def test_compiled_and_array_passes_give_the_same_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    tables, margins = _tables(40), _margins(40)
    expected = ipf(tables, margins, tol=1e-9)
    monkeypatch.setattr(module, "COMPILED_FROM", 1)
    found = ipf(tables, margins, tol=1e-9)
    # The same operations in another order: a few units in the last place a pass.
    np.testing.assert_allclose(found.fitted, expected.fitted, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(found.iterations, expected.iterations)
    assert (found.residuals <= 1e-9 * tables.sum()).all()


def test_a_table_does_not_depend_on_those_fitted_with_it() -> None:
    tables, margins = _tables(40).reshape(40, -1), _margins(40)
    targets = [m.target for m in margins]
    tables = tables * (np.repeat(targets[0], 4, axis=1) > 0)
    limits = np.full(40, 1e-9)
    whole, _ = fit_crossed(tables, SHAPE, margins, targets, (limits, 500))
    alone, _ = fit_crossed(
        tables[7:9], SHAPE, margins, [t[7:9] for t in targets], (limits[7:9], 500)
    )
    np.testing.assert_array_equal(alone, whole[7:9])


@pytest.mark.parametrize("unmet", ["nan", "raise"])
def test_margins_that_no_table_meets_are_not_passed_as_met(
    monkeypatch: pytest.MonkeyPatch, unmet: str
) -> None:
    monkeypatch.setattr(module, "COMPILED_FROM", 1)
    seed = np.array([[[1.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]])
    # Row one lives in column one only, which is too small for it, in the first table.
    rows = axis_margin("rows", (2, 2), (0,), np.array([[3.0, 1.0], [3.0, 1.0]]))
    columns = axis_margin("columns", (2, 2), (1,), np.array([[2.0, 2.0], [2.0, 2.0]]))
    if unmet == "raise":
        with pytest.raises(ConvergenceError, match="table 0"):
            ipf(seed, [rows, columns], max_iterations=5000)
        return
    fitted = ipf(seed, [rows, columns], max_iterations=5000, unmet="nan").fitted
    assert np.isnan(fitted[0]).all()
    np.testing.assert_allclose(fitted[1], [[1.5, 1.5], [0.5, 0.5]])


def test_margins_that_cross_both_sides_are_left_to_the_array_passes() -> None:
    crossed = Margin("diagonal", np.eye(2, dtype=np.int64), np.array([1.0, 1.0]))
    assert sides([crossed]) is None
    assert sides([axis_margin("cells", (2, 2), (0, 1), np.ones((2, 2)))]) is None


def test_gathered_cells_are_fitted_as_the_whole_table_is() -> None:
    rng = np.random.default_rng(6)
    shape = (4, 2, 3)
    table, truth = rng.gamma(1.0, size=shape), rng.gamma(2.0, size=shape)
    cells = np.indices(shape)
    of_rows = np.minimum(cells[0] + cells[2], 2)  # crosses the first and last axes
    margins = [
        Margin("rows", of_rows, np.bincount(of_rows.ravel(), truth.ravel())),
        axis_margin("columns", shape, (1,), truth.sum(axis=(0, 2))),
    ]
    of_cell, gathered = collapse(margins, (0, 2))
    assert gathered[0].groups.shape == (3, 2)
    coarse = np.bincount(of_cell, table.ravel())
    fitted = ipf(coarse.reshape(3, 2), gathered).fitted.ravel()
    whole = ipf(table, margins).fitted
    # Both met to 1e-10 of the total.
    np.testing.assert_allclose(table.ravel() * (fitted / coarse)[of_cell], whole.ravel(), rtol=1e-8)
