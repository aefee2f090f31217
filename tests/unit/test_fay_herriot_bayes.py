"""Quadrature of the area variance: against a brute-force grid, and its limits."""

from __future__ import annotations

import numpy as np
import pytest

from inegnum.errors import InputError
from inegnum.estimators.area import AreaData, bayes_fay_herriot, fay_herriot
from inegnum.numerics.fay_herriot_bayes import integrate_fay_herriot
from inegnum.numerics.reml import objective

RNG = np.random.default_rng(13)
M = 24
X = np.column_stack([np.ones(M), RNG.normal(size=M)])
D = RNG.uniform(0.05, 0.2, M)
Y = X @ [1.0, 0.5] + RNG.normal(0, 0.3, M) + RNG.normal(size=M) * np.sqrt(D)


def test_against_a_fine_grid() -> None:
    v = (np.arange(60_000) + 0.5) * 1e-4  # standard deviation, density 1 / (1 + v^2 / a^2)
    loglik = objective(v**2, Y, X, D)
    mass = np.exp(loglik - loglik.max()) / (1 + (v / 0.5) ** 2)
    mass /= mass.sum()
    post = integrate_fay_herriot(Y, X, D, scale=0.5)
    # Midpoints of 1e-4 up to 6: the tail left out holds about 1e-6.
    assert post.sigma == pytest.approx(float(mass @ v), rel=1e-5)
    assert post.sigma2 == pytest.approx(float(mass @ v**2), rel=1e-4)
    assert post.error < 1e-8


def test_area_without_direct_estimate_is_wider_than_with_one() -> None:
    y = Y.copy()
    y[4] = np.nan
    est = bayes_fay_herriot(AreaData(y, X, D))
    assert est.table["basis"].iloc[4] == "synthetic"
    assert est.table["se"].iloc[4] > bayes_fay_herriot(AreaData(Y, X, D)).table["se"].iloc[4]
    assert est.table["est"].iloc[4] == pytest.approx(est.table["synthetic"].iloc[4], abs=1e-9)


def test_zero_variance_in_the_likelihood_is_not_zero_in_the_posterior() -> None:
    flat = AreaData(X @ [1.0, 0.5] + 0.01 * np.cos(np.arange(M)), X, D)
    assert fay_herriot(flat).variance["sigma2_u"] == 0
    est = bayes_fay_herriot(flat)
    assert est.variance["sigma_u"] > 0
    assert (est.table["gamma"] > 0).all()


def test_unit_does_not_matter() -> None:
    a, b = bayes_fay_herriot(AreaData(Y, X, D)), bayes_fay_herriot(AreaData(Y * 100, X, D * 1e4))
    np.testing.assert_allclose(b.table["est"], 100 * a.table["est"], rtol=1e-8)
    np.testing.assert_allclose(b.table["se"], 100 * a.table["se"], rtol=1e-7)


def test_refusals() -> None:
    data = AreaData(Y, X, D)
    with pytest.raises(InputError, match="unknown prior"):
        bayes_fay_herriot(data, prior="gamma")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must be positive"):
        bayes_fay_herriot(data, scale=0.0)
    with pytest.raises(InputError, match="no posterior"):
        integrate_fay_herriot(Y[:4], X[:4], D[:4], prior="flat")
