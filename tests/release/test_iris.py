"""A study by IRIS: one level more, the same sums."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit

from inegnum.provenance import sha256_file
from inegnum.release.read import read_release
from inegnum.study import load_study, run_to_folder
from inegnum.study.new import new_study
from inegnum.study.pipeline import run
from inegnum.study.rerun import rerun
from release.test_territories import shortened
from shared import shared

pytestmark = pytest.mark.slow
EVENTS = """MOD,DATE_EFF,TYPECOM_AV,COM_AV,TNCC_AV,NCC_AV,TYPECOM_AP,COM_AP,TNCC_AP,NCC_AP
32,2016-01-01,COM,76164,0,CAUDEBEC EN CAUX,COM,76164,0,RIVES EN SEINE
"""


def by_iris(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    text = text.replace('["epci", "commune"]', '["epci", "commune", "iris"]')
    path.write_text(text, encoding="utf-8")


def test_bordeaux_by_iris_adds_up_in_every_draw(tmp_path: Path) -> None:
    path = new_study("243300316", out=tmp_path / "study.toml")
    shortened(path)
    by_iris(path)
    done = run(load_study(path))
    table, draws = done.estimates.table, done.estimates.draws
    levels = table["level"].value_counts()
    assert (levels["iris"], levels["commune"], levels["epci"]) == (88, 28, 1)
    names = table.set_index("geo")["name"]
    assert names["330630101"] == "Le Lac 1"

    def people(geo: str) -> tuple[np.ndarray, float]:
        at = int(table.index[table["geo"] == geo][0])
        return draws.values[:, at], float(table["N"].iloc[at])

    iris = table.index[table["level"] == "iris"]
    city, persons = people("33063")
    # Persons vary a little with the frame draws: 0.2 % of them bounds a weighted mean of rates.
    weights = table.loc[iris, "N"].to_numpy()
    assert persons == pytest.approx(weights.sum(), rel=1e-9)
    assert city == pytest.approx(draws.values[:, iris] @ (weights / weights.sum()), abs=2e-3)
    communes = table.index[table["level"] == "commune"]
    whole, _ = people("243300316")
    share = table.loc[communes, "N"].to_numpy() / table.loc[communes, "N"].sum()
    assert whole == pytest.approx(draws.values[:, communes] @ share, abs=2e-3)
    # An IRIS has a deviation of its own; from the draws, as the table hides what is too wide.
    assert logit(draws.values[:, iris]).std(axis=0).min() > logit(city).std()
    assert table.loc[table["level"] == "iris", "tier"].unique().tolist() == ["F4"]


@pytest.mark.shared
def test_rouen_by_iris_from_the_file_as_downloaded(tmp_path: Path) -> None:
    source = shared("data", "known_truth", "rp2013_base_ic_evol_struct_pop_seine_maritime_iris.csv")
    (tmp_path / source.name).write_bytes(source.read_bytes())
    (tmp_path / "events.csv").write_text(EVENTS)
    path = new_study("200023414", out=tmp_path / "study.toml")
    shortened(path)
    by_iris(path)
    named = f'[frame]\nimports = ["{source.name}"]\nevents = "events.csv"\n'
    path.write_text(path.read_text().replace("[frame]\n", named, 1))
    run_to_folder(load_study(path), tmp_path / "release", language="en")
    release = read_release(tmp_path / "release")
    table = release.estimates
    # 196 IRIS of 26 communes; five have fewer than ten persons of 15 and over.
    assert (table["level"] == "iris").sum() == 191
    assert (table["level"] == "commune").sum() == 71
    below = table[table["level"].isin(["iris", "commune"])]
    assert set(below["tier"]) == {"F2"}
    inputs = {item["name"]: item for item in release.manifest["inputs"]}
    assert inputs[source.name]["sha256"] == sha256_file(source)
    assert {"events.csv", source.name} <= set(inputs)
    # Where the files stood is not in the manifest; what they held is.
    assert str(tmp_path) not in (tmp_path / "release" / "manifest.json").read_text()
    manifest = tmp_path / "release" / "manifest.json"
    assert json.loads(manifest.read_text())["study"]["frame"]["imports"] == [source.name]
    assert rerun(manifest, files=tmp_path) == []
    (tmp_path / source.name).write_text(source.read_text().replace(",1172,", ",1173,", 1))
    assert [f.split(":")[0] for f in rerun(manifest, files=tmp_path)] == [f"input {source.name}"]
    (tmp_path / source.name).unlink()
    assert "not found" in rerun(manifest, files=tmp_path)[0]
