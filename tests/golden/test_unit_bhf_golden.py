"""Unit-level EBLUP against R sae 1.3, lme4 1.1.31 and JoSAE 0.3.0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.estimators.result import AreaEstimates
from inegnum.estimators.unit.bhf import bhf
from inegnum.estimators.unit.inputs import AreaMeans, UnitSample
from inegnum.estimators.unit.reading import read_means, read_sample
from inegnum.numerics.bhf import fit_bhf, responses
from inegnum.numerics.bhf_bayes import integrate_bhf
from inegnum.numerics.bhf_predict import analytic_mse, make_targets
from shared import shared

pytestmark = pytest.mark.shared


def _read(*parts: str) -> pd.DataFrame:
    return pd.read_csv(shared("golden", *parts))


def _values(case: str, name: str) -> dict[str, float]:
    table = _read(case, f"expected_{name}.csv")
    return dict(zip(table.iloc[:, 0], table.iloc[:, 1], strict=True))


def _corn() -> tuple[UnitSample, AreaMeans]:
    # row 33 of the published table is the outlier every analysis leaves out
    data = _read("data", "sae_cornsoybean.csv").drop(index=32)
    sample = read_sample("CornHec ~ CornPix + SoyBeansPix", data, area="County")
    population = _read("data", "sae_cornsoybeanmeans.csv").rename(
        columns={"MeanCornPixPerSeg": "CornPix", "MeanSoyBeansPixPerSeg": "SoyBeansPix"}
    )
    return sample, read_means(sample, population, area="CountyIndex", size="PopnSegments")


def _norway() -> tuple[UnitSample, AreaMeans]:
    data = _read("data", "JoSAE_sample.csv")
    data.columns = [name.replace(".", "_") for name in data.columns]
    sample = read_sample("biomass_ha ~ mean_canopy_ht", data, area="domain_ID")
    population = _read("data", "JoSAE_domain.csv")
    population.columns = ["domain_ID", "N", "mean_canopy_ht"]
    return sample, read_means(sample, population, area="domain_ID")


# nlme and lme4 stop on the likelihood, flat at its top: variances agree to about 1e-7 under REML
# and 4e-9 under ML, and everything that follows from them one to two digits better.
@pytest.mark.parametrize(("method", "tail", "rtol"), [("REML", "reml", 2e-7), ("ML", "ml", 1e-8)])
def test_variance_components_match_lme4(method: str, tail: str, rtol: float) -> None:
    sample, means = _corn()
    est = bhf(sample, means, method=method, mse="none")  # type: ignore[arg-type]
    expected = _values("lme_BHF_corn_profile", f"vc_{tail}")
    assert est.variance["sigma2_u"] == pytest.approx(expected["sigma2u"], rel=rtol)
    assert est.variance["sigma2_e"] == pytest.approx(expected["sigma2e"], rel=rtol)
    # at a maximum the likelihood is second order in the parameters: full precision
    assert est.criteria["loglik"] == pytest.approx(expected["logLik"], rel=1e-13)
    table = _read("lme_BHF_corn_profile", f"expected_fixef_{tail}.csv")
    np.testing.assert_allclose(est.coefficients["beta"], table["Estimate"], rtol=2e-8)
    np.testing.assert_allclose(est.coefficients["se"], table["Std. Error"], rtol=2e-8)


def test_our_optimum_is_not_worse_than_lme4() -> None:
    sample, _ = _corn()
    design = sample.design()
    fit = fit_bhf(design, responses(design, sample.y))
    expected = _values("lme_BHF_corn_profile", "vc_reml")
    # 1e-13: rounding of a sum of order 1e2
    assert fit.loglik[0] >= expected["logLik"] - 1e-13 * abs(expected["logLik"])


@pytest.mark.parametrize(("method", "tail"), [("REML", ""), ("ML", "_ML")])
def test_eblup_matches_sae(method: str, tail: str) -> None:
    sample, means = _corn()
    est = bhf(sample, means, method=method, mse="none")  # type: ignore[arg-type]
    expected = _read("sae_BHF_corn", f"expected_eblup{tail}.csv")
    # 1e-7 asked for; the reference's own optimiser allows 1e-8 here
    np.testing.assert_allclose(est.table["est"], expected["eblup"], rtol=2e-8)
    assert est.table["n"].tolist() == expected["sampsize"].tolist()
    effects = _read("sae_BHF_corn", f"expected_random{tail}.csv")["u"]
    design = sample.design()
    fit = fit_bhf(design, responses(design, sample.y), method=method)  # type: ignore[arg-type]
    # effects of order 1 to 12 carry the 1e-7 of the variances
    np.testing.assert_allclose(fit.u[0], effects, rtol=5e-7, atol=1e-7)


def test_conditional_variance_of_effects_matches_lme4() -> None:
    sample, _ = _corn()
    design = sample.design()
    fit = fit_bhf(design, responses(design, sample.y))
    expected = _read("lme_BHF_corn_profile", "expected_ranef_reml.csv")
    g1 = (1 - fit.gamma[0]) * fit.sigma2_u[0]
    np.testing.assert_allclose(g1, expected["condvar"], rtol=2e-7)


def test_bootstrap_mse_agrees_with_sae_within_monte_carlo() -> None:
    sample, means = _corn()
    B = 4000
    ours = bhf(sample, means, mse="bootstrap", B=B, seed=7).table["mse"]
    expected = _read("sae_BHF_corn", "expected_pbmse_B500_seed123.csv")["mse"]
    # Squared errors of a normal variable have variance 2 mse^2: the ratio of the two bootstraps has
    # a standard error of sqrt(2/500 + 2/4000) = 6.7 %. Twelve areas, Bonferroni at 1e-3: 4 errors.
    error = np.sqrt(2 / 500 + 2 / B)
    assert np.abs(ours / expected - 1).max() < 4 * error
    # and no common bias: replicates share nothing between runs, areas share theirs at most wholly
    assert abs(float((ours / expected).mean()) - 1) < 3 * error


def test_norway_points_and_mse_parts_match_josae() -> None:
    sample, means = _norway()
    est: AreaEstimates = bhf(sample, means)
    expected = _read("josae_norway", "expected_result.csv")
    # nlme stopped 3e-6 short of the maximum in sigma2_u: everything inherits it
    np.testing.assert_allclose(est.table["est"], expected["EBLUP"], rtol=1e-6)
    np.testing.assert_allclose(est.table["gamma"], expected["gamma.i"], rtol=5e-6)
    design = sample.design()
    fit = fit_bhf(design, responses(design, sample.y))
    at = sample.positions(means.geo)
    parts = analytic_mse(design, fit, make_targets(design, at, means.X, None))
    for ours, name in ((parts.g1, "c1"), (parts.g2, "c2"), (parts.g3, "c3")):
        np.testing.assert_allclose(ours, expected[name], rtol=5e-6)
    # JoSAE publishes the area-specific variants of Rao: g3 scaled by the squared area residual
    s2u, s2e = fit.sigma2_u[0], fit.sigma2_e[0]
    specific = parts.g3 * expected["mean.resid.lme"] ** 2 / (s2u + s2e / design.n_i)
    np.testing.assert_allclose(specific, expected["c3star"], rtol=2e-5)
    np.testing.assert_allclose(
        parts.g1 + parts.g2 + parts.g3 + specific, expected["EBLUP.var.2"], rtol=5e-6
    )
    np.testing.assert_allclose(est.table["mse"], parts.g1 + parts.g2 + 2 * parts.g3, rtol=1e-12)


def test_weak_prior_as_rstanarm_within_its_monte_carlo_error() -> None:
    sample, _ = _corn()
    design, at = sample.design(), np.arange(len(sample.geo))
    targets = make_targets(design, at, np.ones((len(at), 3)), None)
    post = integrate_bhf(design, responses(design, sample.y), sample.y, targets, prior="weak")
    expected = _read("rstanarm_lmer_corn", "expected_params.csv").set_index("parameter")
    mean = [*post.beta, *post.effects, post.moments["sigma_e"], post.moments["sigma2_u"]]
    gap = (np.array(mean) - expected["mean"]) / expected["mcse_mean"]
    # Seventeen means: the largest of as many normal errors passes 4 once in a thousand.
    assert np.abs(gap).max() < 4
    sd = [*np.sqrt(np.diag(post.cov_beta)), *post.effect_sd, post.moments["sd(sigma_e)"]]
    ratio = np.array(sd) / expected["sd"].iloc[:-1]
    # A standard deviation from n_eff draws has relative error 1 / sqrt(2 n_eff).
    assert (np.abs(ratio - 1) * np.sqrt(2 * expected["ess_bulk"].iloc[:-1])).max() < 4
