"""Deviations learned elsewhere: laws combined, regions heard, table used."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from inegnum.data import catalogue
from inegnum.data.codebook import profiles
from inegnum.data.types import SurveyCells
from inegnum.errors import InputError
from inegnum.estimators.learned_tau import (
    census_components,
    combined,
    learned_tau,
    region_likelihood,
    transfer,
)
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec, ModeReadings, Tau
from inegnum.numerics.laplace import GRID
from simulated import _survey, country

MEAN = np.log([0.10, 0.15, 0.20])
COVARIANCE = 0.2 * np.array([[1.0, 0.9, 0.8], [0.9, 1.1, 0.9], [0.8, 0.9, 1.3]])


def test_a_normal_likelihood_gives_the_conjugate_posterior():
    said, sd = np.log(0.2), 0.3
    loglik = -0.5 * ((np.log(GRID) - said) / sd) ** 2
    centre, spread = combined(MEAN, COVARIANCE, loglik)
    precision = np.linalg.inv(COVARIANCE) + np.diag([sd**-2, 0.0, 0.0])
    shift = np.linalg.inv(COVARIANCE) @ MEAN + np.array([said / sd**2, 0.0, 0.0])
    # Cells of 0.12 in log: the sum over them is exact to far less for a law of sd 0.25.
    np.testing.assert_allclose(centre, np.linalg.solve(precision, shift), atol=1e-4)
    np.testing.assert_allclose(spread, np.sqrt(np.diag(np.linalg.inv(precision))), atol=1e-4)


def test_regions_that_say_nothing_leave_the_census():
    centre, spread = combined(MEAN, COVARIANCE, np.zeros(len(GRID)))
    # The grid starts at 0.005 and ends at 4: seven prior sds either side.
    np.testing.assert_allclose(centre, MEAN, atol=1e-3)
    np.testing.assert_allclose(spread, np.sqrt(np.diag(COVARIANCE)), rtol=1e-3)


def test_years_of_a_target_count_once():
    base = {"given": "composition", "metropolis": 0.2, "commune": 0.3}
    rows = [
        {"year": year, "target": f"t{t}", "region": 0.1 * 2**t, **base}
        for year in (2012, 2018)
        for t in range(4)
    ]
    mean, covariance = transfer(pd.DataFrame(rows))
    logs = np.log(0.1) + np.log(2) * np.arange(4)
    assert mean[0] == pytest.approx(logs.mean())
    assert covariance[0, 0] == pytest.approx(logs.var(ddof=1) * 1.25)
    with pytest.raises(InputError, match="too few"):
        transfer(pd.DataFrame(rows[:3]))


@pytest.mark.parametrize("sd", [0.03, 0.6])
def test_the_regions_of_a_survey_show_how_much_they_differ(sd):
    world = country(5)
    effect = np.random.default_rng(9).standard_normal(13)
    effect *= sd / effect.std()
    effects = (world.profile, world.urban, effect)
    waves = (2020, 2022)
    survey = _survey(np.random.default_rng(8), profiles(), effects, world.national, (waves, 6000))
    spec = ModelSpec(waves=(2020, 2022), history=())
    loglik = region_likelihood(spec, survey, rng=np.random.default_rng(1))
    inside = GRID[loglik > loglik.max() - 2]
    # Twelve contrasts know an sd to a factor 1.5; zero cannot be told from 0.03.
    assert inside.min() < 1.2 * sd
    assert (inside.max() > 0.8 * sd) if sd > 0.1 else (inside.max() < 0.35)
    hidden = SurveyCells(survey.table.assign(region=""), survey.indicator, survey.source)
    with pytest.raises(InputError, match="no regions"):
        region_likelihood(spec, hidden, rng=np.random.default_rng(1))


def test_a_fit_takes_the_tau_of_its_indicator():
    world = country(3)
    spec = ModelSpec(history=(), draws=300, points=16, mode=ModeReadings(1.0, 0.0, 0.0))
    asked = replace(spec, tau=Tau(prior="learned", factor=2.0))
    found = fit(asked, world.survey, national=world.national, seed=1).spec.tau
    table, _ = catalogue.table("learned_tau")
    row = table.set_index("indicator").loc["smartphone"]
    assert (found.metro, found.commune, found.factor) == (row["metro"], row["commune"], 2.0)
    assert "pseudo-targets" in found.origin
    stated = fit(spec, world.survey, national=world.national, seed=1).spec.tau
    assert stated == Tau()
    with pytest.raises(InputError, match="no deviation was learned"):
        learned_tau("unknown")


def test_the_table_moves_from_the_census_towards_the_regions():
    table, _ = catalogue.table("learned_tau")
    assert (table["log_sd_metro"] < table["prior_log_sd_metro"]).all()
    # A likeliest sd of regions well above the census's raises the metropolis, well below lowers it.
    high, low = table.set_index("indicator").loc[["fibre_or_cable", "barrier_skills"], "metro"]
    assert high > table["prior_metro"].iloc[0] > low


@pytest.mark.slow
def test_the_table_starts_from_the_census_it_says():
    mean, covariance = transfer(census_components())
    table, _ = catalogue.table("learned_tau")
    row = table.iloc[0]
    # Three decimals are stored.
    assert np.exp(mean[1:]) == pytest.approx(row[["prior_metro", "prior_commune"]], abs=6e-4)
    assert np.sqrt(covariance[1, 1]) == pytest.approx(row["prior_log_sd_metro"], abs=6e-4)
    assert 0.7 < covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]) <= 1
