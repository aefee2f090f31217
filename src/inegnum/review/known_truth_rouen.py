"""Rung 1: IRIS of Rouen, estimated from a sample of other IRIS and compared with the census.

42,959 real census persons (age, sex, occupation, IRIS) are the population samples are drawn from;
the census counts of each IRIS are the truth. Retired, managers and workers (15 and over) stand in
for a digital indicator. Each IRIS is hidden in turn and estimated from its sex and age counts:

============  ====================================================================================
mrp           multilevel logit on sampled cells (nested Laplace): age random walk, sex, age:sex;
              the IRIS draws a deviation
mrp_no_tau    the same without deviation
margins       the same model seen through the sample's rates by age, by sex and in all only, printed
              to a tenth of a point; persons by sex and age of the other IRIS from the census
raking        sample raked to the sex and age counts of the IRIS
age           rates by age of the sample, weighted by the ages of the IRIS
national      rate of the sample
fay_herriot   area-level model of the other IRIS' direct rates on ages (arcsine scale); the hidden
              IRIS has none, and its deviation the variance estimated on the sample
============  ====================================================================================

When every IRIS is sampled:

============  ====================================================================================
direct        Hájek rate of the IRIS's own respondents, when every IRIS is sampled
fay_herriot   that direct rate shrunk to a regression on ages (arcsine scale)
============  ====================================================================================

Every deviation but that of fay_herriot has an sd learned on the census of the other IRIS, given the
method's own rates.

Limits: the persons are a subsample of the census, without its weights; older people are missing
from it a little more than others (retired: 18.5 % of the persons, 19.5 % of the census). What
the census counts differ from the persons by lies in the deviations too. The counts of an IRIS rest
on about four tenths of its residents. Composition by occupation cannot be used: it is the outcome.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError, ProvenanceError
from inegnum.estimators.calibration import rake
from inegnum.estimators.ecological import area_effects
from inegnum.numerics.group_rates import directions, group_covariance
from inegnum.numerics.inversion import invert
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Term, build_design
from inegnum.numerics.poststratify import recentring
from inegnum.review.scores import interval_columns, normal_log_score

__all__ = ["METHODS", "OUTCOMES", "Rouen", "area_level_fold", "iris_fold", "rouen", "shared_file"]

Floats = npt.NDArray[np.float64]

PERSONS: Final = "known_truth/rp_individus_echantillon_rouen_iris.csv.gz"
COUNTS: Final = "known_truth/rp2013_base_ic_evol_struct_pop_seine_maritime_iris.csv"
OUTCOMES: Final = {"retired": "7", "managers": "3", "workers": "6"}
METHODS: Final = ("mrp", "mrp_no_tau", "margins", "raking", "age", "national", "fay_herriot")
_AGES: Final = ("1529", "3044", "4559", "6074", "75P")
_SEXES: Final = ("H", "F")
_DRAWS: Final = 1000
# An IRIS with fewer people has a census rate that is itself mostly chance.
_MIN_PERSONS: Final = 200.0


def shared_file(name: str) -> Path | None:
    """Return a source file that does not come with the package, if it is here.

    Looked for under the folder named by ``INEGNUM_SHARED``.
    """
    root = os.environ.get("INEGNUM_SHARED")
    if not root:
        return None
    path = Path(root) / "data" / name
    return path if path.is_file() else None


@dataclass(frozen=True, slots=True)
class Rouen:
    """Persons and truth.

    Attributes
    ----------
    iris : ndarray of str, shape (I,)
    N : ndarray of shape (I, 10)
        Census persons of 15 and over by sex (men, women) x age (five classes).
    truth : ndarray of shape (I, 3)
        Census share of each outcome among persons of 15 and over.
    where, cell : ndarray of int, shape (n,)
        IRIS and sex x age cell of each person.
    y : ndarray of bool, shape (n, 3)
        Outcomes of each person.
    """

    iris: npt.NDArray[np.str_]
    N: Floats
    truth: Floats
    where: npt.NDArray[np.int64]
    cell: npt.NDArray[np.int64]
    y: npt.NDArray[np.bool_]


@cache
def rouen() -> Rouen:
    """Read persons and counts.

    Raises
    ------
    ProvenanceError
        The files are not here.
    """
    persons_file, counts_file = shared_file(PERSONS), shared_file(COUNTS)
    if persons_file is None or counts_file is None:
        raise ProvenanceError(
            "the census persons of Rouen are not here",
            where=PERSONS,
            hint="set INEGNUM_SHARED to the folder that holds data/known_truth",
        )
    persons = pd.read_csv(persons_file, dtype=str)
    counts = pd.read_csv(counts_file, dtype={"iris": str}).set_index("iris")
    persons = persons[persons["agerevq"].astype(int) >= 15]
    known = counts.index.intersection(sorted(set(persons["iris"])))
    known = known[counts.loc[known, "C13_POP15P"] >= _MIN_PERSONS].sort_values()
    persons = persons[persons["iris"].isin(known)]
    # The file mislabels nothing: ages are five-year classes named by their first year.
    age = np.searchsorted([30, 45, 60, 75], persons["agerevq"].astype(int), side="right")
    sex = (persons["sexe"] == "2").to_numpy(np.int64)
    held = counts.loc[known]
    N = np.column_stack([held[f"P13_{s}{a}"] for s in _SEXES for a in _AGES]).astype(np.float64)
    total = held["C13_POP15P"].to_numpy(np.float64)
    truth = np.column_stack(
        [held[f"C13_POP15P_CS{code}"].to_numpy(np.float64) / total for code in OUTCOMES.values()]
    )
    y = np.column_stack([(persons["cs1"] == code).to_numpy() for code in OUTCOMES.values()])
    where = np.searchsorted(known, persons["iris"])
    return Rouen(known.to_numpy(str), N, truth, where, sex * len(_AGES) + age, y)


def _logit(p: Floats | float) -> Floats:
    from scipy.special import logit

    return np.asarray(logit(np.clip(p, 1e-4, 1 - 1e-4)), dtype=np.float64)


def _expit(x: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(x))


def _shares(method: str, data: Rouen, at: npt.NDArray[np.int64]) -> Floats:
    """Return the weight each method gives to the ten cells of each IRIS, shape (I, 10)."""
    size = np.bincount(data.cell[at], minlength=data.N.shape[1]).astype(np.float64)
    if (size == 0).any():
        raise InputError(
            "the sample holds nobody of a sex and age", got=size.tolist(), hint="sample more people"
        )
    if method == "national":
        return np.tile(size / size.sum(), (len(data.iris), 1))
    by_age = size.reshape(2, -1)
    if method == "age":
        # Within an age the sample's own mix of men and women.
        age = data.N.reshape(len(data.iris), 2, -1).sum(axis=1, keepdims=True)
        counts = (age * by_age / by_age.sum(axis=0)).reshape(len(data.iris), -1)
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))
    cells = pd.DataFrame(
        {"sex": np.repeat(_SEXES, len(_AGES)), "age": np.tile(_AGES, len(_SEXES)), "w": size}
    )
    found = []
    for N in data.N.reshape(len(data.iris), 2, -1):
        share = N / N.sum()
        margins = {
            "sex": dict(zip(_SEXES, share.sum(axis=1), strict=True)),
            "age": dict(zip(_AGES, share.sum(axis=0), strict=True)),
        }
        found.append(rake(cells, margins, weights="w").weights)
    return np.array(found)


def _terms() -> list[Term]:
    """Return the blocks of the model over the ten sex x age cells."""
    ages, cell = len(_AGES), np.arange(2 * len(_AGES))
    walk = np.minimum.outer(np.arange(1.0, ages + 1), np.arange(1.0, ages + 1))
    return [
        Term("intercept", np.zeros_like(cell), 1, 1.5, learned=False),
        Term("age", cell % ages, ages, 1.0, covariance=walk),
        Term("sex", cell // ages, 2, 0.5, learned=False),
        Term("age:sex", cell, 2 * ages, 0.3),
    ]


def _counts(data: Rouen, at: npt.NDArray[np.int64], k: int) -> tuple[Floats, Floats]:
    """Return persons and hits of the sample by cell, shape (10,) each."""
    cells = data.N.shape[1]
    n = np.bincount(data.cell[at], minlength=cells).astype(np.float64)
    return n, np.bincount(data.cell[at], weights=data.y[at, k], minlength=cells)


def _mrp(data: Rouen, at: npt.NDArray[np.int64], k: int, rng: np.random.Generator) -> Floats:
    """Return draws of the logit of each sex x age cell, shape (S, 10)."""
    n, y = _counts(data, at, k)
    design = build_design(y, n, _terms())
    effects, _ = integrate(design, rng=rng, points=16).draw(_DRAWS, rng)
    return np.asarray(effects @ design.X.toarray().T)


def _margins(
    data: Rouen, at: npt.NDArray[np.int64], k: int, N: Floats, rng: np.random.Generator
) -> Floats:
    """Return the same from one-way rates of the sample and persons N (10,) of the census."""
    n, y = _counts(data, at, k)
    ages, cell = len(_AGES), np.arange(len(n))
    masks = np.vstack(
        [
            np.ones(len(n)),
            *(cell % ages == a for a in range(ages)),
            *(cell // ages == s for s in (0, 1)),
        ]
    ).astype(np.float64)
    rates = np.round(masks @ y / (masks @ n), 3)
    # A rate printed as 0 or 100 has no logit; the total still holds it.
    told = (rates > 0) & (rates < 1)
    masks, rates, size = masks[told], rates[told], (masks @ n)[told]
    A = masks * N / (masks @ N)[:, None]
    even, unit = np.ones(len(rates)), np.full(len(rates), 0.001)

    def covariance(p: Floats) -> Floats:
        return group_covariance(masks, N, p, n=size, deff=even, rounding=unit)

    design = build_design(np.zeros(len(n)), np.zeros(len(n)), _terms())
    kept = directions(A)
    posterior = invert(design, A, rates, kept=kept, covariance=covariance, rng=rng, points=128)
    effects, _ = posterior.draw(_DRAWS, rng)
    return np.asarray(effects @ design.X.toarray().T)


def _area_level(
    data: Rouen, at: npt.NDArray[np.int64], k: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Return direct rates and variances (I,) and Fay-Herriot draws (S, I); missing where nobody."""
    from inegnum.estimators.area import AreaData, Transform, fay_herriot

    n = np.bincount(data.where[at], minlength=len(data.iris)).astype(np.float64)
    hits = np.bincount(data.where[at], weights=data.y[at, k], minlength=len(data.iris))
    seen = n > 0
    p = np.divide(hits, n, out=np.full(len(n), np.nan), where=seen)
    pooled = hits.sum() / n.sum()
    size = np.where(seen, n, np.nan)
    # The pooled rate keeps the variance of an IRIS without any hit away from zero.
    D = pooled * (1 - pooled) / size
    age = data.N.reshape(len(data.iris), 2, len(_AGES)).sum(axis=1)
    share = age / age.sum(axis=1, keepdims=True)
    X = np.column_stack([np.ones(len(share)), share[:, 0], share[:, 3] + share[:, 4]])
    est = fay_herriot(
        AreaData(p, X, D, n=size, geo=data.iris.astype(object)),
        transform=Transform("arcsin", n_eff=size),
    )
    return p, D, est.draws(_DRAWS, rng).values


def _tau(gap: Floats, rng: np.random.Generator) -> Floats:
    """Draw the sd of deviations given those of the other IRIS, shape (S,)."""
    freedom = len(gap) - 1
    return np.asarray(gap.std(ddof=1) * np.sqrt(freedom / rng.chisquare(freedom, _DRAWS)))


def _with_deviation(logits: Floats, tau: Floats, rng: np.random.Generator) -> Floats:
    """Add a deviation that does not move the mean to logits (S, K); return rates (S, K)."""
    own = (tau * rng.standard_normal(_DRAWS))[:, None]
    return _expit(logits + recentring(logits, tau**2) + own)


def _sample(allowed: npt.NDArray[np.bool_], n: int, seed: list[int]) -> npt.NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return rng.choice(np.flatnonzero(allowed), size=n, replace=False)


def iris_fold(hidden: int, n: int, repeats: int) -> pd.DataFrame:
    """Estimate one IRIS from samples of n persons of the others.

    Returns
    -------
    DataFrame
        One row a method, outcome and sample: ``target, method, geo, cluster, persons, survey,
        truth, est, sd``, interval bounds and ``log_score``.
    """
    data = rouen()
    others = np.delete(np.arange(len(data.iris)), hidden)
    shares = data.N / data.N.sum(axis=1, keepdims=True)
    rows = []
    for repeat in range(repeats):
        at = _sample(data.where != hidden, n, [hidden, repeat, 0])
        carried = {method: _shares(method, data, at) for method in ("raking", "age", "national")}
        for k, outcome in enumerate(OUTCOMES):
            rng = np.random.default_rng([hidden, repeat, 1 + k])
            truth = data.truth[others, k]
            logits = _mrp(data, at, k, rng)
            # A deviation shifts every cell, so it is learned as such: where cells are near 0 or 1
            # the same shift moves the IRIS less than it would a single rate.
            center = np.tile(logits.mean(axis=0), (len(others), 1))
            tau = _tau(area_effects(shares[others], center, truth), rng)
            draws = {
                "mrp": _with_deviation(logits, tau, rng) @ shares[hidden],
                "mrp_no_tau": _expit(logits) @ shares[hidden],
            }
            logits = _margins(data, at, k, data.N[others].sum(axis=0), rng)
            center = np.tile(logits.mean(axis=0), (len(others), 1))
            tau = _tau(area_effects(shares[others], center, truth), rng)
            draws["margins"] = _with_deviation(logits, tau, rng) @ shares[hidden]
            draws["fay_herriot"] = _area_level(data, at, k, rng)[2][:, hidden]
            size, hits = _counts(data, at, k)
            cells = hits / size
            for method, weight in carried.items():
                rate, variance = weight @ cells, weight**2 @ (cells * (1 - cells) / size)
                tau = _tau(_logit(truth) - _logit(rate[others]), rng)
                p = rate[hidden]
                se = np.sqrt(variance[hidden]) / (p * (1 - p))
                sampled = _logit(p) + se * rng.standard_normal((_DRAWS, 1))
                draws[method] = _with_deviation(sampled, tau, rng)[:, 0]
            for method, drawn in draws.items():
                rows.append(
                    _row(drawn, data.truth[hidden, k]).assign(
                        target=outcome, method=method, survey=repeat
                    )
                )
    return pd.concat(rows, ignore_index=True).assign(
        geo=data.iris[hidden], cluster=data.iris[hidden], persons=data.N[hidden].sum()
    )


def _row(drawn: Floats, truth: float) -> pd.DataFrame:
    columns = {name: [float(v[0])] for name, v in interval_columns(drawn[:, None]).items()}
    logits = _logit(drawn)
    score = normal_log_score(
        np.array([logits.mean()]), np.array([logits.std(ddof=1)]), _logit(np.array([truth]))
    )
    return pd.DataFrame(columns).assign(truth=truth, sd=drawn.std(ddof=1), log_score=score)


def area_level_fold(n: int, repeat: int) -> pd.DataFrame:
    """Estimate every IRIS from one sample of all: direct rates, and Fay-Herriot on ages.

    Returns
    -------
    DataFrame
        As `iris_fold`, all IRIS at once.
    """
    data = rouen()
    at = _sample(np.ones(len(data.where), dtype=bool), n, [1000, repeat])
    rows = []
    for k, outcome in enumerate(OUTCOMES):
        rng = np.random.default_rng([2000, repeat, k])
        p, D, shrunk = _area_level(data, at, k, rng)
        direct = p + np.sqrt(D) * rng.standard_normal((_DRAWS, len(p)))
        drawn = {"direct": direct, "fay_herriot": shrunk}
        for method, values in drawn.items():
            columns = interval_columns(values)
            truth = data.truth[:, k]
            score = normal_log_score(values.mean(axis=0), values.std(axis=0, ddof=1), truth)
            rows.append(
                pd.DataFrame(columns).assign(
                    truth=truth,
                    sd=values.std(axis=0, ddof=1),
                    log_score=score,
                    target=outcome,
                    method=method,
                    survey=repeat,
                    geo=data.iris,
                    cluster=data.iris,
                    persons=data.N.sum(axis=1),
                )
            )
    return pd.concat(rows, ignore_index=True)
