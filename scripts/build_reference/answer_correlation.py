"""How the answers of one person to two indicators go together, age and diploma held."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scripts.build_reference.survey import _cells_record, respondents
from scripts.build_reference.writing import number, text, write_table

from inegnum.data.catalogue import Record
from inegnum.data.indicators import definitions
from inegnum.data.survey import answers, recode

WAVES = (2020, 2022)


def build(shared: Path, out: Path) -> None:
    write_table(correlations(shared), _record(), out)


def correlations(shared: Path) -> pd.DataFrame:
    """Return the weighted correlation of residuals by pair, 0 where no person answered both."""
    raw = respondents(shared)
    keys = recode(raw)
    kept = keys["wave"].isin(WAVES)
    raw, keys = raw[kept], keys[kept]
    group = keys.groupby(["wave", "age", "diploma"]).ngroup()
    residuals = {}
    for known in definitions():
        y = answers(raw, known.indicator.code)
        residuals[known.indicator.code] = y - y.groupby(group).transform("mean")
    rows = []
    for one, other in combinations(residuals, 2):
        both = residuals[one].notna() & residuals[other].notna()
        columns = (residuals[one], residuals[other], keys["w"])
        a, b, w = (s[both].to_numpy(dtype=float) for s in columns)
        norm = np.sqrt((w @ a**2) * (w @ b**2)) if both.any() else 0.0
        value = float((w * a) @ b / norm) if norm > 0 else 0.0
        rows.append({"first": one, "second": other, "correlation": round(value, 3)})
    return pd.DataFrame(rows)


def _record() -> Record:
    survey = _cells_record().source
    source = replace(
        survey,
        name="answer_correlation",
        title="Corrélation des réponses d'une même personne, âge et diplôme donnés",
        vintage="2020, 2022",
        unit="correlation",
        sha256="",
        transformation="Weighted correlation of answers less their mean by wave, age and diploma.",
    )
    return Record(
        source,
        file="answer_correlation.csv",
        rows=0,
        columns=(
            text("first", "indicator", "indicateur"),
            text("second", "other indicator", "autre indicateur"),
            number("correlation", "correlation", "corrélation"),
        ),
        caveats_en=("0 where no wave asked both questions.",),
        caveats_fr=("0 quand aucune vague n'a posé les deux questions.",),
    )
