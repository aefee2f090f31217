"""The graph of a study's communes: which file, from where, and what it does to deviations."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from inegnum.data.types import Frame
from inegnum.estimators.deviations import draw_deviations
from inegnum.estimators.terms import graph
from inegnum.provenance import Source, sha256_file
from inegnum.study.evidence import model_of
from inegnum.study.manifest import given_with
from inegnum.study.spec import files_of, load_study

GEOS = ["01042", "01049", "01052", "01062"]
TEXT = """
name = "row"
title_fr = "Une rangée"
title_en = "A row"
year = 2022
seed = 1
indicators = ["smartphone"]

[territory]
communes = ["01042", "01049", "01052", "01062"]
GEOJSON
[model.tau]
metro = 0.0
log_sd = 0.0
structure = "bym2"
phi = 0.9
AREA
"""


def written(folder: Path, geojson: str, area: str) -> Path:
    """Write a study and, in a folder beside it, four communes in a row that touch."""
    features = [
        {
            "type": "Feature",
            "properties": {"insee": geo, "nom": geo},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[x, 46], [x + 1, 46], [x + 1, 47], [x, 47], [x, 46]]],
            },
        }
        for x, geo in enumerate(GEOS)
    ]
    (folder / "maps").mkdir()
    shapes = {"type": "FeatureCollection", "features": features}
    (folder / "maps" / "row.geojson").write_text(json.dumps(shapes), encoding="utf-8")
    path = folder / "study.toml"
    path.write_text(TEXT.replace("GEOJSON", geojson).replace("AREA", area), encoding="utf-8")
    return path


OWN = 'geojson = "maps/row.geojson"\ngeojson_code = "insee"\n'
AREA = '[model.area]\nshapes = "maps/row.geojson"\nshapes_code = "insee"\n'


def deviations(path: Path) -> np.ndarray:
    model = model_of(load_study(path))
    areas = pd.DataFrame({"geo": GEOS, "level": "commune", "epci": "e"})
    source = Source("s", "p", "t", "12+", "2022", "persons", "none", "0" * 64, "fit")
    frame = Frame.__new__(Frame)
    for name, value in (("areas", areas), ("N", np.ones((4, 1))), ("sources", (source,))):
        object.__setattr__(frame, name, value)
    rng = np.random.default_rng(1)
    drawn, _ = draw_deviations(
        frame, model.tau, 20_000, rng, graph=lambda names: graph(names, model.area)
    )
    return drawn


def test_the_graph_of_a_study_is_that_of_its_own_shapes(tmp_path, monkeypatch):
    path = written(tmp_path, OWN, "")
    monkeypatch.chdir("/")
    drawn = deviations(path)
    R = np.corrcoef(drawn.T)
    # Neighbours in a row resemble each other more than the two ends; 20,000 draws know R to 0.01.
    assert R[0, 1] > R[0, 3] + 0.3
    # Each keeps its sd of 0.18, known to 0.5 %.
    np.testing.assert_allclose(drawn.std(axis=0), 0.18, rtol=0.03)


def test_shapes_of_the_model_are_read_from_where_the_study_stands(tmp_path, monkeypatch):
    path = written(tmp_path, "", AREA)
    monkeypatch.chdir("/")
    study = load_study(path)
    shapes = str(tmp_path / "maps" / "row.geojson")
    assert study.model.area.shapes == shapes
    assert files_of(study) == [shapes]
    # Locked by hash, named without its folder.
    (source,) = given_with(study)
    assert source.sha256 == sha256_file(Path(shapes))
    assert source.name == "row.geojson"
    assert study.to_dict()["model"]["area"]["shapes"] == "row.geojson"
    np.testing.assert_array_equal(graph(GEOS, model_of(study).area), graph(GEOS, study.model.area))
    R = np.corrcoef(deviations(path).T)
    assert R[0, 1] > R[0, 3] + 0.3


def test_without_a_spatial_model_nothing_is_asked_of_the_shapes(tmp_path):
    path = written(tmp_path, OWN, "")
    plain = path.read_text(encoding="utf-8").replace('"bym2"', '"iid"')
    path.write_text(plain, encoding="utf-8")
    assert model_of(load_study(path)).area is None
