"""Fusion against the closed form of normals, and on local surveys drawn from a known truth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from inegnum.draws import Draws
from inegnum.errors import InputError, IsolationError, UniverseError
from inegnum.estimators.fusion import LocalSurvey, fuse
from simulated import SOURCE

AREAS = 6


def modelled(S=20_000, seed=0):
    """Areas share a metropolitan deviation of 0.2 and have 0.18 of their own, around 0.9."""
    rng = np.random.default_rng(seed)
    eta = 2.2 + 0.2 * rng.normal(size=(S, 1)) + 0.18 * rng.normal(size=(S, AREAS))
    rates = 1 / (1 + np.exp(-eta))
    persons = np.array([1, 2, 3, 4, 5, 6]) * 1e4
    items = pd.DataFrame(
        {
            "geo": [f"330{i:02d}" for i in range(AREAS)] + ["243300316"],
            "level": ["commune"] * AREAS + ["epci"],
            "indicator": "smartphone",
            "universe": "12+",
            "persons": [*persons, persons.sum()],
        }
    )
    whole = rates @ (persons / persons.sum())
    return Draws(np.column_stack([rates, whole]), items), eta


def survey(rate, n, geos, **options):
    table = pd.DataFrame({"geo": geos, "rate": rate, "n": n})
    return LocalSurvey(table, "smartphone", "12+", SOURCE, **options)


def test_it_is_the_posterior_of_normals():
    """Prior N(m, S), y = theta + b + e: the textbook update, and what it does to other areas."""
    draws, eta = modelled()
    geos = draws.items["geo"].tolist()[:2]
    p = 1 / (1 + np.exp(-2.2))
    found = fuse(draws, survey([p, p], [1e3, 2e3], geos, deff=1.0, offset_sd=0.1), seed=1)
    cov = 0.2**2 + 0.18**2 * np.eye(AREAS)
    H = np.eye(AREAS)[:2]
    V = np.diag([1, 0.5]) / (1e3 * p * (1 - p)) + 0.1**2
    posterior = cov - cov @ H.T @ np.linalg.solve(H @ cov @ H.T + V, H @ cov)
    after = np.log(found.draws.values[:, :AREAS] / (1 - found.draws.values[:, :AREAS]))
    # 20,000 draws: a covariance is known to 1 % of the variances.
    np.testing.assert_allclose(np.cov(after.T), posterior, atol=0.03 * cov[0, 0])
    np.testing.assert_allclose(after.mean(axis=0), 2.2, atol=0.01)
    # An area nobody was asked in learns through the deviation they share, less than the others.
    assert 0.05 < found.share_local[5] < found.share_local[0] < found.share_local[1]
    assert eta.shape == after.shape


def test_the_group_is_the_sum_of_its_updated_areas():
    draws, _ = modelled(2000)
    geos = draws.items["geo"].tolist()[:AREAS]
    found = fuse(draws, survey([0.8] * AREAS, [300] * AREAS, geos), seed=1).draws
    persons = draws.items["persons"].to_numpy()[:AREAS]
    np.testing.assert_allclose(
        found.values[:, AREAS], found.values[:, :AREAS] @ persons / persons.sum()
    )
    assert found.point[AREAS] < draws.point[AREAS] - 0.02


def test_a_commune_where_everybody_says_yes_stays_below_one():
    draws, _ = modelled(2000)
    found = fuse(draws, survey([1.0], [20], ["33000"]), seed=1).draws
    assert draws.point[0] < found.point[0] < 1


def test_intervals_cover_the_truth_that_made_the_survey():
    """Sixty metropolises drawn from the model, each surveyed once: 95 % intervals, 360 areas."""
    draws, _ = modelled(2000)
    rng = np.random.default_rng(3)
    covered = []
    for k in range(60):
        eta = 2.2 + 0.2 * rng.normal() + 0.18 * rng.normal(size=AREAS)
        offset = 0.15 * rng.normal()
        n = np.array([30, 60, 120, 200, 300, 400])
        rate = rng.binomial(n, 1 / (1 + np.exp(-eta - offset))) / n
        geos = draws.items["geo"].tolist()[:AREAS]
        found = fuse(draws, survey(rate, n, geos, deff=1.0), seed=k).draws
        lower, upper = found.interval()
        truth = 1 / (1 + np.exp(-eta))
        covered.append((lower[:AREAS] <= truth) & (truth <= upper[:AREAS]))
    # Areas of a metropolis share its offset, so 360 count for about 150: 0.95 +- 3 x 0.018.
    assert 0.895 <= np.mean(covered) <= 1.0


def test_what_cannot_be_fused_is_refused():
    draws, _ = modelled(500)
    good = survey([0.9], [100], ["33000"])
    with pytest.raises(UniverseError):
        fuse(draws, replace(good, universe="18+"), seed=1)
    with pytest.raises(InputError, match="another indicator"):
        fuse(draws, replace(good, indicator="tablet"), seed=1)
    with pytest.raises(InputError, match="99999"):
        fuse(draws, survey([0.9], [100], ["99999"]), seed=1)
    with pytest.raises(IsolationError):
        fuse(draws, replace(good, source=replace(SOURCE, role="validate")), seed=1)
    for rate, n in ((1.2, 100), (0.9, 0), (float("nan"), 10)):
        with pytest.raises(InputError, match="between 0 and 1"):
            survey([rate], [n], ["33000"])
