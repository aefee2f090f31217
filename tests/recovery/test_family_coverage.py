"""Families whose truth is known: correlations learned on thirteen noisy regions, places beyond.

Covariances are drawn from the prior itself, regions from them, and a place that was not seen: the
rank of the true correlation is uniform, and the interval of the mean deviation over the family
holds the true one as often as it says, which independent indicators would not.
"""

import numpy as np
import pytest
from scipy.stats import invwishart, kstest, norm

from inegnum.numerics.correlated import correlated_effects, correlation_root

pytestmark = pytest.mark.slow
J, REGIONS, DRAWS, REPLICATES = 3, 13, 320, 100
SCALE = np.full(J, 0.3)


def _covariance(rng: np.random.Generator) -> np.ndarray:
    """Draw D: a_j ~ inverse-gamma(1/2, 1/A^2), D | a ~ inverse-Wishart(nu + J - 1, 2 nu / a)."""
    a = 1 / (SCALE**2 * rng.gamma(0.5, 1.0, J))
    return invwishart.rvs(2 + J - 1, 4 * np.diag(1 / a), random_state=rng)


@pytest.fixture(scope="module")
def replicates():
    rng = np.random.default_rng(20220301)
    ranks, inside, blind, truths = [], [], [], []
    error = 0.1 * np.array([[1.0, 0.4, 0.4], [0.4, 1.0, 0.4], [0.4, 0.4, 1.0]]) * 0.1
    for _ in range(REPLICATES):
        D = _covariance(rng)
        sd = np.sqrt(np.diag(D))
        u = rng.multivariate_normal(np.zeros(J), D, REGIONS, method="eigh")
        m = u + rng.multivariate_normal(np.zeros(J), error, REGIONS)
        V = np.tile(error, (REGIONS, 1, 1))
        found = correlated_effects(m, V, scale=SCALE, rng=rng, draws=DRAWS, burn=150)
        R = found.correlation()
        true = D / np.outer(sd, sd)
        # One draw in eight: neighbours of a Gibbs chain resemble each other.
        ranks.append((R[::8, 0, 1] < true[0, 1]).mean())
        # A place not seen. Its sds are known (learned elsewhere, as tau is); R is what is drawn.
        z = rng.standard_normal((DRAWS, J))
        together = np.einsum("sjk,sk->sj", correlation_root(R), z) * sd
        spread = np.sqrt(D.sum()) / J  # of the mean deviation, in truth
        for drawn, kept in ((together, inside), (z * sd, blind)):
            lower, upper = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
            kept.append(norm.cdf(upper / spread) - norm.cdf(lower / spread))
        truths.append(true[np.triu_indices(J, 1)].mean())
    return np.array(ranks), np.array(inside), np.array(blind), np.array(truths)


def test_the_rank_of_the_true_correlation_is_uniform(replicates):
    ranks = replicates[0]
    # 100 ranks of 40 draws: one false alarm in a thousand.
    assert kstest(ranks, "uniform").pvalue > 1e-3


def test_the_mean_of_a_family_is_covered_where_independence_is_not(replicates):
    _, inside, blind, truths = replicates
    # The probability of holding a place of this law, exact for each interval: what varies is the
    # interval, of 320 draws (1 point) of a correlation known to +-0.5 (2 to 5 points).
    print(inside.mean(), blind.mean(), inside[truths > 0.3].mean(), blind[truths > 0.3].mean())
    assert inside.mean() == pytest.approx(0.95, abs=0.02)
    # Indicators that go together: independence says too little, and what regions tell mends it.
    close = truths > 0.3
    assert close.sum() > 10
    assert inside[close].mean() > blind[close].mean() + 0.02
