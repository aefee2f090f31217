"""The committed results are whole, follow from today's thresholds, and documents quote them."""

import json
from typing import Any

import pytest

from inegnum.review.markdown import fill
from inegnum.review.record import recorded
from inegnum.review.thresholds import thresholds
from shared import ROOT

FOLDER = ROOT / "docs" / "validation"
METHOD = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem in ("quick", "full"))


def results(level: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{level}.json").read_text(encoding="utf-8"))


def rungs(level: str) -> dict[int, dict[str, Any]]:
    return {rung["number"]: rung for rung in results(level)["rungs"]}


@pytest.mark.parametrize("level", METHOD)
def test_every_rung_of_the_method_was_climbed(level: str) -> None:
    found = rungs(level)
    assert sorted(found) == [1, 2, 3, 4, 5, 6, 7]
    assert results(level)["level"] == level
    assert {"inegnum", "python", "numpy", "scipy", "pandas"} <= set(results(level)["versions"])
    said = [v["sentence_en"] for rung in found.values() for v in rung["verdicts"]]
    assert not [sentence for sentence in said if "Not climbed" in sentence]


@pytest.mark.parametrize("level", METHOD)
@pytest.mark.parametrize(
    ("number", "table", "keys"),
    [
        (1, "rouen", {"method": "mrp"}),
        (1, "rouen", {"method": "margins"}),
        (2, "france", {"method": "modelled", "level": "commune"}),
        (2, "france_size", {}),
        (4, "regions", {"method": "mrp"}),
        (6, "misspecification", {"method": "release"}),
    ],
)
def test_coverage_verdicts_follow_from_the_tables(
    level: str, number: int, table: str, keys: dict[str, str]
) -> None:
    limit = thresholds()["coverage_95"]
    found = rungs(level)
    rows = [
        row
        for row in found[number]["tables"][table]
        if all(row[key] == value for key, value in keys.items())
    ]
    assert rows
    statuses: dict[float, set[str]] = {}
    for verdict in found[number]["verdicts"]:
        statuses.setdefault(round(verdict["found"], 5), set()).add(verdict["status"])
    for row in rows:
        holds = row["coverage_high"] >= limit.low and row["coverage_low"] <= limit.high
        said = statuses[round(row["coverage_95"], 5)]
        assert ("pass" in said) if holds else (said & {"fail", "warn"}), row


@pytest.mark.parametrize("name", ["docs/validation.md", "README.md"])
def test_documents_quote_the_results_on_record(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert fill(text, recorded()) == text, "run tools/validation_tables.py"


@pytest.mark.parametrize("level", METHOD)
def test_the_status_is_that_of_the_worst_check(level: str) -> None:
    found = {v["status"] for rung in rungs(level).values() for v in rung["verdicts"]}
    worst = next(s for s in ("fail", "warn", "pass") if s in found)
    assert results(level)["status"] == worst


def test_every_failure_on_record_is_told() -> None:
    text = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    for rung in recorded()["rungs"]:
        for verdict in rung["verdicts"]:
            if verdict["status"] == "fail":
                assert verdict["sentence_en"] in text
