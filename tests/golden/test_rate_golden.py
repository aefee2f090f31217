"""Beta Fay-Herriot against R tipsae 1.0.3 (Stan)."""

from __future__ import annotations

import numpy as np
import pytest

from area_cases import case, table
from inegnum.estimators.area import AreaData, rate_fay_herriot

pytestmark = pytest.mark.shared


def test_beta_as_tipsae_within_its_monte_carlo_error() -> None:
    name = "tipsae_beta"
    areas = table("tipsae_emilia_cs")
    data = AreaData.from_formula("hcr ~ x", areas, variance="vars", geo="id", n="n")
    est = rate_fay_herriot(data, likelihood="beta", scale=2.5)
    t, reference = est.table.set_index("geo"), case(name, "est").set_index("Domains")
    reference = reference.loc[t.index]
    # The chains are not listed with their Monte-Carlo errors. A mean of 2,000 effective draws is
    # known to 1/45 sd, and 38 areas make the largest about 2.5 of these; quantiles at 2.5 % are
    # known to about 2.7 times that, sds to 1 / sqrt(2 x 2000) = 1.6 %.
    sd = reference["sd"]
    assert (np.abs(t["est"] - reference["mean"]) / sd).max() < 0.06
    assert (np.abs(t["se"] / sd - 1)).max() < 0.06
    assert (np.abs(t["lower"] - reference["2.5%"]) / sd).max() < 0.16
    assert (np.abs(t["upper"] - reference["97.5%"]) / sd).max() < 0.16
    sigma = case(name, "var").iloc[0]
    assert est.variance["sigma_u"] == pytest.approx(sigma["mean"], abs=0.06 * sigma["sd"])
    assert est.variance["sd(sigma_u)"] == pytest.approx(sigma["sd"], rel=0.06)
    # tipsae's coefficient is that of x over its standard deviation.
    slope = case(name, "fixed").set_index("term").loc["x"]
    found = est.coefficients["beta"].iloc[1] * areas["x"].std()
    assert found == pytest.approx(slope["mean"], abs=0.06 * slope["sd"])
