"""Rung 4: each region of the real survey predicted from the others.

The region's own direct estimate is the judge: it carries a sampling error, so each predictive law
is the drawn rate plus a normal error of the direct estimate's standard error.

==========  ======================================================================================
mrp         the package's model fitted on the other regions; the region draws its effect
raking      respondents of the other regions raked to the region's margins
age         rates by age of the other regions, weighted by the region's ages
national    rate of the other regions
==========  ======================================================================================

The three rivals draw a deviation between regions too, its variance estimated by moments on the
other regions. Waves before 2020 carry no region and stay out of these fits, so that nothing of the
hidden region informs them; the gradient is held at 2020.

The direct estimate is no clean judge: phone interviews, aimed at people far from digital, weigh
between 4 and 19 % of a region, within age as well. Each region is therefore judged twice:

==========  ======================================================================================
published   the direct estimate as the survey gives it; the model as in a release
even        phone interviews given the same weight in every region and urban size, within age, for
            the judge and for every method (the model by its equalised reading alone)
==========  ======================================================================================

References
----------
DerSimonian and Laird 1986, doi:10.1016/0197-2456(86)90046-2 (variance by moments).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.codebook import REGION, profiles
from inegnum.data.frames.build import national_frame
from inegnum.data.survey import load_survey
from inegnum.data.types import Frame, SurveyCells
from inegnum.errors import InputError
from inegnum.estimators.calibration import rake
from inegnum.estimators.deviations import geographic_codes
from inegnum.estimators.evidence import DirectRate, direct_rate, equalise_phone
from inegnum.estimators.multilevel import Fit, fit
from inegnum.estimators.readings import READINGS
from inegnum.estimators.spec import ModelSpec
from inegnum.numerics.poststratify import poststratify
from inegnum.review.scores import interval_columns, normal_log_score

__all__ = ["JUDGES", "MIN_RESPONDENTS", "REGIONS", "moment_tau", "region_fold", "region_rates"]

Floats = npt.NDArray[np.float64]

YEAR: Final = 2022
JUDGES: Final = ("published", "even")
# Fewer respondents than this give a direct estimate that cannot judge anything (Corsica has 8).
MIN_RESPONDENTS: Final = 60
REGIONS: Final = tuple(code for code in REGION.levels if code != "94")
_AXES: Final = ("age", "sex", "diploma", "occupation", "urban")
# A quarter of them follow the equalised reading.
_DRAWS: Final = 2000


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A rate carried to a region, and its sampling error on the logit scale."""

    rate: float
    se: float


@cache
def _national() -> Frame:
    return national_frame(year=YEAR)


def _merged(urban: pd.Series) -> pd.Series:
    """Return urban classes with Paris among the large units: it lies in one region only."""
    return urban.replace({"paris": "100k+"})


@cache
def region_margins(region: str, universe: str) -> pd.DataFrame:
    """Return persons of one region by profile and urban class, long."""
    frame = _national()
    rows = (frame.areas["region"] == region).to_numpy()
    keep = frame.mask(universe)
    table = pd.concat(
        profiles()[keep].assign(N=N[keep], urban=urban)
        for N, urban in zip(frame.N[rows], frame.areas["urban"][rows], strict=True)
    )
    table["age"] = table["age"].replace({"12-14": "12-17", "15-17": "12-17"})
    return table.assign(urban=_merged(table["urban"]))


@cache
def axis_totals(region: str, universe: str) -> dict[str, pd.Series]:
    """Return persons of one region by level of each axis, levels nobody has left out."""
    persons = region_margins(region, universe)
    totals = {axis: persons.groupby(axis)["N"].sum() for axis in _AXES}
    return {axis: one[one > 0] for axis, one in totals.items()}


def moment_tau(residuals: Floats, variances: Floats) -> float:
    """Return the standard deviation between areas beyond their sampling error.

    Examples
    --------
    >>> moment_tau(np.array([0.1, -0.1, 0.1, -0.1]), np.full(4, 0.04))
    0.0
    """
    if len(residuals) < 3:
        raise InputError("too few regions for a variance", got=len(residuals), expected="3 or more")
    weight = 1 / variances
    mean = weight @ residuals / weight.sum()
    q = weight @ (residuals - mean) ** 2
    slack = weight.sum() - (weight**2).sum() / weight.sum()
    return float(np.sqrt(max(0.0, float(q - (len(residuals) - 1)) / float(slack))))


def _logit(p: Floats | float) -> Floats:
    from scipy.special import logit

    return np.asarray(logit(p), dtype=np.float64)


def _national_rate(table: pd.DataFrame, region: str, universe: str) -> Synthetic:
    del region, universe
    found = direct_rate(table)
    return Synthetic(found.rate, found.se / (found.rate * (1 - found.rate)))


def _age(table: pd.DataFrame, region: str, universe: str) -> Synthetic:
    persons = region_margins(region, universe).groupby("age")["N"].sum()
    share = persons / persons.sum()
    found = {str(age): direct_rate(rows) for age, rows in table.groupby("age")}
    rate = sum(float(share[age]) * one.rate for age, one in found.items())
    variance = sum((float(share[age]) * one.se) ** 2 for age, one in found.items())
    return Synthetic(rate, variance**0.5 / (rate * (1 - rate)))


def _raked(table: pd.DataFrame, region: str, universe: str) -> Synthetic:
    persons = axis_totals(region, universe)
    cells = table[(table["w"] > 0) & table["urban"].isin(persons["urban"].index.tolist())]
    margins: dict[str, dict[str, float]] = {}
    for axis, totals in persons.items():
        # Classes absent from the sample are left out: shares are raked, not counts.
        one = totals[totals.index.isin(cells[axis].unique().tolist())]
        margins[axis] = {str(level): float(n / one.sum()) for level, n in one.items()}
    g = rake(cells, margins, weights="w").weights / cells["w"].to_numpy()
    weighted = cells.assign(
        w=cells["w"] * g, wy=cells["wy"] * g, w2=cells["w2"] * g**2, w2y=cells["w2y"] * g**2
    )
    return _national_rate(weighted, region, universe)


Carry = Callable[[pd.DataFrame, str, str], Synthetic]
RIVALS: Final[dict[str, Carry]] = {"national": _national_rate, "age": _age, "raking": _raked}


def _mrp(cells: SurveyCells, region: str) -> dict[str, Floats]:
    """Draw the region's rate from a model fitted on the other regions, by judge: (S,) each."""
    frame = _national()
    inside = (frame.areas["region"] == region).to_numpy()
    others = frame.select(frame.areas.loc[~inside, "geo"].tolist())
    spec = ModelSpec(
        year=YEAR,
        waves=tuple(sorted(int(w) for w in cells.table["wave"].unique())),
        history=(),
        draws=_DRAWS,
        points=16,
    )
    found = fit(spec, cells, national=others, seed=1)
    rates = region_rates(found, frame, region)
    return {"published": rates, "even": rates[found.reading == READINGS.index("equalised")]}


def region_rates(found: Fit, national: Frame, region: str) -> Floats:
    """Draw the rate of a region: its urban sizes, its effect, no deviation of areas; shape (S,).

    Deviations of some hundreds of areas average out.
    """
    inside = (national.areas["region"] == region).to_numpy()
    own = national.select(national.areas.loc[inside, "geo"].tolist())
    mask = own.mask(found.indicator.universe)
    area = found.coefficients.urban[:, geographic_codes(own, "urban")]
    area = area + found.coefficients.region[:, geographic_codes(own, "region")]
    counts, persons = poststratify(
        found.coefficients.profile[:, mask] + found.shift[:, None], area, own.N[:, mask]
    )
    return np.asarray(counts.sum(axis=1) / persons.sum(axis=1))


def region_fold(region: str, indicator: str) -> pd.DataFrame:
    """Predict one indicator of one region from the others and face its direct estimates.

    Returns
    -------
    DataFrame
        One row a judge and method: ``indicator, judge, method, region, cluster, truth`` (the direct
        estimate), ``truth_se, tau, est, sd``, interval bounds and ``log_score``.
    """
    survey = load_survey(indicator)
    waves = [w for w in (2020, YEAR) if w in set(survey.table["wave"])]
    survey = survey.waves(*waves)
    away = survey.table[survey.table["region"] != region].reset_index(drop=True)
    kept = SurveyCells(away, survey.indicator, survey.source)
    modelled = _mrp(kept, region)
    views = {"published": (survey, kept), "even": (equalise_phone(survey), equalise_phone(kept))}
    found = []
    for k, (name, (all_of_them, others)) in enumerate(views.items()):
        now, rest = (_current(one) for one in (all_of_them, others))
        judge = direct_rate(now[now["region"] == region])
        rng = np.random.default_rng([int(region), 4, k])
        draws = {"mrp": (modelled[name], np.nan)}
        for method, carry in RIVALS.items():
            one = carry(rest, region, survey.indicator.universe)
            tau = _between(rest, carry, survey.indicator.universe, region)
            spread = np.hypot(one.se, tau) * rng.standard_normal(_DRAWS)
            draws[method] = (1 / (1 + np.exp(-(_logit(one.rate) + spread))), tau)
        found += [
            _row(rates, judge, rng).assign(judge=name, method=method, tau=tau)
            for method, (rates, tau) in draws.items()
        ]
    return pd.concat(found, ignore_index=True).assign(
        indicator=indicator, region=region, cluster=region
    )


def _current(cells: SurveyCells) -> pd.DataFrame:
    """Return the cells of the year judged, Paris among the large units."""
    table = cells.table[cells.table["wave"] == YEAR]
    return table.assign(urban=_merged(table["urban"]))


def _between(others: pd.DataFrame, carry: Carry, universe: str, hidden: str) -> float:
    """Return the deviation between regions that a rival leaves, learned on the other regions."""
    residuals, variances = [], []
    for region in REGIONS:
        if region == hidden:
            continue
        own = direct_rate(others[others["region"] == region])
        if own.n < MIN_RESPONDENTS or not 0 < own.rate < 1:
            continue
        residuals.append(_logit(own.rate) - _logit(carry(others, region, universe).rate))
        variances.append((own.se / (own.rate * (1 - own.rate))) ** 2)
    return moment_tau(np.array(residuals), np.array(variances))


def _row(rates: Floats, judge: DirectRate, rng: np.random.Generator) -> pd.DataFrame:
    """Set the predictive law of the direct estimate beside it."""
    seen = rates + judge.se * rng.standard_normal(len(rates))
    columns = {name: [float(v[0])] for name, v in interval_columns(seen[:, None]).items()}
    sd = np.array([seen.std(ddof=1)])
    truth = np.array([judge.rate])
    return pd.DataFrame(columns).assign(
        est=rates.mean(),
        truth=judge.rate,
        truth_se=judge.se,
        n_region=judge.n,
        sd=rates.std(ddof=1),
        log_score=normal_log_score(np.array([seen.mean()]), sd, truth)[0],
    )
