"""Modelled rates and a local survey together (tier T4).

Model
    z_i = theta_i + b + e_i on the logit scale: theta are the joint draws of the national model, b
    one offset of mode shared by all areas, normal; e_i the sampling error of the local direct
    estimate, e ~ N(0, deff / (n p (1 - p))).
Method
    Draws are updated, not replaced: each moves by the gain times what its own simulated survey
    misses of the real one (Matheron's rule), so they stay joint draws of every area. The direct
    rate is linearised around the modelled mean and once more around the update, so that a rate of
    0 or 1 in a small commune needs no correction.
Assumptions
    Logit rates of areas are jointly normal; local areas are surveyed independently.
Limits
    The offset is told from the deviation of the metropolis by its prior only.

References
----------
    Fay & Herriot 1979, doi:10.2307/2286322; Wilson et al. 2021, JMLR 22(105) (Matheron's rule).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from inegnum.draws import Draws
from inegnum.errors import InputError, UniverseError
from inegnum.provenance import Source, require_role

__all__ = ["Fused", "LocalSurvey", "fuse"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LocalSurvey:
    """Direct estimates of a local survey.

    Attributes
    ----------
    table : DataFrame
        ``geo, rate, n``: code of the area as text, weighted rate, respondents. An area without
        respondents has no row.
    indicator, universe : str
        Must be those of the draws.
    source : Source
        Of role ``fit``: a survey kept to judge the estimates does not enter them.
    deff : float
        Design effect of the survey.
    offset_mean, offset_sd : float
        Prior of the logit difference between this survey and the national one (telephone against
        mixed mode, wording).
    """

    table: pd.DataFrame
    indicator: str
    universe: str
    source: Source
    deff: float = 1.5
    offset_mean: float = 0.0
    offset_sd: float = 0.15

    def __post_init__(self) -> None:
        missing = {"geo", "rate", "n"} - set(self.table.columns)
        if missing:
            raise InputError(
                "a local survey lacks columns",
                where=self.source.name,
                got=", ".join(map(str, self.table.columns)),
                expected="geo, rate, n",
                hint=f"add {', '.join(sorted(missing))}",
            )
        rate, n = (self.table[c].to_numpy(dtype=np.float64) for c in ("rate", "n"))
        bad = ~((rate >= 0) & (rate <= 1) & (n > 0) & np.isfinite(n))
        if bad.any() or self.table["geo"].duplicated().any():
            raise InputError(
                "local rates lie between 0 and 1, respondents are counted, areas stand once",
                where=", ".join(self.table.loc[bad, "geo"].astype(str).head(5)) or "geo",
                got=f"{int(bad.sum())} rows, {int(self.table['geo'].duplicated().sum())} repeated",
                hint="leave out areas without respondents: missing is not zero",
            )
        if self.deff <= 0 or self.offset_sd < 0:
            raise InputError("a design effect is positive, an sd not negative", where="deff")


@dataclass(frozen=True, slots=True)
class Fused:
    """Updated draws and what the local survey brought.

    Attributes
    ----------
    draws : Draws
        Items of the modelled draws, in their order.
    share_local : ndarray of shape (J,)
        Part of each item's variance (logit) that the local survey removed.
    offset : ndarray of shape (S,)
        Draws of the mode offset.
    """

    draws: Draws
    share_local: Floats
    offset: Floats


def fuse(modelled: Draws, survey: LocalSurvey, *, groups: str = "epci", seed: int) -> Fused:
    """Update modelled rates by a local survey.

    Parameters
    ----------
    modelled : Draws
        Rates from `Fit.predict`: areas, then at most one group that is their sum.
    survey : LocalSurvey
    groups : str
        Level of the group item, recomputed from its updated areas with their mean persons.
    seed : int
        Of the simulated surveys.

    Raises
    ------
    UniverseError
        Survey and draws are not about the same people.
    InputError
        Another indicator, or an area the draws do not hold.
    IsolationError
        The survey is kept for validation.

    Examples
    --------
    >>> import inegnum as ing
    >>> rng = np.random.default_rng(1)
    >>> items = pd.DataFrame({"geo": ["33063", "33281"], "level": "commune",
    ...                       "indicator": "smartphone", "universe": "12+", "persons": 1000.0})
    >>> modelled = ing.Draws(expit(2.0 + 0.4 * rng.standard_normal((1000, 2))), items)
    >>> asked = pd.DataFrame({"geo": ["33063"], "rate": [0.95], "n": [600]})
    >>> source = Source("own", "A'Urba", "ours", "12+", "2023", "persons", "etalab-2.0", "", "fit")
    >>> survey = LocalSurvey(asked, "smartphone", "12+", source)
    >>> fused = ing.fuse(modelled, survey, groups="none", seed=1)
    >>> bool(fused.share_local[0] > 0.5), bool(fused.draws.se()[0] < modelled.se()[0])
    (True, True)
    """
    require_role([survey.source], "fit", where="fusion with a local survey")
    _require_same(modelled, survey)
    areas = np.flatnonzero(modelled.items["level"] != groups)
    whole = np.flatnonzero(modelled.items["level"] == groups)
    if len(whole) > 1:
        raise InputError("fusion takes one group of areas at a time", got=f"{len(whole)} groups")
    place = {geo: j for j, geo in enumerate(modelled.items["geo"].iloc[areas])}
    unknown = [geo for geo in survey.table["geo"] if geo not in place]
    if unknown:
        raise InputError(
            "the local survey has areas the model does not",
            got=", ".join(map(str, unknown[:5])),
            expected=f"among {len(place)} areas",
        )
    at = np.array([place[geo] for geo in survey.table["geo"]], dtype=np.int64)
    rng = np.random.default_rng([seed, len(at)])
    theta = logit(modelled.values[:, areas])
    offset = survey.offset_mean + survey.offset_sd * rng.standard_normal(len(theta))
    updated, offset = _update(theta, offset, at, survey, rng)
    rates = expit(updated)
    if len(whole):
        persons = modelled.items["persons"].to_numpy(dtype=np.float64)[areas]
        total = rates @ (persons / persons.sum())
        rates = np.hstack([rates, total[:, None]])
    order = np.argsort(np.concatenate([areas, whole]))
    after = Draws(rates[:, order], modelled.items)
    before = logit(modelled.values).var(axis=0)
    return Fused(after, 1 - logit(after.values).var(axis=0) / before, offset)


def _require_same(modelled: Draws, survey: LocalSurvey) -> None:
    universes, codes = (set(modelled.items[c]) for c in ("universe", "indicator"))
    if universes != {survey.universe}:
        raise UniverseError(
            "the local survey is about other people than the model",
            got=survey.universe,
            expected=", ".join(sorted(universes)),
        )
    if codes != {survey.indicator}:
        raise InputError(
            "the local survey measures another indicator",
            got=survey.indicator,
            expected=", ".join(sorted(codes)),
            hint="two questions on one theme are not one indicator",
        )


def _update(
    theta: Floats,
    offset: Floats,
    at: npt.NDArray[np.int64],
    survey: LocalSurvey,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Return draws of areas (S, A) and offset (S,) given the survey."""
    rate, n = (survey.table[c].to_numpy(dtype=np.float64) for c in ("rate", "n"))
    state = np.column_stack([theta, offset])
    seen = theta[:, at] + offset[:, None]
    centred = state - state.mean(axis=0)
    cross = centred.T @ (seen - seen.mean(axis=0)) / (len(theta) - 1)
    spread = np.cov(seen, rowvar=False).reshape(len(at), len(at))
    noise = rng.standard_normal(seen.shape)
    around = seen.mean(axis=0)
    moved = state
    for _ in range(2):
        p = expit(around)
        variance = survey.deff / (n * p * (1 - p))
        z = around + (rate - p) / (p * (1 - p))
        gain = np.linalg.solve(spread + np.diag(variance), cross.T)
        moved = state + (z - seen - np.sqrt(variance) * noise) @ gain
        around = (moved[:, at] + moved[:, -1:]).mean(axis=0)
    return moved[:, :-1], moved[:, -1]
