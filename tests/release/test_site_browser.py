"""The site in a real browser: every selector, both languages, keyboard, print, every window."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from inegnum.release.compare import difference, local_draws
from inegnum.release.read import Release
from inegnum.release.site import PAGES
from inegnum.release.text import phrases
from release.browsing import axe_violations, browser, overflows, visit
from release.synthetic import INDICATORS

pytestmark = pytest.mark.browser
EVERY = (*PAGES, "communes/99001", "communes/99012")


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_page_is_quiet_and_fits_every_window(
    started: Browser, site: Path, language: str
) -> None:
    for page in EVERY:
        for width in (320, 1600):
            seen = visit(started, site / language / f"{page}.html", width=width)
            assert not overflows(seen.page), (page, width)
            assert seen.errors == [], page
            assert seen.outside == [], page
            seen.page.context.close()


@pytest.mark.parametrize("page", EVERY)
def test_axe_finds_nothing_serious(started: Browser, site: Path, page: str) -> None:
    seen = visit(started, site / "fr" / f"{page}.html")
    assert axe_violations(seen.page) == []
    seen.page.context.close()


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_selector_of_the_map(started: Browser, site: Path, language: str) -> None:
    page = visit(started, site / language / "index.html").page
    for code in INDICATORS:
        page.select_option("#indicator", code)
        for metric in ("rate", "above", "people"):
            page.check(f"input[name=metric][value={metric}]")
            assert page.locator(f'figure[data-metric="{metric}"]:visible').count() == 1
    page.check("input[name=level][value=whole]")
    assert page.locator('[data-level="whole"]:visible').count() == 1
    assert page.locator('[data-level="commune"]:visible').count() == 0


def test_a_commune_is_found_by_name_without_accents(started: Browser, site: Path) -> None:
    page = visit(started, site / "fr" / "index.html").page
    page.fill("#commune", "ile neuve")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("communes/99008"))
    assert page.locator("h1").inner_text() == "Île-Neuve"


def test_an_unknown_commune_is_said_to_be(started: Browser, site: Path) -> None:
    page = visit(started, site / "fr" / "index.html").page
    page.fill("#commune", "Atlantis")
    page.keyboard.press("Enter")
    assert "Aucune commune" in page.locator("#search [role=status]").inner_text()


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_comparison_says_what_the_draws_say(
    started: Browser, site: Path, release: Release, language: str
) -> None:
    words = phrases(language)
    page = visit(started, site / language / "compare.html").page
    codes = list(INDICATORS)
    draws = release.draws()
    checked = 0
    for first, second in (("99001", "99003"), ("99009", "99002"), ("99005", "99005")):
        page.select_option("#first", first)
        page.select_option("#second", second)
        rows = page.locator("#pair-table tbody tr")
        assert rows.count() == len(codes)
        for at in range(rows.count()):
            label = rows.nth(at).locator("th").inner_text()
            code = next(c for c in codes if words.short(c, "") == label)
            said = rows.nth(at).locator("td").nth(2).inner_text()
            gap = difference(local_draws(draws, code), first, second, prob=0.95)
            if first == second:
                assert said == words["compare.same"]
            elif gap is None:
                assert said == words["compare.masked"]
            else:
                # The script rounds thousandths to points; a value on the edge may go either way.
                edge = any(abs((abs(v) * 100) % 1 - 0.5) < 0.06 for v in (gap.est, gap.lower))
                edge = edge or abs((abs(gap.upper) * 100) % 1 - 0.5) < 0.06
                if not edge:
                    assert said.startswith(words.gap(gap.est, gap.lower, gap.upper)), code
                    checked += 1
    assert checked >= 3


def test_need_and_supply_follow_the_indicator(started: Browser, site: Path) -> None:
    page = visit(started, site / "fr" / "supply.html").page
    for code in INDICATORS:
        page.select_option("#indicator", code)
        assert page.locator("main table:visible").count() == 1
        assert page.locator(f'[data-indicator="{code}"]').is_visible()


def test_a_commune_prints_on_one_sheet(started: Browser, site: Path) -> None:
    for language in ("fr", "en"):
        for sheet in sorted((site / language / "communes").glob("*.html")):
            page = visit(started, sheet).page
            pdf = page.pdf(prefer_css_page_size=True)
            assert pdf.count(b"/Type /Page\n") == 1, sheet.name
            page.context.close()


def test_the_language_changes_in_place(started: Browser, site: Path) -> None:
    page = visit(started, site / "fr" / "method.html").page
    page.get_by_role("link", name="English version").click()
    assert page.url.endswith("/en/method.html")
    assert page.locator("html").get_attribute("lang") == "en"


def test_the_door_opens_the_first_language(started: Browser, site: Path) -> None:
    page = visit(started, site / "index.html").page
    page.wait_for_url(re.compile("fr/index"))


def test_the_first_view_is_fast(started: Browser, site: Path) -> None:
    page = visit(started, site / "fr" / "index.html").page
    # From the start of navigation to the end of drawing the document, from disk.
    spent = page.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
    assert spent < 1000


def test_the_keyboard_reaches_the_map_and_the_search(started: Browser, site: Path) -> None:
    page = visit(started, site / "fr" / "index.html").page
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"skip", "commune", "indicator"} <= reached
