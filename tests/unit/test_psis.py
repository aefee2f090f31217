"""Pareto smoothing on tails whose shape is known."""

import numpy as np
import pytest

from inegnum.numerics.psis import fit_generalised_pareto, smooth_weights


@pytest.mark.parametrize("k", [0.1, 0.5, 0.9])
def test_shape_is_recovered(k):
    u = np.random.default_rng(7).random(20_000)
    x = 2.0 * np.expm1(-k * np.log1p(-u)) / k
    shape, scale = fit_generalised_pareto(x)
    # Asymptotic sd of k-hat is (1 + k) / sqrt(n) = 0.013 at most; three of them.
    assert shape == pytest.approx(k, abs=0.04)
    assert scale == pytest.approx(2.0, rel=0.05)


def test_equal_ratios_weigh_the_same():
    found = smooth_weights(np.full(500, 3.0))
    assert found.ess == pytest.approx(500)
    assert found.khat == -np.inf


def test_heavy_ratios_are_called_heavy():
    rng = np.random.default_rng(8)
    light = smooth_weights(0.1 * rng.normal(size=2000))
    heavy = smooth_weights(4.0 * rng.standard_exponential(2000))
    assert light.khat < 0.5 < 0.7 < heavy.khat
    assert np.exp(heavy.log_weights).sum() == pytest.approx(1.0)
