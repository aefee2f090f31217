"""Files a study names: tidy ones with their record, communes followed to those of the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from inegnum.data.importers import TIDY_COLUMNS, Imported
from inegnum.data.imports import brought_forward, read_import, reference_year, write_import
from inegnum.data.vintages import Event
from inegnum.errors import InputError, ProvenanceError
from inegnum.provenance import sha256_file


def imported(*rows: tuple[str, float], level: str = "commune", year: int = 2022) -> Imported:
    cell = {"measure": "persons", "group": "", "sex": "", "age_from": 15, "age_to": 120}
    filled = [
        {"geo": geo, "level": level, **cell, "occupation": "", "diploma": "", "sample": "main"}
        | {"value": value}
        for geo, value in rows
    ]
    table = pd.DataFrame(filled)[list(TIDY_COLUMNS)]
    return Imported("population", year, level, table, "base.csv", "0" * 64, notes=("a note",))


def values(file: Imported) -> dict[str, float]:
    return file.table.set_index("geo")["value"].to_dict()


def test_a_tidy_file_comes_back_as_it_was(tmp_path: Path) -> None:
    file = imported(("01004", 12.5), ("2A004", np.nan))
    record = write_import(file, tmp_path / "tidy.csv")
    back = read_import(tmp_path / "tidy.csv")
    pd.testing.assert_frame_equal(back.table, file.table, check_dtype=False)
    assert (back.kind, back.year, back.level) == (file.kind, file.year, file.level)
    # A study locks the tidy file it reads; the note says what that was read from.
    assert back.sha256 == sha256_file(tmp_path / "tidy.csv")
    assert back.notes == (f"Tidied from base.csv, sha256 {'0' * 64}.", "a note")
    (tmp_path / "tidy.csv").write_text((tmp_path / "tidy.csv").read_text().replace("12.5", "13.5"))
    with pytest.raises(ProvenanceError, match="not the one its record describes"):
        read_import(tmp_path / "tidy.csv")
    record.unlink()
    with pytest.raises(InputError, match="lost its record"):
        read_import(tmp_path / "tidy.csv")


def test_what_merged_is_summed_and_what_is_missing_stays_so() -> None:
    # RP2018 is published on the communes of 2020.
    old = imported(("33001", 3.0), ("33002", 4.0), ("33063", 9.0), ("75056", 1.0), year=2018)
    events = (Event("33001", "33002", 2021), Event("33002", "33002", 2021))
    new = brought_forward(old, ["33002", "33063"], events=events)
    assert values(new) == {"33002": 7.0, "33063": 9.0}
    assert "33001 into 33002" in new.notes[-1]
    masked = imported(("33001", np.nan), ("33002", 4.0), year=2018)
    assert np.isnan(values(brought_forward(masked, ["33002"], events=events))["33002"])


def test_a_commune_that_absorbed_another_keeps_no_iris() -> None:
    rows = (("330010101", 3.0), ("330020101", 4.0), ("330020102", 5.0), ("330630101", 9.0))
    old = imported(*rows, level="iris", year=2018)
    new = brought_forward(old, ["33002", "33063"], events=(Event("33001", "33002", 2021),))
    assert values(new) == {"33002": 12.0, "330630101": 9.0}
    assert new.table.set_index("geo")["level"].to_dict() == {
        "33002": "commune",
        "330630101": "iris",
    }


def test_what_cannot_be_followed_is_refused_where_it_matters() -> None:
    old = imported(("33001", 3.0), ("33063", 9.0), year=2018)
    split = (Event("33001", "33001", 2021), Event("33001", "33003", 2021))
    with pytest.raises(InputError, match="33001 split into 33001, 33003"):
        brought_forward(old, ["33003"], events=split)
    assert values(brought_forward(old, ["33063"], events=split))["33063"] == 9.0
    # A successor that is not known could be any commune of the same intercommunality.
    lost = (Event("33001", "", 2021, "243300316"),)
    with pytest.raises(InputError, match="33001: successor not known"):
        brought_forward(old, ["33063"], events=lost)
    elsewhere = (replace(lost[0], epci="200069193"),)
    assert values(brought_forward(old, ["33063"], events=elsewhere)) == {"33063": 9.0}


def test_a_file_older_than_the_events_or_newer_than_the_communes_is_refused() -> None:
    with pytest.raises(InputError, match="communes of 2020 to be followed to 2025"):
        brought_forward(imported(("33063", 1.0), year=2018), ["33063"])
    with pytest.raises(InputError, match="forward in time"):
        brought_forward(imported(("33063", 1.0), year=reference_year()), ["33063"], events=())
    assert values(brought_forward(imported(("33063", 1.0), year=2022), ["33063"])) == {"33063": 1.0}
