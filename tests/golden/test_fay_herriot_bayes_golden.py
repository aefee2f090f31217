"""Bayesian Fay-Herriot on milk: hbsae 1.2 (numerical integration), mcmcsae 0.7.8 (Gibbs)."""

from __future__ import annotations

import numpy as np
import pytest

from area_cases import case, milk, value
from inegnum.estimators.area import bayes_fay_herriot
from inegnum.estimators.area.mse import predict
from inegnum.numerics.fay_herriot_bayes import integrate_fay_herriot
from inegnum.numerics.reml import fit_at, fit_fay_herriot, mse_terms

pytestmark = pytest.mark.shared


def test_flat_prior_as_hbsae() -> None:
    est, name = bayes_fay_herriot(milk(), prior="flat"), "hbsae_area_milk"
    expected = case(name, "HB")
    # hbsae's own integrals are good to about 1e-5 (it warns about 43 of them).
    np.testing.assert_allclose(est.table["est"], expected["est"], rtol=1e-5)
    np.testing.assert_allclose(est.table["mse"], expected["mse"], rtol=3e-5)
    assert est.variance["sigma2_u"] == pytest.approx(value(name, "par_HB", "lambda"), rel=3e-5)


def test_plug_in_methods_as_hbsae() -> None:
    """REML and hybrid are the EBLUP with g1 + g2 at the REML estimate and the posterior mean."""
    data, name = milk(), "hbsae_area_milk"
    reml = fit_fay_herriot(data.y, data.X, data.D)
    hybrid = fit_at(value(name, "par_hybrid", "lambda"), data.y, data.X, data.D)
    # hbsae maximises with a default tolerance, 1e-4 of the variance; its estimate of the hybrid's
    # variance is printed to the 1e-5 of its integrals, which is what the hybrid's MSE shows.
    for label, fit, tolerance in (("REML", reml, 2e-4), ("hybrid", hybrid, 3e-5)):
        expected = case(name, label)
        terms = mse_terms(fit, data.X, data.D)
        np.testing.assert_allclose(
            predict(fit, data.y, data.X, data.D), expected["est"], rtol=tolerance
        )
        np.testing.assert_allclose(terms.g1 + terms.g2, expected["mse"], rtol=tolerance)


def test_half_cauchy_prior_as_mcmcsae_within_its_monte_carlo_error() -> None:
    data, name = milk(), "mcmcsae_fh_milk"
    post = integrate_fay_herriot(data.y, data.X, data.D, prior="half-cauchy", scale=1.0)
    theta, beta = case(name, "theta"), case(name, "beta")
    # 43 + 4 + 1 means compared: the largest of 48 normal errors passes 4 once in 300.
    assert (np.abs(post.mean - theta["Mean"]) / theta["MCSE"]).max() < 4
    assert (np.abs(post.beta - beta["Mean"]) / beta["MCSE"]).max() < 4
    sigma = case(name, "sigma_v").iloc[0]
    assert abs(post.sigma - sigma["Mean"]) / sigma["MCSE"] < 4
    # A standard deviation from n_eff draws has relative error 1 / sqrt(2 n_eff).
    for found, row in ((np.sqrt(post.variance), theta), (np.sqrt(np.diag(post.cov_beta)), beta)):
        assert (np.abs(found / row["SD"] - 1) * np.sqrt(2 * row["n_eff"])).max() < 4
    assert post.sigma_sd == pytest.approx(sigma["SD"], rel=4 / np.sqrt(2 * sigma["n_eff"]))
