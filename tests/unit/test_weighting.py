"""The raked rate of cells is that of respondents, to rounding."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.data.codebook import profiles
from inegnum.data.types import Frame, Indicator, SurveyCells
from inegnum.errors import CalibrationError, FrameError, InputError, UniverseError
from inegnum.estimators import direct
from inegnum.estimators.calibration import calibrate
from inegnum.estimators.design import survey_design
from inegnum.estimators.weighting import frame_margins, raked_rate
from inegnum.provenance import Source

SOURCE = Source("s", "p", "t", "12+", "2022", "persons", "ODbL-1.0", "0" * 64, "fit")


def indicator(universe: str) -> Indicator:
    return Indicator("test", "uses", "a", "b", "q", universe, "all", "tous", 1)


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    table = profiles().assign(age=profiles()["age"].replace({"12-14": "12-17", "15-17": "12-17"}))
    table = table.drop_duplicates(ignore_index=True)
    # Every profile twice, so that no margin of the frame is empty.
    rows = np.concatenate([np.repeat(np.arange(len(table)), 2), rng.integers(0, len(table), 2000)])
    out = table.iloc[rows].reset_index(drop=True)
    n = len(out)
    out["wave"] = rng.choice([2020, 2022], n)
    out["w"] = np.exp(rng.normal(0, 0.6, n))
    out["y"] = (rng.random(n) < 0.5 + 0.3 * (out["diploma"] == "higher")).astype(float)
    return out


@pytest.fixture(scope="module")
def frame() -> Frame:
    rng = np.random.default_rng(3)
    areas = pd.DataFrame(
        {
            "geo": ["33063", "33281"],
            "level": "commune",
            "name": ["A", "B"],
            "region": "75",
            "urban": "100k+",
            "tier": "F2",
            "epci": "243300316",
        }
    )
    return Frame(areas, np.exp(rng.normal(4, 0.8, (2, len(profiles())))), (SOURCE,), 2022)


def cells(people: pd.DataFrame, universe: str = "12+") -> SurveyCells:
    t = people.assign(n=1.0, wy=people["w"] * people["y"], w2=people["w"] ** 2)
    t["w2y"] = t["w2"] * t["y"]
    keys = ["wave", "age", "sex", "diploma", "occupation"]
    table = t.groupby(keys, as_index=False)[["n", "y", "w", "wy", "w2", "w2y"]].sum()
    return SurveyCells(table.assign(urban="", region="", mode=""), indicator(universe), SOURCE)


@pytest.mark.parametrize("distance", ["raking", "linear"])
@pytest.mark.parametrize(
    "axes", [("age", "sex", "diploma", "occupation"), (("age", "sex"), "diploma")]
)
def test_cells_and_respondents_agree(people, frame, distance, axes):
    got = raked_rate(cells(people), frame, axes=axes, distance=distance)
    margins = frame_margins(frame, axes, "12+")
    fit = calibrate(people, margins, weights="w", distance=distance)
    expected = direct.mean(survey_design(people, weights=fit, strata="wave"), "y").table.iloc[0]
    # The same sums in another order.
    assert got.est == pytest.approx(expected["est"], rel=1e-10)
    assert got.se == pytest.approx(expected["se"], rel=1e-9)
    assert got.n == len(people)
    assert got.n_eff == pytest.approx(fit.diagnostics().n_eff, rel=1e-9)
    assert got.lower < got.est < got.upper
    assert got.margins["after"].to_numpy() == pytest.approx(got.margins["total"].to_numpy())
    assert (
        got.margins.query("margin == 'sex'")["total"].sum()
        == pytest.approx(frame.persons("12+").sum())
        or "sex" not in axes
    )


def test_raking_moves_the_rate_towards_the_frame(people, frame):
    # All graduates: the rate becomes that of graduates.
    N = np.where(profiles()["diploma"] == "higher", frame.N, 1e-9 * frame.N)
    graduates = Frame(frame.areas, N, (SOURCE,), 2022)
    got = raked_rate(cells(people), graduates, axes=("diploma",))
    high = people[people["diploma"] == "higher"]
    assert got.est == pytest.approx(np.average(high["y"], weights=high["w"]), abs=1e-6)


def test_universe_of_adults_leaves_minors_out(people, frame):
    adults = people[people["age"] != "12-17"]
    got = raked_rate(cells(adults, "18+"), frame)
    assert got.margins.query("margin == 'sex'")["total"].sum() == pytest.approx(
        frame.persons("18+").sum()
    )


def test_refusals(people, frame):
    with pytest.raises(UniverseError, match="cannot be cut at 15"):
        raked_rate(cells(people, "15+"), frame)
    with pytest.raises(InputError, match="not an axis"):
        raked_rate(cells(people), frame, axes=("urban",))
    with pytest.raises(CalibrationError, match=r"age = 70\+: no unit of the sample"):
        raked_rate(cells(people[people["age"] != "70+"]), frame)
    mixed = Frame(frame.areas.assign(level=["commune", "epci"]), frame.N, frame.sources, frame.year)
    with pytest.raises(FrameError, match="count people twice"):
        raked_rate(cells(people), mixed)
