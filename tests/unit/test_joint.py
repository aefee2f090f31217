"""Indicators and years drawn together: laws by fit kept, correlations as asked, changes told."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from inegnum.data.indicators import indicator
from inegnum.data.types import SurveyCells
from inegnum.errors import InputError
from inegnum.estimators.joint import (
    _whole_logit,
    family_index,
    paired,
    predict_jointly,
    probability_all,
    shared_noise,
)
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec, ModeReadings, Tau
from inegnum.estimators.years import change, fit_years, same_mode_change, walk, year_correlation
from inegnum.numerics.correlated import correlated_effects, correlation_root
from simulated import SOURCE, country

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
    own = np.zeros((20_000, 2))
    z = np.stack([one("metro", own) for one in noise])
    np.testing.assert_allclose(np.corrcoef(z[:, :, 0]), R, atol=0.03)
    assert np.abs(np.corrcoef(z[0].T)[0, 1]) < 0.03
    np.testing.assert_allclose(z.std(axis=1), 1.0, atol=0.03)
    with pytest.raises(InputError, match="no correlation is given"):
        noise[0]("commune", own)
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
    # One composition, deviations that stay: the metropolis moves with the nation, as far as effects
    # of the waves by place are known.
    assert still["lower"] < nation < still["upper"]
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


def test_the_latest_year_is_the_fit_that_is_published(world):
    spec = ModelSpec(waves=(2020, 2022), history=(2018, 2019), draws=400, points=16)
    alone = fit(spec, world.survey, national=world.national, seed=5)
    national = {2020: world.national, 2022: world.national}
    before, after = fit_years(spec, world.survey, (2020, 2022), national=national, seed=5)
    assert (before.year, after.year) == (2020, 2022)
    np.testing.assert_array_equal(alone.coefficients.profile, after.coefficients.profile)
    np.testing.assert_array_equal(alone.shift_drawn, after.shift_drawn)
    # All three readings, each draw under the same one in both years.
    assert set(after.reading) == {0, 1, 2}
    np.testing.assert_array_equal(before.reading, after.reading)
    # The held gradient has one slope in both years; only its level is that of the wave.
    held = after.reading == 1
    slopes = [one.coefficients.urban[held] for one in (before, after)]
    slopes = [one - one.mean(axis=1, keepdims=True) for one in slopes]
    np.testing.assert_allclose(slopes[0], slopes[1], atol=1e-12)


def test_the_walk_keeps_part_of_every_deviation(world):
    spec = replace(SPEC, draws=4000)
    one = fit(spec, world.survey, national=world.national, seed=1)
    later = one.predict(world.metropolis, seed=3).values
    still = one.predict(world.metropolis, seed=3, noise=walk((2022, 2022), seed=9)).values
    np.testing.assert_array_equal(later, still)
    lost = {"metro": 0.3, "commune": 0.3}
    noise = walk((2020, 2022), seed=9, lost=lost, log_sd=0.0)
    z = np.random.default_rng(2).standard_normal((20_000, 2))
    moved = noise("commune", z)
    # 1 - 0.3 a year over two years; 20,000 draws know a correlation to 0.006.
    assert np.corrcoef(z[:, 0], moved[:, 0])[0, 1] == pytest.approx(0.4, abs=0.03)
    assert moved.std() == pytest.approx(1.0, abs=0.02)
    # A loss that is not known: some draws keep much, some nothing; the law of each year stays.
    unsure = walk((2020, 2022), seed=9, lost=lost)("commune", z)
    assert unsure.std() == pytest.approx(1.0, abs=0.02)
    assert np.abs(unsure - z).std() > np.abs(moved - z).std()


def test_across_a_break_waves_are_fitted_apart(world):
    national = {2019: world.national, 2022: world.national}
    before, after = fit_years(
        SPEC, world.survey, (2019, 2022), national=national, seed=1, across_breaks=True
    )
    assert (before.year, after.year) == (2019, 2022)
    assert before.spec.waves == (2019,)
    alone = fit(SPEC, world.survey, national=world.national, seed=1)
    np.testing.assert_array_equal(alone.national, after.national)
    # Fitted apart: the national errors of two samples have nothing in common.
    assert abs(np.corrcoef(before.national, after.national)[0, 1]) < 0.08


def test_paired_fits_keep_their_draws_and_meet_the_correlation(world):
    spec = ModelSpec(waves=(2020, 2022), history=(2018, 2019), draws=2000, points=16)
    one = fit(spec, world.survey, national=world.national, seed=1)
    two = fit(spec, world.survey, national=world.national, seed=2)
    two = replace(two, indicator=replace(two.indicator, code="tablet"))
    R = np.array([[1.0, 0.6], [0.6, 1.0]])
    a, b = paired((one, two), world.metropolis, R, seed=4, frames=5)
    for before, after in ((one, a), (two, b)):
        np.testing.assert_array_equal(np.sort(before.national), np.sort(after.national))
        np.testing.assert_array_equal(
            np.sort(before.coefficients.profile[:, 7]), np.sort(after.coefficients.profile[:, 7])
        )
    np.testing.assert_array_equal(a.reading, b.reading)
    rates = [_whole_logit(fit, world.metropolis) for fit in (a, b)]
    within = a.reading == 0
    # Ranks are those of 1,000 normals of correlation 0.6, known to 0.02: four standard errors, and
    # 0.02 that tails take.
    assert np.corrcoef(*(r[within] for r in rates))[0, 1] == pytest.approx(0.6, abs=0.1)
    loose = [_whole_logit(fit, world.metropolis) for fit in (one, two)]
    assert abs(np.corrcoef(*(r[one.reading == 0] for r in loose))[0, 1]) < 0.3


def test_a_telephone_share_that_moves_is_not_a_change_of_behaviour():
    still = {"sex": "men", "diploma": "bac", "occupation": "5", "urban": "rural", "region": "75"}
    cells = pd.DataFrame(
        [
            {
                **still,
                **{"wave": wave, "age": age, "mode": mode, "n": 1000 * w, "y": 1000 * w * rate},
                **{"w": w, "wy": w * rate, "w2": w, "w2y": w * rate},
            }
            for wave, phone in ((2020, 0.1), (2022, 0.4))
            for age in ("25-39", "70+")
            for mode, w, rate in (("phone", phone, 0.2), ("web", 1 - phone, 0.8))
        ]
    )
    survey = SurveyCells(cells, indicator("smartphone"), SOURCE)
    collected, held = same_mode_change(survey, (2020, 2022))
    # Rates within each mode do not move; recruitment alone takes 0.3 x 0.6 off.
    assert collected == pytest.approx(-0.18)
    assert held == pytest.approx(0.0, abs=1e-12)
