"""Morocco 2014: a survey drawn from 1,493 communes whose internet access the census gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from inegnum.estimators.area import AreaData, Transform
from shared import shared


@dataclass(frozen=True, slots=True)
class Survey:
    data: AreaData
    transform: Transform
    truth: np.ndarray


@cache
def communes() -> pd.DataFrame:
    """One row a commune: access to internet (households) and composition (persons 10 and over)."""
    root = ("data", "known_truth")
    households = pd.read_csv(shared(*root, "maroc2014_households.csv.gz"), dtype={"code": str})
    people = pd.read_csv(shared(*root, "maroc2014_people.csv.gz"), dtype={"code": str})
    homes = households.query("level == 'commune' and area == 'total'").set_index("code")
    persons = people.query("level == 'commune' and area == 'total' and sex == 'all'")
    persons = persons.set_index("code").reindex(homes.index)
    return pd.DataFrame(
        {
            "name": homes["name_fr"],
            "households": homes["households_count"],
            "truth": homes["equipment_internet"] / 100,
            "higher": np.sqrt(persons["education_higher"] / 100),
            "secondary": np.sqrt(persons["education_upper_secondary"] / 100),
            "illiterate": persons["illiteracy_rate_10_plus"] / 100,
            "rural": homes["dwelling_type_rural"] / 100,
        }
    ).dropna()


def draw_survey(seed: int, *, sampled: int = 500) -> Survey:
    """Households drawn in some communes, 40 to 200 each; the others are outside the survey."""
    t = communes()
    rng = np.random.default_rng(seed)
    n = np.zeros(len(t))
    at = rng.choice(len(t), sampled, replace=False)
    n[at] = np.minimum(rng.integers(40, 201, sampled), t["households"].to_numpy()[at])
    known = n > 0
    yes = rng.binomial(n.astype(int), t["truth"].to_numpy())
    p = np.where(known, yes / np.maximum(n, 1), np.nan)
    # On the arcsine scale the variance is 1 / (4 n) whatever the rate, zero observed included.
    table = t.reset_index().assign(y=p, v=np.where(known, 0.25 / np.maximum(n, 1), np.nan), n=n)
    data = AreaData.from_formula(
        "y ~ higher + secondary + illiterate + rural", table, variance="v", geo="code", n="n"
    )
    return Survey(data, Transform("arcsin", "corrected", n), t["truth"].to_numpy())
