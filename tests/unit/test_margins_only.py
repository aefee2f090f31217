"""Published rates only: their covariance, and how much of the full answer they give back."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from inegnum.data.codebook import profiles
from inegnum.data.frames.build import national_frame
from inegnum.errors import InputError, IsolationError, PublicationError
from inegnum.estimators.interactions import learn_interactions
from inegnum.estimators.margins_only import (
    RateTable,
    composition_of,
    fit_margins,
    margins_of,
    prior_weight,
)
from inegnum.estimators.multilevel import fit
from inegnum.estimators.published import (
    illectronisme_2021,
    single_total,
    total_of_persons,
)
from inegnum.estimators.sampler import Sampler
from inegnum.estimators.spec import ModelSpec, ModeReadings
from inegnum.numerics.group_rates import directions, group_covariance
from simulated import INDICATOR, SOURCE, country

SPEC = ModelSpec(waves=(2022,), history=(), draws=600, mode=ModeReadings(1.0, 0.0, 0.0), points=16)
FACTORS = ("age", "sex", "diploma", "occupation", "urban", "region")


@pytest.fixture(scope="module")
def world():
    return country(n=3000)


def _few(world):
    """A nation of eight strata: enough for tables that do not cut by place."""
    return world.national.select(world.national.areas["geo"].tolist()[:8])


def test_covariance_is_that_of_repeated_surveys():
    """4,000 surveys of 600 people: two overlapping tables and their total."""
    rng = np.random.default_rng(1)
    N, p = rng.gamma(3.0, 1.0, 12), rng.uniform(0.1, 0.9, 12)
    masks = np.zeros((6, 12))
    masks[0, :4] = masks[1, 4:8] = masks[2, 8:] = 1
    masks[3, ::2] = masks[4, 1::2] = 1
    masks[5] = 1
    n, surveys = 600, 4000
    counts = rng.multinomial(n, N / N.sum(), surveys)
    yes = rng.binomial(counts, p)
    rates = (yes @ masks.T) / (counts @ masks.T)
    size = masks @ N / N.sum() * n
    one = np.ones(6)
    V = group_covariance(masks, N, p, n=size, deff=one, rounding=0 * one)
    found = np.cov(rates.T)
    # Sampling error of a covariance from 4,000 surveys is 2.2 % of the standard deviations; group
    # sizes are random in the surveys and fixed in the formula, which costs as much again.
    scale = np.sqrt(np.outer(np.diag(V), np.diag(V)))
    assert np.abs((found - V) / scale).max() < 0.08
    assert V[3, 5] > 0.5 * V[5, 5]
    # Shares times rates of a table add up to the total: of six rates, two are told by the others,
    # and the covariance is singular along them where groups do not differ.
    kept = directions(masks * N / (masks @ N)[:, None])
    assert kept.shape == (6, 4)
    flat = group_covariance(masks, N, np.full(12, 0.4), n=size, deff=one, rounding=0 * one)
    values = np.linalg.eigvalsh(flat)
    assert (values > 1e-9 * values[-1]).sum() == 4
    assert np.linalg.eigvalsh(kept.T @ flat @ kept)[0] > 0.1 * values[2]


def test_covariance_of_a_known_composition_is_that_of_the_answers_alone():
    """4,000 surveys of the same people, whose answers alone are drawn."""
    rng = np.random.default_rng(2)
    counts, p = rng.integers(30, 120, 12).astype(float), rng.uniform(0.1, 0.9, 12)
    masks = np.zeros((5, 12))
    masks[0, :4] = masks[1, 4:] = masks[2, ::2] = masks[3, 1::2] = masks[4] = 1
    yes = rng.binomial(counts.astype(int), p, (4000, 12))
    found = np.cov(((yes @ masks.T) / (masks @ counts)).T)
    one, n = np.ones(5), masks @ counts
    V = group_covariance(masks, counts, p, n=n, deff=one, rounding=0 * one, composed=True)
    # 4.5 sampling errors of a covariance from 4,000 surveys (2.2 % of the standard deviations).
    scale = np.sqrt(np.outer(np.diag(V), np.diag(V)))
    assert np.abs((found - V) / scale).max() < 0.1
    whole = group_covariance(masks, counts, p, n=n, deff=one, rounding=0 * one)
    assert (np.diag(whole) > 1.05 * np.diag(V)).all()


def test_margins_give_back_the_answer_of_the_microdata(world):
    survey = world.survey.waves(2022)
    full = fit(SPEC, survey, national=world.national, seed=1)
    table = margins_of(survey, FACTORS)
    whom = composition_of(survey)
    hidden = fit_margins(SPEC, [table], national=world.national, seed=1, composition=whom)
    assert hidden.tier == "T2"
    kept = ("sampling", "anchor")
    a, b = (f.predict(world.metropolis, seed=2, components=kept) for f in (full, hidden))
    # Interactions are lost and keep their prior: half a posterior sd at most, here.
    assert np.abs((a.point - b.point) / a.se()).max() < 0.5
    np.testing.assert_allclose(b.se(), a.se(), rtol=0.4)
    moved = prior_weight(hidden).set_index("term")
    assert moved.loc["age", "posterior_mean"] > moved.loc["region", "posterior_mean"]


def test_a_single_total_is_an_order_of_magnitude(world):
    survey = world.survey.waves(2022)
    lone = single_total(margins_of(survey, FACTORS))
    nation = _few(world)
    found = fit_margins(SPEC, [lone], national=nation, seed=1)
    assert found.tier == "T3"
    kept = ("sampling", "anchor")
    # A metropolis of the old: what is not known of ages is in its interval.
    old = np.where(profiles()["age"] == "70+", 1.0, 0.05)
    frame = replace(world.metropolis, N=world.metropolis.N * old, draws=np.empty((0, 0, 0)))
    draws = found.predict(frame, seed=2, components=kept)
    assert draws.items["geo"].tolist() == ["243300316"]
    rates = margins_of(survey, ("age", "diploma"))
    with_rates = fit_margins(SPEC, [rates], national=nation, seed=1)
    # Urban size is told by neither; age and diploma by one of them.
    assert draws.se()[0] > 1.05 * with_rates.predict(frame, seed=2, components=kept).se()[-1]
    with pytest.raises(PublicationError, match="sub-areas"):
        found.predict(world.metropolis, seed=2, groups=None)


def test_a_second_source_may_be_off_by_its_offset(world):
    survey = world.survey.waves(2022)
    first, nation = margins_of(survey, ("age",)), _few(world)
    off = first.table.assign(rate=first.table["rate"] - 0.08)
    other = replace(first, table=off, offset_sd=0.1)
    alone = fit_margins(SPEC, [first], national=nation, seed=1).national.mean()
    both = fit_margins(SPEC, [first, other], national=nation, seed=1).national.mean()
    # The first source sets the level.
    assert both == pytest.approx(alone, abs=0.005)


def test_illectronisme_runs_and_says_what_is_missing(world):
    table = illectronisme_2021(assumed_n=7000)
    total, nation = table.total(), national_frame()
    nation = nation.select(nation.areas["geo"].tolist()[::6])
    assert total.rate == pytest.approx(0.154)
    found = fit_margins(SPEC, [table], national=nation, seed=1)
    notes = " ".join(found.diagnostics.notes)
    assert "n = 7000 assumed" in notes
    assert "no rate by sex, urban, region" in notes
    # Draws bend with the logistic curve but meet the published total: little is left to shift.
    assert abs(found.diagnostics.drift) < 0.05
    rate = found.predict(world.metropolis, seed=2)
    assert rate.items["universe"].unique().tolist() == ["15+"]
    # Merged 60+ lies between its parts, 24.2 % and 61.9 %.
    merged = table.table.set_index("age")["rate"]["60-69|70+"]
    assert 0.30 < merged < 0.45


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rate": [1.2, 0.5]}, "between 0 and 1"),
        ({"n": [np.nan, 10.0]}, "number of respondents"),
        ({"age": ["", ""]}, "one total"),
        ({"planet": ["x", "y"]}, "unexpected columns"),
    ],
)
def test_tables_that_cannot_be_are_refused(change, word):
    table = pd.DataFrame({"rate": [0.4, 0.5], "n": [100.0, 50.0], "age": ["", "70+"]})
    with pytest.raises(InputError, match=word):
        RateTable(table.assign(**change), INDICATOR, SOURCE, 2022)


@pytest.mark.nuts
@pytest.mark.slow
def test_both_engines_fit_published_rates(world):
    """The whole road, tables to metropolis; posteriors are compared in test_engines_agree."""
    table, nation = (
        margins_of(world.survey.waves(2022), ("age", "diploma"), rounding=0.01),
        _few(world),
    )
    found = {}
    for engine in ("laplace", "nuts"):
        # At the defaults chains of this model miss the limits, by little: as the error says.
        sampler = Sampler(draws=2500, target_accept=0.99)
        spec = replace(SPEC, engine=engine, draws=4000, sampler=sampler)
        fitted = fit_margins(spec, [table], national=nation, seed=1)
        assert fitted.diagnostics.engine == engine
        found[engine] = fitted.predict(world.metropolis, seed=2, components=("sampling", "anchor"))
    a, b = (found[engine] for engine in ("laplace", "nuts"))
    # 0.1 sd and 5 %, plus four errors of 4,000 draws and of the 400 a sampled chain guarantees.
    assert (np.abs(a.point - b.point) < (0.1 + 4 * np.hypot(1 / 20, 1 / 63)) * b.se()).all()
    np.testing.assert_allclose(a.se(), b.se(), rtol=0.05 + 4 * np.hypot(1 / 28, 1 / 89))


def test_unknown_levels_and_kept_sources_are_refused(world):
    table = pd.DataFrame({"rate": [0.4, 0.5], "n": [100.0, 50.0], "age": ["", "80+"]})
    with pytest.raises(InputError, match="unknown level of age"):
        fit_margins(
            SPEC, [RateTable(table, INDICATOR, SOURCE, 2022)], national=world.national, seed=1
        )
    kept = replace(SOURCE, role="validate")
    table["age"] = ["", "70+"]
    with pytest.raises(IsolationError):
        fit_margins(
            SPEC, [RateTable(table, INDICATOR, kept, 2022)], national=world.national, seed=1
        )


def test_thirteen_million_is_an_order_of_magnitude_and_says_so(world):
    nation = _few(world)
    whole = nation.persons("12+").sum()
    total = total_of_persons(
        0.25 * whole,
        INDICATOR,
        SOURCE,
        national=nation,
        year=2022,
        assumed_n=2000,
        rounding=0.02 * whole,
    )
    found = fit_margins(SPEC, [total], national=nation, seed=1)
    assert found.tier == "T3"
    notes = " ".join(found.diagnostics.notes)
    assert "order of magnitude" in notes
    assert "n = 2000 assumed" in notes
    draws = found.predict(world.metropolis, seed=2)
    assert draws.items["level"].tolist() == ["epci"]
    # Nothing is known of profiles: what composition could do to the territory is in the interval.
    lower, upper = draws.interval()
    assert lower[0] < 0.25 < upper[0]
    assert upper[0] - lower[0] > 0.1
    with pytest.raises(PublicationError, match="sub-areas"):
        found.predict(world.metropolis, seed=2, groups=None)
    with pytest.raises(InputError, match="between none and all"):
        total_of_persons(2 * whole, INDICATOR, SOURCE, national=nation, year=2022, assumed_n=2000)


def test_a_publication_crosses_rounds_and_leaves_small_groups_out(world):
    survey = world.survey.waves(2022)
    table = margins_of(survey, ("age", "age:diploma"), rounding=0.01).table
    crossed = table[table["age"].notna() & table["diploma"].notna()]
    assert (crossed["n"] >= 30).all()
    assert len(crossed) > 10
    one = crossed.iloc[0]
    t = survey.table
    age = t["age"].replace({"12-14": "12-17", "15-17": "12-17"})
    at = (age == one["age"]) & (t["diploma"] == one["diploma"])
    assert one["rate"] == pytest.approx(t.loc[at, "wy"].sum() / t.loc[at, "w"].sum(), abs=0.005)
    assert (
        np.abs(table["rate"].iloc[1:] * 100 - (table["rate"].iloc[1:] * 100).round()) < 1e-9
    ).all()


def test_interactions_come_from_other_waves_with_their_error_and_a_note(world):
    learned = learn_interactions(SPEC, world.survey.waves(2020), seed=1)
    assert set(learned.mean) == {"age:diploma", "age:sex"}
    smallest = np.linalg.eigvalsh(learned.covariance["age:diploma"])[0]
    assert smallest > 0.9 * 0.1**2  # the drift keeps every direction free
    nation = _few(world)
    rates = margins_of(world.survey.waves(2022), ("age", "diploma"))
    found = fit_margins(SPEC, [rates], national=nation, seed=1, interactions=learned)
    assert any("2020" in note and "age:diploma" in note for note in found.diagnostics.notes)
    assert "age:diploma" not in set(found.diagnostics.sds["term"])  # its sd is not learned here
    plain = tuple(t for t in SPEC.terms if t.factors in ("age", "diploma"))
    with pytest.raises(InputError, match="no interaction"):
        learn_interactions(replace(SPEC, terms=plain), world.survey.waves(2020), seed=1)
    kept = replace(learned, source=replace(SOURCE, role="validate"))
    with pytest.raises(IsolationError):
        fit_margins(SPEC, [rates], national=nation, seed=1, interactions=kept)
