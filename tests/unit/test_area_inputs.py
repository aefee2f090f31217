"""Evidence that cannot be used is refused, and the message names the place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.errors import InputError
from inegnum.estimators.area import AreaData, Transform, fay_herriot

RNG = np.random.default_rng(7)
M = 30
GEO = np.array([f"3306{i}" for i in range(M)], dtype=object)
X = np.column_stack([np.ones(M), RNG.normal(size=M)])
D = np.full(M, 0.01)
Y = 0.6 + 0.1 * X[:, 1] + RNG.normal(0, 0.15, M)


def changed(values: np.ndarray, at: int, value: float) -> np.ndarray:
    copy = values.copy()
    copy[at] = value
    return copy


@pytest.mark.parametrize("value", [0.0, -0.01])
def test_variance_zero_or_negative(value: float) -> None:
    with pytest.raises(InputError, match="zero or negative") as caught:
        AreaData(Y, X, changed(D, 3, value), GEO)
    assert "33063" in caught.value.where
    assert "smooth_variances" in caught.value.hint


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_variance_missing(value: float) -> None:
    with pytest.raises(InputError, match="sampling variance is missing") as caught:
        AreaData(Y, X, changed(D, 5, value), GEO)
    assert "33065" in caught.value.where


def test_area_twice() -> None:
    geo = GEO.copy()
    geo[4] = geo[9]
    with pytest.raises(InputError, match="stands twice") as caught:
        AreaData(Y, X, D, geo)
    assert caught.value.where == "33069"


def test_codes_are_text() -> None:
    with pytest.raises(InputError, match="must be text"):
        AreaData(Y, X, D, np.arange(M).astype(object))


def test_covariate_missing_for_an_area() -> None:
    bad = X.copy()
    bad[8, 1] = np.nan
    with pytest.raises(InputError, match="covariate is missing") as caught:
        AreaData(Y, bad, D, GEO, ("one", "old"))
    assert "old" in caught.value.where
    assert "33068" in caught.value.where


def test_constant_and_collinear_covariates_are_named() -> None:
    with pytest.raises(InputError, match="collinear") as caught:
        AreaData(Y, np.column_stack([X, np.full(M, 3.0)]), D, GEO, ("one", "old", "flat"))
    assert caught.value.where == "flat"
    twice = np.column_stack([X, 2 * X[:, 1] - 1])
    with pytest.raises(InputError, match="collinear") as caught:
        AreaData(Y, twice, D, GEO, ("one", "old", "again"))
    assert caught.value.where == "again"


def test_collinear_only_among_sampled_areas() -> None:
    urban = np.zeros(M)
    urban[0] = 1
    with pytest.raises(InputError, match="collinear"):
        AreaData(changed(Y, 0, np.nan), np.column_stack([X, urban]), D, GEO)


def test_fewer_areas_than_coefficients() -> None:
    with pytest.raises(InputError, match="not more areas than coefficients"):
        AreaData(Y[:3], RNG.normal(size=(3, 3)), D[:3])


def test_lengths() -> None:
    with pytest.raises(InputError, match="different lengths"):
        AreaData(Y, X, D[:-1])


def test_formula_and_matrix_give_the_same_estimates() -> None:
    table = pd.DataFrame({"geo": GEO, "y": Y, "v": D, "old": X[:, 1], "size": np.arange(M) + 50.0})
    by_formula = AreaData.from_formula("y ~ old", table, variance="v", geo="geo", n="size")
    by_matrix = AreaData(Y, X, D, GEO, ("Intercept", "old"), table["size"].to_numpy())
    a, b = fay_herriot(by_formula).table, fay_herriot(by_matrix).table
    pd.testing.assert_frame_equal(a, b)


def test_formula_errors() -> None:
    table = pd.DataFrame({"geo": GEO, "y": Y, "v": D, "old": X[:, 1]})
    with pytest.raises(InputError, match="did you mean old"):
        AreaData.from_formula("y ~ olds", table, variance="v", geo="geo")
    with pytest.raises(InputError, match="left-hand side"):
        AreaData.from_formula("~ old", table, variance="v", geo="geo")
    table["kind"] = pd.Series(["a", "b", None] * 10)
    with pytest.raises(InputError, match="kind, area 33062"):
        AreaData.from_formula("y ~ kind", table, variance="v", geo="geo")


@pytest.mark.parametrize(("link", "value"), [("logit", 0.0), ("logit", 1.0), ("log", -0.1)])
def test_direct_estimate_without_image(link: str, value: float) -> None:
    data = AreaData(changed(np.clip(Y, 0.1, 0.9), 2, value), X, D, GEO)
    with pytest.raises(InputError, match=f"has no {link}") as caught:
        fay_herriot(data, transform=Transform(link))  # type: ignore[arg-type]
    assert "33062" in caught.value.where


def test_zero_area_variance_is_said_and_its_mse_is_not_zero() -> None:
    flat = 0.6 + 0.1 * X[:, 1] + RNG.normal(0, 0.01, M)  # varies far less than its variances say
    est = fay_herriot(AreaData(flat, X, D, GEO))
    assert est.variance["sigma2_u"] == 0.0
    assert any("zero" in note for note in est.notes)
    assert (est.table["mse"] > 0).all()
    assert fay_herriot(AreaData(flat, X, D, GEO), method="amrl").variance["sigma2_u"] > 0


def test_unknown_method_and_mse() -> None:
    data = AreaData(Y, X, D, GEO)
    with pytest.raises(InputError, match="did you mean reml"):
        fay_herriot(data, method="rem")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="did you mean bootstrap"):
        fay_herriot(data, mse="bootstrp")  # type: ignore[arg-type]


def test_inputs_are_not_changed() -> None:
    y, x, d = Y.copy(), X.copy(), D.copy()
    fay_herriot(AreaData(y, x, d, GEO), mse="jackknife")
    assert (y == Y).all()
    assert (x == X).all()
    assert (d == D).all()
