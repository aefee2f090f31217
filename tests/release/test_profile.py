"""Composition of communes: shares add up, and neighbours in composition are found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.estimates.profiles import GROUPS
from inegnum.release.profile import profiles_of, similar
from inegnum.release.read import Release
from inegnum.release.text import phrases


@pytest.fixture(scope="module")
def groups(release: Release) -> pd.DataFrame:
    """Rows of the release with persons that differ from one commune to the other."""
    table = release.profiles.copy()
    rng = np.random.default_rng(4)
    keys = table[["geo", "margin", "group"]].apply(tuple, axis=1)
    persons = {key: rng.gamma(4.0, 100.0) for key in keys.unique()}
    table["N"] = keys.map(persons)
    wider = table["indicator"].map(lambda code: 1.0 if code == "smartphone" else 0.9)
    return table.assign(N=table["N"] * wider)


def test_shares_add_up_by_margin(release: Release, groups: pd.DataFrame) -> None:
    found = profiles_of(groups)
    assert set(found) == set(release.at("commune", "smartphone")["geo"])
    for profile in found.values():
        for margin in GROUPS:
            for side in ("here", "whole"):
                total = sum(getattr(s, side) for s in profile.shares if s.margin == margin)
                assert total == pytest.approx(1.0)


def test_shares_are_those_of_the_widest_universe(groups: pd.DataFrame) -> None:
    narrow = groups["indicator"] != "smartphone"
    skewed = groups.copy()
    skewed.loc[narrow & (groups["group"] == "70+"), "N"] = 0.0
    profile = profiles_of(skewed)["99001"]
    (share,) = (s for s in profile.shares if (s.margin, s.level) == ("age", "70+"))
    mine = groups[~narrow & (groups["geo"] == "99001") & (groups["margin"] == "age")]
    expected = mine.set_index("group")["N"]
    assert share.here == pytest.approx(expected["70+"] / expected.sum())


def test_the_most_similar_is_the_closest(groups: pd.DataFrame) -> None:
    found = profiles_of(groups)

    def distance(a: str, b: str) -> float:
        return float(
            sum(
                (np.sqrt(x.here) - np.sqrt(y.here)) ** 2
                for x, y in zip(found[a].shares, found[b].shares, strict=True)
            )
        )

    for geo in list(found)[:4]:
        expected = min((other for other in found if other != geo), key=lambda o: distance(geo, o))
        assert similar(found, geo, count=3)[0] == expected


def test_every_group_has_a_name_in_both_languages(groups: pd.DataFrame) -> None:
    for share in profiles_of(groups)["99001"].shares:
        fr, en = share.label(phrases("fr")), share.label(phrases("en"))
        assert fr != share.level
        assert fr != en or share.level == "bac"  # written alike


def test_no_groups_no_profile(release: Release) -> None:
    assert profiles_of(release.profiles.iloc[:0]) == {}
    assert similar({}, "99001", count=3) == ()
