import numpy as np
import pytest

from inegnum.errors import ProvenanceError
from inegnum.estimators.pseudo_targets import TARGETS, census
from inegnum.review.folds import Runner
from inegnum.review.known_truth_france import fold, shift_to_total, views
from inegnum.review.known_truth_rouen import METHODS, iris_fold, rouen
from inegnum.review.rung_france import france_fold
from inegnum.review.rung_rouen import rouen_rung
from shared import shared_root


def test_a_hidden_region_is_predicted_without_its_truth(monkeypatch) -> None:
    from inegnum.review import rung_france

    honest = france_fold(94, "unemployed", ("modelled", "calibrated", "national"), 1)
    table = census(2018)
    inside = table["region"] == "94"
    wrong = table.assign(
        unemployed=table["unemployed"].where(~inside, table["active"] - table["unemployed"])
    )
    monkeypatch.setattr(rung_france, "census", lambda year: wrong)
    reversed_ = france_fold(94, "unemployed", ("modelled", "calibrated", "national"), 1)
    np.testing.assert_allclose(reversed_["truth"], 1 - honest["truth"], rtol=1e-12)
    np.testing.assert_array_equal(reversed_["est"], honest["est"])
    np.testing.assert_array_equal(reversed_["lower_95"], honest["lower_95"])


def test_no_target_predicts_itself() -> None:
    forbidden = {
        "no_diploma": {"share_no_diploma", "share_higher"},
        "higher": {"share_no_diploma", "share_higher"},
        "unemployed": {"share_unemployed"},
        "retired": set(),
    }
    for target in TARGETS:
        assert not forbidden[target.code] & set(target.context)


def test_learning_on_an_earlier_census_keeps_the_level_of_the_new_one() -> None:
    target = TARGETS[2]
    rows = fold(
        94,
        target,
        census(2018),
        earlier=census(2012),
        methods=("national",),
        surveys=1,
    )
    other = census(2018)[census(2018)["region"] != "94"]
    level = other["unemployed"].sum() / other["active"].sum()
    # The national rate of 2018 outside the region, recentred by its own deviations: within a point.
    assert rows["est"].mean() == pytest.approx(level, abs=0.02)


def test_the_anchor_reproduces_the_total() -> None:
    from inegnum.estimators.ecological import CategoryRates

    areas = views(census(2018), TARGETS[0])["full"]
    coefficients = CategoryRates().fit(areas) - 0.3
    shift = shift_to_total(areas, CategoryRates(), coefficients)
    logits, shares = CategoryRates().logits(areas, coefficients)
    rates = (shares / (1 + np.exp(-logits - shift))).sum(axis=1)
    # Newton's own tolerance.
    assert np.average(rates, weights=areas.persons) == pytest.approx(
        np.average(areas.y, weights=areas.persons), abs=1e-9
    )


def test_without_its_persons_rung_1_says_so(monkeypatch) -> None:
    monkeypatch.delenv("INEGNUM_SHARED", raising=False)
    found = rouen_rung(Runner(quiet=True), "quick")
    assert [v.status for v in found.verdicts] == ["warn"]
    assert "do not come with the package" in found.verdicts[0].sentence_en
    rouen.cache_clear()
    with pytest.raises(ProvenanceError, match="not here"):
        rouen()


@pytest.mark.shared
def test_an_iris_is_estimated_from_the_others(monkeypatch) -> None:
    monkeypatch.setenv("INEGNUM_SHARED", str(shared_root()))
    rouen.cache_clear()
    data = rouen()
    assert data.N.shape == (38, 10)
    # The census says 19.5 % retired over 39 IRIS; shares of the 38 kept average close to it.
    assert np.average(data.truth[:, 0], weights=data.N.sum(axis=1)) == pytest.approx(
        0.195, abs=0.01
    )
    rows = iris_fold(3, 800, 1)
    assert set(rows["method"]) == set(METHODS)
    width = (rows["upper_95"] - rows["lower_95"]).groupby(rows["method"]).mean()
    assert width["mrp_no_tau"] < 0.6 * width["mrp"]
    again = iris_fold(3, 800, 1)
    np.testing.assert_array_equal(rows["est"], again["est"])
