"""Shapes come in the order asked, fit together, and a bad GeoJSON is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inegnum.data import catalogue
from inegnum.data.areas import load_areas
from inegnum.data.geometry import geometry, read_geometry
from inegnum.errors import InputError

EIGHT = {
    "243300316": 28,
    "243500139": 43,
    "244400404": 24,
    "200046977": 58,
    "200093201": 95,
    "243100518": 37,
    "241700434": 28,
    "200023414": 71,
}


@pytest.mark.parametrize(("epci", "communes"), EIGHT.items())
def test_eight_metropolises_have_a_shape_for_each_commune(epci: str, communes: int) -> None:
    areas = load_areas(epci=epci)
    assert len(areas) == communes
    shapes = geometry(areas["geo"].tolist())["features"]
    assert [f["properties"]["geo"] for f in shapes] == areas["geo"].tolist()
    assert {f["properties"]["parent"] for f in shapes} == {epci}


def test_shapes_are_light_and_neighbours_share_their_edges() -> None:
    shapely = pytest.importorskip("shapely")
    root = catalogue.reference_root()
    assert (root / "communes_contours.geojson").stat().st_size < 300_000
    assert (root / "iris_bordeaux_contours.geojson").stat().st_size < 100_000
    for name in ("communes_contours", "iris_bordeaux_contours"):
        features = catalogue.features(name)[0]["features"]
        parents = np.array([f["properties"]["parent"] for f in features])
        shapes = np.array([shapely.geometry.shape(f["geometry"]) for f in features])
        for parent in set(parents):
            assert shapely.coverage_is_valid(shapes[parents == parent]), parent


def test_iris_of_bordeaux_are_found_by_their_nine_digits() -> None:
    (feature,) = geometry(["330630101"])["features"]
    assert feature["properties"] == {"geo": "330630101", "name": "Le Lac 1", "parent": "33063"}
    assert len(catalogue.features("iris_bordeaux_contours")[0]["features"]) == 88


def test_an_area_without_shape_is_named() -> None:
    with pytest.raises(InputError, match="01004"):
        geometry(["33063", "01004"])


def collection(**changes: Any) -> dict[str, Any]:
    ring = [[0.0, 45.0], [0.1, 45.0], [0.1, 45.1], [0.0, 45.0]]
    feature = {
        "type": "Feature",
        "properties": {"code": "01004", "nom": "Ambérieu"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    return {"type": "FeatureCollection", "features": [feature | changes]}


def write(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "own.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_territory_of_the_user(tmp_path: Path) -> None:
    path = write(tmp_path, collection())
    found = geometry(["01004"], own=path, code="code")
    assert found["features"][0]["properties"] == {"geo": "01004", "name": "Ambérieu"}
    with pytest.raises(InputError, match="01005"):
        geometry(["01005"], own=path, code="code")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ([], "not a GeoJSON"),
        (collection(properties={"insee": "01004"}), "property code"),
        (collection(properties={"code": 1004}), "not text"),
        (collection(geometry={"type": "Point", "coordinates": [0, 45]}), "not a polygon"),
        (
            collection(geometry={"type": "Polygon", "coordinates": [[[420000.0, 6420000.0]]]}),
            "Lambert 93",
        ),
        (collection() | {"features": collection()["features"] * 2}, "stands twice"),
    ],
)
def test_bad_geojson_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_geometry(write(tmp_path, content), code="code")


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_geometry(tmp_path / "none.geojson")
