import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from inegnum.errors import InputError
from inegnum.review.scores import (
    clustered_share,
    interval_columns,
    interval_score,
    normal_log_score,
    point_scores,
    summarise,
)


def test_interval_score_charges_width_and_distance() -> None:
    lower, upper = np.array([0.2, 0.2, 0.2]), np.array([0.4, 0.4, 0.4])
    found = interval_score(lower, upper, np.array([0.3, 0.1, 0.5]), 0.8)
    np.testing.assert_allclose(found, [0.2, 0.2 + 10 * 0.1, 0.2 + 10 * 0.1])


def test_interval_score_is_proper() -> None:
    # Among central intervals of a normal law, the true 95 % one has the lowest expected score.
    truth = np.random.default_rng(1).standard_normal(200_000)
    scores = [
        interval_score(np.full(truth.shape, -z), np.full(truth.shape, z), truth).mean()
        for z in (1.4, 1.96, 2.8)
    ]
    assert scores[1] == min(scores)


def test_interval_score_refuses_crossed_bounds() -> None:
    with pytest.raises(InputError, match="wrong order"):
        interval_score(np.array([0.5]), np.array([0.4]), np.array([0.4]))


def test_normal_log_score_is_minus_the_log_density() -> None:
    center, sd, truth = np.array([0.0, 1.0]), np.array([1.0, 0.5]), np.array([0.3, 0.1])
    np.testing.assert_allclose(
        normal_log_score(center, sd, truth), -norm.logpdf(truth, center, sd), rtol=1e-12
    )


def test_clusters_that_agree_widen_the_interval() -> None:
    # Ten regions of fifty areas that all hit or all miss: ten observations, not five hundred.
    together = np.repeat(np.arange(10) < 8, 50)
    apart = np.tile(np.arange(50) < 40, 10)
    regions = np.repeat(np.arange(10), 50).astype(object)
    a, b = clustered_share(together, regions), clustered_share(apart, regions)
    assert a.value == b.value == 0.8
    assert a.upper - a.lower > 0.3
    assert b.upper - b.lower < 1e-12


def test_a_share_of_all_or_none_keeps_the_exact_bound() -> None:
    clusters = np.repeat(np.arange(38), 2).astype(object)
    everyone = clustered_share(np.ones(76, dtype=bool), clusters)
    # 38 of 38: the rate that would give that once in forty.
    assert everyone.lower**38 == pytest.approx(0.025)
    assert everyone.upper == 1.0
    nobody = clustered_share(np.zeros(76, dtype=bool), clusters)
    assert nobody.upper == pytest.approx(1 - everyone.lower)
    assert nobody.lower == 0.0


def test_clustered_share_is_that_of_areas_not_of_clusters() -> None:
    hits = np.array([True] * 9 + [False])
    found = clustered_share(hits, np.array(["a"] * 9 + ["b"], dtype=object))
    assert found.value == pytest.approx(0.9)
    assert found.clusters == 2


def test_bootstrap_resamples_whole_clusters() -> None:
    rng = np.random.default_rng(4)
    clusters = rng.integers(0, 9, 200).astype(object)
    hits = (
        rng.random(200)
        < np.array([0.2, 0.9, 1.0, 0.5, 0.7, 0.8, 0.3, 0.95, 0.6])[clusters.astype(int)]
    )
    picks = np.random.default_rng(11).multinomial(9, np.full(9, 1 / 9), size=300)
    by_hand = [
        np.concatenate([np.tile(hits[clusters == c], k) for c, k in enumerate(pick)]).mean()
        for pick in picks
    ]
    found = clustered_share(hits, clusters, seed=11, replicates=300)
    # Same picks, same areas: rounding only.
    np.testing.assert_allclose(
        [found.lower, found.upper], np.quantile(by_hand, [0.025, 0.975]), rtol=1e-12
    )


def test_point_scores_on_a_shrunk_estimate() -> None:
    truth = np.linspace(0.1, 0.5, 21)
    est = 0.3 + 0.5 * (truth - 0.3) + 0.02
    found = point_scores(est, truth)
    assert found["bias"] == pytest.approx(0.02)
    assert found["variance_ratio"] == pytest.approx(0.25)
    assert found["slope"] == pytest.approx(2.0)
    assert found["rank_correlation"] == pytest.approx(1.0)


def test_equal_estimates_have_no_rank_nor_slope() -> None:
    found = point_scores(np.full(5, 0.3), np.linspace(0.1, 0.5, 5))
    assert np.isnan(found["rank_correlation"])
    assert np.isnan(found["slope"])


def test_summary_of_calibrated_draws() -> None:
    rng = np.random.default_rng(2)
    center = rng.normal(0.5, 0.05, 4000)
    truth = center + rng.normal(0, 0.03, 4000)
    draws = center + rng.normal(0, 0.03, (400, 4000))
    table = pd.DataFrame(interval_columns(draws)).assign(
        truth=truth, cluster=np.arange(4000) % 13, log_score=0.0
    )
    found = summarise(table)
    # Binomial error of 4,000 intervals: 0.8 point at 50 %, 0.35 at 95 %; three of each.
    assert found["coverage_50"] == pytest.approx(0.5, abs=0.025)
    assert found["coverage_95"] == pytest.approx(0.95, abs=0.012)
    assert found["coverage_low"] < found["coverage_95"] < found["coverage_high"]
    assert found["width_95"] == pytest.approx(2 * 1.96 * 0.03, rel=0.02)
