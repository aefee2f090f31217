"""Poststratification against the plain sum, and the shift against its definition."""

import numpy as np
import pytest
from scipy.special import expit

from inegnum.errors import InputError
from inegnum.numerics import poststratify as module
from inegnum.numerics.poststratify import (
    poststratify,
    poststratify_groups,
    recentring,
    shift_to,
)


def problem(S=7, A=3, K=11, F=4):
    rng = np.random.default_rng(5)
    return (
        rng.normal(size=(S, K)),
        rng.normal(size=(S, A)),
        rng.gamma(1.0, 1.0, size=(F, A, K)),
        rng.integers(0, F, S),
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_it_is_the_plain_sum(monkeypatch, compiled):
    monkeypatch.setattr(module, "COMPILED_FROM", 0 if compiled else 10**12)
    b, a, N, f = problem()
    counts, persons = poststratify(b, a, N, frame=f)
    p = expit(b[:, None, :] + a[:, :, None])
    np.testing.assert_allclose(counts, (N[f] * p).sum(axis=2), rtol=1e-12)
    np.testing.assert_allclose(persons, N[f].sum(axis=2))


def test_groups_are_the_plain_sum_over_their_members():
    b, a, N, f = problem()
    members = np.zeros((11, 3))
    members[:4, 0] = members[2:9, 1] = members[:, 2] = 1  # the second overlaps, the third is all
    counts, persons = poststratify_groups(b, a, N, members, frame=f)
    p = expit(b[:, None, :] + a[:, :, None])
    np.testing.assert_allclose(counts, (N[f] * p) @ members, rtol=1e-12)
    np.testing.assert_allclose(persons, N[f] @ members, rtol=1e-12)
    np.testing.assert_allclose(counts[:, :, 2], poststratify(b, a, N, frame=f)[0], rtol=1e-12)


@pytest.mark.parametrize("compiled", [False, True])
def test_it_is_exact_to_a_millionth_of_a_millionth(monkeypatch, compiled):
    """Against long double: 1e-12, a hundred times the rounding of a sum of a thousand terms."""
    monkeypatch.setattr(module, "COMPILED_FROM", 0 if compiled else 10**12)
    rng = np.random.default_rng(8)
    # Two tiles of areas (32 of 1,027 profiles a tile), a rest of three cells, rates from 1e-5 to 1.
    b, a = rng.normal(0, 3, (5, 1027)), rng.normal(0, 1, (5, 45))
    N = rng.gamma(0.7, 1.0, (45, 1027))
    counts, _ = poststratify(b, a, N)
    long = np.longdouble
    for s in range(5):
        rates = 1 / (1 + np.exp(-(b[s].astype(long) + a[s].astype(long)[:, None])))
        exact = (N.astype(long) * rates).sum(axis=1)
        assert np.abs(counts[s] / exact - 1).max() < 1e-12


@pytest.mark.parametrize("compiled", [False, True])
def test_a_missing_logit_is_a_missing_rate(monkeypatch, compiled):
    """Reordered sums must not make a number of what is none."""
    monkeypatch.setattr(module, "COMPILED_FROM", 0 if compiled else 10**12)
    b, a, N, _ = problem()
    b[3, 2] = np.nan
    counts, _ = poststratify(b, a, N[0])
    assert np.isnan(counts[3]).all()
    assert np.isfinite(np.delete(counts, 3, axis=0)).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_extreme_logits_give_zero_and_one(monkeypatch, compiled):
    monkeypatch.setattr(module, "COMPILED_FROM", 0 if compiled else 10**12)
    profile = np.array([[1e4, -1e4, -1e4, -1e4, -1e4]])
    for area in (-1e4, 0.0):
        counts, _ = poststratify(profile, np.array([[area]]), np.array([[2.0, 3, 4, 5, 6]]))
        # The areas' own extreme cancels the profile's: e^80 x e^-80, a rate of one half.
        assert counts[0, 0] == pytest.approx(1.0 if area else 2.0)


def test_several_frames_need_an_assignment():
    b, a, N, _ = problem()
    with pytest.raises(InputError, match="which draw uses which"):
        poststratify(b, a, N)


def test_shift_reproduces_the_target_in_every_draw():
    b, a, N, _ = problem(S=50)
    target = np.random.default_rng(6).uniform(0.05, 0.95, 50)
    shift = shift_to(b, a, N[0], target=target)
    counts, persons = poststratify(b, a + shift[:, None], N[0])
    np.testing.assert_allclose(counts.sum(axis=1) / persons.sum(axis=1), target, atol=1e-10)


@pytest.mark.parametrize("logit", [-3.0, -1.0, 0.0, 2.0, 4.0])
@pytest.mark.parametrize("sd", [0.2, 0.3, 0.6])
def test_deviations_leave_the_mean_where_it_was(logit, sd):
    """Against quadrature: within 0.02 of a point, which no published figure can show."""
    x, w = np.polynomial.hermite_e.hermegauss(60)
    moved = logit + recentring(np.array([[logit]]), np.array([sd**2]))[0, 0]
    kept = (w / w.sum()) @ expit(moved + sd * x)
    assert abs(kept - expit(logit)) < 0.0002
    if logit:  # and it is a correction: without it the mean moves by more
        untreated = (w / w.sum()) @ expit(logit + sd * x)
        assert abs(untreated - expit(logit)) > 10 * abs(kept - expit(logit))
