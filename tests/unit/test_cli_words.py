"""Commands that texts tell a reader to type exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from inegnum.cli import app
from inegnum.errors import InputError
from shared import ROOT

TEXTS = [
    ROOT / "README.md",
    ROOT / "src" / "inegnum" / "study" / "template.toml",
    *sorted((ROOT / "docs").glob("*.md")),
]
# In code spans and blocks only: `inegnum run ...`, or a line of a block that starts with it.
TYPED = re.compile(r"(?:`|^)inegnum ([a-z]+)(?: ([a-z]+))?", re.MULTILINE)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_commands_in_texts_exist(path: Path) -> None:
    commands = get_command(app).commands
    for command, word in TYPED.findall(path.read_text(encoding="utf-8")):
        assert command in commands, (path.name, command)
        below = getattr(commands[command], "commands", None)
        if below is not None:
            assert word in below, (path.name, command, word)


@pytest.mark.parametrize(("language", "said"), [("fr", "Connexion"), ("en", "Connection")])
def test_the_registry_is_printed_in_both_languages(language: str, said: str) -> None:
    shown = CliRunner().invoke(app, ["data", "indicators", "--lang", language])
    assert shown.exit_code == 0
    assert "smartphone" in shown.output
    assert said in shown.output


def _shown(*words: str) -> str:
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "100"})
    assert shown.exit_code == 0
    return shown.output


def test_help_is_whole_sentences() -> None:
    for words in ((), ("data",)):
        listed = _shown(*words).partition("Commands:")[2]
        assert listed.strip()
        assert "..." not in listed


def test_a_run_goes_by_its_study_name_unless_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def run_to_folder(study: object, out: Path, **_: object) -> str:
        asked.append(out)
        return "said"

    monkeypatch.setattr("inegnum.study.run_to_folder", run_to_folder)
    made = CliRunner().invoke(
        app, ["new", "--communes", "33249", "--out", str(tmp_path / "mine.toml")]
    )
    assert f"inegnum run {tmp_path / 'mine.toml'}`" in made.output
    shown = CliRunner().invoke(app, ["run", str(tmp_path / "mine.toml")])
    assert shown.exit_code == 0, shown.output
    assert asked == [Path("releases/lormont-2022")]
    assert shown.output.splitlines() == ["said", "releases/lormont-2022/report.html"]
    CliRunner().invoke(app, ["run", str(tmp_path / "mine.toml"), "--out", "there"])
    assert asked[1] == Path("there")


@pytest.mark.parametrize("year", ["2017", "2024"])
def test_a_year_without_populations_is_refused_before_a_study_is_written(
    year: str, tmp_path: Path
) -> None:
    out = tmp_path / "study.toml"
    words = ["new", "--epci", "243300316", "--year", year, "--out", str(out)]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, InputError)
    assert "2018 to 2023" in str(refused.exception)
    assert not out.exists()


def test_rerun_takes_the_folder_and_says_what_it_wants(tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["rerun", str(tmp_path)])
    assert "No such file" in str(refused.exception)
    assert "a folder written by `inegnum run`" in str(refused.exception)
