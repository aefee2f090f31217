"""The same indicator in several years: national trend, local deviations that walk, Prob(change).

Model
    One posterior of the pooled waves gives the coefficients of every year (their effects by wave
    are drawn together, under one reading of the urban gradient a draw); each year is anchored to
    its own national rate. The deviation of a place
    follows a random walk around composition: between years t and s its draws have the correlation
    1 - q |t - s|, its sd unchanged.
Assumptions
    q is that of census pseudo-targets between RP2012 and RP2018, given composition. Correlation
    over six years: 0.91 of intercommunalities (0.83-0.96 over six cases), 0.80 of communes over
    10,000 persons, their intercommunality's part included, so 0.66 of their own part. Variables
    differ (a loss 0.5 to 3 times the median, at both levels alike): `walk` draws q, with a sd of
    its log of 0.7. The gradient of urban sizes follows the reading of the draw.
Limits
    The national survey has no respondent of a given metropolis: what changes locally beyond the
    national trend and composition is drawn, not observed. The share of telephone interviews moved
    between 2020 and 2022 (`same_mode_change`). A change across a break (mode in 2020, wordings:
    `indicators.breaks`) is refused unless asked for, and is then not a change.

References
----------
    Fay & Diallo 2012, Proc. ASA Survey Research Methods (area effects in time); Rue & Held 2005.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from inegnum.data.indicators import breaks
from inegnum.data.types import Frame, SurveyCells
from inegnum.draws import Draws
from inegnum.errors import InputError
from inegnum.estimators.deviations import Noise
from inegnum.estimators.multilevel import Fit, fit_waves
from inegnum.estimators.spec import ModelSpec
from inegnum.provenance import require_role

__all__ = [
    "LOST_LOG_SD",
    "LOST_PER_YEAR",
    "change",
    "fit_years",
    "same_mode_change",
    "walk",
    "year_correlation",
]

Floats = npt.NDArray[np.float64]

_OLDER: Final = ("60-69", "70+")
# (1 - correlation over six years) / 6: see the assumptions. IRIS as communes.
LOST_PER_YEAR: Final[Mapping[str, float]] = {"metro": 0.015, "commune": 0.056, "iris": 0.056}
LOST_LOG_SD: Final = 0.7


def year_correlation(
    years: Sequence[int], *, lost: Mapping[str, float] = LOST_PER_YEAR
) -> dict[str, Floats]:
    """Return the correlation of a place's deviations between years, by level.

    Examples
    --------
    >>> year_correlation((2020, 2022))["metro"].round(2).tolist()
    [[1.0, 0.97], [0.97, 1.0]]
    """
    t = np.asarray(years, dtype=np.float64)
    lag = np.abs(t[:, None] - t[None, :])
    if any(not 0 <= q * lag.max() <= 1 for q in lost.values()):
        raise InputError(
            "deviations of years too far apart have no positive correlation left",
            got=f"{lag.max():.0f} years",
            hint="compare nearer years, or give smaller losses by year",
        )
    return {level: 1 - q * lag for level, q in lost.items()}


def fit_years(
    spec: ModelSpec,
    survey: SurveyCells,
    years: Sequence[int],
    *,
    national: Mapping[int, Frame],
    seed: int,
    across_breaks: bool = False,
) -> tuple[Fit, ...]:
    """Fit once and return a fit for each year, whose draws go together.

    The fit of the latest year is that of `multilevel.fit` with the same seed, to the byte.

    Parameters
    ----------
    spec : ModelSpec
    survey : SurveyCells
    years : sequence of int
    national : mapping of year to Frame
        What each year is anchored on.
    seed : int
    across_breaks : bool
        Whether to go on where a break of mode or wording makes the difference no change. Earlier
        waves are then fitted apart, each by itself.

    Raises
    ------
    InputError
        A year is not among the waves, has no frame, or a break lies between two of them.
    """
    require_role([survey.source], "fit", where=f"fit of {survey.indicator.code}")
    found = {int(wave) for wave in survey.table["wave"].unique()}
    crossed = breaks(survey.indicator.code, min(years), max(years))
    usable = found if crossed and across_breaks else found & set(spec.waves)
    absent = [year for year in years if year not in usable]
    if absent or any(year not in national for year in years):
        raise InputError(
            "a year of a comparison needs its wave and its national frame",
            where=survey.indicator.code,
            got=absent or [year for year in years if year not in national],
            expected=f"waves {sorted(usable)}",
        )
    if crossed and not across_breaks:
        raise InputError(
            "a break lies between these years: their difference is not a change",
            where=f"{survey.indicator.code}, {min(years)} and {max(years)}",
            got="; ".join(one.en for one in crossed),
            hint="compare years on one side of it",
        )
    last = max(years)
    spec = replace(spec, year=last, waves=tuple(wave for wave in spec.waves if wave in found))
    earlier = sorted(set(years) - {last})
    with threadpool_limits(limits=1, user_api="blas"):
        if crossed:
            main = fit_waves(spec, survey, national[last], {}, seed)
            apart = [_alone(spec, survey, year, national[year], seed) for year in earlier]
            fits = (*main, *apart)
        else:
            others = {year: national[year] for year in earlier}
            fits = fit_waves(spec, survey, national[last], others, seed)
    return tuple({fit.year: fit for fit in fits}[year] for year in years)


def _alone(spec: ModelSpec, survey: SurveyCells, year: int, national: Frame, seed: int) -> Fit:
    """Fit one wave by itself, with coefficients of its own draws."""
    one = replace(spec, year=year, waves=(year,), history=())
    return fit_waves(one, survey, national, {}, seed + year)[0]


def walk(
    years: tuple[int, int],
    *,
    seed: int,
    lost: Mapping[str, float] = LOST_PER_YEAR,
    log_sd: float = LOST_LOG_SD,
) -> Noise:
    """Return what the deviations of one year become in another, `seed` being that of the walk.

    Given to `Fit.predict` of the earlier year with the seed of the later one, whose draws stay as
    they are. The losses of a draw are `lost` times one factor, whose log has the sd `log_sd`: an
    indicator that lasts less does so at every level. None loses more than all of it.
    """
    R = year_correlation(years, lost=lost)

    def noise(part: str, z: Floats) -> Floats:
        factor = np.exp(log_sd * np.random.default_rng(seed).standard_normal((len(z), 1)))
        kept = np.maximum(1 - (1 - R[part][0, 1]) * factor, 0.0)
        rng = np.random.default_rng([seed, zlib.crc32(part.encode()), z.shape[1]])
        return np.asarray(kept * z + np.sqrt(1 - kept**2) * rng.standard_normal(z.shape))

    return noise


def same_mode_change(survey: SurveyCells, years: tuple[int, int]) -> tuple[float, float]:
    """Return the national change of a rate, as collected and with the telephone share held.

    Within each age, both years are given the mean of their telephone shares. Under 60 telephone
    interviews are few: these ages are taken together. A difference between the two figures is a
    change of recruitment, not of behaviour.
    """
    as_collected, held = [], []
    tables = [survey.waves(year).table for year in years]
    sums = [
        table.assign(age=table["age"].where(table["age"].isin(_OLDER), "under 60"))
        .groupby(["age", "mode"])[["w", "wy"]]
        .sum()
        for table in tables
    ]
    shares = [one["w"] / one["w"].groupby("age").transform("sum") for one in sums]
    share = shares[0].add(shares[1], fill_value=0.0) / 2
    for one in sums:
        people = one["w"].groupby("age").sum() / one["w"].sum()
        rate = one["wy"] / one["w"]
        as_collected.append(float(one["wy"].sum() / one["w"].sum()))
        # A mode with nobody in one of the years leaves its age to the other.
        kept = share[rate.index] / share[rate.index].groupby("age").transform("sum")
        held.append(float(((rate * kept).groupby("age").sum() * people).sum()))
    return as_collected[1] - as_collected[0], held[1] - held[0]


def change(before: Draws, after: Draws, *, prob: float = 0.95) -> pd.DataFrame:
    """Return what changed between two years, from joint draws (`joint.predict_jointly`).

    Returns
    -------
    DataFrame
        ``geo, level, before, after, change, lower, upper, p_up``: rates, their difference with its
        interval of mass `prob`, and the probability that it is positive.

    Raises
    ------
    InputError
        The draws are not of the same items.
    """
    if not before.items[["geo", "level"]].equals(after.items[["geo", "level"]]):
        raise InputError("a change is of the same areas in both years", where="change")
    moved = after.values - before.values
    lower, upper = np.quantile(moved, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    return before.items[["geo", "level"]].assign(
        before=before.point,
        after=after.point,
        change=moved.mean(axis=0),
        lower=lower,
        upper=upper,
        p_up=(moved > 0).mean(axis=0),
    )
