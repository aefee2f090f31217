"""Benchmarks against R emdi 2.2.2: mean income of Austria brought to 20,140.09."""

from __future__ import annotations

import numpy as np
import pytest

from area_cases import austria, case
from inegnum.estimates.benchmark import Target, benchmark_estimates
from inegnum.estimators.area import fay_herriot

pytestmark = pytest.mark.shared


@pytest.mark.parametrize(
    ("theirs", "ours"), [("raking", "difference"), ("ratio", "ratio"), ("MSE_adj", "mse")]
)
def test_as_emdi(theirs: str, ours: str) -> None:
    name = "emdi_benchmark"
    share = case(name, "share")["ratio_n"].to_numpy()
    est, shift = benchmark_estimates(
        fay_herriot(austria(), method="ml"), share, Target(20140.09), method=ours
    )
    expected = case(name, theirs)["FH_Bench"]
    # The model of the reference stopped `optimise` at a relative 1e-7 of the variance.
    np.testing.assert_allclose(est.table["est"], expected, rtol=1e-7)
    assert shift.after == pytest.approx(20140.09, rel=1e-12)
    # Shares of the reference sum to one, so that only the EBLUP is inherited.
    assert share.sum() == pytest.approx(1.0, abs=1e-9)
