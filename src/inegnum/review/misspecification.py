"""Rung 6: what the intervals are worth when the model is wrong.

Answers are simulated on the real design of the survey (its cells, weights, waves and modes) from a
known model, then the package's own estimator is fitted and predicts 51 areas with the real
composition of the regions by urban class. Each area adds a deviation of its metropolis and its own,
which no respondent shows. Worlds:

================  ===============================================================================
as_assumed        the model is right, deviations of 0.20 and 0.18 as the prior says
tau_half          true deviations half as large
tau_double        true deviations twice as large
interaction       age matters more in small urban units; the model has no such term
urban             the survey exaggerates the urban gradient by 0.4 logit in its last wave
mode              phone respondents are farther from digital, and phone is more frequent in small
                  urban units than it should be: the truth has the same share everywhere
================  ===============================================================================

Limits: one level of areas; the frame is known; respondents of a cell are independent.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.codebook import AGE, DIPLOMA, OCCUPATION, REGION, SEX, URBAN, profiles
from inegnum.data.frame import national_frame
from inegnum.data.survey import load_survey
from inegnum.data.types import Frame, SurveyCells
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec
from inegnum.review.folds import Runner
from inegnum.review.rung import Rung
from inegnum.review.scores import coverage_by, interval_columns, normal_log_score
from inegnum.review.thresholds import coverage_verdict

__all__ = ["WORLDS", "misspecification_rung", "world_fold"]

Floats = npt.NDArray[np.float64]

WORLDS: Final = ("as_assumed", "tau_half", "tau_double", "interaction", "urban", "mode")
_QUICK: Final = ("as_assumed", "tau_double", "interaction", "mode")
YEAR: Final = 2022
# Effects of the order of those of smartphone ownership in 2022, in logits.
_INTERCEPT: Final = 1.9
_EFFECTS: Final = {
    "age": dict(zip(AGE.levels, (1.2, 1.2, 1.6, 1.2, 0.3, -0.4, -1.3), strict=True)),
    "sex": dict(zip(SEX.levels, (-0.05, 0.05), strict=True)),
    "diploma": dict(zip(DIPLOMA.levels, (0.0, 0.6, -0.7, -0.2, 0.2, 0.6), strict=True)),
    "occupation": dict(
        zip(OCCUPATION.levels, (0.0, 0.0, 0.0, 0.3, 0.2, 0.1, -0.1, -0.1, -0.4), strict=True)
    ),
    "urban": dict(zip(URBAN.levels, (-0.3, -0.1, 0.0, 0.2, 0.3), strict=True)),
}
_PHONE: Final = -1.5
_CHANCE_OF_PHONE: Final = {"70+": 0.35, "60-69": 0.15}
_YOUNG: Final = 0.05


def _logits(table: pd.DataFrame, world: str) -> Floats:
    """Return the true logit of each row, mode and deviations left out."""
    ages = table["age"].replace({"12-17": "15-17"})
    total = np.full(len(table), _INTERCEPT)
    for factor, effects in _EFFECTS.items():
        values = ages if factor == "age" else table[factor]
        total += values.map(effects).to_numpy(np.float64)
    if world == "interaction":
        small = table["urban"].isin(["rural", "2k-20k"]).to_numpy()
        total += np.where(small & (ages == "70+").to_numpy(), -0.5, 0.0)
        total += np.where(small & (ages == "18-24").to_numpy(), 0.5, 0.0)
    return total


def _expit(x: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(x))


def simulated_survey(world: str, regions: Floats, rng: np.random.Generator) -> SurveyCells:
    """Return cells with simulated answers on the real design."""
    real = load_survey("smartphone")
    table = real.table
    logits = _logits(table, world)
    place = {code: i for i, code in enumerate(REGION.levels)}
    known = (table["region"] != "").to_numpy()
    at = table["region"].map(place).fillna(0).to_numpy(np.int64)
    logits += np.where(known, regions[at], 0.0)
    if world == "mode":
        logits += np.where(table["mode"] == "phone", _PHONE, 0.0)
    if world == "urban":
        steps = table["urban"].map({u: i / 4 for i, u in enumerate(URBAN.levels)})
        logits += np.where(table["wave"] == YEAR, 0.4 * (steps.to_numpy(np.float64) - 0.5), 0.0)
    n = table["n"].to_numpy(np.int64)
    y = rng.binomial(n, _expit(logits)).astype(np.float64)
    share = y / n
    answers = table.assign(y=y, wy=table["w"] * share, w2y=table["w2"] * share)
    return SurveyCells(answers, real.indicator, real.source)


@cache
def _areas() -> tuple[Frame, Frame]:
    """Return France, and the same strata as 51 communes of 13 metropolises."""
    france = national_frame(year=YEAR)
    areas = france.areas.assign(
        geo=[f"{i:05d}" for i in range(len(france.areas))],
        level="commune",
        epci="metropolis of " + france.areas["region"],
    )
    return france, Frame(areas, france.N, france.sources, france.year)


def _truth(world: str, frame: Frame, regions: Floats, rng: np.random.Generator) -> Floats:
    """Return the true rate of each area, shape (A,)."""
    factor = {"tau_half": 0.5, "tau_double": 2.0}.get(world, 1.0)
    kinds, epci = np.unique(frame.areas["epci"], return_inverse=True)
    deviation = factor * 0.20 * rng.standard_normal(len(kinds))[epci]
    deviation += factor * 0.18 * rng.standard_normal(len(frame.areas))
    place = {code: i for i, code in enumerate(REGION.levels)}
    rates = np.empty(len(frame.areas))
    for i, (urban, region) in enumerate(
        zip(frame.areas["urban"], frame.areas["region"], strict=True)
    ):
        logits = _logits(profiles().assign(urban=urban), world)
        logits += regions[place[region]] + deviation[i]
        p = _expit(logits)
        if world == "mode":
            phone = profiles()["age"].map(_CHANCE_OF_PHONE).fillna(_YOUNG).to_numpy(np.float64)
            p = (1 - phone) * p + phone * _expit(logits + _PHONE)
        rates[i] = frame.N[i] @ p / frame.N[i].sum()
    return rates


def world_fold(world: str, repeat: int) -> pd.DataFrame:
    """Simulate one survey of one world, estimate, and face the truth.

    Returns
    -------
    DataFrame
        One row an area: ``world, geo, cluster, survey, truth, est, sd``, interval bounds and
        ``log_score``. The cluster is the metropolis of one simulation.
    """
    rng = np.random.default_rng([6, WORLDS.index(world), repeat])
    regions = 0.12 * rng.standard_normal(len(REGION.levels))
    france, areas = _areas()
    survey = simulated_survey(world, regions, rng)
    found = fit(ModelSpec(draws=600, points=16), survey, national=france, seed=repeat)
    drawn = found.predict(areas, seed=repeat, groups=None).values
    truth = _truth(world, areas, regions, rng)
    logits = np.log(drawn) - np.log1p(-drawn)
    score = normal_log_score(
        logits.mean(axis=0), logits.std(axis=0, ddof=1), np.log(truth) - np.log1p(-truth)
    )
    return pd.DataFrame(interval_columns(drawn)).assign(
        world=world,
        geo=areas.areas["geo"],
        urban=areas.areas["urban"],
        cluster=[f"{repeat} {epci}" for epci in areas.areas["epci"]],
        survey=repeat,
        truth=truth,
        sd=drawn.std(axis=0, ddof=1),
        log_score=score,
    )


_SAID: Final = {
    "as_assumed": ("the model is right", "le modèle est juste"),
    "tau_half": ("deviations half the prior's", "écarts moitié de ceux du prior"),
    "tau_double": ("deviations twice the prior's", "écarts doubles de ceux du prior"),
    "interaction": (
        "an interaction of age and urban size is missing",
        "une interaction entre âge et taille urbaine manque",
    ),
    "urban": (
        "the last wave exaggerates the urban gradient",
        "la vague exagère le gradient urbain",
    ),
    "mode": ("mode is confounded with urban size", "le mode se confond avec la taille urbaine"),
}


def misspecification_rung(runner: Runner, level: Literal["quick", "full"]) -> Rung:
    """Climb rung 6."""
    hashes = {s.name: s.sha256 for s in catalogue.sources() if s.role == "fit"}
    worlds, repeats = (_QUICK, 2) if level == "quick" else (WORLDS, 10)
    tasks = [(world, repeat) for world in worlds for repeat in range(repeats)]
    rows = runner.run("misspecification", world_fold, tasks, inputs=" ".join(hashes.values()))
    verdicts = tuple(
        coverage_verdict(
            rows[rows["world"] == world],
            f"misspecification/{world}",
            "coverage_95",
            en=f"{_SAID[world][0]}: 95 % coverage",
            fr=f"{_SAID[world][1]} : couverture à 95 %",
            # A prior wrong by two misses by construction: how much is what is asked.
            miss="warn" if world.startswith("tau") else "fail",
        )
        for world in worlds
    )
    return Rung(
        6,
        "misspecification",
        "Misspecification: what are the intervals worth when the model is wrong?",
        "Mauvaise spécification : que valent les intervalles quand le modèle est faux ?",
        verdicts,
        {
            "misspecification": coverage_by(rows, ["world"]),
            "misspecification_urban": coverage_by(rows, ["world", "urban"]),
        },
        notes_en=(
            f"{repeats} simulated surveys a world, engine laplace, 51 areas of 13 metropolises.",
            "With deviations twice the prior's, intervals must miss: releases print the result "
            "with tau halved and doubled for that reason.",
        ),
        notes_fr=(
            f"{repeats} enquêtes simulées par monde, moteur laplace, 51 zones de 13 métropoles.",
            "Avec des écarts doubles de ceux du prior, les intervalles manquent : les publications "
            "montrent pour cela le résultat avec tau divisé et multiplié par deux.",
        ),
        inputs=hashes,
    )
