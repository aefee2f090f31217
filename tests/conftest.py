"""Shared set-up: what is left out is said aloud."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent))
from shared import shared_root

# The same examples each run: a red build is red again on the next machine.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

_left_out: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that need the shared folder when it is absent; in CI that is an error."""
    if shared_root().is_dir():
        return
    needing = [item for item in items if item.get_closest_marker("shared")]
    if needing and os.environ.get("INEGNUM_REQUIRE_SHARED"):
        raise pytest.UsageError(f"{len(needing)} tests need {shared_root()}, which does not exist")
    _left_out.extend(item.nodeid for item in needing)
    config.hook.pytest_deselected(items=needing)
    items[:] = [item for item in items if item not in needing]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was left out because the references are not here."""
    if _left_out:
        terminalreporter.section("left out: these tests need the shared references")
        for nodeid in _left_out:
            terminalreporter.line(nodeid)
