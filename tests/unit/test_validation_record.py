"""What is on record about the method: in releases, and in the documents that quote it."""

import pytest

from inegnum.errors import InputError
from inegnum.review.markdown import fill
from inegnum.review.record import indicator_verdicts, method_verdicts


def regions(inside: float) -> list[dict[str, object]]:
    row = {"judge": "published", "indicator": "smartphone", "n": 12.0}
    return [
        row | {"method": "mrp", "coverage_95": inside / 12, "interval_score": 0.3},
        row | {"method": "national", "coverage_95": 1.0, "interval_score": 0.2},
        row | {"judge": "even", "method": "mrp", "coverage_95": 0.0, "interval_score": 9.0},
    ]


def results(status: str = "fail", inside: float = 11) -> dict[str, object]:
    verdict = {"check": "a", "status": status, "sentence_en": "Too wide.", "sentence_fr": "Large."}
    rung = {"number": 4, "code": "leave-one-region-out", "verdicts": [verdict, verdict]}
    return {
        "date": "2026-01-02",
        "level": "full",
        "status": status,
        "versions": {"numpy": "2"},
        "rungs": [rung | {"tables": {"regions_indicator": regions(inside)}}],
    }


def test_a_release_says_which_rung_of_its_method_fails() -> None:
    (failed,) = method_verdicts(results())
    assert (failed.check, failed.status, failed.found) == (
        "method/leave-one-region-out",
        "warn",
        2.0,
    )
    assert "Too wide." in failed.sentence_en
    assert "Large." in failed.sentence_fr
    (held,) = method_verdicts(results("pass"))
    assert held.status == "pass"
    assert method_verdicts({}) == ()


def test_an_indicator_says_how_its_regions_were_predicted() -> None:
    (found,) = indicator_verdicts(results(inside=11), "smartphone")
    assert (found.status, found.found) == ("pass", 11.0)
    assert "11 of 12" in found.sentence_en
    assert "1.50 times" in found.sentence_en
    assert "1,50 fois" in found.sentence_fr
    assert indicator_verdicts(results(inside=9), "smartphone")[0].status == "warn"
    assert indicator_verdicts(results(), "tablet") == ()


def test_blocks_are_written_and_nothing_else_is() -> None:
    text = "before\n<!-- results: summary -->\nstale words\n<!-- end -->\nafter\n"
    once = fill(text, results())
    assert "stale words" not in once
    assert "**fails**, rung 4: Too wide." in once
    assert once.startswith("before\n")
    assert once.endswith("<!-- end -->\nafter\n")
    assert fill(once, results()) == once


def test_an_unknown_block_or_a_missing_table_is_refused() -> None:
    with pytest.raises(InputError, match="no such block"):
        fill("<!-- results: rowen -->\n<!-- end -->", results())
    with pytest.raises(InputError, match="lack a table"):
        fill("<!-- results: rouen -->\n<!-- end -->", results())
