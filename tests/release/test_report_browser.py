"""The report in a real browser: it works, it is quiet, it leaves nobody out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from release.browsing import axe_violations, browser, overflows, visit
from release.synthetic import INDICATORS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as running:
        yield running


def visible(page: object, selector: str) -> int:
    return int(page.locator(f"{selector} >> visible=true").count())  # type: ignore[attr-defined]


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_choice_shows_one_map_and_one_table(
    started: Browser, reports: dict[str, Path], language: str
) -> None:
    seen = visit(started, reports[language])
    for code in INDICATORS:
        seen.page.select_option("#indicator", code)
        for metric in ("rate", "above", "people"):
            seen.page.check(f"input[name=metric][value={metric}]")
            shown = seen.page.locator(f'.block[data-indicator="{code}"]')
            assert shown.is_visible()
            assert visible(seen.page, "svg.map") == 1
            assert visible(seen.page, "#explore table") == 1
            assert shown.locator(f'figure[data-metric="{metric}"]').is_visible()
    assert seen.errors == []
    assert seen.outside == []


def test_a_commune_is_read_when_touched(started: Browser, reports: dict[str, Path]) -> None:
    page = visit(started, reports["fr"]).page
    # dispatched: the centre of a group's box may lie outside its outline
    page.locator("svg.map:visible .area").first.dispatch_event("click")
    assert "Aubeterre" in page.locator(".readout:visible").inner_text()
    assert page.locator("tr.on:visible").count() == 1


def test_a_card_leads_to_its_map(started: Browser, reports: dict[str, Path]) -> None:
    page = visit(started, reports["fr"]).page
    page.locator('[data-card="no_device"] a').click()
    assert page.locator("#indicator").input_value() == "no_device"
    assert page.locator('.block[data-indicator="no_device"]').is_visible()


def test_the_keyboard_is_enough(started: Browser, reports: dict[str, Path]) -> None:
    page = visit(started, reports["fr"]).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#indicator")
    before = page.locator("#indicator").input_value()
    page.keyboard.press("ArrowDown")
    after = page.locator("#indicator").input_value()
    assert after != before
    assert page.locator(f'.block[data-indicator="{after}"]').is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.locator("input[name=metric]:checked").get_attribute("value") == "above"
    assert page.locator('figure[data-metric="above"]:visible').count() == 1


def test_without_script_everything_is_shown(started: Browser, reports: dict[str, Path]) -> None:
    page = visit(started, reports["fr"], script=False).page
    assert page.locator(".block:visible").count() == len(INDICATORS)


@pytest.mark.parametrize("width", [320, 360, 768, 1280, 1920])
def test_no_window_is_too_narrow(started: Browser, reports: dict[str, Path], width: int) -> None:
    seen = visit(started, reports["fr"], width=width)
    for metric in ("rate", "people"):
        seen.page.check(f"input[name=metric][value={metric}]")
        assert not overflows(seen.page)


def test_axe_sees_a_fault_that_is_there(started: Browser, tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    faint = "<p style='color:#ccc;background:#fff'>barely readable words</p>"
    file.write_text(f"<html><body><img src='data:,'>{faint}</body></html>")
    found = " ".join(axe_violations(visit(started, file).page))
    assert "image-alt" in found
    assert "color-contrast" in found


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious(
    started: Browser, reports: dict[str, Path], language: str, width: int
) -> None:
    page = visit(started, reports[language], width=width).page
    assert axe_violations(page) == []
    page.check("input[name=metric][value=above]")
    assert axe_violations(page) == []


def test_it_prints(started: Browser, reports: dict[str, Path], tmp_path: Path) -> None:
    page = visit(started, reports["fr"]).page
    pdf = page.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    # One indicator at a time is printed: a dozen sheets would mean that all of them were.
    assert 3 <= pdf.count(b"/Type /Page\n") <= 9
    page.emulate_media(media="print")
    assert not page.locator("#controls").is_visible()
