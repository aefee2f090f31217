"""The latent design and its conditional mode against dense algebra and brute-force integration."""

import numpy as np
import pytest
from scipy.special import expit

from inegnum.errors import ConvergenceError, InputError
from inegnum.numerics.gmrf import ar1_covariance, icar_covariance, random_walk_covariance
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Term, build_design, conditional_mode


def rows(R=400, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-1, 4, R), rng.integers(0, 6, R)
    n = rng.gamma(2.0, 2.0, R)
    y = n * rng.beta(2, 3, R)
    terms = (
        Term("one", np.zeros(R, dtype=np.int64), 1, 1.5, learned=False),
        Term("a", a, 4, 0.7),
        Term("b", b, 6, 1.0, covariance=random_walk_covariance(6)),
        Term("x", np.zeros(R, dtype=np.int64), 1, 1.0, learned=False, value=rng.normal(size=R)),
    )
    return y, n, terms


def dense(design):
    X = np.zeros((len(design.y), design.size))
    for term, place in zip(design.terms, design.slices, strict=True):
        for r, level in enumerate(term.index):
            if level >= 0:
                X[r, place.start + level] = term.value[r] if term.value.size else 1.0
    return X


def test_sparse_maps_are_the_dense_products():
    y, n, terms = rows()
    design = build_design(y, n, terms)
    X = dense(design)
    w = np.random.default_rng(1).gamma(1.0, 1.0, len(y))
    np.testing.assert_allclose(design.X.toarray(), X)
    np.testing.assert_allclose(design.maps.gram(w), X.T @ (w[:, None] * X), atol=1e-10)
    C = np.cov(np.random.default_rng(2).normal(size=(design.size, 30)))
    np.testing.assert_allclose(design.maps.row_variances(C), np.einsum("ri,ij,rj->r", X, C, X))


def test_terms_told_by_a_finer_one_are_met_through_it():
    """Where the crossed term is silent one of its factors still speaks; another never follows."""
    rng = np.random.default_rng(5)
    a, b, free = rng.integers(0, 3, 300), rng.integers(-1, 4, 300), rng.integers(0, 5, 300)
    crossed = np.where(b < 0, -1, a * 4 + b)
    a = np.where(b < 0, 2, a)
    terms = (
        Term("a", a, 3, 1.0),
        Term("b", b, 4, 1.0),
        Term("free", free, 5, 1.0),
        Term("a:b", crossed, 12, 1.0),
    )
    design = build_design(np.ones(300), np.full(300, 2.0), terms)
    X, w = dense(design), rng.gamma(1.0, 1.0, 300)
    assert design.maps.Z.shape == (300, 13 + 6)  # levels of a:b and of free, and of neither
    v, u = rng.normal(size=(24, 3)), rng.normal(size=(300, 2))
    np.testing.assert_allclose(design.maps.predictor(v), X @ v, atol=1e-12)
    np.testing.assert_allclose(design.maps.scores(u), X.T @ u, atol=1e-12)
    np.testing.assert_allclose(design.maps.gram(w), X.T @ (w[:, None] * X), atol=1e-10)


def test_mode_has_no_gradient_left():
    y, n, terms = rows()
    design = build_design(y, n, terms)
    sds = np.array([1.5, 0.4, 0.8, 1.0])
    found = conditional_mode(design, sds, tolerance=1e-12)
    X = dense(design)
    Q, _ = design.prior(sds)
    gradient = X.T @ (y - n * expit(X @ found.mode)) - Q @ found.mode
    # Newton decrement 1e-12 leaves a gradient of the square root of it, times the curvature.
    assert np.abs(gradient).max() < 1e-4


def test_a_prior_mean_is_where_effects_without_rows_stand():
    index = np.zeros(5, dtype=np.int64)
    mean, cov = np.array([0.0, 0.7]), np.diag([1.0, 0.04])
    terms = (Term("g", index, 2, 1.0, False, cov, mean),)
    found = conditional_mode(build_design(np.full(5, 2.0), np.full(5, 4.0), terms), np.ones(1))
    assert found.mode[1] == pytest.approx(0.7, abs=1e-9)
    assert found.covariance()[1, 1] == pytest.approx(0.04, abs=1e-9)


def test_posterior_is_that_of_brute_force_integration():
    """Two groups, an intercept, one sd: everything fits on a grid."""
    index = np.array([0, 1], dtype=np.int64)
    y, n = np.array([3.0, 9.5]), np.array([10.0, 11.5])
    terms = (
        Term("one", np.zeros(2, dtype=np.int64), 1, 1.0, learned=False),
        Term("g", index, 2, 1.0),
    )
    axis = np.linspace(-4.5, 4.5, 61)
    sds = np.exp(np.linspace(np.log(0.01), np.log(4), 60))
    m, u, v = np.meshgrid(axis, axis, axis, indexing="ij")
    mean, second, sd_mean, total = 0.0, 0.0, 0.0, 0.0
    for s in sds:
        # Change of variables: effects are s times the grid, so that it stays fine for small sds.
        eta = [m + s * u, m + s * v]
        loglik = sum(yy * e - nn * np.logaddexp(0, e) for yy, nn, e in zip(y, n, eta, strict=True))
        p = np.exp(loglik - 0.5 * (m**2 + u**2 + v**2) + 13)
        weight = p.sum() * np.exp(-0.5 * s**2) * s  # half-normal, on the log scale
        rate = expit(eta[0])
        mean += weight * (p * rate).sum() / p.sum()
        second += weight * (p * rate**2).sum() / p.sum()
        sd_mean += weight * s
        total += weight
    mean, sd = mean / total, np.sqrt(second / total - (mean / total) ** 2)
    design = build_design(y, n, terms)
    found = integrate(design, rng=np.random.default_rng(3), points=400)
    effects, drawn = found.draw(40_000, np.random.default_rng(4))
    rate = expit(effects[:, 0] + effects[:, 1])
    # 40,000 draws: Monte-Carlo error 0.005 sd; 400 support points: 0.02 sd. Two groups of ten
    # respondents are far from normal, which is what the corrections are for.
    assert abs(rate.mean() - mean) / sd < 0.06
    assert abs(rate.std() / sd - 1) < 0.05
    assert drawn[:, 1].mean() == pytest.approx(sd_mean / total, rel=0.06)


def test_counts_that_cannot_be_are_refused():
    y, n, terms = rows()
    with pytest.raises(InputError, match="0 <= y <= n"):
        build_design(n + 1, n, terms)
    with pytest.raises(InputError, match="between -1 and K - 1"):
        build_design(y, n, (Term("a", np.full(len(y), 9), 4, 1.0),))
    with pytest.raises(InputError, match="finite"):
        build_design(np.where(np.arange(len(y)) == 3, np.nan, y), n, terms)


def test_a_block_without_prior_or_rows_does_not_pass():
    """A flat direction leaves no positive pivot: an error, not a number."""
    R = 50
    flat = Term("flat", np.full(R, -1), 2, 1e150, learned=False)
    one = Term("one", np.zeros(R, dtype=np.int64), 1, 1.0, learned=False)
    design = build_design(np.ones(R), np.full(R, 2.0), (one, flat))
    with pytest.raises(ConvergenceError, match="positive definite"):
        conditional_mode(design, np.array([1.0, np.inf]))


def test_structures_are_scaled():
    for S in (random_walk_covariance(6) - 0.01, icar_covariance(np.ones((4, 4)) - np.eye(4))):
        assert np.exp(np.mean(np.log(np.diag(S)))) == pytest.approx(1.0)
        np.testing.assert_allclose(S.sum(axis=0), 0, atol=1e-12)
    # The random walk of three levels has precision [[1,-1,0],[-1,2,-1],[0,-1,1]]; its inverse on
    # contrasts is known: diagonal 5/9, 2/9, 5/9 before scaling.
    S = random_walk_covariance(3) - 0.01
    np.testing.assert_allclose(np.diag(S)[1] / np.diag(S)[0], 2 / 5)
    np.testing.assert_allclose(ar1_covariance(3, 0.5)[0], [1, 0.5, 0.25])


def test_an_island_is_refused():
    W = np.zeros((4, 4))
    W[0, 1] = W[1, 0] = W[2, 3] = W[3, 2] = 1
    with pytest.raises(InputError, match="not connected"):
        icar_covariance(W)
