"""Differences come from joint draws: what areas share cancels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.errors import InputError
from inegnum.release.compare import LocalDraws, difference, every_difference, local_draws
from inegnum.release.read import Release


def test_every_pair_equals_the_pair_alone(release: Release) -> None:
    local = local_draws(release.draws(), "smartphone")
    every = every_difference(local, prob=0.95)
    assert len(every) == len(local.geos) * (len(local.geos) - 1) // 2
    for (first, second), gap in every.items():
        assert difference(local, first, second, prob=0.95) == gap


def test_a_shared_deviation_cancels() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 0.1, 4000)
    values = np.column_stack([0.6 + shared + rng.normal(0, 0.01, 4000), 0.55 + shared])
    gap = difference(LocalDraws(("a", "b"), values), "a", "b", prob=0.95)
    assert gap is not None
    # Analytic: mean 0.05, sd 0.01; Monte-Carlo error of 4,000 draws is a few ten-thousandths.
    assert gap.est == pytest.approx(0.05, abs=0.001)
    assert gap.upper - gap.lower == pytest.approx(2 * 1.96 * 0.01, rel=0.06)
    assert gap.p_above == 1.0


def test_the_opposite_difference_is_the_opposite(release: Release) -> None:
    local = local_draws(release.draws(), "no_device")
    ahead = difference(local, local.geos[0], local.geos[1], prob=0.95)
    behind = difference(local, local.geos[1], local.geos[0], prob=0.95)
    assert ahead is not None
    assert behind is not None
    assert (behind.est, behind.lower) == pytest.approx((-ahead.est, -ahead.upper))
    assert behind.p_above == pytest.approx(1 - ahead.p_above)


def test_a_masked_area_is_not_compared(release: Release) -> None:
    local = local_draws(release.draws(), "smartphone")
    assert "99012" not in local.geos
    assert difference(local, "99012", local.geos[0], prob=0.95) is None


def test_draws_that_are_not_joint_are_refused() -> None:
    table = pd.DataFrame(
        {"level": "commune", "indicator": "x", "geo": ["a", "a", "b"], "draw": [0, 1, 0]}
    ).assign(value=0.5)
    with pytest.raises(InputError, match="not joint"):
        local_draws(table, "x")
