"""Margins in every form, what the result says of itself, and memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from inegnum.estimators.calibration import (
    Margin,
    calibrate,
    poststratify_weights,
    proportions,
    rake,
    read_calmar,
)


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 300
    frame = pd.DataFrame({"sex": rng.choice(["F", "M"], n), "age": rng.choice(["a", "b", "c"], n)})
    frame["income"] = np.exp(rng.normal(7, 0.5, n))
    frame["d"] = np.exp(rng.normal(0, 0.3, n))
    return frame


SEX, AGE = {"F": 550.0, "M": 450.0}, {"a": 300.0, "b": 400.0, "c": 300.0}


def test_every_way_of_writing_margins(sample):
    expected = rake(sample, {"sex": SEX, "age": AGE}, weights="d").weights
    tidy = pd.DataFrame(
        [("sex", k, t) for k, t in SEX.items()] + [("age", k, t) for k, t in AGE.items()],
        columns=["margin", "level", "total"],
    )
    calmar = pd.DataFrame([["sex", 2, 550, 450, 0], ["age", 3, 300, 400, 300]])
    forms = [
        tidy,
        [Margin("sex", SEX), Margin("age", AGE)],
        [pd.Series(SEX).rename_axis("sex"), pd.Series(AGE).rename_axis("age")],
        read_calmar(calmar, {"sex": ["F", "M"], "age": ["a", "b", "c"]}),
        proportions(
            {v: {k: t / 1000 for k, t in m.items()} for v, m in (("sex", SEX), ("age", AGE))}, 1000
        ),
    ]
    for margins in forms:
        np.testing.assert_allclose(rake(sample, margins, weights="d").weights, expected, rtol=1e-9)


def test_every_kind_of_column(sample):
    expected = rake(sample, {"sex": SEX, "age": AGE}, weights="d").weights
    number = {"a": 0, "b": 1, "c": 2}
    coded = sample.assign(age=sample["age"].map(number))
    shifted = sample.assign(age=sample["age"].map(number) + 2018)
    for frame, age in (
        (sample.astype({"age": "category"}), AGE),
        (coded, {i: AGE[k] for k, i in number.items()}),
        (shifted, {i + 2018: AGE[k] for k, i in number.items()}),
        ({"sex": sample["sex"].to_list(), "age": sample["age"].to_list(), "d": sample["d"]}, AGE),
    ):
        got = rake(frame, {"sex": SEX, "age": age}, weights="d").weights
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_tidy_table_with_crossings_numbers_and_softness(sample):
    crossed = {(s, a): SEX[s] * AGE[a] / 1000 for s in SEX for a in AGE}
    tidy = pd.DataFrame(
        [("sex*age", f"{s}*{a}", t, None) for (s, a), t in crossed.items()]
        + [("income", None, 1.3e6, None), ("sex", "F", 6e5, "income"), ("sex", "M", 7e5, "income")],
        columns=["margin", "level", "total", "value"],
    )
    fit = calibrate(sample, tidy, weights="d", distance="linear")
    assert fit.weights @ sample["income"] == pytest.approx(1.3e6, rel=1e-9)
    women = (sample["sex"] == "F").to_numpy()
    assert fit.weights[women] @ sample["income"][women] == pytest.approx(6e5, rel=1e-9)
    soft = calibrate(sample, tidy.assign(cost=1.0), weights="d", distance="linear")
    table = soft.table()
    initial = (table["before"] / table["total"] - 1).abs()
    # What is given up lies between nothing and doing nothing.
    assert soft.solution.error.max() > 0.01
    assert (table["miss"] < initial).all()


def test_poststratification_is_a_ratio(sample):
    fit = poststratify_weights(sample, {"age": AGE}, weights="d")
    ratio = sample["age"].map(AGE) / sample.groupby("age")["d"].transform("sum")
    np.testing.assert_allclose(fit.g, ratio, rtol=1e-12)


def test_diagnostics_say_what_happened(sample):
    fit = rake(sample, {"sex": SEX, "age": AGE}, weights="d")
    d = fit.diagnostics()
    w = fit.weights
    assert d.n_eff == pytest.approx(w.sum() ** 2 / np.sum(w**2))
    assert d.deff == pytest.approx(300 / d.n_eff)
    assert d.quantiles[0.0] == fit.g.min()
    assert d.quantiles[1.0] == fit.g.max()
    assert d.extremes["g"].is_monotonic_increasing
    assert d.margins["share"].sum() == pytest.approx(1, abs=1e-9)
    assert d.by_margin["share"].is_monotonic_decreasing
    # `gap` is that of the initial weights scaled to the population.
    scaled = sample["d"] * 1000 / sample["d"].sum()
    gap = scaled[sample["sex"] == "F"].sum() / 550 - 1
    assert d.margins["gap"][0] == pytest.approx(gap, rel=1e-9)
    assert "costliest margin" in str(d)
    assert "raking, 300 units" in repr(fit)


def test_the_costliest_margin_is_the_one_that_is_off(sample):
    total = sample["d"].sum()
    near = (sample.groupby("sex")["d"].sum() * 1000 / total).to_dict()
    far = {"a": 600.0, "b": 250.0, "c": 150.0}
    d = rake(sample, {"sex": near, "age": far}, weights="d").diagnostics()
    assert d.by_margin["margin"][0] == "age"
    assert d.by_margin["share"][0] > 0.9


def test_plot(sample):
    import matplotlib

    matplotlib.use("agg")
    axes = rake(sample, {"sex": SEX}, weights="d").diagnostics().plot()
    assert axes.get_xlabel().startswith("g =")
    assert sum(bar.get_height() for bar in axes.patches) == 300


def test_input_is_left_alone(sample):
    before = sample.copy(deep=True)
    margins = {"sex": dict(SEX)}
    rake(sample, margins, weights="d")
    pd.testing.assert_frame_equal(sample, before)
    assert margins == {"sex": SEX}


def test_memory_is_output_and_a_constant():
    rng = np.random.default_rng(0)

    def beyond_output(n: int) -> int:
        frame = pd.DataFrame({v: rng.integers(0, 5, n) for v in ("x", "y")})
        margins = {v: dict.fromkeys(range(5), n / 5) for v in ("x", "y")}
        d = np.ones(n)
        rake(frame, margins, weights=d)
        tracemalloc.start()
        fit = rake(frame, margins, weights=d)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak - fit.weights.nbytes

    small, large = beyond_output(200_000), beyond_output(800_000)
    # One byte a row more would be 600,000 bytes.
    assert large - small < 300_000


def test_linear_calibration_needs_no_square_of_the_sample():
    # A peer asks for 74 GiB here.
    rng = np.random.default_rng(0)
    n = 100_000
    frame = pd.DataFrame({"x": rng.gamma(2, 1, n), "s": rng.integers(0, 2, n)})
    margins = {"x": 2.1 * n, "s": {0: 0.52 * n, 1: 0.48 * n}}
    tracemalloc.start()
    fit = calibrate(frame, margins, weights=np.ones(n), distance="linear")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fit.solution.error.max() < 1e-10
    assert peak < 60 * 8 * n


def test_what_soft_margins_gave_up(sample):
    margins = [
        Margin("age", AGE),
        Margin("sex", SEX, se={"F": 20.0, "M": 20.0}),
        Margin((), 1.5e6, value="income", cost=0.5),
    ]
    fit = calibrate(sample, margins, weights=sample["d"] * 1000 / sample["d"].sum())
    report = fit.given_up()
    assert set(report["margin"]) == {"sex", "income"}
    assert report["miss"].is_monotonic_decreasing
    women = report[report["level"] == "F"].iloc[0]
    reached = fit.weights[sample["sex"] == "F"].sum()
    assert women["after"] == pytest.approx(reached)
    assert women["in_se"] == pytest.approx(abs(reached - 550) / 20)
    assert np.isnan(report[report["margin"] == "income"]["in_se"].iloc[0])
    assert rake(sample, {"sex": SEX}, weights="d").given_up().empty
