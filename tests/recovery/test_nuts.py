"""The NUTS engine on a model small enough to be sampled in a test."""

import numpy as np
import pytest
from scipy.special import expit

from inegnum.errors import ConvergenceError
from inegnum.estimators.nuts import sample
from inegnum.numerics.bym2 import bym2_mixing
from inegnum.numerics.gmrf import random_walk_covariance
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Term, build_design

pytestmark = pytest.mark.nuts


def design():
    """Non-integer counts, a block that reaches every row, one that does not, a prior mean."""
    rng = np.random.default_rng(1)
    R = 300
    a, b, g = rng.integers(0, 6, R), rng.integers(-1, 6, R), rng.integers(0, 3, R)
    # Effects well away from zero: sds close to it make a funnel, where the engine refuses.
    eta = np.linspace(-0.9, 0.9, 6)[a] + np.append(np.linspace(-0.8, 0.8, 6), 0.0)[b]
    n = rng.gamma(16.0, 1.0, R)
    y = n * expit(eta + 0.1 * rng.normal(size=R))
    return build_design(
        y,
        n,
        (
            Term("one", np.zeros(R, dtype=np.int64), 1, 1.5, learned=False),
            Term("a", a, 6, 1.0),
            Term("b", b, 6, 1.0, covariance=random_walk_covariance(6)),
            Term("g", g, 3, 1.0, False, 0.04 * np.eye(3), np.array([-0.2, 0.0, 0.2])),
        ),
    )


def test_chains_too_short_are_an_error_not_a_result():
    with pytest.raises(ConvergenceError, match="effective draws"):
        sample(design(), rng=np.random.default_rng(5), draws=40, tune=40)


@pytest.mark.slow
def test_bym2_is_the_same_posterior_by_both_engines():
    """Two components and an island: effects, sd and share, each within its Monte-Carlo error."""
    rng = np.random.default_rng(6)
    K = 15
    W = np.eye(K, k=1) + np.eye(K, k=-1)
    W[8, 9] = W[9, 8] = W[13, 14] = W[14, 13] = 0
    true = np.sin(np.arange(K) / 2) * 0.8
    n = rng.gamma(25.0, 4.0, K)
    y = n * expit(0.3 + true + 0.2 * rng.normal(size=K))
    one = Term("one", np.zeros(K, dtype=np.int64), 1, 1.5, learned=False)
    area = Term("area", np.arange(K), K, 1.0, mixing=bym2_mixing(W))
    model = build_design(y, n, (one, area))
    long = sample(model, rng=np.random.default_rng(7), draws=2000, target_accept=0.99)
    fast = integrate(model, rng=np.random.default_rng(8), points=400)
    effects, hyper = fast.draw(8000, np.random.default_rng(9))
    # Tolerances of the engines' agreement: 0.1 sd on means, 5 % on sds, plus 4 Monte-Carlo errors
    # at the 400 effective draws the sampler guarantees (it is an error below).
    for ours, theirs in ((effects, long.effects), (hyper[:, 1:], long.sds[:, 1:])):
        sd = theirs.std(axis=0)
        gap = np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) / sd
        assert gap.max() < 0.1 + 4 / np.sqrt(400)
        assert np.abs(ours.std(axis=0) / sd - 1).max() < 0.05 + 4 * np.sqrt(0.5 / 400)
