"""A survey that never was: respondents drawn from the frame, answers by age, shifted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from inegnum.data.areas import load_areas
from inegnum.data.codebook import profiles
from inegnum.data.frames.build import build_frame

# Smartphones by age, about those of the national survey.
_RATES = {
    "12-14": 0.86,
    "15-17": 0.96,
    "18-24": 0.98,
    "25-39": 0.98,
    "40-59": 0.94,
    "60-69": 0.86,
    "70+": 0.66,
}
_AGES = {"12-14": 13, "15-17": 16, "18-24": 21, "25-39": 32, "40-59": 50, "60-69": 64, "70+": 77}
CODEBOOK = """year = 2023
mode = "phone"
weight = "weight"
geo = "insee"

[source]
name = "simulated"
producer = "a test"
title = "Simulated survey"
universe = "12+"
vintage = "2023"
geo_vintage = "COG 2025"
unit = "respondents and weights"
licence = ""
sha256 = ""
role = "fit"

[[axes]]
axis = "age"
column = "age"
years = true
[[axes]]
axis = "sex"
column = "sex"
levels = ["w = women", "m = men"]
{crossed}
[[answers]]
indicator = "smartphone"
column = "q1"
yes = ["1"]
no = ["2"]
missing = ["9"]
"""


def write_survey(
    folder: Path, *, communes: list[str], shift: float, n: int, seed: int, axes: bool = True
) -> tuple[Path, Path]:
    """Write survey.csv and survey.toml: `n` persons, yes at the rate of their age, moved."""
    rng = np.random.default_rng(seed)
    frame = build_frame(load_areas(communes=sorted(communes)))
    table = profiles()
    p = (frame.N / frame.N.sum()).ravel()
    at, who = np.divmod(rng.choice(len(p), n, p=p), len(table))
    geo = frame.areas["geo"].to_numpy()[at]
    eta = logit(table["age"].map(_RATES).to_numpy(dtype=float)) + shift
    yes = rng.random(n) < expit(eta)[who]
    rows = pd.DataFrame(
        {
            "insee": geo,
            "age": table["age"].map(_AGES).to_numpy()[who],
            "sex": table["sex"].str[0].to_numpy()[who],
            "dipl": table["diploma"].to_numpy()[who],
            "prof": table["occupation"].to_numpy()[who],
            "weight": rng.uniform(0.5, 2.0, n).round(2),
            "q1": np.where(rng.random(n) < 0.001, "9", np.where(yes, "1", "2")),
        }
    )
    rows.to_csv(folder / "survey.csv", index=False)
    crossed = ""
    if axes:
        for axis, column in (("diploma", "dipl"), ("occupation", "prof")):
            held = ", ".join(f'"{v} = {v}"' for v in sorted(rows[column].unique()))
            crossed += f'[[axes]]\naxis = "{axis}"\ncolumn = "{column}"\nlevels = [{held}]\n'
    (folder / "survey.toml").write_text(CODEBOOK.replace("{crossed}", crossed))
    return folder / "survey.csv", folder / "survey.toml"
