"""A territory's frame from imported files, with or without IRIS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from inegnum.data.areas import load_areas
from inegnum.data.codebook import profiles
from inegnum.data.frames.build import build_frame
from inegnum.data.frames.levels import communes_of, territory_frame
from inegnum.data.importers import TIDY_COLUMNS, Imported
from inegnum.errors import FrameError

CITY, VILLAGE, OTHER = "33063", "33487", "33522"
BANDS = ((15, 29), (30, 44), (45, 59), (60, 74), (75, 120))


def base(sizes: dict[str, float], year: int = 2022) -> Imported:
    """A population base by IRIS: sex x age and occupation x sex, in proportion of a size."""
    cell = {"level": "iris", "measure": "persons", "group": "", "diploma": ""}
    rows = []
    for geo, size in sizes.items():
        for sex, counts in (("women", (24, 24, 22, 18, 12)), ("men", (26, 26, 22, 17, 9))):
            for n, (first, last) in zip(counts, BANDS, strict=True):
                age = {"age_from": first, "age_to": last, "occupation": "", "sample": "main"}
                rows.append({"geo": geo, **cell, "sex": sex, **age, "value": n * size})
            for i, n in enumerate((1, 4, 20, 18, 17, 12, 14, 14), start=1):
                work = {"age_from": 15, "age_to": 120, "occupation": f"cs{i}"}
                rows.append(
                    {"geo": geo, **cell, "sex": sex, **work, "sample": "complementary"}
                    | {"value": n * size}
                )
    table = pd.DataFrame(rows)[list(TIDY_COLUMNS)]
    names = {geo: f"quartier {geo[-3:]}" for geo in sizes}
    return Imported("population", year, "iris", table, "base-ic.csv", "0" * 64, names=names)


FILE = base({"330630101": 20.0, "330630102": 10.0, "330630103": 0.01, f"{VILLAGE}0000": 4.0})


@pytest.fixture(scope="module")
def areas() -> pd.DataFrame:
    return load_areas(communes=[CITY, VILLAGE, OTHER])


def test_iris_stand_where_they_are_known_and_add_up_to_their_commune(areas: pd.DataFrame) -> None:
    frame = territory_frame(areas, imports=[FILE], iris=True, draws=3, seed=2)
    # A commune of one IRIS (0000) is itself; three persons in an IRIS are too few.
    assert frame.areas["geo"].tolist() == ["330630101", "330630102", VILLAGE, OTHER]
    assert frame.areas["level"].tolist() == ["iris", "iris", "commune", "commune"]
    assert frame.areas["tier"].tolist() == ["F2", "F2", "F2", "F3"]
    assert frame.areas["name"].tolist()[:2] == ["quartier 101", "quartier 102"]
    left_out = frame.report[frame.report["reason"].str.contains("fewer than 10")]
    assert left_out["geo"].tolist() == ["330630103"]
    whole = communes_of(frame)
    assert whole.areas["geo"].tolist() == [CITY, VILLAGE, OTHER]
    assert whole.areas["name"].tolist() == areas["name"].tolist()
    assert whole.areas["tier"].tolist() == ["F2", "F2", "F3"]
    assert whole.N[0] == pytest.approx(frame.N[:2].sum(axis=0))
    assert whole.draws[:, 0] == pytest.approx(frame.draws[:, :2].sum(axis=1))
    # What no file tells is the package's own frame, draw by draw.
    alone = build_frame(areas[areas["geo"] == OTHER], draws=3, seed=2)
    assert whole.draws[:, 2] == pytest.approx(alone.draws[:, 0])
    old = profiles()["age"].isin(["70+"]).to_numpy()
    assert 0.1 < whole.N[0, old].sum() / whole.persons("15+")[0] < 0.2


def test_without_iris_their_margins_add_up_to_communes(areas: pd.DataFrame) -> None:
    frame = territory_frame(areas, imports=[FILE], seed=2)
    assert frame.areas["level"].unique().tolist() == ["commune"]
    assert frame.areas["tier"].tolist() == ["F2", "F2", "F3"]
    assert frame.persons("15+")[0] == pytest.approx(200 * 30.01, rel=1e-6)


def test_a_suppressed_cell_of_an_iris_leaves_its_margin_out_of_the_commune(
    areas: pd.DataFrame,
) -> None:
    table = FILE.table.copy()
    hidden = (table["geo"] == "330630101") & (table["occupation"] == "cs3")
    table.loc[hidden & (table["sex"] == "men"), "value"] = np.nan
    frame = territory_frame(areas, imports=[replace(FILE, table=table)], seed=2)
    report = frame.report[(frame.report["geo"] == CITY) & (frame.report["level"] == "all")]
    assert report["reason"].tolist() == ["left out: a cell is suppressed"]


def test_margins_of_another_census_are_brought_to_the_persons_of_the_year(
    areas: pd.DataFrame,
) -> None:
    """Years without municipal populations: the commune's persons, kept in proportion."""
    frame = territory_frame(areas, imports=[replace(FILE, year=2013)], iris=True, seed=2)
    now = build_frame(areas, seed=2).persons("15+")
    assert communes_of(frame).persons("15+") == pytest.approx(now, rel=1e-3)
    assert frame.persons("15+")[0] / frame.persons("15+")[1] == pytest.approx(2.0, rel=1e-3)


def test_what_gives_no_iris_or_no_commune_is_refused(areas: pd.DataFrame) -> None:
    only = areas[areas["geo"] == OTHER]
    with pytest.raises(FrameError, match="no IRIS of this territory"):
        territory_frame(only, iris=True)
    with pytest.raises(FrameError, match="none of the communes of the territory"):
        territory_frame(only, imports=[FILE])


def test_the_joint_file_gives_f1_grown_to_the_year(areas: pd.DataFrame) -> None:
    table = profiles().assign(geo="330630101", level="iris", n=3, N=7.5, N2=19.0)
    file = Imported("detail", 2021, "canton_or_city", table, "FD_INDCVI_2021.csv", "0" * 64)
    frame = territory_frame(areas, imports=[file], iris=True, draws=2, seed=2)
    assert frame.areas["tier"].tolist() == ["F1", "F4", "F3"]
    city = areas.set_index("geo").loc[CITY]
    growth = city["population_2022"] / city["population_2021"]
    assert frame.N[0].sum() == pytest.approx(7.5 * 294 * growth)
