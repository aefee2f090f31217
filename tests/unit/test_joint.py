"""Indicators and years drawn together: laws by fit kept, correlations as asked, changes told."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from inegnum.errors import InputError
from inegnum.estimators.joint import (
    family_index,
    predict_jointly,
    probability_all,
    shared_noise,
)
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec, ModeReadings, Tau
from inegnum.estimators.years import change, fit_years, year_correlation
from inegnum.numerics.correlated import correlated_effects, correlation_root
from simulated import country

SPEC = ModelSpec(
    waves=(2020, 2022), history=(), draws=2000, points=16, mode=ModeReadings(1.0, 0.0, 0.0)
)


@pytest.fixture(scope="module")
def world():
    return country(6)


@pytest.fixture(scope="module")
def pair(world):
    one = fit(SPEC, world.survey, national=world.national, seed=1)
    two = fit(SPEC, world.survey, national=world.national, seed=2)
    return one, replace(two, indicator=replace(two.indicator, code="tablet"))


def equal(rho: float) -> dict[str, np.ndarray]:
    R = np.array([[1.0, rho], [rho, 1.0]])
    return {"metro": R, "commune": R}


def test_each_fit_keeps_its_law_and_the_pair_its_correlation(world, pair):
    apart = [one.predict(world.metropolis, seed=3) for one in pair]
    joint = predict_jointly(pair, world.metropolis, equal(0.8), seed=3)
    for a, b in zip(apart, joint, strict=True):
        # 2,000 draws: 3 standard errors of a mean are 0.07 sd, of an sd 5 %.
        assert np.abs((a.point - b.point) / a.se()).max() < 0.1
        np.testing.assert_allclose(b.se(), a.se(), rtol=0.1)
    logits = [np.log(d.values / (1 - d.values))[:, 0] for d in joint]
    none = predict_jointly(pair, world.metropolis, equal(0.0), seed=3)
    loose = [np.log(d.values / (1 - d.values))[:, 0] for d in none]
    # The deviations are most of the variance of a commune, and all of the correlation.
    assert np.corrcoef(*logits)[0, 1] > 0.5
    assert abs(np.corrcoef(*loose)[0, 1]) < 0.1


def test_noise_has_the_correlation_asked_for_and_unit_variance():
    R = np.array([[1.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 1.0]])
    noise = shared_noise({"metro": R}, 20_000, seed=1)
    z = np.stack([one("metro", 2) for one in noise])
    np.testing.assert_allclose(np.corrcoef(z[:, :, 0]), R, atol=0.03)
    assert np.abs(np.corrcoef(z[0].T)[0, 1]) < 0.03
    np.testing.assert_allclose(z.std(axis=1), 1.0, atol=0.03)
    with pytest.raises(InputError, match="no correlation is given"):
        noise[0]("commune", 2)
    with pytest.raises(InputError, match="not a correlation"):
        correlation_root(np.array([[1.0, 1.5], [1.5, 1.0]]))


def test_together_is_more_likely_than_the_product_when_deviations_go_together(world, pair):
    joint = predict_jointly(pair, world.metropolis, equal(0.95), seed=3)
    table = probability_all(joint, pair)
    middle = (table["smartphone"] > 0.2) & (table["smartphone"] < 0.8)
    assert middle.any()
    assert (table["all"] - table["independent"])[middle].min() > 0.03
    assert (table["all"] <= table[["smartphone", "tablet"]].min(axis=1) + 1e-12).all()
    index = family_index(joint, pair)
    loose = family_index(predict_jointly(pair, world.metropolis, equal(0.0), seed=3), pair)
    # The mean of two that go together varies more than that of two that do not.
    assert (index.se() > 1.15 * loose.se()).all()


def test_what_cannot_be_drawn_together_is_refused(world, pair):
    short = replace(pair[1], national=pair[1].national[:10])
    with pytest.raises(InputError, match="as many draws"):
        predict_jointly((pair[0], short), world.metropolis, equal(0.5), seed=1)
    with pytest.raises(InputError, match="not of these fits"):
        predict_jointly(pair, world.metropolis, {"metro": np.eye(3)}, seed=1)
    few = world.metropolis.select(world.metropolis.areas["geo"].tolist()[:2])
    with pytest.raises(InputError, match="same areas"):
        predict_jointly(pair, (world.metropolis, few), equal(0.5), seed=1)


def test_the_covariance_of_effects_is_recovered_despite_correlated_errors():
    rng = np.random.default_rng(4)
    R = np.array([[1.0, 0.7], [0.7, 1.0]])
    D = np.diag([0.2, 0.3]) @ R @ np.diag([0.2, 0.3])
    areas = 400
    V = np.tile(0.02 * np.array([[1.0, -0.6], [-0.6, 1.0]]), (areas, 1, 1))
    u = rng.multivariate_normal([0, 0], D, areas)
    m = u + rng.multivariate_normal([0, 0], V[0], areas)
    found = correlated_effects(m, V, scale=np.array([0.3, 0.3]), rng=rng, draws=800)
    rho = found.correlation()[:, 0, 1]
    # 400 areas with errors as large as half the effects: the posterior sd is about 0.06.
    assert abs(rho.mean() - 0.7) < 3 * rho.std() < 0.3
    # The sds of 400 noisy areas are known to about 6 %.
    np.testing.assert_allclose(found.sds().mean(axis=0), [0.2, 0.3], rtol=0.15)
    # Errors taken as independent would hide the correlation, as they cancel part of it.
    blind = np.tile(0.02 * np.eye(2), (areas, 1, 1))
    other = correlated_effects(m, blind, scale=np.array([0.3, 0.3]), rng=rng, draws=400)
    assert other.correlation()[:, 0, 1].mean() < rho.mean() - 0.1


def test_the_prior_of_a_correlation_is_uniform_when_areas_say_nothing():
    rng = np.random.default_rng(5)
    V = np.tile(1e6 * np.eye(2), (3, 1, 1))
    found = correlated_effects(
        np.zeros((3, 2)), V, scale=np.array([0.3, 0.3]), rng=rng, draws=12_000
    )
    rho = found.correlation()[:, 0, 1]
    # Uniform on (-1, 1): quartiles at -0.5 and 0.5. The chain is worth a thousand draws or so.
    np.testing.assert_allclose(np.quantile(rho, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.12)


@pytest.mark.parametrize(
    ("m", "V"),
    [
        (np.zeros((2, 2)), np.tile(np.eye(2), (2, 1, 1))),
        (np.zeros((4, 2)), np.zeros((4, 2, 2))),
    ],
)
def test_effects_without_enough_areas_or_errors_are_refused(m, V):
    with pytest.raises(InputError):
        correlated_effects(m, V, scale=np.ones(2), rng=np.random.default_rng(1))


def test_years_walk_and_a_persistent_place_changes_as_the_nation_does(world):
    national = {2020: world.national, 2022: world.national}
    two = fit_years(SPEC, world.survey, (2020, 2022), national=national, seed=1)
    frames = (world.metropolis, world.metropolis)
    moved = {}
    for name, lost in (("walk", 0.2), ("still", 0.0)):
        R = year_correlation((2020, 2022), lost={"metro": lost, "commune": lost})
        before, after = predict_jointly(two, frames, R, seed=3)
        moved[name] = change(before, after)
    nation = float(two[1].national.mean() - two[0].national.mean())
    still, walk = moved["still"].iloc[-1], moved["walk"].iloc[-1]
    # One composition, deviations that stay: the metropolis moves with the nation.
    assert still["change"] == pytest.approx(nation, abs=0.012)
    assert (walk["upper"] - walk["lower"]) > 1.3 * (still["upper"] - still["lower"])
    assert 0 < walk["p_up"] < 1
    # The truth of this world rises by 0.2 logit in two years.
    assert still["p_up"] > 0.9


def test_a_break_is_not_a_change(world):
    national = {2019: world.national, 2022: world.national}
    spec = replace(SPEC, waves=(2019, 2022))
    with pytest.raises(InputError, match="face-to-face"):
        fit_years(spec, world.survey, (2019, 2022), national=national, seed=1)
    with pytest.raises(InputError, match="needs its wave"):
        fit_years(SPEC, world.survey, (2020, 2022), national=national, seed=1)
    with pytest.raises(InputError, match="too far"):
        year_correlation((1980, 2022))
    one = world.metropolis
    assert isinstance(one.areas, pd.DataFrame)


def test_tau_of_each_year_is_the_same(world):
    national = {2020: world.national, 2022: world.national}
    spec = replace(SPEC, tau=Tau(metro=0.3), draws=300)
    first, last = fit_years(spec, world.survey, (2020, 2022), national=national, seed=1)
    assert first.spec.tau == last.spec.tau == Tau(metro=0.3)
    assert (first.year, last.year) == (2020, 2022)
