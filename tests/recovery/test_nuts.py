"""The NUTS engine on a model small enough to be sampled in a test."""

import numpy as np
import pytest
from scipy.special import expit

from inegnum.errors import ConvergenceError
from inegnum.estimators.nuts import sample
from inegnum.numerics.gmrf import random_walk_covariance
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
