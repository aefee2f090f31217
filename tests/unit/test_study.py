"""Study files: what is refused, and what the message says."""

from __future__ import annotations

from pathlib import Path

import pytest

from inegnum.errors import InputError
from inegnum.study.spec import load_study, parse_study

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "models" / "bordeaux-metropole-2022.toml").read_bytes().decode()


def test_the_shipped_study_is_valid_and_its_hash_ignores_layout() -> None:
    study = parse_study(TEXT.encode())
    assert study.territory.epci == "243300316"
    spaced = parse_study(("# a comment\n\n" + TEXT.replace(" = ", "   =   ")).encode())
    assert spaced.sha256() == study.sha256()
    assert (
        parse_study(TEXT.replace("seed = 2022", "seed = 2023").encode()).sha256() != study.sha256()
    )


def test_a_default_written_out_changes_no_hash() -> None:
    study = parse_study(TEXT.encode())
    written = TEXT.replace("[model]\n", "[model]\nsampler = { target_accept = 0.95 }\n")
    assert written != TEXT
    assert parse_study(written.encode()).sha256() == study.sha256()
    careful = written.replace("0.95 }", "0.99 }")
    assert parse_study(careful.encode()).sha256() != study.sha256()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed = ", "sede = ", ["unknown key", "sede", "did you mean seed?"]),
        ("[frame]\n", "[frame]\ndraw = 3\n", ["unknown key", "frame.draw", "did you mean draws?"]),
        ("metro = 0.20", "metro = -1", ["cannot be negative"]),
        ("metro = 0.20", 'metro = "a"', ["model.tau.metro", "a valid number", "'a'"]),
        ("\nyear = 2022", "", ["a key is missing", "year"]),
        ('"smartphone",', '"smartphone", "smartphone",', ["named twice: smartphone"]),
        ('epci = "243300316"', "", ["exactly one of epci, department, communes"]),
        ("[frame]", "[frame", ["not valid TOML", "study.toml"]),
        ("waves = [2020, 2022]", "waves = [2019, 2022]", ["2019"]),
        ('engine = "laplace"', 'engine = "laplac"', ["model.engine", "did you mean laplace?"]),
        ("half_width = [0.03,", "half_width = [0.3,", ["increasing"]),
    ],
)
def test_bad_studies_say_what_where_and_what_to_do(old: str, new: str, words: list[str]) -> None:
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        parse_study(TEXT.replace(old, new, 1).encode(), where="study.toml")
    for word in words:
        assert word in str(caught.value)


def test_truncated_and_missing_files(tmp_path: Path) -> None:
    cut = tmp_path / "cut.toml"
    cut.write_text(TEXT[: TEXT.index('"smartphone"') + 5], encoding="utf-8")
    with pytest.raises(InputError, match="not valid TOML"):
        load_study(cut)
    with pytest.raises(InputError, match="does not exist"):
        load_study(tmp_path / "none.toml")
