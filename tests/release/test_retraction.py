"""A figure withdrawn: from the study to the pages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from inegnum.estimates.profiles import MASKED as GROUP_MASKED
from inegnum.release.changes import change_rows
from inegnum.release.diff import compare_releases
from inegnum.release.read import MASKED, read_release
from inegnum.release.report import build_report
from inegnum.release.site import publish
from inegnum.release.text import phrases
from inegnum.study import load_study, run_to_folder
from inegnum.study.new import new_study
from release.synthetic import rehash, write_release
from release.test_territories import shortened

WHY = "The frame counted a barracks twice."


def withdraw(path: Path, indicator: str, geo: str) -> Path:
    """Withdraw one figure of a simulated release as a run does."""
    for name, masked in (("estimates", MASKED), ("profiles", GROUP_MASKED)):
        file = path / f"{name}.csv"
        table = pd.read_csv(file, dtype={"geo": str, "reason": str, "year": str})
        rows = (table["indicator"] == indicator) & ((table["geo"] == geo) | (geo == "*"))
        table.loc[rows, ["class", "reason"]] = ["D", "retracted"]
        table.loc[rows, list(masked)] = np.nan
        if name == "estimates":
            table.loc[rows, "p_above_metropolis"] = np.nan
        table.to_csv(file, index=False)
    draws = pd.read_parquet(path / "draws.parquet")
    gone = (draws["indicator"] == indicator) & ((draws["geo"] == geo) | (geo == "*"))
    draws[~gone].to_parquet(path / "draws.parquet", index=False)
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    one = {"indicator": indicator, "geo": geo, "date": "2026-11-26"}
    manifest["retractions"] = [
        {**one, "reason_fr": "Une caserne comptée deux fois.", "reason_en": WHY}
    ]
    (path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    rehash(path)
    return path


@pytest.mark.parametrize("everywhere", [False, True])
def test_pages_say_what_is_withdrawn_and_why(everywhere: bool, tmp_path: Path) -> None:
    old, new = write_release(tmp_path / "old"), write_release(tmp_path / "new")
    release = read_release(old)
    code = next(iter(release.indicators))
    commune = str(release.at("commune", code)["geo"].iloc[0])
    geo = "*" if everywhere else commune
    withdraw(new, code, geo)
    page = build_report(new, language="en", out=tmp_path / "report.html").read_text("utf-8")
    assert page.count(WHY) == 1
    assert ("all areas" in page) == everywhere
    before = build_report(old, language="en", out=tmp_path / "old.html").read_text("utf-8")
    assert "Withdrawn figures" not in before
    site = publish(new, out=tmp_path / "site", previous=old)
    assert WHY in (site / "en" / "changes.html").read_text("utf-8")
    assert "caserne" in (site / "fr" / "changes.html").read_text("utf-8")

    found = compare_releases(old, new)
    rows = found.table[found.table["status"] == "retracted"]
    assert set(rows["indicator"]) == {code}
    assert rows["new_est"].isna().all()
    assert commune in set(rows["geo"])
    assert (len(rows) > 1) == everywhere
    (cause,) = found.causes
    assert (cause.kind, cause.what) == ("retraction", f"{code}, {geo}")
    assert WHY in cause.new
    assert "caserne" in compare_releases(old, new, language="fr").causes[0].new
    assert not any(
        WHY in cell for row in change_rows(old, new, phrases("fr"))["causes"] for cell in row
    )
    said = change_rows(old, new, phrases("en"))
    assert [row[4] for row in said["rows"]].count("withdrawn") == int(everywhere)


@pytest.mark.slow
def test_a_run_withdraws_what_its_study_names(tmp_path: Path) -> None:
    path = new_study(["33063", "33249"], kind="communes", out=tmp_path / "study.toml")
    shortened(path)
    run_to_folder(load_study(path), tmp_path / "old")
    whole = load_study(path).name
    text = path.read_text("utf-8")
    for geo in ("33249", whole):
        text += (
            f'\n[[retractions]]\nindicator = "smartphone"\ngeo = "{geo}"\ndate = "2026-11-26"\n'
            f'reason_fr = "Une caserne comptée deux fois."\nreason_en = "{WHY}"\n'
        )
    path.write_text(text, "utf-8")
    run_to_folder(load_study(path), tmp_path / "new")
    table = pd.read_csv(tmp_path / "new" / "estimates.csv", dtype={"geo": str, "reason": str})
    gone = table["geo"].isin(["33249", whole])
    assert set(table.loc[gone, "reason"]) == {"retracted"}
    assert table.loc[gone, "est"].isna().all()
    old = pd.read_csv(tmp_path / "old" / "estimates.csv", dtype={"geo": str, "reason": str})
    pd.testing.assert_frame_equal(table[~gone], old[~gone])
    draws = pd.read_parquet(tmp_path / "new" / "draws.parquet")
    assert set(draws["geo"]) == {"FR", "33063"}
    for name in ("decomposition", "raking", "components"):
        assert pd.read_csv(tmp_path / "new" / f"{name}.csv").empty
    groups = pd.read_csv(tmp_path / "new" / "profiles.csv", dtype={"geo": str})
    assert groups.loc[groups["geo"].isin(["33249", whole]), "est"].isna().all()
    assert WHY in json.dumps(read_release(tmp_path / "new").manifest["retractions"])
    assert "caserne" in (tmp_path / "new" / "report.html").read_text("utf-8")
    kinds = {cause.kind for cause in compare_releases(tmp_path / "old", tmp_path / "new").causes}
    assert kinds == {"retraction"}
