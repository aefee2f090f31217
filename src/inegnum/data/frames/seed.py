"""The national seed: one joint of age, sex, status and occupation, and its uncertainty.

Model
    No published table crosses diploma and occupation. The survey does (17,000 adults, six waves):
    its counts are smoothed towards the log-linear model of all two-way associations, one
    pseudo-respondent a cell (Dirichlet posterior mean). Its age x diploma association is moved to
    that of a census table, for the survey calls "no diploma" half as many people as the census.
    The table is then fitted (IPF) to what is known of France: age x occupation (and x sex where
    published), occupation x sex, schooling by age and sex, diploma by sex.

Uncertainty
    Each draw takes a gamma draw of the survey's cells (Dirichlet with effective counts n / deff
    plus the prior) and of the age x diploma shares (`_AGE_DIPLOMA_COUNTS` effective persons a row:
    one employment zone standing for France).

Choices
    Schooling: 15-17 are enrolled at the national rate; beyond 30 the enrolled, 1.0 %, are spread by
    `_LATE_STUDIES`. Enrolled people keep the occupation the survey gives its students (79 % none);
    the survey's students and the census's enrolled are within two points of each other at 18-24.
    A floor of `_FLOOR` persons in ten thousand of a cell's expected count keeps rare cells open.

Limits
    Sex x occupation above 40 takes its age pattern from three small areas, its level from the
    Enquête Emploi 2022.

References
----------
Purcell and Kish 1980, doi:10.2307/1402400; Bishop, Fienberg and Holland 1975, ISBN 978-0387728056.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.frames.ages import region_ages
from inegnum.data.frames.atoms import AGES, OCCUPATIONS, SEXES, SHAPE, STATUS
from inegnum.numerics.ipf import Margin, axis_margin, ipf

__all__ = ["SEED_YEAR", "national_seed"]

Floats = npt.NDArray[np.float64]

SEED_YEAR = 2020
_PRIOR = 1.0
_FLOOR = 1e-4
_AGE_DIPLOMA_COUNTS = 2000.0
_LATE_STUDIES = {30: 0.018, 40: 0.010, 55: 0.004, 60: 0.002, 65: 0.001}
# Six age classes of the census's crossed tables, as first ages.
_CLASSES = (15, 20, 25, 40, 55, 65)
_MEN_KNOWN_BELOW = 40
_SCHOOL_CLASSES = (15, 18, 25, 30)
# Persons of 15 to 17 no longer enrolled: almost none above the brevet.
_MINORS_STATUS = (0.957, 0.024, 0.017, 0.002, 0.00002)
_MINORS_AT_WORK = {"inactive": 0.95, "worker": 0.03, "employee": 0.02}


def _class_of_age(starts: tuple[int, ...]) -> npt.NDArray[np.int64]:
    found = np.searchsorted(np.array(starts), np.array(AGES), side="right") - 1
    return np.asarray(found, dtype=np.int64)


@cache
def _survey_counts() -> tuple[Floats, Floats]:
    """Return effective counts of adults by cell and their expectation under two-way associations.

    Returns
    -------
    ndarray of shape (13, 2, 5, 7), twice
        Counts (zero at 15-17) and expectations with the same total.
    """
    table, _ = catalogue.table("survey_profiles")
    counts = np.zeros(SHAPE)
    status = table["diploma"].replace("student", "enrolled")
    at = (
        np.searchsorted(np.array(AGES), table["first_age"]),
        table["sex"].map({name: i for i, name in enumerate(SEXES)}).to_numpy(),
        status.map({name: i for i, name in enumerate(STATUS)}).to_numpy(),
        table["occupation"].map({name: i for i, name in enumerate(OCCUPATIONS)}).to_numpy(),
    )
    np.add.at(counts, at, table["w"].to_numpy())
    deff = table["n"].sum() * table["w2"].sum() / table["w"].sum() ** 2
    counts *= table["n"].sum() / table["w"].sum() / deff
    # Half a respondent spread over each pair of axes keeps every expectation positive.
    adults = np.zeros(SHAPE)
    adults[1:] = 1.0
    smooth = counts + 0.5 * adults / len(AGES)
    margins = []
    for pair in combinations(range(4), 2):
        others = tuple(axis for axis in range(4) if axis not in pair)
        margins.append(axis_margin(f"survey {pair}", SHAPE, pair, smooth.sum(axis=others)))
    expected = ipf(adults, margins, tol=1e-6).fitted
    return counts, expected * counts.sum() / expected.sum()


def _survey_joint(rng: np.random.Generator | None, draws: int) -> Floats:
    """Return the smoothed joint of adults, or draws of it, shape (B, 13, 2, 5, 7)."""
    counts, expected = _survey_counts()
    cells = (counts > 0) | (expected > 0)
    weight = counts + _PRIOR * expected * cells.sum() / expected.sum()
    if rng is None:
        return weight[None]
    return rng.standard_gamma(np.broadcast_to(weight, (draws, *SHAPE)))


def _with_schooling(joint: Floats) -> Floats:
    """Add minors and late students, and open rare cells, to a joint of adults."""
    seed = joint / joint.sum(axis=(1, 2, 3, 4), keepdims=True)
    per_age = seed.sum(axis=(2, 3, 4))
    students = seed[:, :, :, 0].sum(axis=1) / seed[:, :, :, 0].sum(axis=(1, 3))[:, :, None]
    for age, rate in _LATE_STUDIES.items():
        rows = [i for i, first in enumerate(AGES) if _late_class(first) == age]
        for i in rows:
            seed[:, i, :, 0] = 0.5 * rate * per_age[:, i, None, None] * students
    adults = per_age[:, 1]
    at_work = np.array([_MINORS_AT_WORK.get(o, 1e-5) for o in OCCUPATIONS])
    minors = np.array(_MINORS_STATUS)[:, None] * at_work[None, :]
    seed[:, 0] = 0.5 * adults[:, None, None, None] * minors
    expected = (
        seed.sum(axis=(3, 4), keepdims=True)
        * seed.sum(axis=(1, 2, 4), keepdims=True)
        * seed.sum(axis=(1, 2, 3), keepdims=True)
    )
    return np.maximum(seed, _FLOOR * expected)


def _late_class(first_age: int) -> int:
    """Return the class of late studies an age belongs to, 0 below 30."""
    return max((age for age in _LATE_STUDIES if age <= first_age), default=0)


@cache
def _crossed(name: str, area: str) -> pd.Series:
    table, _ = catalogue.table(name)
    rows = table[table["area"] == area]
    what = "occupation" if "occupation" in table else "diploma"
    return rows.set_index(["sex", "first_age", what])["persons"].sort_index()


def _seven(persons: pd.Series, sex: str, age: int) -> Floats:
    """Return one row of age x occupation in the seven classes."""
    eight = [float(persons[(sex, age, f"cs{i}")]) for i in range(1, 9)]
    return np.array([eight[0] + eight[1], *eight[2:]])


@cache
def _occupation_targets() -> tuple[Floats, Floats]:
    """Return France 2020 by age class and occupation (6, 7), and men's share where known (6, 7)."""
    france = _crossed("census_age_occupation", "METRO-1")
    both = np.stack([_seven(france, "both", age) for age in _CLASSES])
    men = np.full(both.shape, np.nan)
    for k, age in enumerate(_CLASSES):
        if age < _MEN_KNOWN_BELOW:
            men[k] = _seven(france, "men", age) / np.maximum(both[k], 1)
    return both, men


@cache
def _local_men_share() -> Floats:
    """Return men's share by age class and occupation pooled over small areas, shape (6, 7)."""
    table, _ = catalogue.table("census_age_occupation")
    areas = [a for a in table["area"].unique() if a != "METRO-1"]
    sums = {sex: np.zeros((len(_CLASSES), len(OCCUPATIONS))) for sex in ("both", "men")}
    for area in areas:
        persons = _crossed("census_age_occupation", area)
        for sex, total in sums.items():
            total += np.stack([_seven(persons, sex, age) for age in _CLASSES])
    # Ten persons at parity keep empty cells away from 0 and 1.
    return np.asarray((sums["men"] + 5) / (sums["both"] + 10))


@cache
def _schooling(measure: str, sex: str) -> pd.Series:
    table, _ = catalogue.table("census_schooling")
    rows = table[(table["area"] == "FE-1") & (table["measure"] == measure) & (table["sex"] == sex)]
    return rows.set_index("first_age")["value"]


@cache
def _age_sex_target() -> Floats:
    """Return France 2020 by `AGES` and sex, with the census's age classes and sexes, (13, 2)."""
    both, men = _occupation_targets()
    persons = region_ages(SEED_YEAR).persons.sum(axis=0)
    target = np.empty_like(persons)
    classes = _class_of_age(_CLASSES)
    for k in range(len(_CLASSES)):
        rows = classes == k
        part = persons[rows]
        if np.isfinite(men[k]).all():
            of_men = float((men[k] * both[k]).sum())
            totals = np.array([both[k].sum() - of_men, of_men])
            target[rows] = part / part.sum(axis=0) * totals
        else:
            target[rows] = part / part.sum() * both[k].sum()
    return target


def _national_margins() -> list[Margin]:
    """Return what the census says of France 2020, in persons."""
    both, men = _occupation_targets()
    ages = _age_sex_target()
    classes = _class_of_age(_CLASSES)
    shape = SHAPE
    cells = np.indices(shape)
    known = np.isfinite(men).all(axis=1)
    by_class = classes[cells[0]] * 7 + cells[3]
    margins = [axis_margin("age x sex, France 2020", shape, (0, 1), ages)]
    older = np.where(known[classes[cells[0]]], -1, by_class - 7 * int(known.sum()))
    margins.append(Margin("age x occupation, France 2020", older, both[~known].ravel()))
    n_known = int(known.sum())
    by_sex = np.where(known[classes[cells[0]]], by_class * 2 + cells[1], -1)
    split = np.stack([both[known] * (1 - men[known]), both[known] * men[known]], axis=-1)
    margins.append(
        Margin("age x occupation x sex, France 2020", by_sex, split.reshape(n_known * 14))
    )
    table, _ = catalogue.table("employment_occupation_sex")
    women = table.set_index("occupation")["women"].loc[list(OCCUPATIONS[:5])].to_numpy()
    working = both.sum(axis=0)[:5]
    group = np.where(cells[3] < 5, cells[3] * 2 + cells[1], -1)
    by_sex_only = np.stack([working * women, working * (1 - women)], axis=-1)
    margins.append(Margin("occupation x sex, Enquête Emploi 2022", group, by_sex_only.ravel()))
    margins.extend(_schooling_margins(ages, cells))
    return margins


def _schooling_margins(ages: Floats, cells: npt.NDArray[np.int64]) -> list[Margin]:
    """Return the enrolled by age and sex, and diplomas by sex of the others."""
    school = _class_of_age(_SCHOOL_CLASSES)
    rates = np.array(
        [[_schooling("enrolled_share", sex)[a] for sex in SEXES] for a in _SCHOOL_CLASSES]
    )
    enrolled = np.stack([ages[school == k].sum(axis=0) for k in range(4)]) * rates
    group = np.where(cells[2] == 0, school[cells[0]] * 2 + cells[1], -1)
    margins = [Margin("enrolled by age and sex, France 2020", group, enrolled.ravel())]
    left = ages.sum(axis=0) - enrolled.sum(axis=0)
    shares = np.array(
        [[_schooling(f"{level}_share", sex)[15] for level in STATUS[1:]] for sex in SEXES]
    )
    counts = shares / shares.sum(axis=1, keepdims=True) * left[:, None]
    group = np.where(cells[2] > 0, cells[1] * 4 + cells[2] - 1, -1)
    margins.append(Margin("diploma by sex, France 2020", group, counts.ravel()))
    return margins


def _move_associations(seed: Floats, rng: np.random.Generator | None) -> Floats:
    """Move age x diploma and sex x occupation of the seed to those of census tables."""
    classes = _class_of_age(_CLASSES)
    table, _ = catalogue.table("census_age_diploma")
    persons = table.pivot_table(index="first_age", columns="diploma", values="persons")
    wanted = persons.loc[list(_CLASSES), list(STATUS[1:])].to_numpy()
    shares = np.broadcast_to(wanted / wanted.sum(axis=1, keepdims=True), (len(seed), 6, 4))
    if rng is not None:
        shares = rng.standard_gamma(_AGE_DIPLOMA_COUNTS * shares)
        shares = shares / shares.sum(axis=2, keepdims=True)
    moved = seed.copy()
    men = _local_men_share()
    for k in range(len(_CLASSES)):
        rows = np.flatnonzero(classes == k)
        part = moved[:, rows, :, 1:]
        now = part.sum(axis=(1, 2, 4))
        ratio = shares[:, k] * now.sum(axis=1, keepdims=True) / now
        moved[:, rows, :, 1:] = part * ratio[:, None, None, :, None]
        sexes = moved[:, rows].sum(axis=(1, 3))
        ratio = np.stack([1 - men[k], men[k]])[None] * sexes.sum(axis=1, keepdims=True) / sexes
        moved[:, rows] *= ratio[:, None, :, None, :]
    return moved


def national_seed(draws: int = 0, rng: np.random.Generator | None = None) -> Floats:
    """Return the national table of persons of 15 and over in `SEED_YEAR`.

    Parameters
    ----------
    draws : int
        Number of draws; with 0 the point table alone.
    rng : numpy.random.Generator, optional
        Needed for draws.

    Returns
    -------
    ndarray of shape (1 + draws, 13, 2, 5, 7)
        The point table, then the draws.

    Raises
    ------
    MarginError, ConvergenceError
        The national margins contradict each other or are not met.
    """
    seeds = [_move_associations(_with_schooling(_survey_joint(None, 1)), None)]
    if draws and rng is not None:
        seeds.append(_move_associations(_with_schooling(_survey_joint(rng, draws)), rng))
    return ipf(np.concatenate(seeds), _national_margins(), tol=1e-7).fitted
