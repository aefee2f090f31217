"""The frame against published figures that never entered it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.data import catalogue
from inegnum.data.areas import load_areas
from inegnum.data.codebook import REGION, profiles
from inegnum.data.frames.ages import region_ages
from inegnum.data.frames.atoms import AGES, SEXES
from inegnum.data.frames.build import build_frame, national_frame
from inegnum.data.frames.strata import sums_by
from inegnum.data.margins import commune_margins
from shared import shared

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    table = pd.read_csv(shared("data", "census", "insee_tables_transcribed.csv"), dtype=str)
    return table.assign(value=pd.to_numeric(table["value"]))


def _value(published: pd.DataFrame, **where: str) -> float:
    rows = published
    for column, level in where.items():
        rows = rows[rows[column] == level]
    assert len(rows) == 1, where
    return float(rows["value"].iloc[0])


def test_persons_60_and_over_by_commune(published: pd.DataFrame) -> None:
    """60-69 is never observed by commune: INSEE publishes it for one, 60+ for three."""
    frame = build_frame(load_areas(epci="243300316"), draws=100, seed=3)
    age = profiles()["age"]
    census = {"table_id": "POP T0"}
    wanted = {
        geo: _value(published, geo_code=f"COM-{geo}", census_year=year, age="60 à 74 ans", **census)
        + _value(published, geo_code=f"COM-{geo}", census_year=year, age="75 ans ou plus", **census)
        for geo, year in (("33318", "2019"), ("33249", "2021"), ("33434", "2021"))
    }
    cases = [(geo, ["60-69", "70+"], value) for geo, value in wanted.items()]
    sixties = _value(
        published,
        geo_code="COM-33075",
        table_id="citypopulation (relay INSEE RP2021)",
        age="60-69 ans",
        sex="Ensemble",
    )
    cases.append(("33075", ["60-69"], sixties))
    for geo, ages, value in cases:
        at = frame.areas["geo"].tolist().index(geo)
        chosen = age.isin(ages).to_numpy()
        lower, upper = np.quantile(frame.draws[:, at][:, chosen].sum(axis=1), [0.01, 0.99])
        assert lower < value < upper, (geo, value, lower, upper)


def test_projected_ages_of_2022(published: pd.DataFrame) -> None:
    """DREES and INED estimates of 1 January 2022, of a later base: within 3 %."""
    persons = region_ages(2022).persons.sum(axis=0)
    men = SEXES.index("men")
    first = np.array(AGES)
    source = {"geo_code": "METRO-1", "census_year": "2022"}
    for label, low, high in (
        ("55 à 59 ans", 55, 60),
        ("60 à 64 ans", 60, 65),
        ("65 à 74 ans", 65, 75),
    ):
        mine = persons[(first >= low) & (first < high), men].sum()
        assert mine == pytest.approx(_value(published, sex="Hommes", age=label, **source), rel=0.03)
    older = published[
        (published["geo_code"] == "METRO-1")
        & (published["sex"] == "Femmes")
        & (published["age"] == "65 ans ou plus")
        & (published["census_year"] == "2022")
    ]["value"].iloc[0]
    assert persons[first >= 65, SEXES.index("women")].sum() == pytest.approx(older, rel=0.005)


def test_communes_add_up_to_independent_ages() -> None:
    """Two thirds of communes are predicted; with them, old people add up to INSEE's estimates."""
    ages = region_ages(2022)
    persons = commune_margins(2022).areas.assign(persons=commune_margins(2022).persons)
    departments = persons.groupby("region")["department"].unique()
    mine, theirs = [], []
    for i, region in enumerate(REGION.levels):
        sums = sums_by(2022, tuple(sorted(departments[region])), 0, 0)
        total = sums.occupation.sum()
        mine.append(sums.age[0, :, 3].sum())
        old = ages.persons[i, AGES.index(75) :].sum()
        theirs.append(old * total / ages.persons[i].sum())
    ratio = np.array(mine) / np.array(theirs)
    assert np.abs(ratio - 1).max() < 0.06  # Corsica is the worst, 5 %
    assert sum(mine) / sum(theirs) == pytest.approx(1, abs=0.01)


def test_gironde_by_age_against_the_census_of_2021(published: pd.DataFrame) -> None:
    frame = build_frame(load_areas(department="33"))
    age = profiles()["age"]
    census = published[
        (published["geo_code"] == "DEP-33")
        & (published["sex"] == "Ensemble")
        & (published["household"] == "STATUT CONJUGAL: Ensemble")
    ].set_index("age")["value"]
    mine = frame.N[:, age.eq("25-39").to_numpy()].sum() / frame.persons("15+").sum()
    assert mine == pytest.approx(census["25 à 39 ans"] / census["Ensemble"], abs=0.01)
    old = frame.N[:, age.isin(["60-69", "70+"]).to_numpy()].sum() / frame.persons("15+").sum()
    # 55-64 must be cut at 60 to compare: half of it, less a little, is 60-64.
    sixty = (
        census["65 à 79 ans"] + census["80 ans ou plus"] + 0.48 * census["55 à 64 ans"]
    ) / census["Ensemble"]
    assert old == pytest.approx(sixty, abs=0.015)


def test_managers_of_25_to_39_in_the_attraction_area_of_bordeaux(published: pd.DataFrame) -> None:
    """Age x occupation of INSEE 2021, 275 communes: the crossing no commune publishes."""
    belongs = pd.read_csv(
        shared("data", "census", "table_appartenance_2023_TUU_AAV_communes_france.csv.gz"),
        dtype=str,
    )
    inside = set(belongs.loc[belongs["AAV2020"] == "006", "CODGEO"])
    communes, _ = catalogue.table("communes")
    frame = build_frame(load_areas(communes=sorted(inside & set(communes["geo"]))))
    table = profiles()
    census = published[
        (published["geo_code"] == "AAV2020-006")
        & (published["table_id"] == "POP6 V2")
        & (published["sex"] == "Ensemble")
    ]
    labels = {
        "manager": "Cadres et professions intellectuelles supérieures",
        "intermediate": "Professions intermédiaires",
        "employee": "Employés",
        "worker": "Ouvriers",
    }
    for occupation, label in labels.items():
        rows = census[census["csp"] == label].set_index("age")["value"]
        held = (table["occupation"] == occupation).to_numpy()
        young = frame.N[:, held & (table["age"] == "25-39").to_numpy()].sum()
        share = young / frame.N[:, held].sum()
        # One year and the enrolled (a few percent of the young in each class) apart: 4 points.
        assert share == pytest.approx(rows["25 à 39 ans"] / rows["Ensemble"], abs=0.04), occupation


def test_national_frame_and_the_census_of_france() -> None:
    frame = national_frame()
    table = profiles()
    adults = ~table["diploma"].isin(["minor", "student"]).to_numpy()
    counts = (
        pd.Series(frame.N[:, adults].sum(axis=0))
        .groupby(table.loc[adults, "diploma"].to_numpy())
        .sum()
    )
    shares = counts / counts.sum()
    # France 2020 (FOR T2): 21.1 % without diploma. Two years of drift and leaving out the overseas
    # departments (about 3 % of persons, twice the rate) bring it near 20.
    assert shares["none"] == pytest.approx(0.20, abs=0.006)
    # Of all persons 12+: 17 to 18 %, as students and minors are in the denominator.
    assert frame.N[
        :, (table["diploma"] == "none").to_numpy()
    ].sum() / frame.N.sum() == pytest.approx(0.173, abs=0.008)
    communes, _ = catalogue.table("communes")
    metropolitan = communes[communes["region"].isin(REGION.levels)]
    children = commune_margins(2022).children.sum()
    total = frame.persons("15+").sum() + children
    # PMUN 2022 of metropolitan France; 119 communes without an occupation row hold 0.01 %.
    assert total == pytest.approx(metropolitan["population_2022"].sum(), rel=1e-3)
