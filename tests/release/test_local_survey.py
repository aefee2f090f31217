"""A territory's own survey joined to the national model, through a study."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from inegnum.data.areas import load_areas
from inegnum.errors import InegnumError
from inegnum.release.read import read_release
from inegnum.study import load_study, run_to_folder
from inegnum.study.new import new_study
from inegnum.study.pipeline import run
from inegnum.study.rerun import rerun
from inegnum.study.spec import Study
from inegnum.study.surveys import Surveys
from release.local_survey import write_survey
from release.test_territories import shortened

pytestmark = pytest.mark.slow
METROPOLE = "243300316"
SECTION = '\n[survey.local]\nfile = "survey.csv"\ncodebook = "survey.toml"\n'


def study_in(folder: Path, *, axes: bool = True, shift: float = -0.6) -> Path:
    """A study whose survey finds fewer smartphones than the model says, by six points or so."""
    path = new_study(METROPOLE, out=folder / "study.toml")
    shortened(path)
    communes = list(load_areas(epci=METROPOLE)["geo"])
    write_survey(folder, communes=communes, shift=shift, n=4000, seed=5, axes=axes)
    path.write_text(path.read_text() + SECTION)
    return path


def without(study: Study) -> Study:
    return replace(study, survey=Surveys())


def test_a_survey_moves_the_figures_and_says_how_much(tmp_path: Path) -> None:
    path = study_in(tmp_path)
    run_to_folder(load_study(path), tmp_path / "release", language="en")
    table = read_release(tmp_path / "release").estimates.set_index("geo")
    alone = run(without(load_study(path))).estimates.table.set_index("geo")
    whole, before = table.loc[METROPOLE], alone.loc[METROPOLE]
    survey = pd.read_csv(tmp_path / "survey.csv")
    direct = float((survey["q1"] == 1).mean())
    # The offset of mode (sd 0.15 logit) leaves a part of the gap to the survey's difference.
    assert direct < before["est"] - 0.04
    assert direct < whole["est"] < before["est"] - 0.01
    assert whole["share_local"] > 0.2
    assert (table.loc["FR", "share_local"], table.loc["FR", "basis"]) == (0.0, "direct")
    communes = table[table["level"] == "commune"]
    assert (communes["share_local"] > 0).all()
    assert set(communes["basis"]) == {"composite"}
    # One in a thousand does not know.
    assert 3950 < communes["n"].sum() == whole["n"] < 4000
    mapping = pd.read_csv(tmp_path / "release" / "local_mapping.csv", dtype={"value": str})
    assert set(mapping["status"]) == {"matched"}
    assert mapping["n"].min() >= 11  # below, the count is not told
    assert mapping.loc[mapping["value"] == "9", "n"].isna().all()
    rates = pd.read_csv(tmp_path / "release" / "local_survey.csv", dtype={"geo": str})
    assert rates["direct"].isna().tolist() == (rates["n"] < 30).tolist()
    manifest = json.loads((tmp_path / "release" / "manifest.json").read_text())
    assert {"survey.csv", "survey.toml"} <= {item["name"] for item in manifest["inputs"]}
    assert rerun(tmp_path / "release" / "manifest.json", files=tmp_path) == []
    # No respondent leaves: no file of the release holds a column of the survey.
    assert not [f for f in (tmp_path / "release").glob("*.csv") if "insee" in f.read_text()[:200]]


def test_without_diploma_and_occupation_rates_by_commune_are_joined(tmp_path: Path) -> None:
    path = study_in(tmp_path, axes=False)
    table = run(load_study(path)).estimates.table.set_index("geo")
    alone = run(without(load_study(path))).estimates.table.set_index("geo")
    survey = pd.read_csv(tmp_path / "survey.csv")
    direct = float((survey["q1"] == 1).mean())
    assert direct < table.loc[METROPOLE, "est"] < alone.loc[METROPOLE, "est"] - 0.01
    assert table.loc[METROPOLE, "share_local"] > 0.2
    assert (table.loc[table["level"] == "commune", "share_local"] >= 0).all()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("survey.toml", 'geo_vintage = "COG 2025"\n', "", "which communes its codes are"),
        ("survey.toml", "COG 2025", "COG 2020", "the package knows events from 2023"),
        ("survey.toml", 'geo = "insee"\n', "", "no places"),
        ("survey.toml", '"smartphone"', '"tablet"', "none of the study's indicators"),
        ("survey.toml", 'role = "fit"', 'role = "validate"', "wrong role"),
        ("survey.csv", "33063,", "75056,", "live outside the frame"),
        ("study.toml", "survey.csv", "surveys.csv", "cannot be read"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    file: str, old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = study_in(tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(InegnumError, match=message):
        run(load_study(path), jobs=1)
