"""Shapes of areas: those that come with the package and those a user brings.

GeoJSON as plain dictionaries: no geometry library is needed to draw a map or write a file.
Coordinates are WGS 84 degrees; exterior rings run counter-clockwise (RFC 7946).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from inegnum.data import catalogue
from inegnum.errors import InputError, nearest

__all__ = ["COMMUNES", "IRIS", "geometry", "read_geometry"]

COMMUNES: Final = "communes_contours"
IRIS: Final = "iris_bordeaux_contours"


def geometry(geos: Sequence[str], *, own: Path | None = None, code: str = "geo") -> dict[str, Any]:
    """Return the shapes of these areas as a GeoJSON feature collection, in the same order.

    Parameters
    ----------
    geos : sequence of str
        Commune or IRIS codes.
    own : Path, optional
        A GeoJSON file to look in, for territories the package has no shapes for.
    code : str
        Property of that file that holds the codes.

    Returns
    -------
    dict
        Features with at least the properties ``geo`` and ``name``.

    Raises
    ------
    InputError
        An area has no shape; the message says which.

    Examples
    --------
    >>> geometry(["33063"])["features"][0]["properties"]["name"]
    'Bordeaux'
    """
    if own is not None:
        return _those(geos, read_geometry(own, code=code), str(own))
    # A commune code has five characters, an IRIS code nine.
    name = IRIS if geos and all(len(geo) == 9 for geo in geos) else COMMUNES
    return _those(geos, catalogue.features(name)[0], name)


def _those(geos: Sequence[str], collection: dict[str, Any], where: str) -> dict[str, Any]:
    known = {f["properties"]["geo"]: f for f in collection["features"]}
    missing = [geo for geo in geos if geo not in known]
    if missing:
        raise InputError(
            "areas have no shape",
            where=where,
            got=f"{', '.join(missing[:10])}{', ...' if len(missing) > 10 else ''}",
            expected=f"among {len(known)} shapes",
            hint="give a GeoJSON of the territory (territory.geojson in a study); the package has "
            "shapes for eight metropolises",
        )
    return {"type": "FeatureCollection", "features": [known[geo] for geo in geos]}


def read_geometry(path: Path, *, code: str = "geo", name: str = "") -> dict[str, Any]:
    """Read a GeoJSON of areas.

    Parameters
    ----------
    path : Path
        A feature collection of polygons or multipolygons in WGS 84 degrees.
    code : str
        Property that holds the area codes, as text.
    name : str
        Property that holds the names; ``nom``, ``name`` or the code when empty.

    Returns
    -------
    dict
        The collection, each feature's properties reduced to ``geo`` and ``name``.

    Raises
    ------
    InputError
        The file cannot be read, is not such a collection, a code is missing, repeated or a
        number, or coordinates are not degrees.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("the GeoJSON cannot be read", where=str(path), got=error) from error
    except ValueError as error:
        raise InputError(
            "the file is not valid JSON",
            where=str(path),
            got=str(error),
            hint="check that the file is complete and in UTF-8",
        ) from error
    if not isinstance(raw, dict) or raw.get("type") != "FeatureCollection":
        raise InputError(
            "the file is not a GeoJSON feature collection",
            where=str(path),
            expected='{"type": "FeatureCollection", "features": [...]}',
        )
    features = [_feature(f, i, path, code, name) for i, f in enumerate(raw.get("features", []))]
    seen: set[str] = set()
    for feature in features:
        geo = feature["properties"]["geo"]
        if geo in seen:
            raise InputError("an area stands twice in the GeoJSON", where=str(path), got=geo)
        seen.add(geo)
    return {"type": "FeatureCollection", "features": features}


def _feature(feature: dict[str, Any], i: int, path: Path, code: str, name: str) -> dict[str, Any]:
    where = f"{path}, feature {i}"
    properties = feature.get("properties") or {}
    if code not in properties:
        raise InputError(
            "a feature has no code",
            where=where,
            expected=f"property {code}",
            hint=nearest(code, properties) if properties else "name the property with `code`",
        )
    geo = properties[code]
    if not isinstance(geo, str):
        raise InputError(
            "an area code is not text", where=where, got=repr(geo), expected='text, as in "01004"'
        )
    shape = feature.get("geometry") or {}
    if shape.get("type") not in ("Polygon", "MultiPolygon"):
        raise InputError(
            "a feature is not a polygon",
            where=f"{where}, {geo}",
            got=shape.get("type"),
            expected="Polygon or MultiPolygon",
        )
    ring = shape["coordinates"][0] if shape["type"] == "Polygon" else shape["coordinates"][0][0]
    longitude, latitude = ring[0][:2]
    if abs(longitude) > 180 or abs(latitude) > 90:
        raise InputError(
            "coordinates are not degrees",
            where=f"{where}, {geo}",
            got=f"{longitude}, {latitude}",
            expected="longitude, latitude in WGS 84 (EPSG:4326)",
            hint="convert the file from Lambert 93 first",
        )
    label = properties.get(name) or properties.get("nom") or properties.get("name") or geo
    return {
        "type": "Feature",
        "properties": {"geo": geo, "name": str(label)},
        "geometry": {"type": shape["type"], "coordinates": shape["coordinates"]},
    }
