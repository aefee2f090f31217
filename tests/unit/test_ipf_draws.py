"""Drawn tables hold their margins and vary as much as the sample that seeds them."""

from __future__ import annotations

import numpy as np
import pytest

from inegnum.errors import InputError
from inegnum.numerics.ipf import axis_margin, ipf
from inegnum.numerics.ipf_draws import ipf_draws

COUNTS = np.array([[40.0, 10.0, 25.0], [15.0, 30.0, 30.0]])
MARGINS = [
    axis_margin("rows", (2, 3), (0,), np.array([600.0, 400.0])),
    axis_margin("columns", (2, 3), (1,), np.array([300.0, 300.0, 400.0])),
]


@pytest.mark.parametrize("method", ["dirichlet", "replicate"])
def test_margins_hold_and_the_centre_is_the_fit(method):
    tables = ipf_draws(COUNTS, MARGINS, 800, method=method, seed=3)
    np.testing.assert_allclose(tables.sum(axis=2), [[600.0, 400.0]] * 800, rtol=1e-8)
    np.testing.assert_allclose(tables.sum(axis=1), [[300.0, 300.0, 400.0]] * 800, rtol=1e-8)
    fitted = ipf(COUNTS, MARGINS).fitted
    spread = tables.std(axis=0)
    # The mean is off by its own Monte-Carlo error (sd/sqrt(800)) and by curvature, a tenth of a sd.
    np.testing.assert_array_less(np.abs(tables.mean(axis=0) - fitted), 0.25 * spread)


def test_spread_is_that_of_the_odds_ratio():
    # With margins fixed a 2 x 2 table has one degree of freedom, the log odds ratio, whose variance
    # in a sample is the sum of the inverse counts.
    counts = np.array([[60.0, 40.0], [30.0, 70.0]])
    margins = [
        axis_margin("r", (2, 2), (0,), np.array([1.0, 1.0])),
        axis_margin("c", (2, 2), (1,), np.array([1.0, 1.0])),
    ]
    for method in ("dirichlet", "replicate"):
        t = ipf_draws(counts, margins, 4000, method=method, deff=2.0, seed=5)
        log_odds = np.log(t[:, 0, 0] * t[:, 1, 1] / (t[:, 0, 1] * t[:, 1, 0]))
        expected = 2.0 * np.sum(1 / counts)
        # A variance from 4,000 draws is known to sqrt(2/4000) = 2.2 %; the rest is second order.
        assert log_odds.var() == pytest.approx(expected, rel=0.12)


def test_structural_zeros_stay_and_empty_cells_live():
    counts = np.array([[40.0, np.nan], [0.0, 30.0], [20.0, 20.0]])
    margins = [axis_margin("rows", (3, 2), (0,), np.array([30.0, 30.0, 40.0]))]
    tables = ipf_draws(counts, margins, 200, seed=1)
    assert (tables[:, 0, 1] == 0).all()
    assert (tables[:, 1, 0] > 0).any()
    np.testing.assert_allclose(tables.sum(axis=2), [[30.0, 30.0, 40.0]] * 200, rtol=1e-8)


def test_same_seed_and_refusals():
    a, b = (ipf_draws(COUNTS, MARGINS, 4, seed=9) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    with pytest.raises(InputError, match="unknown method"):
        ipf_draws(COUNTS, MARGINS, 4, method="bootstrap")
    with pytest.raises(InputError, match="not negative"):
        ipf_draws(-COUNTS, MARGINS, 4)
    with pytest.raises(InputError, match="must be positive"):
        ipf_draws(COUNTS, MARGINS, 0)
