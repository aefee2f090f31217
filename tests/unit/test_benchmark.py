"""Benchmarks hit their target in every draw, stay in 0-1, and refuse evidence used twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inegnum.draws import Draws
from inegnum.errors import BenchmarkError, InputError, IsolationError
from inegnum.estimates.benchmark import (
    BenchmarkWarning,
    Target,
    benchmark_draws,
    benchmark_estimates,
)
from inegnum.estimators.area import AreaData, fay_herriot
from inegnum.estimators.result import AreaEstimates
from inegnum.provenance import Source

W = np.array([3.0, 1.0, 2.0, 4.0])


def some_draws(S: int = 200, seed: int = 1, level: float = 1.0) -> Draws:
    rng = np.random.default_rng(seed)
    eta = level + rng.normal(0, 0.4, 4) + rng.normal(0, 0.15, (S, 1)) + rng.normal(0, 0.2, (S, 4))
    return Draws(1 / (1 + np.exp(-eta)), pd.DataFrame({"geo": list("abcd")}))


def some_estimates() -> AreaEstimates:
    rng = np.random.default_rng(6)
    y = np.clip(0.7 + rng.normal(0, 0.06, 25), 0.4, 0.95)
    return fay_herriot(AreaData(y, np.ones((25, 1)), rng.uniform(5e-4, 4e-3, 25)))


def source(role: str, name: str = "total", sha: str = "0" * 64) -> Source:
    return Source(name, "INSEE", "a total", "15+", "2021", "rate", "etalab-2.0", sha, role)


@settings(max_examples=25, deadline=None)
@given(
    target=st.floats(0.05, 0.95),
    method=st.sampled_from(["logit", "ratio", "difference", "mse"]),
    seed=st.integers(0, 999),
)
@pytest.mark.filterwarnings("ignore::inegnum.estimates.benchmark.BenchmarkWarning")
def test_every_draw_meets_the_target(target: float, method: str, seed: int) -> None:
    raw = some_draws(50, seed)
    if method == "ratio":  # a ratio keeps to 0-1 when it lowers; the other way is tested below
        target *= float((raw.values @ W / W.sum()).min())
    if method in ("difference", "mse"):
        target = float(raw.point @ W / W.sum()) + 0.02 * (target - 0.5)
    moved, _ = benchmark_draws(raw, W, Target(target), method=method)
    # The shift is solved to 1e-10 on the logit.
    np.testing.assert_allclose(moved.values @ W / W.sum(), target, atol=1e-9)
    np.testing.assert_allclose(moved.point @ W / W.sum(), target, atol=1e-9)
    assert ((moved.values > 0) & (moved.values < 1)).all()


@pytest.mark.parametrize("method", ["ratio", "difference"])
def test_rates_never_leave_their_range(method: str) -> None:
    with pytest.raises(BenchmarkError, match="outside 0-1"):
        benchmark_draws(some_draws(level=3.0), W, Target(0.9999), method=method)


def test_logit_shift_is_one_constant_a_draw() -> None:
    raw = some_draws()
    moved, shift = benchmark_draws(raw, W, Target(0.72))
    step = np.log(moved.values / (1 - moved.values)) - np.log(raw.values / (1 - raw.values))
    np.testing.assert_allclose(step, step[:, :1] * np.ones(4), atol=1e-9)
    before, after = shift.before, shift.after
    assert shift.logit == pytest.approx(np.log(after / (1 - after) * (1 - before) / before))


def test_a_target_already_met_changes_nothing() -> None:
    raw = some_draws(1)
    moved, shift = benchmark_draws(raw, W, Target(float(raw.values[0] @ W / W.sum())))
    np.testing.assert_allclose(moved.values, raw.values, atol=1e-12)
    assert abs(shift.logit) < 1e-9


def test_soft_lies_between_own_and_target_and_tends_to_both() -> None:
    raw = some_draws()
    own = float(raw.point @ W / W.sum())
    hard = benchmark_draws(raw, W, Target(own + 0.02))[0].point @ W / W.sum()
    near, _ = benchmark_draws(raw, W, Target(own + 0.02, se=1e-5), method="soft")
    far, _ = benchmark_draws(raw, W, Target(own + 0.02, se=10.0), method="soft")
    middle, _ = benchmark_draws(raw, W, Target(own + 0.02, se=0.02), method="soft")
    assert near.point @ W / W.sum() == pytest.approx(hard, abs=1e-6)
    assert far.point @ W / W.sum() == pytest.approx(own, abs=1e-4)
    assert own < middle.point @ W / W.sum() < own + 0.02


def test_soft_whole_has_the_variance_of_two_sources() -> None:
    raw = some_draws(20_000)
    own = float((raw.values @ W / W.sum()).var(ddof=1))
    moved, _ = benchmark_draws(raw, W, Target(0.72, se=np.sqrt(own)), method="soft")
    # Equal variances halve: 1 / (1/v + 1/v). 20,000 draws give a variance to 1 %, five of these.
    assert float((moved.values @ W / W.sum()).var(ddof=1)) == pytest.approx(own / 2, rel=0.05)


def test_target_error_reaches_the_draws() -> None:
    moved, _ = benchmark_draws(some_draws(20_000), W, Target(0.72, se=0.01))
    assert float((moved.values @ W / W.sum()).std()) == pytest.approx(0.01, rel=0.03)


def test_large_shift_warns() -> None:
    with pytest.warns(BenchmarkWarning, match="logit"):
        benchmark_draws(some_draws(), W, Target(0.5))


def test_evidence_is_not_used_twice_and_validation_stays_out() -> None:
    raw = some_draws(5)
    target = Target(0.73, source=source("benchmark"))
    with pytest.raises(BenchmarkError, match="already feed the likelihood"):
        benchmark_draws(raw, W, target, fitted_on=[source("fit")])
    with pytest.raises(BenchmarkError, match="already feed the likelihood"):
        benchmark_draws(raw, W, target, fitted_on=[source("fit", "other name")])
    benchmark_draws(raw, W, target, fitted_on=[source("fit", "other", "1" * 64)])
    with pytest.raises(IsolationError):
        benchmark_draws(raw, W, Target(0.73, source=source("validate")))


def test_bad_inputs() -> None:
    raw = some_draws(5)
    with pytest.raises(InputError, match="one finite, non-negative weight"):
        benchmark_draws(raw, np.array([1.0, 2.0]), Target(0.7))
    with pytest.raises(InputError, match="did you mean logit"):
        benchmark_draws(raw, W, Target(0.7), method="logits")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="standard error of its target"):
        benchmark_draws(raw, W, Target(0.7), method="soft")
    with pytest.raises(BenchmarkError, match="is for rates"):
        benchmark_draws(raw, W, Target(70.0))


def test_estimates_keep_their_mse_and_add_the_squared_adjustment() -> None:
    raw = some_estimates()
    weights = np.linspace(1, 3, 25)
    est, shift = benchmark_estimates(raw, weights, Target(0.71))
    assert est.table["est"] @ weights / weights.sum() == pytest.approx(0.71, abs=1e-9)
    added = est.table["mse"] - raw.table["mse"]
    np.testing.assert_allclose(added, (est.table["est"] - raw.table["est"]) ** 2, atol=1e-15)
    assert "benchmarked (logit)" in est.notes[-1]
    assert est.law is not None
    np.testing.assert_allclose(est.law.center, est.table["est"], atol=1e-12)
    assert shift.target == 0.71
    assert raw.table["est"].to_numpy() @ weights / weights.sum() == pytest.approx(shift.before)


def test_soft_estimates_use_the_joint_error() -> None:
    raw = some_estimates()
    weights = np.ones(25)
    own = float(raw.table["est"].mean())
    est, _ = benchmark_estimates(raw, weights, Target(own + 0.02, se=0.01), method="soft")
    assert own < est.table["est"].mean() < own + 0.02
