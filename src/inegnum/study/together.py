"""Figures that need several fits drawn together: changes since an earlier year, families.

They stand beside the estimates and move none of them: the later year of a change is the fit that is
published, to the draw, and families draw their own deviations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from threadpoolctl import threadpool_limits

from inegnum.data.indicators import Break, breaks, definition
from inegnum.data.survey import load_survey
from inegnum.data.types import SurveyCells
from inegnum.errors import StudyError
from inegnum.estimates.change import change_table
from inegnum.estimates.estimate import area_draws
from inegnum.estimates.families import FAMILY_COLUMNS, family_table
from inegnum.estimates.local import Local
from inegnum.estimates.retract import Retraction
from inegnum.estimates.table import AreaDraws
from inegnum.estimators.family import answer_correlation, family_effects
from inegnum.estimators.joint import paired, shared_noise
from inegnum.estimators.multilevel import Fit
from inegnum.estimators.spec import ModelSpec
from inegnum.estimators.years import same_mode_change, walk
from inegnum.release.text import phrases
from inegnum.study.frames import Frames
from inegnum.study.publication import Change, Publication

if TYPE_CHECKING:
    from inegnum.study.spec import Study

__all__ = ["Changes", "Comparison", "change_of", "families_of", "family_members"]

_LEVELS: Final = ("metro", "commune", "iris")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two years of one indicator.

    Attributes
    ----------
    since, year : int
    crossed : tuple of Break
        Breaks between them, when the study asks for the difference all the same.
    frames : Frames
        Of the earlier year.
    """

    since: int
    year: int
    crossed: tuple[Break, ...]
    frames: Frames


@dataclass(frozen=True, slots=True)
class Changes:
    """Which indicators of a study are compared with an earlier year.

    Attributes
    ----------
    since : int
        0 when the study compares nothing.
    kept : mapping of str to (int, tuple of Break)
        Later year and breaks crossed, by indicator.
    left : mapping of str to mapping of str to str
        Why the others are not, by indicator and language.
    """

    since: int = 0
    kept: Mapping[str, tuple[int, tuple[Break, ...]]] = field(default_factory=dict)
    left: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study, specs: Mapping[str, ModelSpec], local: Local | None) -> Changes:
        """Return what a study compares.

        Raises
        ------
        StudyError
            An indicator named by ``change`` cannot be compared, or none can.
        """
        change = study.change
        if change is None:
            return cls()
        kept: dict[str, tuple[int, tuple[Break, ...]]] = {}
        left: dict[str, dict[str, str]] = {}
        for code in change.indicators or specs:
            crossed = breaks(code, change.since, specs[code].year)
            why = _why_not(change, specs[code], code, crossed, local)
            if not why:
                kept[code] = (specs[code].year, crossed)
                continue
            if change.indicators:
                raise StudyError(
                    "an indicator cannot be compared between these years",
                    where=f"change, {code}, {change.since}",
                    got=why["en"],
                    hint="leave it out; across a break, change.across_breaks labels it no change",
                )
            left[code] = why
        if not kept:
            code, why = next(iter(left.items()))
            raise StudyError(
                "no indicator can be compared with this year",
                where=f"change.since = {change.since}",
                got=f"{code}: {why['en']}",
                hint="choose a wave on the same side of the breaks, or set change.across_breaks",
            )
        return cls(change.since, kept, left)

    def one(self, code: str, frames: Frames | None) -> Comparison | None:
        """Return the comparison of one indicator, None when there is none."""
        if frames is None or code not in self.kept:
            return None
        year, crossed = self.kept[code]
        return Comparison(self.since, year, crossed, frames)

    def told(self) -> dict[str, Any]:
        """Return what the manifest says of the comparison; nothing without one.

        ``national`` gives the change of the survey's own rates, as collected and with the share of
        telephone interviews held within age (`years.same_mode_change`).
        """
        if not self.kept:
            return {}
        national = {}
        for code, (year, crossed) in self.kept.items():
            if not crossed:
                collected, held = same_mode_change(load_survey(code), (self.since, year))
                national[code] = {
                    "as_collected": round(collected, 4),
                    "telephone_held": round(held, 4),
                }
        return {"since": self.since, "left_out": self.left, "national": national}


def _why_not(
    change: Change,
    spec: ModelSpec,
    code: str,
    crossed: Sequence[Break],
    local: Local | None,
) -> dict[str, str]:
    """Say in both languages why an indicator cannot be compared; nothing when it can."""
    since = change.since
    if since not in definition(code).waves:
        return _said("change.not_asked", since=since)
    if since >= spec.year:
        return _said("change.not_later", since=since, year=spec.year)
    if local is not None and local.has(code):
        return _said("change.own_survey")
    if crossed and not change.across_breaks:
        return {
            "en": " ".join(one.en for one in crossed),
            "fr": " ".join(one.fr for one in crossed),
        }
    if not crossed and since not in spec.waves:
        raise StudyError(
            "the earlier year of a comparison is one of the waves pooled",
            where="change.since",
            got=since,
            expected=f"among model.waves: {', '.join(map(str, spec.waves))}",
        )
    return {}


def _said(key: str, **values: object) -> dict[str, str]:
    return {
        "en": phrases("en")[key].format(**values),
        "fr": phrases("fr")[key].format(**values),
    }


def change_of(
    before: Fit,
    after: AreaDraws,
    compared: Comparison,
    *,
    whole: tuple[str, str],
    seed: int,
    quality: Publication,
) -> pd.DataFrame:
    """Return the rows of one indicator: `after` as published, `before` by the deviations' walk."""
    years = (compared.since, compared.year)
    earlier = area_draws(
        before,
        compared.frames.finest or compared.frames.territory,
        national=compared.frames.national,
        whole=whole,
        seed=seed,
        noise=walk(years, seed=seed),
    )
    return change_table(
        earlier,
        after,
        years=years,
        crossed=compared.crossed,
        prob=quality.prob,
        limits=quality.limits(),
    )


def family_members(
    codes: Sequence[str], retractions: Sequence[Retraction], local: Local | None
) -> dict[str, list[str]]:
    """Return the indicators of each family that can be drawn together: two at least.

    Those the territory's own survey informs, and those withdrawn everywhere, stay out.
    """
    gone = {one.indicator for one in retractions if one.geo == "*"}
    members: dict[str, list[str]] = {}
    for code in codes:
        if code not in gone and not (local is not None and local.has(code)):
            members.setdefault(definition(code).indicator.family, []).append(code)
    return {family: found for family, found in members.items() if len(found) > 1}


def families_of(
    fits: Sequence[Fit],
    model: ModelSpec,
    frames: Frames,
    *,
    seed: int,
    quality: Publication,
    retractions: Sequence[Retraction] = (),
) -> pd.DataFrame:
    """Return the rows of one family.

    Rows of an area with a withdrawn figure are left out, and rows that are held against one.
    """
    codes = [fit.indicator.code for fit in fits]
    # Waves the published fit pools: those of another wording say nothing of this indicator.
    surveys: list[SurveyCells] = [
        load_survey(fit.indicator.code).waves(*fit.spec.waves) for fit in fits
    ]
    with threadpool_limits(limits=1):
        R = family_effects(model, surveys, seed=seed).correlation()
        frame, S = frames.finest or frames.territory, len(fits[0].national)
        together = paired(
            fits, frame, answer_correlation(codes), seed=seed, frames=len(frames.national.draws)
        )
        noises = shared_noise(dict.fromkeys(_LEVELS, R), S, seed=seed)
        drawn = [
            area_draws(
                fit, frame, national=frames.national, whole=frames.whole, seed=seed, noise=noise
            )
            for fit, noise in zip(together, noises, strict=True)
        ]
    year = frames.territory.year
    table = family_table(drawn, year=year, prob=quality.prob, limits=quality.limits())
    hidden = {one.geo for one in retractions if one.indicator in codes}
    shown = ~(table["geo"].isin(hidden) | table["reference"].isin(hidden))
    return table.loc[shown, list(FAMILY_COLUMNS)]
