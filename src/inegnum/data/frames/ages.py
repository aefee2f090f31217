"""Population of regions and departments by age and sex, brought to one year.

Model
    Regions have five-year ages from 2013 to 2020. Beyond 2020 a cohort is carried forward by the
    ratio observed over the last five years (Hamilton and Perry 1962): P(y, a) = P(y-5, a-5) x
    P(2020, a) / P(2015, a-5). Departments have five broad ages in 2019, carried forward by the
    growth of the same ages in their region.

Cuts no published table makes
    12 years: the cumulated pyramid of the region is interpolated at 12 (monotone cubic), so the
    slope between cohorts is kept. 18 years: the national ratio of 15-17 to 15-24, which the tables
    of schooling publish.

Limits
    The ratio method repeats the migration and mortality of 2015-2020. Its error is measured by
    predicting 2020 from 2013-2018 (`projection_error`) and enters the frame draws.

References
----------
Hamilton and Perry 1962, doi:10.2307/2573077; Fritsch and Carlson 1980, doi:10.1137/0717021.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from inegnum.data import catalogue
from inegnum.data.codebook import REGION
from inegnum.data.frames.atoms import AGES, SEXES
from inegnum.errors import FrameError

__all__ = [
    "DepartmentAges",
    "RegionAges",
    "department_ages",
    "projection_error",
    "region_ages",
]

Floats = npt.NDArray[np.float64]

FIRST_YEAR, LAST_YEAR, LAST_PROJECTED = 2013, 2020, 2025
_BANDS = np.arange(0, 100, 5)
DEPARTMENT_BANDS = (15, 20, 40, 60, 75)
_DEPARTMENT_YEAR = 2019


@dataclass(frozen=True, slots=True)
class RegionAges:
    """Persons of each region in one year.

    Attributes
    ----------
    regions : tuple of str
        Region codes, R of them.
    persons : ndarray of shape (R, 13, 2)
        Persons of 15 and over by `AGES` and sex.
    child_share : ndarray of shape (R, 2)
        Persons of 12 to 14 of each sex as a share of persons of 0 to 14 of both.
    """

    regions: tuple[str, ...]
    persons: Floats
    child_share: Floats


@dataclass(frozen=True, slots=True)
class DepartmentAges:
    """Persons of each department in one year.

    Attributes
    ----------
    departments : tuple of str
        Department codes, D of them.
    persons : ndarray of shape (D, 4, 2)
        Persons of 20-39, 40-59, 60-74, 75+ by sex.
    """

    departments: tuple[str, ...]
    persons: Floats


@cache
def _pyramids() -> Floats:
    """Return persons by region, year 2013 to 2020, sex and five-year age, shape (13, 8, 2, 20)."""
    table, _ = catalogue.table("population_region_age")
    wide = table.set_index(["region", "year", "sex", "first_age"])["persons"].sort_index()
    order = np.array(
        [
            [[[wide.loc[(r, y, s, a)] for a in _BANDS] for s in SEXES] for y in range(2013, 2021)]
            for r in REGION.levels
        ]
    )
    return order


def _carry(before: Floats, ratio_to: Floats, ratio_from: Floats) -> Floats:
    """Carry pyramids (..., 20) five years forward by the ratio between two others."""
    after = np.empty_like(before)
    after[..., 0] = ratio_to[..., 0]
    after[..., 1:-1] = before[..., :-2] * ratio_to[..., 1:-1] / ratio_from[..., :-2]
    open_from = ratio_from[..., -2] + ratio_from[..., -1]
    after[..., -1] = (before[..., -2] + before[..., -1]) * ratio_to[..., -1] / open_from
    return after


def _pyramid(year: int) -> Floats:
    """Return persons by region, sex and five-year age in one year, shape (13, 2, 20)."""
    if not FIRST_YEAR <= year <= LAST_PROJECTED:
        raise FrameError(
            "ages of regions are not known for this year",
            where="year",
            got=year,
            expected=f"{FIRST_YEAR} to {LAST_PROJECTED}",
        )
    known = _pyramids()
    if year <= LAST_YEAR:
        return np.asarray(known[:, year - FIRST_YEAR])
    return _carry(known[:, year - 5 - FIRST_YEAR], known[:, -1], known[:, -6])


@cache
def projection_error() -> float:
    """Return the sd of log projected over true persons of 15+, 2020 from ratios of 2013-2018."""
    known = _pyramids()
    carried = _carry(known[:, 2], known[:, 5], known[:, 0])
    bands = _BANDS >= 15
    # Corsica's small cells and the oldest ages would dominate an unweighted sd.
    weight = known[:, -1][..., bands]
    error = np.log(carried[..., bands] / weight)
    return float(np.sqrt(np.average(error**2, weights=weight)))


@cache
def _cut_at_18() -> float:
    """Return persons of 15 to 17 as a share of 15 to 24, France 2020."""
    table, _ = catalogue.table("census_schooling")
    france = table[(table["area"] == "FE-1") & (table["measure"] == "population")]
    persons = france.set_index("first_age")["value"]
    return float(persons[15] / (persons[15] + persons[18]))


@cache
def region_ages(year: int) -> RegionAges:
    """Return persons of every metropolitan region by age and sex in `year`.

    Raises
    ------
    FrameError
        The year is out of the range that can be projected.
    """
    bands = _pyramid(year)
    teens, twenties = bands[..., 3], bands[..., 4]
    minors = np.minimum(_cut_at_18() * (teens + twenties), 0.98 * teens)
    atoms = [minors, teens - minors]
    edges = [*AGES[2:], 120]
    for first, last in pairwise(edges):
        atoms.append(bands[..., (first <= _BANDS) & (last > _BANDS)].sum(axis=-1))
    under_15 = bands[..., :3].sum(axis=(1, 2))
    cumulated = np.cumsum(bands[..., :5], axis=-1)
    at_12 = PchipInterpolator([5, 10, 15, 20, 25], cumulated, axis=-1)(12.0)
    children = (cumulated[..., 2] - at_12) / under_15[:, None]
    persons = np.stack(atoms, axis=-1).transpose(0, 2, 1)
    return RegionAges(REGION.levels, persons, children)


def region_groups(ages: RegionAges) -> Floats:
    """Return persons of 20-39, 40-59, 60-74, 75+ by region and sex, shape (R, 4, 2)."""
    edges = [*DEPARTMENT_BANDS[1:], 120]
    first = np.array(AGES)
    return np.stack(
        [ages.persons[:, (first >= a) & (first < b)].sum(axis=1) for a, b in pairwise(edges)],
        axis=1,
    )


@cache
def department_ages(year: int) -> DepartmentAges:
    """Return persons of every metropolitan department by broad age and sex in `year`."""
    table, _ = catalogue.table("population_department_age")
    communes, _ = catalogue.table("communes")
    region = communes.groupby("department")["region"].first()
    region = region[region.isin(REGION.levels)]
    wide = table.set_index(["department", "sex", "first_age"])["persons"]
    departments = tuple(d for d in region.index if d in set(table["department"]))
    then = np.array(
        [[[wide.loc[(d, s, a)] for s in SEXES] for a in DEPARTMENT_BANDS[1:]] for d in departments]
    )
    growth = region_groups(region_ages(year)) / region_groups(region_ages(_DEPARTMENT_YEAR))
    at = [REGION.code(region[d]) for d in departments]
    return DepartmentAges(departments, then * growth[at])
