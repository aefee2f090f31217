"""What must hold whatever the data: algebra of the Fay-Herriot model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal

from inegnum.estimators.area import AreaData, fay_herriot
from inegnum.numerics.reml import fit_fay_herriot


def simulate(seed: int, m: int = 25, sd: float = 0.3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(m), rng.normal(size=(m, 2))])
    D = rng.uniform(0.02, 0.3, m)
    y = X @ [1.0, 0.5, -0.4] + rng.normal(0, sd, m) + rng.normal(size=m) * np.sqrt(D)
    return y, X, D


def dense_loglik(s: float, y: np.ndarray, X: np.ndarray, D: np.ndarray, *, reml: bool) -> float:
    V = np.diag(s + D)
    A = X.T @ np.linalg.inv(V) @ X
    beta = np.linalg.solve(A, X.T @ np.linalg.inv(V) @ y)
    value = float(multivariate_normal(X @ beta, V).logpdf(y))
    return value - (0.5 * np.linalg.slogdet(A)[1] if reml else 0.0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), reml=st.booleans())
def test_maximum_is_that_of_a_dense_search(seed: int, reml: bool) -> None:
    y, X, D = simulate(seed, sd=0.2)
    fit = fit_fay_herriot(y, X, D, method="reml" if reml else "ml")
    best = dense_loglik(fit.sigma2, y, X, D, reml=reml)
    grid = [dense_loglik(s, y, X, D, reml=reml) for s in np.r_[0, np.geomspace(1e-5, 4, 80)]]
    assert best >= max(grid) - 1e-9  # rounding of a sum of 25 terms
    if not fit.boundary:
        found = minimize_scalar(
            lambda s: -dense_loglik(s, y, X, D, reml=reml),
            bounds=(fit.sigma2 * 0.8, fit.sigma2 * 1.2),
            method="bounded",
            options={"xatol": 1e-9},
        )
        # A search on values of a flat top is good to sqrt(1e-16) of the scale.
        assert fit.sigma2 == pytest.approx(found.x, rel=1e-5, abs=1e-7)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.01, 1000))
def test_unit_of_measure_does_not_matter(seed: int, factor: float) -> None:
    y, X, D = simulate(seed)
    for method in ("reml", "ml", "fh", "amrl", "ampl_yl"):
        a = fay_herriot(AreaData(y, X, D), method=method).table
        b = fay_herriot(AreaData(y * factor, X, D * factor**2), method=method).table
        np.testing.assert_allclose(b["est"], a["est"] * factor, rtol=1e-7, atol=1e-9 * factor)
        np.testing.assert_allclose(b["mse"], a["mse"] * factor**2, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_areas_does_not_matter(seed: int) -> None:
    y, X, D = simulate(seed)
    order = np.random.default_rng(seed).permutation(len(y))
    a = fay_herriot(AreaData(y, X, D)).table
    b = fay_herriot(AreaData(y[order], X[order], D[order])).table
    np.testing.assert_allclose(b["est"], a["est"].to_numpy()[order], rtol=1e-9)
    np.testing.assert_allclose(b["mse"], a["mse"].to_numpy()[order], rtol=1e-8)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_eblup_lies_between_direct_and_synthetic(seed: int) -> None:
    t = fay_herriot(AreaData(*simulate(seed)[:2], simulate(seed)[2])).table
    low = np.minimum(t["direct"], t["synthetic"]) - 1e-12
    high = np.maximum(t["direct"], t["synthetic"]) + 1e-12
    assert ((t["est"] >= low) & (t["est"] <= high)).all()


def test_moment_equation_holds() -> None:
    y, X, D = simulate(3)
    fit = fit_fay_herriot(y, X, D, method="fh")
    r = y - X @ fit.beta
    assert float(np.sum(r**2 / (fit.sigma2 + D))) == pytest.approx(len(y) - 3, rel=1e-10)


def test_joint_draws_have_the_covariance_of_the_predictor() -> None:
    """Errors are shared through the coefficients: cov = B x' cov(beta) x B off the diagonal."""
    y, X, D = simulate(5)
    est = fay_herriot(AreaData(y, X, D))
    fit = fit_fay_herriot(y, X, D)
    B = D / (fit.sigma2 + D)
    S = 60_000
    cov = np.cov(est.draws(S, seed=2).values.T)
    expected = (B[:, None] * X) @ fit.cov_beta @ (B[:, None] * X).T
    np.fill_diagonal(expected, est.table["mse"])
    scale = np.sqrt(np.outer(est.table["mse"], est.table["mse"]))
    # An entry of a sample covariance has error about scale / sqrt(S); 625 entries, 5 sigma.
    assert np.abs((cov - expected) / scale).max() < 5 * np.sqrt(2 / S)
