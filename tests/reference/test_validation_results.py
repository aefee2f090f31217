"""The committed results are whole, and their verdicts are those of today's thresholds."""

import json

import pytest

from inegnum.review.thresholds import thresholds
from shared import ROOT

RESULTS = json.loads((ROOT / "docs" / "validation" / "quick.json").read_text(encoding="utf-8"))
RUNGS = {rung["number"]: rung for rung in RESULTS["rungs"]}


def test_every_rung_of_the_method_was_climbed() -> None:
    assert sorted(RUNGS) == [1, 2, 3, 4, 6, 7]
    assert {"inegnum", "python", "numpy", "scipy", "pandas"} <= set(RESULTS["versions"])
    said = [v["sentence_en"] for rung in RUNGS.values() for v in rung["verdicts"]]
    assert not [sentence for sentence in said if "Not climbed" in sentence]


@pytest.mark.parametrize(
    ("number", "table", "keys"),
    [
        (1, "rouen", {"method": "mrp"}),
        (2, "france", {"method": "modelled", "level": "commune"}),
        (2, "france_size", {}),
        (6, "misspecification", {}),
    ],
)
def test_coverage_verdicts_follow_from_the_tables(
    number: int, table: str, keys: dict[str, str]
) -> None:
    limit = thresholds()["coverage_95"]
    rows = [
        row
        for row in RUNGS[number]["tables"][table]
        if all(row[key] == value for key, value in keys.items())
    ]
    assert rows
    by_figure = {round(v["found"], 5): v["status"] for v in RUNGS[number]["verdicts"]}
    for row in rows:
        holds = row["coverage_high"] >= limit.low and row["coverage_low"] <= limit.high
        status = by_figure[round(row["coverage_95"], 5)]
        assert (status == "pass") == holds, row


def test_the_document_quotes_the_results() -> None:
    text = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    for row in RUNGS[2]["tables"]["france"]:
        if row["level"] == "commune" and row["method"] == "modelled":
            low, high = 100 * row["coverage_low"], 100 * row["coverage_high"]
            assert f"{100 * row['coverage_95']:.1f} % [{low:.1f}, {high:.1f}]" in text
    for row in RUNGS[6]["tables"]["misspecification"]:
        assert f"{100 * row['coverage_95']:.1f} %" in text


def test_failures_are_told() -> None:
    text = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    failed = [v for rung in RUNGS.values() for v in rung["verdicts"] if v["status"] == "fail"]
    assert RESULTS["status"] == ("fail" if failed else "warn")
    assert (len(failed) > 0) == ("It fails" in text)
