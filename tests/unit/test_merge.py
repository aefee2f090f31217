"""Masked areas taken together, against sums done by hand on the draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.data.indicators import indicator
from inegnum.estimates.merge import MERGED_COLUMNS, merge_masked
from inegnum.estimates.table import AreaDraws, tabulate

SDS = np.array([0.01, 0.012, 0.07, 0.08, 0.075, 0.09])


def drawn(sds: np.ndarray = SDS, draws: int = 2000) -> AreaDraws:
    """Return a territory and five communes, the last four too uncertain to show."""
    rng = np.random.default_rng(3)
    count = len(sds) - 1
    areas = pd.DataFrame(
        {
            "geo": ["T", *[f"3300{i}" for i in range(count)]],
            "level": ["epci", *["commune"] * count],
            "name": ["Territory", *[f"C{i}" for i in range(count)]],
            "tier": ["F3", *["F3", "F4", "F4", "F3", "F4"][:count]],
            "basis": "model",
            "method": "mrp",
            "n": 0,
        }
    )
    rates = np.clip(0.8 + sds * rng.standard_normal((draws, count + 1)), 0, 1)
    persons = rng.uniform(900, 1100, (draws, count + 1))
    national = np.full(draws, 0.75)
    return AreaDraws(indicator("smartphone"), areas, rates, persons, national, whole=0)


def test_union_is_the_sum_of_its_persons_in_every_draw() -> None:
    given = drawn()
    table = tabulate(given, year=2022)
    assert table["class"].tolist()[2:] == ["D"] * 4
    row = merge_masked(given, table, year=2022).iloc[0]
    people = given.rates[:, 2:] * given.persons[:, 2:]
    rate = people.sum(axis=1) / given.persons[:, 2:].sum(axis=1)
    assert row["members"] == "33001 33002 33003 33004"
    assert row["est"] == pytest.approx(rate.mean(), rel=1e-12)
    assert row["upper"] == pytest.approx(np.quantile(rate, 0.975), rel=1e-12)
    assert row["people"] == pytest.approx(people.sum(axis=1).mean(), rel=1e-12)
    assert row["p_above_metropolis"] == (rate > given.rates[:, 0]).mean()
    # Independent deviations average out: the union is sure enough where none of its parts is.
    assert row["class"] != "D"
    assert row["level"] == "commune"
    assert row["tier"] == "F4"


def test_union_still_too_uncertain_is_masked_too() -> None:
    given = drawn(np.array([0.01, 0.012, 0.2, 0.2]))
    row = merge_masked(given, tabulate(given, year=2022), year=2022).iloc[0]
    assert row["class"] == "D"
    assert np.isnan(row["est"])


@pytest.mark.parametrize("sds", [[0.01, 0.012, 0.2], [0.01, 0.2, 0.2], [0.01, 0.012, 0.012]])
def test_no_union_of_one_area_nor_of_all(sds: list[float]) -> None:
    given = drawn(np.array(sds))
    found = merge_masked(given, tabulate(given, year=2022), year=2022)
    assert found.empty
    assert tuple(found.columns) == MERGED_COLUMNS
