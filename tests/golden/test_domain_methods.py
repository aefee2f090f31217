"""Classical domain estimators, regression, inequality, trimming and U5MR against references."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special

from inegnum.errors import CalibrationError
from inegnum.estimators import direct
from inegnum.estimators.calibration import calibrate, rake
from inegnum.estimators.calibration.trim import trim, trim_weights
from inegnum.estimators.design import survey_design
from inegnum.estimators.expansion import expansion
from inegnum.estimators.inequality import (
    gini,
    poverty_gap,
    poverty_rate,
    poverty_threshold,
    quintile_share_ratio,
)
from inegnum.estimators.replication import replicate
from inegnum.estimators.working_models import greg, working_model
from inegnum.numerics.quantiles import weighted_quantile
from shared import shared

pytestmark = pytest.mark.shared

API = {"stype": {"E": 4421, "H": 755, "M": 1018}, "api99": 3914069}
EXACT = 1e-11
SAE = "sae_direct_pssynt_ssd"


def golden(case: str, name: str, index: str | None = None) -> pd.DataFrame:
    table = pd.read_csv(shared("golden", case, f"expected_{name}.csv"))
    return table if index is None else table.set_index(index)


def data(name: str) -> pd.DataFrame:
    return pd.read_csv(shared("golden", "data", f"{name}.csv"))


@pytest.fixture(scope="module")
def incomes() -> pd.DataFrame:
    return data("sae_incomedata")


@pytest.mark.parametrize(
    ("name", "weights", "known"),
    [("direct_ht", "weight", True), ("direct_srswor", None, True), ("direct_srswr", None, False)],
)
def test_direct_by_province(incomes, name, weights, known):
    by = "prov" if name == "direct_ht" else "provlab"
    N = data("sae_sizeprov").set_index(by)["Nd"] if known else None
    got = expansion(incomes, "income", by, weights=weights, sizes=N).set_index(by)
    expected = golden(SAE, name, "Domain")
    for mine, theirs in (("est", "Direct"), ("se", "SD"), ("n", "SampSize")):
        np.testing.assert_allclose(got[mine], expected[theirs].reindex(got.index), rtol=EXACT)


@pytest.mark.parametrize("name", ["poverty_inc", "poverty_gap"])
def test_poverty_by_province(incomes, name):
    line = golden(SAE, "povline")["value"][0]
    poor = (incomes["income"] < line).astype(float)
    y = poor if name == "poverty_inc" else poor * (line - incomes["income"]) / line
    N = data("sae_sizeprov").set_index("prov")["Nd"]
    got = expansion(incomes.assign(y=y), "y", "prov", weights="weight", sizes=N)
    expected = golden(SAE, name)
    np.testing.assert_allclose(got["est"], expected["Direct"], rtol=EXACT)
    np.testing.assert_allclose(got["se"], expected["SD"], rtol=EXACT)


def test_laeken_indicators():
    sample = data("laeken_eusilc")
    y, w = sample["eqIncome"].to_numpy(), sample["rb050"].to_numpy()
    line = poverty_threshold(y, w)
    expected = golden("laeken_indicators", "thr", "key")["value"]
    assert line == pytest.approx(expected["arpt"], rel=EXACT)
    deciles = weighted_quantile(y, w, [0.1, 0.5, 0.9], rule="school")
    np.testing.assert_allclose(deciles, expected[["q10", "median", "q90"]], rtol=EXACT)
    for row in golden("laeken_indicators", "ind").itertuples():
        inside = slice(None) if row.stratum == "TOTAL" else (sample["db040"] == row.stratum)
        v, u = y[inside], w[inside]
        got = {
            "ARPR": lambda v=v, u=u: 100 * poverty_rate(v, u, line),
            "QSR": lambda v=v, u=u: quintile_share_ratio(v, u),
            "GINI": lambda v=v, u=u: 100 * gini(v, u),
            "RMPG": lambda v=v, u=u: 100 * poverty_gap(v, u, line),
        }[row.indicator]()
        assert got == pytest.approx(row.value, rel=EXACT)


def test_calibrated_bootstrap_of_the_poverty_rate():
    sample = data("laeken_eusilc")
    counts = sample.groupby("db040")["rb050"].sum()
    fit = rake(sample, {"db040": counts}, weights="rb050")
    design = survey_design(sample, weights=fit, strata="db040", clusters="db030")
    R = 40
    draws = replicate(design, "bootstrap", replicates=R, seed=4)
    y = sample["eqIncome"].to_numpy()
    items = pd.DataFrame({"indicator": ["ARPR"]})
    rates = draws.apply(
        lambda w: np.array([100 * poverty_rate(y, w, poverty_threshold(y, w))]), items
    )
    expected = golden("laeken_boot_calib", "var", "key")["value"]
    assert rates.point[0] == pytest.approx(expected["value"], rel=EXACT)
    # Two bootstraps of 40 and 50 replicates: a log-variance has sd sqrt(2/R) in each.
    noise = np.sqrt(2 / R + 2 / 50)
    assert abs(np.log(rates.se()[0] ** 2 / expected["var"])) < 3 * noise


@pytest.mark.parametrize(
    ("name", "family", "formula"),
    [
        ("gaussian", "gaussian", "api00 ~ ell + meals + mobility"),
        ("logistic", "binomial", "wide ~ ell + meals + mobility"),
    ],
)
def test_svyglm(name, family, formula):
    sample = data("survey_apistrat")
    sample["wide"] = (sample["sch.wide"] == "Yes").astype(float)
    design = survey_design(sample, weights="pw", strata="stype", fpc="fpc")
    got = working_model(design, formula, family=family).table
    expected = golden("svy_glm", name)
    # Normal equations on one side, QR on the other.
    for mine, theirs in (("est", "Estimate"), ("se", "Std. Error"), ("t", "t value")):
        np.testing.assert_allclose(got[mine], expected[theirs], rtol=1e-9)
    np.testing.assert_allclose(got["p"], expected["Pr(>|t|)"], rtol=1e-6)


def test_linear_greg_is_linear_calibration():
    sample, population = data("survey_apiclus1"), data("survey_apipop")
    design = survey_design(sample, weights="pw", clusters="dnum", fpc="fpc")
    model = working_model(design, "enroll ~ C(stype) + api99")
    got = greg(design, model, population)
    margins = {
        "stype": population["stype"].value_counts().to_dict(),
        "api99": float(population["api99"].sum()),
    }
    fit = calibrate(sample, margins, weights="pw", distance="linear")
    assert got.est == pytest.approx(float(fit.weights @ sample["enroll"]), rel=1e-10)
    # Residuals of the same regression, weighted by d rather than g d.
    expected = direct.total(design, fit.residuals(sample["enroll"]))
    assert got.se == pytest.approx(expected.table["se"][0], rel=1e-9)


def test_logistic_greg_on_classes_is_poststratification():
    sample = data("survey_apiclus1")
    sample["wide"] = (sample["sch.wide"] == "Yes").astype(float)
    design = survey_design(sample, weights="pw", clusters="dnum", fpc="fpc")
    cells = pd.DataFrame({"stype": ["E", "H", "M"], "N": [4421, 755, 1018]})
    model = working_model(design, "wide ~ C(stype)", family="binomial")
    got = greg(design, model, cells, counts="N")
    fit = rake(sample, {"stype": API["stype"]}, weights="pw")
    assert got.est == pytest.approx(float(fit.weights @ sample["wide"]), rel=1e-9)
    assert abs(got.correction) < 1e-6  # a saturated model leaves no mean residual


def test_trim_weights_of_survey():
    expected = golden("svy_trimweights", "w_survey45")
    fit = calibrate(data("survey_apiclus1"), API, weights="pw", distance="linear")
    np.testing.assert_allclose(fit.weights, expected["cal"], rtol=1e-9)
    np.testing.assert_allclose(trim_weights(fit.weights, 20, 40), expected["trim"], rtol=1e-9)
    strict = trim_weights(fit.weights, 20, 40, strict=True)
    np.testing.assert_allclose(strict, expected["strict"], rtol=1e-9)
    sample = data("survey_apiclus1")
    design = survey_design(sample, weights=fit, clusters="dnum", fpc="fpc")
    for name, w in (("mean_trim", trim_weights(fit.weights, 20, 40)), ("mean_strict", strict)):
        row = golden("svy_trimweights", f"{name}_survey45").iloc[0]
        got = direct.mean(design.reweighted(w), "api00").table.iloc[0]
        assert (got["est"], got["se"]) == pytest.approx((row["estimate"], row["se"]), rel=1e-9)


def test_trim_keeps_margins_where_survey_breaks_them():
    sample = data("survey_apiclus1")
    fit = calibrate(sample, API, weights="pw", distance="linear")
    kept = trim(fit, 20, 56)
    assert kept.weights.min() >= 20 - 1e-9
    assert kept.weights.max() <= 56 + 1e-9
    assert kept.solution.error.max() < 1e-10
    broken = trim_weights(fit.weights, 20, 56)
    assert abs(broken @ sample["api99"] / API["api99"] - 1) > 1e-4
    with pytest.raises(CalibrationError, match="least infeasible: stype = H can reach 672"):
        trim(fit, 20, 48)


def test_child_mortality_by_region_and_period():
    births = data("summer_DemoData_survey1")
    months = {"0": 1, "1-11": 11, "12-23": 12, "24-35": 12, "36-47": 12, "48-59": 12}
    expected = golden("summer_getDirect", "direct")
    design = survey_design(
        births, weights="weights", strata="strata", clusters="clustid", lonely="adjust"
    )
    for row in expected.itertuples():
        inside = births["time"] == row.years
        if row.region != "All":
            inside &= births["region"] == row.region
        domain = design.where(inside)
        hazard = direct.mean(domain, "died", by="age")
        p = hazard.table["est"].to_numpy()
        n = hazard.table["age"].map(months).to_numpy()
        survival = np.prod((1 - p) ** n)
        # d logit(1 - S)/dp, by the chain rule.
        slope = survival * n / (1 - p) / (survival * (1 - survival))
        logit = np.log((1 - survival) / survival)
        assert logit == pytest.approx(row._6, rel=1e-6)
        assert 1 - survival == pytest.approx(row.mean, rel=1e-6)
        half = special.ndtri(0.975) * np.sqrt(slope @ hazard.covariance @ slope)
        bounds = special.expit([logit - half, logit + half])
        np.testing.assert_allclose(bounds, [row.lower, row.upper], rtol=1e-5)
        assert slope @ hazard.covariance @ slope == pytest.approx(row._7, rel=1e-5)
