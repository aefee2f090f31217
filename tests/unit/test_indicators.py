"""Indicators against definitions written out."""

from __future__ import annotations

import numpy as np
import pytest

from inegnum.errors import InputError
from inegnum.numerics import indicators
from inegnum.numerics.indicators import NAMES, Custom, evaluate, gini, quantiles, quintile_share


def test_gini_is_half_the_relative_mean_difference() -> None:
    rng = np.random.default_rng(0)
    y, w = np.sort(rng.gamma(2, size=30)), rng.uniform(1, 3, 30)
    pairs = np.outer(w, w)
    expected = (pairs * np.abs(y[:, None] - y)).sum() / (2 * pairs.sum() * np.average(y, weights=w))
    assert gini(y[None], w[None])[0] == pytest.approx(expected, rel=1e-12)


def test_whole_weights_are_repetitions() -> None:
    rng = np.random.default_rng(1)
    y, w = np.sort(rng.gamma(2, size=12)), rng.integers(1, 5, 12)
    long = np.repeat(y, w)
    names = list(NAMES)
    ours = evaluate(y[None], w.astype(float), names, 1.5)
    again = evaluate(long[None], np.ones(len(long)), names, 1.5)
    np.testing.assert_allclose(ours, again, rtol=1e-12)


def test_equal_weights_take_a_shortcut_to_the_same_figures() -> None:
    rng = np.random.default_rng(2)
    Y = np.sort(rng.gamma(2, size=(4, 37)), axis=1)
    short = evaluate(Y, np.full(37, 2.5), NAMES, 1.2)
    long = indicators._weighted(Y, np.full((4, 37), 2.5), NAMES, 1.2)
    np.testing.assert_allclose(short, long, rtol=1e-12)


def test_interpolated_quantiles_are_numpys() -> None:
    y = np.sort(np.random.default_rng(3).normal(size=(3, 11)), axis=1)
    probs = [0.1, 0.25, 0.5, 0.9]
    ours = quantiles(y, np.ones((1, 11)), probs, interpolate=True)
    np.testing.assert_allclose(ours, np.quantile(y, probs, axis=1), rtol=1e-12)


def test_poverty_written_out() -> None:
    y = np.array([[1.0, 2.0, 3.0, 8.0]])
    w = np.array([1.0, 2.0, 1.0, 4.0])
    head, gap = evaluate(y, w, ("head_count", "poverty_gap"), 2.5)[:, 0]
    assert head == pytest.approx(3 / 8)
    assert gap == pytest.approx((0.6 + 2 * 0.2) / 8)


def test_quintile_share_written_out() -> None:
    y = np.arange(1.0, 11.0)[None]
    assert quintile_share(y, np.ones((1, 10)))[0] == pytest.approx(9.5 / 1.5)


def test_custom_indicators_receive_sorted_responses_and_weights() -> None:
    widest = Custom("range", lambda y, w: (y[:, -1] - y[:, 0]) * w[:, 0])
    value = evaluate(np.array([[3.0, 1.0, 2.0]]), np.array([2.0, 5.0, 1.0]), (widest,), None)
    assert value[0, 0] == pytest.approx(2.0 * 5.0)


def test_poverty_without_line_and_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="poverty line"):
        evaluate(np.ones((1, 2)), np.ones(2), ("head_count",), None)
    with pytest.raises(InputError, match="did you mean gini"):
        evaluate(np.ones((1, 2)), np.ones(2), ("ginni",), None)
