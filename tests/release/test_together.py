"""Families and changes on pages: what is said, what stays masked, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from inegnum.errors import PublicationError
from inegnum.release.read import Release, read_release
from inegnum.release.text import phrases
from inegnum.release.together import change_view, family_view
from release.synthetic import rehash, write_release


def test_families_are_said_for_the_territory_and_counted_by_commune(release: Release) -> None:
    words = phrases("en")
    view = family_view(release, words)
    assert view is not None
    assert view.heads == ("Uses (of 2)", "Equipment (of 2)")
    assert "on average +2 points (−1 to +5) compared with France" in view.sentences[0]
    assert "about 3 chances in 10 that the territory is less favoured" in view.sentences[0]
    rows = {row[0]: row[1:] for row in view.rows}
    grades = release.families.set_index("name")["class"]
    assert len(rows) == 12
    for name, cells in rows.items():
        grade = grades[name].iloc[0]
        # D says nothing but that it is masked.
        wanted = {"A": "0–2 (1)", "C": "0–2 (1)", "D": words["table.masked"]}[grade]
        assert set(cells) == {wanted}


def test_changes_are_said_with_france_and_breaks(release: Release) -> None:
    for language in ("fr", "en"):
        view = change_view(release, phrases(language), "smartphone")
        assert view is not None
        assert (view.since, view.year) == (2020, 2022)
        rows = {row[0]: row for row in view.rows}
        assert len(rows) == 5  # of six: one is left out, with its reason
        assert len(view.left) == 1
        broken = [row for row in view.rows if row[7]]
        assert len(broken) == 1
        smartphone = rows["Smartphone"]
        assert smartphone[6] == "+2"
        table = release.change.set_index(["geo", "indicator"])
        here = table.loc[(release.territory.code, "smartphone")]
        assert smartphone[2] == phrases(language).hundred(here["after"])
        assert str(here["since"]) in view.sentence


def test_a_masked_change_keeps_its_chances_alone(release: Release) -> None:
    table = release.change.copy()
    here = (table["geo"] == release.territory.code) & (table["indicator"] == "smartphone")
    table.loc[here, ["before", "after", "change", "lower", "upper"]] = float("nan")
    table.loc[here, "class"] = "D"
    view = change_view(replace(release, change=table), phrases("en"), "smartphone")
    assert view is not None
    row = next(row for row in view.rows if row[0] == "Smartphone")
    assert set(row[1:4]) == {"not released"}
    assert row[4] == "9 in 10"
    assert view.sentence == ""


def test_pages_have_both_sections_and_none_without_the_tables(
    reports: dict[str, Path], release: Release
) -> None:
    for language, since in (("fr", "Depuis 2020"), ("en", "Since 2020")):
        html = reports[language].read_text(encoding="utf-8")
        assert 'id="families"' in html
        assert since in html
    bare = replace(release, change=release.change[:0], families=release.families[:0])
    assert family_view(bare, phrases("fr")) is None
    assert change_view(bare, phrases("fr"), "smartphone") is None


def test_a_masked_row_that_holds_a_figure_is_refused(tmp_path: Path) -> None:
    for name, column in (("change.csv", "before"), ("families.csv", "gap")):
        path = write_release(tmp_path / name)
        table = pd.read_csv(path / name, dtype={"geo": str})
        at = table.index[table["class"] == "D"][0]
        table.loc[at, column] = 0.5
        table.to_csv(path / name, index=False)
        rehash(path)
        with pytest.raises(PublicationError, match="masked row"):
            read_release(path)


def test_downloads_describe_every_column(site: Path) -> None:
    folder = next(site.rglob("datapackage.json")).parent
    package = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
    resources = {one["path"]: one for one in package["resources"]}
    for name in ("change.csv", "families.csv"):
        fields = resources[name]["schema"]["fields"]
        assert (folder / name).is_file()
        assert [field["name"] for field in fields if "description" not in field] == []
        numbers = {field["name"] for field in fields if field["type"] == "number"}
        assert {"lower", "upper", "prob"} <= numbers
