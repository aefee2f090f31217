"""A result asked for again is the same, and leaves its generator where it left it."""

from dataclasses import replace

import numpy as np

import inegnum as ing
from inegnum.estimators import readings
from inegnum.estimators.recent import Recent


def test_the_oldest_is_forgotten_and_another_state_is_another_question():
    calls = []

    def ask(recent, key, seed):
        rng = np.random.default_rng(seed)
        value = recent.get(key, rng, lambda: calls.append((key, seed)) or rng.normal())
        return value, rng.normal()

    recent = Recent(2)
    first = ask(recent, "a", 1)
    assert ask(recent, "a", 1) == first
    assert ask(recent, "a", 2) != first
    ask(recent, "b", 1)
    assert ask(recent, "a", 1) == first
    assert calls == [("a", 1), ("a", 2), ("b", 1), ("a", 1)]


def test_a_gradient_found_again_changes_no_draw(monkeypatch):
    france = ing.national_frame(year=2022)
    survey = ing.load_survey("smartphone")
    spec = ing.ModelSpec(waves=(2022,), draws=200)
    # Same earlier waves, another model of the last one: the gradient is found again.
    other = replace(spec, terms=spec.without("region"))
    ing.fit(spec, survey, national=france, seed=3)
    shared = ing.fit(other, survey, national=france, seed=3)
    monkeypatch.setattr(readings, "_GRADIENTS", Recent(4))
    alone = ing.fit(other, survey, national=france, seed=3)
    np.testing.assert_array_equal(shared.coefficients.profile, alone.coefficients.profile)
    np.testing.assert_array_equal(shared.coefficients.urban, alone.coefficients.urban)
