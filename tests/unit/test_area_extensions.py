"""Robust, measurement-error, multivariate and space-time models: limits and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from inegnum.errors import ConvergenceError, InputError
from inegnum.estimators.area import (
    AreaData,
    bootstrap_criteria,
    composition_fay_herriot,
    fay_herriot,
    measurement_error_fay_herriot,
    multivariate_fay_herriot,
    robust_fay_herriot,
    self_benchmarked,
    space_time_fay_herriot,
)
from inegnum.numerics.block_reml import fit_blocks
from inegnum.numerics.robust_reml import huber_constant

RNG = np.random.default_rng(21)
M = 60
X = np.column_stack([np.ones(M), RNG.normal(size=M)])
D = RNG.uniform(0.05, 0.3, M)
THETA = X @ [1.0, 0.5] + RNG.normal(0, 0.4, M)
Y = THETA + RNG.normal(size=M) * np.sqrt(D)
DATA = AreaData(Y, X, D)


def test_robust_with_a_large_bound_is_maximum_likelihood() -> None:
    a, b = robust_fay_herriot(DATA, k=50.0), fay_herriot(DATA, method="ml")
    assert a.variance["sigma2_u"] == pytest.approx(b.variance["sigma2_u"], rel=1e-9)
    np.testing.assert_allclose(a.table["est"], b.table["est"], rtol=1e-9)
    np.testing.assert_allclose(a.table["gamma"].mean(), b.table["gamma"].mean(), rtol=0.1)


def test_huber_constant_by_integration() -> None:
    z = np.linspace(-9, 9, 200_001)
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    by_hand = np.sum(np.clip(z, -1.2, 1.2) ** 2 * density) * (z[1] - z[0])
    assert huber_constant(1.2) == pytest.approx(by_hand, rel=1e-8)


def test_one_odd_area_does_not_pull_the_others() -> None:
    odd = Y.copy()
    odd[7] += 15
    data = AreaData(odd, X, D)
    others = np.delete(np.arange(M), 7)
    shift = [
        np.abs(f(data).table["est"] - f(DATA).table["est"])[others].mean()
        for f in (robust_fay_herriot, fay_herriot)
    ]
    assert shift[0] < shift[1] / 5
    assert "8" in robust_fay_herriot(data).notes[0]


def test_robust_area_without_direct_estimate() -> None:
    y = Y.copy()
    y[3] = np.nan
    est = robust_fay_herriot(AreaData(y, X, D))
    assert est.table["basis"].iloc[3] == "synthetic"
    assert est.table["est"].iloc[3] == pytest.approx(est.table["synthetic"].iloc[3])
    assert est.table["mse"].iloc[3] > est.variance["sigma2_u"]
    with pytest.raises(InputError, match="must be positive"):
        robust_fay_herriot(DATA, k=0)


def test_no_measurement_error_is_plain_fay_herriot_at_the_same_variance() -> None:
    est = measurement_error_fay_herriot(DATA, np.zeros((M, 2, 2)))
    s = est.variance["sigma2_u"]
    w = 1 / (s + D)
    beta = np.linalg.solve(X.T @ (X * w[:, None]), X.T @ (w * Y))
    np.testing.assert_allclose(est.coefficients["beta"], beta, rtol=1e-9)
    r = Y - X @ beta
    assert s == pytest.approx(float(np.sum(r**2 - D)) / (M - 2), rel=1e-9)
    np.testing.assert_allclose(est.table["gamma"], s * w, rtol=1e-9)


def test_measurement_error_needs_an_area_to_leave_out() -> None:
    few = AreaData(Y[:3], X[:3], D[:3])
    with pytest.raises(InputError, match="too few areas to leave one out"):
        measurement_error_fay_herriot(few, np.zeros((3, 2, 2)))


def test_measurement_error_corrects_the_attenuation() -> None:
    rng = np.random.default_rng(5)
    m = 4000
    x = rng.normal(size=m)
    C = np.zeros((m, 2, 2))
    C[:, 1, 1] = 0.5
    seen = np.column_stack([np.ones(m), x + rng.normal(0, np.sqrt(0.5), m)])
    small = np.full(m, 0.1)
    y = 1 + 2 * x + rng.normal(0, 0.3, m) + rng.normal(0, np.sqrt(0.1), m)
    keep = slice(0, 400)
    naive = fay_herriot(AreaData(y, seen, small)).coefficients["beta"][1]
    assert naive == pytest.approx(2 / 1.5, abs=0.1)  # attenuated by var x / (var x + error)
    est = measurement_error_fay_herriot(AreaData(y[keep], seen[keep], small[keep]), C[keep])
    b, se = est.coefficients["beta"][1], est.coefficients["se"][1]
    assert b == pytest.approx(2.0, abs=4 * se)
    assert se < 0.2


def test_measurement_error_refusals() -> None:
    with pytest.raises(InputError, match="do not match"):
        measurement_error_fay_herriot(DATA, np.zeros((M, 3, 3)))
    with pytest.raises(InputError, match="symmetric"):
        measurement_error_fay_herriot(DATA, np.full((M, 2, 2), -1.0))
    noise = np.zeros((M, 2, 2))
    noise[:, 1, 1] = 5.0
    with pytest.raises(ConvergenceError, match="as large as their spread"):
        measurement_error_fay_herriot(DATA, noise)


def two_responses(rho: float) -> tuple[list[AreaData], np.ndarray]:
    rng = np.random.default_rng(9)
    m = 300
    x = np.column_stack([np.ones(m), rng.normal(size=m)])
    u = rng.multivariate_normal([0, 0], 0.2 * np.array([[1, rho], [rho, 1]]), m)
    v = rng.uniform(0.05, 0.2, m)[:, None, None] * np.array([[1.0, 0.3], [0.3, 1.0]])
    e = np.array([rng.multivariate_normal([0, 0], one) for one in v])
    y = x @ np.array([[1.0, 2.0], [0.5, -0.5]]) + u + e
    return [AreaData(y[:, k], x, v[:, k, k]) for k in range(2)], v


def test_independent_responses_are_two_univariate_models() -> None:
    data, V = two_responses(0.0)
    V = V * np.eye(2)
    joint = multivariate_fay_herriot(data, V, names=["a", "b"], model="diagonal")
    for k, name in enumerate(("a", "b")):
        alone = fay_herriot(data[k])
        assert joint[name].variance[f"sigma2_u{k + 1}"] == pytest.approx(
            alone.variance["sigma2_u"], rel=1e-8
        )
        np.testing.assert_allclose(joint[name].table["est"], alone.table["est"], rtol=1e-8)
        np.testing.assert_allclose(joint[name].table["mse"], alone.table["mse"], rtol=0.01)


def test_correlated_responses_are_found_and_help() -> None:
    data, V = two_responses(0.8)
    joint = multivariate_fay_herriot(data, V, names=["a", "b"])
    # 300 areas, reliability about 0.6: the correlation is known to about 0.07.
    assert joint["a"].variance["correlation_12"] == pytest.approx(0.8, abs=0.2)
    assert joint["a"].table["mse"].mean() < fay_herriot(data[0]).table["mse"].mean()


def test_multivariate_refusals() -> None:
    data, V = two_responses(0.5)
    with pytest.raises(InputError, match="two responses or more"):
        multivariate_fay_herriot(data[:1], V[:, :1, :1], names=["a"])
    with pytest.raises(InputError, match="diagonal of the sampling"):
        multivariate_fay_herriot(data, 2 * V, names=["a", "b"])
    bad = V.copy()
    bad[4, 0, 1] = bad[4, 1, 0] = 9.0
    with pytest.raises(InputError, match="positive definite") as caught:
        multivariate_fay_herriot(data, bad, names=["a", "b"])
    assert "5" in caught.value.where


def test_one_period_is_refused() -> None:
    with pytest.raises(InputError, match="two periods"):
        space_time_fay_herriot(DATA, DATA.geo, periods=np.zeros(M), model="S")


def test_components_that_cannot_be_told_apart() -> None:
    parts = np.broadcast_to(np.eye(1), (2, M, 1, 1))

    def covariance(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.broadcast_to(theta.sum() * np.eye(1), (M, 1, 1)), parts

    with pytest.raises(ConvergenceError, match="told apart"):
        fit_blocks(
            Y[:, None],
            X[:, None, :],
            D[:, None, None],
            covariance,
            start=np.array([0.1, 0.1]),
            bounds=(np.zeros(2), np.full(2, np.inf)),
        )


def panel(T: int = 4) -> tuple[AreaData, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    A = 15
    areas = np.repeat(np.array([f"a{i:02d}" for i in range(A)], dtype=object), T)
    periods = np.tile(np.arange(T, dtype=float), A)
    x = np.column_stack([np.ones(A * T), rng.normal(size=A * T)])
    v = rng.uniform(0.05, 0.1, A * T)
    u = np.repeat(rng.normal(0, 0.5, A), T) + rng.normal(0, 0.2, A * T)
    y = x @ [1.0, 0.5] + u + rng.normal(size=A * T) * np.sqrt(v)
    geo = np.array([f"{a} {t:.0f}" for a, t in zip(areas, periods, strict=True)], dtype=object)
    return AreaData(y, x, v, geo), areas, periods


def test_order_of_rows_does_not_matter() -> None:
    data, areas, periods = panel()
    mix = np.random.default_rng(0).permutation(len(data))
    mixed = AreaData(data.y[mix], data.X[mix], data.D[mix], data.geo[mix])
    a = space_time_fay_herriot(data, areas, periods=periods).table
    b = space_time_fay_herriot(mixed, areas[mix], periods=periods[mix]).table
    np.testing.assert_allclose(b["est"], a["est"].to_numpy()[mix], rtol=1e-7)
    np.testing.assert_allclose(b["mse"], a["mse"].to_numpy()[mix], rtol=1e-5)


def test_past_helps() -> None:
    data, areas, periods = panel()
    over = space_time_fay_herriot(data, areas, periods=periods, model="S")
    assert over.table["mse"].mean() < fay_herriot(data).table["mse"].mean()
    keep = np.arange(len(data)) != 5
    short = AreaData(data.y[keep], data.X[keep], data.D[keep], data.geo[keep])
    with pytest.raises(InputError, match="missing at a period"):
        space_time_fay_herriot(short, areas[keep], periods=periods[keep])


def test_score_is_the_gradient_of_the_restricted_likelihood() -> None:
    """One block with a free covariance: a maximum of the dense likelihood."""
    data, areas, _ = panel(3)
    same = (areas[:, None] == areas[None, :]).astype(float)
    parts = np.stack([same, np.eye(len(areas))])[:, None]

    def covariance(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.einsum("a,akij->kij", theta, parts), parts

    fit = fit_blocks(
        data.y[None],
        data.X[None],
        np.diag(data.D)[None],
        covariance,
        start=np.array([0.1, 0.1]),
        bounds=(np.zeros(2), np.full(2, np.inf)),
    )

    def dense(theta: np.ndarray) -> float:
        V = covariance(theta)[0][0] + np.diag(data.D)
        Vi = np.linalg.inv(V)
        A = data.X.T @ Vi @ data.X
        r = data.y - data.X @ np.linalg.solve(A, data.X.T @ Vi @ data.y)
        return -0.5 * (np.linalg.slogdet(V)[1] + np.linalg.slogdet(A)[1] + r @ Vi @ r)

    for step in np.vstack([np.eye(2), -np.eye(2)]) * 1e-4:
        assert dense(fit.theta + step) < dense(fit.theta)


def test_self_benchmarked_needs_every_area() -> None:
    y = Y.copy()
    y[0] = np.nan
    with pytest.raises(InputError, match="every area"):
        self_benchmarked(AreaData(y, X, D), np.ones(M))


def test_bootstrap_intervals_use_their_own_quantiles_and_need_enough_replicates() -> None:
    few = AreaData(Y[:9], X[:9], D[:9])
    common = {"method": "amrl", "mse": "bootstrap", "replicates": 400, "seed": 3}
    est = fay_herriot(few, interval="bootstrap", **common)  # type: ignore[arg-type]
    normal = fay_herriot(few, **common)  # type: ignore[arg-type]
    np.testing.assert_array_equal(est.table["mse"], normal.table["mse"])
    assert est.law is not None
    # Nine areas: the studentised error has longer tails than a normal.
    assert np.median(est.law.pivot[-9] - est.law.pivot[8]) > 2 * 2.0
    assert "studentised" in est.notes[-1]
    again = fay_herriot(few, interval="bootstrap", **common)  # type: ignore[arg-type]
    np.testing.assert_array_equal(est.table["lower"], again.table["lower"])
    for wrong in ({"mse": "analytic"}, {"mse": "bootstrap", "replicates": 50}):
        with pytest.raises(InputError, match="enough replicates"):
            fay_herriot(few, interval="bootstrap", **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown interval"):
        fay_herriot(few, interval="exact")  # type: ignore[arg-type]


def test_criteria_need_replicates() -> None:
    with pytest.raises(InputError, match="too few"):
        bootstrap_criteria(DATA, replicates=1)


def test_a_composition_does_not_depend_on_the_category_left_out() -> None:
    rng = np.random.default_rng(5)
    z = np.stack([rng.dirichlet([20, 10, 8]) for _ in range(M)])
    V = (np.einsum("mi,ij->mij", z, np.eye(3)) - np.einsum("mi,mj->mij", z, z)) / 60

    def shares(order: list[int]) -> dict[str, np.ndarray]:
        kept = order[:2]
        data = [AreaData(z[:, k], X, V[:, k, k].copy()) for k in kept]
        found = composition_fay_herriot(data, V[:, kept][:, :, kept], names=[str(k) for k in order])
        return {name: e.table["est"].to_numpy() for name, e in found.items()}

    a, b = shares([0, 1, 2]), shares([2, 0, 1])
    np.testing.assert_allclose(sum(a.values()), 1.0, rtol=1e-12)
    for name in "012":
        # The same model; quasi-Monte-Carlo points differ, with an error of about 1e-4.
        np.testing.assert_allclose(a[name], b[name], atol=1e-3)


def test_composition_refusals() -> None:
    V = np.tile(0.001 * np.eye(2), (M, 1, 1))
    half = AreaData(np.full(M, 0.5), X, np.full(M, 0.001))
    with pytest.raises(InputError, match="no log ratio"):
        composition_fay_herriot([half, half], V, names=["a", "b", "c"])
    with pytest.raises(InputError, match="three categories"):
        composition_fay_herriot([half], V[:, :1, :1], names=["a", "b"])
