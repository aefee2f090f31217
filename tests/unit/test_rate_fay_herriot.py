"""Fay-Herriot for rates: against a brute-force grid, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from inegnum.errors import InputError
from inegnum.estimators.area import AreaData, fay_herriot, rate_fay_herriot
from inegnum.estimators.area.transform import Transform

RNG = np.random.default_rng(8)
M = 14
N = RNG.integers(15, 90, M).astype(float)
THETA = expit(-1.2 + RNG.normal(0, 0.5, M))
Y = RNG.binomial(N.astype(int), THETA) / N
ONE = np.ones((M, 1))


def data(y: np.ndarray = Y) -> AreaData:
    return AreaData(y, ONE, np.where(np.isnan(y), np.nan, 0.2 / N))


def test_binomial_against_a_fine_grid() -> None:
    """Every effect by a sum over 600 points, the intercept and sigma by a grid of 61 x 100."""
    est = rate_fay_herriot(data(), n_eff=N, scale=1.0)
    eta = np.linspace(-6, 4, 600)
    lik = np.exp(
        N[:, None] * (Y[:, None] * eta - np.logaddexp(0, eta))
        - (N * (Y * np.log(Y) + (1 - Y) * np.log(1 - Y)))[:, None]
    )
    b0, sigma = np.linspace(-2.6, 0.2, 61), (np.arange(100) + 0.5) * 0.021
    mass, means = [], []
    for s in sigma:
        prior = np.exp(-0.5 * ((eta - b0[:, None]) / s) ** 2) / s
        each = lik @ prior.T  # (M, 61)
        weight = np.log(each).sum(axis=0) - 0.5 * (b0 / 2.5) ** 2 - 0.5 * s**2
        mass.append(weight)
        means.append((lik * expit(eta)) @ prior.T / each)
    log = np.array(mass)
    w = np.exp(log - log.max())
    w /= w.sum()
    truth = np.einsum("sb,smb->m", w, np.array(means))
    # Sums of smooth bells converge beyond this; the normal law of the intercept given sigma costs
    # 0.03 of a posterior sd with fourteen areas.
    assert (np.abs(est.table["est"] - truth) / est.table["se"]).max() < 0.04
    assert est.variance["sigma_u"] == pytest.approx(float(w.sum(axis=1) @ sigma), rel=0.01)


def test_areas_of_zero_percent_and_areas_without_respondents() -> None:
    y = Y.copy()
    y[0], y[1] = 0.0, np.nan
    est = rate_fay_herriot(data(y), n_eff=N)
    t = est.table
    assert 0 < t["lower"].iloc[0] < t["est"].iloc[0] < t["upper"].iloc[0]
    assert t["basis"].iloc[1] == "synthetic"
    assert t["se"].iloc[1] > t["se"].iloc[2:].max()
    drawn = est.draws(8000, seed=2).values
    np.testing.assert_allclose(drawn.mean(axis=0), t["est"], atol=0.006)


@pytest.mark.parametrize("likelihood", ["binomial", "beta"])
def test_large_samples_agree_with_the_logit_of_the_direct_estimate(likelihood: str) -> None:
    rng = np.random.default_rng(3)
    n = np.full(60, 3000.0)
    theta = expit(0.5 + rng.normal(0, 0.3, 60))
    y = rng.binomial(3000, theta) / n
    big = AreaData(y, np.ones((60, 1)), y * (1 - y) / n)
    est = rate_fay_herriot(big, likelihood=likelihood)  # type: ignore[arg-type]
    normal = fay_herriot(big, transform=Transform("logit"))
    # A tenth of a standard error at most: the plug-in variance, and the prior of the intercept.
    np.testing.assert_allclose(est.table["est"], normal.table["est"], atol=9e-4)
    np.testing.assert_allclose(est.table["se"], normal.table["se"], rtol=0.04)


@pytest.mark.parametrize("seed", range(4))
def test_a_beta_law_of_given_variance_has_an_edge_and_still_converges(seed: int) -> None:
    """Where mu (1 - mu) falls below D there is no beta law: the likelihood stops there."""
    rng = np.random.default_rng([2024, seed])
    x = rng.normal(size=40)
    theta = expit(-1.7 + 0.4 * x + rng.normal(0, 0.3, 40))
    y = rng.beta(theta * 39, (1 - theta) * 39)
    data = AreaData(y, np.column_stack([np.ones(40), x]), theta * (1 - theta) / 40)
    est = rate_fay_herriot(data, likelihood="beta")
    assert np.isfinite(est.table[["est", "se", "lower", "upper"]]).all().all()
    assert float(np.abs(est.table["est"] - theta).mean()) < 0.05


def test_refusals() -> None:
    y = Y.copy()
    y[3] = 0.0
    with pytest.raises(InputError, match="0 or 1") as caught:
        rate_fay_herriot(data(y))
    assert "n_eff" in caught.value.hint
    with pytest.raises(InputError, match="no rate of the beta"):
        rate_fay_herriot(data(y), likelihood="beta", n_eff=N)
    with pytest.raises(InputError, match="no rate of the binomial"):
        rate_fay_herriot(data(Y + 1), n_eff=N)
    with pytest.raises(InputError, match="too small"):
        rate_fay_herriot(data(), n_eff=np.where(np.arange(M) == 2, 0.0, N))
    with pytest.raises(InputError, match="do not match"):
        rate_fay_herriot(data(), n_eff=N[:-1])
    with pytest.raises(InputError, match="unknown choice"):
        rate_fay_herriot(data(), likelihood="gamma")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must be positive"):
        rate_fay_herriot(data(), n_eff=N, scale=0.0)
