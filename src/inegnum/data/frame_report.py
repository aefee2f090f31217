"""What a frame was aimed at and what it reached, margin by margin, and what each area rests on."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.codebook import URBAN
from inegnum.data.frame_ages import region_ages
from inegnum.data.frame_atoms import (
    AGE_GROUPS,
    LOCAL_AGES,
    OCCUPATIONS,
    SEXES,
    STATUS_GROUPS,
    age_groups,
    status_groups,
)
from inegnum.data.margins import CENSUS_YEAR, OCCUPATION_YEAR, CommuneMargins, commune_margins

__all__ = ["REPORT_COLUMNS", "area_columns", "commune_report", "stratum_report"]

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


def commune_report(
    margins: CommuneMargins,
    occupation: Floats,
    age: Floats,
    status: Floats,
    women: Floats,
    fitted: Floats,
) -> pd.DataFrame:
    """Return the margin report of communes.

    Parameters
    ----------
    margins : CommuneMargins
        Of A communes.
    occupation, age, status, women : ndarray of shape (A, 7), (A, 4), (A, 6), (A,)
        Shares aimed at.
    fitted : ndarray of shape (A, 8, 2, 5, 7)
        Tables reached.
    """
    persons = margins.persons[:, None]
    reached = _achieved(fitted)
    known = margins.published
    seen = margins.observed
    ages = np.column_stack(
        [
            known["age_15_29"] - known["age_18_24"],
            known["age_18_24"],
            known["population"] - known["age_0_14"] - known["age_15_29"] - known["age_75p"],
            known["age_75p"],
        ]
    )
    others = known["population"] - known["age_0_14"] - known["not_enrolled_15p"]
    diplomas = np.column_stack(
        [
            known["enrolled_18_24"],
            others - known["enrolled_18_24"],
            known["none"],
            known["bepc"] + known["cap_bep"],
            known["bac"],
            known["bac2"] + known["bac3_4"] + known["bac5"],
        ]
    )
    sexes = np.stack([women, 1 - women], axis=1)
    no_sex = np.full(sexes.shape, np.nan)
    rp, old = f"RP{OCCUPATION_YEAR}", f"RP{CENSUS_YEAR}"
    parts = [
        ("occupation", OCCUPATIONS, margins.occupation * persons, occupation, reached[0], rp, ""),
        ("age", AGE_GROUPS, ages, age, reached[1], old, _SCALED),
        ("schooling and diploma", STATUS_GROUPS, diplomas, status, reached[2], old, _DRIFTED),
        ("sex", SEXES, no_sex, sexes, reached[3], old, _SCALED),
    ]
    rows = []
    for name, levels, published, shares, achieved, source, reason in parts:
        own = name == "occupation"
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
                    "source": np.repeat(np.where(seen | own, source, "predicted"), k),
                    "year": np.repeat(np.where(seen & (not own), CENSUS_YEAR, OCCUPATION_YEAR), k),
                    "reason": np.repeat(np.where(seen | own, reason, _PREDICTED), k),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)[list(REPORT_COLUMNS)]


def stratum_report(region: str, year: int, tables: Floats) -> pd.DataFrame:
    """Return the margin report of one region by urban class: occupation and age.

    Parameters
    ----------
    tables : ndarray of shape (5, 8, 2, 5, 7)
        Tables reached, by urban class.
    """
    everyone = commune_margins(year)
    inside = (everyone.areas["region"] == region).to_numpy()
    urban = everyone.areas["urban"].to_numpy()
    reached = _achieved(tables)
    rows = []
    for u, level in enumerate(URBAN.levels):
        at = inside & (urban == level)
        if not at.any():
            continue
        wanted = everyone.persons[at] @ everyone.occupation[at]
        rows.append(_rows(f"{region}-{level}", "occupation", OCCUPATIONS, wanted, reached[0][u]))
    ages = region_ages(year)
    index = ages.regions.index(region)
    by_age = ages.persons[index].sum(axis=0)
    total = tables.sum()
    whole = _rows(region, "sex", SEXES, by_age / by_age.sum() * total, reached[3].sum(axis=0))
    whole["source"] = "estimates of population"
    return pd.concat([*rows, whole], ignore_index=True)[list(REPORT_COLUMNS)]


def _rows(
    geo: str, margin: str, levels: tuple[str, ...], wanted: Floats, reached: Floats
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "geo": geo,
            "margin": margin,
            "level": list(levels),
            "published": wanted,
            "target": wanted,
            "achieved": reached,
            "source": f"RP{OCCUPATION_YEAR}",
            "year": OCCUPATION_YEAR,
            "reason": "",
        }
    )
