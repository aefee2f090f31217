"""Simulation-based calibration of both engines on rates.

Parameters are drawn from the prior and integer answers from them; the rank of each true rate among
posterior draws must be uniform (Talts et al. 2018, arXiv:1804.06788). Uniformity is judged by
simultaneous bands of the empirical distribution (Säilynoja, Bürkner & Vehtari 2022,
doi:10.1007/s11222-022-10090-6), Bonferroni over quantities.
"""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom
from threadpoolctl import threadpool_limits

from inegnum.errors import ConvergenceError
from inegnum.numerics.gmrf import random_walk_covariance
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Term, build_design

RANKS = 99
NAMES = ("metropolis", "commune", "unsampled commune", "difference")
AREAS, PEOPLE = 20, 400


def layout():
    """Return age, job and area of 400 people (none in area 0), then of one person an area."""
    rng = np.random.default_rng(5)
    area = np.concatenate([rng.integers(1, AREAS, PEOPLE), np.arange(AREAS)])
    age = np.concatenate([rng.integers(0, 5, PEOPLE), np.full(AREAS, 2)])
    job = np.concatenate([rng.integers(0, 6, PEOPLE), np.full(AREAS, 1)])
    one = np.zeros(PEOPLE + AREAS, dtype=np.int64)
    return (
        Term("one", one, 1, 1.0, learned=False),
        Term("age", age, 5, 0.7, covariance=random_walk_covariance(5)),
        Term("job", job, 6, 0.5),
        Term("area", area, AREAS, 0.5),
    )


def quantities(eta):
    """Return the four rates, from linear predictors of the areas in the last axis."""
    p = expit(eta)
    return np.stack([p.mean(axis=-1), p[..., 1], p[..., 0], p[..., 2] - p[..., 3]], axis=-1)


def fast(design, rng):
    """Draw the effects by the nested Laplace, at the support points a fit has by default."""
    return integrate(design, rng=rng, points=32).draw(RANKS, rng)[0]


def sampled(design, rng):
    """Draw the effects by NUTS, chains long enough for its own limits.

    A replicate that misses them is sampled again as the error says; leaving it out would leave out
    the hardest posteriors.
    """
    from inegnum.estimators.nuts import sample

    try:
        found = sample(design, rng=rng)
    except ConvergenceError:
        found = sample(design, rng=rng, draws=4000, target_accept=0.99)
    return found.draw(RANKS, rng)[0]


def rank(seed, draw=fast, distort=1.0):
    """Return the ranks of one replicate; `distort` spoils the posterior on purpose."""
    rng = np.random.default_rng(seed)
    terms = layout()
    eta = np.zeros(PEOPLE + AREAS)
    for term in terms:
        sd = term.scale * abs(rng.standard_normal()) if term.learned else term.scale
        S = term.covariance if term.covariance.size else np.eye(term.size)
        eta += sd * (np.linalg.cholesky(S) @ rng.standard_normal(term.size))[term.index]
    n = np.concatenate([np.ones(PEOPLE), np.zeros(AREAS)])
    y = n * (rng.random(len(n)) < expit(eta))
    design = build_design(y, n, terms)
    effects = draw(design, rng)
    drawn = quantities((design.X @ effects.T).T[:, PEOPLE:])
    drawn = drawn.mean(axis=0) + distort * (drawn - drawn.mean(axis=0))
    return (drawn < quantities(eta[PEOPLE:])).sum(axis=0)


def worst_tail(ranks):
    """Return the smallest two-sided binomial tail over the empirical distribution of ranks."""
    at = np.arange(1, RANKS + 1)
    below = (np.asarray(ranks)[:, None] < at).sum(axis=0)
    share = at / (RANKS + 1)
    tails = np.minimum(binom.cdf(below, len(ranks), share), binom.sf(below - 1, len(ranks), share))
    return tails.min()


def limit(replicates, level):
    """Return the value `worst_tail` falls under with probability `level` when ranks are uniform."""
    rng = np.random.default_rng(6)
    null = [worst_tail(rng.integers(0, RANKS + 1, replicates)) for _ in range(2000)]
    return np.quantile(null, level)


def require_uniform(ranks):
    """Hold the ranks of every quantity inside simultaneous bands."""
    bound = limit(len(ranks), 0.05 / len(NAMES))
    found = {name: worst_tail(ranks[:, q]) for q, name in enumerate(NAMES)}
    assert min(found.values()) >= bound, found


@pytest.mark.slow
def test_ranks_are_uniform():
    with threadpool_limits(limits=1):  # products of a few dozen rows
        require_uniform(np.array([rank(seed) for seed in range(1000)]))


@pytest.mark.nuts
def test_ranks_of_nuts_are_uniform():
    require_uniform(np.array([rank(seed, draw=sampled) for seed in range(100)]))


@pytest.mark.slow
def test_a_posterior_a_third_too_narrow_is_caught():
    ranks = np.array([rank(seed, distort=0.67) for seed in range(150)])
    bound = limit(len(ranks), 0.05 / len(NAMES))
    assert min(worst_tail(ranks[:, q]) for q in range(len(NAMES))) < bound
