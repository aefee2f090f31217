"""Commands that texts tell a reader to type exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from inegnum.cli import app
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
