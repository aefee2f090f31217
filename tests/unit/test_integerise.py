"""Whole numbers that keep totals, stay close and are right on average."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inegnum.errors import InputError
from inegnum.estimators.calibration.trim import trim_weights
from inegnum.numerics.integerise import integerise


@given(
    w=st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=60),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=100, deadline=None)
def test_total_and_distance(w, seed):
    got = integerise(w, seed)
    assert abs(int(got.sum()) - sum(w)) <= 0.5 + 1e-6
    assert np.abs(got - np.array(w)).max() <= 1 + 1e-9
    assert got.min() >= 0


def test_right_on_average():
    w = np.array([0.2, 1.7, 3.1, 0.5, 2.5])
    rng = np.random.default_rng(0)
    mean = np.mean([integerise(w, rng) for _ in range(4000)], axis=0)
    # Each count is its floor plus a coin: standard error below 0.5/sqrt(4000), four of them.
    np.testing.assert_allclose(mean, w, atol=4 * 0.5 / np.sqrt(4000))


def test_same_seed_same_numbers_and_bad_input():
    w = np.random.default_rng(1).random((4, 5)) * 3
    np.testing.assert_array_equal(integerise(w, 7), integerise(w, 7))
    assert integerise(w, 7).shape == w.shape
    with pytest.raises(InputError, match="not negative"):
        integerise([1.0, -0.5], 0)


@given(w=st.lists(st.floats(0.1, 100), min_size=3, max_size=40), upper=st.floats(20, 90))
@settings(max_examples=60, deadline=None)
def test_trimming_keeps_the_sum(w, upper):
    if sum(w) <= upper * len(w) * 0.9:
        got = trim_weights(w, 0.0, upper, strict=True)
        assert got.sum() == pytest.approx(sum(w), rel=1e-9)
        assert got.max() <= upper * (1 + 1e-9)
