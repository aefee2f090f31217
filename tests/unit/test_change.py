"""Changes and families as tables: arithmetic, masking, what a study may ask for."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from inegnum.data.indicators import breaks, indicator
from inegnum.errors import InputError, StudyError
from inegnum.estimates.change import CHANGE_MASKED, change_table
from inegnum.estimates.families import FAMILY_MASKED, family_table
from inegnum.estimates.quality import QualityLimits
from inegnum.estimates.table import AreaDraws
from inegnum.estimators.spec import ModelSpec
from inegnum.study.evidence import spec_for
from inegnum.study.folder import find_study
from inegnum.study.spec import Change
from inegnum.study.together import Changes, family_members

AREAS = pd.DataFrame(
    {
        "geo": ["FR", "T", "a", "b"],
        "level": ["france", "epci", "commune", "commune"],
        "name": ["France", "Whole", "A", "B"],
        "tier": "F3",
        "basis": "model",
        "method": "mrp",
        "n": 0,
    }
)


def draws(code: str, rates: list[float], sd: float = 0.005, *, seed: int = 1) -> AreaDraws:
    rng = np.random.default_rng(seed)
    values = np.asarray(rates) + sd * rng.standard_normal((4000, 4))
    persons = np.full((4000, 4), 5000.0)
    return AreaDraws(indicator(code), AREAS, values, persons, values[:, 0], whole=1)


def test_a_change_is_the_difference_of_joint_draws() -> None:
    before = draws("smartphone", [0.84, 0.88, 0.80, 0.86])
    moved = before.rates + np.array([0.03, 0.02, 0.0, -0.01])
    after = replace(before, rates=moved, national=moved[:, 0])
    table = change_table(before, after, years=(2020, 2022)).set_index("geo")
    # The draws go together, so that the interval of the difference is a point.
    np.testing.assert_allclose(table["change"], [0.03, 0.02, 0.0, -0.01], atol=1e-12)
    np.testing.assert_allclose(table["lower"], table["upper"], atol=1e-12)
    np.testing.assert_allclose(table["after"] - table["before"], table["change"], atol=1e-12)
    assert table["p_up"].tolist()[:2] == [1.0, 1.0]
    assert table.loc["b", "p_up"] == 0.0
    assert table["comparable"].all()
    assert (table["warning_fr"] == "").all()


def test_a_break_is_labelled_on_every_row() -> None:
    before = draws("computer_home", [0.61, 0.65, 0.60, 0.62])
    after = draws("computer_home", [0.89, 0.91, 0.88, 0.90], seed=2)
    crossed = breaks("computer_home", 2020, 2022)
    table = change_table(before, after, years=(2020, 2022), crossed=crossed)
    assert not table["comparable"].any()
    assert table["warning_en"].str.contains("question on computers changed").all()
    assert table["warning_fr"].str.contains("ordinateur").all()


def test_a_rate_masked_in_either_year_masks_its_change_but_not_its_probability() -> None:
    before = draws("smartphone", [0.84, 0.88, 0.80, 0.86])
    wide = before.rates.copy()
    wide[:, 2] = np.clip(0.5 + 0.1 * np.random.default_rng(3).standard_normal(4000), 0, 1)
    for first, last in (
        (replace(before, rates=wide), before),
        (before, replace(before, rates=wide)),
    ):
        table = change_table(first, last, years=(2020, 2022)).set_index("geo")
        assert table["class"].tolist() == ["A", "A", "D", "A"]
        assert table.loc["a", list(CHANGE_MASKED)].isna().all()
        assert 0 < table.loc["a", "p_up"] < 1
        assert table.loc["a", "reason"] == "width"
    few = replace(before, persons=np.tile([1e6, 1e5, 100.0, 1e4], (4000, 1)))
    table = change_table(few, before, years=(2020, 2022)).set_index("geo")
    assert table.loc["a", "reason"] == "few_persons"


def test_changes_of_other_areas_are_refused() -> None:
    one = draws("smartphone", [0.8] * 4)
    other = replace(one, areas=AREAS.assign(geo=["FR", "T", "b", "a"]))
    with pytest.raises(InputError, match="same areas"):
        change_table(one, other, years=(2020, 2022))


def test_a_family_counts_towards_digital_and_against_the_right_reference() -> None:
    up = draws("smartphone", [0.80, 0.85, 0.70, 0.90], 0.0)
    down = draws("barrier_equipment", [0.10, 0.08, 0.20, 0.05], 0.0)
    table = family_table([up, down], year=2022).set_index("geo")
    # a: 10 points under France with a smartphone, 10 more with the barrier.
    np.testing.assert_allclose(table.loc[["T", "a", "b"], "gap"], [0.035, -0.10, 0.075])
    assert table["reference"].to_dict() == {"T": "FR", "a": "T", "b": "T"}
    assert table["less"].tolist() == [0.0, 2.0, 0.0]
    assert table["p_less_favoured"].tolist() == [0.0, 1.0, 0.0]
    assert table["p_less_all"].tolist() == [0.0, 1.0, 0.0]
    assert table["p_less_none"].tolist() == [1.0, 0.0, 1.0]
    assert (table["universe"] == "12+; 18+").all()
    assert (table["members"] == "smartphone barrier_equipment").all()


def test_counts_are_whole_and_wide_families_are_masked() -> None:
    one = draws("smartphone", [0.8, 0.85, 0.85, 0.5], 0.02)
    two = draws("tablet", [0.5, 0.5, 0.5, 0.5], 0.02, seed=5)
    table = family_table([one, two], year=2022).set_index("geo")
    assert set(table[["less_lower", "less_upper"]].to_numpy().ravel()) <= {0.0, 1.0, 2.0}
    assert table.loc["a", "less"] == pytest.approx(1.0, abs=0.05)
    tight = QualityLimits(half_width=(0.001, 0.002, 0.003))
    masked = family_table([one, two], year=2022, limits=tight)
    assert (masked["class"] == "D").all()
    assert masked[list(FAMILY_MASKED)].isna().all().all()
    assert masked["p_less_favoured"].notna().all()


def _changes(change: Change, **model: object) -> Changes:
    study = find_study("bordeaux-metropole-2022")
    study = replace(study, change=change, model=replace(study.model, **model))
    specs = {code: spec_for(study.model, code)[0] for code in study.indicators}
    return Changes.of(study, specs, None)


def test_what_cannot_be_compared_is_named_with_its_reason() -> None:
    found = _changes(Change(2020))
    assert set(found.left) == {"computer_home"}
    assert len(found.kept) == 12
    told = found.told()
    assert told["left_out"]["computer_home"]["fr"].startswith("La question sur l'ordinateur")
    smartphone = told["national"]["smartphone"]
    # The survey's own weighted rates: 84.3 % in 2020, 87.2 % in 2022.
    assert smartphone["as_collected"] == pytest.approx(0.0293, abs=5e-4)
    assert abs(smartphone["telephone_held"] - smartphone["as_collected"]) < 0.01
    assert Changes().told() == {}


@pytest.mark.parametrize(
    ("change", "model", "words"),
    [
        (Change(2020, ("computer_home",)), {}, "cannot be compared"),
        (Change(2019), {}, "no indicator can be compared"),
        (Change(2020, ("smartphone",)), {"year": 2020}, "those of 2020, no later than 2020"),
        (Change(2020), {"waves": (2022,), "history": ()}, "one of the waves pooled"),
    ],
)
def test_comparisons_that_are_refused(change: Change, model: dict, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        _changes(change, **model)


def test_across_breaks_on_demand() -> None:
    found = _changes(Change(2020, ("computer_home",), across_breaks=True))
    assert [one.after for one in found.kept["computer_home"][1]] == [2022]


def test_a_study_asks_for_them_strictly() -> None:
    study = find_study("bordeaux-metropole-2022")
    with pytest.raises(StudyError, match="earlier year"):
        replace(study, change=Change(2022))
    with pytest.raises(StudyError, match="among those of the study"):
        replace(study, change=Change(2020, ("smartfone",)))
    with pytest.raises(StudyError, match="neither changes nor families"):
        replace(find_study("france-2022"), families=True)
    plain = replace(study, change=None, families=False)
    # Asking for neither leaves the hash of a study as it was before they existed.
    assert not {"change", "families"} & set(plain.to_dict())
    assert plain.sha256() != replace(plain, families=True).sha256()


def test_families_are_of_two_indicators_at_least() -> None:
    codes = ("smartphone", "tablet", "fixed_internet")
    assert family_members(codes, (), None) == {"equipment": ["smartphone", "tablet"]}
    assert ModelSpec().waves == (2020, 2022)
