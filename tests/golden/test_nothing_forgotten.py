"""Every output field of every reference on weighting and direct estimates is read by a test.

A field is read when a test that names its case names the field too, whole or by its parts
(``f"se.{y}"`` and ``"api00"`` name ``se.api00``), or passes a row to a helper that compares all of
R's usual fields. What is not compared stands in `APART`, with its reason.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

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
# Which row is meant, not what was computed.
LABELS: Final = {"Domain", "cds", "hhid", "hid", "i", "id", "ident", "idx", "key", "pid", "term"}
# Helpers that compare every field they find of these.
USUAL: Final = {"estimate", "se", "cv", "ci_l", "ci_u", "deff", "DEff", "var"}
HELPERS: Final = {"same_row": USUAL, "same_by": USUAL}

WHOLE = "an array, compared whole"
POSITION = "read by position: its name is no Python name"
NO_TARGET = "behaviour of a version its authors have since corrected"
DRAWN = "Monte Carlo, beside quantities of the same draws that are compared"
INPUT = "input, used whole"
# What is not named by a test: (case, output) or (case, output, field), and why.
APART: Final[dict[tuple[str, ...], str]] = {
    ("emdi_direct_indicators", "mse_boot_B200", "Poverty_Gap"): DRAWN,
    ("emdi_direct_indicators", "mse_boot_B200", "Gini"): DRAWN,
    ("emdi_direct_indicators", "mse_boot_B200", "Quintile_Share"): DRAWN,
    ("emdi_direct_indicators", "mse_boot_B200", "Quantile_10"): DRAWN,
    ("emdi_direct_indicators", "mse_boot_B200", "Quantile_25"): DRAWN,
    ("emdi_direct_indicators", "mse_boot_B200", "Median"): DRAWN,
    ("emdi_direct_indicators", "mse_boot_B200", "Quantile_75"): DRAWN,
    ("emdi_direct_indicators", "mse_boot_B200", "Quantile_90"): DRAWN,
    ("laeken_boot_calib", "var", "ci_l"): DRAWN,
    ("laeken_boot_calib", "var", "ci_u"): DRAWN,
    ("mipfp_2d_3d", "seed3"): WHOLE,
    ("mipfp_2d_3d", "target_v1"): WHOLE,
    ("mipfp_2d_3d", "target_v23"): WHOLE,
    ("mipfp_2d_3d", "xhat2"): WHOLE,
    ("mipfp_2d_3d", "xhat3"): WHOLE,
    ("mipfp_inconsistent_margins", "result"): WHOLE,
    ("regenesees_household_logit", "mean_dom_pop02", "Mean.income"): POSITION,
    ("regenesees_household_logit", "mean_dom_pop02", "SE.Mean.income"): POSITION,
    ("regenesees_household_logit", "mean_dom_pop02", "CV.Mean.income"): POSITION,
    (
        "sampling_calib_belgian",
        "sample_and_g",
        "y",
    ): "a variable of interest nothing is computed of",
    ("sampling_calib_small_doc", "g", "X1"): INPUT,
    ("sampling_calib_small_doc", "g", "X2"): INPUT,
    ("simpop_ipu", "input"): INPUT,
    ("summer_getDirect", "direct", "logit.est"): POSITION,
    ("summer_getDirect", "direct", "var.est"): POSITION,
    ("summer_getDirect", "direct", "survey"): "empty: one survey",
    ("summer_getDirect", "direct", "logit.prec"): "the inverse of var.est",
    ("svy_calib_force_infeasible", "achieved", "cv"): "of weights that meet no margin",
    ("svy_calib_force_infeasible", "achieved", "ci_l"): "of weights that meet no margin",
    ("svy_calib_force_infeasible", "achieved", "ci_u"): "of weights that meet no margin",
    ("svy_clus1_domains", "vcov"): WHOLE,
    ("svy_clus2_twostage", "misc", "degf"): "the first value of its table",
    ("svy_lonely_psu", "result"): NO_TARGET,
    ("svy_quantile", "intervals", "ci.2.5"): POSITION,
    ("svy_quantile", "intervals", "ci.97.5"): POSITION,
    ("svy_rep_bootstrap", "boot_w"): WHOLE,
    ("svy_rep_bootstrap", "subboot_w"): WHOLE,
    ("svy_rep_jk1_jkn", "jk1_repweights"): WHOLE,
    ("svy_strat_base", "misc", "degf"): "the first value of its table",
    ("svy_trimweights", "mean_strict"): NO_TARGET,
}


@cache
def names_by_function() -> list[set[str]]:
    """Return the names that stand in each golden test: strings, their parts, attributes."""
    found = []
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        if file.name == Path(__file__).name:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        constants = {
            node.targets[0].id: names_in(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for function in tree.body:
            if isinstance(function, ast.FunctionDef):
                own = names_in(function)
                used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
                for name in used:
                    own |= constants.get(name, set()) | HELPERS.get(name, set())
                found.append(own)
    return found


def names_in(tree: ast.AST) -> set[str]:
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            text = node.value.removeprefix("expected_").removesuffix(".csv")
            found |= {text, text.strip("._")}
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return found


def is_named(name: str, among: set[str]) -> bool:
    """Return whether a name stands there, whole or in two parts."""
    cuts = [(name[: m.start()], name[m.end() :]) for m in re.finditer(r"[._]", name)]
    return name in among or any(a in among and b in among for a, b in cuts)


@cache
def references() -> pd.DataFrame:
    manifest = pd.read_csv(shared("golden", "manifest.csv"))
    return manifest[manifest["case"].str.startswith(FAMILIES)]


def outputs_of(case: str) -> dict[str, list[str]]:
    """Return the fields of every output of a reference; keys where it is a list of values."""
    out = {}
    for file in sorted(shared("golden", case).glob("expected_*.csv")):
        table = pd.read_csv(file)
        listed = list(table.columns) == ["key", "value"]
        fields = table["key"] if listed else table.columns
        out[file.stem.removeprefix("expected_")] = [str(f) for f in fields if f not in LABELS]
    return out


def names_near(case: str) -> set[str]:
    """Return the names in tests that name the case."""
    return set().union(*(own for own in names_by_function() if case in own))


def test_no_reference_is_forgotten():
    targets = references()
    assert len(targets) >= 43
    assert [case for case in targets["case"] if not names_near(case)] == []


def test_no_output_field_is_forgotten():
    unread = []
    for case in references()["case"]:
        near = names_near(case)
        for output, fields in outputs_of(case).items():
            if (case, output) in APART:
                continue
            if not is_named(output, near):
                unread.append((case, output))
            unread += [
                (case, output, field)
                for field in fields
                if not is_named(field, near) and (case, output, field) not in APART
            ]
    assert unread == []


def test_what_stands_apart_exists_and_is_not_named():
    stale = []
    for case, output, *field in APART:
        outputs = outputs_of(case)
        if output not in outputs or not set(field) <= set(outputs[output]):
            stale.append((case, output, *field))
    assert stale == []


def test_a_field_nobody_names_is_seen():
    near = {"api00", "se", "mean"}
    assert is_named("se.api00", near)
    assert is_named("mean", near)
    assert not is_named("se.api99", near)
    assert not is_named("gmin", near)
