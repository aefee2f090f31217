"""Census variables of communes that stand in for a digital indicator: truth known, everywhere.

A digital indicator is known by commune nowhere. These four census variables are, for every commune
over 2,000 inhabitants, in two censuses: what composition leaves unexplained of them says how much
communes, intercommunalities and regions differ beyond composition.

Limits: they are socio-economic, not digital; retired people are known in 2022 only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data import catalogue
from inegnum.errors import InputError
from inegnum.estimators.ecological import Areas

__all__ = ["ACTIVE", "TARGETS", "Target", "areas_of", "census", "composition", "urban_classes"]

Floats = npt.NDArray[np.float64]

ACTIVE: Final = ("farmers", "self_employed", "managers", "intermediate", "employees", "workers")
_CONTEXT: Final = (
    "social_housing",
    "flats",
    "share_managers",
    "share_workers",
    "log_population",
    "share_15_29",
    "share_75p",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A census variable that stands in for a digital indicator.

    Attributes
    ----------
    code, en, fr : str
        Identifier and labels.
    numerator : tuple of str
        Columns summed.
    denominator : str
        Column of persons it is about.
    composition : str
        ``"occupation"`` (active by occupation, other under 75, 75 and over), ``"active"`` (active
        by occupation) or ``"age"`` (15-29, 30-74, 75 and over).
    context : tuple of str
        Covariates of the commune; none contains the numerator.
    """

    code: str
    en: str
    fr: str
    numerator: tuple[str, ...]
    denominator: str
    composition: str
    context: tuple[str, ...]


TARGETS: Final = (
    Target(
        "no_diploma",
        "no diploma, people no longer enrolled",
        "sans diplôme, personnes non scolarisées",
        ("no_diploma",),
        "not_enrolled",
        "occupation",
        (*_CONTEXT, "share_unemployed"),
    ),
    Target(
        "higher",
        "higher education, people no longer enrolled",
        "diplôme du supérieur, personnes non scolarisées",
        ("higher",),
        "not_enrolled",
        "occupation",
        (*_CONTEXT, "share_unemployed"),
    ),
    Target(
        "unemployed",
        "unemployed, in the labour force",
        "chômeurs, population active",
        ("unemployed",),
        "active",
        "active",
        (*_CONTEXT, "share_no_diploma", "share_higher"),
    ),
    Target(
        "retired",
        "retired, 15 and over",
        "retraités, 15 ans et plus",
        ("retired",),
        "persons_15p",
        "age",
        (*_CONTEXT, "share_unemployed", "share_no_diploma", "share_higher"),
    ),
)


def areas_of(table: pd.DataFrame, target: Target) -> Areas:
    """Return the communes of a census table as areas with a known truth.

    Parameters
    ----------
    table : DataFrame
        One row a commune: counts (``population, persons_15p, age_15_29, age_75p, active``, the six
        occupations of the active, ``not_enrolled, no_diploma, higher, unemployed, retired``),
        ``social_housing`` and ``flats`` per main residence, ``urban``, ``epci``, ``region``.
    target : Target

    Raises
    ------
    InputError
        A count is missing: communes without the variable are left out before, by name.
    """
    needed = [*target.numerator, target.denominator]
    if table[needed].isna().any(axis=None):
        raise InputError(
            "a true rate cannot be computed",
            where=", ".join(table.loc[table[needed].isna().any(axis=1), "geo"].head()),
            expected="communes with every count of the target",
        )
    persons = table[target.denominator].to_numpy(np.float64)
    y = table[list(target.numerator)].sum(axis=1).to_numpy(np.float64) / persons
    _, group = np.unique(table["epci"].to_numpy(str), return_inverse=True)
    region = np.asarray(table["region"].astype(int), dtype=np.int64)
    x = np.hstack([_context(table, target.context), urban_classes(table)])
    return Areas(y, composition(table, target), x, persons, group.astype(np.int64), region)


def composition(table: pd.DataFrame, target: Target) -> Floats:
    """Return the shares of the categories, shape (A, C)."""
    occupations = table[list(ACTIVE)].to_numpy(np.float64)
    old = table["age_75p"].to_numpy(np.float64)
    if target.composition == "active":
        counts = occupations
    elif target.composition == "occupation":
        # Some of the active are enrolled, so the residual can be too small: at least 2 % of adults.
        rest = table["not_enrolled"].to_numpy(np.float64) - occupations.sum(axis=1) - old
        rest = np.maximum(rest, 0.02 * table["persons_15p"].to_numpy(np.float64))
        counts = np.column_stack([occupations, rest, old])
    else:
        young = table["age_15_29"].to_numpy(np.float64)
        counts = np.column_stack([young, table["persons_15p"].to_numpy() - young - old, old])
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _context(table: pd.DataFrame, names: tuple[str, ...]) -> Floats:
    """Return standardised covariates of the communes, shape (A, P)."""
    columns = {
        "social_housing": table["social_housing"],
        "flats": table["flats"],
        "share_managers": table["managers"] / table[list(ACTIVE)].sum(axis=1),
        "share_workers": table["workers"] / table[list(ACTIVE)].sum(axis=1),
        "log_population": np.log(table["population"]),
        "share_15_29": table["age_15_29"] / table["persons_15p"],
        "share_75p": table["age_75p"] / table["persons_15p"],
        "share_unemployed": table["unemployed"] / table["active"],
        "share_no_diploma": table["no_diploma"] / table["not_enrolled"],
        "share_higher": table["higher"] / table["not_enrolled"],
    }
    x = np.column_stack([columns[name].to_numpy(np.float64) for name in names])
    return np.asarray((x - x.mean(axis=0)) / x.std(axis=0))


def urban_classes(table: pd.DataFrame) -> Floats:
    """Return one column per urban class but rural, shape (A, 4).

    The urban unit of Paris lies in one region: when that region is hidden its effect is not
    learned but drawn from its prior, as any effect nothing was seen of.
    """
    classes = ("2k-20k", "20k-100k", "100k+", "paris")
    return np.column_stack([(table["urban"] == name).to_numpy(np.float64) for name in classes])


@cache
def census(year: int) -> pd.DataFrame:
    """Return communes over 2,000 inhabitants of metropolitan France, counts named as `areas_of`.

    Left out: communes that no longer exist, that belong to no intercommunality or urban class, or
    whose occupations of 2022 are not published.
    """
    counts, _ = catalogue.table(f"census_{year}")
    labour, _ = catalogue.table("census_labour_force")
    retired, _ = catalogue.table("census_occupation_2022")
    where, _ = catalogue.table("communes")
    kept = (where["epci"] != "") & (where["urban"] != "") & (where["region"].astype(int) > 10)
    table = (
        where.loc[kept, ["geo", "region", "epci", "urban"]]
        .merge(counts, on="geo")
        .merge(labour[labour["year"] == year], on="geo")
        .merge(retired[["geo", "persons_15p", "cs7"]], on="geo", suffixes=("", "_2022"))
    )
    adults = table["population"] - table["age_0_14"]
    higher = ["bac2", "bac3_4", "bac5"] if year == 2018 else ["bac2", "bac3p"]
    table = table.assign(
        not_enrolled=table["not_enrolled_15p"],
        no_diploma=table["none"],
        higher=table[higher].sum(axis=1),
        # The retired are known in 2022 only: their share then, applied to the adults of the year.
        retired=table["cs7"] / table["persons_15p"] * adults,
        persons_15p=adults,
        social_housing=table["social_rented"] / table["dwellings"],
        flats=table["flats"] / table["dwellings"],
    )
    return table.rename(columns={f"cs{i + 1}": name for i, name in enumerate(ACTIVE)})
