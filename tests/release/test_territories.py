"""Any territory: from an EPCI code to a release, metropolis or rural intercommunality."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from inegnum.data.areas import load_areas
from inegnum.errors import InputError
from inegnum.release.site import publish
from inegnum.study import load_study, run_to_folder
from inegnum.study.new import new_study

RENNES, LA_ROCHELLE, DOMBES = "243500139", "241700434", "200069193"


def squares(geos: list[str]) -> dict[str, object]:
    """Return one small square an area, in a row: shapes of a territory the package has none for."""
    features = []
    for i, geo in enumerate(geos):
        x, y, side = 5.0 + 0.05 * i, 46.0, 0.04
        ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
        shape = {"type": "Polygon", "coordinates": [ring]}
        features.append(
            {"type": "Feature", "properties": {"insee": geo, "nom": geo}, "geometry": shape}
        )
    return {"type": "FeatureCollection", "features": features}


def shortened(path: Path, geojson: str = "") -> None:
    """Keep one indicator and few draws: what is tested is the way, not the figure."""
    text = path.read_text(encoding="utf-8")
    start, end = text.index("indicators = ["), text.index("[territory]")
    text = text[:start] + 'indicators = ["smartphone"]\n\n' + text[end:]
    text = text.replace("draws = 50", "draws = 6").replace("draws = 2000", "draws = 400")
    text = text.replace("variants = true", "variants = false")
    if geojson:
        shapes = f'geojson = "{geojson}"\ngeojson_code = "insee"\n'
        text = text.replace("[frame]", f"{shapes}\n[frame]", 1)
    path.write_text(text, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("epci", [RENNES, LA_ROCHELLE, DOMBES])
def test_from_a_code_to_a_release(epci: str, tmp_path: Path) -> None:
    path = new_study(epci, out=tmp_path / "study.toml")
    areas = load_areas(epci=epci)
    if epci == DOMBES:
        shapes = squares(list(areas["geo"]))
        (tmp_path / "shapes.geojson").write_text(json.dumps(shapes), encoding="utf-8")
    shortened(path, "shapes.geojson" if epci == DOMBES else "")
    spoken = run_to_folder(load_study(path), tmp_path / "release", language="en")
    assert "people aged 12 and over" in spoken
    table = pd.read_csv(tmp_path / "release" / "estimates.csv", dtype={"geo": str})
    communes = table[table["level"] == "commune"]
    assert sorted(communes["geo"]) == sorted(areas["geo"])
    # Communes under 2,000 inhabitants have no margins of 2018: occupation and regional seeds only.
    tiers = communes.groupby("tier")["geo"].count()
    small = int((areas["population_2018"] < 2000).sum())
    assert tiers.get("F4", 0) >= small > 0
    whole = table[table["level"] == "epci"].iloc[0]
    assert whole["tier"] == ("F4" if epci == DOMBES else "F3")
    assert (tmp_path / "release" / "report.html").stat().st_size > 50_000


@pytest.mark.slow
def test_a_territory_without_shapes_has_no_map_and_the_rest_whole(tmp_path: Path) -> None:
    path = new_study(DOMBES, out=tmp_path / "study.toml")
    shortened(path)
    spoken = run_to_folder(load_study(path), tmp_path / "release", language="en")
    assert "No outlines of these communes" in spoken
    assert not (tmp_path / "release" / "estimates.geojson").exists()
    assert '<svg class="map"' not in (tmp_path / "release" / "report.html").read_text("utf-8")
    site = publish(tmp_path / "release", out=tmp_path / "site")
    for language in ("fr", "en"):
        pages = {page.stem for page in (site / language / "communes").glob("*.html")}
        assert pages == set(load_areas(epci=DOMBES)["geo"])
        front = (site / language / "index.html").read_text("utf-8")
        assert '<svg class="map"' not in front
        assert '<svg class="chart"' in front
    assert not (site / "downloads" / "estimates.geojson").exists()


def test_shapes_that_lack_a_commune_are_refused_before_any_work(tmp_path: Path) -> None:
    path = new_study(DOMBES, out=tmp_path / "study.toml")
    shapes = squares(list(load_areas(epci=DOMBES)["geo"])[1:])
    (tmp_path / "shapes.geojson").write_text(json.dumps(shapes), encoding="utf-8")
    shortened(path, "shapes.geojson")
    with pytest.raises(InputError, match="areas have no shape"):
        run_to_folder(load_study(path), tmp_path / "release")
    assert not (tmp_path / "release").exists()


def test_a_new_study_of_the_metropole_is_the_shipped_one(tmp_path: Path) -> None:
    made = load_study(new_study("243300316", out=tmp_path / "study.toml")).to_dict()
    shipped = Path(__file__).parents[2] / "models" / "bordeaux-metropole-2022.toml"
    known = load_study(shipped).to_dict()
    for own in ("name", "seed", "title_fr", "title_en"):
        made.pop(own)
        known.pop(own)
    assert made == known
