"""Tables of regions and departments by urban class: the seed of communes and the national frame.

Model
    The national seed is fitted to each region, then each region to its departments, urban classes
    together in one table (urban x age x sex x status x occupation), so that:
    - occupation by urban class is the sum of communes (RP2022, exact);
    - age groups, schooling, diploma and sex by urban class are sums of communes, observed above
      2,000 inhabitants and predicted below (`frames.predict`);
    - age by sex is that of the region (five-year ages) or department (broad ages), scaled to the
      persons of 15+ of its communes.
    Sums of communes are first raked to the region's or department's ages, for these are known
    better; what that moves is reported. Age by urban class therefore comes from the census, never
    from the survey, whose composition by urban size follows the interview mode.

Draws
    The deviation of a department (predicted communes), the drift of diplomas (all of France at
    once) and the projection of ages are keyed by name, so that a national frame and a local one of
    the same seed share them draw by draw.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.codebook import REGION, URBAN
from inegnum.data.frames.ages import department_ages, projection_error, region_ages
from inegnum.data.frames.atoms import AGES, SHAPE, age_groups, status_groups
from inegnum.data.frames.predict import (
    extrapolation,
    links,
    predict,
    shares_of,
    within_age,
)
from inegnum.data.frames.seed import national_seed
from inegnum.data.margins import CENSUS_YEAR, CommuneMargins, commune_margins, diploma_drift
from inegnum.numerics.ipf import Margin, axis_margin, ipf

__all__ = [
    "Sums",
    "common_drift",
    "department_effect",
    "department_tables",
    "departments_of",
    "drifted",
    "keyed",
    "region_tables",
    "strata",
    "sums_by",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

U = len(URBAN.levels)
STRATUM_SHAPE = (U, *SHAPE)
# Margins are met to one person in a hundred thousand: far below what any of them is known to.
TOL = 1e-5


@dataclass(frozen=True, slots=True)
class Sums:
    """Persons of 15+ of one territory by urban class, shape (B, 5, ...): point, then draws."""

    occupation: Floats
    age: Floats
    status: Floats
    women: Floats


def keyed(seed: int, *key: str) -> np.random.Generator:
    """Return the generator of one named component of one seed."""
    return np.random.default_rng([seed, *(zlib.crc32(word.encode()) for word in key)])


def common_drift(year: int, draws: int, seed: int) -> Floats:
    """Draw the error of the drift of diplomas, shared by all of France, shape (1 + F, 4)."""
    sd = diploma_drift().sd * (year - CENSUS_YEAR)
    drawn = keyed(seed, "diploma drift").normal(size=(draws, 4)) * sd
    return np.concatenate([np.zeros((1, 4)), drawn])


def department_effect(department: str, year: int, draws: int, seed: int) -> Floats:
    """Return the deviation of a department's predicted margins, shape (1 + F, 9).

    The error of going below 2,000 inhabitants is the same draw in every department.
    """
    mean, sd = links(year).effect(department)
    beyond = keyed(seed, "extrapolation").normal(size=(draws, len(mean))) * extrapolation(year)
    drawn = keyed(seed, "department", department).normal(size=(draws, len(mean))) * sd
    drawn += mean + beyond
    return np.concatenate([mean[None], drawn])


@cache
def _predicted(year: int) -> Floats:
    """Return expected log ratios of every commune, without department's deviation."""
    return predict(commune_margins(year), links(year))


def sums_by(year: int, departments: tuple[str, ...], draws: int, seed: int) -> Sums:
    """Sum communes of some departments by urban class."""
    everyone = commune_margins(year)
    frame = everyone.areas
    drift = common_drift(year, draws, seed)
    total = Sums(*(np.zeros((1 + draws, U, k)) for k in (7, 4, 6, 2)))
    for department in departments:
        inside = (frame["department"] == department).to_numpy()
        effect = department_effect(department, year, draws, seed)
        part = everyone.take(np.flatnonzero(inside))
        urban = np.array([URBAN.code(u) for u in part.areas["urban"]])
        z = _predicted(year)[inside]
        for u in np.unique(urban):
            at = urban == u
            total.occupation[:, u] += part.persons[at] @ part.occupation[at]
            seen, unseen = at & part.observed, at & ~part.observed
            _add_observed(total, u, part, seen, drift)
            _add_predicted(total, u, part.persons[unseen], z[unseen], effect, drift)
    return total


def drifted(status: Floats, drift: Floats) -> Floats:
    """Move diplomas (B, ..., 6) by the error of their drift (B, 4), all else kept."""
    moved = status.copy()
    shape = (len(drift), *(1,) * (status.ndim - 2), 4)
    moved[..., 2:] *= np.exp(drift.reshape(shape))
    kept = status[..., 2:].sum(axis=-1, keepdims=True)
    moved[..., 2:] *= kept / moved[..., 2:].sum(axis=-1, keepdims=True)
    return moved


def _add_observed(total: Sums, u: int, part: CommuneMargins, at: Bools, drift: Floats) -> None:
    if not at.any():
        return
    persons = part.persons[at]
    status = np.broadcast_to(persons @ part.status[at], (len(drift), 6))
    total.age[:, u] += persons @ part.age[at]
    total.status[:, u] += drifted(status, drift)
    women = float(persons @ part.women[at])
    total.women[:, u] += np.array([women, persons.sum() - women])


def _add_predicted(
    total: Sums, u: int, persons: Floats, z: Floats, effect: Floats, drift: Floats
) -> None:
    if not len(persons):
        return
    age, schooling, women = shares_of(z + effect[:, None, :])
    total.age[:, u] += persons @ age
    status = persons @ schooling
    of_women = women @ persons
    total.women[:, u] += np.stack([of_women, persons.sum() - of_women], axis=1)
    total.status[:, u] += drifted(status, drift)


def rake2(table: Floats, rows: Floats, columns: Floats) -> Floats:
    """Fit two-way tables (B, R, C) to rows (B, R) and columns (B, C) of equal totals."""
    shape = table.shape[1:]
    kept = np.where(rows[:, :, None] > 0, np.maximum(table, 1e-9), 0.0)
    margins = [axis_margin("urban", shape, (0,), rows), axis_margin("group", shape, (1,), columns)]
    return ipf(kept, margins, tol=TOL / 100).fitted


def _stratum_margins(sums: Sums, age4: Floats, sexes: Floats) -> list[Margin]:
    """Return the margins of a territory by urban class, reconciled with its ages and sexes.

    Parameters
    ----------
    sums : Sums
        What communes add up to.
    age4 : ndarray of shape (B, 4)
        Persons by communal age group.
    sexes : ndarray of shape (B, 2)
        Persons by sex.
    """
    persons = sums.occupation.sum(axis=2)
    by_age = rake2(sums.age, persons, age4)
    by_sex = rake2(sums.women, persons, sexes)
    status = _reconciled_status(sums, by_age, persons)
    cells = np.indices(STRATUM_SHAPE)
    b = len(persons)
    of_age, of_status = age_groups(AGES), status_groups(AGES)
    return [
        axis_margin("occupation by urban class", STRATUM_SHAPE, (0, 4), sums.occupation),
        Margin("age by urban class", cells[0] * 4 + of_age[cells[1]], by_age.reshape(b, -1)),
        Margin(
            "schooling and diploma by urban class",
            cells[0] * 6 + of_status[cells[1], cells[3]],
            status.reshape(b, -1),
        ),
        axis_margin("sex by urban class", STRATUM_SHAPE, (0, 2), by_sex),
    ]


def _reconciled_status(sums: Sums, by_age: Floats, persons: Floats) -> Floats:
    """Return persons by status (B, 5, 6), schooling following the ages it is a rate of."""
    held = persons > 0
    status = np.zeros_like(sums.status)
    share = sums.status[held] / persons[held][:, None]
    moved = by_age[held][:, [1, 0]] / sums.age[held][:, [1, 0]]
    share[:, :2] *= moved
    share[:, 2:] *= ((1 - share[:, :2].sum(axis=1)) / share[:, 2:].sum(axis=1))[:, None]
    share = within_age(by_age[held] / persons[held][:, None], share)
    status[held] = share * persons[held][:, None]
    return status


def _projected(persons: Floats, name: str, year: int, draws: int, seed: int) -> Floats:
    """Draw the error of projecting ages; before 2020 they are estimates, half as uncertain."""
    sd = projection_error() * (0.5 if year <= 2020 else 1.0)
    drawn = persons * np.exp(keyed(seed, "ages", name).normal(size=(draws, *persons.shape)) * sd)
    return np.concatenate([persons[None], drawn])


def departments_of(region: str, year: int) -> tuple[str, ...]:
    """Return the departments of a region that hold anyone."""
    frame = commune_margins(year).areas
    return tuple(sorted(frame.loc[frame["region"] == region, "department"].unique()))


@lru_cache(maxsize=2)
def _seed_tables(draws: int, seed: int) -> Floats:
    return national_seed(draws, keyed(seed, "national seed") if draws else None)


@lru_cache(maxsize=16)
def region_tables(region: str, year: int, draws: int, seed: int) -> Floats:
    """Return persons of 15+ of a region, shape (1 + F, 5, 13, 2, 5, 7): point, then draws."""
    sums = sums_by(year, departments_of(region, year), draws, seed)
    total = sums.occupation.sum(axis=(1, 2))
    ages = region_ages(year).persons[REGION.code(region)]
    ages = _projected(ages, region, year, draws, seed)
    ages *= (total / ages.sum(axis=(1, 2)))[:, None, None]
    groups = age_groups(AGES)
    age4 = np.stack([ages.sum(axis=2)[:, groups == g].sum(axis=1) for g in range(4)], axis=1)
    margins = _stratum_margins(sums, age4, ages.sum(axis=1))
    margins.append(axis_margin("age by sex", STRATUM_SHAPE, (1, 2), ages))
    return _fit(_seed_tables(draws, seed)[:, None], margins)


@lru_cache(maxsize=8)
def department_tables(department: str, region: str, year: int, draws: int, seed: int) -> Floats:
    """Return persons of 15+ of a department, shape (1 + F, 5, 13, 2, 5, 7): point, then draws."""
    seeds = region_tables(region, year, draws, seed)
    sums = sums_by(year, (department,), draws, seed)
    total = sums.occupation.sum(axis=(1, 2))
    known = department_ages(year)
    if department not in known.departments:
        return _fit(seeds, _stratum_margins(sums, sums.age.sum(axis=1), sums.women.sum(axis=1)))
    bands = known.persons[known.departments.index(department)]
    bands = _projected(bands, department, year, draws, seed)
    sexes = sums.women.sum(axis=1)
    # 15-19 is what the communes hold beyond the department's 20+, at least 4 % of persons of 15+.
    rest = np.maximum(total - bands.sum(axis=(1, 2)), 0.04 * total)
    bands *= ((total - rest) / bands.sum(axis=(1, 2)))[:, None, None]
    young = np.stack([0.488 * rest, 0.512 * rest], axis=1)[:, None, :]
    ages = np.concatenate([young, bands], axis=1)
    sexes = ages.sum(axis=1)
    age4 = sums.age.sum(axis=1)
    old = ages[:, 4].sum(axis=1)
    age4[:, :3] *= ((total - old) / age4[:, :3].sum(axis=1))[:, None]
    age4[:, 3] = old
    margins = _stratum_margins(sums, age4, sexes)
    cells = np.indices(STRATUM_SHAPE)
    band = np.searchsorted(np.array([20, 40, 60, 75]), np.array(AGES), side="right")
    margins.append(Margin("age by sex", band[cells[1]] * 2 + cells[2], ages.reshape(len(ages), -1)))
    return _fit(seeds, margins)


def _fit(seeds: Floats, margins: list[Margin]) -> Floats:
    tables = np.broadcast_to(seeds, (len(seeds), *STRATUM_SHAPE))
    return ipf(np.maximum(tables, 1e-6), margins, tol=TOL).fitted


def strata(year: int) -> pd.DataFrame:
    """Return persons of 15+ by region and urban class, those that hold anyone."""
    everyone = commune_margins(year)
    frame = everyone.areas[["region", "urban"]].assign(
        persons=everyone.persons, children=everyone.children, population=everyone.population
    )
    return frame.groupby(["region", "urban"], as_index=False).sum()
