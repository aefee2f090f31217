"""Published rates as evidence: their gradient, and what their expansion promises."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import digamma, logit

from inegnum.numerics.group_rates import GroupRates, directions, group_covariance
from inegnum.numerics.inversion import invert, settled
from inegnum.numerics.latent import Term, build_design


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(1)
    a, b = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    nothing = np.zeros(12)
    terms = (
        Term("one", np.zeros(12, dtype=np.int64), 1, 1.5, learned=False),
        Term("a", a, 4, 1.0),
        Term("b", b, 3, 1.0),
    )
    N = rng.gamma(3.0, 1.0, 12)
    masks = np.vstack([np.ones(12), *(a == k for k in range(4)), *(b == k for k in range(3))])
    return build_design(nothing, nothing, terms), N, masks.astype(float)


def test_the_gradient_is_that_of_the_likelihood(model):
    design, N, masks = model
    rng = np.random.default_rng(2)
    half = rng.normal(size=(8, 5))
    A = csr_array(masks * N / (masks @ N)[:, None])
    groups = GroupRates(A, rng.normal(size=8), half @ half.T)
    b, step = rng.normal(size=(3, design.size)), 1e-5
    _, slope = groups.likelihood(design, b)
    for j in range(design.size):
        e = step * np.eye(design.size)[j]
        up, down = (groups.likelihood(design, b + s * e)[0] for s in (1, -1))
        np.testing.assert_allclose(slope[:, j], (up - down) / (2 * step), rtol=1e-6, atol=1e-7)


def test_one_rate_has_the_posterior_of_its_count():
    """Under a flat prior the rate of n answers is Beta(y, n - y): mean y / n, a skewed logit."""
    nothing = np.zeros(1)
    term = Term("one", np.zeros(1, dtype=np.int64), 1, 20.0, learned=False)
    design = build_design(nothing, nothing, (term,))
    n, rate = 400.0, 0.05
    one, A = np.ones(1), np.ones((1, 1))

    def covariance(p):
        return group_covariance(A, one, p, n=np.array([n]), deff=one, rounding=0 * one)

    found = invert(
        design,
        A,
        np.array([rate]),
        kept=directions(A),
        covariance=covariance,
        rng=np.random.default_rng(3),
        points=1,
    )
    draws = found.draw(20_000, np.random.default_rng(4))[0][:, 0]
    sd = 1 / np.sqrt(n * rate * (1 - rate))
    exact = digamma(n * rate) - digamma(n * (1 - rate))
    # The correction is to first order in 1 / (n p) = 1/20, a tenth of an sd here; without it the
    # mean would be that much higher.
    assert draws.mean() == pytest.approx(exact, abs=0.03 * sd)
    assert logit(rate) - exact > 0.1 * sd
    assert draws.std() == pytest.approx(sd, rel=0.02)


def test_what_is_known_twice_is_dropped_and_nothing_else(model):
    _, N, masks = model
    A = masks * N / (masks @ N)[:, None]
    kept = directions(A)
    assert kept.shape == (8, 6)  # the total is told by each of the two tables
    np.testing.assert_allclose(kept @ (kept.T @ A), A, atol=1e-12)


def test_tables_without_noise_are_met_by_mode_and_draws(model):
    design, N, masks = model
    rng = np.random.default_rng(5)
    A = masks * N / (masks @ N)[:, None]
    truth = rng.normal(size=design.size) * 0.7
    r = A @ (1 / (1 + np.exp(-(design.X @ truth))))
    size = 1e6 * (masks @ N) / N.sum()

    def covariance(p):
        return group_covariance(masks, N, p, n=size, deff=np.ones(8), rounding=np.zeros(8))

    known = {"kept": directions(A), "covariance": covariance}
    groups, mode, _ = settled(design, A, r, rng=np.random.default_rng(6), **known)
    se = np.sqrt(np.diag(covariance(1 / (1 + np.exp(-(design.X @ mode))))))
    assert (np.abs(A @ (1 / (1 + np.exp(-(design.X @ mode)))) - r) < se).all()
    assert groups.W.shape == (8, 8)
    effects, _ = invert(design, A, r, rng=np.random.default_rng(7), **known).draw(
        500, np.random.default_rng(8)
    )
    drawn = A @ (1 / (1 + np.exp(-(design.X @ effects.T))))
    assert (np.abs(drawn.mean(axis=1) - r) < 1.5 * se).all()
