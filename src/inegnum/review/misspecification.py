"""Rung 6: what the intervals are worth when the model is wrong.

Answers are simulated on the real design of the survey (its cells, weights, waves and modes) from a
known model, then the package's own estimator is fitted and predicts 51 areas with the real
composition of the regions by urban class. Each area adds a deviation of its metropolis and its own,
which no respondent shows. Worlds:

================  ===============================================================================
as_assumed        the model is right, deviations of 0.20 and 0.18, the medians of the prior
tau_drawn         deviations drawn from their prior, survey by survey
tau_half          true deviations half as large
tau_double        true deviations twice as large
interaction       age matters more in small urban units; the model has no such term
urban             the survey exaggerates the urban gradient by 0.4 logit in its last wave
mode              phone respondents are farther from digital, and phone is more frequent in small
                  urban units (and some regions) than it should be: the truth has the same share
                  everywhere
================  ===============================================================================

Each world is estimated by:

================  ===============================================================================
release           the estimator as a release uses it
tau x 0.5, x 2    the variants a release prints beside it, where tau is wrong
laplace, nuts     one wave, main effects, both engines on the same survey (full level only)
================  ===============================================================================

Limits: one level of areas; the frame is known; respondents of a cell are independent.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from inegnum.data.codebook import AGE, DIPLOMA, OCCUPATION, REGION, SEX, URBAN, profiles
from inegnum.data.frames.build import national_frame
from inegnum.data.survey import load_survey
from inegnum.data.types import Frame, SurveyCells
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec, ModeReadings, Sampler, Tau
from inegnum.review.scores import interval_columns, normal_log_score

__all__ = ["BY_ENGINE", "VARIANTS", "WORLDS", "engine_fold", "simulated_survey", "world_fold"]

Floats = npt.NDArray[np.float64]

WORLDS: Final = (
    "as_assumed",
    "tau_half",
    "tau_double",
    "interaction",
    "urban",
    "mode",
    "tau_drawn",
)
# Variants that are right where the default is wrong.
VARIANTS: Final = {"tau_half": 0.5, "tau_double": 2.0}
BY_ENGINE: Final = ("as_assumed", "interaction", "urban", "mode")
ENGINES: Final[tuple[Literal["laplace", "nuts"], ...]] = ("laplace", "nuts")
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
    y = rng.binomial(n, expit(logits)).astype(np.float64)
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
    tau = Tau()
    factor = np.full(2, VARIANTS.get(world, 1.0))
    if world == "tau_drawn":
        factor = np.exp(tau.log_sd * rng.standard_normal(2))
    kinds, epci = np.unique(frame.areas["epci"], return_inverse=True)
    deviation = factor[0] * tau.metro * rng.standard_normal(len(kinds))[epci]
    deviation += factor[1] * tau.commune * rng.standard_normal(len(frame.areas))
    place = {code: i for i, code in enumerate(REGION.levels)}
    rates = np.empty(len(frame.areas))
    for i, (urban, region) in enumerate(
        zip(frame.areas["urban"], frame.areas["region"], strict=True)
    ):
        logits = _logits(profiles().assign(urban=urban), world)
        logits += regions[place[region]] + deviation[i]
        p = expit(logits)
        if world == "mode":
            phone = profiles()["age"].map(_CHANCE_OF_PHONE).fillna(_YOUNG).to_numpy(np.float64)
            p = (1 - phone) * p + phone * expit(logits + _PHONE)
        rates[i] = frame.N[i] @ p / frame.N[i].sum()
    return rates


def world_fold(world: str, repeat: int) -> pd.DataFrame:
    """Simulate one survey of one world, estimate, and face the truth.

    Returns
    -------
    DataFrame
        One row a method and area: ``world, method, geo, cluster, survey, truth, est, sd``, interval
        bounds and ``log_score``. The cluster is the metropolis of one simulation.
    """
    survey, areas, truth = _simulated(world, repeat)
    france, _ = _areas()
    spec = ModelSpec(draws=600, points=16)
    found = fit(spec, survey, national=france, seed=repeat)
    drawn = {"release": found.predict(areas, seed=repeat, groups=None).values}
    if world in VARIANTS:
        factor = VARIANTS[world]
        other = replace(found, spec=replace(spec, tau=replace(spec.tau, factor=factor)))
        drawn[f"tau x {factor:g}"] = other.predict(areas, seed=repeat, groups=None).values
    return _faced(drawn, areas, truth).assign(world=world, survey=repeat)


def engine_fold(world: str, repeat: int) -> pd.DataFrame:
    """Do the same by each engine: main effects of one wave, the urban gradient as it is.

    Returns
    -------
    DataFrame
        As `world_fold`.
    """
    survey, areas, truth = _simulated(world, repeat)
    france, _ = _areas()
    plain = tuple(t for t in ModelSpec().terms if ":" not in t.factors and t.factors != "wave")
    drawn: dict[str, Floats] = {}
    for engine in ENGINES:
        spec = ModelSpec(
            waves=(YEAR,),
            history=(),
            terms=plain,
            mode=ModeReadings(1.0, 0.0, 0.0),
            engine=engine,
            # The survey is new in each world: short steps, so that no chain meets a divergence.
            sampler=Sampler(target_accept=0.99),
            draws=1000,
        )
        found = fit(spec, survey, national=france, seed=repeat)
        drawn[engine] = found.predict(areas, seed=repeat, groups=None).values
    return _faced(drawn, areas, truth).assign(world=world, survey=repeat)


def _simulated(world: str, repeat: int) -> tuple[SurveyCells, Frame, Floats]:
    """Return a survey of a world, the areas to estimate and their true rates."""
    rng = np.random.default_rng([6, WORLDS.index(world), repeat])
    regions = 0.12 * rng.standard_normal(len(REGION.levels))
    _, areas = _areas()
    survey = simulated_survey(world, regions, rng)
    return survey, areas, _truth(world, areas, regions, rng)


def _faced(drawn: dict[str, Floats], areas: Frame, truth: Floats) -> pd.DataFrame:
    """Set the draws of each method beside the truth."""
    rows = []
    for method, values in drawn.items():
        logits = logit(values)
        score = normal_log_score(logits.mean(axis=0), logits.std(axis=0, ddof=1), logit(truth))
        rows.append(
            pd.DataFrame(interval_columns(values)).assign(
                method=method, sd=values.std(axis=0, ddof=1), log_score=score, truth=truth
            )
        )
    kept = areas.areas[["geo", "urban", "epci"]]
    return pd.concat([pd.concat([kept, row], axis=1) for row in rows], ignore_index=True)
