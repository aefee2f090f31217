"""Composite, smoothing and structure-preserving estimates, worked by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.errors import InputError, MarginError
from inegnum.estimators.area import AreaData
from inegnum.estimators.area.smoothing import smooth_variances
from inegnum.estimators.composite import composite, optimal_weights
from inegnum.estimators.result import AreaEstimates, area_table
from inegnum.estimators.spree import gspree, spree
from inegnum.estimators.synthetic import poststratified_synthetic


def test_optimal_weight_minimises_the_mse() -> None:
    D, M = 0.02, 0.05
    phi = np.linspace(0, 1, 2001)
    mse = phi**2 * D + (1 - phi) ** 2 * M
    assert optimal_weights(np.array([D]), M)[0] == pytest.approx(phi[mse.argmin()], abs=5e-4)


def synthetic(est: list[float]) -> AreaEstimates:
    geo = [chr(97 + i) for i in range(len(est))]
    return AreaEstimates(area_table(geo, np.array(est)), pd.DataFrame(), {}, "synthetic")


def test_area_without_direct_estimate_is_synthetic() -> None:
    geo = np.array(list("abc"), dtype=object)
    y, D = np.array([0.5, np.nan, 0.7]), np.array([0.01, np.nan, 0.02])
    data = AreaData(y, np.ones((3, 1)), D, geo)
    est = composite(data, synthetic([0.6, 0.6, 0.6]), mse_synthetic=0.02).table
    assert est["basis"].tolist() == ["composite", "synthetic", "composite"]
    assert est["est"].tolist() == pytest.approx([0.5 * 2 / 3 + 0.6 / 3, 0.6, 0.65])
    assert est["mse"].tolist() == pytest.approx([0.02 / 3, 0.02, 0.01])
    with pytest.raises(InputError, match="no synthetic estimate"):
        composite(data, synthetic([0.6, 0.6]))
    with pytest.raises(InputError, match="between 0 and 1"):
        composite(data, synthetic([0.6, 0.6, 0.6]), weights=1.2, mse_synthetic=0.1)


def test_synthetic_refuses_what_it_cannot_use() -> None:
    r = pd.DataFrame({"y": [1.0, 0.0, 0.0], "c": ["u", "u", "v"]})
    N = pd.DataFrame({"u": [3.0], "v": [1.0]}, index=["a"])
    with pytest.raises(InputError, match="fewer than two respondents") as caught:
        poststratified_synthetic(r, N, y="y", cell="c")
    assert caught.value.where == "v"
    with pytest.raises(InputError, match="cells without persons"):
        poststratified_synthetic(r, N[["u"]], y="y", cell="c")
    with pytest.raises(InputError, match="never zero"):
        poststratified_synthetic(r, N * np.nan, y="y", cell="c")


def test_synthetic_error_is_that_of_the_cell_means() -> None:
    """Bootstrap of respondents: 2,000 replicates give a variance to 3 %, five of these is 16 %."""
    rng = np.random.default_rng(3)
    r = pd.DataFrame({"y": rng.uniform(size=200), "c": np.repeat(["u", "v"], 100)})
    N = pd.DataFrame({"u": [3.0, 1.0], "v": [1.0, 3.0]}, index=["a", "b"])
    se = poststratified_synthetic(r, N, y="y", cell="c").table["se"].to_numpy()
    u, v = r["y"].to_numpy()[:100], r["y"].to_numpy()[100:]
    boot = np.array([[rng.choice(u, 100).mean(), rng.choice(v, 100).mean()] for _ in range(2000)])
    assert (boot @ [0.75, 0.25]).std() == pytest.approx(se[0], rel=0.08)


def test_smoothing_recovers_the_variance_function() -> None:
    rng = np.random.default_rng(8)
    n = rng.integers(15, 400, 300).astype(float)
    p = rng.uniform(0.1, 0.9, 300)
    truth = 1.5 * p * (1 - p) / n
    noisy = truth * rng.chisquare(12, 300) / 12
    smooth = smooth_variances(noisy, n, rate=p)
    # Twelve degrees of freedom: 40 % noise an area, 40 / sqrt(300) = 2.4 % on the level.
    assert np.median(smooth.D / truth) == pytest.approx(1.0, abs=0.1)
    assert smooth.D.sum() == pytest.approx(noisy.sum())
    assert smooth.coefficients[1:] == pytest.approx([-1.0, 1.0], abs=0.15)
    noisy[:5] = 0.0
    assert (smooth_variances(noisy, n, rate=p).D[:5] > 0).all()


def test_smoothing_refusals() -> None:
    with pytest.raises(InputError, match="too few"):
        smooth_variances(np.array([0.1, 0.0, 0.2]), np.array([10.0, 20.0, 30.0]))
    with pytest.raises(InputError, match="negative"):
        smooth_variances(np.full(9, -0.1), np.arange(9) + 1.0)
    with pytest.raises(InputError, match="collinear"):
        smooth_variances(np.full(9, 0.1), np.full(9, 7.0))


def test_spree_keeps_odds_ratios_and_meets_margins() -> None:
    rng = np.random.default_rng(2)
    X = rng.uniform(5, 50, (6, 4))
    areas = rng.uniform(100, 300, 6)
    categories = areas.sum() * np.array([0.4, 0.3, 0.2, 0.1])
    t = spree(X, areas, categories).table
    np.testing.assert_allclose(t.sum(axis=1), areas, rtol=1e-7)
    np.testing.assert_allclose(t.sum(axis=0), categories, rtol=1e-7)
    ratio = (t[:-1, :-1] * t[1:, 1:]) / (t[:-1, 1:] * t[1:, :-1])
    proxy = (X[:-1, :-1] * X[1:, 1:]) / (X[:-1, 1:] * X[1:, :-1])
    np.testing.assert_allclose(ratio, proxy, rtol=1e-6)
    with pytest.raises(MarginError):
        spree(X, areas, categories * 1.1)


def test_gspree_recovers_the_factor_on_interactions() -> None:
    rng = np.random.default_rng(4)
    X = rng.uniform(5, 50, (80, 3))
    eta = np.log(X) * 0.6 + [0.0, 0.4, -0.3]
    theta = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    n = rng.integers(50, 150, 80)
    survey = np.array([rng.multinomial(k, t) for k, t in zip(n, theta, strict=True)], float)
    areas = n * 100.0
    g = gspree(X, survey, areas, (theta * areas[:, None]).sum(axis=0))
    assert g.beta == pytest.approx(0.6, abs=4 * g.beta_se)
    assert g.beta_se < 0.05
    # Margins and factor known, only beta's error is left: shares to two points.
    assert np.abs(g.shares() - theta).max() < 0.03
    with pytest.raises(InputError, match="zero of the proxy"):
        gspree(X * (X > 6), survey, areas, areas[:3])
