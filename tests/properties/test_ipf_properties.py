"""Properties of IPF that hold for every table."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inegnum.numerics.ipf import Margin, axis_margin, ipf

SHAPE = (3, 2, 4)


def _problem(seed: int) -> tuple[np.ndarray, list[Margin], np.ndarray]:
    """Return a seed table, consistent margins taken from a hidden truth, and that truth."""
    rng = np.random.default_rng(seed)
    truth = rng.gamma(0.8, size=SHAPE) * 10 ** rng.uniform(-3, 6)
    margins = [
        axis_margin("01", SHAPE, (0, 1), truth.sum(axis=2)),
        axis_margin("12", SHAPE, (1, 2), truth.sum(axis=0)),
        axis_margin("2", SHAPE, (2,), truth.sum(axis=(0, 1))),
    ]
    return rng.gamma(1.5, size=SHAPE) + 1e-3, margins, truth


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_margins_are_met(seed: int) -> None:
    z, margins, truth = _problem(seed)
    fit = ipf(z, margins)
    # The stopping tolerance is 1e-10 of the total; that is the promise, so that is the limit.
    limit = 1e-10 * truth.sum() * (1 + 1e-6)
    assert np.abs(fit.fitted.sum(axis=2) - truth.sum(axis=2)).max() <= limit
    assert np.abs(fit.fitted.sum(axis=0) - truth.sum(axis=0)).max() <= limit
    assert (fit.residuals <= limit).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations([0, 1, 2]))
def test_the_order_of_margins_does_not_matter(seed: int, order: list[int]) -> None:
    z, margins, truth = _problem(seed)
    a = ipf(z, margins, tol=1e-12).fitted
    b = ipf(z, [margins[i] for i in order], tol=1e-12).fitted
    # Two runs stop at different points within a geometric tail: 1e-8 of the total.
    assert np.abs(a - b).max() <= 1e-8 * truth.sum()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6))
def test_the_scale_of_the_seed_does_not_matter(seed: int, scale: float) -> None:
    z, margins, truth = _problem(seed)
    a, b = ipf(z, margins).fitted, ipf(scale * z, margins).fitted
    assert np.abs(a - b).max() <= 1e-8 * truth.sum()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_table_that_meets_its_margins_is_left_alone(seed: int) -> None:
    _, margins, truth = _problem(seed)
    assert np.abs(ipf(truth, margins).fitted - truth).max() <= 1e-10 * truth.sum()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_interactions_that_no_margin_fixes_are_the_seeds(seed: int) -> None:
    z, margins, _ = _problem(seed)
    x = ipf(z, margins, tol=1e-13).fitted
    # Margins 01 and 12 leave the (0, 2) association given axis 1 to the seed.
    for table in (0, 1):
        log = np.log(x[:, table]) - np.log(z[:, table])
        interaction = log - log.mean(0) - log.mean(1)[:, None] + log.mean()
        assert np.abs(interaction).max() < 1e-9  # algebra: exact up to rounding
