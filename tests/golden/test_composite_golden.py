"""Post-stratified synthetic and sample-size dependent estimates against R sae 1.3."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from area_cases import case, table
from inegnum.estimators.area import AreaData
from inegnum.estimators.composite import composite, size_dependent_weights
from inegnum.estimators.result import AreaEstimates
from inegnum.estimators.synthetic import poststratified_synthetic

pytestmark = pytest.mark.shared
NAME = "sae_direct_pssynt_ssd"


def synthetic() -> AreaEstimates:
    persons = table("sae_sizeprovedu").set_index("provlab")
    cells = [f"educ{k}" for k in range(4)]
    incomes = table("sae_incomedata")
    incomes = incomes.assign(cell="educ" + incomes["educ"].astype(str))
    return poststratified_synthetic(
        incomes, persons[cells], y="income", cell="cell", weight="weight", mean="ht"
    )


def test_poststratified_synthetic_as_sae() -> None:
    expected = case(NAME, "pssynt").set_index("Domain")["PsSynthetic"]
    found = synthetic().table.set_index("geo")["est"]
    np.testing.assert_allclose(found, expected.reindex(found.index), rtol=1e-12)


def test_size_dependent_composite_as_sae() -> None:
    incomes = table("sae_incomedata")
    size = table("sae_sizeprov").set_index("provlab")["Nd"].astype(float)
    by = incomes.groupby("provlab")
    estimated = by["weight"].sum().reindex(size.index)
    total = (incomes["income"] * incomes["weight"]).groupby(incomes["provlab"]).sum()
    direct = (total / size).reindex(size.index)
    phi = size_dependent_weights(estimated.to_numpy(), size.to_numpy())
    data = AreaData(
        direct.to_numpy(), np.ones((52, 1)), np.ones(52), size.index.to_numpy(dtype=object)
    )
    est = composite(data, synthetic(), weights=phi, mse_synthetic=1.0)
    expected = case(NAME, "ssd").set_index("Domain").reindex(size.index)
    np.testing.assert_allclose(est.table["gamma"], expected["CompWeight"], rtol=1e-12)
    np.testing.assert_allclose(est.table["est"], expected["ssd"], rtol=1e-12)
    assert set(pd.unique(est.table["basis"])) == {"direct", "composite"}
