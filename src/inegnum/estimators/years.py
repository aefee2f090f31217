"""The same indicator in several years: national trend, local deviations that walk, Prob(change).

Model
    One posterior of the pooled waves gives the coefficients of every year (their effects by wave
    are drawn together); each year is anchored to its own national rate. The deviation of a place
    follows a random walk around composition: between years t and s its draws have the correlation
    1 - q |t - s|, its sd unchanged.
Assumptions
    q is that of census pseudo-targets between RP2012 and RP2018, given composition: correlation
    0.91 of intercommunalities (0.83-0.96 over six cases), 0.80 of communes over 10,000 persons
    (0.61-0.92), in six years. The gradient of urban sizes is the pooled one.
Limits
    The national survey has no respondent of a given metropolis: what changes locally beyond the
    national trend and composition is drawn, not observed. A change across a break (mode in 2020,
    wordings: `indicators.breaks`) is refused unless asked for, and is then not a change.

References
----------
    Fay & Diallo 2012, Proc. ASA Survey Research Methods (area effects in time); Rue & Held 2005.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

from inegnum.data.indicators import breaks
from inegnum.data.types import Frame, SurveyCells
from inegnum.draws import Draws
from inegnum.errors import InputError
from inegnum.estimators.anchor import anchor_shift
from inegnum.estimators.diagnostics import Diagnostics
from inegnum.estimators.evidence import direct_rate
from inegnum.estimators.learned_tau import resolved
from inegnum.estimators.multilevel import Fit
from inegnum.estimators.readings import Readings
from inegnum.estimators.spec import ModelSpec, ModeReadings
from inegnum.estimators.terms import coefficients
from inegnum.provenance import require_role

__all__ = ["LOST_PER_YEAR", "change", "fit_years", "year_correlation"]

Floats = npt.NDArray[np.float64]

# (1 - correlation over six years) / 6: see the assumptions. IRIS as communes.
LOST_PER_YEAR: Final[Mapping[str, float]] = {"metro": 0.015, "commune": 0.033, "iris": 0.033}


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

    Parameters
    ----------
    spec : ModelSpec
        Its `waves` hold every year.
    survey : SurveyCells
    years : sequence of int
    national : mapping of year to Frame
        What each year is anchored on.
    seed : int
    across_breaks : bool
        Whether to go on where a break of mode or wording makes the difference no change.

    Raises
    ------
    InputError
        A year is not among the waves, has no frame, or a break lies between two of them.
    """
    require_role([survey.source], "fit", where=f"fit of {survey.indicator.code}")
    found = {int(wave) for wave in survey.table["wave"].unique()}
    absent = [year for year in years if year not in found or year not in spec.waves]
    if absent or any(year not in national for year in years):
        raise InputError(
            "a year of a comparison needs its wave and its national frame",
            where=survey.indicator.code,
            got=absent or [year for year in years if year not in national],
            expected=f"waves {sorted(found & set(spec.waves))}",
        )
    crossed = breaks(survey.indicator.code, min(years), max(years))
    if crossed and not across_breaks:
        raise InputError(
            "a break lies between these years: their difference is not a change",
            where=f"{survey.indicator.code}, {min(years)} and {max(years)}",
            got="; ".join(one.en for one in crossed),
            hint="compare years on one side of it",
        )
    last = max(years)
    spec = replace(
        spec,
        year=last,
        waves=tuple(wave for wave in spec.waves if wave in found),
        mode=ModeReadings(1.0, 0.0, 0.0),
        tau=resolved(spec.tau, survey.indicator.code),
    )
    rng = np.random.default_rng([seed, *years])
    with threadpool_limits(limits=1, user_api="blas"):
        readings = Readings(spec, survey, survey.waves(*spec.waves), last, rng)
        drawn, _ = readings.draw("pooled", spec.draws)
        notes = (*(one.en for one in crossed), *readings.switched())
        judged = readings.judged()
        khat = float(judged["khat"].max()) if len(judged) else -np.inf
        out = []
        for year in years:
            part = coefficients(drawn.effects, spec, drawn.rows, wave=year)
            direct = direct_rate(survey.waves(year).table)
            own, level = drawn.national_rate(year)
            drift = float(logit(direct.rate) - logit(own))
            target = expit(logit(direct.rate) + level)
            goal = (target, drift)
            shift, shift_drawn = anchor_shift(spec, part, national[year], survey.indicator, goal)
            sds = drawn.summary().assign(reading="pooled")
            mean, limit = float(shift.mean()), spec.anchor.limit
            diagnostics = Diagnostics(spec.engine, khat, mean, drift, limit, notes, sds, judged)
            out.append(
                Fit(
                    replace(spec, year=year),
                    survey.indicator,
                    year,
                    part,
                    np.zeros(spec.draws, dtype=np.int64),
                    target,
                    shift,
                    shift_drawn,
                    direct,
                    diagnostics,
                    (survey.source, *national[year].sources),
                    evidence=tuple(readings.fitted.values()),
                )
            )
    return tuple(out)


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
