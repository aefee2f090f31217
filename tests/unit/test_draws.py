"""Draws: aggregation, intervals and refusal of what is not a number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.draws import Draws
from inegnum.errors import InputError

ITEMS = pd.DataFrame({"geo": ["a", "b"]})


def test_aggregate_combines_draw_by_draw() -> None:
    draws = Draws(np.array([[0.0, 1.0], [0.5, 0.5]]), ITEMS)
    total = draws.aggregate(np.array([[1.0, 3.0]]), pd.DataFrame({"geo": ["ab"]}))
    assert total.values[:, 0].tolist() == [3.0, 2.0]
    assert total.point.tolist() == [2.5]


def test_replicate_interval_is_centred_on_the_point() -> None:
    draws = Draws(np.array([[1.0], [3.0]]), ITEMS[:1], np.array([4.0]), "replicate", scale=0.5)
    # variance = 0.5 * mean((1-4)^2, (3-4)^2) = 2.5
    assert draws.se()[0] == pytest.approx(np.sqrt(2.5))
    lower, upper = draws.interval(0.95)
    assert (lower + upper)[0] / 2 == pytest.approx(4.0)


def test_missing_draw_is_refused_with_its_place() -> None:
    with pytest.raises(InputError, match="items \\[1\\]"):
        Draws(np.array([[0.0, np.nan]]), ITEMS)
