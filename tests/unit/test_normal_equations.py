"""Cross-products of categories against dense algebra; redundant classes with and without a hint."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from inegnum.errors import CalibrationError
from inegnum.estimators.calibration.margins import Margin, TotalNames
from inegnum.numerics import normal_equations
from inegnum.numerics.normal_equations import cross_products, distances_of, independent_columns

SIZES = (4, 3, 2)


def _indicators(m: int = 60) -> tuple[sparse.csr_array, np.ndarray]:
    rng = np.random.default_rng(3)
    starts = np.cumsum((0, *SIZES[:-1]))
    columns = np.column_stack(
        [s + rng.integers(0, k, m) for s, k in zip(starts, SIZES, strict=True)]
    )
    indptr = np.arange(0, columns.size + 1, len(SIZES))
    x = sparse.csr_array((np.ones(columns.size), columns.ravel(), indptr), shape=(m, sum(SIZES)))
    return x, rng.uniform(0.5, 2.0, m)


@pytest.mark.parametrize("kind", ["partitions", "one", "uneven", "valued"])
def test_cross_products_are_those_of_dense_algebra(kind: str) -> None:
    x, v = _indicators()
    if kind == "one":
        x = sparse.csr_array(x[:, :4])
    elif kind == "uneven":
        x = sparse.csr_array(x[:, 2:])
    elif kind == "valued":
        x.data = np.linspace(-1.0, 2.0, x.nnz)
    expected = x.toarray().T @ (v[:, None] * x.toarray())
    # Sums of 60 products of order one, in another order.
    np.testing.assert_allclose(cross_products(x)(v), expected, atol=1e-13)


def test_cross_products_of_many_rows_are_those_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    x, v = _indicators(20_000)
    x = sparse.csr_array(x[:, 2:])
    laid_out = cross_products(x)(v)
    monkeypatch.setattr(normal_equations, "_MOST_PAIRS", 10)
    # Sums of 20,000 terms of order one, in another order.
    np.testing.assert_allclose(cross_products(x)(v), laid_out, rtol=1e-11)
    monkeypatch.setattr(normal_equations, "_NARROW", 1)
    np.testing.assert_allclose(cross_products(x)(v), laid_out, rtol=1e-11)


def _kept(totals: np.ndarray, *, hinted: bool) -> tuple[list[int], tuple[str, ...]]:
    x, d = _indicators()
    partition = np.repeat(np.arange(len(SIZES)), SIZES) if hinted else None
    names = [f"c{j}" for j in range(sum(SIZES))]
    gram = cross_products(x)(d)
    kept, notes = independent_columns(
        distances_of(x, d), gram, totals, np.arange(sum(SIZES)), names, partition
    )
    return kept.tolist(), notes


def test_known_partitions_leave_out_what_elimination_leaves_out() -> None:
    totals = np.array([10.0, 20, 30, 40, 50, 30, 20, 60, 40])
    assert _kept(totals, hinted=True) == _kept(totals, hinted=False)
    assert _kept(totals, hinted=True)[0] == [0, 1, 2, 3, 4, 5, 7]


@pytest.mark.parametrize("hinted", [True, False])
def test_partitions_of_different_sums_contradict_each_other(*, hinted: bool) -> None:
    totals = np.array([10.0, 20, 30, 40, 50, 30, 21, 60, 40])
    with pytest.raises(CalibrationError, match=r"c6 is 21, but .* imply 20"):
        _kept(totals, hinted=hinted)


def test_names_of_totals_are_labels_in_order() -> None:
    margins = [Margin("sex", {"F": 1.0, "M": 2.0}), Margin((), 9.0, value="income")]
    names = TotalNames(margins)
    assert list(names) == ["sex = F", "sex = M", "income"]
    assert (names[-1], names[:2], len(names)) == ("income", ["sex = F", "sex = M"], 3)
