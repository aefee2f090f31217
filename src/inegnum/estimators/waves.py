"""Draws of the effects of several waves from one posterior, each with the national rate it meets.

Every draw follows one reading of the urban gradient (`readings`), the same one in every wave:
what two waves share of place and mode cancels in their difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from inegnum.data.types import SurveyCells
from inegnum.estimators.evidence import DirectRate, direct_rate
from inegnum.estimators.readings import READINGS, Readings, pooled_waves
from inegnum.estimators.spec import ModelSpec
from inegnum.estimators.terms import Coefficients, joined

__all__ = ["DrawnWaves", "Wave", "draw_waves"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Wave:
    """What one wave brings to its anchor.

    Attributes
    ----------
    year : int
        Wave whose national rate is the anchor.
    direct : DirectRate
    coefficients : Coefficients
        S draws.
    target : ndarray of shape (S,)
        National rate of each draw.
    drift : float
        Logit of the survey's rate over that of the model on the survey's own weights.
    """

    year: int
    direct: DirectRate
    coefficients: Coefficients
    target: Floats
    drift: float


@dataclass(frozen=True, slots=True)
class DrawnWaves:
    """Waves of one posterior: row s of one goes with row s of all.

    Attributes
    ----------
    waves : tuple of Wave
        That of the specification's year first.
    reading : ndarray of shape (S,)
        Which of `READINGS` each draw follows.
    readings : Readings
    sds : DataFrame
        Of the effects, by reading.
    notes : tuple of str
    """

    waves: tuple[Wave, ...]
    reading: Ints
    readings: Readings
    sds: pd.DataFrame
    notes: tuple[str, ...]


def draw_waves(
    spec: ModelSpec, survey: SurveyCells, rng: np.random.Generator, others: Sequence[int] = ()
) -> DrawnWaves:
    """Fit once and draw the wave of the specification's year, and `others` with it.

    Asking for other waves changes no draw of the first.
    """
    notes: list[str] = []
    pooled, wave, year = pooled_waves(spec, survey, notes)
    # Coefficients are those of a wave that is pooled, the anchor that of the year.
    asked = ((wave, year), *((other, other) for other in others))
    direct = [direct_rate(survey.waves(anchor).table) for _, anchor in asked]
    readings = Readings(spec, survey, pooled, wave, rng)
    weights = readings.weights(notes)
    reading = np.repeat(
        np.arange(3), np.diff(np.round(np.cumsum([0, *weights]) * spec.draws)).astype(int)
    )
    parts: list[list[Coefficients]] = [[] for _ in asked]
    levels: list[list[Floats]] = [[] for _ in asked]
    drifts: list[list[Floats]] = [[] for _ in asked]
    sds = []
    for r in np.unique(reading):
        found, drawn = readings.draw(READINGS[r], int((reading == r).sum()), others)
        sds.append(found.summary().assign(reading=READINGS[r]))
        for k, ((at, anchor), rate) in enumerate(zip(asked, direct, strict=True)):
            own, level = found.national_rate(at)
            if at != anchor:  # the anchor's wave is not in the fit: its sampling error is its own
                spread = rate.se / (rate.rate * (1 - rate.rate))
                level = spread * rng.standard_normal(len(level))
            parts[k].append(drawn[k])
            levels[k].append(level)
            drifts[k].append(np.full(len(level), logit(rate.rate) - logit(own)))
    order = rng.permutation(spec.draws)
    waves = tuple(
        Wave(
            anchor,
            rate,
            joined(parts[k]).take(order),
            expit(logit(rate.rate) + np.concatenate(levels[k])[order]),
            float(np.concatenate(drifts[k]).mean()),
        )
        for k, ((_, anchor), rate) in enumerate(zip(asked, direct, strict=True))
    )
    table = pd.concat(sds, ignore_index=True)
    return DrawnWaves(waves, reading[order], readings, table, tuple(notes))
