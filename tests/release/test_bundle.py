"""The release folder: whole or not at all, the same bytes each time, masked means missing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from inegnum.data.types import Indicator
from inegnum.errors import InputError
from inegnum.estimates.table import AreaDraws, Estimates, combine
from inegnum.provenance import sha256_file
from inegnum.release.bundle import Bundle, folder_for, write_bundle

INDICATOR = Indicator("owns", "equipment", "owns", "possède", "asked", "12+", "all", "tous", 1)


def simulated() -> Estimates:
    rng = np.random.default_rng(3)
    spread = np.array([0.01, 0.02, 0.02, 0.15])
    rates = np.clip(0.6 + spread * rng.standard_normal((500, 4)), 0, 1)
    areas = pd.DataFrame(
        {
            "geo": ["FR", "243300316", "33063", "33487"],
            "level": ["france", "epci", "commune", "commune"],
            "name": ["France", "Métropole", "Bordeaux", "Saint-Vincent-de-Paul"],
            "tier": "F3",
            "basis": "model",
            "method": "mrp",
            "n": [100, 0, 0, 0],
        }
    )
    drawn = AreaDraws(INDICATOR, areas, rates, np.full(rates.shape, 1e3), rates[:, 0], 1)
    return combine([drawn], (), year=2022)


def bundle() -> Bundle:
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    features = [
        {"type": "Feature", "geometry": square, "properties": {"geo": geo}}
        for geo in ("33063", "33487")
    ]
    geometry = {"type": "FeatureCollection", "features": features}
    tables = {"variants": pd.DataFrame({"variant": ["base"], "est": [0.6]})}
    return Bundle(simulated(), {"seed": 1, "inputs": []}, tables, geometry, {"fit": 0.1})


def write(folder: Path) -> dict[str, str]:
    with folder_for(folder) as work:
        return write_bundle(bundle(), work, excel_fr=True)


def test_two_runs_give_the_same_bytes_at_different_times(tmp_path: Path) -> None:
    first = write(tmp_path / "a")
    time.sleep(2.1)  # archive entries are dated to two seconds
    second = write(tmp_path / "b")
    assert first == second
    assert {"estimates.xlsx", "estimates.parquet", "draws.parquet"} <= set(first)
    recorded = json.loads((tmp_path / "a" / "manifest.json").read_text())["outputs"]
    assert recorded == {name: sha256_file(tmp_path / "a" / name) for name in recorded}


def test_masked_figures_leave_no_trace(tmp_path: Path) -> None:
    write(tmp_path / "a")
    table = pd.read_csv(tmp_path / "a" / "estimates.csv", dtype={"geo": str})
    masked = table.set_index("geo").loc["33487"]
    assert masked["class"] == "D"
    assert np.isnan(masked["est"])
    assert not np.isnan(masked["p_above_metropolis"])
    draws = pd.read_parquet(tmp_path / "a" / "draws.parquet")
    assert set(draws["geo"]) == {"FR", "243300316", "33063"}
    geojson = json.loads((tmp_path / "a" / "estimates.geojson").read_text())
    properties = geojson["features"][1]["properties"]
    assert properties["owns_est"] is None
    assert properties["owns_class"] == "D"


def test_french_excel_reads_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    write(tmp_path / "a")
    raw = (tmp_path / "a" / "estimates-excel-fr.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    table = pd.read_csv(
        tmp_path / "a" / "estimates-excel-fr.csv", sep=";", decimal=",", dtype={"geo": str}
    )
    assert table["est"].iloc[0] == pytest.approx(0.6, abs=0.01)


def test_an_interrupted_run_leaves_nothing_and_keeps_the_earlier_release(tmp_path: Path) -> None:
    write(tmp_path / "a")
    before = sha256_file(tmp_path / "a" / "manifest.json")

    def interrupted() -> None:
        with folder_for(tmp_path / "a", replace=True) as work:
            (work / "estimates.csv").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sha256_file(tmp_path / "a" / "manifest.json") == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_may_not_be_overwritten_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a")
    with pytest.raises(InputError, match="--replace"), folder_for(tmp_path / "a"):
        pass
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.txt").write_text("mine")
    with pytest.raises(InputError, match="not a release"), folder_for(other, replace=True):
        pass
    assert (other / "chapter.txt").read_text() == "mine"
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(InputError, match="cannot be written"), folder_for(blocker / "out"):
        pass
