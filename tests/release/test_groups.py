"""Who is concerned: a sheet says what profiles.csv holds, on the far side of digital."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from inegnum.errors import PublicationError
from inegnum.release.groups import group_tables, rows_by_area
from inegnum.release.read import Release, read_release
from inegnum.release.text import phrases
from release.synthetic import INDICATORS, rehash, write_release

GEO = "99003"


def lines(release: Release, code: str, language: str = "en"):
    found = group_tables(release, rows_by_area(release.profiles), GEO, phrases(language))
    (table,) = (t for t in found if t.code == code)
    rows = release.profiles
    mine = rows[(rows["geo"] == GEO) & (rows["indicator"] == code)]
    said = [line for _, group in table.margins for line in group]
    return table, list(zip(said, mine.to_dict("records"), strict=True))


@pytest.mark.parametrize("code", ["smartphone", "no_device"])
def test_rates_are_of_those_concerned(release: Release, code: str) -> None:
    words = phrases("en")
    table, pairs = lines(release, code)
    far = INDICATORS[code][5] < 0
    assert table.who == words.predicate(code, without=not far)
    assert False in {line.masked for line, _ in pairs}
    assert [line.masked for line, _ in pairs] == [row["class"] == "D" for _, row in pairs]
    for line, row in pairs:
        p = row["p_above_area"] if far else 1 - row["p_above_area"]
        assert line.chance == words.short_chances(p)
        if line.masked:
            assert (line.rate, line.people) == (words["table.masked"], "")
            continue
        est = row["est"] if far else 1 - row["est"]
        assert line.rate.startswith(f"{words.hundred(est)} (")
        assert line.people.startswith(words.people(row["people" if far else "without"]))


def test_shares_are_of_the_universe(release: Release) -> None:
    _, pairs = lines(release, "smartphone")
    ages = [line for line, row in pairs if row["margin"] == "age"]
    assert len(ages) == 6
    # Six equal ages: 17 % each, here and in the whole.
    assert {(line.here, line.whole) for line in ages} == {("17%", "17%")}


def test_every_group_is_named_in_both_languages(release: Release) -> None:
    fr, en = (lines(release, "smartphone", language)[1] for language in ("fr", "en"))
    alike = {"baccalauréat"}
    for (one, row), (other, _) in zip(fr, en, strict=True):
        assert one.label != row["group"]
        assert one.label != other.label or one.label in alike


def test_a_masked_group_that_still_holds_a_figure_is_refused(tmp_path: Path) -> None:
    path = write_release(tmp_path / "release")
    table = pd.read_csv(path / "profiles.csv", dtype=str, keep_default_na=False)
    table.loc[table.index[table["class"] == "D"][0], "people_upper"] = "12"
    table.to_csv(path / "profiles.csv", index=False)
    rehash(path)
    with pytest.raises(PublicationError, match=r"profiles\.csv"):
        read_release(path)


def test_a_release_of_before_has_no_groups(tmp_path: Path) -> None:
    path = write_release(tmp_path / "release")
    (path / "profiles.csv").unlink()
    import json

    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    del manifest["outputs"]["profiles.csv"]
    (path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    release = read_release(path)
    assert group_tables(release, rows_by_area(release.profiles), GEO, phrases("fr")) == ()
