"""Every reference on weighting, calibration, direct estimates and tables is read by some test."""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd
import pytest

from shared import shared

pytestmark = pytest.mark.shared

FAMILIES = (
    "anesrake_",
    "calmar_",
    "emdi_direct",
    "hh_",
    "icarus_",
    "laeken_",
    "mipfp_",
    "regenesees_",
    "sae_direct",
    "sampling_",
    "simpop_",
    "summer_",
    "surveysd_",
    "svy_",
)


def named_in_tests() -> set[str]:
    """Return every string that stands in the code of the golden tests, docstrings left out."""
    found: set[str] = set()
    for file in Path(__file__).parent.glob("test_*.py"):
        if file.name == Path(__file__).name:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in prose
        }
    return found


def test_no_reference_is_forgotten():
    manifest = pd.read_csv(shared("golden", "manifest.csv"))
    targets = manifest[
        manifest["case"].str.startswith(FAMILIES) & ~manifest["kind"].str.startswith("behaviour")
    ]
    assert len(targets) >= 41
    assert sorted(set(targets["case"]) - named_in_tests()) == []
