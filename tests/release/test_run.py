"""The main job, small, through the command line: figures, refusals, the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
STUDY = (ROOT / "models" / "bordeaux-metropole-2022.toml").read_text(encoding="utf-8")
SMALL = (
    STUDY.replace("draws = 50", "draws = 4")
    .replace("draws = 2000", "draws = 400")
    .replace("variants = true", "variants = false")
)


def with_indicators(*codes: str) -> str:
    start, end = SMALL.index("indicators = ["), SMALL.index("[territory]")
    listed = ", ".join(f'"{code}"' for code in codes)
    return SMALL[:start] + f"indicators = [{listed}]\n\n" + SMALL[end:]


def inegnum(
    *words: str, cwd: Path, source: Path = ROOT / "src"
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "inegnum", *words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two indicators of Bordeaux Métropole, once for the module."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "study.toml").write_text(with_indicators("smartphone", "barrier_skills"))
    done = inegnum("run", "study.toml", "--out", "release", "--excel-fr", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "sur 100" in done.stdout
    return folder / "release"


def test_the_release_holds_what_it_promises(release: Path) -> None:
    manifest = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    promised = {
        *("estimates.csv", "estimates.parquet", "estimates.xlsx", "estimates.geojson"),
        *("draws.parquet", "decomposition.csv", "variants.csv", "raking.csv", "components.csv"),
        *(
            "own_urban.csv",
            "frame_margins.csv",
            "report.html",
            "report.en.html",
            "estimates-excel-fr.csv",
        ),
    }
    assert promised <= set(manifest["outputs"])
    assert all(len(item["sha256"]) == 64 for item in manifest["inputs"])
    assert not [item for item in manifest["inputs"] if item["role"] == "validate"]
    assert {"isolation", "year-gap"} <= {verdict["check"] for verdict in manifest["verdicts"]}
    values = {(item["indicator"], item["year"]): item["value"] for item in manifest["reference"]}
    assert values["smartphone", 2022] == pytest.approx(0.94)
    assert values["smartphone", 2023] == pytest.approx(0.93)


def test_communes_add_up_to_the_metropolis_in_every_draw(release: Path) -> None:
    table = pd.read_csv(release / "estimates.csv", dtype={"geo": str, "reason": str})
    of = table[table["indicator"] == "smartphone"].set_index("geo")
    communes = of[of["level"] == "commune"]
    assert len(communes) == 28
    whole = of.loc["243300316"]
    assert communes["N"].sum() == pytest.approx(whole["N"], rel=1e-9)
    shown = communes[communes["class"] != "D"]
    if len(shown) == 28:
        assert shown["people"].sum() == pytest.approx(whole["people"], rel=1e-9)
    assert (table["method"].astype(str) != "").all()
    france = table[table["level"] == "france"].set_index("indicator")["est"]
    # Design-based rate of the survey's own wave, as the package ships it.
    assert france["smartphone"] == pytest.approx(0.872, abs=0.003)
    assert np.isfinite(of["p_above_metropolis"].drop(["FR", "243300316"])).all()


@pytest.mark.slow
def test_another_indicator_beside_changes_no_figure(release: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(with_indicators("smartphone"))
    done = inegnum("run", "study.toml", "--out", "alone", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    both = pd.read_csv(release / "estimates.csv", dtype={"geo": str, "reason": str})
    alone = pd.read_csv(tmp_path / "alone" / "estimates.csv", dtype={"geo": str, "reason": str})
    pd.testing.assert_frame_equal(
        both[both["indicator"] == "smartphone"].reset_index(drop=True), alone
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"smartphone"', '"smartfone"', ["smartfone", "did you mean smartphone"]),
        ('epci = "243300316"', 'epci = "243300361"', ["243300361", "243300316"]),
        ('epci = "243300316"', 'communes = ["33063", "33999"]', ["33999"]),
        ("seed = ", "sede = ", ["unknown key", "did you mean seed?"]),
        ("waves = [2020, 2022]", "waves = [2021, 2022]", ["2021"]),
        ("[frame]", "[frame", ["not valid TOML"]),
    ],
)
def test_what_cannot_be_done_is_said_once_and_nothing_is_written(
    old: str, new: str, words: list[str], tmp_path: Path
) -> None:
    text = with_indicators("smartphone")
    assert old in text
    (tmp_path / "study.toml").write_text(text.replace(old, new, 1))
    done = inegnum("run", "study.toml", "--out", "release", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_a_tampered_reference_file_stops_the_run(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src" / "inegnum", tmp_path / "src" / "inegnum")
    shutil.copytree(ROOT / "data" / "reference", tmp_path / "data" / "reference")
    shutil.copytree(ROOT / "models", tmp_path / "models")
    table = tmp_path / "data" / "reference" / "barometre_cells.parquet"
    table.write_bytes(table.read_bytes()[:-1] + b"\x00")
    (tmp_path / "study.toml").write_text(with_indicators("smartphone"))
    source = tmp_path / "src"
    done = inegnum("run", "study.toml", "--out", "release", cwd=tmp_path, source=source)
    assert done.returncode == 2
    assert "barometre_cells" in done.stderr
    assert "sha256" in done.stderr
    assert not (tmp_path / "release").exists()
    verified = inegnum("data", "verify", cwd=tmp_path, source=source)
    assert verified.returncode == 2
    assert "barometre_cells" in verified.stderr
