"""What a frame was aimed at and what it reached, margin by margin, and what each area rests on."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.codebook import REGION, URBAN
from inegnum.data.frames.ages import region_ages
from inegnum.data.frames.atoms import (
    AGE_GROUPS,
    AGES,
    LOCAL_AGES,
    OCCUPATIONS,
    SEXES,
    STATUS_GROUPS,
    age_groups,
    status_groups,
)
from inegnum.data.frames.communes import Targets
from inegnum.data.frames.strata import Sums
from inegnum.data.margins import CENSUS_YEAR, OCCUPATION_YEAR, CommuneMargins

__all__ = [
    "REPORT_COLUMNS",
    "area_columns",
    "commune_report",
    "stratum_report",
    "student_report",
]

Floats = npt.NDArray[np.float64]

REPORT_COLUMNS = (
    "geo",
    "margin",
    "level",
    "published",
    "target",
    "achieved",
    "source",
    "year",
    "reason",
)
_METROPOLES = ("METRO", "MET69")
_SCALED = "rates of RP2018 kept, totals of RP2022; ages scaled by the region's growth"
_DRIFTED = "shares of RP2018 moved by the drift of diplomas, totals of RP2022"
_CHILDREN = "difference of two exploitations, pulled to the stratum's share in small communes"
_RAKED = "sums of communes raked to the region's ages, which are known better"
_STUDENTS = "definitions differ: enrolled in the census, student by own account in the survey"
_PREDICTED = "not observed below 2,000 inhabitants: predicted from occupation and department"


def area_columns(margins: CommuneMargins, urban: Literal["metropole", "own"]) -> pd.DataFrame:
    """Return the areas of a frame: names, urban class used, tier, what was observed, notes."""
    table = margins.areas.copy()
    table.insert(1, "level", "commune")
    table["urban_own"] = table["urban"]
    if urban == "metropole":
        table["urban"] = _metropole_class(table)
    seen = margins.observed
    table["tier"] = np.where(seen, "F3", "F4")
    table["observed"] = np.where(
        seen,
        "population, occupation 2022; age, schooling, diploma, sex 2018",
        "population, occupation 2022",
    )
    french = np.where(
        seen,
        "base modélisée : croisements estimés, marges observées",
        "base modélisée : seules la population et la profession sont observées ; âge, diplôme, "
        "scolarité et sexe imputés",
    )
    english = np.where(
        seen,
        "modelled frame: crossings are estimated, margins observed",
        "modelled frame: only population and occupation are observed; age, diploma, schooling and "
        "sex are imputed",
    )
    moved = (table["urban"] != table["urban_own"]).to_numpy()
    table["note_fr"] = np.where(
        moved, french + " ; taille d'unité urbaine : celle de la métropole", french
    )
    table["note_en"] = np.where(moved, english + "; urban class: that of its métropole", english)
    return table


def _metropole_class(table: pd.DataFrame) -> pd.Series:
    """Return the class most inhabitants of a métropole live in, and a commune's own elsewhere."""
    communes, _ = catalogue.table("communes")
    inside = communes[communes["epci_type"].isin(_METROPOLES) & (communes["urban"] != "")]
    sums = inside.groupby(["epci", "urban"])["population_2022"].sum().reset_index()
    main = sums.sort_values("population_2022").groupby("epci")["urban"].last()
    return table["epci"].map(main).fillna(table["urban"])


def _achieved(fitted: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return margins of fitted tables (A, 8, 2, 5, 7): occupation, age, status, women and men."""
    ages, status = age_groups(LOCAL_AGES), status_groups(LOCAL_AGES)
    by_age = fitted.sum(axis=(2, 3, 4))
    crossed = fitted.sum(axis=(2, 4))
    age = np.stack([by_age[:, ages == g].sum(axis=1) for g in range(4)], axis=1)
    schooling = np.stack([crossed[:, status == g].sum(axis=1) for g in range(6)], axis=1)
    return fitted.sum(axis=(1, 2, 3)), age, schooling, fitted.sum(axis=(1, 3, 4))


def commune_report(margins: CommuneMargins, targets: Targets, fitted: Floats) -> pd.DataFrame:
    """Return the margin report of communes.

    Parameters
    ----------
    margins : CommuneMargins
        Of A communes.
    targets : Targets
        Shares aimed at, point first.
    fitted : ndarray of shape (A, 8, 2, 5, 7)
        Tables reached.
    """
    persons = margins.persons[:, None]
    reached = _achieved(fitted)
    ages, diplomas = _published(margins.published)
    sexes = np.stack([targets.women[0], 1 - targets.women[0]], axis=1)
    unknown = np.full(sexes.shape, np.nan)
    own = margins.occupation * persons
    rp, old = f"RP{OCCUPATION_YEAR}", f"RP{CENSUS_YEAR}"
    status = ("schooling and diploma", STATUS_GROUPS, diplomas, targets.status[0], reached[2])
    parts = [
        (*("occupation", OCCUPATIONS, own, targets.occupation[0], reached[0]), rp, ""),
        (*("age", AGE_GROUPS, ages, targets.age[0], reached[1]), old, _SCALED),
        (*status, old, _DRIFTED),
        (*("sex", SEXES, unknown, sexes, reached[3]), old, _SCALED),
    ]
    rows = [_young(margins)]
    for name, levels, published, shares, achieved, source, reason in parts:
        seen = margins.observed | (name == "occupation")
        a, k = achieved.shape
        rows.append(
            pd.DataFrame(
                {
                    "geo": np.repeat(margins.areas["geo"].to_numpy(), k),
                    "margin": name,
                    "level": np.tile(np.array(levels), a),
                    "published": published.ravel(),
                    "target": (shares * persons).ravel(),
                    "achieved": achieved.ravel(),
                    "source": np.repeat(np.where(seen, source, "predicted"), k),
                    "year": np.repeat(np.where(seen, int(source[2:]), margins.year), k),
                    "reason": np.repeat(np.where(seen, reason, _PREDICTED), k),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)[list(REPORT_COLUMNS)]


def _published(known: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return counts of RP2018 by age group (A, 4) and by schooling and diploma (A, 6)."""
    ages = np.column_stack(
        [
            known["age_15_29"] - known["age_18_24"],
            known["age_18_24"],
            known["population"] - known["age_0_14"] - known["age_15_29"] - known["age_75p"],
            known["age_75p"],
        ]
    )
    enrolled = known["population"] - known["age_0_14"] - known["not_enrolled_15p"]
    diplomas = np.column_stack(
        [
            known["enrolled_18_24"],
            enrolled - known["enrolled_18_24"],
            known["none"],
            known["bepc"] + known["cap_bep"],
            known["bac"],
            known["bac2"] + known["bac3_4"] + known["bac5"],
        ]
    )
    return ages, diplomas


def _young(margins: CommuneMargins) -> pd.DataFrame:
    """Return what was made of population less persons of 15 and over."""
    return pd.DataFrame(
        {
            "geo": margins.areas["geo"],
            "margin": "children",
            "level": "0-14",
            "published": margins.population - margins.persons,
            "target": margins.children,
            "achieved": margins.children,
            "source": f"PMUN{margins.year}, RP{OCCUPATION_YEAR}",
            "year": margins.year,
            "reason": _CHILDREN,
        }
    )


def stratum_report(region: str, year: int, tables: Floats, sums: Sums) -> pd.DataFrame:
    """Return the margin report of one region: what communes add up to, and what was reached.

    Parameters
    ----------
    tables : ndarray of shape (5, 8, 2, 5, 7)
        Tables reached, by urban class.
    sums : Sums
        Sums of communes, point first.
    """
    reached = _achieved(tables)
    rows = []
    for u, level in enumerate(URBAN.levels):
        if sums.occupation[0, u].sum() > 0:
            counts = sums.occupation[0, u]
            rows.append(
                _rows(f"{region}-{level}", "occupation", OCCUPATIONS, counts, counts, reached[0][u])
            )
    ages = region_ages(year).persons[REGION.code(region)]
    ages = ages * tables.sum() / ages.sum()
    groups = age_groups(AGES)
    by_group = np.array([ages[groups == g].sum() for g in range(4)])
    summed = (sums.age[0].sum(axis=0), sums.status[0].sum(axis=0), sums.women[0].sum(axis=0))
    status = reached[2].sum(axis=0)
    for margin, levels, published, target, achieved in (
        ("age", AGE_GROUPS, summed[0], by_group, reached[1].sum(axis=0)),
        ("schooling and diploma", STATUS_GROUPS, summed[1], status, status),
        ("sex", SEXES, summed[2], ages.sum(axis=0), reached[3].sum(axis=0)),
    ):
        part = _rows(region, margin, levels, published, target, achieved)
        rows.append(part.assign(source="communes; estimates of population", reason=_RAKED))
    return pd.concat(rows, ignore_index=True)[list(REPORT_COLUMNS)]


def student_report(students: float, persons: float) -> pd.DataFrame:
    """Return how students of 18 to 24 are counted by the census, the survey and the frame.

    The survey's students say so themselves (``SITUEMP``); the census's are enrolled, whatever else
    they do. Shares of persons of 18 to 24.
    """
    schooling, _ = catalogue.table("census_schooling")
    enrolled = schooling[
        (schooling["area"] == "FE-1")
        & (schooling["measure"] == "enrolled_share")
        & (schooling["sex"] == "both")
        & (schooling["first_age"] == 18)
    ]["value"]
    survey, _ = catalogue.table("survey_profiles")
    young = survey[survey["first_age"].isin([18, 20])]
    told = young.loc[young["diploma"] == "student", "w"].sum() / young["w"].sum()
    rows = _rows(
        "FR",
        "students of 18 to 24",
        ("census, enrolled", "survey, student"),
        np.array([float(enrolled.iloc[0]), told]),
        np.full(2, float(enrolled.iloc[0])),
        np.full(2, students / persons),
    )
    return rows.assign(source="RP2020; Baromètre 2016-2022", year=2020, reason=_STUDENTS)


def _rows(
    geo: str,
    margin: str,
    levels: tuple[str, ...],
    published: Floats,
    target: Floats,
    achieved: Floats,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "geo": geo,
            "margin": margin,
            "level": list(levels),
            "published": published,
            "target": target,
            "achieved": achieved,
            "source": f"RP{OCCUPATION_YEAR}",
            "year": OCCUPATION_YEAR,
            "reason": "",
        }
    )
