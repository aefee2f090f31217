"""A release folder is whole and unchanged, or it is refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from inegnum.errors import ProvenanceError, PublicationError
from inegnum.release.read import Release, read_release
from release.synthetic import DRAWS, INDICATORS, rehash


@pytest.fixture
def folder(release_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(release_path, tmp_path / "release"))


def edit(folder: Path, name: str, change: dict[str, object], row: pd.Series) -> None:
    """Write other values into the rows where `row` is true, and keep the hashes right."""
    table = pd.read_csv(folder / name, dtype={"geo": str})
    for column, value in change.items():
        table.loc[row, column] = value
    table.to_csv(folder / name, index=False)
    rehash(folder)


def test_it_reads_what_was_written(release: Release) -> None:
    assert list(release.indicators) == list(INDICATORS)
    assert release.territory.n_areas == 12
    assert release.simulated
    assert release.prob == 0.95
    names = release.at("commune", "smartphone")["name"].tolist()
    # Accents and articles do not change the order of the alphabet.
    assert names[:4] == ["Aubeterre", "Boisclair", "Champ-d'Or", "Fontvieille"]
    assert names.index("Île-Neuve") == names.index("Hautes-Terres") + 1


def test_draws_hold_no_masked_area(release: Release) -> None:
    draws = release.draws()
    table = release.estimates
    masked = table[table["class"] == "D"].set_index(["geo", "indicator"]).index
    assert len(masked) > 0
    assert not draws.set_index(["geo", "indicator"]).index.unique().isin(masked).any()
    assert draws["draw"].nunique() == DRAWS


def test_codes_stay_text(release: Release) -> None:
    assert release.estimates["geo"].str.len().isin([2, 5, 9]).all()


def test_a_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(ProvenanceError, match="not a release"):
        read_release(tmp_path)


def test_a_truncated_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"inegnum": ', "utf-8")
    with pytest.raises(ProvenanceError, match="manifest cannot be read"):
        read_release(folder)


def test_a_manifest_that_lacks_entries(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    del manifest["verdicts"]
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(ProvenanceError, match="expected: verdicts"):
        read_release(folder)


def test_one_changed_byte(folder: Path) -> None:
    file = folder / "estimates.csv"
    file.write_bytes(file.read_bytes().replace(b"0.9", b"0.8", 1))
    with pytest.raises(ProvenanceError, match="changed since"):
        read_release(folder)


def test_a_missing_file(folder: Path) -> None:
    (folder / "variants.csv").unlink()
    with pytest.raises(ProvenanceError, match=r"missing[\s\S]*variants\.csv"):
        read_release(folder)


def test_a_missing_column(folder: Path) -> None:
    table = pd.read_csv(folder / "decomposition.csv").drop(columns="delta")
    table.to_csv(folder / "decomposition.csv", index=False)
    rehash(folder)
    with pytest.raises(ProvenanceError, match="expected: delta"):
        read_release(folder)


def test_an_unknown_class(folder: Path) -> None:
    table = pd.read_csv(folder / "estimates.csv")
    edit(folder, "estimates.csv", {"class": "E"}, table.index == 3)
    with pytest.raises(ProvenanceError, match="unknown code"):
        read_release(folder)


def test_a_masked_row_that_leaks(folder: Path) -> None:
    table = pd.read_csv(folder / "estimates.csv")
    edit(folder, "estimates.csv", {"people": 1200.0}, table["class"] == "D")
    with pytest.raises(PublicationError, match="still holds a figure"):
        read_release(folder)


@pytest.mark.parametrize("change", [{"est": 93.0}, {"lower": 0.999}, {"est": None}])
def test_an_estimate_outside_its_interval(folder: Path, change: dict[str, object]) -> None:
    table = pd.read_csv(folder / "estimates.csv")
    edit(folder, "estimates.csv", change, table.index == 0)
    with pytest.raises(PublicationError, match="inside its interval"):
        read_release(folder)


def test_an_area_that_stands_twice(folder: Path) -> None:
    table = pd.read_csv(folder / "estimates.csv", dtype={"geo": str})
    pd.concat([table, table.iloc[[2]]]).to_csv(folder / "estimates.csv", index=False)
    rehash(folder)
    with pytest.raises(ProvenanceError, match="twice"):
        read_release(folder)
