"""Transformations: way there, way back, slope, and the choice of the parameter."""

from __future__ import annotations

import numpy as np
import pytest

from inegnum.errors import ConvergenceError, InputError
from inegnum.numerics.bhf import make_design
from inegnum.numerics.transformations import Transformation, choose_lambda, profile_loglik

Y = np.array([0.2, 1.0, 3.5, 40.0])
CASES = [
    (Transformation("none"), 0.0),
    (Transformation("log"), 0.0),
    (Transformation("log", shift=2.0), 0.0),
    (Transformation("box-cox"), 0.4),
    (Transformation("box-cox", shift=1.0), -0.3),
    (Transformation("box-cox"), 0.0),
    (Transformation("dual"), 0.7),
    (Transformation("dual"), 0.0),
    (Transformation("log-shift"), 3.0),
]


@pytest.mark.parametrize(("family", "lam"), CASES)
def test_there_and_back(family: Transformation, lam: float) -> None:
    np.testing.assert_allclose(family.backward(family.forward(Y, lam), lam), Y, rtol=1e-12)


@pytest.mark.parametrize(("family", "lam"), CASES)
def test_slope_is_the_derivative(family: Transformation, lam: float) -> None:
    h = 1e-6 * Y
    slope = (family.forward(Y + h, lam) - family.forward(Y - h, lam)) / (2 * h)
    # central differences with h = 1e-6 y: truncation 1e-12, rounding 1e-10
    np.testing.assert_allclose(np.exp(family.log_slope(Y, lam)), slope, rtol=1e-8)


@pytest.mark.parametrize("name", ["box-cox", "dual"])
def test_power_families_tend_to_the_logarithm(name: str) -> None:
    family = Transformation(name)  # type: ignore[arg-type]
    np.testing.assert_allclose(family.forward(Y, 1e-6), np.log(Y), rtol=1e-5)
    np.testing.assert_allclose(family.forward(Y, 0.0), np.log(Y), rtol=1e-15)


def _skewed(
    seed: int, back: Transformation, lam: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    area = np.repeat(np.arange(40), 25)
    X = np.column_stack([np.ones(1000), rng.normal(size=1000)])
    t = X @ [10.0, 0.8] + 0.5 * rng.normal(size=40)[area] + rng.normal(size=1000)
    return back.backward(t, lam), X, area


@pytest.mark.parametrize(
    ("family", "lam", "tolerance"),
    # the sd of the estimate over seeds, about .03 (.03, 15 % of the shift), times four
    [
        (Transformation("box-cox"), 0.4, 0.12),
        (Transformation("dual"), 0.4, 0.12),
    ],
)
def test_parameter_is_recovered(family: Transformation, lam: float, tolerance: float) -> None:
    y, X, area = _skewed(1, family, lam)
    found = choose_lambda(make_design(X, area, 40), y, family)
    assert found == pytest.approx(lam, abs=tolerance)


def test_shift_is_recovered() -> None:
    rng = np.random.default_rng(2)
    area = np.repeat(np.arange(40), 25)
    X = np.column_stack([np.ones(1000), rng.normal(size=1000)])
    t = X @ [1.0, 0.5] + 0.3 * rng.normal(size=40)[area] + 0.5 * rng.normal(size=1000)
    found = choose_lambda(make_design(X, area, 40), np.exp(t) - 1.0, Transformation("log-shift"))
    assert found == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("name", ["box-cox", "dual", "log-shift"])
def test_chosen_parameter_is_a_maximum(name: str) -> None:
    family = Transformation(name)  # type: ignore[arg-type]
    y, X, area = _skewed(3, Transformation("box-cox"), 0.4)
    design = make_design(X, area, 40)
    lam = choose_lambda(design, y, family)
    low, high = family.bounds(y)
    around = lam + 1e-3 * (high - low) * np.array([-1.0, 0.0, 1.0])
    values = profile_loglik(design, y, family, around, "REML")
    assert values[1] > values[0]
    assert values[1] > values[2]


def test_currency_does_not_change_the_choice() -> None:
    y, X, area = _skewed(4, Transformation("box-cox"), 0.4)
    design, family = make_design(X, area, 40), Transformation("box-cox")
    one = choose_lambda(design, y, family)
    # 1e-6: the search ends on differences of log-likelihoods near rounding
    assert choose_lambda(design, 655.957 * y, family) == pytest.approx(one, abs=1e-6)


def test_best_value_at_the_end_of_the_range_is_an_error() -> None:
    y, X, area = _skewed(5, Transformation("none"), 0.0)
    with pytest.raises(ConvergenceError, match="end of its range"):
        choose_lambda(make_design(X, area, 40), np.exp(y**2 / 100), Transformation("log-shift"))


@pytest.mark.parametrize("name", ["log", "box-cox", "dual"])
def test_response_must_be_positive_and_the_hint_gives_a_shift(name: str) -> None:
    family = Transformation(name)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="shift=4"):
        family.require_domain(np.array([1.0, -3.0]))
    Transformation(name, shift=4.0).require_domain(np.array([1.0, -3.0]))  # type: ignore[arg-type]


def test_spelling_and_useless_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean box-cox"):
        Transformation("box.cox")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="takes no shift"):
        Transformation("none", shift=1.0)
    with pytest.raises(InputError, match="has no parameter"):
        Transformation("log", lam=1.0)


def test_negative_power_that_reaches_infinity_is_refused() -> None:
    with pytest.raises(InputError, match="infinity"):
        Transformation("box-cox").backward(np.array([3.0]), -0.5)
