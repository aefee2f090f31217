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
hidden region informs them.

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
from inegnum.data.frame import national_frame
from inegnum.data.survey import load_survey
from inegnum.data.types import Frame, SurveyCells
from inegnum.errors import InputError
from inegnum.estimators.calibration import rake
from inegnum.estimators.deviations import geographic_codes
from inegnum.estimators.evidence import DirectRate, direct_rate
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec, ModeReadings
from inegnum.numerics.poststratify import poststratify
from inegnum.review.scores import interval_columns, normal_log_score

__all__ = ["MIN_RESPONDENTS", "REGIONS", "moment_tau", "region_fold"]

Floats = npt.NDArray[np.float64]

YEAR: Final = 2022
# Fewer respondents than this give a direct estimate that cannot judge anything (Corsica has 8).
MIN_RESPONDENTS: Final = 60
REGIONS: Final = tuple(code for code in REGION.levels if code != "94")
_AXES: Final = ("age", "sex", "diploma", "occupation", "urban")
_DRAWS: Final = 1000


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
    persons = region_margins(region, universe)
    cells = table[table["urban"].isin(persons.loc[persons["N"] > 0, "urban"])]
    cells = cells[cells["w"] > 0].reset_index(drop=True)
    margins: dict[str, dict[str, float]] = {}
    for axis in _AXES:
        # Classes absent from the sample are left out: shares are raked, not counts.
        one = persons[persons[axis].isin(cells[axis])].groupby(axis)["N"].sum()
        margins[axis] = {str(level): float(n / one.sum()) for level, n in one.items()}
    g = rake(cells, margins, weights="w").weights / cells["w"].to_numpy()
    weighted = cells.assign(
        w=cells["w"] * g, wy=cells["wy"] * g, w2=cells["w2"] * g**2, w2y=cells["w2y"] * g**2
    )
    return _national_rate(weighted, region, universe)


Carry = Callable[[pd.DataFrame, str, str], Synthetic]
RIVALS: Final[dict[str, Carry]] = {"national": _national_rate, "age": _age, "raking": _raked}


def _mrp(cells: SurveyCells, region: str) -> Floats:
    """Return draws of the region's rate from a model fitted on the other regions, shape (S,)."""
    frame = _national()
    inside = (frame.areas["region"] == region).to_numpy()
    others = frame.select(frame.areas.loc[~inside, "geo"].tolist())
    spec = ModelSpec(
        year=YEAR,
        waves=tuple(sorted(int(w) for w in cells.table["wave"].unique())),
        history=(),
        mode=ModeReadings(1.0, 0.0, 0.0),
        draws=_DRAWS,
        points=16,
    )
    found = fit(spec, cells, national=others, seed=1)
    own = frame.select(frame.areas.loc[inside, "geo"].tolist())
    mask = own.mask(cells.indicator.universe)
    area = found.coefficients.urban[:, geographic_codes(own, "urban")]
    area = area + found.coefficients.region[:, geographic_codes(own, "region")]
    counts, persons = poststratify(
        found.coefficients.profile[:, mask] + found.shift[:, None], area, own.N[:, mask]
    )
    return np.asarray(counts.sum(axis=1) / persons.sum(axis=1))


def region_fold(region: str, indicator: str) -> pd.DataFrame:
    """Predict one indicator of one region from the others and face its direct estimate.

    Returns
    -------
    DataFrame
        One row a method: ``indicator, method, region, cluster, truth`` (the direct estimate),
        ``truth_se, tau, est, sd``, interval bounds and ``log_score``.
    """
    survey = load_survey(indicator)
    waves = [w for w in (2020, YEAR) if w in set(survey.table["wave"])]
    survey = survey.waves(*waves)
    table = survey.table.assign(urban=_merged(survey.table["urban"]))
    now = table[table["wave"] == YEAR]
    judge = direct_rate(now[now["region"] == region])
    others = now[now["region"] != region]
    kept = survey.table[survey.table["region"] != region].reset_index(drop=True)
    rng = np.random.default_rng([int(region), 4])
    draws = {"mrp": (_mrp(SurveyCells(kept, survey.indicator, survey.source), region), np.nan)}
    for method, carry in RIVALS.items():
        one = carry(others, region, survey.indicator.universe)
        tau = _between(others, carry, survey.indicator.universe, region)
        spread = np.hypot(one.se, tau) * rng.standard_normal(_DRAWS)
        draws[method] = (1 / (1 + np.exp(-(_logit(one.rate) + spread))), tau)
    rows = [_row(rates, judge, rng).assign(method=m, tau=tau) for m, (rates, tau) in draws.items()]
    return pd.concat(rows, ignore_index=True).assign(
        indicator=indicator, region=region, cluster=region
    )


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
