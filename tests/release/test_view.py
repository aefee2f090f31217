"""Figures become words without saying more than is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inegnum.release.cards import card, concerned
from inegnum.release.pages import bubbles, cards_by_family
from inegnum.release.read import Release
from inegnum.release.text import phrases
from inegnum.release.view import area_views, indicator_view, rate_breaks

FR = phrases("fr")


def test_families_in_the_participants_order(release: Release) -> None:
    order = [family for family, _ in cards_by_family(release, FR)]
    assert order == ["uses", "ease", "equipment", "connection"]


def test_people_on_the_far_side_of_digital(release: Release) -> None:
    for code in ("smartphone", "no_device"):
        note, row = release.indicators[code], release.whole(code)
        count, lower, upper = concerned(row, note)
        far = 1 - row["est"] if note.direction > 0 else row["est"]
        assert count == pytest.approx(far * row["N"])
        assert lower < count < upper


def test_a_card_says_interval_gap_and_source(release: Release) -> None:
    said = card(release, "smartphone", FR)
    row = release.whole("smartphone")
    assert FR.hundred(row["est"]) == said.rate
    assert FR.hundred(row["lower"]) in said.interval_text
    assert "par rapport à la France" in said.gap
    for word in ("Enquête simulée", "Estimation modélisée", "12 ans et plus", "2022"):
        assert word in said.source
    assert sum(said.cells) == 100


def test_an_imprecise_card_leads_with_its_interval(release: Release) -> None:
    for code in release.indicators:
        assert card(release, code, FR).interval_first == (release.whole(code)["class"] == "C")


def test_a_masked_area_has_no_figure_but_its_probability(release: Release) -> None:
    masked = [
        area
        for code in release.indicators
        for area in area_views(release, code, FR)
        if area.grade == "D"
    ]
    assert len(masked) > 5
    for area in masked:
        assert (area.rate, area.interval, area.people, area.gap) == ("", "", "", "")
        assert math.isnan(area.need)
        assert area.colour == "none"
        assert area.above_colour != "none"
        assert "non diffusé" in area.sentence


def test_areas_stand_in_alphabetical_order_never_by_rate(release: Release) -> None:
    for code in release.indicators:
        names = [area.name for area in area_views(release, code, FR)]
        assert names == [area.name for area in area_views(release, "smartphone", FR)]


def test_bubbles_leave_masked_areas_out(release: Release) -> None:
    areas = area_views(release, "smartphone", FR)
    assert set(bubbles(areas)) == {area.geo for area in areas if area.grade != "D"}


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=40))
def test_breaks_are_few_round_and_hold_every_rate(rates: list[float]) -> None:
    edges = rate_breaks(rates)
    assert 2 <= len(edges) <= 6
    assert edges[0] <= min(rates) + 1e-6
    assert edges[-1] >= max(rates) - 1e-6
    assert all(round(edge * 100) == pytest.approx(edge * 100) for edge in edges)


def test_the_legend_covers_the_colours_of_the_map(release: Release) -> None:
    for code in release.indicators:
        view = indicator_view(release, code, FR)
        used = {area.colour for area in view.areas} - {"none"}
        assert used <= {key.css for key in view.rate_legend}
