"""Rates of groups within areas: they add up, they hold the truth, they are masked with reason."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from inegnum.data.codebook import REGION, URBAN, profiles
from inegnum.data.types import SurveyCells
from inegnum.estimates.estimate import area_draws
from inegnum.estimates.profiles import COLUMNS, GROUPS, profile_rates
from inegnum.estimates.quality import QualityLimits
from inegnum.estimates.table import tabulate
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec
from simulated import country

OPEN = QualityLimits((0.9, 0.95, 1.0), (97.0, 98.0, 99.0), 0.0)
WHOLE = "243300316"


@pytest.fixture(scope="module")
def world():
    return country()


@pytest.fixture(scope="module")
def fitted(world):
    spec = ModelSpec(history=(2018, 2019), draws=600, points=16)
    return fit(spec, world.survey, national=world.national, seed=1)


def rates(world, fitted, *, survey=None, limits=OPEN, area_limits=OPEN, seed=2):
    drawn = area_draws(
        fitted, world.metropolis, national=world.national, whole=(WHOLE, "whole"), seed=seed
    )
    areas = tabulate(drawn, year=2022, limits=area_limits)
    table = profile_rates(
        fitted,
        world.metropolis,
        areas,
        survey=survey or world.survey,
        seed=seed,
        limits=limits,
    )
    return areas.set_index("geo"), table


def test_ages_add_up_to_their_area(world, fitted):
    areas, table = rates(world, fitted)
    assert tuple(table.columns) == COLUMNS
    ages = table[table["margin"] == "age"].groupby("geo")[["people", "N"]].sum()
    assert len(ages) == 7
    for geo in ages.index:
        # Six groups, each rounded to a tenth of a person.
        assert ages.loc[geo, "people"] == pytest.approx(areas.loc[geo, "people"], abs=0.3)
        assert ages.loc[geo, "N"] == pytest.approx(areas.loc[geo, "N"], abs=0.3)


def test_with_and_without_make_up_the_group(world, fitted):
    _, table = rates(world, fitted)
    # Three means, each rounded to a tenth of a person.
    np.testing.assert_allclose(table["people"] + table["without"], table["N"], atol=0.16)
    # Bounds are of draws in which the group's size varies too: none follows from the others.
    assert (table["without_lower"] < table["without"]).all()
    assert (table["without"] < table["without_upper"]).all()


def test_the_chance_of_being_above_the_area_follows_the_rates(world, fitted):
    areas, table = rates(world, fitted)
    above = table["est"].to_numpy() > areas.loc[table["geo"], "est"].to_numpy()
    sure = (table["p_above_area"] > 0.9) | (table["p_above_area"] < 0.1)
    assert sure.sum() > 60
    assert ((table["p_above_area"] > 0.5) == above)[sure].all()


def test_the_whole_is_the_sum_of_its_areas(world, fitted):
    _, table = rates(world, fitted)
    sums = table[table["geo"] != WHOLE].groupby(["margin", "group"])["people"].sum()
    whole = table[table["geo"] == WHOLE].set_index(["margin", "group"])["people"]
    # Six areas and the whole, each rounded to a tenth of a person.
    np.testing.assert_allclose(sums[whole.index], whole, atol=0.35)


def test_iris_are_summed_to_their_commune(world, fitted):
    frame = world.metropolis
    names = frame.areas["geo"].str[:5]
    cut = frame.areas.assign(
        level="iris", geo=names + [f"010{i}" for i in range(6)], commune=["33000", "33001"] * 3
    ).assign(commune_name=lambda t: t["commune"])
    finest = replace(frame, areas=cut)
    drawn = area_draws(fitted, finest, national=world.national, whole=(WHOLE, "whole"), seed=2)
    areas = tabulate(drawn, year=2022, limits=OPEN)
    table = profile_rates(fitted, finest, areas, survey=world.survey, seed=2, limits=OPEN)
    assert set(table["geo"]) == {WHOLE, "33000", "33001"}
    ages = table[table["margin"] == "age"].groupby("geo")["people"].sum()
    expected = areas.set_index("geo")["people"]
    # Six groups, each rounded to a tenth of a person.
    np.testing.assert_allclose(ages, expected[ages.index], atol=0.35)


def test_the_truth_of_each_group_is_inside(world, fitted):
    _, table = rates(world, fitted)
    u, r = URBAN.levels.index("100k+"), REGION.levels.index(world.metropolis.areas["region"][0])
    truth = expit(world.profile + world.urban[u] + world.region[r])
    who = profiles()
    inside, widths = [], []
    for row in table[table["geo"] == WHOLE].to_dict("records"):
        kept = who[row["margin"]].isin(GROUPS[row["margin"]][row["group"]]).to_numpy()
        N = world.metropolis.N.sum(axis=0)[kept]
        inside.append(row["lower"] <= (N @ truth[kept]) / N.sum() <= row["upper"])
        widths.append(row["upper"] - row["lower"])
    # One simulated survey, groups strongly dependent: nearly all of 18 intervals of 95 %.
    assert sum(inside) >= 16
    assert max(widths) < 0.4


def test_groups_differ_as_the_truth_does(world, fitted):
    _, table = rates(world, fitted)
    ages = table[(table["geo"] == WHOLE) & (table["margin"] == "age")].set_index("group")["est"]
    assert ages["18-24"] > ages["40-59"] > ages["70+"]


def test_a_masked_area_masks_its_groups(world, fitted):
    few = QualityLimits((0.9, 0.95, 1.0), (97.0, 98.0, 99.0), 1e12)
    _, table = rates(world, fitted, area_limits=few)
    assert set(table["reason"]) == {"area_masked"}
    assert table[["est", "lower", "upper", "people", "people_lower"]].isna().all(axis=None)
    assert table["N"].notna().all()
    assert table["p_above_area"].between(0, 1).all()
    assert table["p_above_area"].nunique() > 10


def test_too_few_persons_and_too_few_respondents_have_their_reason(world, fitted):
    thin = world.survey.table.copy()
    students = thin["occupation"] == "student"
    thin.loc[students, "n"] = 29 / students[thin["wave"] == 2022].sum()
    survey = SurveyCells(thin, world.survey.indicator, world.survey.source)
    floor = 300_000.0  # some groups of the simulated areas have fewer
    _, table = rates(world, fitted, survey=survey, limits=replace(OPEN, min_persons=floor))
    reasons = table.set_index(["geo", "margin", "group"])["reason"]
    assert (reasons.xs("student", level="group") == "few_respondents").all()
    rest = table[table["group"] != "student"]
    assert ((rest["reason"] == "few_persons") == (rest["N"] < floor)).all()
    assert {"few_persons", ""} <= set(rest["reason"])
