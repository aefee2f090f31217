"""The site in a real browser: every selector, both languages, keyboard, print, every window."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from inegnum.release.cards import people_sentence
from inegnum.release.compare import difference, local_draws
from inegnum.release.read import Release, read_release
from inegnum.release.site import PAGES, publish
from inegnum.release.text import phrases
from release.browsing import axe_violations, browser, overflows, visit
from release.synthetic import INDICATORS, write_release

pytestmark = pytest.mark.browser
EVERY = (*(page for page in PAGES if page != "iris"), "communes/99001", "communes/99012")


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_page_is_quiet_and_fits_every_window(
    started: Browser, site: Path, language: str
) -> None:
    for page in EVERY:
        for width in (320, 768, 1280, 1920):
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
        gaps = {c: difference(local_draws(draws, c), first, second, prob=0.95) for c in codes}
        withheld = [c for c in codes if gaps[c] is None and first != second]
        assert rows.count() == len(codes) - len(withheld)
        assert page.locator("#hidden-pairs").is_visible() == bool(withheld)
        for at in range(rows.count()):
            label = rows.nth(at).locator("th").inner_text()
            code = next(c for c in codes if words.short(c, "") == label)
            said = rows.nth(at).locator("td").nth(2).inner_text()
            gap = gaps[code]
            if first == second:
                assert said == words["compare.same"]
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


def test_the_first_view_is_light(site: Path) -> None:
    files = ["fr/index.html", "assets/style.css", "assets/pages.js"]
    html = (site / files[0]).read_text("utf-8")
    fetched = re.findall(r'(?:href|src)="\.\./(assets/[^"]+)"', html)
    assert sorted(fetched) == sorted(files[1:])
    assert sum((site / file).stat().st_size for file in files) < 1_500_000


def test_the_keyboard_reaches_the_map_and_the_search(started: Browser, site: Path) -> None:
    page = visit(started, site / "fr" / "index.html").page
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"skip", "commune", "indicator"} <= reached


# --- someone new: four questions, answered by following visible links only ---------------------


class Newcomer:
    """Someone who sees the page for the first time: clicks what is in sight, and is counted."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks = page, 0

    def click(self, selector: str) -> None:
        target = self.page.locator(selector).first
        assert target.is_visible(), selector
        target.click()
        self.clicks += 1

    def look_up(self, commune: str) -> None:
        """Type a name in the search box of the front page, as one types: no accent, no capital."""
        assert self.page.locator("#commune").is_visible()
        self.page.fill("#commune", commune)
        self.click("#search button")
        self.page.wait_for_url(re.compile("communes/"))

    def reads(self, text: str) -> bool:
        return text in " ".join(self.page.locator("main").inner_text().split())


@pytest.fixture(params=["fr", "en"])
def newcomer(request: pytest.FixtureRequest, started: Browser, site: Path) -> Iterator[Newcomer]:
    seen = visit(started, site / request.param / "index.html")
    yield Newcomer(seen.page)
    assert seen.errors == []
    assert seen.outside == []
    seen.page.context.close()


def flat(text: str) -> str:
    return " ".join(text.split())


def test_how_many_people_are_without_a_smartphone(newcomer: Newcomer, release: Release) -> None:
    newcomer.look_up("hautes terres")
    assert newcomer.clicks <= 2
    row = release.at("commune", "smartphone").set_index("name").loc["Hautes-Terres"]
    words = phrases(newcomer.page.locator("html").get_attribute("lang") or "")
    said = flat(people_sentence(row, release.indicators["smartphone"], words))
    assert newcomer.reads(said[0].upper() + said[1:])


def test_how_sure_is_that(newcomer: Newcomer, release: Release) -> None:
    newcomer.look_up("hautes terres")
    row = release.at("commune", "smartphone").set_index("name").loc["Hautes-Terres"]
    words = phrases(newcomer.page.locator("html").get_attribute("lang") or "")
    card = flat(newcomer.page.locator('[data-card="smartphone"]').inner_text())
    assert words.interval(row["lower"], row["upper"]) in card
    assert flat(words[f"class.{row['class']}"]) in card
    newcomer.click('nav.main a[href$="method.html"]')  # what the interval holds, in one more click
    assert newcomer.reads(flat(words["method.interval"]))
    assert newcomer.clicks <= 3


def test_where_is_help_nearby(newcomer: Newcomer) -> None:
    newcomer.look_up("aubeterre")
    assert newcomer.clicks <= 2
    help_ = flat(newcomer.page.locator("#help").inner_text())
    assert "Médiathèque, 1 rue Haute, 99000 Aubeterre" in help_
    assert re.search(r"\(\d[\d.,]* k?m\)", help_)
    words = phrases(newcomer.page.locator("html").get_attribute("lang") or "")
    assert words["supply.check"] in help_  # the old record is flagged


def test_what_changed_since_the_last_release(newcomer: Newcomer, release: Release) -> None:
    newcomer.click('nav.questions a[href="changes.html"]')
    assert newcomer.clicks == 1
    words = phrases(newcomer.page.locator("html").get_attribute("lang") or "")
    now = words.hundred(release.whole("smartphone")["est"])
    row = newcomer.page.locator("table").first.locator("tr", has_text="Smartphone").inner_text()
    assert now in row.split("\t")
    assert newcomer.reads(words["changes.seed"])


# --- one more scale: IRIS --------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_iris(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Release]:
    folder = tmp_path_factory.mktemp("iris")
    release = write_release(folder / "release", iris=True)
    return publish(release, out=folder / "site"), read_release(release)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_neighbourhoods_are_one_more_scale_and_masked_ones_are_seen(
    started: Browser, with_iris: tuple[Path, Release], language: str
) -> None:
    site, release = with_iris
    seen = visit(started, site / language / "index.html")
    seen.page.locator('#controls a[href="iris.html"]').click()
    page = seen.page
    released = hidden = 0
    for code in INDICATORS:
        page.select_option("#indicator", code)
        rows = release.at("iris", code)
        masked = int((rows["class"] == "D").sum())
        hidden += masked
        released += len(rows) - masked
        page.check("input[name=metric][value=rate]")
        shown = page.locator('figure[data-metric="rate"]:visible')
        assert shown.locator(".area").count() == len(rows)
        assert shown.locator('use[fill="url(#masked)"]').count() == masked
        said = page.locator("p strong:visible").inner_text()
        assert said.startswith(f"{len(rows) - masked} ")
        page.check("input[name=metric][value=above]")
        assert page.locator("main table:visible tbody tr").count() == len(rows)
    assert released > 0
    assert hidden > 0
    assert (seen.errors, seen.outside) == ([], [])
    assert axe_violations(page) == []
    page.set_viewport_size({"width": 320, "height": 800})
    assert not overflows(page)


def test_a_release_without_neighbourhoods_does_not_speak_of_them(site: Path) -> None:
    assert not (site / "fr" / "iris.html").exists()
    for page in (site / "fr").rglob("*.html"):
        assert "iris.html" not in page.read_text("utf-8")


# --- a territory without shapes ------------------------------------------------------------------


@pytest.mark.parametrize("page", ["index", "supply", "compare", "method", "communes/99001"])
def test_without_shapes_there_is_no_map_and_the_rest_is_whole(
    started: Browser, site_without_shapes: Path, page: str
) -> None:
    for width in (320, 1280):
        seen = visit(started, site_without_shapes / "fr" / f"{page}.html", width=width)
        assert seen.page.locator("svg.map").count() == 0
        assert not overflows(seen.page)
        assert seen.errors == []
        if page in ("index", "supply"):
            # One table of areas at a time; changes since an earlier wave have their own.
            tables = seen.page.locator("main section:not(#since) table:visible")
            assert tables.count() == 1
            for code in INDICATORS:
                seen.page.select_option("#indicator", code)
                assert seen.page.locator(f'[data-indicator="{code}"]').is_visible()
        assert axe_violations(seen.page) == []
        seen.page.context.close()


@pytest.mark.parametrize("language", ["fr", "en"])
def test_who_is_concerned_follows_the_indicator(
    started: Browser, site: Path, language: str
) -> None:
    page = visit(started, site / language / "communes" / "99003.html").page
    for code in INDICATORS:
        page.select_option("#indicator", code)
        shown = page.locator("table.groups:visible")
        assert shown.count() == 1
        assert shown.locator("tbody").count() == 3


def test_a_commune_asks_to_be_compared(started: Browser, site: Path) -> None:
    page = visit(started, site / "fr" / "communes" / "99004.html").page
    page.get_by_role("link", name=phrases("fr")["sheet.compare"]).click()
    assert page.locator("#first").input_value() == "99004"
    assert page.locator("#second").input_value() != "99004"


def test_a_tooltip_says_the_figure_with_its_interval(started: Browser, site: Path) -> None:
    page = visit(started, site / "fr" / "index.html").page
    for metric in ("rate", "above", "people"):
        page.check(f"input[name=metric][value={metric}]")
        page.mouse.move(1, 1)
        box = page.locator(f'figure[data-metric="{metric}"]:visible .area').nth(3).bounding_box()
        assert box is not None
        page.locator(f'figure[data-metric="{metric}"]:visible svg').scroll_into_view_if_needed()
        box = page.locator(f'figure[data-metric="{metric}"]:visible .area').nth(3).bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert re.search(r": (environ|entre) \d+", page.locator(".tip").inner_text())
