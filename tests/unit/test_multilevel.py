"""The model from cells to areas, on a country whose truth is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from inegnum.data.codebook import profiles
from inegnum.data.types import Frame, SurveyCells
from inegnum.errors import (
    BenchmarkError,
    FrameError,
    InputError,
    IsolationError,
    UniverseError,
)
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import Anchor, ModelSpec, ModeReadings
from inegnum.numerics.poststratify import poststratify
from simulated import country

SPEC = ModelSpec(history=(2018, 2019), draws=600, points=16)


@pytest.fixture(scope="module")
def world():
    return country()


@pytest.fixture(scope="module")
def fitted(world):
    return fit(SPEC, world.survey, national=world.national, seed=1)


def test_truth_is_where_the_draws_are(world, fitted):
    draws = fitted.predict(world.metropolis, seed=2)
    z = (draws.point[:6] - world.rates(world.metropolis)) / draws.se()[:6]
    # Truth has no area deviation, the draws have: z is well inside +-2.
    assert np.abs(z).max() < 2


def test_every_draw_adds_up_to_the_metropolis(world, fitted):
    rates = fitted.predict(world.metropolis, seed=2)
    counts = fitted.predict_counts(world.metropolis, seed=2)
    np.testing.assert_allclose(counts.values[:, :6].sum(axis=1), counts.values[:, 6], rtol=1e-12)
    persons = counts.values / rates.values
    np.testing.assert_allclose(persons[:, :6].sum(axis=1), persons[:, 6], rtol=1e-12)
    assert rates.items["level"].tolist() == ["commune"] * 6 + ["epci"]
    assert rates.items["geo"].iloc[-1] == "243300316"


def test_every_draw_is_anchored_to_its_national_rate(world, fitted):
    c = fitted.coefficients
    u = world.national.areas["urban"].map(lambda v: SPEC_URBAN[v]).to_numpy()
    r = world.national.areas["region"].map(lambda v: SPEC_REGION[v]).to_numpy()
    area = c.urban[:, u] + c.region[:, r] + fitted.shift[:, None]
    counts, persons = poststratify(c.profile, area, world.national.N)
    rate = counts.sum(axis=1) / persons.sum(axis=1)
    np.testing.assert_allclose(rate, fitted.national, atol=1e-9)
    assert fitted.national.mean() == pytest.approx(fitted.direct.rate, abs=0.001)
    # The national rate keeps its own sampling error, less what composition explains of it.
    assert 0.5 * fitted.direct.se < fitted.national.std() < 1.1 * fitted.direct.se


def test_switching_components_off_narrows_the_interval(world, fitted):
    def width(components):
        d = fitted.predict(world.metropolis, seed=2, components=components)
        lower, upper = d.interval()
        return (upper - lower)[-1]

    whole = width(("sampling", "frame", "transport", "mode", "anchor"))
    assert width(("sampling", "frame", "mode", "anchor")) < 0.8 * whole
    assert width(()) < 1e-9
    assert 0 < width(("frame",)) < 0.3 * whole
    assert 0 < width(("transport",)) < whole
    with pytest.raises(InputError, match="unknown component"):
        fitted.predict(world.metropolis, seed=2, components=("luck",))


def test_same_seed_same_draws_other_indicator_other_deviations(world, fitted):
    again = fit(SPEC, world.survey, national=world.national, seed=1)
    one, two = (f.predict(world.metropolis, seed=2).values for f in (fitted, again))
    np.testing.assert_array_equal(one, two)
    other = replace(fitted, indicator=replace(fitted.indicator, code="tablet"))
    three = other.predict(world.metropolis, seed=2).values
    assert abs(np.corrcoef(one[:, 0], three[:, 0])[0, 1]) < 0.9


def test_a_frame_far_from_the_survey_is_not_anchored(world):
    old = world.national.N * np.exp(2.0 * (world.profile < np.median(world.profile)))
    far = Frame(world.national.areas, old, world.national.sources, 2022)
    with pytest.raises(BenchmarkError, match="logit shift"):
        fit(SPEC, world.survey, national=far, seed=1)
    free = replace(SPEC, anchor=Anchor("none"), mode=ModeReadings(1.0, 0.0, 0.0))
    assert (fit(free, world.survey, national=far, seed=1).shift == 0).all()


def test_a_source_kept_for_validation_never_enters(world):
    kept = replace(world.survey.source, role="validate")
    survey = SurveyCells(world.survey.table, world.survey.indicator, kept)
    with pytest.raises(IsolationError):
        fit(SPEC, survey, national=world.national, seed=1)


def test_areas_without_anybody_or_of_mixed_levels_are_refused(world, fitted):
    empty = world.metropolis.N.copy()
    empty[2] = 0
    frame = Frame(world.metropolis.areas, empty, world.metropolis.sources, 2022)
    with pytest.raises(FrameError, match="33002"):
        fitted.predict(frame, seed=1)
    mixed = world.metropolis.areas.assign(level=["commune"] * 5 + ["epci"])
    frame = Frame(mixed, world.metropolis.N, world.metropolis.sources, 2022)
    with pytest.raises(FrameError, match="do not contain one another"):
        fitted.predict(frame, seed=1)


def test_iris_stand_beside_communes_and_share_the_deviation_of_theirs(world, fitted):
    base = world.metropolis
    iris = [f"{base.areas['geo'][0]}{i:04d}" for i in (101, 102)]
    areas = pd.concat([base.areas.iloc[[0, 0]], base.areas.iloc[1:]], ignore_index=True)
    areas["geo"] = [*iris, *base.areas["geo"][1:]]
    areas["level"] = ["iris"] * 2 + ["commune"] * (len(areas) - 2)
    areas["commune"] = areas["geo"].str[:5]
    N = np.vstack([0.25 * base.N[:1], 0.75 * base.N[:1], base.N[1:]])
    frame = Frame(areas, N, base.sources, base.year)
    found = fitted.predict(frame, seed=3, groups=["commune", "epci"])
    at = {(level, geo): j for j, (geo, level) in enumerate(found.items[["geo", "level"]].values)}
    parent = found.values[:, at["commune", base.areas["geo"][0]]]
    parts = found.values[:, [0, 1]]
    # The commune is the sum of its IRIS in every draw, and stands once.
    assert parent == pytest.approx(0.25 * parts[:, 0] + 0.75 * parts[:, 1], abs=1e-12)
    assert (found.items["level"] == "commune").sum() == len(base.areas)
    people = found.items["persons"].to_numpy()[: len(areas)]
    whole = found.values[:, -1]
    assert whole == pytest.approx(found.values[:, : len(areas)] @ (people / people.sum()), abs=1e-9)
    # Same composition: an IRIS varies more than a commune, and its mean stays where it was.
    z = logit(found.values)
    tau = fitted.spec.tau
    expected = tau.iris**2 * np.exp(2 * tau.log_sd**2)
    own = np.var(z[:, 0] - z[:, 1]) / 2
    # 20 %: the variance of 2,000 draws has 3 % of error, the logistic curve bends a little.
    assert own == pytest.approx(expected, rel=0.2)
    alone = fitted.predict(base, seed=3)
    assert parts.mean() == pytest.approx(alone.values[:, 0].mean(), abs=0.01)


def test_a_rate_of_12_and_over_is_refused_on_a_frame_of_15_and_over(world, fitted):
    frame = world.metropolis
    of_12_14 = (profiles()["age"] == "12-14").to_numpy()
    older = replace(frame, N=np.where(of_12_14, 0.0, frame.N), draws=np.empty((0, 0, 0)))
    with pytest.raises(UniverseError, match=r"12-14[\s\S]*a frame of 12\+"):
        fitted.predict(older, seed=2)


def test_readings_that_cannot_be_are_said_and_given_to_the_pooled_one(world):
    web = world.survey.table[world.survey.table["mode"] == "web"].reset_index(drop=True)
    web = web[web["wave"] == 2022].reset_index(drop=True)
    survey = SurveyCells(web, world.survey.indicator, world.survey.source)
    found = fit(SPEC, survey, national=world.national, seed=1)
    assert (found.reading == 0).all()
    notes = " ".join(found.diagnostics.notes)
    assert "no earlier wave" in notes
    assert "no phone" in notes
    assert "2020" in notes


SPEC_URBAN = {v: i for i, v in enumerate(("rural", "2k-20k", "20k-100k", "100k+", "paris"))}
SPEC_REGION = {
    v: i
    for i, v in enumerate(
        ("11", "24", "27", "28", "32", "44", "52", "53", "75", "76", "84", "93", "94")
    )
}
