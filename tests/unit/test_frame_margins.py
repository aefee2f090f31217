"""Margins of communes, ages of regions, links: each against arithmetic done another way."""

from __future__ import annotations

import numpy as np
import pytest

from inegnum.data import catalogue
from inegnum.data.areas import load_areas
from inegnum.data.codebook import REGION
from inegnum.data.frames.ages import department_ages, projection_error, region_ages
from inegnum.data.frames.atoms import AGES
from inegnum.data.frames.communes import commune_targets
from inegnum.data.frames.predict import (
    draw_occupation,
    fit_links,
    margin_noise,
    predict,
    shares_of,
    z_of,
)
from inegnum.data.frames.seed import national_seed
from inegnum.data.margins import commune_margins, diploma_drift
from inegnum.errors import FrameError


@pytest.mark.parametrize("year", range(2018, 2024))
def test_margins_of_every_year_are_whole(year: int) -> None:
    """Four islands have no population of 2022, on which occupations stand."""
    margins = commune_margins(year)
    assert np.isfinite(margins.persons).all()
    assert (margins.persons > 0).all()
    assert np.isfinite(margins.population).all()
    assert not set(margins.areas["geo"]) & {"22016", "29083", "29155", "85113"}


def test_shares_add_up_and_rates_of_2018_are_kept() -> None:
    margins = commune_margins(2022).at(["33063"])
    assert margins.age[0].sum() == pytest.approx(1)
    assert margins.status[0].sum() == pytest.approx(1)
    assert margins.occupation[0].sum() == pytest.approx(1)
    census, _ = catalogue.table("census_2018")
    bordeaux = census.set_index("geo").loc["33063"]
    rate = bordeaux["enrolled_18_24"] / bordeaux["age_18_24"]
    assert margins.status[0, 0] / margins.age[0, 1] == pytest.approx(rate)


def test_farmers_and_self_employed_are_one_class() -> None:
    occupation, _ = catalogue.table("census_occupation_2022")
    row = occupation.set_index("geo").loc["33063"]
    margins = commune_margins(2022).at(["33063"])
    expected = (row["cs1"] + row["cs2"]) / row[[f"cs{i}" for i in range(1, 9)]].sum()
    assert margins.occupation[0, 0] == pytest.approx(expected)


def test_diplomas_drift_upwards_and_no_faster_than_before() -> None:
    drift = diploma_drift()
    assert drift.rate[0] < 0 < drift.rate[3]
    assert (np.abs(drift.rate) < 0.06).all()
    assert (drift.sd > 0).all()


def test_no_student_is_negative_anywhere_in_france() -> None:
    margins = commune_margins(2022)
    seen = margins.observed
    assert (margins.status[seen] > 0).all()
    assert (margins.status[seen, 0] < margins.age[seen, 1]).all()
    assert (margins.children >= 0).all()
    assert seen.sum() > 5000


def test_projection_repeats_known_years_and_its_error_is_small() -> None:
    known = region_ages(2020)
    table, _ = catalogue.table("population_region_age")
    rows = table[(table["year"] == 2020) & (table["region"] == "75") & (table["first_age"] >= 15)]
    at = REGION.code("75")
    assert known.persons[at].sum() == pytest.approx(rows["persons"].sum())
    eighty = rows.loc[rows["first_age"] >= 80, "persons"].sum()
    assert known.persons[at, AGES.index(80)].sum() == pytest.approx(eighty)
    # Cohorts between five-year ages move little in five years: 0.8 % measured.
    assert 0.002 < projection_error() < 0.02
    with pytest.raises(FrameError, match="not known for this year"):
        region_ages(2040)


def test_twelve_to_fourteen_is_between_a_sixth_and_a_quarter_of_children() -> None:
    share = region_ages(2022).child_share.sum(axis=1)
    assert (share > 0.19).all()
    assert (share < 0.25).all()


def test_departments_follow_their_regions() -> None:
    then, now = department_ages(2019), department_ages(2022)
    assert then.departments == now.departments
    assert len(now.departments) == 96
    gironde = now.departments.index("33")
    table, _ = catalogue.table("population_department_age")
    rows = table[(table["department"] == "33") & (table["first_age"] == 75)]
    assert then.persons[gironde, 3].sum() == pytest.approx(rows["persons"].sum())
    assert now.persons[gironde, 3].sum() > then.persons[gironde, 3].sum()


def test_log_ratios_go_back_to_the_shares_they_came_from() -> None:
    rng = np.random.default_rng(2)
    age = rng.dirichlet(np.full(4, 20.0), size=30)
    status = rng.dirichlet(np.full(6, 20.0), size=30)
    status[:, 0] = np.minimum(status[:, 0], 0.5 * age[:, 1])
    status /= status.sum(axis=1, keepdims=True)
    women = rng.uniform(0.3, 0.7, 30)
    back = shares_of(z_of(age, status, women))
    for found, wanted in zip(back, (age, status, women), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_occupation_predicts_diploma_out_of_region() -> None:
    margins = commune_margins(2022)
    away = (margins.areas["region"] != "75").to_numpy()
    fitted = fit_links(margins, margins.observed & away & (margins.population < 50_000))
    geos = margins.areas.loc[margins.observed & ~away, "geo"].tolist()
    here = margins.at(geos)
    z = predict(here, fitted)
    truth = z_of(here.age, here.status, here.women)
    skill = 1 - ((z - truth) ** 2).mean(axis=0) / truth.var(axis=0)
    # none, higher and 75+ against below bac and 30-74: measured .60, .85, .67.
    assert skill[[2, 5, 7]].min() > 0.45


def test_error_of_margins_grows_with_age_and_falls_with_size() -> None:
    noise = margin_noise()
    sizes = np.array([2000.0, 20_000.0, 200_000.0])
    assert (np.diff(noise.sd(4, sizes), axis=0) < 0).all()
    assert (noise.sd(8, sizes) > noise.sd(4, sizes)).all()


def test_national_seed_meets_the_census_and_keeps_survey_associations() -> None:
    seed = national_seed()[0]
    # Table FOR T2, France 2020: no diploma 21.1 % of persons no longer enrolled; 0.2 for rounding
    # of shares by sex and the overseas departments.
    none = seed[:, :, 1].sum() / seed[:, :, 1:].sum()
    assert none == pytest.approx(0.211, abs=0.002)
    # Table POP6, France 2020: 5,303,391 managers.
    assert seed[..., 1].sum() == pytest.approx(5_303_391, rel=1e-4)
    # Managers hold degrees, workers do not: the survey's association, not independence.
    degrees = seed[3:, :, 4].sum(axis=(0, 1)) / seed[3:, :, 1:].sum(axis=(0, 1, 2))
    assert degrees[1] > 0.7
    assert degrees[4] < 0.2


def test_national_draws_differ_and_meet_the_census_too() -> None:
    tables = national_seed(5, np.random.default_rng(1))
    managers = tables[..., 1].sum(axis=(1, 2, 3))
    np.testing.assert_allclose(managers, managers[0], rtol=1e-5)
    joint = tables[:, AGES.index(45), :, 1, 3].sum(axis=1)
    assert joint[1:].std() / joint.mean() > 0.01


def test_the_drift_of_diplomas_is_the_same_draw_everywhere() -> None:
    geos = [g for g in load_areas(epci="243300316")["geo"] if g != "33487"]
    margins = commune_margins(2022).at(geos)
    status = commune_targets(margins, 300, 5).status[1:, :, 2:]
    none = np.log(status[..., 0] / status.sum(axis=-1))
    # Errors of single communes average out over 27; what France shares does not. Drift over four
    # years has an sd of 4 x 0.0067 on none and more on what replaces it.
    alone = none.std(axis=0).mean() / np.sqrt(len(geos))
    assert none.mean(axis=1).std() > 1.3 * alone


def test_occupations_vary_as_a_sample_of_households_does() -> None:
    margins = commune_margins(2022).at(["33249", "33065"])  # above and below 10,000 inhabitants
    drawn = draw_occupation(margins, np.random.default_rng(3).spawn(2), 4000)
    for i, fraction in enumerate((0.40, 0.25)):
        share = margins.occupation[i]
        effective = margins.persons[i] * fraction / (1 - fraction) / 1.3
        expected = np.sqrt(share * (1 - share) / effective)
        # 4,000 draws give an sd to 1.1 %; 5 % leaves four of those.
        np.testing.assert_allclose(drawn[:, i].std(axis=0), expected, rtol=0.05)
