"""Census, shapes and imported files of a study stand on the same communes, or the study stops."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from inegnum.data import catalogue
from inegnum.data.geometry import COMMUNES, geometry
from inegnum.data.vintages import Event, shipped_events
from inegnum.errors import InputError
from inegnum.provenance import Source
from inegnum.review.run_checks import geography
from inegnum.study.geography import changed_since, changed_since_margins, same_geography
from inegnum.study.new import new_study
from inegnum.study.pipeline import frames_of
from inegnum.study.spec import load_study

SHAPES = Source("shapes.geojson", "us", "shapes", "areas", "", "areas", "", "0" * 64, "fit")
OULLINS, BORDEAUX = "69149", "33063"


def on(year: int) -> Source:
    return replace(SHAPES, geo_vintage=f"COG {year}")


def test_an_older_file_passes_only_when_no_commune_changed_since() -> None:
    same_geography([on(2023)], [BORDEAUX])
    with pytest.raises(InputError, match="69152 into 69149 in 2024"):
        same_geography([on(2023)], [BORDEAUX, OULLINS])
    with pytest.raises(InputError, match="the package knows events from 2023 to 2025"):
        same_geography([on(2020)], [BORDEAUX])
    same_geography([on(2020)], [BORDEAUX], events=())
    with pytest.raises(InputError, match="later than the package's"):
        same_geography([on(2026)], [BORDEAUX])
    # A file that says nothing of its year joins by codes, which must all be there.
    same_geography([SHAPES], [OULLINS])


def test_changes_of_the_territory_are_named_in_a_check() -> None:
    events = (Event("33001", BORDEAUX, 2024), Event("33002", "33003", 2024))
    told = changed_since(2023, [BORDEAUX], events=events, where="test")
    assert told == [f"33001 into {BORDEAUX} in 2024"]
    assert geography(told).status == "warn"
    assert f"33001 into {BORDEAUX}" in geography(told).sentence_fr
    assert geography([]).status == "pass"


def test_a_merger_before_the_events_shows_in_the_population() -> None:
    """Culoz-Béon merged on 1 January 2023, L'Aiguillon in 2022: before the package's events."""
    assert changed_since_margins([BORDEAUX, "33249"]) == []
    culoz, aiguillon = changed_since_margins(["01138", "85001"])
    assert culoz.startswith("01138: population +14%")
    assert aiguillon.startswith("85001: population +32%")
    # Events that reach back to the margins say it better than a population.
    events = (Event("01039", "01138", 2023), Event("85307", "85001", 2022))
    assert changed_since_margins(["01138", "85001"], events=events) == [
        "01039 into 01138 in 2023",
        "85307 into 85001 in 2022",
    ]
    # Known to the package: named once, by its event.
    assert changed_since_margins([OULLINS]) == ["69152 into 69149 in 2024"]


def test_the_package_has_a_shape_for_every_commune_that_merged_since_2023() -> None:
    """Its shapes of metropolises are those of today's communes: no shape of a commune that went."""
    shapes = {f["properties"]["geo"] for f in catalogue.features(COMMUNES)[0]["features"]}
    assert OULLINS in shapes
    assert not shapes & {event.before for event in shipped_events() if event.before != event.after}


def test_a_study_that_mixes_vintages_stops_before_any_frame(tmp_path: Path) -> None:
    path = new_study("200046977", out=tmp_path / "lyon.toml")
    collection = {"type": "FeatureCollection", "features": geometry([OULLINS])["features"]}
    (tmp_path / "shapes.geojson").write_text(json.dumps(collection))
    keys = 'geojson = "shapes.geojson"\ngeojson_year = 2023\n\n[frame]'
    path.write_text(path.read_text().replace("[frame]", keys, 1))
    with pytest.raises(InputError, match="communes of the territory changed"):
        frames_of(load_study(path))
    base = "CODGEO,P18_POP,P18_POPH,P18_POPF\n69149,10,5,5\n"
    (tmp_path / "base-cc-evol-struct-pop-2018.csv").write_text(base)
    keys = '[frame]\nimports = ["base-cc-evol-struct-pop-2018.csv"]'
    path = new_study("200046977", out=tmp_path / "census.toml")
    path.write_text(path.read_text().replace("[frame]", keys, 1))
    with pytest.raises(InputError, match="communes of 2020 to be followed to 2025"):
        frames_of(load_study(path))
