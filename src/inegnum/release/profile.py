"""Who lives in a commune, and which communes resemble it.

Model: shares of the modelled frame's persons by age, diploma and occupation, as the release's
``profiles.csv`` counts them. Resemblance is the Hellinger distance between those shares, averaged
over the three margins.
Limits: alike in composition does not mean alike in supply, income or distance to the centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from inegnum.data.codebook import AXES
from inegnum.release.text import Phrases

__all__ = ["Profile", "Share", "profiles_of", "similar"]


@dataclass(frozen=True, slots=True)
class Share:
    """Share of a group in an area and in the whole, as proportions."""

    margin: str
    level: str
    here: float
    whole: float

    def label(self, words: Phrases) -> str:
        """Name the group."""
        axis = AXES[self.margin]
        if self.level in axis.levels:
            return axis.label(self.level, words.language)
        return words[f"group.{self.level}"]


@dataclass(frozen=True, slots=True)
class Profile:
    """Shares of every group in one area, in the order of the margins."""

    geo: str
    shares: tuple[Share, ...]


def profiles_of(groups: pd.DataFrame) -> dict[str, Profile]:
    """Return the profile of every commune.

    Parameters
    ----------
    groups : DataFrame
        Rows of ``profiles.csv``; persons are those of the indicator whose universe is the widest.
    """
    if groups.empty:
        return {}
    persons = groups.assign(N=pd.to_numeric(groups["N"]))
    whole = persons[(persons["level"] == "epci") & (persons["margin"] == "age")]
    widest = whole.groupby("indicator", sort=False)["N"].sum().idxmax()
    counts = persons[persons["indicator"] == widest].pivot_table(
        index=["level", "geo"], columns=["margin", "group"], values="N", aggfunc="sum", sort=False
    )
    shares = counts / counts.T.groupby(level="margin", sort=False).transform("sum").T
    keys = [(str(margin), str(group)) for margin, group in map(tuple, counts.columns)]
    territory = shares.loc["epci"].to_numpy(dtype=np.float64)[0]
    communes = shares.loc["commune"]
    return {
        str(geo): Profile(
            str(geo),
            tuple(
                Share(margin, group, float(here), float(whole_share))
                for (margin, group), here, whole_share in zip(keys, row, territory, strict=True)
            ),
        )
        for geo, row in zip(communes.index, communes.to_numpy(dtype=np.float64), strict=True)
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
