"""What must hold for every calibration, on generated samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inegnum.estimators.calibration import (
    Logit,
    Raking,
    Sinh,
    Truncated,
    calibrate,
    rake,
    tightest_bounds,
)

DISTANCES = [
    "linear",
    "raking",
    "likelihood",
    "neyman",
    Sinh(0.7),
    Logit(0.2, 4.0),
    Truncated(0.2, 4.0),
]
# Margins are met to 1e-10; what is derived from weights loses a few digits to conditioning.
SAME = 1e-7


@st.composite
def samples(draw: st.DrawFn) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """Return a sample and margins that some weights between 0.4 and 2.5 times d meet."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(30, 200))
    sizes = draw(st.lists(st.integers(2, 5), min_size=1, max_size=3))
    columns: dict[str, np.ndarray] = {}
    for i, size in enumerate(sizes):
        # Every level appears, whatever the draw.
        codes = np.concatenate([np.arange(size), rng.integers(0, size, n - size)])
        columns[f"v{i}"] = np.array([f"l{c}" for c in rng.permutation(codes)])
    frame = pd.DataFrame(columns)
    frame["d"] = np.exp(rng.normal(0, 0.5, n)) * draw(st.sampled_from([1.0, 250.0]))
    truth = frame["d"] * rng.uniform(0.7, 1.6, n)
    margins = {v: truth.groupby(frame[v]).sum().to_dict() for v in columns}
    return frame, margins


@pytest.mark.parametrize("distance", DISTANCES, ids=str)
@given(case=samples())
@settings(max_examples=25, deadline=None)
def test_margins_met_and_bounds_held(distance, case):
    frame, margins = case
    fit = calibrate(frame, margins, weights="d", distance=distance)
    for variable, totals in margins.items():
        got = pd.Series(fit.weights).groupby(frame[variable]).sum()
        for level, total in totals.items():
            assert got[level] == pytest.approx(total, rel=1e-9)
    if isinstance(distance, Logit | Truncated):
        assert fit.g.min() >= 0.2
        assert fit.g.max() <= 4.0
    if distance == "raking" or isinstance(distance, Sinh):
        assert fit.weights.min() > 0


@pytest.mark.parametrize("distance", DISTANCES, ids=str)
@given(case=samples())
@settings(max_examples=10, deadline=None)
def test_g_is_one_when_margins_already_hold(distance, case):
    frame, margins = case
    own = {v: frame["d"].groupby(frame[v]).sum().to_dict() for v in margins}
    fit = calibrate(frame, own, weights="d", distance=distance)
    np.testing.assert_allclose(fit.g, 1.0, atol=1e-9)


@given(case=samples(), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_order_of_rows_and_categories_does_not_matter(case, seed):
    frame, margins = case
    fit = rake(frame, margins, weights="d")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(frame))
    backwards = {v: dict(reversed(totals.items())) for v, totals in reversed(margins.items())}
    again = rake(frame.iloc[order], backwards, weights="d")
    np.testing.assert_allclose(again.weights, fit.weights[order], rtol=SAME)


@given(case=samples(), scale=st.floats(1e-3, 1e5))
@settings(max_examples=25, deadline=None)
def test_scaling(case, scale):
    frame, margins = case
    fit = rake(frame, margins, weights="d")
    larger = {v: {x: t * scale for x, t in totals.items()} for v, totals in margins.items()}
    np.testing.assert_allclose(
        rake(frame, larger, weights="d").weights, scale * fit.weights, rtol=SAME
    )
    # Raking does not see the scale of the initial weights.
    np.testing.assert_allclose(
        rake(frame, margins, weights=scale * frame["d"].to_numpy()).weights, fit.weights, rtol=SAME
    )


def proportional_fitting(frame: pd.DataFrame, margins: dict[str, dict[str, float]]) -> np.ndarray:
    """Rake unit by unit, sweep by sweep: shares no code with Newton on the dual."""
    w = frame["d"].to_numpy().copy()
    for _ in range(20_000):
        before = w.copy()
        for variable, totals in margins.items():
            for level, total in totals.items():
                rows = (frame[variable] == level).to_numpy()
                w[rows] *= total / w[rows].sum()
        if np.max(np.abs(w / before - 1)) < 1e-13:
            break
    return w


@given(case=samples())
@settings(max_examples=15, deadline=None)
def test_raking_is_the_limit_of_proportional_fitting(case):
    frame, margins = case
    np.testing.assert_allclose(
        rake(frame, margins, weights="d").weights, proportional_fitting(frame, margins), rtol=1e-6
    )


@given(case=samples())
@settings(max_examples=15, deadline=None)
def test_cells_and_units_give_the_same_weights(case):
    frame, margins = case
    collapsed = calibrate(frame, margins, weights="d", distance=Raking())
    # q = 1 for all changes nothing but the road: units are then kept apart.
    by_unit = calibrate(frame, margins, weights="d", q=np.ones(len(frame)))
    np.testing.assert_allclose(by_unit.weights, collapsed.weights, rtol=SAME)
    summed = frame.groupby(list(margins), as_index=False)["d"].sum()
    cells = calibrate(summed, margins, weights="d")
    ratios = frame.merge(summed.assign(g=cells.g), on=list(margins), how="left")["g"]
    np.testing.assert_allclose(collapsed.g, ratios, rtol=SAME)


@given(case=samples())
@settings(max_examples=10, deadline=None)
def test_tightest_bounds_lie_within_any_solution(case):
    frame, margins = case
    low, high = tightest_bounds(frame, margins, weights="d")
    g = calibrate(frame, margins, weights="d", distance=Logit(0.2, 4.0)).g
    assert high - low <= g.max() - g.min() + 1e-6


@given(case=samples(), cost=st.floats(1e-6, 1e-3))
@settings(max_examples=15, deadline=None)
def test_cost_leads_from_no_change_to_exact(case, cost):
    from inegnum.estimators.calibration import Margin

    frame, margins = case
    exact = calibrate(frame, margins, weights="d", distance="linear")

    def soft(price: float):
        asked = [Margin(v, totals, cost=price) for v, totals in margins.items()]
        return calibrate(frame, asked, weights="d", distance="linear")

    move = [np.abs(soft(c).g - 1).max() for c in (cost, 1e9)]
    assert move[0] <= move[1] + 1e-9
    np.testing.assert_allclose(soft(1e12).g, exact.g, rtol=1e-5, atol=1e-5)
