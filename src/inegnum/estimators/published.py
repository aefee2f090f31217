"""Tables of published rates, cut to the groups of the frame.

What a publication groups otherwise than the frame is merged (its parts weighted by persons) or left
out; `RateTable` and the fit's notes say what is missing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.types import Frame, Indicator
from inegnum.errors import InputError
from inegnum.estimators.rate_table import RateTable
from inegnum.provenance import Source

__all__ = ["ILLECTRONISME", "illectronisme_2021", "single_total", "total_of_persons"]

ILLECTRONISME = Indicator(
    "illectronisme",
    "ease",
    "digital illiteracy (INSEE)",
    "illectronisme (INSEE)",
    "no internet use in the last three months, or use without basic digital skills (INSEE, 2021)",
    "15+",
    "everyone of 15 and over, non-users of internet counted",
    "toutes les personnes de 15 ans et plus, non-internautes compris",
    -1,
)

# Published group -> level of the frame. INSEE's "bac+3" cuts higher education, which the frame does
# not; living standard, household type and former occupation are not in the frame.
_GROUPS = {
    ("age", "15-24"): {"age": "12-17|18-24"},
    ("age", "25-39"): {"age": "25-39"},
    ("pcs", "cadres"): {"occupation": "manager"},
    ("pcs", "ouvriers"): {"occupation": "worker"},
    ("activity", "retraités"): {"occupation": "retired"},
    ("diploma", "au mieux le CEP"): {"diploma": "none"},
    ("total", "Ensemble"): {},
}


def illectronisme_2021(*, assumed_n: float) -> RateTable:
    """Return INSEE's rates of illectronisme in 2021 by the groups the frame knows.

    Parameters
    ----------
    assumed_n : float
        Respondents in all: INSEE publishes none by group, so this is an assumption of the caller,
        printed with every result.

    Notes
    -----
    60-74 and 75 and over are merged into 60 and over: the frame cuts at 70. France includes four
    overseas departments (a rate 0.4 point above that of metropolitan France).
    """
    table, source = catalogue.table("published_rates_tic")
    known = table[(table["indicator"] == "illectronisme") & (table["year"] == 2021)]
    rates = known.set_index(["group_variable", "group_level"])["value"]
    rows = [{"rate": float(rates[key]), **levels} for key, levels in _GROUPS.items()]
    population, _ = catalogue.table("population_region_age")
    persons = population[(population["year"] == 2020) & (population["sex"] != "both")]
    young = persons["first_age"].between(60, 74) & (persons["last_age"] <= 74)
    old = persons["first_age"] >= 75
    weights = [float(persons.loc[at, "persons"].sum()) for at in (young, old)]
    merged = np.average([rates["age", "60-74"], rates["age", "75+"]], weights=weights)
    rows.append({"rate": float(merged), "age": "60-69|70+"})
    frame = pd.DataFrame(rows).assign(n=np.nan)
    return RateTable(frame, ILLECTRONISME, source, 2021, rounding=0.01, assumed_n=assumed_n)


def total_of_persons(
    persons: float,
    indicator: Indicator,
    source: Source,
    *,
    national: Frame,
    year: int,
    assumed_n: float,
    rounding: float = 1e6,
) -> RateTable:
    """Turn a number of persons ("13 million") into the total tier T3 starts from.

    Parameters
    ----------
    persons : float
        As published, for the whole country.
    national : Frame
        Whose persons of the indicator's universe it is a part of.
    assumed_n : float
        Respondents behind it, an assumption printed with every result.
    rounding : float
        Unit the number was rounded to, in persons.

    Raises
    ------
    InputError
        More persons than there are, or none.
    """
    whole = float(national.persons(indicator.universe).sum())
    if not 0 < persons < whole:
        raise InputError(
            "a number of persons lies between none and all of its universe",
            where=source.name,
            got=f"{persons:,.0f}",
            expected=f"below {whole:,.0f} of {indicator.universe}",
        )
    table = pd.DataFrame({"rate": [persons / whole], "n": [np.nan]})
    return RateTable(table, indicator, source, year, rounding=rounding / whole, assumed_n=assumed_n)


def single_total(total: RateTable) -> RateTable:
    """Keep nothing but the total: what tier T3 starts from."""
    row = total.table[total.is_total()]
    return RateTable(
        row[["rate", "n"]].reset_index(drop=True),
        total.indicator,
        total.source,
        total.year,
        total.rounding,
        total.deff,
        total.assumed_n,
    )
