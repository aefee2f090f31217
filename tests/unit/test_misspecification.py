import numpy as np
import pandas as pd
import pytest

from inegnum.data.codebook import REGION
from inegnum.data.survey import load_survey
from inegnum.errors import ProvenanceError
from inegnum.review.folds import Runner
from inegnum.review.known_truth_morocco import communes, morocco_rung, sample_fold
from inegnum.review.misspecification import WORLDS, simulated_survey
from shared import shared_root

FLAT = np.zeros(len(REGION.levels))


@pytest.mark.parametrize("world", WORLDS)
def test_a_simulated_survey_keeps_the_real_design(world: str) -> None:
    cells = simulated_survey(world, FLAT, np.random.default_rng(1)).table
    real = load_survey("smartphone").table
    pd.testing.assert_frame_equal(
        cells[["wave", "mode", "n", "w"]], real[["wave", "mode", "n", "w"]]
    )
    assert (cells["y"] <= cells["n"]).all()
    assert cells["wy"].sum() / cells["w"].sum() == pytest.approx(0.82, abs=0.08)


def rate(cells: pd.DataFrame, **keys: object) -> float:
    rows = cells
    for key, value in keys.items():
        rows = rows[rows[key] == value]
    return float(rows["y"].sum() / rows["n"].sum())


def test_worlds_differ_as_they_say() -> None:
    made = {w: simulated_survey(w, FLAT, np.random.default_rng(2)).table for w in WORLDS}
    same, mode, urban = made["as_assumed"], made["mode"], made["urban"]
    assert rate(mode, mode="phone") < rate(same, mode="phone") - 0.15
    assert rate(mode, mode="web") == pytest.approx(rate(same, mode="web"), abs=0.02)
    assert rate(urban, urban="rural", wave=2022) < rate(same, urban="rural", wave=2022)
    old = rate(made["interaction"], urban="rural", age="70+")
    assert old < rate(same, urban="rural", age="70+")


def test_without_its_communes_rung_3_says_so(monkeypatch) -> None:
    monkeypatch.delenv("INEGNUM_SHARED", raising=False)
    communes.cache_clear()
    assert [v.status for v in morocco_rung(Runner(quiet=True), "quick").verdicts] == ["warn"]
    with pytest.raises(ProvenanceError, match="not here"):
        communes()


@pytest.mark.shared
def test_communes_of_morocco_are_estimated_with_and_without_households(monkeypatch) -> None:
    monkeypatch.setenv("INEGNUM_SHARED", str(shared_root()))
    communes.cache_clear()
    table = communes()
    assert len(table) == 1493
    # National share of households with internet: 19.3 % by household, less by commune.
    assert 0.03 < table["truth"].mean() < 0.193
    rows = sample_fold(0)
    rows = rows[rows["method"] == "fay_herriot"]
    hits = (rows["lower_95"] <= rows["truth"]) & (rows["truth"] <= rows["upper_95"])
    # 1,493 communes: binomial error 0.6 point, and shared regression error; the rung judges it.
    assert 0.88 < hits.mean() < 0.99
    width = (rows["upper_95"] - rows["lower_95"]).groupby(rows["sampled"]).mean()
    assert width[True] < width[False]
