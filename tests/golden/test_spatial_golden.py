"""Spatial Fay-Herriot against R sae 1.3 (grapes, tight precision) and emdi 2.2.2 (Austria)."""

from __future__ import annotations

import numpy as np
import pytest

from area_cases import austria, case, matrix, table, value
from inegnum.estimators.area import AreaData, spatial_fay_herriot

pytestmark = pytest.mark.shared


def grapes() -> AreaData:
    t = table("sae_grapes")
    t = t.assign(geo=[f"g{i}" for i in range(len(t))])
    return AreaData.from_formula("grapehect ~ area + workdays - 1", t, variance="var", geo="geo")


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_grapes_as_sae(method: str) -> None:
    name = "sae_SFH_grapes"
    est = spatial_fay_herriot(grapes(), matrix("sae_grapesprox"), method=method.lower())
    # Scoring was stopped at a relative step of 1e-12: thirteen digits of the variance remain.
    for ours, theirs in (("sigma2_u", "refvar"), ("rho", "rho")):
        assert est.variance[ours] == pytest.approx(value(name, f"fit_{method}", theirs), rel=1e-10)
    expected = case(name, f"est_{method}")
    np.testing.assert_allclose(est.table["est"], expected["eblup"], rtol=1e-10)
    # The reference inverts V and its derivatives as dense matrices: ten digits of the MSE.
    np.testing.assert_allclose(est.table["mse"], expected["mse"], rtol=1e-9)
    coef = case(name, f"coef_{method}")
    np.testing.assert_allclose(est.coefficients["beta"], coef["beta"], rtol=1e-10)
    np.testing.assert_allclose(est.coefficients["se"], coef["std.error"], rtol=1e-10)
    for ours, theirs in (("loglik", "loglike"), ("AIC", "AIC"), ("BIC", "BIC")):
        found = est.criteria[ours]
        assert found == pytest.approx(value(name, f"fit_{method}", theirs), rel=1e-10)


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_austria_as_emdi(method: str) -> None:
    name = "emdi_fh_spatial"
    est = spatial_fay_herriot(austria(), matrix("emdi_eusilcA_prox"), method=method)
    reference = case(name, f"var_{method}").iloc[0]
    assert est.variance["rho"] == pytest.approx(reference["correlation"], rel=1e-9)
    assert est.variance["sigma2_u"] == pytest.approx(reference["variance"], rel=1e-9)
    np.testing.assert_allclose(est.table["est"], case(name, f"ind_{method}")["FH"], rtol=1e-10)
    np.testing.assert_allclose(est.table["mse"], case(name, f"mse_{method}")["FH"], rtol=1e-9)


@pytest.mark.slow
def test_bootstrap_mse_agrees_with_sae_within_monte_carlo_error() -> None:
    """The reference has B = 50; each area's MSE has relative error sqrt(2/50), and 274 areas share
    only the fit: the mean ratio is known to 0.2 / sqrt(274), doubled for what they share."""
    est = spatial_fay_herriot(
        grapes(), matrix("sae_grapesprox"), mse="bootstrap", replicates=100, seed=1
    )
    ratio = est.table["mse"].to_numpy() / case("sae_SFH_pbmse", "est")["mse"].to_numpy()
    error = 2 * 0.2 * np.sqrt(1.5) / np.sqrt(274)
    # E(1/chi2_50) exceeds 1/50 by 4 %: the mean of a ratio to a noisy reference does too.
    assert float(ratio.mean()) == pytest.approx(1.04, abs=5 * error)
