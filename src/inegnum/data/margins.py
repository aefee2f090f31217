"""Census margins of every commune of metropolitan France, brought to one year.

What is published, and what is made of it
    occupation  RP2022, everyone of 15 and over, every commune: taken as published (never the
                occupation of the active only). Farmers and the self-employed are one class.
    population  municipal population of the year. Children of 0 to 14 are population less persons of
                15+; in small communes that difference is noisy (a quarter of households answer the
                long form), so it is pulled to the share of the stratum with weight `_CHILD_PRIOR`.
    age         RP2018, communes over 2,000: 15-29, 18-24, 75+. Scaled to the year by the growth of
                the same ages in the region, then to persons of 15+.
    schooling   RP2018: enrolled at 18-24 as a rate of 18-24, other enrolled as a rate of
                15-17 + 25-29, both kept. Students of 25+ are thus never negative.
    diploma     RP2018, persons no longer enrolled; shares drift with the renewal of generations
                (`diploma_drift`), measured where 2022 is published.
    sex         RP2018, women among persons of 15+ (women of 0-14 taken at the national share).

Margins of different sources would contradict each other on totals (RP2018 persons against RP2022);
they are reconciled by keeping rates of the older one and totals of the newer one. What was
published and what was used both stand in the frame's report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.codebook import REGION
from inegnum.data.frames.ages import RegionAges, region_ages
from inegnum.data.frames.atoms import AGES, age_groups
from inegnum.errors import FrameError, nearest

__all__ = ["CommuneMargins", "Drift", "commune_margins", "diploma_drift", "diploma_shares"]

Floats = npt.NDArray[np.float64]

CENSUS_YEAR, OCCUPATION_YEAR = 2018, 2022
FIRST_YEAR, LAST_YEAR = 2018, 2023
WOMEN_UNDER_15 = 0.489  # France, 2018 to 2022: 105 boys a 100 girls at birth
# Between-commune variance of the share of 0-14 is 0.030 squared above 10,000 inhabitants; below 500
# it grows as 0.62 / population. Their ratio is the population at which both weigh the same.
_CHILD_PRIOR = 690.0
SOURCES = (
    "communes",
    "census_occupation_2022",
    "census_2018",
    "census_2012",
    "census_schooling",
    "population_region_age",
    "population_department_age",
    "census_age_occupation",
    "census_age_diploma",
    "employment_occupation_sex",
    "survey_profiles",
)


@dataclass(frozen=True, slots=True)
class Drift:
    """Yearly change of the log shares of diplomas among persons no longer enrolled.

    Attributes
    ----------
    rate, sd : ndarray of shape (4,)
        By level (none, below_bac, bac, higher): mean, and how far it may be from it elsewhere.
    """

    rate: Floats
    sd: Floats


@dataclass(frozen=True, slots=True)
class CommuneMargins:
    """Margins of A communes in one year; shares are of persons of 15 and over.

    Attributes
    ----------
    areas : DataFrame of A rows
        ``geo, name, department, region, epci, epci_name, epci_type, urban``.
    year : int
    population, persons, children : ndarray of shape (A,)
        All ages; 15 and over; 0 to 14.
    occupation : ndarray of shape (A, 7)
        Shares by occupation.
    age : ndarray of shape (A, 4)
        Shares by `AGE_GROUPS`; NaN where not observed.
    status : ndarray of shape (A, 6)
        Shares by `STATUS_GROUPS`; NaN where not observed.
    women : ndarray of shape (A,)
        Share of women; NaN where not observed.
    published : DataFrame of A rows
        Counts of RP2018 as published, NaN where there are none.
    """

    areas: pd.DataFrame
    year: int
    population: Floats
    persons: Floats
    children: Floats
    occupation: Floats
    age: Floats
    status: Floats
    women: Floats
    published: pd.DataFrame

    @property
    def observed(self) -> npt.NDArray[np.bool_]:
        """Whether age, schooling, diploma and sex are observed, shape (A,)."""
        return np.isfinite(self.women)

    def at(self, geos: Sequence[str]) -> CommuneMargins:
        """Return the margins of these communes, in this order."""
        index = pd.Index(self.areas["geo"])
        where = index.get_indexer(pd.Index(geos))
        if (where < 0).any():
            unknown = [geo for geo, i in zip(geos, where, strict=True) if i < 0]
            raise FrameError(
                "communes without census margins",
                got=", ".join(unknown[:5]),
                expected="communes of metropolitan France with inhabitants (COG 2025)",
                hint=_why_unknown(unknown[0], list(index)),
            )
        return self.take(where)

    def take(self, where: npt.NDArray[np.int64]) -> CommuneMargins:
        """Return the margins at these positions."""
        return CommuneMargins(
            self.areas.iloc[where].reset_index(drop=True),
            self.year,
            self.population[where],
            self.persons[where],
            self.children[where],
            self.occupation[where],
            self.age[where],
            self.status[where],
            self.women[where],
            self.published.iloc[where].reset_index(drop=True),
        )


def _why_unknown(geo: str, known: list[str]) -> str:
    communes, _ = catalogue.table("communes")
    if geo in set(communes["geo"]):
        return "INSEE publishes no occupation there (uninhabited, or overseas): leave it out"
    return nearest(geo, known)


def diploma_shares(census: pd.DataFrame) -> Floats:
    """Return none, below bac, bac, higher among persons no longer enrolled, shape (..., 4)."""
    higher = [c for c in census.columns if c.startswith(("bac2", "bac3", "bac5"))]
    counts = np.column_stack(
        [
            census["none"],
            census["bepc"] + census["cap_bep"],
            census["bac"],
            census[higher].sum(axis=1),
        ]
    )
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


@cache
def diploma_drift() -> Drift:
    """Measure the drift of diplomas from 2018 to 2022.

    The two territories whose 2022 figures are published (Rennes Métropole, Lyon) give the mean; the
    change of all communes over 2,000 inhabitants from 2012 to 2018 says how different it may be
    elsewhere (half the gap between the two is one sd).
    """
    census = {year: catalogue.table(f"census_{year}")[0] for year in (2012, 2018)}
    schooling, _ = catalogue.table("census_schooling")
    communes, _ = catalogue.table("communes")
    rennes = communes.loc[communes["epci"] == "243500139", "geo"]
    slopes = []
    for area, geos in (("EPCI-243500139", set(rennes)), ("COM-69123", {"69123"})):
        then = census[2018][census[2018]["geo"].isin(geos)].drop(columns="geo").sum().to_frame().T
        rows = schooling[(schooling["area"] == area) & (schooling["sex"] == "both")]
        now = rows.set_index("measure")["value"]
        levels = ("none", "below_bac", "bac", "higher")
        shares = np.array([now[f"{level}_share"] for level in levels])
        slopes.append((np.log(shares) - np.log(diploma_shares(then)[0])) / 4)
    rate = np.mean(slopes, axis=0)
    both = census[2012].merge(census[2018], on="geo", suffixes=("_2012", ""))["geo"]
    totals = [
        diploma_shares(
            census[y][census[y]["geo"].isin(both)].drop(columns="geo").sum().to_frame().T
        )
        for y in (2012, 2018)
    ]
    national = (np.log(totals[1]) - np.log(totals[0]))[0] / 6
    return Drift(rate, np.abs(national - rate) / 2)


@cache
def commune_margins(year: int = 2022) -> CommuneMargins:
    """Return the margins of every commune of metropolitan France in `year`.

    Raises
    ------
    FrameError
        Municipal populations are not shipped for this year.
    """
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise FrameError(
            "margins cannot be brought to this year",
            where="year",
            got=year,
            expected=f"{FIRST_YEAR} to {LAST_YEAR}, the years of municipal populations",
        )
    communes, _ = catalogue.table("communes")
    occupation, _ = catalogue.table("census_occupation_2022")
    census, _ = catalogue.table("census_2018")
    table = communes[communes["region"].isin(REGION.levels)]
    table = table.merge(occupation, on="geo").merge(census, on="geo", how="left")
    # Occupations are of 2022 and brought to the year by the growth of the population since.
    held = [f"population_{year}", f"population_{OCCUPATION_YEAR}"]
    table = table[(table["persons_15p"] > 0) & (table[held] > 0).all(axis=1)]
    table = table.sort_values("geo").reset_index(drop=True)
    table["urban"] = table["urban"].where(table["urban"] != "", "rural")
    # A commune merged since 2018 shares its code with a smaller one: its margins are not its own.
    same = (table["population"] / table["population_2018"] - 1).abs() < 0.02
    counts = table[[c for c in census.columns if c != "geo"]].where(same)
    population = table[f"population_{year}"].to_numpy()
    persons = table["persons_15p"].to_numpy() * population / table["population_2022"].to_numpy()
    shares = _occupation(table)
    ages = region_ages(year)
    region = np.array([REGION.code(r) for r in table["region"]])
    age = _age_shares(counts, region, ages)
    names = ["geo", "name", "department", "region", "epci", "epci_name", "epci_type", "urban"]
    return CommuneMargins(
        table[names],
        year,
        population,
        persons,
        _children(table, population, persons),
        shares,
        age,
        _status_shares(counts, age, year),
        _women_share(counts),
        counts,
    )


def _occupation(table: pd.DataFrame) -> Floats:
    counts = np.column_stack(
        [table["cs1"] + table["cs2"], *(table[f"cs{i}"] for i in range(3, 9))]
    ).astype(np.float64)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _children(table: pd.DataFrame, population: Floats, persons: Floats) -> Floats:
    """Return persons of 0 to 14, pulled to the share of the stratum where communes are small."""
    frame = pd.DataFrame({"n": population, "children": population - persons})
    keys = [table["region"], table["urban"]]
    sums = frame.groupby(keys).transform("sum")
    usual = sums["children"] / sums["n"]
    share = (frame["children"] + _CHILD_PRIOR * usual) / (population + _CHILD_PRIOR)
    return np.asarray(np.clip(share, 0.0, 0.5) * population)


def _age_shares(counts: pd.DataFrame, region: npt.NDArray[np.int64], ages: RegionAges) -> Floats:
    """Return shares of 15+ by communal age group, scaled by the growth of the region's ages."""
    then = np.column_stack(
        [
            counts["age_15_29"] - counts["age_18_24"],
            counts["age_18_24"],
            counts["population"] - counts["age_0_14"] - counts["age_15_29"] - counts["age_75p"],
            counts["age_75p"],
        ]
    )
    if (then < 0).any():
        raise FrameError("ages of a commune overlap", where="census_2018", got=float(then.min()))
    groups = age_groups(AGES)
    sums = [
        np.stack([a.persons.sum(axis=2)[:, groups == g].sum(axis=1) for g in range(4)], axis=1)
        for a in (ages, region_ages(CENSUS_YEAR))
    ]
    now = then * (sums[0] / sums[1])[region]
    return np.asarray(now / now.sum(axis=1, keepdims=True))


def _status_shares(counts: pd.DataFrame, age: Floats, year: int) -> Floats:
    """Return shares of 15+ enrolled at 18-24, enrolled at other ages, and by diploma."""
    drift = diploma_drift().rate * (year - CENSUS_YEAR)
    persons = counts["population"] - counts["age_0_14"]
    at_18 = (counts["enrolled_18_24"] / counts["age_18_24"]).to_numpy()
    others = (persons - counts["not_enrolled_15p"] - counts["enrolled_18_24"]).to_numpy()
    other = others / (counts["age_15_29"] - counts["age_18_24"]).to_numpy()
    enrolled = np.stack([at_18 * age[:, 1], other * age[:, 0]], axis=1)
    diploma = diploma_shares(counts) * np.exp(drift)
    diploma /= diploma.sum(axis=1, keepdims=True)
    return np.concatenate([enrolled, diploma * (1 - enrolled.sum(axis=1, keepdims=True))], axis=1)


def _women_share(counts: pd.DataFrame) -> Floats:
    persons = counts["population"] - counts["age_0_14"]
    return ((counts["women"] - WOMEN_UNDER_15 * counts["age_0_14"]) / persons).to_numpy()
