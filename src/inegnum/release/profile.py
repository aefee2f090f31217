"""Who lives in a commune, and which communes resemble it.

Model: shares of the modelled frame's margins (people aged 15 and over) by age, diploma and
occupation, as the release's ``frame_margins.csv`` holds them. Resemblance is the Hellinger distance
between those shares, averaged over the three margins.
Limits: alike in composition does not mean alike in supply, income or distance to the centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from inegnum.data.codebook import DIPLOMA, OCCUPATION
from inegnum.release.text import Phrases

__all__ = ["Profile", "Share", "profiles_of", "similar"]

MARGINS: Final = ("age", "schooling and diploma", "occupation")


@dataclass(frozen=True, slots=True)
class Share:
    """Share of a group in an area and in the whole, as proportions."""

    margin: str
    level: str
    here: float
    whole: float

    def label(self, words: Phrases) -> str:
        """Name the group."""
        if self.margin == "occupation":
            return OCCUPATION.label(self.level, words.language)
        if self.level in DIPLOMA.levels:
            return DIPLOMA.label(self.level, words.language)
        return words.entries.get(f"group.{self.level}", self.level)


@dataclass(frozen=True, slots=True)
class Profile:
    """Shares of every group in one area, in the order of the margins."""

    geo: str
    shares: tuple[Share, ...]


def profiles_of(frame_margins: pd.DataFrame, geos: Sequence[str]) -> dict[str, Profile]:
    """Return the profile of every area that has margins.

    Parameters
    ----------
    frame_margins : DataFrame
        Columns ``geo, margin, level, achieved``.
    geos : sequence of str
        Areas that make up the whole.
    """
    rows = frame_margins[
        frame_margins["margin"].isin(MARGINS) & frame_margins["geo"].isin(list(geos))
    ]
    if rows.empty:
        return {}
    counts = rows.assign(achieved=pd.to_numeric(rows["achieved"])).pivot_table(
        index="geo", columns=["margin", "level"], values="achieved", aggfunc="sum", sort=False
    )
    totals = counts.T.groupby(level="margin").sum().T
    whole = counts.sum()
    return {
        str(geo): Profile(
            str(geo),
            tuple(
                Share(
                    margin,
                    level,
                    float(counts.loc[geo, (margin, level)] / totals.loc[geo, margin]),
                    float(whole[margin, level] / whole[margin].sum()),
                )
                for margin, level in map(tuple, counts.columns)
            ),
        )
        for geo in counts.index
    }


def similar(profiles: dict[str, Profile], geo: str, *, count: int) -> tuple[str, ...]:
    """Return the areas whose composition is closest, closest first.

    Examples
    --------
    >>> old = {"a": 0.1, "b": 0.12, "c": 0.3}
    >>> known = {
    ...     g: Profile(g, (Share("age", "75+", x, 0.1), Share("age", "-75", 1 - x, 0.9)))
    ...     for g, x in old.items()
    ... }
    >>> similar(known, "a", count=1)
    ('b',)
    """
    if geo not in profiles:
        return ()
    root = {
        code: np.sqrt([share.here for share in profile.shares])
        for code, profile in profiles.items()
    }
    distance = {
        code: float(np.linalg.norm(values - root[geo]))
        for code, values in root.items()
        if code != geo
    }
    return tuple(sorted(distance, key=lambda code: (distance[code], code))[:count])
