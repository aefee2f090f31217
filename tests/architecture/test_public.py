"""Every public name exists, is documented, and is what the type checker is told."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import inegnum

SOURCE = Path(inegnum.__file__)


@pytest.mark.parametrize("name", inegnum.__all__)
def test_public_names_load_and_show_an_example(name: str) -> None:
    value = getattr(inegnum, name)
    # `make test` runs the example as a doctest.
    assert ">>> " in (inspect.getdoc(value) or ""), f"{name} has no runnable example"


def test_the_type_checker_is_told_the_same_names() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {
        (node.module, alias.asname)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == {(f"inegnum.{module}", name) for name, module in inegnum._WHERE.items()}


def test_modules_stay_readable() -> None:
    """No module over 400 lines."""
    long = {
        str(path.relative_to(SOURCE.parent)): count
        for path in SOURCE.parent.rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long
