"""The frame of communes: what it promises, on Bordeaux Métropole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.data.areas import load_areas
from inegnum.data.codebook import profiles
from inegnum.data.frames.atoms import AGES, LOCAL_AGES, LOCAL_SHAPE, SHAPE, to_local, to_profiles
from inegnum.data.frames.build import build_frame
from inegnum.data.margins import commune_margins
from inegnum.data.types import Frame
from inegnum.errors import FrameError

METROPOLE = "243300316"


@pytest.fixture(scope="module")
def frame() -> Frame:
    return build_frame(load_areas(epci=METROPOLE), draws=40, seed=7)


def _share(frame: Frame, column: str, level: str, universe: str = "12+") -> np.ndarray:
    """Return a share of persons over the whole frame: point, then draws."""
    inside = frame.mask(universe)
    chosen = (profiles()[column] == level).to_numpy() & inside
    counts = np.concatenate([frame.N[None], frame.draws]).sum(axis=1)
    return np.asarray(counts[:, chosen].sum(axis=1) / counts[:, inside].sum(axis=1))


def test_every_margin_is_met(frame: Frame) -> None:
    report = frame.report
    gap = (report["target"] - report["achieved"]).abs()
    persons = report.groupby(["geo", "margin"])["target"].transform("sum")
    assert (report["reason"].str.len() > 0).sum() == 28 * (4 + 6 + 2 + 1)
    # The fit stops at 1e-5 of a commune's persons.
    assert (gap <= 1.01e-5 * persons).all()
    assert report.groupby("margin").size().to_dict() == {
        "age": 28 * 4,
        "children": 28,
        "occupation": 28 * 7,
        "schooling and diploma": 28 * 6,
        "sex": 28 * 2,
    }


def test_persons_of_15_and_over_are_those_of_the_census(frame: Frame) -> None:
    margins = commune_margins(2022).at(frame.areas["geo"].tolist())
    np.testing.assert_allclose(frame.persons("15+"), margins.persons, rtol=1e-4)
    assert (frame.persons("12+") > frame.persons("15+")).all()
    assert (frame.persons("15+") > frame.persons("18+")).all()


def test_retired_of_the_profiles_are_cs7(frame: Frame) -> None:
    # No student or minor is retired, so the profile must equal the margin but for a handful.
    retired = frame.N[:, (profiles()["occupation"] == "retired").to_numpy()].sum(axis=1)
    target = frame.report.query("margin == 'occupation' and level == 'retired'")["target"]
    np.testing.assert_allclose(retired, target, rtol=2e-3)


def test_students_and_minors_leave_other_inactive(frame: Frame) -> None:
    table = profiles()
    inactive = frame.N[:, (table["occupation"] == "inactive").to_numpy()].sum()
    report = frame.report.query("margin == 'occupation' and level == 'inactive'")
    # cs8 of the Métropole counts 128,000 persons, most of them at school.
    assert inactive < 0.5 * report["target"].sum()


def test_draws_spread_more_where_less_is_known(frame: Frame) -> None:
    chosen = (profiles()["diploma"] == "none").to_numpy()
    share = frame.draws[..., chosen].sum(axis=2) / frame.draws.sum(axis=2)
    relative = share.std(axis=0) / share.mean(axis=0)
    imputed = (frame.areas["tier"] == "F4").to_numpy()
    assert relative[imputed].min() > np.median(relative[~imputed])
    assert 0.001 < _share(frame, "diploma", "none")[1:].std() < 0.02
    assert 0.0003 < _share(frame, "age", "70+")[1:].std() < 0.01


def test_draws_are_centred_on_the_point(frame: Frame) -> None:
    for column, level in (("age", "70+"), ("diploma", "none"), ("occupation", "worker")):
        shares = _share(frame, column, level)
        # Mean of 40 draws: 4 standard errors.
        assert abs(shares[1:].mean() - shares[0]) < 4 * shares[1:].std() / np.sqrt(40) + 5e-4


def test_the_same_seed_gives_the_same_frame_whatever_else_is_asked(frame: Frame) -> None:
    asked = ["33487", "33063"]  # one observed, one imputed
    alone = build_frame(load_areas(communes=asked), draws=40, seed=7)
    for i, geo in enumerate(alone.areas["geo"]):
        at = frame.areas["geo"].tolist().index(geo)
        # Only the order of additions may differ.
        np.testing.assert_allclose(alone.N[i], frame.N[at], rtol=1e-9)
        np.testing.assert_allclose(alone.draws[:, i], frame.draws[:, at], rtol=1e-9)
    at = frame.areas["geo"].tolist().index("33063")
    other = build_frame(load_areas(communes=["33063"]), draws=40, seed=8)
    assert np.abs(other.draws[:, 0] - frame.draws[:, at]).max() > 10


def test_the_small_commune_says_what_is_imputed(frame: Frame) -> None:
    row = frame.areas.set_index("geo").loc["33487"]
    assert row["tier"] == "F4"
    assert "imputed" in row["note_en"]
    assert "imputés" in row["note_fr"]
    sources = frame.report[frame.report["geo"] == "33487"].groupby("margin")["source"].first()
    assert sources["occupation"] == "RP2022"
    assert sources["age"] == "predicted"
    assert (frame.areas["note_en"].str.contains("modelled frame")).all()


def test_two_communes_take_the_urban_class_of_the_metropole_unless_asked(frame: Frame) -> None:
    assert set(frame.areas["urban"]) == {"100k+"}
    own = build_frame(load_areas(epci=METROPOLE), urban="own")
    small = own.areas.loc[own.areas["urban"] == "2k-20k", "geo"].tolist()
    assert small == ["33004", "33434"]
    np.testing.assert_allclose(own.N, frame.N, rtol=1e-9)


def test_urban_class_is_a_communes_own_outside_metropoles() -> None:
    rural = build_frame(load_areas(communes=["01001", "01002"]))
    assert rural.areas["urban"].tolist() == ["rural", "rural"]
    assert rural.areas["tier"].tolist() == ["F4", "F4"]
    assert rural.draws.size == 0


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(FrameError, match="without census margins"):
        build_frame(pd.DataFrame({"geo": ["99999"]}))
    with pytest.raises(FrameError, match="stands twice"):
        build_frame(pd.DataFrame({"geo": ["33063", "33063"]}))
    with pytest.raises(FrameError, match="no commune"):
        build_frame(pd.DataFrame({"code": ["33063"]}))
    with pytest.raises(FrameError, match="brought to this year"):
        build_frame(pd.DataFrame({"geo": ["33063"]}), year=2030)
    with pytest.raises(FrameError, match="negative"):
        build_frame(pd.DataFrame({"geo": ["33063"]}), draws=-1)


def test_another_year_scales_to_its_population() -> None:
    later = build_frame(load_areas(communes=["33550"]), year=2023)
    now = build_frame(load_areas(communes=["33550"]), year=2022)
    communes = load_areas(communes=["33550"])
    growth = communes["population_2023"].iloc[0] / communes["population_2022"].iloc[0]
    assert later.persons("15+")[0] / now.persons("15+")[0] == pytest.approx(growth, rel=1e-4)


def test_fine_ages_sum_to_coarse_ones_and_nothing_is_lost() -> None:
    table = np.random.default_rng(0).gamma(1.0, size=(3, *SHAPE))
    local = to_local(table)
    assert local.shape == (3, *LOCAL_SHAPE)
    by_age = table.sum(axis=(2, 3, 4))
    np.testing.assert_allclose(
        local.sum(axis=(2, 3, 4))[:, LOCAL_AGES.index(40)],
        by_age[:, [AGES.index(40), AGES.index(45), AGES.index(55)]].sum(axis=1),
    )
    placed = to_profiles(local)
    np.testing.assert_allclose(placed.sum(axis=1), table.sum(axis=(1, 2, 3, 4)))
    names = profiles()
    minors = (names["age"] == "15-17").to_numpy()
    np.testing.assert_allclose(placed[:, minors].sum(axis=1), by_age[:, 0])
    assert not placed[:, (names["age"] == "12-14").to_numpy()].any()
