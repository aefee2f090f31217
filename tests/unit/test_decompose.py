"""Decomposition and variants on the simulated country."""

from dataclasses import replace

import numpy as np
import pytest

from inegnum.data.types import Frame
from inegnum.errors import FrameError
from inegnum.estimators.decompose import STEPS, decompose
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import COMPONENTS, ModelSpec, ModeReadings
from inegnum.estimators.variants import _other_tau, components, refits, variants
from simulated import country

SPEC = ModelSpec(history=(2018, 2019), draws=400, points=16)


@pytest.fixture(scope="module")
def world():
    return country(n=1500)


@pytest.fixture(scope="module")
def fitted(world):
    return fit(SPEC, world.survey, national=world.national, seed=1)


def test_steps_lead_from_the_nation_to_the_metropolis(world, fitted):
    found = decompose(fitted, world.metropolis, national=world.national, seed=2)
    levels = found.levels.values
    np.testing.assert_allclose(levels[:, 0], fitted.national, atol=1e-9)
    kept = tuple(c for c in COMPONENTS if c != "frame")
    metropolis = fitted.predict(world.metropolis, seed=2, components=kept)
    np.testing.assert_allclose(levels[:, -1], metropolis.values[:, -1], rtol=1e-9)
    np.testing.assert_allclose(
        found.changes.values.sum(axis=1), levels[:, -1] - levels[:, 0], atol=1e-12
    )
    assert found.to_frame()["step"].tolist() == list(STEPS)


def test_a_territory_that_is_the_nation_has_no_composition_effect(world, fitted):
    areas = world.national.areas.assign(level="commune", epci="x")
    frame = Frame(areas, world.national.N, world.national.sources, 2022)
    changes = decompose(fitted, frame, national=world.national, seed=2).changes.values
    np.testing.assert_allclose(changes[:, :-1], 0, atol=1e-9)


def test_a_profile_nobody_has_in_the_nation_is_refused(world, fitted):
    N = world.national.N.copy()
    N[:, 50] = 0
    nation = Frame(world.national.areas, N, world.national.sources, 2022)
    with pytest.raises(FrameError, match="nobody"):
        decompose(fitted, world.metropolis, national=nation, seed=2)


def test_every_variant_has_a_row_for_every_item(world, fitted):
    table = variants(fitted, world.survey, world.metropolis, national=world.national, seed=2)
    names = set(table["variant"])
    assert {"default", "tau x 0.5", "tau x 2", "no area deviation", "urban gradient held"} <= names
    assert {name for name, _ in refits(SPEC, world.survey)} <= names
    assert {"wave 2020 only", "wave 2022 only", "unweighted counts"} <= names
    assert (table.groupby("variant").size() == 7).all()
    whole = table[table["level"] == "epci"].set_index("variant")
    width = whole["upper"] - whole["lower"]
    assert width["tau x 0.5"] < width["default"] < width["tau x 2"]
    assert width["no area deviation"] < width["tau x 0.5"]
    # One wave is anchored to the year's rate too: the variants differ in slopes, not in year.
    assert abs(whole.loc["wave 2020 only", "est"] - whole.loc["default", "est"]) < 0.05


def test_the_prior_of_tau_that_was_not_used_is_a_variant(fitted):
    known = replace(fitted, indicator=replace(fitted.indicator, code="smartphone"))
    found = _other_tau(known)
    assert found.prior == "learned"
    assert found.metro != known.spec.tau.metro
    back = _other_tau(replace(known, spec=replace(known.spec, tau=found)))
    assert (back.prior, back.metro) == ("stated", 0.20)
    never = replace(fitted, indicator=replace(fitted.indicator, code="of my own"))
    assert _other_tau(never) is None


def test_refits_change_one_thing_each(world):
    for name, spec in refits(SPEC, world.survey):
        back = replace(spec, mode=SPEC.mode)
        changed = [
            f
            for f in ("waves", "history", "terms", "counts", "anchor")
            if getattr(back, f) != getattr(SPEC, f)
        ]
        assert len(changed) == 1, name
        assert spec.mode == ModeReadings(1.0, 0.0, 0.0)


def test_components_are_parts_of_the_whole(world, fitted):
    table = components(fitted, world.metropolis, seed=2)
    parts = np.sqrt((table[list(COMPONENTS)] ** 2).sum(axis=1))
    # Independent parts: sums of squares meet within their interaction and 400 draws' noise.
    np.testing.assert_allclose(parts, table["all"], rtol=0.25)
    assert (table["transport"] > table["frame"]).all()
