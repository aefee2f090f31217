"""Figures withdrawn after publication: masked, dated, with their reason.

A figure found wrong is not deleted: its row stays, of class D with the reason ``retracted``,
without rate, interval, counts, gap or rank; its draws are not written. A figure of the territory as
a whole takes with it what stands beside it (decomposition, variants, raking, components), which
would give it away. A retraction says that a figure is not to be used; it is not secrecy: the areas
that stay still add up to their whole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal

import numpy as np
import pandas as pd

from inegnum.errors import StudyError, nearest
from inegnum.estimates.profiles import MASKED as GROUP_MASKED
from inegnum.estimates.table import MASKED, Estimates

__all__ = [
    "RETRACTED",
    "Retraction",
    "masked_rows",
    "require_known",
    "retracted",
    "without_retracted",
]

RETRACTED: Final = "retracted"


@dataclass(frozen=True, slots=True)
class Retraction:
    """One withdrawal.

    Attributes
    ----------
    indicator : str
        Code of the indicator.
    geo : str
        Code of the area, or ``"*"`` for every area, France included.
    date : str
        Day of the withdrawal, ``"2026-11-26"``.
    reason_fr, reason_en : str
        What readers are told.
    level : str
        Of the area, where a code names two: 93 is a department and a region.
    """

    indicator: str
    geo: str
    date: str
    reason_fr: str
    reason_en: str
    level: Literal["", "region", "department", "epci", "commune", "iris"] = ""

    def __post_init__(self) -> None:
        try:
            date.fromisoformat(self.date)
        except ValueError:
            raise StudyError(
                "a retraction has a day",
                where="retractions.date",
                got=self.date,
                expected="2026-11-26",
            ) from None
        for name in ("reason_fr", "reason_en"):
            if len(getattr(self, name).strip()) < 10:
                raise StudyError(
                    "a retraction says why, in both languages",
                    where=f"retractions.{name}",
                    got=repr(getattr(self, name)),
                    expected="a sentence",
                )
        if self.geo == "FR":
            raise StudyError(
                "the national rate is not withdrawn alone: every gap rests on it",
                where="retractions.geo",
                got="FR",
                hint='withdraw the indicator with geo = "*"',
            )

    def hits(self, table: pd.DataFrame) -> pd.Series:
        """Return which rows, by ``indicator`` and ``geo``, are withdrawn."""
        here = table["indicator"] == self.indicator
        if self.geo != "*":
            here &= table["geo"] == self.geo
        return here & (table["level"] == self.level) if self.level and "level" in table else here


def require_known(
    retractions: Sequence[Retraction], indicators: Collection[str], geos: Collection[str]
) -> None:
    """Refuse to withdraw what the study does not publish: it would go unseen.

    Raises
    ------
    StudyError
        An indicator or area is unknown, or a withdrawal stands twice.
    """
    for at, one in enumerate(retractions):
        for name, known in (("indicator", indicators), ("geo", {"*", *geos})):
            value = getattr(one, name)
            if value not in known:
                raise StudyError(
                    "nothing of this name is published, so that nothing can be withdrawn",
                    where=f"retractions[{at}].{name}",
                    got=value,
                    hint=nearest(value, sorted(known)),
                )
    named = [(one.indicator, one.geo, one.level) for one in retractions]
    if len(set(named)) < len(named):
        twice = next(pair for pair in named if named.count(pair) > 1)
        raise StudyError(
            "a retraction stands twice",
            where="retractions",
            got=", ".join(filter(None, twice)),
        )


def retracted(estimates: Estimates, retractions: Sequence[Retraction]) -> Estimates:
    """Return the estimates with what is withdrawn masked; draws are left as they are.

    Examples
    --------
    >>> from inegnum.data.indicators import indicator
    >>> from inegnum.estimates.table import AreaDraws, combine
    >>> areas = pd.DataFrame({
    ...     "geo": ["243300316", "33063"], "level": ["epci", "commune"], "name": ["M", "Bordeaux"],
    ...     "tier": "F3", "basis": "model", "method": "mrp", "n": 0})
    >>> rates = 0.9 + 0.01 * np.random.default_rng(1).standard_normal((500, 2))
    >>> persons = np.full((500, 2), 1000.0)
    >>> drawn = AreaDraws(indicator("smartphone"), areas, rates, persons, rates[:, 0], whole=0)
    >>> wrong = Retraction("smartphone", "33063", "2026-11-26", "Base erronée.", "Wrong frame.")
    >>> found = retracted(combine([drawn], (), year=2022), [wrong])
    >>> found.table["reason"].tolist()
    ['', 'retracted']
    """
    table = masked_rows(estimates.table, retractions, columns=(*MASKED, "p_above_metropolis"))
    return replace(estimates, table=table)


def without_retracted(
    name: str, table: pd.DataFrame, retractions: Sequence[Retraction], whole: str
) -> pd.DataFrame:
    """Return a table that stands beside the estimates without what is withdrawn.

    Rows of a withdrawn area leave; rows that name no area are about the territory (`whole`) and
    leave with it. Groups of residents (``profiles``) keep their rows, masked.
    """
    if "indicator" not in table:
        return table
    about = table if "geo" in table else table.assign(geo=whole)
    about = about.assign(geo=about["geo"].fillna(whole))
    if name == "profiles":
        return masked_rows(table, retractions, columns=GROUP_MASKED)
    gone = np.zeros(len(table), dtype=bool)
    for one in retractions:
        gone |= one.hits(about).to_numpy(dtype=bool)
    return table[~gone].reset_index(drop=True) if gone.any() else table


def masked_rows(
    table: pd.DataFrame, retractions: Sequence[Retraction], *, columns: Sequence[str]
) -> pd.DataFrame:
    """Return a table whose withdrawn rows are of class D, these columns emptied."""
    if not retractions:
        return table
    kept = table.copy()
    for one in retractions:
        rows = one.hits(kept)
        kept.loc[rows, "class"], kept.loc[rows, "reason"] = "D", RETRACTED
        kept.loc[rows, list(columns)] = np.nan
    return kept
