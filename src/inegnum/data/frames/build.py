"""Poststratification frames: persons by area and profile, and how uncertain they are.

Model
    Each commune's table (age x sex x status x occupation, persons of 15 and over) is its
    department's table of the same urban class, fitted (IPF) to the commune's own margins:
    occupation, four age groups, schooling and diploma, sex. The department's interactions are thus
    kept, the commune's totals are met. Minors and students leave the crossing afterwards; persons
    of 12 to 14 are added from population less persons of 15 and over.

Tiers
    F3 one-way margins and seeds (communes over 2,000 inhabitants); F4 occupation only, the other
    margins predicted from occupation and department (`frames.predict`). F1, the census's joint
    file, and F2, published joints, are in `frames.tiers`.

Draws
    One draw of everything at a time: survey joint and age x diploma (national seed), departments'
    deviations, projection of ages, drift of diplomas, sampling of occupations, ageing of 2018
    margins, prediction error where margins are not observed. Components are keyed by name: a
    commune's draws do not depend on which other communes are asked for.

Limits
    Every cell is modelled: what is observed is its margins. No interaction between diploma and
    occupation is observed below the national survey.

References
----------
Purcell and Kish 1980, doi:10.2307/1402400; Zhang and Chambers 2004,
doi:10.1111/j.1467-9868.2004.05266.x.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from inegnum.data import catalogue
from inegnum.data.codebook import REGION, URBAN, profiles
from inegnum.data.frames.ages import region_ages
from inegnum.data.frames.atoms import children_to_profiles, to_local, to_profiles
from inegnum.data.frames.communes import children, commune_tables
from inegnum.data.frames.report import (
    area_columns,
    commune_report,
    stratum_report,
    student_report,
)
from inegnum.data.frames.strata import departments_of, region_tables, strata, sums_by
from inegnum.data.margins import SOURCES, commune_margins
from inegnum.data.types import Frame
from inegnum.errors import FrameError
from inegnum.provenance import Source

__all__ = ["asked_communes", "build_frame", "frame_sources", "national_frame"]

Floats = npt.NDArray[np.float64]

# Communes fitted together: bounds memory, whatever the number of areas asked for.
BLOCK = 64


def build_frame(
    areas: pd.DataFrame,
    *,
    year: int = 2022,
    draws: int = 0,
    seed: int = 0,
    urban: Literal["metropole", "own"] = "metropole",
    report: bool = True,
) -> Frame:
    """Build the frame of some communes.

    Parameters
    ----------
    areas : DataFrame
        Communes, column ``geo`` (for instance from `load_areas`).
    year : int
        Year the counts are brought to, 2018 to 2023.
    draws : int
        Frames drawn from their own uncertainty.
    seed : int
        Same seed, same draws; a national frame of the same seed and number of draws shares them.
    urban : {"metropole", "own"}
        Urban class of communes of a métropole: that of most of its inhabitants, or their own.
    report : bool
        Whether margins are reported one by one: some thirty rows a commune.

    Returns
    -------
    Frame
        One row a commune, in the order given; `report` says margin by margin what was published,
        aimed at and reached.

    Raises
    ------
    FrameError
        A commune is unknown or stands twice, or the year cannot be had.
    ConvergenceError, MarginError
        Margins of a commune cannot be met; the message names it.

    Examples
    --------
    >>> from inegnum.data.areas import load_areas
    >>> frame = build_frame(load_areas(communes=["33063", "33487"]))
    >>> frame.areas[["geo", "tier"]].to_numpy().tolist()
    [['33063', 'F3'], ['33487', 'F4']]
    """
    geos = asked_communes(areas, draws)
    # Many small products: one thread is faster, and last digits do not depend on the machine.
    with threadpool_limits(limits=1, user_api="blas"):
        return _of_communes(geos, year, draws, seed, urban=urban, report=report)


def _of_communes(
    geos: Sequence[str],
    year: int,
    draws: int,
    seed: int,
    *,
    urban: Literal["metropole", "own"],
    report: bool,
) -> Frame:
    margins = commune_margins(year).at(geos)
    counts = np.empty((1 + draws, len(geos), len(profiles())))
    reports = []
    for start in range(0, len(geos), BLOCK):
        block = margins.at(geos[start : start + BLOCK])
        tables, targets = commune_tables(block, draws, seed)
        counts[:, start : start + BLOCK] = to_profiles(tables) + children(block, draws, seed)
        if report:
            reports.append(commune_report(block, targets, tables[0]))
    return Frame(
        area_columns(margins, urban),
        counts[0],
        frame_sources(),
        year,
        counts[1:] if draws else np.empty((0, 0, 0)),
        pd.concat(reports, ignore_index=True) if report else pd.DataFrame(),
    )


def frame_sources() -> tuple[Source, ...]:
    """Return where the margins and seeds of every frame come from."""
    return tuple(catalogue.source(name) for name in SOURCES)


def asked_communes(areas: pd.DataFrame, draws: int) -> list[str]:
    """Return the codes asked for, or say what is wrong with the request."""
    if "geo" not in areas.columns or areas.empty:
        raise FrameError(
            "no commune to build a frame for",
            where="areas",
            got=", ".join(map(str, areas.columns)) or "an empty table",
            expected="a table with a column geo of commune codes",
            hint="use load_areas",
        )
    if areas["geo"].duplicated().any():
        raise FrameError(
            "a commune stands twice",
            where="areas",
            got=", ".join(areas.loc[areas["geo"].duplicated(), "geo"].head()),
        )
    if draws < 0:
        raise FrameError("the number of draws is negative", where="draws", got=draws)
    return [str(geo) for geo in areas["geo"]]


def national_frame(*, year: int = 2022, draws: int = 0, seed: int = 0) -> Frame:
    """Build the frame of metropolitan France by region and size of urban unit.

    Parameters
    ----------
    year, draws, seed
        As in `build_frame`.

    Returns
    -------
    Frame
        One row a region and urban class that holds anyone (``geo`` such as ``"75-rural"``), in the
        profiles of `build_frame`. Age by urban class comes from census communes.

    Examples
    --------
    >>> frame = national_frame()
    >>> round(float(frame.persons("15+").sum()) / 1e6, 1)
    54.5
    """
    if draws < 0:
        raise FrameError("the number of draws is negative", where="draws", got=draws)
    with threadpool_limits(limits=1, user_api="blas"):
        return _of_strata(year, draws, seed)


def _of_strata(year: int, draws: int, seed: int) -> Frame:
    held = strata(year)
    ages = region_ages(year)
    counts = np.empty((1 + draws, len(held), len(profiles())))
    reports = []
    for region, rows in held.groupby("region"):
        tables = to_local(region_tables(str(region), year, draws, seed))
        share = ages.child_share[REGION.code(str(region))]
        at = rows.index.to_numpy()
        for i, urban, under_15 in zip(at, rows["urban"], rows["children"], strict=True):
            u, young = URBAN.code(urban), np.full(1 + draws, float(under_15))
            counts[:, i] = to_profiles(tables[:, u])
            counts[:, i] += children_to_profiles(young * share[0], young * share[1])
        sums = sums_by(year, departments_of(str(region), year), 0, seed)
        reports.append(stratum_report(str(region), year, tables[0], sums))
    table = profiles()
    young = (table["age"] == "18-24").to_numpy()
    students = counts[0][:, young & (table["diploma"] == "student").to_numpy()].sum()
    reports.append(student_report(float(students), float(counts[0][:, young].sum())))
    return Frame(
        _stratum_columns(held, year),
        counts[0],
        frame_sources(),
        year,
        counts[1:] if draws else np.empty((0, 0, 0)),
        pd.concat(reports, ignore_index=True),
    )


def _stratum_columns(held: pd.DataFrame, year: int) -> pd.DataFrame:
    everyone = commune_margins(year)
    persons = pd.DataFrame(
        {"persons": everyone.persons, "seen": everyone.persons * everyone.observed}
    )
    keys = [everyone.areas["region"], everyone.areas["urban"]]
    sums = persons.groupby(keys).sum()
    seen = (sums["seen"] / sums["persons"]).reindex(
        pd.MultiIndex.from_frame(held[["region", "urban"]])
    )
    share = seen.to_numpy()
    return pd.DataFrame(
        {
            "geo": held["region"] + "-" + held["urban"],
            "level": "stratum",
            "name": [
                f"{REGION.label(r)}, {URBAN.label(u)}"
                for r, u in zip(held["region"], held["urban"], strict=True)
            ],
            "region": held["region"],
            "urban": held["urban"],
            "epci": "",
            "tier": np.where(share >= 0.5, "F3", "F4"),
            "observed_share": share.round(3),
            "note_fr": [
                "base modélisée ; âge, scolarité, diplôme observés pour "
                f"{100 * s:.0f} % des habitants"
                for s in share
            ],
            "note_en": [
                f"modelled frame; age, schooling, diploma observed for {s:.0%} of persons"
                for s in share
            ],
        }
    )
