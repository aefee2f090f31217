"""IPF: small tables whose answer is known by hand, and every refusal."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from inegnum.errors import ConvergenceError, MarginError
from inegnum.estimators.calibration import rake
from inegnum.numerics.ipf import Margin, axis_margin, contradictions, ipf, reconcile


def test_independent_seed_gives_the_product_of_margins() -> None:
    rows, columns = np.array([30.0, 70.0]), np.array([20.0, 50.0, 30.0])
    margins = [axis_margin("r", (2, 3), (0,), rows), axis_margin("c", (2, 3), (1,), columns)]
    fit = ipf(np.ones((2, 3)), margins)
    # Closed form of independence; 1e-9 is ten times the stopping tolerance on a total of 100.
    np.testing.assert_allclose(fit.fitted, np.outer(rows, columns) / 100, rtol=1e-9)
    assert fit.residuals.shape == (2, 1)
    assert fit.iterations[0] <= 3


def test_odds_ratio_of_the_seed_is_kept() -> None:
    seed = np.array([[8.0, 1.0], [2.0, 3.0]])
    margins = [
        axis_margin("r", (2, 2), (0,), np.array([40.0, 60.0])),
        axis_margin("c", (2, 2), (1,), np.array([55.0, 45.0])),
    ]
    x = ipf(seed, margins).fitted
    odds = x[0, 0] * x[1, 1] / (x[0, 1] * x[1, 0])
    assert odds == pytest.approx(12.0, rel=1e-9)  # 8*3/(1*2)


def test_axes_may_be_given_in_any_order() -> None:
    target = np.arange(1.0, 13.0).reshape(3, 4)
    shape = (4, 2, 3)
    fit = ipf(np.ones(shape), [axis_margin("ca", shape, (2, 0), target)])
    np.testing.assert_allclose(fit.fitted.sum(axis=1).T, target, rtol=1e-12)


def test_a_margin_may_leave_people_out() -> None:
    # Cells: three adults, one child; the occupation margin counts adults only.
    total = Margin("total", np.zeros(4, dtype=int), np.array([100.0]))
    child = Margin("child", np.array([-1, -1, -1, 0]), np.array([20.0]))
    work = Margin("work", np.array([0, 0, 1, -1]), np.array([30.0, 50.0]))
    x = ipf(np.array([1.0, 2.0, 1.0, 1.0]), [total, child, work]).fitted
    np.testing.assert_allclose(x, [10.0, 20.0, 50.0, 20.0], rtol=1e-9)


def test_batches_are_fitted_one_by_one() -> None:
    rng = np.random.default_rng(4)
    shape = (3, 4)
    truth = rng.gamma(2.0, size=(150, *shape))  # more than two chunks of 64
    seed = rng.gamma(2.0, size=(150, *shape))
    margins = [
        axis_margin("r", shape, (0,), truth.sum(axis=2)),
        axis_margin("c", shape, (1,), truth.sum(axis=1)),
    ]
    together = ipf(seed, margins)
    for b in (0, 63, 64, 149):
        alone = ipf(
            seed[b],
            [
                axis_margin("r", shape, (0,), truth[b].sum(axis=1)),
                axis_margin("c", shape, (1,), truth[b].sum(axis=0)),
            ],
        )
        # A table stops by itself: only the order of additions inside BLAS may differ.
        np.testing.assert_allclose(together.fitted[b], alone.fitted, rtol=1e-12)
        assert together.iterations[b] == alone.iterations[0]
    assert together.residuals.shape == (2, 150)


def test_one_seed_serves_many_targets_and_is_not_changed() -> None:
    seed = np.ones((2, 2))
    rows = np.array([[1.0, 3.0], [5.0, 5.0]])
    fit = ipf(seed, [axis_margin("r", (2, 2), (0,), rows)])
    np.testing.assert_allclose(fit.fitted.sum(axis=2), rows)
    np.testing.assert_array_equal(seed, np.ones((2, 2)))


def test_structural_zeros_stay_zero() -> None:
    seed = np.array([[0.0, 1.0], [1.0, 1.0]])
    margins = [
        axis_margin("r", (2, 2), (0,), np.array([40.0, 60.0])),
        axis_margin("c", (2, 2), (1,), np.array([30.0, 70.0])),
    ]
    np.testing.assert_allclose(ipf(seed, margins).fitted, [[0, 40], [30, 30]], atol=1e-6)


def test_an_empty_area_is_an_empty_table() -> None:
    rows = np.array([[0.0, 0.0], [1.0, 2.0]])
    fit = ipf(np.ones((2, 3)), [axis_margin("r", (2, 3), (0,), rows)])
    assert fit.fitted[0].sum() == 0
    assert fit.fitted[1].sum() == pytest.approx(3.0)


def test_unequal_totals_are_named_with_both_totals() -> None:
    margins = [
        axis_margin("age", (2, 2), (0,), np.array([30.0, 71.0])),
        axis_margin("sex", (2, 2), (1,), np.array([50.0, 50.0])),
    ]
    with pytest.raises(MarginError, match=r"age and sex.*\n.*age 101, sex 100"):
        ipf(np.ones((2, 2)), margins)


def test_a_contradiction_on_a_shared_axis_is_found_though_totals_agree() -> None:
    shape = (2, 2, 2)
    a = axis_margin("age x sex", shape, (0, 1), np.array([[10.0, 10.0], [20.0, 20.0]]))
    b = axis_margin("age x diploma", shape, (0, 2), np.array([[15.0, 10.0], [15.0, 20.0]]))
    found = contradictions([a, b])
    assert {(row[4], row[5]) for row in found} == {(20.0, 25.0), (40.0, 35.0)}
    with pytest.raises(MarginError, match="contradict"):
        ipf(np.ones(shape), [a, b])


def test_a_contradiction_between_nested_groups_is_found() -> None:
    fine = Margin("fine", np.array([0, 1, 2, 3]), np.array([1.0, 2.0, 3.0, 4.0]))
    coarse = Margin("coarse", np.array([0, 0, -1, -1]), np.array([3.5]))
    assert contradictions([fine, coarse])[0][:3] == ("fine", "coarse", "0, 1")


def test_margins_that_count_different_people_do_not_contradict() -> None:
    a = Margin("a", np.array([0, 0, -1]), np.array([10.0]))
    b = Margin("b", np.array([-1, 0, 0]), np.array([30.0]))
    assert contradictions([a, b]) == []


def test_a_target_over_structural_zeros_is_refused_before_iterating() -> None:
    seed = np.array([[0.0, 0.0], [1.0, 1.0]])
    with pytest.raises(MarginError, match="wants persons where the seed has none"):
        ipf(seed, [axis_margin("r", (2, 2), (0,), np.array([1.0, 1.0]))])


def test_infeasible_margins_raise_and_name_themselves() -> None:
    # The first row can only hold 30 persons (its one open cell), but wants 40.
    seed = np.array([[0.0, 1.0], [1.0, 1.0]])
    margins = [
        axis_margin("age", (2, 2), (0,), np.array([40.0, 60.0])),
        axis_margin("sex", (2, 2), (1,), np.array([70.0, 30.0])),
    ]
    with pytest.raises(ConvergenceError, match="age") as caught:
        ipf(seed, margins, max_iterations=200)
    assert "wanted" in caught.value.where


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_missing_or_negative_targets_are_refused(bad: float) -> None:
    with pytest.raises(MarginError, match="missing or negative"):
        axis_margin("r", (2, 2), (0,), np.array([1.0, bad]))


def test_shapes_that_do_not_match_are_refused() -> None:
    with pytest.raises(MarginError, match="wrong shape"):
        axis_margin("r", (2, 3), (1,), np.ones(2))
    with pytest.raises(MarginError, match="axes"):
        axis_margin("r", (2, 3), (0, 0), np.ones((2, 2)))
    rows = axis_margin("r", (2, 2), (0,), np.ones(2))
    with pytest.raises(MarginError, match="different shapes"):
        ipf(np.ones((3, 2)), [rows])
    with pytest.raises(MarginError, match="another number of tables"):
        ipf(np.ones((3, 2, 2)), [axis_margin("r", (2, 2), (0,), np.ones((2, 2)))])
    with pytest.raises(MarginError, match="finite and not negative"):
        ipf(np.full((2, 2), np.nan), [rows])
    with pytest.raises(MarginError, match="no margin"):
        ipf(np.ones((2, 2)), [])


def test_reconciled_margins_agree_and_keep_their_proportions() -> None:
    shape = (2, 2, 2)
    first = axis_margin("age x sex", shape, (0, 1), np.array([[10.0, 10.0], [20.0, 20.0]]))
    second = axis_margin("age x work", shape, (0, 2), np.array([[12.0, 9.0], [13.0, 26.0]]))
    _, moved = reconcile([first, second], limit=0.1)
    assert contradictions([first, moved]) == []
    # 21 aged 0 become 20, 39 aged 1 become 40; 12 to 9 and 13 to 26 stay.
    np.testing.assert_allclose(
        moved.target, [12 * 20 / 21, 9 * 20 / 21, 13 * 40 / 39, 26 * 40 / 39]
    )
    np.testing.assert_array_equal(second.target, [12.0, 9.0, 13.0, 26.0])


def test_crossing_margins_are_reconciled_together_in_batches() -> None:
    rng = np.random.default_rng(9)
    shape = (3, 3, 3)
    truth = rng.gamma(3.0, size=(5, *shape))
    noisy = truth * rng.uniform(0.97, 1.03, size=truth.shape)
    margins = [
        axis_margin("01", shape, (0, 1), truth.sum(axis=3)),
        axis_margin("12", shape, (1, 2), truth.sum(axis=1)),
        axis_margin("02", shape, (0, 2), noisy.sum(axis=2)),
    ]
    agreed = reconcile(margins, limit=0.1)
    assert contradictions(agreed, tol=1e-9) == []


def test_margins_too_far_apart_or_without_persons_are_refused() -> None:
    rows = axis_margin("rows", (2, 2), (0,), np.array([30.0, 70.0]))
    wide = axis_margin("columns", (2, 2), (1,), np.array([80.0, 80.0]))
    with pytest.raises(MarginError, match=r"here: rows and columns(.|\n)*rows 100, columns 160"):
        reconcile([rows, wide], limit=0.1, where="here")
    fine = axis_margin("fine", (2, 2), (0, 1), np.array([[0.0, 0.0], [50.0, 50.0]]))
    with pytest.raises(MarginError, match="no one where an earlier one"):
        reconcile([rows, fine], limit=1.0)


def test_unmet_tables_are_nan_when_asked_and_the_others_are_fitted() -> None:
    seed = np.array([[0.0, 1.0], [1.0, 1.0]])
    rows = np.array([[40.0, 60.0], [40.0, 60.0]])
    columns = np.array([[30.0, 70.0], [70.0, 30.0]])
    margins = [axis_margin("r", (2, 2), (0,), rows), axis_margin("c", (2, 2), (1,), columns)]
    fit = ipf(seed, margins, max_iterations=100, unmet="nan")
    assert np.isnan(fit.fitted[1]).all()
    np.testing.assert_allclose(fit.fitted[0].sum(axis=1), [40, 60])
    assert fit.residuals[:, 1].max() > 1


def test_list_of_possible_cells_is_the_table_without_its_zeros() -> None:
    rng = np.random.default_rng(3)
    seed = rng.random((6, 5, 4)) * (rng.random((6, 5, 4)) < 0.6)
    truth = seed * np.exp(rng.normal(0, 0.4, seed.shape))
    whole = [
        axis_margin("ab", seed.shape, (0, 1), truth.sum(axis=2)),
        axis_margin("c", seed.shape, (2,), truth.sum(axis=(0, 1))),
    ]
    at = np.flatnonzero(seed.ravel())
    listed = [Margin(m.name, m.groups.ravel()[at], m.target) for m in whole]
    dense = ipf(seed, whole).fitted.ravel()
    np.testing.assert_allclose(ipf(seed.ravel()[at], listed).fitted, dense[at], rtol=1e-12)


def test_sparse_table_of_many_groups_meets_its_margins() -> None:
    # 200,000 cells of a table of 20,000 x 3,000 x 50: never laid out, nor are its sums (30 GB).
    rng = np.random.default_rng(4)
    K, sizes = 200_000, (20_000, 3_000, 50)
    groups = [rng.integers(0, size, K) for size in sizes]
    seed = rng.random(K) + 0.1
    truth = seed * np.exp(rng.normal(0, 0.2, sizes[1]))[groups[1]]
    margins = [
        Margin(name, g, np.bincount(g, truth, size))
        for name, g, size in zip("abc", groups, sizes, strict=True)
    ]
    tracemalloc.start()
    fit = ipf(seed, margins, tol=1e-12)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 400 * K
    for g, margin in zip(groups, margins, strict=True):
        # tol is a share of the table's total, 200,000 here.
        np.testing.assert_allclose(np.bincount(g, fit.fitted), margin.target, atol=1e-6)
    # The same as raking the list, which solves the dual by Newton where that is affordable.
    few = {"b": groups[1] % 30, "c": groups[2], "seed": seed}
    totals = {v: dict(enumerate(np.bincount(few[v], truth).tolist())) for v in ("b", "c")}
    raked = rake(few, totals, weights="seed").weights
    listed = [Margin(v, few[v], np.bincount(few[v], truth)) for v in ("b", "c")]
    np.testing.assert_allclose(ipf(seed, listed, tol=1e-13).fitted, raked, rtol=1e-9)


def test_sparse_table_that_cannot_reach_a_group_is_refused() -> None:
    groups = np.array([0, 0, 1])
    with pytest.raises(MarginError, match="wants persons where the seed has none"):
        ipf(np.ones(3), [Margin("a", groups, np.array([1.0, 1.0, 1.0]))])
