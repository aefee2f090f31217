"""Inputs of the area-level golden cases, read once."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from inegnum.estimators.area import AreaData
from shared import shared


def case(name: str, table: str) -> pd.DataFrame:
    return pd.read_csv(shared("golden", name, f"expected_{table}.csv"), dtype={"Domain": str})


def value(name: str, table: str, key: str) -> float:
    t = case(name, table)
    return float(t.set_index(t.columns[0])[t.columns[1]][key])


@cache
def table(name: str) -> pd.DataFrame:
    return pd.read_csv(shared("golden", "data", f"{name}.csv"))


def milk() -> AreaData:
    t = table("sae_milk").assign(
        geo=lambda d: d["SmallArea"].astype(str),
        major=lambda d: d["MajorArea"].astype(str),
        v=lambda d: d["SD"] ** 2,
    )
    return AreaData.from_formula("yi ~ C(major)", t, variance="v", geo="geo", n="ni")


def austria(
    formula: str = "Mean ~ cash + self_empl", variance: str = "Var_Mean", n: str | None = None
) -> AreaData:
    return AreaData.from_formula(
        formula, table("emdi_combined"), variance=variance, geo="Domain", n=n
    )


def matrix(name: str) -> np.ndarray:
    return table(name).to_numpy(dtype=np.float64)
