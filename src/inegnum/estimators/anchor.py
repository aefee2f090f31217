"""One logit shift a draw, so that the national frame reproduces the national rate.

Census and survey do not cut people alike; the shift corrects the level of every cell at once, and
no slope.

References
----------
Rosenman, McCartan & Olivella 2023, doi:10.1017/pan.2022.31.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inegnum.data.types import Frame, Indicator
from inegnum.errors import BenchmarkError
from inegnum.estimators.deviations import geographic_codes
from inegnum.estimators.spec import ModelSpec
from inegnum.estimators.terms import Coefficients
from inegnum.numerics.poststratify import shift_to

__all__ = ["anchor_shift"]

Floats = npt.NDArray[np.float64]


def anchor_shift(
    spec: ModelSpec,
    part: Coefficients,
    national: Frame,
    indicator: Indicator,
    goal: tuple[Floats, float],
) -> tuple[Floats, Floats]:
    """Return the logit shift of each draw on the national frame and on its draws, or refuse it."""
    target, drift = goal
    if spec.anchor.to == "none":
        return np.zeros(len(target)), np.zeros(len(target))
    mask = national.mask(indicator.universe)
    area = part.urban[:, geographic_codes(national, "urban")]
    area = area + part.region[:, geographic_codes(national, "region")]
    profile = part.profile[:, mask]
    shift = shift_to(profile, area, national.N[:, mask], target=target)
    if abs(shift.mean() - drift) > spec.anchor.limit:
        raise BenchmarkError(
            "the national frame is too far from the national rate to be anchored",
            where=indicator.code,
            got=f"a logit shift of {shift.mean() - drift:+.2f}",
            expected=f"at most {spec.anchor.limit:g} either way",
            hint="compare the categories of survey and census: a shift this large is not a level",
        )
    if not national.draws.size:
        return shift, shift
    which = np.arange(len(target), dtype=np.int64) % len(national.draws)
    drawn = shift_to(
        profile, area, national.draws[:, :, mask], target=target, frame=which, start=shift
    )
    return shift, drawn
