"""A study that compares and draws families: its tables, and published figures left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from inegnum.estimates.retract import Retraction
from inegnum.release.diff import compare_releases
from inegnum.release.read import read_release
from inegnum.study.folder import find_study, run_to_folder
from inegnum.study.pipeline import run
from inegnum.study.rerun import rerun
from inegnum.study.spec import Change, Study

pytestmark = pytest.mark.slow
WHY = "A wrong base."
CODES = ("smartphone", "barrier_equipment", "computer_home")


def small() -> Study:
    study = find_study("bordeaux-metropole-2022")
    return replace(
        study,
        indicators=CODES,
        frame=replace(study.frame, draws=4),
        model=replace(study.model, draws=400),
        quality=replace(study.quality, variants=False),
        families=False,
        change=None,
    )


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("change")
    asked = replace(small(), families=True, change=Change(2020))
    for name, study in (("plain", small()), ("asked", asked)):
        run_to_folder(study, folder / name, language="en")
    return folder / "plain", folder / "asked"


def test_published_figures_do_not_depend_on_either_table(releases: tuple[Path, Path]) -> None:
    plain, asked = (json.loads((one / "manifest.json").read_text("utf-8")) for one in releases)
    new = {"change.csv", "families.csv"}
    assert set(asked["outputs"]) - set(plain["outputs"]) == new
    pages = {"report.html", "report.en.html"}
    same = {name: plain["outputs"][name] for name in plain["outputs"] if name not in pages}
    assert same == {name: asked["outputs"][name] for name in same}
    found = compare_releases(*releases)
    assert found.causes == ()
    assert not found.table["beyond_monte_carlo"].fillna(value=False).any()


def test_the_later_year_is_what_is_published(releases: tuple[Path, Path]) -> None:
    release = read_release(releases[1])
    change = release.change.set_index(["geo", "indicator"])
    estimates = release.estimates.set_index(["geo", "indicator"]).loc[change.index]
    shown = (change["class"] != "D").to_numpy()
    assert shown.sum() > 20
    np.testing.assert_array_equal(change["after"][shown], estimates["est"][shown])
    assert set(change.index.get_level_values("indicator")) == {"smartphone", "barrier_equipment"}
    told = release.manifest["change"]
    assert set(told["left_out"]) == {"computer_home"}
    # France moves as the survey's own weighted rates do.
    france = change.loc[("FR", "smartphone"), "change"]
    assert france == pytest.approx(told["national"]["smartphone"]["as_collected"], abs=0.003)


def test_the_mean_gap_of_a_family_is_that_of_its_published_gaps(
    releases: tuple[Path, Path],
) -> None:
    release = read_release(releases[1])
    families = release.families.set_index("geo")
    assert set(families["family"]) == {"equipment"}
    whole = release.estimates.set_index(["geo", "indicator"]).loc[release.territory.code]
    signs = pd.Series({"smartphone": 1, "barrier_equipment": -1, "computer_home": 1})
    mean = float((whole["gap_france"] * signs).mean())
    # Other draws of the same laws: 400 draws know a mean of sd 2 points to 0.1.
    assert families.loc[release.territory.code, "gap"] == pytest.approx(mean, abs=0.004)


def test_the_same_study_gives_the_same_bytes(releases: tuple[Path, Path]) -> None:
    assert rerun(releases[1] / "manifest.json") == []


def test_breaks_on_demand_and_withdrawn_figures() -> None:
    study = replace(
        small(),
        families=True,
        change=Change(2020, ("computer_home", "smartphone"), across_breaks=True),
        retractions=(Retraction("smartphone", "33063", "2026-11-26", "Base erronée.", WHY),),
    )
    done = run(study, jobs=1)
    change = done.table("change").set_index(["geo", "indicator"])
    computer = change.loc[("FR", "computer_home")]
    assert not computer["comparable"]
    assert computer["change"] == pytest.approx(0.28, abs=0.03)  # 61 % then, 89 % now
    assert "ordinateur" in computer["warning_fr"]
    assert change.loc[("FR", "smartphone"), "comparable"]
    assert done.families is not None
    assert "33063" not in set(done.families["geo"])
    assert "33281" in set(done.families["geo"])


def test_nothing_is_held_against_a_withdrawn_figure() -> None:
    study = replace(small(), families=True, change=None)
    whole = study.territory.epci or "*"
    gone = Retraction("smartphone", whole, "2026-11-26", "Base erronée.", WHY)
    done = run(replace(study, retractions=(gone,)), jobs=1)
    assert done.families is not None
    assert not done.families["members"].str.contains("smartphone").any()
