import json

import numpy as np
import pytest

from inegnum.data.contiguity import contiguity, region_contiguity
from inegnum.data.geometry import geometry
from inegnum.errors import InputError


def _square(geo: str, x: float, y: float, gap: float = 0.0) -> dict:
    ring = [[x + gap, y], [x + 1, y], [x + 1, y + 1], [x + gap, y + 1], [x + gap, y]]
    return {
        "type": "Feature",
        "properties": {"geo": geo},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def _file(tmp_path, *features):
    path = tmp_path / "areas.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_touching_squares_corners_and_a_gap_of_half_a_metre(tmp_path):
    path = _file(
        tmp_path,
        _square("a", 0, 0),
        _square("b", 1, 0, gap=5e-6),  # drawn half a metre away
        _square("c", 2, 1),  # touches b by a corner
        _square("d", 10, 0),
    )
    W = contiguity(["d", "a", "b", "c"], own=path)
    pairs = {(i, j) for i in W.index for j in W.columns if W.loc[i, j] and i < j}
    assert pairs == {("a", "b"), ("b", "c")}
    assert (np.diag(W) == 0).all()


def test_an_area_without_a_shape_is_named(tmp_path):
    path = _file(tmp_path, _square("a", 0, 0))
    with pytest.raises(InputError, match="b"):
        contiguity(["a", "b"], own=path)
    with pytest.raises(InputError, match="twice"):
        contiguity(["a", "a"], own=path)
    bow = _square("a", 0, 0)
    bow["geometry"]["coordinates"] = [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]
    with pytest.raises(InputError, match="cross themselves"):
        contiguity(["a"], own=_file(tmp_path, bow))


def test_communes_of_the_metropolis_share_boundaries():
    """Independent of shapely's index: shared vertices of the drawn rings."""
    geos = ["33063", "33281", "33522", "33039", "33003", "33004"]
    W = contiguity(geos)

    def vertices(feature):
        found = set()
        stack = [feature["geometry"]["coordinates"]]
        while stack:
            one = stack.pop()
            if isinstance(one[0], (int, float)):
                found.add((round(one[0], 6), round(one[1], 6)))
            else:
                stack.extend(one)
        return found

    points = [vertices(f) for f in geometry(geos)["features"]]
    for i, a in enumerate(geos):
        for j, b in enumerate(geos):
            if i != j and points[i] & points[j]:
                assert W.loc[a, b] == 1


def test_regions_are_symmetric_connected_and_corsica_is_an_island():
    from scipy.sparse.csgraph import connected_components

    W = region_contiguity()
    assert (W.to_numpy() == W.to_numpy().T).all()
    assert W.loc["94"].sum() == 0
    count, _ = connected_components(W.to_numpy())
    assert count == 2
    # Boundaries counted on a map: Centre-Val de Loire has six neighbours, Bretagne two.
    assert (W.sum().loc[["24", "53", "93", "11"]] == [6, 2, 2, 5]).all()
    assert contiguity(["53", "28"]).to_numpy().tolist() == [[0, 1], [1, 0]]
