"""Which communes a wide territory holds, and how they are cut into pieces of work.

The atom is a block: at most `BLOCK` communes of one department, in an order that depends on nothing
but the department. Departments are what is computed, stored and started again; a piece of work is
one or more of them. No figure depends on how departments are handed out.
"""

from __future__ import annotations

from typing import Final, Literal

import pandas as pd

from inegnum.data import catalogue
from inegnum.data.codebook import REGION
from inegnum.data.frames.report import area_columns
from inegnum.data.margins import commune_margins
from inegnum.study.spec import Territory

__all__ = ["BLOCK", "blocks", "departments", "left_out", "pieces"]

# Communes whose tables stand in memory at once: with 50 frames of 294 profiles, 30 MB.
BLOCK: Final = 256


def departments(territory: Territory, year: int) -> tuple[str, ...]:
    """Return the departments of a territory, by region, so that neighbours share a seed."""
    areas = commune_margins(year).areas
    held = areas[["region", "department"]].drop_duplicates()
    if territory.regions:
        held = held[held["region"].isin(territory.regions)]
    return tuple(held.sort_values(["region", "department"])["department"])


def pieces(names: tuple[str, ...], year: int, count: int) -> tuple[tuple[str, ...], ...]:
    """Cut departments into at most `count` runs of about as many communes.

    Examples
    --------
    >>> pieces(("2A", "2B", "48"), 2022, 2)
    (('2A', '2B'), ('48',))
    """
    sizes = commune_margins(year).areas.groupby("department").size()
    total, count = int(sizes[list(names)].sum()), min(count, len(names))
    cut: list[list[str]] = [[] for _ in range(count)]
    before = 0
    for name in names:
        middle = before + int(sizes[name]) / 2
        cut[min(int(middle * count / total), count - 1)].append(name)
        before += int(sizes[name])
    return tuple(tuple(piece) for piece in cut if piece)


def blocks(
    department: str, year: int, urban: Literal["metropole", "own"]
) -> tuple[pd.DataFrame, ...]:
    """Return the communes of a department in blocks, those of one urban class together."""
    everyone = commune_margins(year)
    inside = everyone.areas.loc[everyone.areas["department"] == department, "geo"]
    areas = area_columns(everyone.at(inside.tolist()), urban)
    areas = areas.sort_values(["urban", "geo"])[["geo", "name"]].reset_index(drop=True)
    return tuple(areas.iloc[i : i + BLOCK] for i in range(0, len(areas), BLOCK))


def left_out(territory: Territory, year: int) -> pd.DataFrame:
    """Return communes of the territory for which nothing can be estimated, and why."""
    communes, _ = catalogue.table("communes")
    regions = territory.regions or REGION.levels
    here = communes[communes["region"].isin(regions)]
    gone = here[~here["geo"].isin(commune_margins(year).areas["geo"])]
    population = gone[f"population_{year}"]
    nobody = population.fillna(-1) == 0
    return pd.DataFrame(
        {
            "geo": gone["geo"],
            "name": gone["name"],
            "department": gone["department"],
            "population": population,
            "reason_fr": nobody.map(
                {True: "aucun habitant", False: "profession ou population non publiée"}
            ),
            "reason_en": nobody.map(
                {True: "nobody lives there", False: "occupation or population not published"}
            ),
        }
    ).reset_index(drop=True)
