"""Outlines of areas as SVG paths, in the projection the country's maps use.

Borders are simplified as a coverage (neighbours keep their common border: Visvalingam-Whyatt as in
`shapely.coverage_simplify`), in Lambert-93 (EPSG:2154) for metropolitan France and in the local UTM
zone elsewhere. Coordinates are pixels of a fixed width, with one decimal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from typing import TYPE_CHECKING, Any, Final

from inegnum.errors import ProvenanceError

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["Outline", "Shape", "circle_radius", "great_circle_km", "outline"]

EARTH_KM: Final = 6371.0088  # mean radius (IUGG)
MARGIN: Final = 4  # pixels around the areas
LETTER: Final = 6.2  # width of a letter of the map's labels, in its pixels


@dataclass(frozen=True, slots=True)
class Shape:
    """One area on the map.

    Attributes
    ----------
    geo, name : str
        Code and name.
    path : str
        SVG path data.
    x, y : float
        A point inside the area, in pixels.
    lon, lat : float
        The same point in degrees; not a number when the area has no shape.
    roomy : bool
        Whether the name fits inside the area.
    """

    geo: str
    name: str
    path: str
    x: float
    y: float
    lon: float
    lat: float
    roomy: bool


@dataclass(frozen=True, slots=True)
class Outline:
    """Every area of a map that is `width` by `height` pixels.

    Attributes
    ----------
    width, height : int
        Size of the map.
    shapes : tuple of Shape
        Areas, by code.
    crs : str
        Projection.
    scale, left, top : float
        Pixels a metre, and the corner of the map in metres.
    """

    width: int
    height: int
    shapes: tuple[Shape, ...]
    crs: str
    scale: float
    left: float
    top: float

    @property
    def drawn(self) -> bool:
        """Whether there is a map at all."""
        return self.height > 0

    def spots(self, lonlat: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Return where points in degrees fall on the map, in pixels (nowhere without a map)."""
        if not self.drawn or not lonlat:
            return [(math.nan, math.nan)] * len(lonlat)
        import geopandas as gpd

        points = gpd.GeoSeries.from_xy(*zip(*lonlat, strict=True), crs="EPSG:4326")
        flat = points.to_crs(self.crs)
        return [
            (
                round(MARGIN + (p.x - self.left) * self.scale, 1),
                round(MARGIN + (self.top - p.y) * self.scale, 1),
            )
            for p in flat
        ]


def great_circle_km(lon1: float, lat1: float, lon2: float, lat2: float) -> float:
    """Return the great-circle distance between two points, in km (haversine).

    Examples
    --------
    >>> round(great_circle_km(0.0, 0.0, 0.0, 90.0))
    10008
    """
    phi1, phi2 = radians(lat1), radians(lat2)
    h = sin((phi2 - phi1) / 2) ** 2
    h += cos(phi1) * cos(phi2) * sin(radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(h)))


def outline(geojson: dict[str, Any] | None, names: dict[str, str], *, width: int = 640) -> Outline:
    """Turn a GeoJSON collection into paths of a map.

    Parameters
    ----------
    geojson : dict or None
        Feature collection in degrees; each feature carries ``geo``. Without one there is no map:
        areas keep their name and place in the order, at a height of zero.
    names : dict
        Name by code; areas that are not in it are left out.
    width : int
        Width of the map in pixels.

    Raises
    ------
    ProvenanceError
        A named area has no geometry.
    """
    if geojson is None:
        nowhere = tuple(
            Shape(geo, names[geo], "", 0, 0, math.nan, math.nan, roomy=False)
            for geo in sorted(names)
        )
        return Outline(width, 0, nowhere, "", 0.0, 0.0, 0.0)
    import geopandas as gpd
    import shapely

    features = [f for f in geojson["features"] if f["properties"].get("geo") in names]
    missing = sorted(set(names) - {f["properties"]["geo"] for f in features})
    if missing:
        raise ProvenanceError(
            "areas have figures but no geometry",
            where="estimates.geojson",
            got=f"{len(features)} areas",
            expected=", ".join(missing),
        )
    areas = gpd.GeoDataFrame.from_features(features, crs="EPSG:4326").sort_values("geo")
    inside = areas.geometry.representative_point()
    crs = _projection(areas)
    flat = areas.to_crs(crs)
    left, bottom, right, top = flat.total_bounds
    scale = (width - 8) / (right - left)
    height = round((top - bottom) * scale) + 8
    pixels = flat.geometry.affine_transform(
        [scale, 0, 0, -scale, 4 - left * scale, 4 + top * scale]
    )
    simple = shapely.coverage_simplify(pixels.to_numpy(), 0.8)
    shapes = []
    for geo, shape, point in zip(areas["geo"], simple, inside, strict=True):
        spot = shapely.Point(shapely.maximum_inscribed_circle(shape, tolerance=1.0).coords[0])
        shapes.append(
            Shape(
                geo=str(geo),
                name=names[geo],
                path=_path(shape.svg()),
                x=round(spot.x, 1),
                y=round(spot.y, 1),
                lon=round(point.x, 5),
                lat=round(point.y, 5),
                roomy=_fits(shape, spot, names[geo]),
            )
        )
    return Outline(width, height, tuple(shapes), crs, float(scale), float(left), float(top))


def _projection(areas: gpd.GeoDataFrame) -> str:
    west, south, east, north = areas.total_bounds
    metropolitan = west > -6 and east < 10 and south > 41 and north < 52
    return "EPSG:2154" if metropolitan else str(areas.estimate_utm_crs())


def _path(svg: str) -> str:
    """Keep the path data of shapely's SVG, with one decimal."""
    data = " ".join(re.findall(r'\bd="([^"]*)"', svg))
    short = re.sub(r"-?\d+\.\d+", lambda m: f"{float(m.group()):.1f}".removesuffix(".0"), data)
    return re.sub(r"\s*([MLz])\s*", r"\1", short).strip()


def _fits(shape: Any, spot: Any, name: str) -> bool:
    import shapely

    half = len(name) * LETTER / 2
    box = shapely.box(spot.x - half, spot.y - 7, spot.x + half, spot.y + 7)
    # A name may stick out by a tenth without touching a neighbour's name.
    return bool(shape.intersection(box).area > 0.9 * box.area)


def circle_radius(count: float, largest: float, *, widest: float = 34.0) -> float:
    """Return the radius of a circle whose area is proportional to `count`.

    Examples
    --------
    >>> circle_radius(25.0, 100.0, widest=10.0)
    5.0
    """
    return widest * sqrt(max(count, 0.0) / largest) if largest > 0 else 0.0
