"""Shapes of a wide territory: those the study brings, at one level light enough to be drawn.

The package has no outlines of France. A file of communes, intercommunalities, departments or
regions is recognised by its codes; communes are merged into their intercommunalities, for 34,700
outlines make no page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from inegnum.data import catalogue
from inegnum.data.geometry import read_geometry
from inegnum.data.margins import commune_margins
from inegnum.errors import InputError
from inegnum.study.geography import same_geography
from inegnum.study.manifest import given_with
from inegnum.study.scale.plan import departments
from inegnum.study.spec import Study

__all__ = ["wide_shapes"]

# Finest first. A department and a region may share a code: a file is of the level it holds whole.
_LEVELS = {"commune": "geo", "epci": "epci", "department": "department", "region": "region"}


def wide_shapes(study: Study) -> tuple[str, dict[str, Any]] | None:
    """Return the level that is drawn and its shapes; None when the study brings none.

    Raises
    ------
    InputError
        The file holds no level of the territory whole, or communes of it changed since the file's
        year.
    """
    territory = study.territory
    if not territory.geojson:
        return None
    path = Path(territory.geojson)
    held = {
        feature["properties"]["geo"]: feature
        for feature in read_geometry(path, code=territory.geojson_code)["features"]
    }
    everyone = commune_margins(study.year).areas
    areas = everyone[everyone["department"].isin(departments(territory, study.year))]
    # Four islands belong to no intercommunality.
    wanted = {level: set(areas[column]) - {""} for level, column in _LEVELS.items()}
    for level, codes in wanted.items():
        if codes <= set(held):
            if level != "commune":
                return level, _collection([held[code] for code in sorted(codes)])
            same_geography(given_with(study), sorted(codes))
            return "epci", _merged(areas, held)
    nearest = max(wanted, key=lambda level: len(wanted[level] & set(held)) / len(wanted[level]))
    lacking = sorted(wanted[nearest] - set(held))
    raise InputError(
        "the shapes hold no level of the territory whole",
        where=str(path),
        got=f"{len(wanted[nearest]) - len(lacking)} of {len(wanted[nearest])} ({nearest}); "
        f"without {', '.join(lacking[:5])}{', ...' if len(lacking) > 5 else ''}",
        expected="every commune, intercommunality, department or region",
        hint="codes are those of 1 January 2025; name their property with territory.geojson_code",
    )


def _collection(features: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": features}


def _merged(areas: pd.DataFrame, held: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Merge the shapes of communes into those of their intercommunalities."""
    import geopandas as gpd
    from shapely.geometry import mapping

    known, _ = catalogue.table("communes")
    names = dict(zip(known["epci"], known["epci_name"], strict=True))
    inside = areas[areas["epci"] != ""]
    shapes = gpd.GeoDataFrame.from_features([held[geo] for geo in inside["geo"]], crs="EPSG:4326")
    merged = shapes.assign(epci=inside["epci"].to_numpy()).dissolve(by="epci")
    return _collection(
        [
            {
                "type": "Feature",
                "properties": {"geo": code, "name": names[code]},
                # Through JSON's own types: tuples become lists when it is written.
                "geometry": mapping(shape),
            }
            for code, shape in merged.geometry.items()
        ]
    )
