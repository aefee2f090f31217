"""Nested error regression: against dense matrices, statsmodels and brute-force bootstrap."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.errors import InputError
from inegnum.estimators.unit.bhf import bhf
from inegnum.estimators.unit.inputs import AreaMeans, UnitSample
from inegnum.estimators.unit.reading import read_census, read_means, read_sample
from inegnum.numerics.bhf import (
    _assemble,
    _at,
    _Point,
    fit_bhf,
    information,
    make_design,
    responses,
)
from inegnum.numerics.bhf_bootstrap import _simulate, bootstrap_mse
from inegnum.numerics.bhf_predict import analytic_mse, make_targets, predict_means


def _data(
    seed: int = 3, *, m: int = 7, weighted: bool = False, s2u: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    rng = np.random.default_rng(seed)
    area = np.repeat(np.arange(m), rng.integers(1, 7, m) + 1)
    n = len(area)
    # an offset of 2014 is what a year column looks like: it must cost no precision
    X = np.column_stack([np.ones(n), 2014 + rng.normal(size=n), rng.normal(size=m)[area]])
    a = rng.uniform(0.3, 3.0, n) if weighted else None
    noise = rng.normal(size=n) / (1 if a is None else np.sqrt(a))
    y = 3 + 0.5 * (X[:, 1] - 2014) - X[:, 2] + np.sqrt(s2u) * rng.normal(size=m)[area] + noise
    return y, X, area, a


def _dense_loglik(
    y: np.ndarray,
    X: np.ndarray,
    area: np.ndarray,
    a: np.ndarray,
    s2u: float,
    s2e: float,
    reml: bool,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Textbook likelihood with the n x n covariance."""
    n, p = X.shape
    V = s2u * (area[:, None] == area[None, :]) + np.diag(s2e / a)
    Vi = np.linalg.inv(V)
    M = X.T @ Vi @ X
    beta = np.linalg.solve(M, X.T @ Vi @ y)
    r = y - X @ beta
    value = (n - p if reml else n) * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + r @ Vi @ r
    if reml:
        value += np.linalg.slogdet(M)[1]
    return -0.5 * value, beta, np.linalg.inv(M)


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_matches_dense_matrices_and_is_a_maximum(method: str, weighted: bool) -> None:
    y, X, area, a = _data(weighted=weighted)
    design = make_design(X, area, 7, a=a)
    fit = fit_bhf(design, responses(design, y), method=method)  # type: ignore[arg-type]
    factors = np.ones(len(y)) if a is None else a
    s2u, s2e = float(fit.sigma2_u[0]), float(fit.sigma2_e[0])
    reml = method == "REML"
    value, beta, cov = _dense_loglik(y, X, area, factors, s2u, s2e, reml)
    # inverting the dense X'V^-1X of a column near 2014 keeps about nine digits
    assert fit.loglik[0] == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(fit.beta[0], beta, rtol=1e-6)
    np.testing.assert_allclose(fit.cov_beta[0], cov, rtol=1e-5, atol=1e-8 * np.abs(cov).max())
    V = s2u * (area[:, None] == area[None, :]) + np.diag(s2e / factors)
    Z = (area[:, None] == np.arange(7)[None, :]).astype(float)
    u = s2u * Z.T @ np.linalg.solve(V, y - X @ beta)
    np.testing.assert_allclose(fit.u[0], u, atol=1e-7)
    for du, de in ((1.01, 1.0), (0.99, 1.0), (1.0, 1.01), (1.0, 0.99)):
        assert _dense_loglik(y, X, area, factors, s2u * du, s2e * de, reml)[0] < fit.loglik[0]


def test_information_matches_dense_traces() -> None:
    _, X, area, a = _data(weighted=True)
    assert a is not None
    design = make_design(X, area, 7, a=a)
    s2u, s2e = 0.7, 1.9
    block = (area[:, None] == area[None, :]).astype(float)
    Vi = np.linalg.inv(s2u * block + np.diag(s2e / a))
    parts = (block, np.diag(1 / a))
    expected = [[0.5 * np.trace(Vi @ A @ Vi @ B) for B in parts] for A in parts]
    np.testing.assert_allclose(information(design, s2u, s2e), expected, rtol=1e-10)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_statsmodels_agrees(method: str) -> None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    y, X, area, _ = _data(11, m=30)
    X = X - np.array([0.0, 2014.0, 0.0])
    design = make_design(X, area, 30)
    fit = fit_bhf(design, responses(design, y), method=method)  # type: ignore[arg-type]
    peer = MixedLM(y, X, area).fit(reml=method == "REML", method="bfgs", gtol=1e-10)
    # statsmodels maximises over a Cholesky factor with BFGS: 1e-5 relative is what it delivers
    assert fit.sigma2_u[0] == pytest.approx(float(np.asarray(peer.cov_re)[0, 0]), rel=1e-4)
    assert fit.sigma2_e[0] == pytest.approx(float(peer.scale), rel=1e-5)
    np.testing.assert_allclose(fit.beta[0], peer.fe_params, rtol=1e-5)
    assert fit.loglik[0] >= float(peer.llf) - 1e-7


def test_mse_parts_match_dense_blup_theory() -> None:
    """g1 + g2 is the exact variance of the BLUP error when variances are known."""
    y, X, area, a = _data(weighted=True)
    assert a is not None
    design = make_design(X, area, 7, a=a)
    fit = fit_bhf(design, responses(design, y))
    s2u, s2e = float(fit.sigma2_u[0]), float(fit.sigma2_e[0])
    Xbar = np.vstack([X[area == i].mean(axis=0) for i in range(7)]) + np.array([0, 0.3, -0.2])
    Xbar = np.vstack([Xbar, [1.0, 2014.5, 0.1]])
    at = np.array([*range(7), -1])
    parts = analytic_mse(design, fit, make_targets(design, at, Xbar, None))
    V = s2u * (area[:, None] == area[None, :]) + np.diag(s2e / a)
    Vi = np.linalg.inv(V)
    Q = np.linalg.inv(X.T @ Vi @ X)
    for i in range(8):
        c = s2u * (area == i) if i < 7 else np.zeros(len(y))
        lam = Vi @ c
        d = Xbar[i] - X.T @ lam
        assert parts.g1[i] == pytest.approx(s2u - c @ lam, rel=1e-9)
        assert parts.g2[i] == pytest.approx(d @ Q @ d, rel=1e-5)
    assert parts.g3[7] == 0.0
    assert parts.mse[7] == pytest.approx(s2u + parts.g2[7])


def test_ml_mse_corrects_for_the_bias_of_the_dense_theory() -> None:
    y, X, area, a = _data(weighted=True)
    assert a is not None
    design = make_design(X, area, 7, a=a)
    fit = fit_bhf(design, responses(design, y), method="ML")
    s2u, s2e = float(fit.sigma2_u[0]), float(fit.sigma2_e[0])
    Xbar = np.vstack([X[area == i].mean(axis=0) for i in range(7)])
    parts = analytic_mse(design, fit, make_targets(design, np.arange(7), Xbar, None))
    block = (area[:, None] == area[None, :]).astype(float)
    Vi = np.linalg.inv(s2u * block + np.diag(s2e / a))
    Q = np.linalg.inv(X.T @ Vi @ X)
    # bias of the ML components: I^-1/2 tr(Q dM/ds), dM/ds = -X' V^-1 dV/ds V^-1 X
    traces = [-np.trace(Q @ X.T @ Vi @ D @ Vi @ X) for D in (block, np.diag(1 / a))]
    bias = 0.5 * np.linalg.solve(information(design, s2u, s2e), traces)
    a_i = np.bincount(area, a)
    gamma = s2u / (s2u + s2e / a_i)
    plain = (1 - gamma) * s2u
    expected = plain - bias[0] * (1 - gamma) ** 2 - bias[1] * gamma**2 / a_i
    # X near 2014 costs the dense inverse six digits
    np.testing.assert_allclose(parts.g1, expected, rtol=1e-5)
    assert (parts.g1 > plain).all()  # ML variances are too small


def test_finite_population_part_is_known_and_a_census_has_no_error() -> None:
    y, X, area, _ = _data()
    design = make_design(X, area, 7)
    data = responses(design, y)
    fit = fit_bhf(design, data)
    N = design.n_i.copy()
    N[1:] *= 10
    x_mean = design.xmean
    targets = make_targets(design, np.arange(7), x_mean, N)
    est = predict_means(design, fit, targets, data)[0]
    mse = analytic_mse(design, fit, targets)
    assert est[0] == pytest.approx(y[area == 0].mean())
    assert mse.mse[0] == 0.0
    endless = make_targets(design, np.arange(7), x_mean, None)
    far = predict_means(design, fit, endless, data)[0]
    np.testing.assert_allclose(est[1:], 0.1 * data.ymean[0][1:] + 0.9 * far[1:], rtol=1e-12)


def test_zero_area_variance_is_reported_and_keeps_an_mse() -> None:
    rng = np.random.default_rng(5)
    area = np.repeat(np.arange(8), 4)
    # effects that cancel within each area: less variation between areas than chance gives
    y = np.tile([1.0, -1.0, 2.0, -2.0], 8) + 1e-3 * rng.normal(size=32)
    sample = UnitSample.from_arrays(y, np.ones((32, 1)), area)
    est = bhf(sample, AreaMeans(sample.geo, np.ones((8, 1))))
    assert est.variance["sigma2_u"] == 0.0
    assert (est.table["mse"] > 0).all()
    assert any("zero" in note for note in est.notes)


def test_bootstrap_from_statistics_agrees_with_unit_by_unit_simulation() -> None:
    y, X, area, a = _data(weighted=True)
    assert a is not None
    design = make_design(X, area, 7, a=a)
    fit = fit_bhf(design, responses(design, y))
    Xbar = np.vstack([X[area == i].mean(axis=0) for i in range(7)])
    targets = make_targets(design, np.arange(7), Xbar, None)
    ours = bootstrap_mse(design, fit, targets, B=4000, rng=np.random.default_rng(1))
    rng = np.random.default_rng(2)
    B, s_u, s_e = 4000, np.sqrt(fit.sigma2_u[0]), np.sqrt(fit.sigma2_e[0])
    u = s_u * rng.normal(size=(B, 7))
    Y = X @ fit.beta[0] + u[:, area] + s_e * rng.normal(size=(B, len(y))) / np.sqrt(a)
    data = responses(design, Y)
    new = fit_bhf(design, data)
    squared = (predict_means(design, new, targets, data) - (Xbar @ fit.beta[0] + u)) ** 2
    error = np.sqrt(squared.var(axis=0) / B + ours.mc_error**2)
    # seven comparisons: 4.5 standard errors is a 5e-5 event
    assert (np.abs(ours.mse - squared.mean(axis=0)) < 4.5 * error).all()


def test_simulated_statistics_have_the_law_of_simulated_units() -> None:
    y, X, area, _ = _data()
    design = make_design(X, area, 7)
    fit = fit_bhf(design, responses(design, y))
    B = 20_000
    data, u = _simulate(design, fit, B, np.random.default_rng(3))
    s2e = float(fit.sigma2_e[0])
    # within areas one covariate varies: regressing it out leaves sigma_e^2 chi2(n - 7 - 1)
    W, x = design.W[1, 1], data.Wxy[:, 1]
    left = (data.Wyy - x**2 / W) / s2e
    free = design.n - 7 - 1
    # mean of B chi-squares: sd sqrt(2 free / B); their variance: about 2 free sqrt(2.5 / B). x 4.5
    assert abs(left.mean() - free) < 4.5 * np.sqrt(2 * free / B)
    assert abs(left.var() / (2 * free) - 1) < 4.5 * np.sqrt((2 + 12 / free) / B)
    slope = x / W
    beta = np.linalg.solve(design.T, fit.beta[0])[1]
    assert abs(slope.mean() - beta) < 4.5 * np.sqrt(s2e / W / B)
    assert slope.var() * W / s2e == pytest.approx(1.0, abs=4.5 * np.sqrt(2 / B))
    noise = data.ybar - design.xmean @ fit.beta[0] - u
    np.testing.assert_allclose(noise.var(axis=0) * design.n_i / s2e, 1.0, atol=0.06)
    np.testing.assert_allclose(u.var(axis=0) / fit.sigma2_u[0], 1.0, atol=0.06)
    assert abs(np.corrcoef(left, slope)[0, 1]) < 4.5 / np.sqrt(B)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_score_and_curvature_are_derivatives(method: str) -> None:
    y, X, area, a = _data(weighted=True)
    design = make_design(X, area, 7, a=a)
    data = responses(design, y)
    outer = design.xbar[:, :, None] * design.xbar[:, None, :]
    outer = outer.reshape(design.m, -1)
    rho, h = np.array([0.4]), 1e-5

    def at(value: np.ndarray) -> _Point:
        return _at(design, data, method, value, outer)  # type: ignore[arg-type]

    loglik = [
        float(_assemble(design, data, method, rho + s).loglik[0])  # type: ignore[arg-type]
        for s in (-h, h)
    ]
    # central differences with h = 1e-5: rounding 1e-9, truncation 1e-9
    assert at(rho).score[0] == pytest.approx((loglik[1] - loglik[0]) / (2 * h), rel=1e-6)
    slope = (at(rho + h).score[0] - at(rho - h).score[0]) / (2 * h)
    assert at(rho).curvature[0] == pytest.approx(slope, rel=1e-6)


def test_many_responses_are_fitted_as_one_by_one() -> None:
    y, X, area, _ = _data()
    design = make_design(X, area, 7)
    Y = np.stack([y, y[::-1], 2 * y + 1])
    together = fit_bhf(design, responses(design, Y))
    for b, row in enumerate(Y):
        alone = fit_bhf(design, responses(design, row))
        assert together.rho[b] == pytest.approx(alone.rho[0], rel=1e-9)
        assert together.loglik[b] == pytest.approx(alone.loglik[0], rel=1e-12)


def test_same_seed_same_bootstrap_and_no_mutation() -> None:
    y, X, area, _ = _data()
    before = (y.copy(), X.copy())
    sample = UnitSample.from_arrays(y, X, area)
    means = AreaMeans(sample.geo, X[np.unique(area, return_index=True)[1]])
    one = bhf(sample, means, mse="bootstrap", B=30, seed=9).table["mse"]
    two = bhf(sample, means, mse="bootstrap", B=30, seed=9).table["mse"]
    assert one.tolist() == two.tolist()
    np.testing.assert_array_equal(y, before[0])
    np.testing.assert_array_equal(X, before[1])


TABLE = pd.DataFrame(
    {
        "y": [1.0, 2.0, 4.0, 3.0, 5.0, 8.0],
        "x": [0.0, 1.0, 2.0, 1.0, 3.0, 4.0],
        "kind": ["a", "b", "a", "b", "a", "b"],
        "commune": ["33063", "33063", "33281", "33281", "33318", "33318"],
    }
)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"y": [1.0, np.nan, 4.0, 3.0, 5.0, 8.0]}, "column y, rows \\[1\\]"),
        ({"x": [0.0, 1.0, np.inf, 1.0, 3.0, 4.0]}, "covariate x is missing or infinite"),
        ({"kind": ["a", None, "a", "b", "a", "b"]}, "column kind, rows \\[1\\]"),
        ({"commune": [33063.0] * 6}, "decimals"),
        ({"commune": ["33063", None, "1", "1", "2", "2"]}, "no area"),
    ],
)
def test_bad_samples_are_refused_by_name(change: dict[str, list[object]], match: str) -> None:
    with pytest.raises(InputError, match=match):
        read_sample("y ~ x + kind", TABLE.assign(**change), area="commune")


def test_misspelt_column_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="did you mean commune"):
        read_sample("y ~ x", TABLE, area="comune")


def test_weights_must_be_positive() -> None:
    with pytest.raises(InputError, match="weights must be positive"):
        read_sample("y ~ x", TABLE.assign(w=[1, 1, 0, 1, 1, 1]), area="commune", weights="w")


@pytest.mark.parametrize("columns", [["x", "x2"], ["x", "flat"]])
def test_collinear_and_constant_covariates_are_named(columns: list[str]) -> None:
    table = TABLE.assign(x2=2 * TABLE["x"] + 1, flat=3.0)
    sample = read_sample(f"y ~ {' + '.join(columns)}", table, area="commune")
    with pytest.raises(InputError, match=columns[1]):
        sample.design()


def test_too_few_units_are_refused() -> None:
    sample = read_sample("y ~ x", TABLE.iloc[[0, 2, 4]], area="commune")
    with pytest.raises(InputError, match="too few units"):
        sample.design()


def test_response_reproduced_by_the_covariates_is_refused() -> None:
    sample = read_sample("y ~ x", TABLE.assign(y=3 * TABLE["x"] + 1), area="commune")
    design = sample.design()
    with pytest.raises(InputError, match="no residual variation"):
        fit_bhf(design, responses(design, sample.y))


def test_area_means_are_checked() -> None:
    sample = read_sample("y ~ x", TABLE, area="commune")
    means = pd.DataFrame({"commune": ["33063", "33281", "33039"], "x": [1.0, 2.0, 1.5], "N": 9})
    with pytest.raises(InputError, match="twice"):
        read_means(sample, pd.concat([means, means[:1]]), area="commune")
    with pytest.raises(InputError, match="33281"):
        read_means(sample, means.assign(x=[1.0, np.nan, 1.0]), area="commune")
    with pytest.raises(InputError, match="more respondents than units"):
        bhf(sample, read_means(sample, means.assign(N=1), area="commune", size="N"))
    with pytest.raises(InputError, match="did you mean"):
        bhf(sample, read_means(sample, means, area="commune"), mse="analytical")  # type: ignore[arg-type]


def test_sampled_areas_left_out_and_areas_without_sample_are_said() -> None:
    rng = np.random.default_rng(0)
    area = np.repeat(np.arange(10), 4)
    sample = UnitSample.from_arrays(rng.normal(size=40), np.ones((40, 1)), area.astype(str))
    est = bhf(sample, AreaMeans(("3", "new"), np.ones((2, 1))))
    assert est.table["basis"].tolist() == ["model", "synthetic"]
    assert est.table["n"].tolist() == [4.0, 0.0]
    assert np.isnan(est.table["direct"][1])
    assert any("9 sampled areas" in note for note in est.notes)
    assert any("1 areas have no sample" in note for note in est.notes)


def test_census_is_made_as_the_sample_was_and_unknown_levels_are_refused() -> None:
    sample = read_sample("y ~ x + kind", TABLE, area="commune")
    cells = pd.DataFrame(
        {"commune": ["33063", "33063", "33281"], "x": [1.0, 3.0, 2.0], "kind": ["a", "b", "b"]}
    )
    census = read_census(sample, cells.assign(N=[1.0, 3.0, 5.0]), area="commune", count="N")
    means = census.means()
    np.testing.assert_allclose(means.X, [[1.0, 2.5, 0.75], [1.0, 2.0, 1.0]])
    assert means.N is not None
    assert means.N.tolist() == [4.0, 5.0]
    with pytest.raises(InputError, match="levels the sample never saw"):
        read_census(sample, cells.assign(kind=["a", "b", "z"]), area="commune")
    with pytest.raises(InputError, match="missing"):
        read_census(sample, cells.assign(kind=["a", "b", None]), area="commune")
