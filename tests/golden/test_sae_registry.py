"""Every reference case of the small-area families is exercised by a named test.

A case of the manifest that no test mentions, or a test that no longer exists, is red here. What a
case cannot give is said in the test that reads it: `emdi_fh_amrl_yl` (the reference stops at its
bound), `emdi_fh_arcsin_naive_wj` (a scalar for a matrix), `emdi_fh_ybarra_lohr` (a dropped
eigenvalue), `rsae_landsat_robust` (weights applied once a covariate), `saeprop_multinomial` (two
iterations taken for convergence). `emdi_ebp_*_mse` hold areas without sample, where the reference
draws their effect twice.
"""

from __future__ import annotations

import ast
import csv
import re
from pathlib import Path

import pytest

from shared import shared

pytestmark = pytest.mark.shared

HERE = Path(__file__).parent
FAMILIES = (
    "sae_", "emdi_fh", "emdi_ebp", "emdi_benchmark", "hbsae", "mcmcsae", "josae", "lme_", "rsae_",
    "saerobust", "saeprop", "tipsae", "rstanarm_lmer",
)  # fmt: skip
# Read by tests of another family: the direct indicators of emdi by the calibration tests.
MODULES = (
    "area_extensions", "benchmark", "composite", "composition", "ebp", "fay_herriot",
    "fay_herriot_bayes", "rate", "spatial", "unit_bhf", "unit_robust",
)  # fmt: skip


def cases() -> list[str]:
    with shared("golden", "manifest.csv").open(encoding="utf-8") as handle:
        rows = [r for r in csv.DictReader(handle) if r["kind"] != "behaviour"]
    return [r["case"] for r in rows if r["case"].startswith(FAMILIES)]


def mentions(function: ast.FunctionDef, shared_constants: dict[str, set[str]]) -> set[str]:
    """Whole names, those in constants of the module it uses, and f-strings its strings complete."""
    own = {n.value for n in ast.walk(function) if _text(n)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            own |= shared_constants.get(node.id, set())
    found = set(own)
    for node in ast.walk(function):
        if isinstance(node, ast.JoinedStr):
            pattern = "".join(
                re.escape(part.value) if isinstance(part, ast.Constant) else "(.+)"
                for part in node.values
            )
            for name in cases():
                match = re.fullmatch(pattern, name)
                if match and all(group in own for group in match.groups()):
                    found.add(name)
    return found


def _text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def reached(module: str) -> dict[str, set[str]]:
    """Names each test of a module mentions, itself or through the helpers it calls."""
    tree = ast.parse((HERE / f"test_{module}_golden.py").read_text(encoding="utf-8"))
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    constants = {
        target.id: {n.value for n in ast.walk(node.value) if _text(n)}
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    direct = {name: mentions(node, constants) for name, node in functions.items()}
    result = {}
    for name, node in functions.items():
        if name.startswith("test_"):
            called = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & set(functions)
            deeper = {
                n.id for c in called for n in ast.walk(functions[c]) if isinstance(n, ast.Name)
            } & set(functions)
            result[name] = set().union(direct[name], *(direct[c] for c in called | deeper))
    return result


def test_every_case_is_exercised_by_a_test() -> None:
    wanted = set(cases())
    assert len(wanted) > 30
    by_case: dict[str, list[str]] = {name: [] for name in wanted}
    for module in MODULES:
        for test, names in reached(module).items():
            for name in names & wanted:
                by_case[name].append(f"{module}.{test}")
    forgotten = sorted(name for name, tests in by_case.items() if not tests)
    assert forgotten == []
