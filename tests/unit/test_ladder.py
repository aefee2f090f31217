import json
from dataclasses import replace

import pytest

from inegnum.errors import InputError
from inegnum.review import validate, worsened, write_page
from inegnum.review.scores import Clustered
from inegnum.review.thresholds import Threshold, judge, judge_clustered, thresholds


def test_every_threshold_has_its_reason_in_both_languages() -> None:
    for name, limit in thresholds().items():
        assert len(limit.reason_en) > 40, name
        assert len(limit.reason_fr) > 40, name


def test_a_figure_outside_its_range_fails_and_names_the_bound() -> None:
    low = judge("c", 0.7, "slope", en="slope", fr="pente")
    assert (low.status, low.limit) == ("fail", 0.8)
    assert judge("c", 1.1, "slope", en="slope", fr="pente").status == "pass"
    assert judge("c", float("nan"), "slope", en="slope", fr="pente").status == "fail"
    assert judge("c", 1.4, "slope", en="slope", fr="pente", miss="warn").status == "warn"


def test_a_coverage_is_judged_by_its_bootstrap_interval() -> None:
    def at(value: float, lower: float, upper: float) -> str:
        share = Clustered(value, lower, upper, 100, 12)
        return judge_clustered("c", share, "coverage_95", en="coverage", fr="couverture").status

    assert at(0.90, 0.86, 0.93) == "pass"
    assert at(0.90, 0.88, 0.915) == "fail"
    assert at(0.995, 0.99, 1.0) == "fail"


def test_an_empty_or_open_threshold_is_refused() -> None:
    with pytest.raises(InputError, match="accepts nothing"):
        Threshold("r", "r", 0.9, 0.1)
    with pytest.raises(InputError, match="accepts everything"):
        Threshold("r", "r")


def test_an_unknown_threshold_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="coverage_95"):
        judge("c", 1.0, "coverage95", en="", fr="")


def test_the_ladder_is_written_for_machines_and_readers(tmp_path) -> None:
    ladder = validate(out=tmp_path, only=(7,), workers=1)
    stored = json.loads((tmp_path / "validation.json").read_text())
    assert stored["status"] == ladder.status == "pass"
    assert stored["rungs"][0]["verdicts"][0]["check"] == "isolation"
    assert len(stored["rungs"][0]["inputs"]["communes"]) == 64
    french = (tmp_path / "validation.html").read_text()
    assert "Aucune des" in french
    assert "http" not in french
    write_page(ladder, tmp_path / "en.html", language="en")
    assert "None of the" in (tmp_path / "en.html").read_text()


def test_a_release_that_hides_a_validation_table_fails(tmp_path) -> None:
    from inegnum.data import catalogue

    kept = catalogue.source("published_figures")
    for name, digest, status in (("mine", kept.sha256, "fail"), ("mine", "0" * 64, "pass")):
        manifest = {"inputs": [{"name": name, "role": "fit", "sha256": digest}]}
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        assert validate(tmp_path, only=(7,)).status == status


def test_only_what_is_worse_than_on_record_worsens(tmp_path) -> None:
    ladder = validate(out=tmp_path, only=(7,), workers=1)
    stored = tmp_path / "validation.json"
    assert worsened(ladder, stored) == ()
    broken = [replace(v, status="fail") for v in ladder.verdicts]
    worse = replace(ladder, rungs=(replace(ladder.rungs[0], verdicts=tuple(broken)),))
    assert [v.check for v in worsened(worse, stored)] == ["isolation"]
    stored.write_text(worse.to_json())
    assert worsened(worse, stored) == ()
    with pytest.raises(InputError, match="same kind"):
        worsened(replace(ladder, level="full"), stored)


def test_what_is_not_a_release_or_a_level_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="not a release"):
        validate(tmp_path, only=(7,))
    with pytest.raises(InputError, match="level"):
        validate(level="fast")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no such rung"):
        validate(only=(99,))
