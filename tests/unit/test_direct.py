"""Direct estimates: what the references do not cover."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from inegnum.errors import CalibrationError, InputError
from inegnum.estimators import direct
from inegnum.estimators.area import AreaData, fay_herriot
from inegnum.estimators.calibration import Logit, calibrate, generalised_calibration, rake, trim
from inegnum.estimators.design import survey_design
from inegnum.estimators.quantile import quantile
from inegnum.estimators.replication import replicate, replicates_from
from inegnum.numerics.proportions import proportion_interval
from inegnum.numerics.quantiles import weighted_quantile


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n = 1200
    frame = pd.DataFrame(
        {
            "stratum": np.repeat(np.arange(6), n // 6),
            "cluster": np.arange(n) // 5,
            "sex": rng.choice(["F", "M"], n),
            "age": rng.choice(["a", "b", "c"], n),
            "domain": rng.integers(0, 100, n),
            "w": np.exp(rng.normal(3, 0.4, n)),
        }
    )
    frame["y"] = rng.normal(10, 2, n) + (frame["age"] == "c") * 3
    frame["z"] = (rng.random(n) < 0.3).astype(float)
    return frame


@pytest.fixture(scope="module")
def fit(sample):
    total = float(sample["w"].sum())
    margins = {
        "sex": {"F": 0.52 * total, "M": 0.48 * total},
        "age": {"a": 0.3 * total, "b": 0.3 * total, "c": 0.4 * total},
    }
    return rake(sample, margins, weights="w")


@pytest.mark.parametrize("clusters", [None, "cluster"])
@pytest.mark.parametrize("strata", [None, "stratum"])
@pytest.mark.parametrize("calibrated", [True, False])
def test_many_domains_and_one_at_a_time(sample, fit, clusters, strata, calibrated):
    weights = fit if calibrated else "w"
    design = survey_design(sample, weights=weights, strata=strata, clusters=clusters)
    many = direct.mean(design, "y", by="domain")
    assert many.covariance is None
    for row in (0, 17, 99):
        domain = design.where(sample["domain"] == many.table["domain"][row])
        alone = direct.mean(domain, "y").table.iloc[0]
        assert many.table["est"][row] == pytest.approx(alone["est"], rel=1e-12)
        # Residuals are expanded into sums here and formed there.
        assert many.table["se"][row] == pytest.approx(alone["se"], rel=1e-8)
    with pytest.raises(InputError, match="at most 60 domains"):
        many.contrast({0: 1})


def test_mean_of_a_simple_sample_is_the_textbook_one(sample):
    design = survey_design(sample.assign(w=1.0), weights="w")
    got = direct.mean(design, "y").table.iloc[0]
    assert got["se"] == pytest.approx(sample["y"].std(ddof=1) / np.sqrt(len(sample)), rel=1e-12)


def test_calibration_on_the_variable_itself_leaves_no_variance(sample, fit):
    design = survey_design(sample, weights=fit)
    women = (sample["sex"] == "F").to_numpy(dtype=float)
    assert direct.total(design, women).table["se"][0] < 1e-6
    # Without the state the same weights pretend to an error.
    plain = survey_design(sample, weights=fit.weights)
    assert direct.total(plain, women).table["se"][0] > 100


@pytest.mark.parametrize("scheme", ["bootstrap", "subbootstrap", "rescaled"])
def test_bootstrap_agrees_with_linearisation(sample, fit, scheme):
    design = survey_design(sample, weights=fit, strata="stratum", clusters="cluster")
    linear = direct.mean(design, "y").table["se"][0]
    R = 400
    draws = replicate(design, scheme, replicates=R, seed=1)
    got = direct.mean(draws, "y").table["se"][0]
    # An SE from R replicates has relative error 1/sqrt(2R) = 3.5 %: four of them.
    assert got == pytest.approx(linear, rel=4 / np.sqrt(2 * R))
    # Every replicate meets the margins of the full sample.
    by_sex = pd.DataFrame(draws.replicates).groupby(sample["sex"]).sum()
    assert np.ptp(by_sex.to_numpy(), axis=1).max() < 1e-6


def test_balanced_replicates_are_exact_for_totals(sample):
    pairs = sample.iloc[:48].assign(stratum=np.repeat(np.arange(24), 2))
    design = survey_design(pairs, weights="w", strata="stratum")
    linear = direct.total(design, "y").table["se"][0]
    for scheme, rho in (("brr", 0.0), ("fay", 0.3)):
        got = direct.total(replicate(design, scheme, rho=rho), "y").table["se"][0]
        # Full orthogonal balance reproduces the stratified variance of a total.
        assert got == pytest.approx(linear, rel=1e-10)
    with pytest.raises(InputError, match="two sampling units in every stratum"):
        replicate(survey_design(sample, weights="w", strata="stratum"), "brr")


@pytest.mark.parametrize("scheme", ["jk1", "jkn", "bootstrap"])
def test_one_cluster_cannot_be_replicated(scheme: str) -> None:
    one = pd.DataFrame({"w": [1.0, 2.0], "village": ["a", "a"]})
    design = survey_design(one, weights="w", clusters="village")
    with pytest.raises(InputError, match="two sampling units"):
        replicate(design, scheme)


def test_bounded_calibration_in_every_replicate(sample):
    margins = {"sex": {"F": 14_000.0, "M": 13_000.0}}
    fit = calibrate(sample, margins, weights="w", distance=Logit(0.5, 2.0))
    draws = replicate(survey_design(sample, weights=fit, clusters="cluster"), "jk1")
    by_sex = pd.DataFrame(draws.replicates).groupby(sample["sex"]).sum().to_numpy()
    np.testing.assert_allclose(by_sex, [[14_000.0], [13_000.0]] * np.ones(by_sex.shape), rtol=1e-9)


@pytest.mark.parametrize("distance", ["linear", "raking"])
def test_generalised_calibration_in_every_replicate(sample, distance):
    rng = np.random.default_rng(6)
    frame = sample.assign(x=rng.gamma(4, 1, len(sample)), one=1.0)
    # Response depends on z, seen for respondents only and related to x.
    frame["z"] = frame["x"] + rng.normal(0, 0.5, len(sample))
    total = float(frame["w"].sum())
    margins = {"one": 1.1 * total, "x": 1.2 * float(frame["w"] @ frame["x"])}
    fit = generalised_calibration(frame, margins, {"x": "z"}, weights="w", distance=distance)
    design = survey_design(frame, weights=fit, clusters="cluster")
    draws = replicate(design, "jk1")
    reached = draws.replicates.T @ frame[["one", "x"]].to_numpy()
    np.testing.assert_allclose(reached, [list(margins.values())] * len(reached), rtol=1e-9)
    # Each replicate is what generalised calibration of its own weights gives.
    plain = replicate(survey_design(frame, weights="w", clusters="cluster"), "jk1").replicates
    for r in (0, 7):
        kept = frame[plain[:, r] > 0]
        alone = generalised_calibration(
            kept, margins, {"x": "z"}, weights=plain[plain[:, r] > 0, r], distance=distance
        )
        np.testing.assert_allclose(draws.replicates[plain[:, r] > 0, r], alone.weights, rtol=1e-8)
    # The variance agrees with the linearised one, both being those of calibration residuals.
    linear, jackknife = (direct.total(d, "y").table["se"][0] for d in (design, draws))
    assert jackknife == pytest.approx(linear, rel=0.1)


def test_a_replicate_that_loses_a_category_is_named(sample):
    rare = sample.iloc[:60].assign(age=["rare"] + ["a"] * 59)
    fit = rake(rare, {"age": {"rare": 30.0, "a": 1000.0}}, weights="w")
    with pytest.raises(CalibrationError, match=r"where: replicates \[0\]"):
        replicate(survey_design(rare, weights=fit), "jk1")


def test_any_statistic_as_joint_draws(sample, fit):
    draws = replicate(survey_design(sample, weights=fit), "bootstrap", replicates=60, seed=3)
    y = sample["y"].to_numpy()
    joint = draws.apply(lambda w: np.array([w @ y / w.sum()]), pd.DataFrame({"what": ["mean"]}))
    assert joint.se()[0] == pytest.approx(direct.mean(draws, "y").table["se"][0], rel=1e-12)
    assert joint.point[0] == pytest.approx(direct.mean(draws, "y").table["est"][0], rel=1e-12)


@pytest.mark.parametrize("method", ["wilson", "beta", "likelihood", "logit", "asin", "mean"])
def test_interval_turns_over_with_the_proportion(method):
    p, se, n = np.array([0.03, 0.3, 0.5]), np.array([0.01, 0.03, 0.05]), np.array([300, 300, 300])
    low, high = proportion_interval(p, se, n, df=50, method=method)
    again = proportion_interval(1 - p, se, n, df=50, method=method)
    np.testing.assert_allclose(again[0], 1 - high, atol=1e-10)
    np.testing.assert_allclose(again[1], 1 - low, atol=1e-10)
    assert ((low < p) & (p < high)).all()


def test_wilson_and_beta_of_a_simple_sample():
    p, n = np.array([0.1]), np.array([50.0])
    se = np.sqrt(p * (1 - p) / n)
    low, high = proportion_interval(p, se, n, df=np.inf, method="wilson")
    root = stats.norm.ppf(0.975)
    # Wilson's bounds are the p0 at which the score statistic reaches the quantile.
    for bound in (low, high):
        score = abs(p - bound) / np.sqrt(bound * (1 - bound) / n)
        assert score == pytest.approx([root], rel=1e-12)
    low, high = proportion_interval(p, se, n, df=np.inf, method="beta")
    exact = stats.binomtest(5, 50).proportion_ci()
    assert (low[0], high[0]) == pytest.approx((exact.low, exact.high), rel=1e-9)


def test_nobody_and_everybody():
    for method in ("wilson", "beta", "likelihood"):
        low, high = proportion_interval([0.0, 1.0], [0.0, 0.0], [50, 50], df=40, method=method)
        assert low[0] == pytest.approx(0, abs=1e-15)
        assert high[1] == pytest.approx(1, abs=1e-15)
        assert 0.03 < high[0] < 0.12
        assert low[1] == pytest.approx(1 - high[0], rel=1e-9)


def test_proportion_needs_zero_and_one(sample):
    design = survey_design(sample, weights="w")
    assert direct.proportion(design, "z", method="wilson").table["lower"][0] > 0.25
    with pytest.raises(InputError, match="0/1 variable"):
        direct.proportion(design, "y")


def test_quantile_ignores_scale_of_weights(sample):
    a = quantile(survey_design(sample, weights="w"), "y", [0.1, 0.5, 0.9])
    b = quantile(survey_design(sample.assign(w=7 * sample["w"]), weights="w"), "y", [0.1, 0.5, 0.9])
    pd.testing.assert_frame_equal(a, b)
    assert weighted_quantile([1, 2, 3, 4], [1, 1, 1, 1], [0.5], rule="hf7")[0] == 2.5


def test_design_refusals(sample):
    with pytest.raises(InputError, match="more sampling units in the sample"):
        survey_design(sample.assign(N=3), weights="w", fpc="N")
    with pytest.raises(InputError, match="weights are needed"):
        survey_design(sample)
    with pytest.raises(InputError, match="unknown rule"):
        survey_design(sample, weights="w", lonely="drop")
    with pytest.raises(InputError, match="more stages of strata"):
        survey_design(sample, weights="w", strata=["stratum", "sex"])
    with pytest.raises(InputError, match="wrong shape"):
        replicates_from(sample, "w", np.ones(5), scale=1.0)
    fractions = survey_design(sample.assign(f=0.1), fpc="f")
    np.testing.assert_allclose(fractions.weights, 10.0)


def test_trimmed_weights_have_replicates(sample, fit):
    limit = float(np.quantile(fit.weights, 0.98))
    trimmed = trim(fit, upper=limit)
    draws = replicate(survey_design(sample, weights=trimmed, clusters="cluster"), "jk1")
    by_sex = pd.DataFrame(draws.replicates).groupby(sample["sex"]).sum().to_numpy()
    total = float(sample["w"].sum())
    np.testing.assert_allclose(by_sex.T, [[0.52 * total, 0.48 * total]] * by_sex.shape[1])


def test_contrast_of_rows_that_are_not_there(sample, fit):
    ages = direct.mean(survey_design(sample, weights=fit), "y", by="age")
    with pytest.raises(InputError, match=r"rows the table does not have\n  got: \[9\]"):
        ages.contrast({9: 1.0})
    with pytest.raises(InputError, match="one finite weight a row"):
        ages.contrast([1.0, -1.0])


def test_area_model_takes_variances_that_know_of_calibration(sample, fit):
    areas = sample.assign(area=sample["domain"] % 20)
    design = survey_design(areas, weights=fit)
    estimates = direct.mean(design, "y", by="area").table
    ignorant = direct.mean(survey_design(areas, weights=fit.weights), "y", by="area").table
    data = AreaData(
        y=estimates["est"].to_numpy(), X=np.ones((20, 1)), D=estimates["se"].to_numpy() ** 2
    )
    # The variances handed over are those of calibration residuals, area by area.
    for row in (0, 11):
        z = (areas["area"] == estimates["area"][row]).to_numpy(dtype=float)
        share = z / (design.weights @ z)
        e = fit.residuals(share * (areas["y"].to_numpy() - estimates["est"][row]))
        u = design.weights * e
        n = u.size
        assert data.D[row] == pytest.approx(n / (n - 1) * np.sum((u - u.mean()) ** 2), rel=1e-9)
    assert not np.allclose(estimates["se"], ignorant["se"], rtol=1e-6)
    assert (
        fay_herriot(data).table["est"].between(estimates["est"].min(), estimates["est"].max()).all()
    )
