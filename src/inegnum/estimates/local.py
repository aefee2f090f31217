"""A territory's own survey joined to the national model, one indicator at a time (tier T4).

With age, sex, diploma and occupation respondents enter by commune and profile
(`estimators.local_cells`); otherwise weighted rates by commune do (`estimators.fusion`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from inegnum.data.own_survey import OwnSurvey
from inegnum.data.types import Frame
from inegnum.draws import Draws
from inegnum.errors import InputError
from inegnum.estimators.fusion import Fused, LocalSurvey, fuse
from inegnum.estimators.local_cells import fuse_cells
from inegnum.estimators.multilevel import Fit

__all__ = ["FEWEST_SHOWN", "Local", "direct_rates", "fused"]

FEWEST_SHOWN: Final = 30
_PERSONAL: Final = ("age", "sex", "diploma", "occupation")


@dataclass(frozen=True, slots=True)
class Local:
    """A survey of the territory and the prior of what separates it from the national one.

    Attributes
    ----------
    survey : OwnSurvey
    offset_mean, offset_sd : float
        Logit difference of mode, year and wording: mean and sd of its prior.
    """

    survey: OwnSurvey
    offset_mean: float = 0.0
    offset_sd: float = 0.15

    def has(self, code: str) -> bool:
        """Whether the survey measured this indicator."""
        return bool((self.survey.table["indicator"] == code).any())


def fused(
    fitted: Fit, frame: Frame, modelled: Draws, local: Local, *, groups: list[str], seed: int
) -> Fused:
    """Return the draws of areas and groups, updated by the local survey.

    Raises
    ------
    InputError
        Respondents live outside the frame, or rates by commune meet a frame of IRIS.
    """
    code = fitted.indicator.code
    table = local.survey.table
    of = table[table["indicator"] == code]
    if not (of[list(_PERSONAL)] == "").any(axis=None):
        cells = local.survey.cells(code, places=True)
        return fuse_cells(
            fitted,
            frame,
            cells,
            offset_mean=local.offset_mean,
            offset_sd=local.offset_sd,
            groups=groups,
            seed=seed,
        )
    if (frame.areas["level"] == "iris").any():
        raise InputError(
            "rates by commune cannot be joined to a frame of IRIS",
            where=f"{local.survey.source.name}, {code}",
            expected="a survey with age, sex, diploma, occupation and IRIS codes",
            hint="leave iris out of territory.levels, or complete the codebook",
        )
    rates = direct_rates(local, code)
    # Kish's design effect of unequal weights over the whole survey.
    sums = local.survey.by_area(code)[["n", "w", "w2"]].sum()
    survey = LocalSurvey(
        rates,
        code,
        fitted.indicator.universe,
        local.survey.source,
        deff=max(1.0, float(sums["n"] * sums["w2"] / sums["w"] ** 2)),
        offset_mean=local.offset_mean,
        offset_sd=local.offset_sd,
    )
    return fuse(modelled, survey, groups="whole", seed=seed)


def direct_rates(local: Local, code: str) -> pd.DataFrame:
    """Return the survey's own weighted rates: ``geo, rate, n``."""
    sums = local.survey.by_area(code)
    return pd.DataFrame({"geo": sums["geo"], "rate": sums["wy"] / sums["w"], "n": sums["n"]})
