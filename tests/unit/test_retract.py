"""Withdrawn figures: what is refused, what is masked, and what stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from inegnum.data.indicators import indicator
from inegnum.errors import StudyError
from inegnum.estimates.merge import merge_masked
from inegnum.estimates.retract import Retraction, require_known, retracted, without_retracted
from inegnum.estimates.table import MASKED, AreaDraws, combine, tabulate
from inegnum.study.spec import load_study, parse_study

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "bordeaux-metropole-2022.toml"
TABLE = """
[[retractions]]
indicator = "smartphone"
geo = "33063"
date = "2026-11-26"
reason_fr = "Une base de sondage erronée."
reason_en = "A frame found to be wrong."
"""


def _one(geo: str = "b", **changed: str) -> Retraction:
    given = {"reason_fr": "Base erronée.", "reason_en": "Wrong frame.", "date": "2026-11-26"}
    return Retraction("smartphone", geo, **(given | changed))


def _drawn() -> AreaDraws:
    areas = pd.DataFrame(
        {
            "geo": ["FR", "T", *"abcd"],
            "level": ["france", "epci", *["commune"] * 4],
            "name": ["France", "T", *"abcd"],
            "tier": "F3",
            "basis": "model",
            "method": "mrp",
            "n": 0,
        }
    )
    rng = np.random.default_rng(1)
    sd = [0.005, 0.01, 0.01, 0.01, 0.09, 0.09]
    rates = np.clip(0.8 + rng.normal(0, sd, (500, 6)), 0, 1)
    persons = np.tile([9000.0, 4000.0, 1000.0, 1000.0, 1000.0, 1000.0], (500, 1))
    return AreaDraws(indicator("smartphone"), areas, rates, persons, rates[:, 0], whole=1)


def test_a_study_names_what_it_withdraws_and_another_keeps_its_hash() -> None:
    plain = load_study(SHIPPED)
    assert "retractions" not in plain.to_dict()
    study = parse_study(SHIPPED.read_bytes() + TABLE.encode())
    assert study.retractions[0].geo == "33063"
    assert study.to_dict()["retractions"][0]["date"] == "2026-11-26"
    assert study.sha256() != plain.sha256()
    assert replace(study, retractions=()).sha256() == plain.sha256()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2026-11-26", "26/11/2026", "a retraction has a day"),
        ("A frame found to be wrong.", "Wrong", "says why"),
        ('"33063"', '"FR"', "not withdrawn alone"),
    ],
)
def test_a_withdrawal_without_day_or_reason_is_refused(old: str, new: str, message: str) -> None:
    assert old in TABLE
    with pytest.raises(StudyError, match=message):
        parse_study(SHIPPED.read_bytes() + TABLE.replace(old, new).encode())


def test_what_is_not_published_cannot_be_withdrawn() -> None:
    require_known([_one(), _one("*")], ["smartphone"], ["a", "b"])
    with pytest.raises(StudyError, match=r"retractions\[0\].geo"):
        require_known([_one("z")], ["smartphone"], ["a", "b"])
    with pytest.raises(StudyError, match=r"retractions\[0\].indicator"):
        require_known([_one()], ["tablet"], ["a", "b"])
    with pytest.raises(StudyError, match=r"stands twice\n.*\n  got: smartphone, b$"):
        require_known([_one(), _one()], ["smartphone"], ["b"])


def test_the_row_stays_and_its_figures_go() -> None:
    before = combine([_drawn()], (), year=2022)
    after = retracted(before, [_one("b")])
    row = after.row("b", "smartphone")
    assert (row["class"], row["reason"]) == ("D", "retracted")
    assert row[[*MASKED, "p_above_metropolis"]].isna().all()
    others = before.table["geo"] != "b"
    pd.testing.assert_frame_equal(after.table[others], before.table[others])
    assert after.draws is before.draws
    assert retracted(before, []).table is before.table
    everywhere = retracted(before, [_one("*")]).table
    assert set(everywhere["reason"]) == {"retracted"}


def test_a_withdrawn_area_enters_no_sum_of_masked_ones() -> None:
    drawn = _drawn()
    table = tabulate(drawn, year=2022)
    assert merge_masked(drawn, table, year=2022)["members"].tolist() == ["c d"]
    shown = retracted(combine([drawn], (), year=2022), [_one("b")]).table
    assert merge_masked(drawn, shown, year=2022)["members"].tolist() == ["c d"]
    none = retracted(combine([drawn], (), year=2022), [_one("d")]).table
    assert merge_masked(drawn, none, year=2022).empty


def test_what_stands_beside_leaves_with_the_whole() -> None:
    steps = pd.DataFrame({"indicator": ["smartphone", "tablet"], "est": [0.8, 0.5]})
    assert len(without_retracted("decomposition", steps, [_one("b")], "T")) == 2
    assert without_retracted("decomposition", steps, [_one("T")], "T")["est"].tolist() == [0.5]
    assert without_retracted("decomposition", steps, [_one("*")], "T")["est"].tolist() == [0.5]
    others = pd.DataFrame({"indicator": "smartphone", "geo": ["T", "b", None], "est": 0.8})
    kept = without_retracted("variants", others, [_one("b")], "T")
    assert kept["geo"].isna().tolist() == [False, True]
    frame = pd.DataFrame({"geo": ["b"], "margin": ["age"]})
    assert without_retracted("frame_margins", frame, [_one("*")], "T") is frame
