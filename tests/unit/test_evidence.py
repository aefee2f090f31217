"""Effective counts, the direct rate and the equalised mode, on numbers one can check by hand."""

import numpy as np
import pandas as pd
import pytest

from inegnum.data.types import SurveyCells
from inegnum.errors import InputError
from inegnum.estimators.evidence import direct_rate, encode, equalise_phone, evidence_rows
from simulated import INDICATOR, SOURCE


def respondents(rows):
    keys = ["wave", "age", "sex", "diploma", "occupation", "urban", "region", "mode"]
    d = pd.DataFrame(rows, columns=[*keys, "y", "w"])
    d = d.assign(n=1.0, wy=d.w * d.y, w2=d.w**2, w2y=d.w**2 * d.y)
    table = d.groupby(keys, as_index=False)[["n", "y", "w", "wy", "w2", "w2y"]].sum()
    return SurveyCells(table, INDICATOR, SOURCE)


def person(urban, mode, y, w, age="70+"):
    return (2022, age, "women", "none", "retired", urban, "75", mode, y, w)


def test_direct_rate_is_hajek_with_linearised_error():
    y, w = np.array([1, 0, 1, 1.0]), np.array([1, 2, 3, 4.0])
    table = respondents([person("rural", "web", a, b) for a, b in zip(y, w, strict=True)]).table
    found = direct_rate(table)
    p = 8 / 10
    assert found.rate == pytest.approx(p)
    variance = 4 / 3 * np.sum(w**2 * (y - p) ** 2) / 100
    assert found.se == pytest.approx(np.sqrt(variance))
    assert found.deff == pytest.approx(variance / (p * (1 - p) / 4))


def test_effective_counts_keep_the_rate_and_lose_the_design_effect():
    rng = np.random.default_rng(0)
    rows = [
        person(u, "web", int(rng.random() < 0.7), w)
        for u, w in zip(rng.choice(["rural", "100k+"], 500), rng.gamma(2, 0.5, 500), strict=True)
    ]
    cells = respondents(rows)
    found = evidence_rows(cells, counts="effective")
    direct = direct_rate(cells.table)
    assert found.y.sum() / found.n.sum() == pytest.approx(direct.rate)
    assert found.n.sum() == pytest.approx(500 / direct.deff)
    raw = evidence_rows(cells, counts="unweighted")
    assert raw.n.sum() == 500
    assert len(raw.n) == 2


def test_minors_are_known_by_age_and_students_by_diploma():
    table = pd.DataFrame(
        {
            "age": ["12-14", "12-17", "18-24"],
            "sex": "men",
            "diploma": ["minor", "minor", "student"],
            "occupation": ["minor", "minor", "student"],
            "urban": "rural",
            "region": "",
        }
    )
    codes = encode(table)
    assert codes["age"].tolist() == [0, 0, 1]
    assert codes["diploma"].tolist() == [-1, -1, 0]
    assert codes["occupation"].tolist() == [-1, -1, -1]
    assert codes["region"].tolist() == [-1, -1, -1]
    with pytest.raises(InputError, match="unknown level of diploma"):
        encode(table.assign(diploma="phd"))


def test_equalised_phone_share_is_the_same_everywhere_within_age():
    rows = []
    for urban, phones in (("rural", 7), ("100k+", 2)):
        rows += [person(urban, "phone", 0, 1.0)] * phones
        rows += [person(urban, "web", 1, 1.0)] * (10 - phones)
    rows += [person("paris", "web", 1, 1.0)] * 5  # no phone interview: left alone
    table = equalise_phone(respondents(rows)).table
    phone = table[table["mode"] == "phone"].set_index("urban")["w"]
    total = table.groupby("urban")["w"].sum()
    # The nine phone interviews are shared by the two sizes that hold some, none is lost.
    np.testing.assert_allclose((phone / total).dropna(), 9 / 20)
    np.testing.assert_allclose(total[["rural", "100k+", "paris"]], [10, 10, 5])


def test_phone_interviews_are_even_over_urban_sizes_and_regions_at_once():
    rng = np.random.default_rng(4)
    rows = []
    for _ in range(3000):
        urban, region = rng.choice(["rural", "100k+"]), rng.choice(["27", "75", "93"])
        # Phone interviews go with both: more in rural communes, more in one region.
        chance = {"27": 0.4, "75": 0.2, "93": 0.1}[region] * (1.5 if urban == "rural" else 0.5)
        mode = "phone" if rng.random() < chance else "web"
        age = rng.choice(["25-39", "40-59", "60-69", "70+"])
        rows.append(
            (2022, age, "women", "none", "retired", urban, region, mode, 1, rng.gamma(4, 0.25))
        )
    before = respondents(rows).table
    after = equalise_phone(respondents(rows)).table

    def share(table: pd.DataFrame, by: list[str]) -> pd.Series:
        phone = table["w"].where(table["mode"] == "phone", 0.0)
        keys = [table[name] for name in by]
        return phone.groupby(keys).sum() / table["w"].groupby(keys).sum()

    broad = {"25-39": "younger", "40-59": "younger"}
    after = after.assign(broad=after["age"].replace(broad))
    before = before.assign(broad=before["age"].replace(broad))
    for by, age in (("urban", "age"), ("region", "broad")):
        even, overall = share(after, [age, by]), share(before, [age])
        # Raking meets its margins to 1e-10.
        np.testing.assert_allclose(
            even, overall.reindex(even.index.get_level_values(0)).to_numpy(), rtol=1e-8
        )
        np.testing.assert_allclose(
            after.groupby([age, by])["w"].sum(), before.groupby([age, by])["w"].sum(), rtol=1e-8
        )
    assert share(before, ["region"]).max() > 2 * share(before, ["region"]).min()


def test_waves_without_a_phone_interview_are_left_alone():
    rows = [person("rural", "web", 1, 1.0), person("100k+", "web", 0, 2.0)]
    cells = respondents(rows)
    pd.testing.assert_frame_equal(equalise_phone(cells).table, cells.table, check_dtype=False)
