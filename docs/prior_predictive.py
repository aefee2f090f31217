"""Draw what the priors say of rates before any answer: ``python docs/prior_predictive.py``.

Writes ``docs/images/prior-predictive.svg``, the same bytes each time: prior predictive rates and
gaps between levels of a factor (`inegnum.estimators.predictive`), and, beside them, the rates of
every indicator of the registry in the survey of 2022.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from inegnum.data.indicators import definitions
from inegnum.data.survey import load_survey
from inegnum.data.types import SurveyCells
from inegnum.estimators.evidence import evidence_rows
from inegnum.estimators.predictive import prior_predictive
from inegnum.estimators.spec import FACTORS, ModelSpec

TARGET = Path(__file__).resolve().parent / "images" / "prior-predictive.svg"
YEAR = 2022
SHOWN = ("age", "sex", "diploma", "occupation", "urban", "region")
FEWEST = 30  # respondents of a level: fewer say nothing of its rate


def observed(survey: SurveyCells) -> dict[str, float]:
    """Return the weighted rate of an indicator and, by factor, its largest gap between levels."""
    table = survey.waves(YEAR).table
    found = {"all": float(table["wy"].sum() / table["w"].sum())}
    for factor in SHOWN:
        levels = [*FACTORS[factor], *(["12-14", "15-17"] if factor == "age" else [])]
        kept = table[table[factor].isin(levels)]
        sums = kept.groupby(factor)[["n", "w", "wy"]].sum()
        sums = sums[sums["n"] >= FEWEST]
        rates = sums["wy"] / sums["w"]
        found[f"gap {factor}"] = float(rates.max() - rates.min())
    return found


def main() -> None:
    """Draw and write the figure."""
    mpl.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams |= {"svg.hashsalt": "inegnum", "font.size": 9}
    spec = ModelSpec(history=())
    rows = evidence_rows(load_survey("smartphone").waves(*spec.waves), counts=spec.counts)
    prior = prior_predictive(spec, rows, draws=4000, seed=1).set_index("rate")
    codes = [one.indicator.code for one in definitions() if YEAR in one.waves]
    seen = pd.DataFrame([observed(load_survey(code)) for code in codes])
    names = ["all", *(f"gap {factor}" for factor in SHOWN)]
    figure, axes = plt.subplots(figsize=(6.4, 3.4))
    for at, name in enumerate(reversed(names)):
        row = prior.loc[name]
        axes.plot(
            [row["lower"], row["upper"]], [at, at], color="#9cc4d6", lw=7, solid_capstyle="butt"
        )
        halves = [row["lower_half"], row["upper_half"]]
        axes.plot(halves, [at, at], color="#12577a", lw=7, solid_capstyle="butt")
        axes.plot(seen[name], np.full(len(seen), at - 0.33), "|", color="#b3541e", ms=7, mew=1)
    labels = ["national rate", *(f"gap between levels: {factor}" for factor in SHOWN)]
    axes.set_yticks(range(len(names)), reversed(labels))
    axes.set_ylim(-0.7, len(names) - 0.4)
    axes.set_xlim(0, 1)
    axes.set_xticks(np.linspace(0, 1, 6), [f"{v:.0f} %" for v in np.linspace(0, 100, 6)])
    axes.set_xlabel("rate, or largest less smallest rate between levels")
    axes.grid(axis="x", color="#dde3e7", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.tight_layout()
    TARGET.parent.mkdir(exist_ok=True)
    figure.savefig(TARGET, metadata={"Date": None})


if __name__ == "__main__":
    main()
