"""Why the survey's own rate of Provence-Alpes-Côte d'Azur stands above the model's.

The survey is weighted for France, not within regions: its 329 respondents there are younger and
hold more diplomas than the census counts. `docs/scale.md` prints these figures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import inegnum as ing
from inegnum.data.codebook import profiles
from inegnum.data.frames.build import national_frame
from inegnum.data.survey import load_survey

PACA = "93"


@pytest.fixture(scope="module")
def census() -> dict[str, pd.Series]:
    """Persons of 12 and over of the region by age, diploma and urban size."""
    frame = national_frame(year=2022, draws=2, seed=1)
    held = pd.DataFrame(profiles()).astype(str)
    held["age"] = held["age"].replace({"12-14": "12-17", "15-17": "12-17"})
    here = (frame.areas["region"] == PACA).to_numpy()
    N = np.asarray(frame.N)[here]
    cells = pd.Series(N.sum(axis=0))
    found = {name: cells.groupby(held[name].to_numpy()).sum() for name in ("age", "diploma")}
    urban = frame.areas.loc[here, "urban"].to_numpy()
    return found | {"urban": pd.Series(N.sum(axis=1)).groupby(urban).sum()}


def test_respondents_of_the_region_are_not_its_population(census: dict[str, pd.Series]) -> None:
    cells = load_survey("smartphone").waves(2022).table
    here = cells[cells["region"] == PACA]

    def of_survey(name: str, level: str) -> float:
        return float(here.loc[here[name] == level, "w"].sum() / here["w"].sum())

    def of_census(name: str, level: str) -> float:
        return float(census[name][level] / census[name].sum())

    # As printed in the documentation, to a point.
    assert of_survey("age", "70+") == pytest.approx(0.11, abs=0.005)
    assert of_census("age", "70+") == pytest.approx(0.21, abs=0.005)
    assert of_survey("diploma", "none") == pytest.approx(0.04, abs=0.005)
    assert of_census("diploma", "none") == pytest.approx(0.17, abs=0.005)
    phone = cells.groupby("mode")["w"].sum()["phone"] / cells["w"].sum()
    assert of_survey("mode", "phone") == pytest.approx(0.04, abs=0.005)
    assert phone == pytest.approx(0.10, abs=0.005)


@pytest.mark.parametrize(
    ("code", "direct", "raked", "model"),
    [
        ("smartphone", 0.924, 0.862, 0.877),
        ("internet_daily", 0.895, 0.841, 0.841),
        ("fixed_internet", 0.915, 0.848, 0.857),
    ],
)
def test_raked_to_its_census_the_region_agrees_with_the_model(
    census: dict[str, pd.Series], code: str, direct: float, raked: float, model: float
) -> None:
    cells = load_survey(code).waves(2022).table
    here = cells[(cells["region"] == PACA) & (cells["w"] > 0)]
    rate = here["wy"] / here["w"]
    assert (rate * here["w"]).sum() / here["w"].sum() == pytest.approx(direct, abs=5e-4)
    persons = float(census["age"].sum())
    margins = {
        name: {str(level): float(n) / persons for level, n in counts.items() if n > 0}
        for name, counts in census.items()
    }
    data = {name: here[name].astype(str).to_numpy() for name in margins}
    w = ing.rake(data, margins, weights=here["w"].to_numpy() / here["w"].sum()).weights
    # The frame is a draw of two: its margins move by a thousandth.
    assert float(w @ rate) == pytest.approx(raked, abs=3e-3)
    assert abs(raked - model) < abs(direct - model) / 3
