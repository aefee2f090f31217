"""Publication classes against the rules, worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.data.types import Indicator
from inegnum.errors import InputError, PublicationError
from inegnum.estimates.quality import QualityLimits, grade
from inegnum.estimates.table import AreaDraws, Estimates, combine, tabulate

INDICATOR = Indicator("owns", "equipment", "owns", "possède", "asked", "12+", "all", "tous", 1)


def classes(est: float, half: float, persons: float = 1e4) -> str:
    found, _ = grade(
        np.array([est]),
        np.array([est - half]),
        np.array([est + half]),
        np.array([persons]),
        QualityLimits(),
    )
    return str(found[0])


@pytest.mark.parametrize(
    ("est", "half", "expected"),
    [
        (0.50, 0.03, "A"),
        (0.50, 0.031, "B"),
        (0.94, 0.03, "B"),  # 0.03 / 0.06 = 0.5 > 0.35
        (0.06, 0.03, "B"),  # the same statistic from the other side
        (0.50, 0.06, "B"),
        (0.50, 0.10, "C"),
        (0.95, 0.05, "C"),  # relative 1.0
        (0.95, 0.06, "C"),  # relative exactly 1.2
        (0.95, 0.0601, "D"),
        (0.50, 0.101, "D"),
    ],
)
def test_class_is_the_worse_of_two_widths(est: float, half: float, expected: str) -> None:
    assert classes(est, half) == expected


def test_few_persons_mask_whatever_the_width() -> None:
    assert classes(0.5, 0.001, persons=199) == "D"
    assert classes(0.5, 0.001, persons=200) == "A"


def test_limits_out_of_order_are_refused() -> None:
    with pytest.raises(InputError, match="increasing"):
        QualityLimits(half_width=(0.1, 0.06, 0.03))


def drawn(rates: np.ndarray, persons: float = 1000.0) -> AreaDraws:
    areas = pd.DataFrame(
        {
            "geo": ["FR", "M", "a"],
            "level": ["france", "epci", "commune"],
            "name": ["France", "M", "A"],
            "tier": "F3",
            "basis": "model",
            "method": "mrp",
            "n": [100, 0, 0],
        }
    )
    return AreaDraws(INDICATOR, areas, rates, np.full(rates.shape, persons), rates[:, 0], 1)


def test_rows_follow_from_joint_draws() -> None:
    rng = np.random.default_rng(1)
    base = 0.5 + 0.01 * rng.standard_normal((4000, 1))
    rates = np.concatenate([base, base + 0.1, base + 0.11], axis=1)
    table = tabulate(drawn(rates), year=2022).set_index("geo")
    # the gap is exact in every draw, although both rates vary by 1 point
    assert table.loc["M", "gap_upper"] - table.loc["M", "gap_lower"] == pytest.approx(0, abs=1e-12)
    assert table.loc["a", "p_above_metropolis"] == 1.0
    assert np.isnan(table.loc["M", "p_above_metropolis"])
    assert np.isnan(table.loc["FR", "gap_france"])
    assert table.loc["M", "people"] == pytest.approx(600, rel=1e-3)


def test_masked_rows_keep_their_place_and_probability() -> None:
    rng = np.random.default_rng(2)
    rates = np.clip(0.5 + np.array([0.01, 0.01, 0.12]) * rng.standard_normal((2000, 3)), 0, 1)
    table = tabulate(drawn(rates), year=2022).set_index("geo")
    assert table.loc["a", "class"] == "D"
    assert table.loc["a", "reason"] == "width"
    assert table.loc["a", ["est", "people", "gap_france"]].isna().all()
    assert 0.4 < table.loc["a", "p_above_metropolis"] < 0.6


def test_a_figure_without_its_method_does_not_leave() -> None:
    rates = np.full((10, 3), 0.5) + np.linspace(0, 0.01, 10)[:, None]
    made = combine([drawn(rates)], (), year=2022)
    nameless = made.table.assign(method="")
    with pytest.raises(PublicationError, match="no method"):
        Estimates(nameless, made.draws, ())
