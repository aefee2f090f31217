"""Modelled rates of groups of residents within each area: by age, by diploma, by occupation.

Model
    The draws of `Fit.predict`, summed over the profiles of a group instead of all of them: groups
    of ages add up to their area in every draw.
Assumptions
    Those of the model: people of one profile behave alike everywhere up to urban size, region and
    one deviation an area, shared by all its groups.
Limits
    Nobody of the area was interviewed, and no effect crosses areas and profiles: what differs
    between two areas within a group is mostly what the group is made of. A description of who is
    concerned, never of why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.codebook import AGE, DIPLOMA, OCCUPATION, profiles
from inegnum.data.types import Frame, SurveyCells
from inegnum.estimates.quality import QualityLimits, grade
from inegnum.estimators.multilevel import Fit
from inegnum.numerics.poststratify import poststratify_groups

__all__ = ["COLUMNS", "GROUPS", "MASKED", "MIN_RESPONDENTS", "profile_rates"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Minors are one class of age in the survey; diploma is that of adults who left school, and students
# stand among occupations.
GROUPS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "age": {"12-17": ("12-14", "15-17", "12-17")} | {level: (level,) for level in AGE.levels[2:]},
    "diploma": {level: (level,) for level in DIPLOMA.levels[2:]},
    "occupation": {level: (level,) for level in OCCUPATION.levels[1:]},
}
MIN_RESPONDENTS: Final = 30  # of the group in the national survey: fewer say nothing of it
COLUMNS: Final = (
    *("indicator", "level", "geo", "margin", "group", "est", "lower", "upper", "prob", "class"),
    *("reason", "n", "N", "people", "people_lower", "people_upper"),
    *("without", "without_lower", "without_upper", "p_above_area"),
)
MASKED: Final = (
    *("est", "lower", "upper", "people", "people_lower", "people_upper"),
    *("without", "without_lower", "without_upper"),
)
_AREAS_AT_ONCE: Final = 64  # (draws, areas, groups) stay within some 20 MB


def profile_rates(
    fitted: Fit,
    frame: Frame,
    areas: pd.DataFrame,
    *,
    survey: SurveyCells,
    seed: int,
    limits: QualityLimits | None = None,
) -> pd.DataFrame:
    """Return the rate of every group of residents of the territory and of its communes.

    Parameters
    ----------
    fitted : Fit
    frame : Frame
        The one the areas were estimated on: communes, or their IRIS.
    areas : DataFrame
        Rows of the territory and of its communes from `tabulate`, same fit and seed.
    survey : SurveyCells
        What was fitted: counts the respondents a group's behaviour was learned from.
    seed : int
    limits : QualityLimits, optional

    Returns
    -------
    DataFrame
        Columns `COLUMNS`; ``n`` counts respondents of the group in the national survey, ``N``
        persons of the group in the area. Rates are rounded to a hundredth of a point, below which
        they are Monte-Carlo noise. A group is masked (class D) as an area would be, when fewer
        than `MIN_RESPONDENTS` of it answered, and when the area itself is masked: its groups would
        give the area's rate away. ``p_above_area``, the probability that the group's rate is above
        that of the area, is kept.
    """
    limits = limits or QualityLimits()
    table = profiles()[frame.mask(fitted.indicator.universe)]
    keys = [
        (margin, group)
        for margin, groups in GROUPS.items()
        for group, levels in groups.items()
        if table[margin].isin(levels).any()
    ]
    members = np.stack([table[m].isin(GROUPS[m][g]) for m, g in keys], axis=1).astype(np.float64)
    ages = np.array([margin == "age" for margin, _ in keys])  # they make up the universe
    known = areas[areas["level"] != "france"].set_index("geo")
    prob = float(known["prob"].iloc[0])
    answers = _respondents(survey.waves(fitted.year), keys)
    (whole,) = known.index[known["level"] == "epci"]
    column = "commune" if "commune" in frame.areas else "geo"  # IRIS are summed to their commune
    communes, of = np.unique(frame.areas[column].to_numpy(dtype=str), return_inverse=True)
    parts: list[pd.DataFrame] = []
    profile, area, N, which = fitted.logits(frame, seed=seed)
    total = np.zeros((2, len(profile), len(keys)))
    for first in range(0, len(communes), _AREAS_AT_ONCE):
        at = np.flatnonzero((first <= of) & (of < first + _AREAS_AT_ONCE))
        counts, persons = poststratify_groups(
            profile, area[:, at], N[..., at, :], members, frame=which
        )
        for commune in np.unique(of[at]):
            mine = of[at] == commune
            summed = counts[:, mine].sum(axis=1), persons[:, mine].sum(axis=1)
            total += np.stack(summed)
            parts.append(_summary(*summed, ages, prob))
    parts.insert(0, _summary(total[0], total[1], ages, prob))
    out = pd.concat(parts, ignore_index=True)
    out["indicator"], out["prob"] = fitted.indicator.code, prob
    out["geo"] = np.repeat([whole, *communes], len(keys))
    out["level"] = out["geo"].map(known["level"])
    for column, values in zip(("margin", "group"), zip(*keys, strict=True), strict=True):
        out[column] = np.tile(np.array(values, dtype=object), len(parts))
    out["n"] = np.tile(answers, len(parts))
    return _graded(out, out["geo"].map(known["class"]) == "D", limits)


def _summary(counts: Floats, persons: Floats, ages: Bools, prob: float) -> pd.DataFrame:
    """Summarise (S, G) draws; a group with nobody in a frame has no rate in that draw."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.where(persons > 0, counts / persons, np.nan)
    area = counts[:, ages].sum(axis=1) / persons[:, ages].sum(axis=1)
    tails = [(1 - prob) / 2, (1 + prob) / 2]
    found: dict[str, Floats] = {"est": rates.mean(axis=0), "N": persons.mean(axis=0)}
    found["lower"], found["upper"] = np.quantile(rates, tails, axis=0)
    found["lower95"], found["upper95"] = np.quantile(rates, [0.025, 0.975], axis=0)
    for name, values in (("people", counts), ("without", persons - counts)):
        found[name] = values.mean(axis=0)
        found[f"{name}_lower"], found[f"{name}_upper"] = np.quantile(values, tails, axis=0)
    found["p_above_area"] = (rates > area[:, None]).mean(axis=0)
    return pd.DataFrame(found)


def _respondents(survey: SurveyCells, keys: list[tuple[str, str]]) -> npt.NDArray[np.int64]:
    cells = survey.table
    return np.array(
        [cells.loc[cells[m].isin(GROUPS[m][g]), "n"].sum() for m, g in keys], dtype=np.int64
    )


def _graded(out: pd.DataFrame, area_masked: pd.Series[bool], limits: QualityLimits) -> pd.DataFrame:
    """Give every row its class and reason, and empty what is masked."""
    known = out["est"].notna().to_numpy()
    out["class"], out["reason"] = "D", "few_persons"
    out.loc[known, "class"], out.loc[known, "reason"] = grade(
        out.loc[known, "est"].to_numpy(),
        out.loc[known, "lower95"].to_numpy(),
        out.loc[known, "upper95"].to_numpy(),
        out.loc[known, "N"].to_numpy(),
        limits,
    )
    for reason, hidden in (
        ("few_respondents", out["n"] < MIN_RESPONDENTS),
        ("area_masked", area_masked),
    ):
        out.loc[hidden, "class"], out.loc[hidden, "reason"] = "D", reason
    out.loc[out["class"] == "D", list(MASKED)] = np.nan
    out[["est", "lower", "upper"]] = out[["est", "lower", "upper"]].round(4)
    counted = ["N", *(column for column in MASKED if column.startswith(("people", "without")))]
    out[counted] = out[counted].round(1)
    return out[list(COLUMNS)]
