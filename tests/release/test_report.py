"""The report is one light file that says what is known and hides what is masked."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from inegnum.errors import InputError, ProvenanceError
from inegnum.release.read import Release
from inegnum.release.report import build_report
from inegnum.release.text import phrases

VOID = {"meta", "link", "br", "input", "img"}


class Outline(HTMLParser):
    """Collect ids, addresses, text, and check that tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if "src" in given or (tag == "link"):
            self.fetched.append(str(given.get("src") or given.get("href")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


def read(path: Path) -> Outline:
    parsed = Outline()
    parsed.feed(path.read_text("utf-8"))
    return parsed


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_is_well_formed_and_stands_alone(reports: dict[str, Path], language: str) -> None:
    page = read(reports[language])
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(address.startswith("data:") for address in page.fetched)
    assert "url(http" not in reports[language].read_text("utf-8")
    # Half of what the observatory allows a first view, to leave room for more areas.
    assert reports[language].stat().st_size < 750_000


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_says_modelled_and_simulated(reports: dict[str, Path], language: str) -> None:
    text = " ".join(read(reports[language]).text)
    words = phrases(language)
    assert text.count(words["modelled"]) > 10
    assert words["page.simulated"] in text
    for key in ("rank", "allocate", "individual", "below", "effect", "change"):
        assert words[f"not_decide.{key}"] in text


def test_references_stand_beside_with_their_difference(reports: dict[str, Path]) -> None:
    text = " ".join(read(reports["fr"]).text)
    assert "94\u00a0% (2022)" in text
    assert "93\u00a0% (2023)" in text
    assert "âge minimal inconnu" in text


def test_modelled_figures_carry_no_decimals(reports: dict[str, Path]) -> None:
    html = reports["fr"].read_text("utf-8")
    cells = re.findall(r'<td class="num">([^<]*)</td>', html[: html.index('id="method"')])
    assert len(cells) > 100
    assert not [cell for cell in cells if re.search(r"\d[.,]\d", cell)]


def test_masked_rows_hold_no_number(reports: dict[str, Path], release: Release) -> None:
    html = reports["fr"].read_text("utf-8")
    rows = re.findall(r"<tr data-geo=\"(\d+)\">(.*?)</tr>", unescape(html))
    masked = [cells for _, cells in rows if 'class="masked' in cells]
    communes = release.estimates[release.estimates["level"] == "commune"]
    assert len(rows) == len(communes)
    assert len(masked) == (communes["class"] == "D").sum()
    for cells in masked:
        before = cells.rsplit("<td>", 1)[0]
        assert not re.search(r">[^<]*\d", before), before


def test_the_same_release_gives_the_same_bytes(
    release_path: Path, reports: dict[str, Path], tmp_path: Path
) -> None:
    again = build_report(release_path, language="en", out=tmp_path / "again.html")
    assert again.read_bytes() == reports["en"].read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["again.html"]


def test_a_place_that_cannot_be_written(release_path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        build_report(release_path, language="fr", out=tmp_path / "absent" / "page.html")


def test_a_folder_that_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(ProvenanceError, match="not a release"):
        build_report(tmp_path, language="fr", out=tmp_path / "page.html")
