"""Between-area deviations learned elsewhere, by indicator: the prior of tau.

Census pseudo-targets give the ratios between levels, the regions of the survey (2020 and 2022) and
its nine ZEAT (2016 to 2019) the size for the indicator itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scripts.build_reference.sources import read_text
from scripts.build_reference.writing import number, text, write_table
from threadpoolctl import threadpool_limits

from inegnum.data.catalogue import Record
from inegnum.data.codebook import REGION
from inegnum.data.indicators import definitions
from inegnum.data.survey import answers, collapse, columns, load_survey, recode
from inegnum.data.types import SurveyCells
from inegnum.estimators.learned_tau import (
    census_components,
    combined,
    region_likelihood,
    transfer,
)
from inegnum.estimators.spec import ModelSpec
from inegnum.numerics.laplace import GRID
from inegnum.provenance import Source

ZEAT_WAVES = (2016, 2017, 2018, 2019)


def build(shared: Path, out: Path) -> None:
    with threadpool_limits(limits=1, user_api="blas"):
        write_table(learned(shared), _record(), out)


def learned(shared: Path) -> pd.DataFrame:
    """Return one row an indicator of the registry that has regions."""
    mean, covariance = transfer(census_components())
    # Nine areas under nine of the region codes: labels only, no region is meant.
    raw = read_text(
        shared, "credoc/barometre_numerique_2007_2022_full.csv.gz", (*columns(), "ZEAT")
    )
    raw = raw[raw["ANNEE"].astype(int).isin(ZEAT_WAVES)].reset_index(drop=True)
    keys = recode(raw)
    names = sorted(raw["ZEAT"].unique())
    if len(names) != 9:
        raise ValueError(f"nine ZEAT expected, {names} found")
    keys["region"] = raw["ZEAT"].map(dict(zip(names, REGION.levels, strict=False)))
    rows = []
    for known in definitions():
        code = known.indicator.code
        survey = load_survey(code)
        parts = {}
        waves = tuple(w for w in (2020, 2022) if w in known.waves)
        if waves:
            parts["regions"] = (waves, survey.waves(*waves))
        waves = tuple(w for w in ZEAT_WAVES if w in known.waves)
        if waves:
            cells = collapse(keys, answers(raw, code))
            found = SurveyCells(cells, survey.indicator, survey.source)
            parts["zeat"] = (waves, found.waves(*waves))
        total = np.zeros(len(GRID))
        best = {"regions": np.nan, "zeat": np.nan}
        for name, (waves, cells) in parts.items():
            spec = ModelSpec(year=waves[-1], waves=waves, history=())
            loglik = region_likelihood(spec, cells, rng=np.random.default_rng(20260101))
            best[name] = float(GRID[np.argmax(loglik)])
            total += loglik
        centre, spread = combined(mean, covariance, total)
        rows.append(
            {
                "indicator": code,
                "prior_metro": np.exp(mean[1]),
                "prior_commune": np.exp(mean[2]),
                "best_regions": best["regions"],
                "best_zeat": best["zeat"],
                "region": np.exp(centre[0]),
                "metro": np.exp(centre[1]),
                "commune": np.exp(centre[2]),
                "prior_log_sd_metro": np.sqrt(covariance[1, 1]),
                "log_sd_metro": spread[1],
                "log_sd_commune": spread[2],
            }
        )
    numbers = {name: 3 for name in rows[0] if name != "indicator"}
    return pd.DataFrame(rows).round(numbers)


def _record() -> Record:
    return Record(
        Source(
            name="learned_tau",
            producer="inegnum, from the Baromètre du numérique (Arcep, Arcom, CGE, ANCT) and INSEE",
            title="Écarts entre zones à composition donnée, appris ailleurs, par indicateur",
            universe="that of each indicator",
            vintage="RP2012, RP2018; Baromètre 2016 to 2022",
            geo_vintage="",
            unit="logits",
            licence="ODbL-1.0",
            address="https://www.data.gouv.fr/fr/datasets/barometre-du-numerique/",
            role="fit",
            sha256="",
            transformation="Sds of deviations of regions, metropolises and communes of census "
            "pseudo-targets (law across targets), updated by the marginal likelihood of the "
            "survey's regions and ZEAT on the indicator (inegnum.estimators.learned_tau).",
        ),
        file="learned_tau.csv",
        rows=0,
        columns=(
            text("indicator", "indicator", "indicateur"),
            number("prior_metro", "metropolis, before the survey", "métropole, avant l'enquête"),
            number("prior_commune", "commune, before the survey", "commune, avant l'enquête"),
            number("best_regions", "likeliest sd of regions", "écart des régions le plus probable"),
            number("best_zeat", "likeliest sd of the ZEAT", "écart des ZEAT le plus probable"),
            number("region", "region, median", "région, médiane"),
            number("metro", "metropolis, median", "métropole, médiane"),
            number("commune", "commune, median", "commune, médiane"),
            number(
                "prior_log_sd_metro",
                "sd of the log, metropolis, before the survey",
                "écart type du log, métropole, avant l'enquête",
            ),
            number("log_sd_metro", "sd of the log, metropolis", "écart type du log, métropole"),
            number("log_sd_commune", "sd of the log, commune", "écart type du log, commune"),
        ),
        caveats_en=(
            "Pseudo-targets are socio-economic; a dozen regions do not identify a commune's sd.",
            "Deviations of regions hold interview mode as well as place.",
        ),
        caveats_fr=(
            "Les pseudo-cibles sont socio-économiques ; une douzaine de régions n'identifient pas "
            "l'écart d'une commune.",
            "Les écarts entre régions contiennent le mode de collecte autant que le lieu.",
        ),
    )
