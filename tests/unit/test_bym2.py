"""Spatial area effects: scaling, graphs that fall apart, prior of the share, posterior."""

import numpy as np
import pytest
from scipy.linalg import null_space

from inegnum.errors import InputError
from inegnum.numerics.bym2 import bym2_correlation, bym2_mixing, spatial_covariance
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Term, build_design


def path(K: int) -> np.ndarray:
    return np.eye(K, k=1) + np.eye(K, k=-1)


def in_pieces() -> np.ndarray:
    """A path of five, a triangle and two islands."""
    W = np.zeros((10, 10))
    W[:5, :5] = path(5)
    W[5:8, 5:8] = 1 - np.eye(3)
    return W


def test_the_scaling_is_that_of_the_constrained_density():
    """Independent of the pseudo-inverse: condition N(0, (Q + eI)^-1) on a zero sum, e to 0."""
    K = 6
    W = path(K)
    W[0, 3] = W[3, 0] = 1
    Q = np.diag(W.sum(axis=1)) - W
    B = null_space(np.ones((1, K)))  # zero-sum contrasts: the density is proper on them
    within = B @ np.linalg.inv(B.T @ Q @ B) @ B.T
    scaled = within / np.exp(np.log(np.diag(within)).mean())
    np.testing.assert_allclose(spatial_covariance(W), scaled, atol=1e-12)


def test_components_are_scaled_apart_and_islands_have_variance_one():
    S = spatial_covariance(in_pieces())
    for part in (slice(0, 5), slice(5, 8)):
        assert np.exp(np.log(np.diag(S)[part]).mean()) == pytest.approx(1.0)
        np.testing.assert_allclose(S[part, part].sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(S[8:, 8:], np.eye(2))
    assert not S[:5, 5:].any()
    with pytest.raises(InputError, match="two neighbours at least"):
        spatial_covariance(np.zeros((3, 3)))


def test_the_correlation_keeps_the_sd_of_every_area():
    R = bym2_correlation(in_pieces(), 0.7)
    np.testing.assert_allclose(np.diag(R), 1.0)
    assert R[0, 1] > 0.2 > R[0, 4]
    assert np.linalg.eigvalsh(R)[0] > 0


def test_the_prior_of_the_share_is_the_penalised_complexity_prior():
    mixing = bym2_mixing(in_pieces())
    assert mixing.cumulative(np.array([0.5]))[0] == pytest.approx(2 / 3)
    # d(phi)^2 is twice the Kullback-Leibler divergence, computed here from its definition.
    S = spatial_covariance(in_pieces())
    for phi in (0.1, 0.6, 0.9):
        C = (1 - phi) * np.eye(10) + phi * S
        twice = np.trace(C) - 10 - np.linalg.slogdet(C)[1]
        assert mixing.cumulative(np.array([phi]))[0] == pytest.approx(
            1 - np.exp(-mixing.rate * np.sqrt(twice))
        )


@pytest.mark.parametrize("prior", ["pc", "uniform"])
def test_sd_and_share_have_their_exact_posterior(prior):
    """Many respondents: normal logits, so that (sd, phi) has a density in closed form."""
    rng = np.random.default_rng(3)
    W = in_pieces()
    K, n = len(W), 4e4
    S = spatial_covariance(W)
    true = np.linalg.cholesky(0.5 * (0.2 * np.eye(K) + 0.8 * S)) @ rng.standard_normal(K)
    p = 1 / (1 + np.exp(-true))
    y = n * p
    mixing = bym2_mixing(W, prior)
    design = build_design(y, np.full(K, n), (Term("area", np.arange(K), K, 1.0, mixing=mixing),))
    posterior = integrate(design, rng=np.random.default_rng(4), points=400)
    sds, shares = posterior.sds.T
    weights = posterior.weights

    noise = 1 / (n * p * (1 - p))

    def density(sd, phi):
        C = sd**2 * ((1 - phi) * np.eye(K) + phi * S) + np.diag(noise)
        _, half = np.linalg.slogdet(C)
        return np.exp(-0.5 * (half + true @ np.linalg.solve(C, true)) - 0.5 * sd**2)

    nodes = np.linspace(0.002, 0.998, 60)
    step = np.diff(mixing.cumulative(np.append(nodes - 0.996 / 118, 1.0)))
    grid = np.linspace(0.05, 4, 120)
    table = np.array([[density(sd, phi) for phi in nodes] for sd in grid]) * step
    table /= table.sum()
    expected = (grid @ table.sum(axis=1), table.sum(axis=0) @ nodes)
    sd_of = np.sqrt(grid**2 @ table.sum(axis=1) - expected[0] ** 2)
    share_sd = np.sqrt(table.sum(axis=0) @ nodes**2 - expected[1] ** 2)
    # 800 points of a chain that moves well: a tenth of a posterior sd is three standard errors.
    assert weights @ sds == pytest.approx(expected[0], abs=0.1 * sd_of)
    assert weights @ shares == pytest.approx(expected[1], abs=0.1 * share_sd)
    assert np.sqrt(weights @ shares**2 - (weights @ shares) ** 2) == pytest.approx(
        share_sd, rel=0.1
    )
