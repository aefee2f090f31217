"""Every way peers fail silently is an error here, and the error says what is wrong."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from inegnum.errors import CalibrationError, InputError, MarginError
from inegnum.estimators.calibration import (
    Linear,
    Logit,
    Margin,
    Raking,
    Truncated,
    calibrate,
    generalised_calibration,
    poststratify_weights,
    proportions,
    rake,
    tightest_bounds,
)

MARGINS = {"reg": {"A": 400.0, "B": 350.0, "C": 250.0}, "sex": {"F": 520.0, "M": 480.0}}


@pytest.fixture
def sample() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 400
    frame = pd.DataFrame(
        {
            "reg": rng.choice(["A", "B", "C"], n, p=[0.5, 0.3, 0.2]),
            "sex": rng.choice(["F", "M"], n, p=[0.6, 0.4]),
        }
    )
    frame["w0"] = 1000 / n * np.exp(rng.normal(0, 0.3, n))
    return frame


def with_margin(variable: str, **totals: float) -> dict[str, dict[str, float]]:
    return {**MARGINS, variable: {**MARGINS[variable], **totals}}


@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf])
def test_bad_weight_names_its_row(sample, value):
    sample.loc[3, "w0"] = value
    with pytest.raises(InputError, match=r"finite and not negative\n  where: w0, rows \[3\]"):
        rake(sample, MARGINS, weights="w0")


def test_all_weights_zero(sample):
    with pytest.raises(InputError, match="all initial weights are zero"):
        rake(sample, MARGINS, weights=np.zeros(len(sample)))


def test_weights_of_another_length(sample):
    with pytest.raises(InputError, match="differ in length"):
        rake(sample, MARGINS, weights=np.ones(3))


@pytest.mark.parametrize("kind", ["object", "category"])
def test_missing_value_in_a_margin_variable(sample, kind):
    sample.loc[7, "reg"] = None
    sample["reg"] = sample["reg"].astype(kind)
    with pytest.raises(InputError, match=r"missing values\n  where: reg, rows \[7\]"):
        rake(sample, MARGINS, weights="w0")


def test_level_absent_from_the_sample(sample):
    with pytest.raises(CalibrationError, match="reg = D: no unit of the sample, total 50"):
        rake(sample, with_margin("reg", D=50.0, A=350.0), weights="w0")


def test_sample_level_without_total(sample):
    sample.loc[:4, "reg"] = "Z"
    with pytest.raises(MarginError, match=r"without a total\n  where: reg\n  got: 'Z' \(5 rows\)"):
        rake(sample, MARGINS, weights="w0")


def test_levels_of_another_type():
    with pytest.raises(MarginError, match="the data holds int, the margin str"):
        rake({"reg": [1, 2]}, {"reg": {"1": 5, "2": 5}})


@pytest.mark.parametrize("distance", [Raking(), Truncated(0.0, 9.0), "sinh"])
def test_zero_total_gives_zero_weights(sample, distance):
    fit = calibrate(sample, with_margin("reg", A=650.0, C=0.0), weights="w0", distance=distance)
    assert (fit.weights[sample["reg"] == "C"] == 0).all()
    assert fit.solution.error.max() < 1e-10
    assert "reg = C: total 0" in " ".join(fit.notes)


def test_zero_total_with_a_floor_on_g(sample):
    with pytest.raises(CalibrationError, match=r"total 0, but g may not go below 0\.2"):
        calibrate(sample, with_margin("reg", A=650.0, C=0.0), weights="w0", distance=Logit(0.2, 5))


def test_zero_total_with_linear_is_met_with_signed_weights(sample):
    fit = calibrate(sample, with_margin("reg", A=650.0, C=0.0), weights="w0", distance="linear")
    assert fit.solution.error.max() < 1e-10


def test_zero_total_that_empties_another_margin():
    data = {"a": ["x", "y"], "b": ["u", "v"]}
    with pytest.raises(CalibrationError, match="leaves another margin without units"):
        rake(data, {"a": {"x": 10.0, "y": 0.0}, "b": {"u": 5.0, "v": 5.0}})


def test_negative_and_missing_totals(sample):
    with pytest.raises(MarginError, match=r"negative\n  where: reg\n  got: reg = C: -50"):
        rake(sample, with_margin("reg", A=700.0, C=-50.0), weights="w0")
    with pytest.raises(MarginError, match=r"missing or infinite\n  where: reg\n  got: reg = A"):
        rake(sample, with_margin("reg", A=np.nan), weights="w0")


def test_totals_that_disagree_are_both_named(sample):
    with pytest.raises(CalibrationError, match="reg adds up to 1000, sex to 1080"):
        rake(sample, with_margin("sex", F=600.0), weights="w0")


def test_structural_zeros(sample):
    kept = sample[~(sample["reg"].isin(["B", "C"]) & (sample["sex"] == "F"))]
    margins = with_margin("sex", F=900.0, M=100.0)
    with pytest.raises(CalibrationError, match="no weights with g in \\[0, inf\\] meet them"):
        rake(kept, margins, weights="w0")


def test_weights_only_on_the_edge():
    # x-u alone must carry all of x and all of u, so y-u has to vanish: raking only tends to that.
    data = {"a": ["x", "y", "y"], "b": ["u", "u", "v"]}
    margins = {"a": {"x": 5.0, "y": 5.0}, "b": {"u": 5.0, "v": 5.0}}
    fit = rake(data, margins)
    assert "forced to the edge" in fit.notes[-1]
    assert 0 < fit.weights[1] < 1e-8
    fit = calibrate(data, margins, distance=Truncated(0.0, 5.0))
    np.testing.assert_allclose(fit.weights, [5, 0, 5], atol=1e-9)


def test_duplicate_index_and_empty_data(sample):
    again = sample.set_index(pd.Index([0] * len(sample)))
    np.testing.assert_array_equal(
        rake(again, MARGINS, weights="w0").weights, rake(sample, MARGINS, weights="w0").weights
    )
    with pytest.raises(InputError, match="no rows"):
        rake(sample.iloc[:0], MARGINS, weights="w0")


def test_unknown_column_distance_and_bounds(sample):
    with pytest.raises(InputError, match="did you mean reg"):
        rake(sample, {"regg": MARGINS["reg"]}, weights="w0")
    with pytest.raises(InputError, match="did you mean raking"):
        calibrate(sample, MARGINS, weights="w0", distance="rakin")
    with pytest.raises(InputError, match="must enclose 1"):
        Logit(1.1, 2.0)
    with pytest.raises(InputError, match="two finite bounds"):
        Logit(0.1, np.inf)


def test_collinear_margins(sample):
    sample["x"] = np.arange(len(sample)) % 7 + 1.0
    sample["twice"] = 2 * sample["x"]
    total = 4.0 * 1000
    fit = calibrate(sample, {**MARGINS, "x": total, "twice": 2 * total}, weights="w0")
    assert any("twice" in note for note in fit.notes)
    assert fit.solution.error.max() < 1e-9
    with pytest.raises(CalibrationError, match="twice is 9000, but x imply 8000"):
        calibrate(sample, {**MARGINS, "x": total, "twice": 9000.0}, weights="w0")


def test_crossed_margin_contradicting_a_simple_one(sample):
    crossed = {(r, s): MARGINS["reg"][r] * MARGINS["sex"][s] / 1000 for r in "ABC" for s in "FM"}
    wrong = {**crossed, ("A", "F"): crossed["A", "F"] + 10, ("B", "F"): crossed["B", "F"] - 10}
    fit = rake(sample, {("reg", "sex"): crossed, "reg": MARGINS["reg"]}, weights="w0")
    assert fit.solution.error.max() < 1e-10
    with pytest.raises(CalibrationError, match="reg = A is 400, but reg = A, sex = F"):
        rake(sample, {("reg", "sex"): wrong, "reg": MARGINS["reg"]}, weights="w0")


def test_margins_written_wrongly(sample):
    with pytest.raises(MarginError, match="margin stands twice"):
        calibrate(sample, [Margin("sex", MARGINS["sex"]), Margin("sex", MARGINS["sex"])])
    with pytest.raises(MarginError, match="needs a named index"):
        calibrate(sample, [pd.Series(MARGINS["sex"])])
    with pytest.raises(MarginError, match="lacks columns"):
        calibrate(sample, pd.DataFrame({"margin": ["sex"], "levels": ["F"], "total": [1.0]}))
    with pytest.raises(MarginError, match="do not add up to 1"):
        proportions({"sex": {"F": 52, "M": 48}}, 1000)
    with pytest.raises(MarginError, match="does not match the margin's variables"):
        Margin(("reg", "sex"), {"A": 1.0})
    with pytest.raises(InputError, match="initial weights are needed"):
        calibrate({"x": [1.0, 2.0]}, {"x": 5.0})
    with pytest.raises(InputError, match="one margin of counts"):
        poststratify_weights(sample, MARGINS)


def test_numeric_variable_with_missing_values(sample):
    sample["x"] = 1.0
    sample.loc[5, "x"] = np.nan
    with pytest.raises(InputError, match=r"missing or infinite values\n  where: x, rows \[5\]"):
        calibrate(sample, {"x": 900.0}, weights="w0")


def test_household_needs_one_weight(sample):
    sample["hid"] = np.arange(len(sample)) // 2
    with pytest.raises(InputError, match="same for all members"):
        calibrate(sample, MARGINS, weights="w0", household="hid")


def test_instruments_that_steer_nothing(sample):
    sample["one"], sample["z"], sample["x"] = 1.0, 1.0, np.arange(len(sample), dtype=float)
    with pytest.raises(CalibrationError):
        generalised_calibration(
            sample, {"one": 1000.0, "x": 3e5}, {"x": "z"}, weights="w0", distance=Linear()
        )


def test_tightest_bounds_are_tight(sample):
    low, high = tightest_bounds(sample, MARGINS, weights="w0")
    wide = Truncated(low - 1e-6, high + 1e-6)
    fit = calibrate(sample, MARGINS, weights="w0", distance=wide)
    assert fit.g.min() >= low - 1e-5
    assert low < 1 < high
    bounds = Truncated(1 + 0.99 * (low - 1), 1 + 0.99 * (high - 1))
    with pytest.raises(CalibrationError, match="least infeasible"):
        calibrate(sample, MARGINS, weights="w0", distance=bounds)


def test_margin_of_households_without_households(sample):
    margins = [Margin("sex", MARGINS["sex"]), Margin("reg", MARGINS["reg"], per="household")]
    with pytest.raises(InputError, match="counts households, but which rows make one"):
        calibrate(sample, margins, weights="w0")


@pytest.mark.parametrize("given", ["weights", "q"])
def test_series_in_another_order(sample, given):
    shuffled = sample["w0"].sample(frac=1, random_state=1)
    with pytest.raises(InputError, match=f"different indexes\n  where: {given}"):
        calibrate(sample, MARGINS, **{"weights": "w0", given: shuffled})
    assert calibrate(sample, MARGINS, weights=sample["w0"]).weights.sum() == pytest.approx(1000)


@pytest.mark.parametrize("tolerance", [0, -1e-9, np.nan, 1.0])
def test_tolerance_that_is_none(sample, tolerance):
    with pytest.raises(InputError, match="a tolerance is a small positive share"):
        calibrate(sample, MARGINS, weights="w0", tolerance=tolerance)


def test_distance_that_is_none(sample):
    for wrong in (3, Raking):
        with pytest.raises(InputError, match="not a distance"):
            calibrate(sample, MARGINS, weights="w0", distance=wrong)


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8"])
@pytest.mark.parametrize("row", [0, 17, 399])
def test_integer_code_out_of_range(sample, dtype, row):
    # Codes are checked while they are read: first, middle and last row, signed or not.
    codes = np.arange(len(sample)) % 3
    margins = {"reg": MARGINS["reg"], "k": {0: 300.0, 1: 300.0, 2: 400.0}}
    ok = sample.assign(k=codes.astype(dtype))
    assert rake(ok, margins, weights="w0").solution.error.max() < 1e-10
    # 5 still fits the two bits a code of three levels takes twice over; 200 overflows int8.
    for bad in (3, 5, 200) if dtype != "int8" else (3, 5, -1):
        wrong = codes.astype(dtype)
        wrong[row] = bad
        with pytest.raises(MarginError, match=rf"without a total\n  where: k\n  got: {bad} \(1"):
            rake(sample.assign(k=wrong), margins, weights="w0")


def test_no_chained_error_for_the_reader(sample):
    sample.loc[3, "w0"] = np.nan
    with pytest.raises(InputError) as caught:
        rake(sample, MARGINS, weights="w0")
    assert caught.value.__context__ is None


@pytest.mark.slow
def test_margins_of_five_million_rows():
    # A peer stops after one sweep at this size, 1.3 % off, with a print.
    rng = np.random.default_rng(1)
    n = 5_000_000
    codes = {v: rng.integers(0, k, n).astype(np.int8) for v, k in (("a", 10), ("b", 8), ("c", 5))}
    shares = {v: rng.dirichlet(np.full(k, 20)) for v, k in (("a", 10), ("b", 8), ("c", 5))}
    margins = {v: dict(enumerate((5e7 * s).tolist())) for v, s in shares.items()}
    fit = rake(codes, margins, weights=np.ones(n))
    for v, totals in margins.items():
        reached = np.bincount(codes[v], fit.weights)
        # Sums of five million terms carry their own rounding.
        np.testing.assert_allclose(reached, list(totals.values()), rtol=1e-9)


def test_weights_of_another_scale_than_the_margins_are_named(sample):
    with pytest.raises(CalibrationError, match=r"times what the initial weights give") as caught:
        calibrate(sample.assign(w0=0.01), MARGINS, weights="w0", distance=Logit(0.4, 2.2))
    assert "scale the initial weights" in caught.value.hint
    # What was not reached is short: its sign says so.
    assert re.search(r"reached [\d.]+ \(-\d", caught.value.got)


def test_instruments_that_cannot_steer_are_named():
    rng = np.random.default_rng(1)
    sample = pd.DataFrame({"x": rng.normal(5, 1, 300), "z": rng.normal(0, 1, 300), "s": "F"})
    margins = {"s": {"F": 300.0}, "x": 1900.0}
    with pytest.raises(CalibrationError, match="none that depend on the instruments alone"):
        generalised_calibration(sample, margins, {"x": "z"}, weights=np.ones(300))
