"""Everything a study computes about one indicator: a pure function, so that indicators run apart.

Beside the estimate stand what lets a reader judge it: the same figure by raking, every variant of
the model, the decomposition from France to the territory, and what each source of uncertainty
weighs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from inegnum.data.codebook import REGION
from inegnum.data.survey import load_survey
from inegnum.data.types import Frame, SurveyCells
from inegnum.estimates.change import CHANGE_COLUMNS
from inegnum.estimates.estimate import area_draws
from inegnum.estimates.local import Local
from inegnum.estimates.profiles import COLUMNS as GROUP_COLUMNS
from inegnum.estimates.profiles import profile_rates
from inegnum.estimates.table import AreaDraws, tabulate
from inegnum.estimators.decompose import decompose
from inegnum.estimators.multilevel import Fit, fit
from inegnum.estimators.predictive import posterior_predictive
from inegnum.estimators.spec import ModelSpec
from inegnum.estimators.variants import components, variants
from inegnum.estimators.weighting import raked_rate
from inegnum.estimators.years import fit_years
from inegnum.review import run_checks as checks
from inegnum.review.record import indicator_verdicts, recorded
from inegnum.review.verdict import Verdict
from inegnum.study.frames import Frames
from inegnum.study.publication import Publication
from inegnum.study.together import Comparison, change_of

__all__ = ["IndicatorRun", "run_indicator"]


@dataclass(frozen=True, slots=True)
class IndicatorRun:
    """What one indicator produced.

    Attributes
    ----------
    fit : Fit
    drawn : AreaDraws
        France, the territory, its communes, their IRIS.
    raking : DataFrame
        ``indicator, respondents, est, se, lower, upper, n, n_eff, deff``.
    variants : DataFrame
        ``indicator, variant, geo, level, est, lower, upper, note`` for the territory and, under
        ``own urban class``, the communes it concerns.
    decomposition : DataFrame
        ``indicator, step, est, delta, lower, upper``.
    components : DataFrame
        ``indicator`` and one standard deviation a component, as proportions, for the territory.
    profiles : DataFrame
        Rates of groups of residents (`estimates.profiles.COLUMNS`).
    change : DataFrame
        Since an earlier year (`estimates.change.CHANGE_COLUMNS`); no row when none was asked for.
    verdicts : tuple of Verdict
    """

    fit: Fit
    drawn: AreaDraws
    raking: pd.DataFrame
    variants: pd.DataFrame
    decomposition: pd.DataFrame
    components: pd.DataFrame
    profiles: pd.DataFrame
    change: pd.DataFrame
    verdicts: tuple[Verdict, ...]


def run_indicator(
    code: str,
    spec: ModelSpec,
    frames: Frames,
    *,
    seed: int,
    quality: Publication | None = None,
    local: Local | None = None,
    compared: Comparison | None = None,
) -> IndicatorRun:
    """Estimate one indicator and what stands beside it.

    Parameters
    ----------
    code : str
        Of the registry.
    spec : ModelSpec
        With the waves that fit this indicator.
    frames : Frames
    seed : int
        Of everything drawn for this indicator.
    quality : Publication, optional
        Mass of the intervals, limits of the classes, and whether the model is fitted again under
        every other defensible choice (it is unless told otherwise).
    local : Local, optional
        A survey of the territory. It moves the figures of areas; what stands beside them (variants,
        decomposition, components) stays that of the national model, and rates by group are left out
        where it has the indicator.
    compared : Comparison, optional
        An earlier year; figures of the study's year do not depend on it.
    """
    quality = quality or Publication()
    survey = load_survey(code)
    fitted, before = _fits(spec, survey, frames, compared, seed)
    drawn = area_draws(
        fitted,
        frames.finest or frames.territory,
        national=frames.national,
        whole=frames.whole,
        seed=seed,
        local=local,
    )
    raking = _raking(survey, fitted, frames.territory)
    steps = _decomposition(fitted, frames, seed)
    others = _variants(fitted, survey, frames, seed) if quality.variants else pd.DataFrame()
    shares = components(fitted, frames.territory, seed=seed)
    table = tabulate(drawn, year=frames.territory.year, prob=quality.prob, limits=quality.limits())
    # Groups of residents are not updated by local answers: they would contradict their area.
    joint = local is not None and local.has(code)
    groups = (
        pd.DataFrame(columns=list(GROUP_COLUMNS))
        if joint
        else profile_rates(
            fitted,
            frames.territory,
            table[table["level"] != "iris"],
            survey=survey,
            seed=seed,
            limits=quality.limits(),
        )
    )
    moved = pd.DataFrame(columns=list(CHANGE_COLUMNS))
    if compared is not None and before is not None:
        moved = change_of(before, drawn, compared, whole=frames.whole, seed=seed, quality=quality)
    weighed = shares[shares["geo"] == frames.whole[0]].drop(columns=["geo", "level"])
    return IndicatorRun(
        # Posteriors of the effects are large, and nothing after this asks for them.
        replace(fitted, evidence=()),
        drawn,
        raking,
        others,
        steps,
        weighed.assign(indicator=code),
        groups,
        moved,
        (
            *_verdicts(code, fitted, drawn, raking, steps),
            *_scarce(code, survey.waves(*fitted.spec.waves), frames.territory),
        ),
    )


def _fits(
    spec: ModelSpec, survey: SurveyCells, frames: Frames, compared: Comparison | None, seed: int
) -> tuple[Fit, Fit | None]:
    """Return the fit of the study's year, and that of an earlier one when it is asked for."""
    if compared is None:
        return fit(spec, survey, national=frames.national, seed=seed), None
    nations = {compared.since: compared.frames.national, compared.year: frames.national}
    before, after = fit_years(
        spec,
        survey,
        (compared.since, compared.year),
        national=nations,
        seed=seed,
        across_breaks=bool(compared.crossed),
    )
    return after, before


def _scarce(code: str, survey: SurveyCells, frame: Frame) -> list[Verdict]:
    """Return a warning for each region of the territory with few respondents."""
    asked = survey.table.groupby("region")["n"].sum()
    regions = sorted(frame.areas["region"].unique())
    found = [
        checks.region_respondents(code, REGION.label(one), int(asked.get(one, 0)))
        for one in regions
    ]
    return [verdict for verdict in found if verdict is not None]


def _raking(survey: SurveyCells, fitted: Fit, frame: Frame) -> pd.DataFrame:
    """Return the territory's rate by weights alone, for three sets of respondents."""
    people = pd.Series(frame.N.sum(axis=1)).groupby(frame.areas["urban"].to_numpy()).sum()
    size = str(people.idxmax())
    year = survey.waves(fitted.year)
    pooled = survey.waves(*fitted.spec.waves)
    chosen = {
        "same_urban": _of_size(year, size),
        "all": year,
        "pooled": _of_size(pooled, size),
    }
    rows = []
    for name, cells in chosen.items():
        raked = raked_rate(cells, frame)
        rows.append(
            {
                "indicator": fitted.indicator.code,
                "respondents": name,
                **{key: getattr(raked, key) for key in ("est", "se", "lower", "upper")},
                "n": raked.n,
                "n_eff": raked.n_eff,
                "deff": raked.n / raked.n_eff,
            }
        )
    return pd.DataFrame(rows)


def _of_size(cells: SurveyCells, size: str) -> SurveyCells:
    kept = cells.table[cells.table["urban"] == size].reset_index(drop=True)
    return SurveyCells(kept, cells.indicator, cells.source)


def _decomposition(fitted: Fit, frames: Frames, seed: int) -> pd.DataFrame:
    steps = decompose(fitted, frames.territory, national=frames.national, seed=seed).to_frame()
    steps = steps.rename(columns={"rate": "est", "change": "delta"})
    # The first step is where one starts from: nothing has changed yet, exactly.
    steps.loc[steps["step"] == "france", ["delta", "lower", "upper"]] = 0.0
    steps.insert(0, "indicator", fitted.indicator.code)
    return steps


def _variants(fitted: Fit, survey: SurveyCells, frames: Frames, seed: int) -> pd.DataFrame:
    code, _ = frames.whole
    found = variants(fitted, survey, frames.territory, national=frames.national, seed=seed)
    found = found[(found["geo"] == code) | found["geo"].isna()]
    if frames.own_urban is not None:
        own = fitted.predict(frames.own_urban, seed=seed, groups="whole")
        lower, upper = own.interval()
        table = own.items[["geo", "level"]].assign(
            variant="own urban class", est=own.point, lower=lower, upper=upper, note=""
        )
        differs = frames.own_urban.areas["urban"] != frames.territory.areas["urban"]
        kept = [code, *frames.own_urban.areas.loc[differs, "geo"]]
        found = pd.concat([found, table[table["geo"].isin(kept)]], ignore_index=True)
    columns = ["variant", "geo", "level", "est", "lower", "upper", "note"]
    return found[columns].assign(indicator=fitted.indicator.code)


def _verdicts(
    code: str, fitted: Fit, drawn: AreaDraws, raking: pd.DataFrame, steps: pd.DataFrame
) -> tuple[Verdict, ...]:
    verdicts = [checks.anchor_shift(code, fitted.diagnostics.shift)]
    if len(fitted.diagnostics.reliability):
        verdicts.append(checks.fast_engine(code, fitted.diagnostics.reliability))
    verdicts.append(checks.predictive(code, posterior_predictive(fitted.evidence[0])))
    model = float(drawn.rates[:, drawn.whole].mean())
    raked = dict(zip(raking["respondents"], raking["est"], strict=True))["same_urban"]
    delta = dict(zip(steps["step"], steps["delta"], strict=True))
    urban, region = delta["urban"], delta["region"]
    because_en = (
        f"In the model urban size counts for {100 * urban:+.1f} and region for "
        f"{100 * region:+.1f} points, shrunk and informed by earlier waves; raking keeps the whole "
        "contrast of the respondents of that urban size, interview mode included."
    )
    because_fr = (
        f"Le modèle attribue {100 * urban:+.1f} point à la taille d'unité urbaine et "
        f"{100 * region:+.1f} à la région, resserrés et informés par les vagues antérieures ; le "
        "calage garde tout l'écart des répondants de cette taille, mode d'interrogation compris."
    ).replace(".", ",", 2)
    verdicts.append(
        checks.raking_agreement(code, model, raked, because_en=because_en, because_fr=because_fr)
    )
    verdicts.extend(indicator_verdicts(recorded(), code))
    return tuple(verdicts)
