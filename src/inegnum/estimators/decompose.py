"""From the national rate to the rate of a territory, one characteristic at a time.

Model
    France -> age -> diploma -> occupation -> sex and the rest of the joint -> urban size -> region
    -> area deviation. At each step the national frame takes the territory's distribution of what is
    named so far and keeps its own distribution of the rest given that; the model's coefficients
    never change, so every difference is composition until urban size, place after it.
Limits
    Order matters: what two characteristics share goes to the first. The area step has mean zero by
    construction (nobody of the territory was interviewed): its interval is the point.

References
----------
    Kitagawa 1955, doi:10.1080/01621459.1955.10501299; Das Gupta 1993 (standardisation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.codebook import profiles
from inegnum.data.types import Frame
from inegnum.draws import Draws
from inegnum.errors import FrameError
from inegnum.estimators.deviations import geographic_codes
from inegnum.estimators.multilevel import Fit
from inegnum.estimators.spec import Component
from inegnum.numerics.poststratify import poststratify

__all__ = ["STEPS", "Decomposition", "decompose"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEPS: Final = ("france", "age", "diploma", "occupation", "sex", "urban", "region", "area")
_PERSONAL: Final = {
    "age": ["age"],
    "diploma": ["age", "diploma"],
    "occupation": ["age", "diploma", "occupation"],
    "sex": ["age", "diploma", "occupation", "sex"],
}


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Rates after each step and what each step changed, from the same draws.

    Attributes
    ----------
    levels : Draws
        One item a step of `STEPS`.
    changes : Draws
        One item a step after the first; they add up to the gap in every draw.
    """

    levels: Draws
    changes: Draws

    def to_frame(self, prob: float = 0.95) -> pd.DataFrame:
        """Return ``step, rate, change, lower, upper``; bounds are those of the change."""
        lower, upper = self.changes.interval(prob)
        return pd.DataFrame(
            {
                "step": self.levels.items["step"],
                "rate": self.levels.point,
                "change": np.append(np.nan, self.changes.point),
                "lower": np.append(np.nan, lower),
                "upper": np.append(np.nan, upper),
            }
        )


def decompose(fit: Fit, frame: Frame, *, national: Frame, seed: int) -> Decomposition:
    """Explain the rate of a territory (all areas of `frame` together) from the national rate.

    Parameters
    ----------
    fit : Fit
    frame : Frame
        Areas of the territory.
    national : Frame
        The frame the fit was anchored on.
    seed : int
        Of the area deviations of the last step.

    Raises
    ------
    FrameError
        A profile, urban size or region of the territory does not exist in the national frame.

    Examples
    --------
    >>> import inegnum as ing
    >>> france = ing.national_frame(year=2022)
    >>> spec = ing.ModelSpec(history=(), draws=400)
    >>> fit = ing.fit(spec, ing.load_survey("smartphone"), national=france, seed=1)
    >>> frame = ing.build_frame(ing.load_areas(epci="243300316"), year=2022)
    >>> ing.decompose(fit, frame, national=france, seed=1).to_frame()["step"].tolist()
    ['france', 'age', 'diploma', 'occupation', 'sex', 'urban', 'region', 'area']
    """
    mask = frame.mask(fit.indicator.universe)
    table = profiles()[mask]
    N, local = national.N[:, mask], frame.N[:, mask]
    c = fit.coefficients
    profile = c.profile[:, mask] + fit.shift[:, None]
    area = c.urban[:, geographic_codes(national, "urban")]
    area = area + c.region[:, geographic_codes(national, "region")]
    frames = [N]
    for columns in _PERSONAL.values():
        group = np.asarray(table.groupby(columns, sort=False).ngroup(), dtype=np.int64)
        frames.append(N * _ratio(N.sum(axis=0), local.sum(axis=0), group))
    by_urban = _by(local, geographic_codes(frame, "urban"), 5)
    frames.append(_within_urban(N, by_urban, geographic_codes(national, "urban")))
    rates = [_rate(profile, area, weights) for weights in frames]
    own = c.urban[:, geographic_codes(frame, "urban")]
    own = own + c.region[:, geographic_codes(frame, "region")]
    rates.append(_rate(profile, own, local))
    kept: tuple[Component, ...] = ("sampling", "transport", "mode", "anchor")
    moved = fit.predict_counts(frame, seed=seed, components=kept, groups=None)
    rates.append(moved.values.sum(axis=1) / local.sum())
    levels = np.stack(rates, axis=1)
    return Decomposition(
        Draws(levels, pd.DataFrame({"step": STEPS})),
        Draws(np.diff(levels, axis=1), pd.DataFrame({"step": STEPS[1:]})),
    )


def _rate(profile: Floats, area: Floats, N: Floats) -> Floats:
    counts, persons = poststratify(profile, area, N)
    return np.asarray(counts.sum(axis=1) / persons.sum(axis=1))


def _ratio(nation: Floats, territory: Floats, group: Ints) -> Floats:
    """Return, by profile, what brings the national shares of its group to the territory's."""
    a = np.bincount(group, nation / nation.sum())
    b = np.bincount(group, territory / territory.sum())
    _require_reached(a > 0, b > 0, "profiles")
    ratio = np.divide(b, a, out=np.zeros_like(b), where=a > 0)
    return np.asarray(ratio[group])


def _by(local: Floats, codes: Ints, levels: int) -> Floats:
    out = np.zeros((levels, local.shape[1]))
    np.add.at(out, codes, local)
    return out


def _within_urban(N: Floats, by_urban: Floats, codes: Ints) -> Floats:
    """Give each urban size the territory's profiles, spread over regions as the nation's are."""
    total = _by(N, codes, len(by_urban))
    _require_reached(total > 0, by_urban > 0, "profiles by urban size")
    ratio = np.divide(by_urban, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(N * ratio[codes])


def _require_reached(
    nation: npt.NDArray[np.bool_], territory: npt.NDArray[np.bool_], what: str
) -> None:
    missing = territory & ~nation
    if missing.any():
        raise FrameError(
            f"{what} of the territory have nobody in the national frame",
            got=f"{int(missing.sum())} of them",
            hint="build both frames from the same seeds",
        )
