"""The atomic table behind a frame: every breakpoint of every margin is an edge of one of its cells.

Persons of 15 and over are crossed by age x sex x status x occupation. `STATUS` is "enrolled" or the
highest diploma of those no longer enrolled, because census diplomas cover the latter only. People
of 15 to 17 and the enrolled keep a census occupation inside the table (cs8 for most, cs5 and cs6
for apprentices): so the margin of occupation, which counts everyone of 15 and over, applies as
published, and nothing has to be subtracted from it beforehand. They leave it in `to_profiles`.

Two ladders of ages: `AGES` where regional and national margins cut; `LOCAL_AGES` where communal
margins and the survey's classes cut. The finer sums to the coarser, no band is ever split.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from inegnum.data.codebook import DIPLOMA, OCCUPATION, SEX, profiles

__all__ = [
    "AGES",
    "AGE_GROUPS",
    "LOCAL_AGES",
    "LOCAL_SHAPE",
    "OCCUPATIONS",
    "SEXES",
    "SHAPE",
    "STATUS",
    "STATUS_GROUPS",
    "age_groups",
    "children_to_profiles",
    "shape_of",
    "status_groups",
    "to_local",
    "to_profiles",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

AGES: Final = (15, 18, 20, 25, 30, 40, 45, 55, 60, 65, 70, 75, 80)
LOCAL_AGES: Final = (15, 18, 25, 30, 40, 60, 70, 75)
SEXES: Final = SEX.levels
STATUS: Final = ("enrolled", *DIPLOMA.levels[2:])
OCCUPATIONS: Final = OCCUPATION.levels[2:]
SHAPE: Final = (len(AGES), len(SEXES), len(STATUS), len(OCCUPATIONS))
LOCAL_SHAPE: Final = (len(LOCAL_AGES), *SHAPE[1:])

# What the census gives by commune. 30-74 and 15-17 with 25-29 are residuals of published bands.
AGE_GROUPS: Final = ("15-17 and 25-29", "18-24", "30-74", "75+")
_GROUP_OF_AGE: Final = {15: 0, 18: 1, 20: 1, 25: 0, 75: 3, 80: 3}
STATUS_GROUPS: Final = ("enrolled 18-24", "enrolled, other ages", *STATUS[1:])
_CODEBOOK_AGE: Final = {
    18: "18-24",
    25: "25-39",
    30: "25-39",
    40: "40-59",
    60: "60-69",
    70: "70+",
    75: "70+",
}


def shape_of(ages: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the shape of a table over a ladder of ages."""
    return (len(ages), len(SEXES), len(STATUS), len(OCCUPATIONS))


def age_groups(ages: tuple[int, ...]) -> Ints:
    """Return the communal age group of each age of a ladder, shape (len(ages),)."""
    return np.array([_GROUP_OF_AGE.get(age, 2) for age in ages], dtype=np.int64)


def status_groups(ages: tuple[int, ...]) -> Ints:
    """Return the group of `STATUS_GROUPS` of each age x status, shape (len(ages), 5)."""
    groups = np.tile(np.arange(1, len(STATUS) + 1), (len(ages), 1))
    groups[[i for i, age in enumerate(ages) if age in (18, 20)], 0] = 0
    return groups.astype(np.int64)


@cache
def _local_of_age() -> Floats:
    """Return the matrix that sums `AGES` into `LOCAL_AGES`, shape (13, 8)."""
    starts = np.searchsorted(np.array(LOCAL_AGES), np.array(AGES), side="right") - 1
    matrix = np.zeros((len(AGES), len(LOCAL_AGES)))
    matrix[np.arange(len(AGES)), starts] = 1.0
    return matrix


def to_local(table: Floats) -> Floats:
    """Sum a table (..., 13, 2, 5, 7) over `AGES` to `LOCAL_AGES`, (..., 8, 2, 5, 7)."""
    return np.asarray(np.einsum("...asdo,al->...lsdo", table, _local_of_age(), optimize=True))


@cache
def _profile_of_cell() -> Ints:
    """Return the profile of each cell of a local table, shape (560,)."""
    key = {tuple(row): i for i, row in enumerate(profiles().itertuples(index=False))}
    found = np.empty(LOCAL_SHAPE, dtype=np.int64)
    for a, s, d, o in np.ndindex(LOCAL_SHAPE):
        if LOCAL_AGES[a] == 15:
            profile = ("15-17", SEXES[s], "minor", "minor")
        elif d == 0:
            profile = (_CODEBOOK_AGE[LOCAL_AGES[a]], SEXES[s], "student", "student")
        else:
            profile = (_CODEBOOK_AGE[LOCAL_AGES[a]], SEXES[s], STATUS[d], OCCUPATIONS[o])
        found[a, s, d, o] = key[profile]
    return found.ravel()


@cache
def _cell_to_profile() -> Floats:
    matrix = np.zeros((int(np.prod(LOCAL_SHAPE)), len(profiles())))
    matrix[np.arange(matrix.shape[0]), _profile_of_cell()] = 1.0
    return matrix


def to_profiles(table: Floats) -> Floats:
    """Sum a local table, shape (..., 8, 2, 5, 7), to profiles of 15 and over, shape (..., 294)."""
    flat = table.reshape(*table.shape[:-4], -1)
    return np.asarray(flat @ _cell_to_profile())


def children_to_profiles(women: Floats, men: Floats) -> Floats:
    """Place persons of 12 to 14 in their profiles, shape (..., 294)."""
    table = profiles()
    placed = np.zeros((*women.shape, len(table)))
    young = table["age"] == "12-14"
    placed[..., np.flatnonzero(young & (table["sex"] == "women"))[0]] = women
    placed[..., np.flatnonzero(young & (table["sex"] == "men"))[0]] = men
    return placed
