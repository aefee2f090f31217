"""Known truth: shares of managers by IRIS of Rouen from 1,500 of its census persons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.estimators.unit.bhf import bhf
from inegnum.estimators.unit.reading import read_census, read_sample
from shared import shared

pytestmark = [pytest.mark.slow, pytest.mark.shared]


def test_intervals_of_neighbourhoods_hold_the_census_truth() -> None:
    path = shared("data", "known_truth", "rp_individus_echantillon_rouen_iris.csv.gz")
    people = pd.read_csv(path, dtype=str)
    people["years"] = people["agerevq"].astype(int)
    people = people[people["years"] >= 15]
    size = people.groupby("iris")["id"].transform("size")
    people = people[size >= 200].reset_index(drop=True)
    classes = [14, 24, 39, 54, 64, 79, 130]
    people["age"] = pd.cut(people["years"], classes).astype(str)
    people["manager"] = (people["cs1"] == "3").astype(float)
    truth = people.groupby("iris")["manager"].mean().to_numpy()
    rng = np.random.default_rng(1)
    hits, ours, direct = [], [], []
    for _ in range(60):
        drawn = people.loc[rng.choice(people.index, 1500, replace=False)]
        sample = read_sample("manager ~ age + sexe + couple", drawn, area="iris")
        table = bhf(sample, read_census(sample, people, area="iris").means()).table
        hits.append(((table["lower"] <= truth) & (truth <= table["upper"])).to_numpy())
        ours.append(((table["est"] - truth) ** 2).mean())
        direct.append(((table["direct"] - truth) ** 2).mean())
    # 37 neighbourhoods stay the same over replicates: their share of hits varies by 3 points
    assert 0.92 <= float(np.mean(hits)) <= 0.98
    assert np.sqrt(np.mean(ours)) < 0.9 * np.sqrt(np.mean(direct))
