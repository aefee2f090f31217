"""From imported files to frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.data.codebook import profiles
from inegnum.data.frames.imported import imported_joint, imported_margins
from inegnum.data.frames.tiers import refine_frame
from inegnum.data.importers import TIDY_COLUMNS, Imported
from inegnum.errors import InputError

GEO = "33063"
BANDS = ((15, 29), (30, 44), (45, 59), (60, 74), (75, 120))


def _row(value: float, **cell: str | int) -> dict[str, str | int | float]:
    usual = {
        "geo": GEO,
        "level": "commune",
        "measure": "persons",
        "group": "",
        "sex": "",
        "age_from": 0,
        "age_to": 120,
        "occupation": "",
        "diploma": "",
        "sample": "main",
    }
    return {**usual, **cell, "value": value}


def _imported(kind: str, rows: list[dict[str, str | int | float]]) -> Imported:
    table = pd.DataFrame(rows)[list(TIDY_COLUMNS)]
    return Imported(kind, 2021, "commune", table, f"{kind}.csv", "0" * 64)


def _population() -> Imported:
    rows = [_row(260_000.0), _row(36_000.0, age_to=14), _row(120_000.0, age_from=20, age_to=64)]
    for sex, counts in (("women", (40, 29, 22, 18, 12)), ("men", (38, 30, 20, 15, 8))):
        rows += [
            _row(1000.0 * n, sex=sex, age_from=a, age_to=b)
            for n, (a, b) in zip(counts, BANDS, strict=True)
        ]
        rows += [
            _row(1000.0 * n, sex=sex, age_from=15, occupation=f"cs{i}", sample="complementary")
            for i, n in enumerate((0.1, 4, 25, 20, 18, 4, 20, 28), start=1)
        ]
    return _imported("population", rows)


def _diplomas() -> Imported:
    rows = [
        _row(1000.0 * n, group="enrolled", age_from=a, age_to=b)
        for n, (a, b) in zip((7, 35, 5, 3), ((15, 17), (18, 24), (25, 29), (30, 120)), strict=True)
    ]
    rows += [
        _row(1000.0 * n, group="not_enrolled", age_from=15, diploma=d)
        for d, n in (
            ("none", 22),
            ("bepc", 8),
            ("cap_bep", 25),
            ("bac", 29),
            ("bac2", 20),
            ("bac3_4", 30),
            ("bac5", 48),
        )
    ]
    return _imported("diplomas", rows)


def test_population_and_diploma_bases_make_a_frame() -> None:
    areas, margins, sources = imported_margins([_population(), _diplomas()])
    assert areas.to_numpy().tolist() == [[GEO, GEO]]
    assert margins.groupby("margin").size().to_dict() == {
        "sex x age": 10,
        "occupation x sex": 14,
        "schooling and diploma": 8,
        "children": 1,
    }
    assert [source.name for source in sources] == ["population.csv", "diplomas.csv"]
    frame = refine_frame(areas, margins, sources)
    assert frame.areas["tier"].tolist() == ["F2"]
    table = profiles()
    higher = frame.N[0, (table["diploma"] == "higher").to_numpy()].sum()
    adults = frame.N[0, ~table["diploma"].isin(["minor", "student"]).to_numpy()].sum()
    # 98 of 182 thousand no longer enrolled; minors no longer enrolled leave the crossing.
    assert higher / adults == pytest.approx(98 / 182, abs=0.005)
    minors = frame.N[0, (table["age"] == "12-14").to_numpy()].sum()
    assert 0.15 < minors / 36_000 < 0.30


def test_a_suppressed_class_leaves_its_cell_missing() -> None:
    file = _population()
    table = file.table.copy()
    table.loc[(table["occupation"] == "cs1") & (table["sex"] == "men"), "value"] = np.nan
    _, margins, _ = imported_margins(
        [Imported(file.kind, file.year, file.level, table, file.file, file.sha256)]
    )
    own = margins[(margins["occupation"] == "self_employed") & (margins["sex"] == "men")]
    assert own["persons"].isna().tolist() == [True]
    assert margins["persons"].isna().sum() == 1


def test_other_files_are_refused() -> None:
    with pytest.raises(InputError, match="no imported file gives margins"):
        imported_margins([])
    with pytest.raises(InputError, match="no joint of profiles"):
        imported_joint(_population())


def test_the_detail_file_is_the_joint() -> None:
    table = profiles().assign(geo="330630101", level="iris", n=3, N=7.5, N2=19.0)
    file = Imported("detail", 2021, "canton_or_city", table, "FD_INDCVI_2021.csv", "0" * 64)
    joint = imported_joint(file)
    assert joint["persons"].sum() == pytest.approx(7.5 * len(table))
    assert joint["records"].unique().tolist() == [3]
