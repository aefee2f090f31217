"""The table that leaves the library: rate, interval, class, universe, method, source, year.

Everything is computed from joint draws. A row of class D keeps its place and its probability of
being above the metropolis; its rate, counts and gap are missing, not zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.types import Indicator
from inegnum.draws import Draws
from inegnum.errors import InputError, PublicationError
from inegnum.estimates.quality import QualityLimits, grade
from inegnum.provenance import Source

__all__ = ["COLUMNS", "MASKED", "AreaDraws", "Estimates", "combine", "tabulate"]

Floats = npt.NDArray[np.float64]

COLUMNS: Final = (
    "geo",
    "level",
    "name",
    "indicator",
    "universe",
    "year",
    "est",
    "lower",
    "upper",
    "prob",
    "se",
    "class",
    "basis",
    "method",
    "tier",
    "n",
    "N",
    "people",
    "people_lower",
    "people_upper",
    "gap_france",
    "gap_lower",
    "gap_upper",
    "p_above_metropolis",
    "reason",
)
MASKED: Final = (
    "est",
    "lower",
    "upper",
    "se",
    "people",
    "people_lower",
    "people_upper",
    "gap_france",
    "gap_lower",
    "gap_upper",
)


@dataclass(frozen=True, slots=True)
class AreaDraws:
    """Joint draws of one indicator: rates of areas, their persons, the national rate.

    Attributes
    ----------
    indicator : Indicator
    areas : DataFrame of A rows
        ``geo, level, name, tier, basis, method, n``; ``level`` orders from ``france`` down.
    rates, persons : ndarray of shape (S, A)
        Rate and persons in the universe, draw by draw (persons vary when the frame does).
    national : ndarray of shape (S,)
        National rate of the same draw.
    whole : int
        Position of the territory as a whole among the areas; -1 when there is none.
    """

    indicator: Indicator
    areas: pd.DataFrame
    rates: Floats
    persons: Floats
    national: Floats
    whole: int = -1

    def __post_init__(self) -> None:
        count = len(self.areas)
        draws = self.national.shape[0]
        for name in ("rates", "persons"):
            shape = getattr(self, name).shape
            if shape != (draws, count):
                raise InputError(
                    "joint draws do not match their areas",
                    where=f"{self.indicator.code}, {name}",
                    got=shape,
                    expected=(draws, count),
                )
        if not ((self.rates >= 0) & (self.rates <= 1)).all():
            raise InputError("a drawn rate lies outside [0, 1]", where=self.indicator.code)


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates ready for publication, with the draws they come from.

    Attributes
    ----------
    table : DataFrame
        One row an area and indicator, columns `COLUMNS`.
    draws : Draws
        Joint draws of every row of `table`, masked ones included (a release leaves those out).
    sources : tuple of Source
        What the figures rest on.

    Examples
    --------
    >>> from inegnum.data.indicators import indicator
    >>> areas = pd.DataFrame({
    ...     "geo": ["243300316", "33063"], "level": ["epci", "commune"], "name": ["M", "Bordeaux"],
    ...     "tier": "F3", "basis": "model", "method": "mrp", "n": 0})
    >>> rates = 0.9 + 0.01 * np.random.default_rng(1).standard_normal((500, 2))
    >>> persons = np.full((500, 2), 1000.0)
    >>> drawn = AreaDraws(indicator("smartphone"), areas, rates, persons, rates[:, 0], whole=0)
    >>> found = combine([drawn], (), year=2022)
    >>> round(float(found.row("33063", "smartphone")["est"]), 2)
    0.9
    """

    table: pd.DataFrame
    draws: Draws
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        lacking = [column for column in COLUMNS if column not in self.table.columns]
        if lacking:
            raise PublicationError(
                "estimates lack columns they must not leave without",
                got=", ".join(map(str, self.table.columns)),
                expected=", ".join(COLUMNS),
                hint=f"add {', '.join(lacking)}",
            )
        for column in ("method", "universe", "year", "basis", "tier"):
            empty = self.table[column].isna() | (self.table[column].astype(str) == "")
            if empty.any():
                row = self.table.loc[empty].iloc[0]
                raise PublicationError(
                    f"an estimate has no {column}",
                    where=f"{row['geo']}, {row['indicator']}",
                    hint="method, universe, year, basis and tier travel with every figure",
                )

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.table.copy()

    def row(self, geo: str, indicator: str) -> pd.Series:
        """Return the one row of an area and an indicator."""
        found = self.table[(self.table["geo"] == geo) & (self.table["indicator"] == indicator)]
        if len(found) != 1:
            raise InputError(
                "no such estimate",
                got=f"{geo}, {indicator}",
                expected=f"one of {len(self.table)} rows",
            )
        return found.iloc[0]


def tabulate(
    drawn: AreaDraws, *, year: int, prob: float = 0.95, limits: QualityLimits | None = None
) -> pd.DataFrame:
    """Summarise joint draws once, at the end.

    Parameters
    ----------
    drawn : AreaDraws
    year : int
        Year the figures are about.
    prob : float
        Mass of the printed intervals. Classes are always judged at 95 %.
    limits : QualityLimits, optional
        The defaults are those of the publication rules.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row an area, and ``share_local`` where a local survey was joined.
    """
    limits = limits or QualityLimits()
    rates, persons = drawn.rates, drawn.persons
    people = rates * persons
    gap = rates - drawn.national[:, None]
    table = drawn.areas[["geo", "level", "name", "tier", "basis", "method", "n"]].copy()
    table["indicator"] = drawn.indicator.code
    table["universe"] = drawn.indicator.universe
    table["year"] = year
    table["prob"] = prob
    table["est"] = rates.mean(axis=0)
    table["se"] = rates.std(axis=0, ddof=1)
    table["N"] = persons.mean(axis=0)
    table["people"] = people.mean(axis=0)
    table["gap_france"] = gap.mean(axis=0)
    tails = [(1 - prob) / 2, (1 + prob) / 2]
    for prefix, values in (("", rates), ("people_", people), ("gap_", gap)):
        lower, upper = np.quantile(values, tails, axis=0)
        table[f"{prefix}lower"], table[f"{prefix}upper"] = lower, upper
    lower95, upper95 = np.quantile(rates, [0.025, 0.975], axis=0)
    table["class"], table["reason"] = grade(
        table["est"].to_numpy(), lower95, upper95, table["N"].to_numpy(), limits
    )
    table["p_above_metropolis"] = _above_whole(drawn)
    table.loc[table["level"] == "france", ["gap_france", "gap_lower", "gap_upper"]] = np.nan
    table.loc[table["class"] == "D", list(MASKED)] = np.nan
    shared = ["share_local"] if "share_local" in drawn.areas else []
    for column in shared:
        table[column] = drawn.areas[column]
    return table[[*COLUMNS, *shared]].reset_index(drop=True)


def _above_whole(drawn: AreaDraws) -> Floats:
    """Return P(area above the territory as a whole); missing for the whole and for France."""
    if drawn.whole < 0:
        return np.full(len(drawn.areas), np.nan)
    above = (drawn.rates > drawn.rates[:, [drawn.whole]]).mean(axis=0)
    other = np.arange(len(drawn.areas)) != drawn.whole
    inside = (drawn.areas["level"] != "france").to_numpy() & other
    return np.where(inside, above, np.nan)


def combine(
    drawn: list[AreaDraws],
    sources: tuple[Source, ...],
    *,
    year: int,
    prob: float = 0.95,
    limits: QualityLimits | None = None,
) -> Estimates:
    """Bring several indicators into one `Estimates`.

    Draws of different indicators share their index but not their model: probabilities are joint
    over areas within an indicator, not between indicators.
    """
    if not drawn:
        raise InputError("no indicator was estimated", hint="name at least one in the study")
    tables = [tabulate(one, year=year, prob=prob, limits=limits) for one in drawn]
    table = pd.concat(tables, ignore_index=True)
    values = np.concatenate([one.rates for one in drawn], axis=1)
    items = table[["level", "geo", "indicator"]].copy()
    return Estimates(table, Draws(values, items), sources)
