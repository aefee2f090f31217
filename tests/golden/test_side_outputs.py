"""What references print beside their weights: statistics, ranges of g, checks of margins, ranks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.errors import CalibrationError
from inegnum.estimators import direct
from inegnum.estimators.calibration import (
    Calibration,
    Linear,
    Logit,
    Margin,
    Raking,
    Truncated,
    calibrate,
    rake,
    read_calmar,
    trim_weights,
)
from inegnum.estimators.design import survey_design
from inegnum.estimators.expansion import expansion
from inegnum.estimators.inequality import poverty_rate, poverty_threshold, quintile_share_ratio
from inegnum.numerics.ipf import axis_margin, ipf
from inegnum.numerics.quantiles import weighted_quantile
from shared import shared

pytestmark = pytest.mark.shared

API = {"stype": {"E": 4421, "H": 755, "M": 1018}, "api99": 3914069}


def golden(case: str, name: str, index: str | None = None) -> pd.DataFrame:
    table = pd.read_csv(shared("golden", case, f"expected_{name}.csv"))
    return table if index is None else table.set_index(index)


def values(case: str, name: str) -> pd.Series:
    return golden(case, name, "key")["value"]


def data(name: str) -> pd.DataFrame:
    return pd.read_csv(shared("golden", "data", f"{name}.csv"))


@pytest.mark.parametrize(
    ("case", "distance"),
    [
        ("icarus_linear", Linear()),
        ("icarus_raking", Raking()),
        ("icarus_logit", Logit(0.4, 2.2)),
        # The reference has no truncated method and rakes instead.
        ("icarus_truncated_fallback", Raking()),
    ],
)
def test_statistics_of_icarus(case, distance):
    sample = data("icarus_data_employees")
    levels = {"category": [1, 2, 3], "sex": [1, 2], "department": [1, 2]}
    margins = read_calmar(data("icarus_margins_employees"), levels)
    fit = calibrate(sample, margins, weights="weight", distance=distance)
    expected = values(case, "stats")
    movies = fit.weights @ sample["movies"]
    # Its tolerance of 1e-12 is on totals; weights near a bound amplify it.
    assert movies == pytest.approx(expected["total_movies"], rel=1e-8)
    assert movies / 300 == pytest.approx(expected["mean_movies_N300"], rel=1e-8)
    assert fit.g.min() == pytest.approx(expected["gmin"], rel=1e-7)
    assert fit.g.max() == pytest.approx(expected["gmax"], rel=1e-7)
    weights = golden(case, "weights")
    np.testing.assert_array_equal(weights["id"], sample["id"])
    np.testing.assert_allclose(fit.g, weights["g"], rtol=1e-7)


def test_gap_of_the_penalised_case():
    g = golden("icarus_penalized", "weights")["g"]
    assert values("icarus_penalized", "stats")["gap"] == np.ptp(g)


@pytest.mark.parametrize("case", ["calmar_sas_fullresponse", "calmar_sas_qk"])
def test_agreement_with_sas_is_that_of_icarus(case):
    sample = data("icarus_calmar_sample")
    levels = {"Y2": [1, 2, 3, 4, 5], "Y3": [1, 2, 3]}
    margins = read_calmar(data("icarus_calmar_margins_counts"), levels)
    sas = golden(case, "weights")
    np.testing.assert_array_equal(sas["ident"], sample["ident"])
    np.testing.assert_allclose(sas["d"], sample["weight"])
    q = None if case == "calmar_sas_fullresponse" else "qTest"
    methods = {"linear": Linear(), "raking": Raking(), "logit": Logit(0.2, 1.3)}
    if q is None:
        agree = golden(case, "agree", "method")["max_rel"]
    else:
        agree = pd.Series({"linear": values(case, "agree")["max_rel"]})
        np.testing.assert_allclose(sas["q"], sample["qTest"])
    for method, theirs in agree.items():
        fit = calibrate(sample, margins, weights="weight", distance=methods[method], q=q)
        ours = np.abs(fit.weights / sas[f"sas_{method}"] - 1).max()
        # SAS prints 9 to 10 digits; icarus stops at 1e-11.
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_rank_and_misses_of_integrated_households():
    case = "hh_integrative_exact"
    check = values(case, "check")
    people = data("surveysd_eusilc")
    size = golden(case, "conH_hsize_region").set_index(["hsize", "region"])["Freq"]
    weights = golden(case, "weights").set_index("hid")
    people["d"] = people["hid"].map(weights["d"])
    people["hsize"] = people["hsize"].astype(size.index.levels[0].dtype)
    margins = [
        Margin("age", golden(case, "conP_age").set_index("age")["Freq"]),
        Margin(
            ("gender", "region"),
            golden(case, "conP_gender_region").set_index(["gender", "region"])["Freq"],
        ),
        Margin(("hsize", "region"), size, per="household"),
    ]
    for method in ("linear", "raking"):
        fit = calibrate(people, margins, weights="d", distance=method, household="hid")
        assert fit.system.totals.size == check["ncol"]
        left_out = int(fit.notes[0].split()[0])
        assert check["ncol"] - left_out == check["rank"]
        # Both are rounding; sums over 6,000 households carry a few units in the last place.
        assert fit.solution.error.max() <= check[f"maxrel_{method}"] + 1e-13


def test_misses_of_the_belgian_example():
    case = "sampling_calib_belgian"
    sample, totals = golden(case, "sample_and_g"), golden(case, "totals", "x")["total"]
    X = sample[["x1", "x2", "x3", "x4"]].to_numpy()
    np.testing.assert_allclose(sample["d"], 1 / sample["pik"])
    for method, theirs in golden(case, "check", "method")["max_rel_dev"].items():
        g = sample[{"linear": "gl", "raking": "gr", "truncated": "gt", "logit": "gg"}[method]]
        missed = np.abs(X.T @ (sample["d"] * g) / totals - 1).max()
        # Their miss is seen again in their own ratios (17 digits), and ours is none.
        assert missed == pytest.approx(theirs, rel=1e-4, abs=1e-14)
        distances = {"linear": Linear(), "raking": Raking()}
        bounded = {"truncated": Truncated(0.75, 1.2), "logit": Logit(0.75, 1.2)}
        fit = calibrate(
            sample, totals.to_dict(), weights="d", distance=(distances | bounded)[method]
        )
        assert fit.solution.error.max() < 1e-12


@pytest.mark.parametrize(
    ("case", "distance"),
    [("svy_calib_logit", Logit(0.5, 2.0)), ("svy_calib_linear_bounded", Truncated(0.6, 1.6))],
)
def test_range_of_ratios(case, distance):
    fit = calibrate(data("survey_apiclus1"), API, weights="pw", distance=distance)
    grange = values(case, "grange")
    # survey run to 1e-12.
    assert (fit.g.min(), fit.g.max()) == pytest.approx((grange["gmin"], grange["gmax"]), rel=1e-9)


def test_raking_stopped_early_stays_near():
    margins = {"stype": API["stype"], "sch.wide": {"No": 1072, "Yes": 5122}}
    ours = rake(data("survey_apiclus1"), margins, weights="pw").weights
    early = golden("svy_rake", "weights_default_tol")["weight"]
    # `rake` stops by default when counts of thousands move by less than 1: 1e-3 of the smallest.
    np.testing.assert_allclose(ours, early, rtol=1e-3)
    assert np.abs(ours / early - 1).max() > 1e-6


def test_weights_that_a_reference_returns_without_meeting_the_margins():
    case = "svy_calib_force_infeasible"
    weights, achieved = golden(case, "weights")["weight"], golden(case, "achieved", "term")
    sample = data("survey_apiclus1")
    # Truncated at 0.95 and 1.05, 38 % off for one margin, and a standard error of zero.
    g = weights / sample["pw"]
    assert (g.min(), g.max()) == pytest.approx((0.95, 1.05))
    assert achieved["estimate"]["stypeH"] / API["stype"]["H"] - 1 == pytest.approx(-0.377, abs=1e-3)
    assert achieved["se"].max() < 1e-9
    with pytest.raises(CalibrationError, match="stype = H"):
        calibrate(sample, API, weights="pw", distance=Truncated(0.95, 1.05))


def _raked_like_anesrake() -> tuple[pd.DataFrame, Calibration]:
    sample = data("anesrake_anes04")
    sample["w"] = golden("anesrake_anes04", "weights")["weight"]
    known = sample.dropna(subset=["married"])
    return known, rake(known, {v: known.groupby(v)["w"].sum() for v in ("married", "agecats")})


def test_design_effect_of_anesrake():
    info = values("anesrake_anes04", "info")
    _, fit = _raked_like_anesrake()
    # One case of 1,212 was left out for want of a marital status.
    assert fit.diagnostics().deff == pytest.approx(float(info["deff"]), rel=1e-3)
    assert info["converge"] == "Complete convergence was achieved"
    weights = golden("anesrake_anes04", "weights").set_index("caseid")["weight"]
    kish = len(weights) * (weights**2).sum() / weights.sum() ** 2
    assert kish == pytest.approx(float(info["deff"]), rel=1e-12)


def test_targets_of_anesrake_are_reached():
    known, fit = _raked_like_anesrake()
    target = golden("anesrake_anes04", "target_married").set_index("level")["p"]
    shares = pd.Series(fit.weights).groupby(known["married"].to_numpy()).sum() / fit.weights.sum()
    # The case without marital status moves the reference's own shares by less than one in 1,212.
    np.testing.assert_allclose(shares.reindex(target.index), target, atol=1e-3)


def test_fits_that_mipfp_calls_converged_are_here_too():
    info = values("mipfp_2d_3d", "info")
    assert info["conv2"]
    assert info["conv3"]
    rows = axis_margin("1", (2, 2), (0,), np.array([30.0, 70.0]))
    columns = axis_margin("2", (2, 2), (1,), np.array([50.0, 50.0]))
    fitted = ipf(np.ones((2, 2)), [rows, columns]).fitted
    np.testing.assert_allclose(fitted.sum(axis=1), [30.0, 70.0], rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "by", "weights", "known"),
    [
        ("direct_ht", "prov", "weight", True),
        ("direct_srswor", "provlab", None, True),
        ("direct_srswr", "provlab", None, False),
    ],
)
def test_coefficients_of_variation_by_province(name, by, weights, known):
    N = data("sae_sizeprov").set_index(by)["Nd"] if known else None
    got = expansion(data("sae_incomedata"), "income", by, weights=weights, sizes=N).set_index(by)
    expected = golden("sae_direct_pssynt_ssd", name, "Domain")["CV"].reindex(got.index)
    np.testing.assert_allclose(100 * got["se"] / got["est"], expected, rtol=1e-11)


@pytest.mark.parametrize("name", ["poverty_inc", "poverty_gap"])
def test_coefficients_of_variation_of_poverty(name):
    incomes = data("sae_incomedata")
    z = golden("sae_direct_pssynt_ssd", "povline", "key").loc["z", "value"]
    poor = (incomes["income"] < z).astype(float)
    y = poor if name == "poverty_inc" else poor * (z - incomes["income"]) / z
    N = data("sae_sizeprov").set_index("prov")["Nd"]
    got = expansion(incomes.assign(y=y), "y", "prov", weights="weight", sizes=N)
    expected = golden("sae_direct_pssynt_ssd", name)["CV"]
    np.testing.assert_allclose(100 * got["se"] / got["est"], expected, rtol=1e-11)


def test_bootstrap_weights_carry_their_scales():
    scale = values("svy_rep_bootstrap", "scale")
    # All replicates weigh the same, and deviations are taken from their mean: our defaults.
    assert float(scale["boot_rscales1"]) == float(scale["sub_rscales1"]) == 1.0
    assert scale["mse"] == "FALSE"


def test_early_trimming_of_survey_differs_where_it_was_mended():
    # survey 4.1 spreads differently in later rounds of strict trimming, as its authors corrected;
    # weights once cut are the same.
    old, new = (golden("svy_trimweights", name) for name in ("w", "w_survey45"))
    np.testing.assert_allclose(old[["cal", "trim"]], new[["cal", "trim"]], rtol=1e-14)
    assert np.abs(old["strict"] / new["strict"] - 1).max() > 1e-4
    sample = data("survey_apiclus1")
    fit = calibrate(sample, API, weights="pw", distance="linear")
    design = survey_design(sample, weights=fit, clusters="dnum", fpc="fpc")
    row = golden("svy_trimweights", "mean_trim").iloc[0]
    got = direct.mean(design.reweighted(old["trim"].to_numpy()), "api00").table.iloc[0]
    for mine, theirs in (("est", "estimate"), ("se", "se"), ("cv", "cv"), ("lower", "ci_l")):
        assert got[mine] == pytest.approx(row[theirs], rel=1e-9)
    assert got["upper"] == pytest.approx(row["ci_u"], rel=1e-9)


def test_mean_of_strictly_trimmed_weights_with_its_interval():
    sample = data("survey_apiclus1")
    fit = calibrate(sample, API, weights="pw", distance="linear")
    design = survey_design(sample, weights=fit, clusters="dnum", fpc="fpc")
    for name, strict in (("mean_trim_survey45", False), ("mean_strict_survey45", True)):
        row = golden("svy_trimweights", name).iloc[0]
        w = trim_weights(fit.weights, 20, 40, strict=strict)
        got = direct.mean(design.reweighted(w), "api00").table.iloc[0]
        expected = row[["estimate", "se", "cv", "ci_l", "ci_u"]].astype(float)
        ours = got[["est", "se", "cv", "lower", "upper"]].astype(float)
        np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_threshold_relative_to_the_median_of_emdi():
    sample = data("emdi_eusilcA_smp")
    line = poverty_threshold(sample["eqIncome"], sample["weight"])
    threshold = values("emdi_direct_indicators", "threshold")
    assert line == pytest.approx(threshold["fun"], rel=1e-12)
    assert threshold["fixed"] == 10859.24
    fixed = golden("emdi_direct_indicators", "ind_fixed", "Domain")
    moving = golden("emdi_direct_indicators", "ind_fun", "Domain")
    poor = ["Head_Count", "Poverty_Gap"]
    # The threshold moves those two only; the others are compared where it is fixed.
    pd.testing.assert_frame_equal(moving.drop(columns=poor), fixed.drop(columns=poor))
    for district, rows in sample.groupby("district"):
        y, w = rows["eqIncome"].to_numpy(), rows["weight"].to_numpy()
        gap = w @ np.maximum(0.0, (line - y) / line) / w.sum()
        got = [poverty_rate(y, w, line), gap]
        np.testing.assert_allclose(got, moving.loc[district, poor].astype(float), atol=1e-14)


def test_quintile_share_of_emdi_is_a_ratio_of_means():
    # Eurostat's S80/S20 divides what fifths receive; emdi divides their means, which is more by
    # the sizes of the two groups (4 and 3 persons of 17).
    theirs = golden("emdi_direct_indicators", "ind_fixed", "Domain")["Quintile_Share"]
    compared = 0
    for district, rows in data("emdi_eusilcA_smp").groupby("district"):
        y, w = rows["eqIncome"].to_numpy(), rows["weight"].to_numpy()
        low, high = weighted_quantile(y, w, [0.2, 0.8], rule="school")
        poor, rich = y <= low, y > high
        share = np.cumsum(w[np.argsort(y)]) / w.sum()
        if np.abs(share[:, None] - [0.2, 0.8]).min() < 1e-12:
            continue  # a tie: whether two values are averaged there is a matter of rounding in R
        means = quintile_share_ratio(y, w) * w[poor].sum() / w[rich].sum()
        assert means == pytest.approx(theirs[district], rel=1e-10)
        compared += 1
    assert compared == 52


def test_bootstrap_variances_of_emdi():
    sample = data("emdi_eusilcA_smp")
    sample["poor"] = (sample["eqIncome"] < 10859.24).astype(float)
    design = survey_design(sample, weights="weight", strata="district")
    theirs = golden("emdi_direct_indicators", "mse_boot_B200", "Domain")
    for column, y in (("Mean", "eqIncome"), ("Head_Count", "poor")):
        table = direct.mean(design, y, by="district").table.set_index("district")
        table = table[table["se"] > 0]
        ratio = np.log(theirs[column].reindex(table.index) / table["se"] ** 2)
        # 200 replicates: a log-variance has sd 0.1, its mean over 57 districts or more 0.013; a
        # bootstrap of n units is short by 1/n of the variance (n = 14 to 200: 0.04 on average).
        assert -0.04 - 4 * 0.013 < ratio.mean() < 4 * 0.013
        assert ratio.std() < 0.2
