"""Support points of the sds: what a Latin hypercube promises, and the marginals it spreads over."""

import numpy as np
import pytest

from inegnum.numerics.hypercube import latin_hypercube, quantile_cells
from inegnum.numerics.laplace import GRID, Surrogate
from inegnum.numerics.latent import Term, build_design, conditional_mode


def test_every_slice_of_every_dimension_holds_one_point():
    u = latin_hypercube(32, 10, np.random.default_rng(0))
    assert (np.sort((32 * u).astype(int), axis=0) == np.arange(32)[:, None]).all()


def test_dimensions_are_hardly_correlated():
    found = [np.corrcoef(latin_hypercube(32, 10, np.random.default_rng(s)).T) for s in range(20)]
    # The mean square correlation of random permutations is 1/31; the best of 200 does much better.
    squares = [(c[np.triu_indices(10, 1)] ** 2).mean() for c in found]
    assert np.mean(squares) < 0.75 / 31


def test_cells_are_hit_in_proportion_to_their_mass():
    mass = np.array([1.0, 0.5, 2.5, 1.0])
    cells, within = quantile_cells(mass, (np.arange(10_000) + 0.5) / 10_000)
    np.testing.assert_allclose(np.bincount(cells) / 10_000, mass / 5)
    assert within.min() >= 0
    assert within.max() <= 1


def test_marginals_are_those_of_a_long_chain():
    rng = np.random.default_rng(3)
    R = 200
    a, b = rng.integers(0, 5, R), rng.integers(0, 12, R)
    n = np.full(R, 3.0)
    eta = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])[a] + 0.2 * rng.normal(size=12)[b]
    design = build_design(
        n / (1 + np.exp(-eta)),
        n,
        (
            Term("one", np.zeros(R, dtype=np.int64), 1, 1.5, learned=False),
            Term("a", a, 5, 1.0),
            Term("b", b, 12, 0.5),
        ),
    )
    sds = np.array([1.5, 0.8, 0.2])
    surrogate = Surrogate.at(design, conditional_mode(design, sds).mode)
    chain = surrogate.sweeps(sds, 4000, [1, 2], rng)
    laws, _ = surrogate.marginals(chain[:16], [1, 2])
    assert laws.sum(axis=1) == pytest.approx(1.0)
    for j, (k, scale) in enumerate(((1, 1.0), (2, 0.5))):
        mean = laws[j] @ np.log(GRID * scale)
        draws = np.log(chain[100:, k])
        # 16 conditionals stand in for the chain: a fifth of the sd covers their own noise.
        assert abs(mean - draws.mean()) < 0.2 * draws.std()
