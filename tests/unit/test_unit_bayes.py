"""Quadrature of the unit-level posterior: against a brute-force grid, and its limits."""

from __future__ import annotations

import numpy as np
import pytest

from inegnum.errors import InputError
from inegnum.estimators.error_law import SCORES
from inegnum.estimators.unit.bayes import bayes_bhf
from inegnum.estimators.unit.bhf import bhf
from inegnum.estimators.unit.inputs import AreaMeans, UnitSample
from inegnum.numerics.mixtures import mixture_quantiles

RNG = np.random.default_rng(21)
M, N = 9, 5
AREA = np.repeat(np.arange(M), N)
X = np.column_stack([np.ones(M * N), RNG.normal(size=M * N)])
Y = X @ [3.0, 1.0] + RNG.normal(0, 0.7, M)[AREA] + RNG.normal(size=M * N)
GEO = [f"{i:02d}" for i in range(M)]


def sample(y: np.ndarray = Y) -> UnitSample:
    return UnitSample.from_arrays(y, X, np.array(GEO)[AREA])


def means(size: float | None = None) -> AreaMeans:
    Xbar = np.column_stack([np.ones(M + 1), np.linspace(-1, 1, M + 1)])
    N = None if size is None else np.full(M + 1, size)
    return AreaMeans((*GEO, "none"), Xbar, N)


def test_against_a_fine_grid_of_dense_algebra() -> None:
    """Midpoints in (sigma_u, log sigma_e), dense n x n covariance, flat coefficients."""
    scale = 0.8
    us = (np.arange(80) + 0.5) * 0.05
    xs = np.linspace(-0.6, 0.6, 31)
    Z = np.eye(M)[AREA]
    Xbar = means().X
    rows, log = [], []
    for u in us:
        for x in xs:
            se2 = np.exp(2 * x)
            V = u**2 * Z @ Z.T + se2 * np.eye(M * N)
            Vi = np.linalg.inv(V)
            H = X.T @ Vi @ X
            C = np.linalg.inv(H)
            b = C @ X.T @ Vi @ Y
            r = Y - X @ b
            log.append(
                -0.5 * (np.linalg.slogdet(V)[1] + np.linalg.slogdet(H)[1] + r @ Vi @ r)
                - np.log1p((u / scale) ** 2)
            )
            L = np.vstack([u**2 * Z.T @ Vi, np.zeros((1, M * N))])
            d = Xbar - L @ X
            g1 = u**2 - np.einsum("ij,ij->i", L[:, :], np.vstack([u**2 * Z.T, L[:1] * 0]))
            rows.append((Xbar @ b + L @ r, g1 + np.einsum("ij,jk,ik->i", d, C, d)))
    mass = np.exp(np.array(log) - max(log))
    mass /= mass.sum()
    m = np.array([row[0] for row in rows])
    v = np.array([row[1] for row in rows])
    est = bayes_bhf(sample(), means(), scale=scale)
    # The grid stops at sigma_u = 4 and has 0.04 between nodes of log sigma_e: four digits.
    np.testing.assert_allclose(est.table["est"], mass @ m, rtol=2e-4)
    var = mass @ (v + (m - mass @ m) ** 2)
    np.testing.assert_allclose(est.table["se"], np.sqrt(var), rtol=3e-3)


def test_zero_variance_in_the_likelihood_is_not_zero_in_the_posterior() -> None:
    flat = X @ [3.0, 1.0] + np.tile([0.5, -0.5, 0.25, -0.25, 0.0], M)
    assert bhf(sample(flat), means()).variance["sigma2_u"] == 0
    est = bayes_bhf(sample(flat), means())
    assert est.variance["sigma_u"] > 0
    assert est.table["se"].iloc[M] > est.table["se"].iloc[:M].max()


@pytest.mark.parametrize("prior", ["half-cauchy", "flat", "weak"])
def test_unit_and_origin_do_not_matter(prior: str) -> None:
    a = bayes_bhf(sample(), means(), prior=prior).table  # type: ignore[arg-type]
    b = bayes_bhf(sample(100 * Y + 1e4), means(), prior=prior).table  # type: ignore[arg-type]
    np.testing.assert_allclose(b["est"], 100 * a["est"] + 1e4, rtol=1e-8)
    np.testing.assert_allclose(b["se"], 100 * a["se"], rtol=1e-6)


def test_an_area_sampled_whole_is_known() -> None:
    est = bayes_bhf(sample(), AreaMeans(tuple(GEO), bhf_means(), np.full(M, float(N))))
    np.testing.assert_allclose(est.table["est"], Y.reshape(M, N).mean(axis=1), rtol=1e-10)
    assert (est.table["se"] < 1e-9).all()


def bhf_means() -> np.ndarray:
    return X.reshape(M, N, 2).mean(axis=1)


def test_interval_is_wider_than_normal_where_few_areas_leave_the_variance_open() -> None:
    est = bayes_bhf(sample(), means())
    t = est.table.iloc[M]
    assert t["upper"] - t["lower"] != pytest.approx(2 * 1.959964 * t["se"], rel=1e-3)
    wide, narrow = est.interval(0.99), est.interval(0.5)
    # A law of heavier tails: more than normal at 99 %, less at 50 %.
    assert wide[1][M] - wide[0][M] > 2 * 2.575829 * t["se"]
    assert narrow[1][M] - narrow[0][M] < 2 * 0.674490 * t["se"]
    drawn = est.draws(20_000, seed=4)
    low, high = np.quantile(drawn.values[:, M], [0.025, 0.975])
    # A quantile of 20,000 draws is known to about 2 % of the sd out there.
    assert (low, high) == pytest.approx((t["lower"], t["upper"]), abs=0.1 * t["se"])


def test_quantiles_of_a_mixture() -> None:
    mu, sd, w = np.array([[0.0], [3.0]]), np.array([[1.0], [0.5]]), np.array([0.7, 0.3])
    q = mixture_quantiles(mu, sd, w, SCORES)[:, 0]
    centre = 0.9
    spread = np.sqrt(0.7 * 1 + 0.3 * 0.25 + 0.7 * 0.81 + 0.3 * 4.41)
    from scipy.stats import norm

    x = centre + spread * q
    cdf = 0.7 * norm.cdf(x) + 0.3 * norm.cdf((x - 3) / 0.5)
    np.testing.assert_allclose(cdf, norm.cdf(SCORES), atol=1e-8)


def test_refusals() -> None:
    with pytest.raises(InputError, match="unknown choice"):
        bayes_bhf(sample(), means(), prior="gamma")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must be positive"):
        bayes_bhf(sample(), means(), scale=-1.0)
    few = AREA < 4
    small = UnitSample.from_arrays(Y[few], X[few], np.array(GEO)[AREA[few]])
    with pytest.raises(InputError, match="no posterior"):
        bayes_bhf(small, means(), prior="flat")
