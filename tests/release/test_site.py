"""The site is whole: every link leads somewhere, every mask holds, nothing is half-written."""

from __future__ import annotations

import json
import re
from datetime import date
from html import unescape
from pathlib import Path

import pytest

from inegnum.errors import InputError
from inegnum.release.commune import actions
from inegnum.release.compare import difference, local_draws
from inegnum.release.read import Release, read_release
from inegnum.release.site import PAGES, publish
from inegnum.release.supply import read_places
from inegnum.release.text import phrases
from release.synthetic import write_places, write_release
from release.test_report import read

AS_OF = date(2024, 6, 1)


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_every_page_is_there_in_both_languages(site: Path, release: Release) -> None:
    for language in ("fr", "en"):
        assert {p.stem for p in (site / language).glob("*.html")} == set(PAGES) - {"iris"}
        sheets = {p.stem for p in (site / language / "communes").glob("*.html")}
        assert sheets == set(release.at("commune", "smartphone")["geo"])


def test_every_link_leads_somewhere(site: Path) -> None:
    for page in pages(site):
        html = page.read_text("utf-8")
        for address in re.findall(r'(?:href|src)="([^"#][^"]*)"', html):
            if address.startswith(("data:", "https://")):
                continue
            target = (page.parent / address.split("#")[0]).resolve()
            assert target.is_file(), f"{page.name}: {address}"


def test_pages_are_well_formed_and_light(site: Path) -> None:
    for page in pages(site):
        parsed = read(page)
        assert parsed.open == []
        assert len(parsed.ids) == len(set(parsed.ids)), page
    first = [
        site / "fr" / "index.html",
        site / "assets" / "style.css",
        site / "assets" / "pages.js",
    ]
    assert sum(file.stat().st_size for file in first) < 1_500_000


def test_modelled_is_said_on_every_page_of_figures(site: Path) -> None:
    for language in ("fr", "en"):
        said = phrases(language)["modelled"]
        for page in pages(site / language):
            assert said in page.read_text("utf-8"), page


def test_differences_hold_no_masked_area(site: Path, release: Release) -> None:
    text = (site / "assets" / "differences.js").read_text("utf-8")
    table = json.loads(text.removeprefix("window.INEGNUM_DIFFERENCES=").removesuffix(";\n"))
    rows = release.estimates
    for code, pairs in table.items():
        mine = rows[(rows["indicator"] == code) & (rows["level"] == "commune")]
        masked = set(mine[mine["class"] == "D"]["geo"])
        compared = {geo for pair in pairs for geo in pair.split("|")}
        assert compared == set(mine["geo"]) - masked


def test_a_masked_commune_sheet_shows_no_figure(site: Path, release: Release) -> None:
    # 99012 has fewer than 200 persons: everything about it is masked.
    cards = re.findall(
        r'<li class="card".*?</li>', (site / "fr/communes/99012.html").read_text("utf-8"), re.S
    )
    assert len(cards) == 3
    for card in cards:
        said = card[card.index("</h4>") :]
        # The reason, then the probability of being above the metropolis, and no figure before it.
        reason, _, chances = said.partition("trop peu de personnes.")
        assert not re.search(r">[^<]*\d", reason)
        assert re.search(r"Au-dessus de la métropole.*chances? sur", chances)


def test_the_sheet_says_what_the_draws_say(site: Path, release: Release) -> None:
    rows = release.at("commune", "no_device").set_index("geo")
    sure = {geo for geo in rows.index if rows.loc[geo, "p_above_metropolis"] > 0.9}
    assert 0 < len(sure) < len(rows)
    said = phrases("en")["sheet.above"].split("{")[0]
    for geo in rows.index:
        html = (site / f"en/communes/{geo}.html").read_text("utf-8")
        named = re.search(re.escape(said) + r"[^<]*No device", html) is not None
        assert named == (geo in sure), geo


@pytest.mark.slow
def test_the_same_day_gives_the_same_bytes(site: Path, release_path: Path, tmp_path: Path) -> None:
    supply = read_places(write_places(tmp_path / "places.csv"), source="Simulated")
    again = publish(
        release_path,
        out=tmp_path / "again",
        languages=["fr", "en"],
        supply=supply,
        previous=write_release(tmp_path / "before", seed=11),
        as_of=AS_OF,
    )
    for page in (*pages(site), site / "assets" / "differences.js"):
        assert (again / page.relative_to(site)).read_bytes() == page.read_bytes(), page


def test_a_folder_that_is_no_site_is_left_alone(release_path: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep")
    with pytest.raises(InputError, match="something else"):
        publish(release_path, out=tmp_path / "mine", languages=["fr"])
    assert (tmp_path / "mine" / "letter.txt").read_text() == "keep"


def test_an_unknown_language_writes_nothing(release_path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="language"):
        publish(release_path, out=tmp_path / "site", languages=["fr", "de"])
    assert list(tmp_path.iterdir()) == []


def test_what_changed_since_the_last_release(release_path: Path, tmp_path: Path) -> None:
    from inegnum.release.changes import change_rows

    before = write_release(tmp_path / "before", seed=11)
    told = change_rows(before, release_path, phrases("en"))
    assert len(told["rows"]) == 6
    old, new = (read_release(path).whole("smartphone") for path in (before, release_path))
    _, was, now, change, _ = next(row for row in told["rows"] if row[0] == "Smartphone")
    assert (was, now) == (phrases("en").hundred(old["est"]), phrases("en").hundred(new["est"]))
    assert change.startswith(phrases("en").points(new["est"] - old["est"]))
    assert ("seed", "seed", "11", "7") in told["causes"]


def test_actions_have_both_languages_and_known_conditions(release: Release) -> None:
    from inegnum.data.indicators import definitions

    known = {f"need:{entry.indicator.code}" for entry in definitions()} | {"always"}
    groups = {f"share:{m}:{level}" for m, level in release.profiles[["margin", "group"]].values}
    french, english = actions("fr"), actions("en")
    assert [a.code for a in french] == [a.code for a in english]
    for one, other in zip(french, english, strict=True):
        assert set(one.when) <= known | groups
        assert one.text != other.text


def test_similar_communes_are_compared_with_their_draws(site: Path, release: Release) -> None:
    local = local_draws(release.draws(), "internet_daily")
    words = phrases("en")
    html = (site / "en/communes/99001.html").read_text("utf-8")
    names = release.at("commune", "smartphone").set_index("name")["geo"]
    either = "|".join(map(re.escape, names.index))
    first = phrases("en")["short.internet_daily"]
    table = html[html.index(phrases("en")["sheet.similar"]) :]
    assert table.index(first) < table.index("</thead>")
    alike = re.findall(rf">({either})</a></th><td class=\"text\">([^,<]+),", unescape(table))
    assert len(alike) >= 2  # of three; a masked one is not compared
    for name, gap in alike:
        expected = difference(local, "99001", names[name], prob=0.95)
        assert expected is not None
        assert gap == words.short_gap(expected.est, expected.lower, expected.upper)
