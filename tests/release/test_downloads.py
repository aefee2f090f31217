"""Open data: every form holds the same figures, masks included, and validates."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from inegnum.release.downloads import FIELDS, melodi, write_downloads
from inegnum.release.read import COLUMNS, MASKED, Release


@pytest.fixture(scope="module")
def folder(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("downloads")
    names = write_downloads(release, made)
    assert sorted(names) == sorted(file.name for file in made.iterdir())
    return made


def test_the_data_package_validates(folder: Path) -> None:
    from frictionless import validate

    report = validate(str(folder / "datapackage.json"))
    assert report.valid, report.flatten(["title", "rowNumber", "fieldName", "note"])
    assert len(report.tasks) == 8


def test_a_changed_table_no_longer_validates(folder: Path, tmp_path: Path) -> None:
    import shutil

    from frictionless import validate

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    table = (copy / "estimates.csv").read_text("utf-8")
    (copy / "estimates.csv").write_text(table.replace("0.95", "quatre", 1), "utf-8")
    assert not validate(str(copy / "datapackage.json")).valid


def test_the_spreadsheet_holds_the_same_table(folder: Path, release: Release) -> None:
    sheet = pd.read_excel(
        folder / "estimates.ods", dtype={"geo": str}, keep_default_na=False, na_values={"est": [""]}
    )
    assert sheet["geo"].tolist() == release.estimates["geo"].tolist()
    # OpenDocument stores numbers as decimal text of 15 digits.
    assert sheet["est"].to_numpy() == pytest.approx(
        release.estimates["est"].to_numpy(), rel=1e-12, nan_ok=True
    )


def test_melodi_hides_what_is_masked_and_says_so(release: Release) -> None:
    table = melodi(release)
    masked = table["CONF_STATUS"] == "C"
    assert masked.sum() == 4 * (release.estimates["class"] == "D").sum()
    assert table.loc[masked, "OBS_VALUE"].isna().all()
    assert table.loc[~masked, "OBS_VALUE"].notna().all()
    rates = table[table["INEGNUM_MEASURE"] == "RATE"]["OBS_VALUE"].dropna()
    assert rates.between(0, 100).all()
    assert rates.max() > 1


def test_no_download_leaks_a_masked_figure(folder: Path, release: Release) -> None:
    parquet = pd.read_parquet(folder / "estimates.parquet")
    assert parquet.loc[parquet["class"] == "D", list(MASKED)].isna().all(axis=None)


def test_every_column_is_described(folder: Path) -> None:
    assert set(FIELDS) == set(COLUMNS["estimates.csv"])
    package = json.loads((folder / "datapackage.json").read_text("utf-8"))
    fields = package["resources"][0]["schema"]["fields"]
    assert all(field.get("description") for field in fields)
