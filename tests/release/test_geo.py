"""Outlines keep their neighbours; distances agree with another implementation."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inegnum.errors import ProvenanceError
from inegnum.release.geo import circle_radius, great_circle_km, outline
from release.synthetic import NAMES, grid_geometry

NAMED = {f"990{k + 1:02d}": name for k, name in enumerate(NAMES)}


def test_neighbours_share_their_border() -> None:
    drawn = outline(grid_geometry(), NAMED, width=600)
    points = [set(re.findall(r"[\d.]+,[\d.]+", shape.path)) for shape in drawn.shapes]
    # Areas 0 and 1 are side by side in the grid: two corners in common, to the last digit.
    assert len(points[0] & points[1]) == 2
    assert not points[0] & points[11]


def test_everything_is_inside_the_map() -> None:
    drawn = outline(grid_geometry(), NAMED, width=600)
    for shape in drawn.shapes:
        numbers = [float(v) for v in re.findall(r"-?[\d.]+", shape.path)]
        assert all(0 <= x <= drawn.width for x in numbers[::2])
        assert all(0 <= y <= drawn.height for y in numbers[1::2])
        assert shape.path.startswith("M")
        assert shape.path.endswith("z")


def test_north_is_up() -> None:
    drawn = {shape.geo: shape for shape in outline(grid_geometry(), NAMED).shapes}
    assert drawn["99003"].lat > drawn["99001"].lat
    assert drawn["99003"].y < drawn["99001"].y


def test_an_area_without_geometry_is_named() -> None:
    with pytest.raises(ProvenanceError, match="99999"):
        outline(grid_geometry(), {**NAMED, "99999": "Nowhere"})


@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(-180, 180), st.floats(-89, 89))
def test_great_circle_agrees_with_proj_on_a_sphere(
    lon1: float, lat1: float, lon2: float, lat2: float
) -> None:
    from pyproj import Geod

    sphere = Geod(a=6371008.8, b=6371008.8)
    expected = sphere.inv(lon1, lat1, lon2, lat2)[2] / 1000
    # Both are exact on a sphere; near antipodes the haversine loses half its digits (1e-8).
    assert great_circle_km(lon1, lat1, lon2, lat2) == pytest.approx(expected, rel=1e-6, abs=1e-3)


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_circle_area_is_proportional_to_people(a: float, b: float) -> None:
    big = max(a, b)
    assert circle_radius(a, big) ** 2 / circle_radius(b, big) ** 2 == pytest.approx(a / b)
