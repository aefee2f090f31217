"""Families of indicators on the real survey: what twelve regions say of their correlations."""

from dataclasses import replace

import numpy as np
import pytest

from inegnum.data.survey import load_survey
from inegnum.errors import InputError
from inegnum.estimators.family import answer_correlation, family_effects, free_regions
from inegnum.estimators.spec import ModelSpec


def test_answers_of_one_person_go_together():
    R = answer_correlation(["admin_online", "purchase_online", "barrier_any"])
    assert R[0, 1] > 0.3 > R[0, 2]
    assert (np.diag(R) == 1).all()
    assert np.linalg.eigvalsh(R)[0] > 0
    with pytest.raises(InputError, match="no correlation of answers"):
        answer_correlation(["admin_online", "unknown"])


def test_regions_of_a_family_are_drawn_with_their_correlation():
    codes = ["admin_online", "purchase_online"]
    spec = ModelSpec(points=16)
    found = family_effects(spec, [load_survey(code) for code in codes], seed=1, draws=1000)
    rho = found.correlation()[:, 0, 1]
    # A dozen regions: wide, but the draws are a law of correlations.
    assert -1 < rho.min() < rho.max() < 1
    assert rho.std() > 0.15
    assert found.effects.shape == (1000, 13, 2)
    m, v = free_regions(
        ModelSpec(history=(), points=16), load_survey("admin_online").waves(2020, 2022),
        rng=np.random.default_rng(1),
    )  # fmt: skip
    # Corsica has eight respondents in 2022: its error is the largest.
    assert v.argmax() == 12
    assert np.abs(m[:12]).max() < 1


def test_a_family_without_regions_is_refused():
    spec = ModelSpec(points=16)
    surveys = [load_survey(code) for code in ("admin_online", "purchase_online")]
    with pytest.raises(InputError, match="learned on regions"):
        family_effects(replace(spec, terms=spec.without("region")), surveys, seed=1)
    with pytest.raises(InputError, match="learned on regions"):
        family_effects(replace(spec, waves=(2019,), history=()), surveys, seed=1)
