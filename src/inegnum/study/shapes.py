"""Shapes of a study's areas: those of its own file, or the package's.

The file may hold communes, IRIS or both. What it holds of a level must be complete; a level it says
nothing of comes from the package. Communes without shapes stop a run; IRIS without any do not: they
stand in the tables and not on the map, and a note says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from inegnum.data import catalogue
from inegnum.data.geometry import COMMUNES, IRIS, geometry, read_geometry
from inegnum.data.types import Frame
from inegnum.study.spec import Territory

__all__ = ["named_by_shapes", "shapes_of"]


def shapes_of(territory: Territory, geos: Sequence[str]) -> dict[str, Any] | None:
    """Return the shapes of these communes and IRIS as one feature collection.

    None when nobody gave any: the study names no file and the package has none of the communes.

    Raises
    ------
    InputError
        A file, or the package, has the shapes of a part of the communes or IRIS only.
    """
    communes = [geo for geo in geos if len(geo) == 5]
    iris = [geo for geo in geos if len(geo) != 5]
    if communes and not territory.geojson and not _shipped(COMMUNES, communes):
        return None
    features = _level(territory, communes)
    if iris and (_own(territory, iris) or _shipped(IRIS, iris)):
        features += _level(territory, iris)
    return {"type": "FeatureCollection", "features": features}


def _level(territory: Territory, geos: list[str]) -> list[dict[str, Any]]:
    own = _own(territory, geos)
    found: list[dict[str, Any]] = geometry(geos, own=own, code=territory.geojson_code)["features"]
    return found


def _own(territory: Territory, geos: list[str]) -> Path | None:
    """Return the study's file when it holds any of these areas, or when it holds no other."""
    if not territory.geojson:
        return None
    path = Path(territory.geojson)
    held = read_geometry(path, code=territory.geojson_code)["features"]
    codes = {feature["properties"]["geo"] for feature in held}
    same_kind = any(len(code) == len(geos[0]) for code in codes) if geos else False
    return path if codes & set(geos) or same_kind or not codes else None


def _shipped(name: str, geos: list[str]) -> bool:
    known = {f["properties"]["geo"] for f in catalogue.features(name)[0]["features"]}
    return bool(known & set(geos))


def named_by_shapes(frame: Frame, territory: Territory) -> pd.DataFrame:
    """Return the areas of a frame, IRIS under the names their shapes carry."""
    areas = frame.areas
    iris = areas.loc[areas["level"] == "iris", "geo"].tolist()
    found = shapes_of(territory, iris) if iris else None
    shapes = found["features"] if found else []
    names = {f["properties"]["geo"]: f["properties"]["name"] for f in shapes}
    told = {geo: name for geo, name in names.items() if name != geo}
    named = [told.get(geo, name) for geo, name in zip(areas["geo"], areas["name"], strict=True)]
    return areas.assign(name=named)
