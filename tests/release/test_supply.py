"""Places are read from the national standard, measured, and flagged when their record is old."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from inegnum.errors import InputError
from inegnum.release.areas import level_outline
from inegnum.release.cards import concerned
from inegnum.release.compare import local_draws
from inegnum.release.needs import place_gaps, supply_rows
from inegnum.release.read import Release
from inegnum.release.supply import Place, nearest_places, read_places, reference_supply
from inegnum.release.text import phrases
from release.synthetic import write_places

AS_OF = date(2024, 6, 1)


def place(name: str, longitude: float | None, latitude: float | None, day: str) -> Place:
    return Place(name, "", "", "", "", latitude, longitude, (), date.fromisoformat(day))


def test_it_reads_the_national_standard(tmp_path: Path) -> None:
    supply = read_places(write_places(tmp_path / "places.csv"), source="Simulated")
    assert [one.name for one in supply.places[:2]] == ["Médiathèque", "Maison de quartier"]
    assert supply.places[0].services == ("Aide aux démarches administratives", "Accès internet")
    assert supply.places[2].latitude is None
    assert [one.name for one in supply.within("99001")] == ["Médiathèque"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("date_maj", "maj", "required column"),
        ("2024-01-15", "15 janvier", "date of last update"),
        ("47.02", "quarante", "not a number"),
        ("47.02", "470200", "out of the world"),
    ],
)
def test_a_file_out_of_standard_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = write_places(tmp_path / "places.csv")
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(InputError, match=message):
        read_places(path, source="Simulated")


def test_a_record_is_stale_after_two_years() -> None:
    assert not place("a", None, None, "2022-06-02").stale(AS_OF)
    assert place("a", None, None, "2022-05-30").stale(AS_OF)


def test_nearest_places_agree_with_proj() -> None:
    from pyproj import Geod

    spots = [place(str(k), 2.0 + 0.07 * (k % 5), 47.0 + 0.05 * k, "2024-01-01") for k in range(9)]
    found = nearest_places([*spots, place("nowhere", None, None, "2024-01-01")], 2.1, 47.2, count=4)
    globe = Geod(ellps="WGS84")
    expected = sorted(
        (globe.inv(2.1, 47.2, one.longitude, one.latitude)[2] / 1000, one.name) for one in spots
    )[:4]
    assert [near.place.name for near in found] == [name for _, name in expected]
    # The ellipsoid and the sphere differ by half a percent at most.
    assert [near.km for near in found] == pytest.approx([km for km, _ in expected], rel=0.006)


def test_need_beside_supply(release: Release, tmp_path: Path) -> None:
    supply = read_places(write_places(tmp_path / "places.csv"), source="Simulated")
    shapes = level_outline(release).shapes
    words = phrases("fr")
    draws = release.draws()
    local = {level: local_draws(draws, "smartphone", level) for level in ("commune", "epci")}
    rows = supply_rows(
        release, "smartphone", words, supply=supply, shapes=shapes, local=local, as_of=AS_OF
    )
    by_geo = {row["geo"]: row for row in rows}
    note = release.indicators["smartphone"]
    for _, estimate in release.at("commune", "smartphone").iterrows():
        row = by_geo[estimate["geo"]]
        assert row["places"] == ("1" if estimate["geo"] in ("99001", "99002") else "0")
        if estimate["class"] == "D":
            assert row["per_place"] == words["table.masked"]
        elif row["places"] == "0":
            assert row["per_place"] == words["supply.none"]
        else:
            need, lower, upper = (words.people(v) for v in concerned(estimate, note))
            assert row["per_place"] == f"{need} ({lower} à {upper})"
        assert (row["gap"] == words["table.masked"]) == (estimate["class"] == "D")
    assert by_geo["99002"]["stale"] == "1"
    assert by_geo["99001"]["stale"] == "0"


def test_the_gap_to_the_average_is_taken_draw_by_draw() -> None:
    rng = np.random.default_rng(3)
    need = rng.gamma(9.0, 10.0, (500, 4))
    places = np.array([5, 0, 2, 3])
    found = place_gaps(need, need.sum(axis=1), places, total=10, prob=0.9)
    # Places wanted add up to places listed in every draw, so gaps add up to nothing.
    assert found[:, 0].sum() == pytest.approx(0, abs=1e-9)
    wanted = [10 * row[1] / row.sum() for row in need]
    assert found[1] == pytest.approx([np.mean(wanted), *np.quantile(wanted, [0.05, 0.95])])
    # What all communes share cancels: a bad year for everyone moves no gap.
    worse = need * rng.gamma(1.0, 1.0, (500, 1))
    again = place_gaps(worse, worse.sum(axis=1), places, total=10, prob=0.9)
    assert again == pytest.approx(found)


def test_without_shapes_no_place_is_near(tmp_path: Path) -> None:
    supply = read_places(write_places(tmp_path / "places.csv"), source="Simulated")
    assert nearest_places(supply.places, math.nan, math.nan, count=3) == ()


def test_the_package_knows_gironde_and_nowhere_else() -> None:
    assert reference_supply(["99001"]) is None
    supply = reference_supply(["33063"])
    assert supply is not None
    assert len(supply.within("33249")) == 9
    assert supply.counsellors["33063"] > 10
