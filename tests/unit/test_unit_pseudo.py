"""Pseudo-EBLUP: benchmark property, dense error variance, equal weights."""

from __future__ import annotations

import numpy as np
import pytest

from inegnum.errors import InputError
from inegnum.estimators.unit.bhf import bhf
from inegnum.estimators.unit.inputs import AreaMeans, UnitSample
from inegnum.estimators.unit.pseudo import pseudo_eblup
from inegnum.numerics.bhf import fit_bhf, information, responses
from inegnum.numerics.pseudo_eblup import fit_pseudo, predict_pseudo, pseudo_mse


def _world(seed: int = 4) -> tuple[UnitSample, AreaMeans]:
    rng = np.random.default_rng(seed)
    m = 9
    area = np.repeat(np.arange(m), rng.integers(2, 7, m))
    n = len(area)
    X = np.column_stack([np.ones(n), 500 + 30 * rng.normal(size=n)])
    y = X @ [4.0, 0.1] + 2 * rng.normal(size=m)[area] + 3 * rng.normal(size=n)
    sample = UnitSample.from_arrays(y, X, [f"{i}" for i in area], weights=rng.uniform(5, 60, n))
    Xbar = np.column_stack([np.ones(m + 1), 500 + 10 * rng.normal(size=m + 1)])
    return sample, AreaMeans((*sample.geo, "new"), Xbar)


def test_weighted_estimates_add_up_to_the_regression_estimator() -> None:
    sample, means = _world()
    assert sample.weights is not None
    m = len(sample.geo)
    est = pseudo_eblup(sample, means)
    N = np.bincount(sample.area, sample.weights)
    beta = est.coefficients["beta"].to_numpy()
    total = N @ est.table["est"].to_numpy()[:m]
    X_hat = sample.weights @ sample.X
    regression = sample.weights @ sample.y + (N @ means.X[:m] - X_hat) @ beta
    # an identity of the estimating equations: rounding only
    assert total == pytest.approx(regression, rel=1e-11)
    plain = bhf(sample, means).table["est"].to_numpy()[:m]
    assert abs(N @ plain / regression - 1) > 1e-6  # the plain EBLUP does not have it


def test_equal_weights_give_the_plain_eblup() -> None:
    sample, means = _world()
    equal = UnitSample.from_arrays(
        sample.y, sample.X, np.array(sample.geo)[sample.area], weights=np.full(len(sample.y), 7.0)
    )
    ours, plain = pseudo_eblup(equal, means).table, bhf(equal, means).table
    np.testing.assert_allclose(ours["est"], plain["est"], rtol=1e-9)
    np.testing.assert_allclose(ours["mse"], plain["mse"], rtol=1e-7)


def test_mse_is_the_variance_of_the_linear_error_plus_g3() -> None:
    """The error of the predictor is linear in effects and errors: push unit vectors through it."""
    sample, means = _world()
    assert sample.weights is not None
    design = sample.design()
    fit = fit_bhf(design, responses(design, sample.y))
    at = sample.positions(means.geo)
    pseudo = fit_pseudo(design, fit, sample.y, sample.weights)
    mse, _ = pseudo_mse(design, fit, pseudo, sample.weights, means.X, at)
    s2u, s2e = float(fit.sigma2_u[0]), float(fit.sigma2_e[0])
    m, n = design.m, design.n

    def error(u: np.ndarray, e: np.ndarray, u_new: float) -> np.ndarray:
        again = fit_pseudo(design, fit, u[design.area] + e, sample.weights)
        return predict_pseudo(again, means.X, at) - np.append(u, u_new)

    variance = np.zeros(m + 1)
    for i in range(m):
        variance += s2u * error(np.eye(m)[i], np.zeros(n), 0.0) ** 2
    for j in range(n):
        variance += s2e * error(np.zeros(m), np.eye(n)[j], 0.0) ** 2
    variance += s2u * error(np.zeros(m), np.zeros(n), 1.0) ** 2
    g3 = (mse - variance) / 2
    # what is left is g3: variance of gamma, from the information, times the variance of the mean
    V = np.linalg.inv(information(design, s2u, s2e))
    share = sample.weights / np.bincount(sample.area, sample.weights)[sample.area]
    delta2 = np.bincount(sample.area, share**2)
    total = s2u + s2e * delta2
    slope = np.stack([s2e * delta2 / total**2, -s2u * delta2 / total**2], 1)
    expected = np.einsum("ij,jk,ik->i", slope, V, slope) * total
    np.testing.assert_allclose(g3[:-1], expected, rtol=1e-6)
    assert g3[-1] == pytest.approx(0.0, abs=1e-8 * mse[-1])


def test_informative_weights_matter_and_the_pseudo_eblup_follows_them() -> None:
    rng = np.random.default_rng(0)
    m, per = 40, 400
    area = np.repeat(np.arange(m), per)
    u = rng.normal(size=m)
    e = rng.normal(size=m * per)
    y = 10 + u[area] + e
    # units with large errors are five times as likely to be drawn
    chance = np.where(e > 0.5, 0.05, 0.01)
    drawn = rng.random(m * per) < chance
    sample = UnitSample.from_arrays(
        y[drawn], np.ones((drawn.sum(), 1)), area[drawn], weights=1 / chance[drawn]
    )
    means = AreaMeans(sample.geo, np.ones((len(sample.geo), 1)))
    truth = np.array([y[area == int(code)].mean() for code in sample.geo])
    bias_plain = float((bhf(sample, means).table["est"] - truth).mean())
    bias_pseudo = float((pseudo_eblup(sample, means).table["est"] - truth).mean())
    assert abs(bias_plain) > 0.3
    # 280 respondents: the weighted mean has an error of about .09; three of them
    assert abs(bias_pseudo) < 0.27


def test_weights_are_needed() -> None:
    sample, means = _world()
    bare = UnitSample.from_arrays(sample.y, sample.X, np.array(sample.geo)[sample.area])
    with pytest.raises(InputError, match="needs survey weights"):
        pseudo_eblup(bare, means)
