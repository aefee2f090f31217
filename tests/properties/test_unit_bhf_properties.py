"""Nested error regression: what must not matter does not matter."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inegnum.estimators.unit.bhf import bhf
from inegnum.estimators.unit.inputs import AreaMeans, UnitSample

# Fits agree to the tolerance of the search (1e-11 in the variance ratio), times conditioning.
RTOL = 1e-6


def _world(seed: int) -> tuple[UnitSample, AreaMeans]:
    rng = np.random.default_rng(seed)
    m = int(rng.integers(5, 12))
    area = np.repeat(np.arange(m), rng.integers(2, 6, m))
    n = len(area)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y = X @ [2.0, 1.0, -1.0] + 1.5 * rng.normal(size=m)[area] + rng.normal(size=n)
    sample = UnitSample.from_arrays(y, X, [f"{i:02d}" for i in area])
    Xbar = np.column_stack([np.ones(m), rng.normal(size=(m, 2))])
    return sample, AreaMeans(sample.geo, Xbar, np.full(m, 40.0))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_respondents_does_not_matter(seed: int) -> None:
    sample, means = _world(seed)
    at = np.random.default_rng(seed).permutation(len(sample.y))
    geo = np.array(sample.geo)[sample.area]
    shuffled = UnitSample.from_arrays(sample.y[at], sample.X[at], geo[at])
    one, two = bhf(sample, means).table, bhf(shuffled, means).table
    np.testing.assert_allclose(one["est"], two["est"], rtol=RTOL, atol=1e-7)
    np.testing.assert_allclose(one["mse"], two["mse"], rtol=RTOL)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-1e3, 1e3),
)
def test_units_of_the_response_do_not_matter(seed: int, scale: float, shift: float) -> None:
    sample, means = _world(seed)
    moved = UnitSample.from_arrays(
        scale * sample.y + shift, sample.X, np.array(sample.geo)[sample.area]
    )
    one, two = bhf(sample, means).table, bhf(moved, means).table
    size = scale * (1 + one["est"].abs().max()) + abs(shift)
    np.testing.assert_allclose(scale * one["est"] + shift, two["est"], atol=RTOL * size)
    np.testing.assert_allclose(scale**2 * one["mse"], two["mse"], rtol=1e-4)


@settings(max_examples=25, deadline=None)
# shift / scale bounds the condition number of M: squared in the normal equations it must leave the
# digits that are compared.
@given(seed=st.integers(0, 10_000), shift=st.floats(-1e3, 1e3), scale=st.floats(1e-1, 1e3))
def test_units_of_the_covariates_do_not_matter(seed: int, shift: float, scale: float) -> None:
    sample, means = _world(seed)
    M = np.array([[1.0, shift, 0.0], [0.0, scale, 0.0], [0.0, 0.5, 1.0]])
    moved = UnitSample.from_arrays(sample.y, sample.X @ M, np.array(sample.geo)[sample.area])
    one = bhf(sample, means).table
    two = bhf(moved, AreaMeans(means.geo, means.X @ M, means.N)).table
    np.testing.assert_allclose(one["est"], two["est"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(one["mse"], two["mse"], rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_shrinkage_lies_between_synthetic_and_survey_regression(seed: int) -> None:
    sample, means = _world(seed)
    endless = AreaMeans(means.geo, means.X)
    t = bhf(sample, endless).table
    design = sample.design()
    beta = bhf(sample, endless).coefficients["beta"].to_numpy()
    regression = means.X @ beta + (t["direct"] - design.xmean @ beta)
    low = np.minimum(t["synthetic"], regression) - 1e-9
    high = np.maximum(t["synthetic"], regression) + 1e-9
    assert ((t["est"] >= low) & (t["est"] <= high)).all()
