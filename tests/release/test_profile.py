"""Composition of communes: shares add up, and neighbours in composition are found."""

from __future__ import annotations

import numpy as np
import pytest

from inegnum.release.profile import MARGINS, profiles_of, similar
from inegnum.release.read import Release
from inegnum.release.text import phrases


def test_shares_add_up_by_margin(release: Release) -> None:
    geos = release.at("commune", "smartphone")["geo"].tolist()
    found = profiles_of(release.frame_margins, geos)
    assert set(found) == set(geos)
    for profile in found.values():
        for margin in MARGINS:
            for side in ("here", "whole"):
                total = sum(getattr(s, side) for s in profile.shares if s.margin == margin)
                assert total == pytest.approx(1.0)


def test_the_whole_is_the_sum_of_the_areas(release: Release) -> None:
    table = release.frame_margins
    old = table[(table["margin"] == "age") & (table["level"] == "75+")]["achieved"].sum()
    everyone = table[table["margin"] == "age"]["achieved"].sum()
    profile = profiles_of(table, table["geo"].unique().tolist())["99001"]
    (share,) = (s for s in profile.shares if (s.margin, s.level) == ("age", "75+"))
    assert share.whole == pytest.approx(old / everyone)


def test_the_most_similar_is_the_closest(release: Release) -> None:
    geos = release.at("commune", "smartphone")["geo"].tolist()
    found = profiles_of(release.frame_margins, geos)

    def distance(a: str, b: str) -> float:
        return float(
            sum(
                (np.sqrt(x.here) - np.sqrt(y.here)) ** 2
                for x, y in zip(found[a].shares, found[b].shares, strict=True)
            )
        )

    for geo in geos[:4]:
        expected = min((other for other in geos if other != geo), key=lambda o: distance(geo, o))
        assert similar(found, geo, count=3)[0] == expected


def test_every_group_has_a_name_in_both_languages(release: Release) -> None:
    profile = profiles_of(release.frame_margins, ["99001"])["99001"]
    for share in profile.shares:
        if share.level.startswith("enrolled") or share.level == "bac":
            continue  # shown nowhere; written alike
        fr, en = share.label(phrases("fr")), share.label(phrases("en"))
        assert fr != share.level
        assert fr != en


def test_no_margins_no_profile(release: Release) -> None:
    assert profiles_of(release.frame_margins.iloc[:0], ["99001"]) == {}
    assert similar({}, "99001", count=3) == ()
