"""The catalogue gives what its records promise and refuses what changed."""

import shutil
from pathlib import Path

import pytest

from inegnum.data import catalogue
from inegnum.errors import InputError, ProvenanceError
from inegnum.provenance import sha256_bytes

RECORD = """file = "small.csv"
rows = 2

[source]
name = "small"
producer = "P"
title = "T"
universe = "all"
vintage = "2022"
unit = "persons"
licence = "etalab-2.0"
role = "fit"
sha256 = "{digest}"

[[columns]]
name = "geo"
kind = "text"
en = "code"
fr = "code"

[[columns]]
name = "n"
kind = "number"
en = "count"
fr = "effectif"
"""
DATA = b"geo,n\n01004,3\n2A004,\n"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small.csv").write_bytes(DATA)
    (tmp_path / "small.toml").write_text(RECORD.format(digest=sha256_bytes(DATA)))
    return tmp_path


def test_codes_stay_text_and_a_missing_number_is_missing(small: Path) -> None:
    table, source = catalogue.table("small", root=small)
    assert table["geo"].tolist() == ["01004", "2A004"]
    assert table["n"].tolist()[0] == 3.0
    assert table["n"].isna().tolist() == [False, True]
    assert (source.role, source.licence) == ("fit", "etalab-2.0")


def test_a_changed_byte_is_refused_and_reported(small: Path) -> None:
    assert catalogue.verify(root=small) == []
    (small / "small.csv").write_bytes(DATA.replace(b"3", b"4"))
    with pytest.raises(ProvenanceError, match="not the one that was recorded"):
        catalogue.table("small", root=small)
    (finding,) = catalogue.verify(root=small)
    assert finding.problem == "the file changed"


def test_verify_reports_missing_stray_miscounted_and_unreadable(small: Path) -> None:
    (small / "stray.csv").write_bytes(b"a\n1\n")
    record = (small / "small.toml").read_text()
    short = record.replace("rows = 2", "rows = 3").replace('name = "small"', 'name = "short"')
    (small / "short.toml").write_text(short)
    gone = record.replace("small.csv", "gone.csv").replace('name = "small"', 'name = "gone"')
    (small / "gone.toml").write_text(gone)
    (small / "other.toml").write_text(record)
    (small / "bad.toml").write_text("nmae = 'x'\n" + record)
    problems = {finding.name: finding.problem for finding in catalogue.verify(root=small)}
    assert problems["stray.csv"] == "a file without a record"
    assert problems["gone"] == "the file is missing"
    assert problems["short"] == "the number of rows differs"
    assert "not about the table" in problems["other"]
    assert "unknown key" in problems["bad"]
    assert "small" not in problems


def test_unknown_names_and_keys_are_refused_with_the_nearest(small: Path) -> None:
    with pytest.raises(ProvenanceError, match="did you mean small"):
        catalogue.table("smal", root=small)
    text = (small / "small.toml").read_text()
    (small / "small.toml").write_text(text.replace("[source]", "[source]\ntittle = 'x'"))
    with pytest.raises(InputError, match="did you mean title"):
        catalogue.record("small", root=small)
    (small / "small.toml").write_text(text.replace('title = "T"\n', ""))
    with pytest.raises(InputError, match="add title"):
        catalogue.record("small", root=small)
    (small / "small.toml").write_text(text[:100])
    with pytest.raises(InputError, match="not valid TOML"):
        catalogue.record("small", root=small)


def test_the_wrong_columns_are_refused(small: Path) -> None:
    other = b"geo,m\n01004,3\n"
    (small / "small.csv").write_bytes(other)
    (small / "small.toml").write_text(RECORD.format(digest=sha256_bytes(other)))
    with pytest.raises(ProvenanceError, match="columns of its record"):
        catalogue.table("small", root=small)


def test_everything_shipped_is_as_recorded(tmp_path: Path) -> None:
    assert catalogue.verify() == []
    assert {source.name for source in catalogue.sources()} >= {"communes"}
    for known in map(catalogue.record, catalogue.names()):
        assert all((known.source.producer, known.source.title, known.source.licence))
        assert known.source.transformation, known.source.name
        assert len(known.caveats_en) == len(known.caveats_fr)
    copy = tmp_path / "reference"
    shutil.copytree(catalogue.reference_root(), copy)
    with (copy / "communes.parquet").open("ab") as handle:
        handle.write(b"x")
    assert [finding.name for finding in catalogue.verify(root=copy)] == ["communes"]


def test_reference_data_stays_light() -> None:
    size = sum(path.stat().st_size for path in catalogue.reference_root().iterdir())
    # The wheel must stay under 20 MB, code and models included.
    assert size < 15_000_000
