"""Known truth, France: census variables of communes predicted from other regions.

Four census variables stand in for a digital indicator. Each region in turn is hidden; category
rates, slopes and the size of deviations are learned on the others, and the rates of its communes
and intercommunalities are drawn and compared with the census (`inegnum.estimators.ecological`
gives the model). Methods compared, each with what it needs to be honest:

==================  ============================================================================
modelled            composition, context, deviations of region, metropolis and commune by size
no_area_effect      the same, survey error only
one_tau             the same, one commune deviation for every size
planned_tau         the same, deviations of the estimator: 0.20 metropolis, 0.18 commune, no region
halved, doubled     `modelled` with every deviation halved, doubled
national            the national rate everywhere, deviations learned for it
age                 composition by age alone, deviations learned for it
calibrated          rates linear in the margins (calibration), deviations learned for them
==================  ============================================================================

The variable predicted is never among what predicts it, nor is a variable that contains it:
``COMPOSITION`` and ``CONTEXT`` say what is used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.estimators.ecological import (
    Areas,
    Calibrated,
    CategoryRates,
    Learned,
    Predictor,
    area_effects,
    learn,
    predict,
    survey,
)
from inegnum.estimators.pseudo_targets import TARGETS, Target, areas_of, composition
from inegnum.estimators.spec import Tau
from inegnum.review.scores import interval_columns, normal_log_score

__all__ = [
    "METHODS",
    "SIZE_LABELS",
    "fold",
    "shift_to_total",
    "views",
]

Floats = npt.NDArray[np.float64]

# Size of the Baromètre of 2022 over its Kish design effect (4,184 / 1.17).
SURVEY_N: Final = 3576.0
METHODS: Final = (
    "modelled",
    "no_area_effect",
    "one_tau",
    "planned_tau",
    "halved",
    "doubled",
    "national",
    "age",
    "calibrated",
)
_SIZES: Final = (0, 3e3, 5e3, 1e4, 2e4, 5e4, np.inf)
SIZE_LABELS: Final = ("2-3k", "3-5k", "5-10k", "10-20k", "20-50k", "50k+")


def shift_to_total(areas: Areas, predictor: Predictor, coefficients: Floats) -> float:
    """Return the logit shift that gives these areas their total (the national anchor)."""
    logits, shares = predictor.logits(areas, coefficients)
    weight = (areas.persons / areas.persons.sum())[:, None] * shares
    total = np.array([np.average(areas.y, weights=areas.persons)])
    return float(area_effects(weight.reshape(1, -1), logits.reshape(1, -1), total)[0])


def views(table: pd.DataFrame, target: Target) -> dict[str, Areas]:
    """Return the areas as each method sees them: all evidence, age only, nothing."""
    full = areas_of(table, target)
    by_age = replace(target, composition="age")
    nothing = np.empty((len(full), 0))
    # Calibration knows no prior for a class it never met: Paris is one of the large units.
    merged = np.column_stack([full.x[:, :-2], full.x[:, -2] + full.x[:, -1]])
    return {
        "full": full,
        "calibrated": replace(full, x=merged),
        "age": replace(full, shares=composition(table, by_age), x=nothing),
        "national": replace(full, shares=np.ones((len(full), 1)), x=nothing),
    }


def fold(
    region: int,
    target: Target,
    table: pd.DataFrame,
    *,
    earlier: pd.DataFrame | None = None,
    methods: tuple[str, ...] = METHODS,
    draws: int = 500,
    surveys: int = 2,
) -> pd.DataFrame:
    """Predict one region from the others and set the predictions beside the truth.

    Parameters
    ----------
    region : int
        Hidden region.
    target : Target
    table : DataFrame
        Census of the year predicted, see `areas_of`.
    earlier : DataFrame, optional
        Census to learn from instead (the other regions of an earlier year); the level is then
        anchored on the total of the other regions in the year predicted.
    methods : tuple of str
    draws : int
    surveys : int
        National surveys simulated; errors of one survey are shared by all areas.

    Returns
    -------
    DataFrame
        One row an area and method: ``target, method, level, geo, region, size, urban, cluster,
        truth, est, sd, survey``, interval bounds and ``log_score``. Levels: ``commune``, and
        ``epci`` for intercommunalities of five communes or more (sums of communes, draw by draw).
    """
    now = views(table, target)
    past = now if earlier is None else views(earlier, target)
    labels = table[table["region"].astype(int) == region].reset_index(drop=True)
    known: dict[tuple[str, bool], Learned] = {}
    rows = []
    for method in methods:
        view = method if method in ("age", "national", "calibrated") else "full"
        one_tau = method == "one_tau"
        predictor: Predictor = Calibrated() if view == "calibrated" else CategoryRates()
        key = (view, one_tau)
        if key not in known:
            others = past[view].take(past[view].region != region)
            known[key] = learn(others, predictor, n=SURVEY_N, one_tau=one_tau)
            if earlier is not None:
                anchor = now[view].take(now[view].region != region)
                known[key] = _anchored(known[key], anchor, predictor)
        hidden = now[view].take(now[view].region == region)
        for repeat in range(surveys):
            # Streams by fold, not by order: results do not depend on the workers. Every method
            # sees the same surveys, so that methods do not differ by their luck.
            seeds = [region, TARGETS.index(target), repeat]
            coefficients = survey(known[key], draws, np.random.default_rng([*seeds, 0]))
            rng = np.random.default_rng([*seeds, 1 + METHODS.index(method)])
            deviations = _deviations(method, known[key], draws, rng)
            drawn = predict(
                known[key],
                hidden,
                predictor,
                coefficients=coefficients,
                deviations=deviations,
                rng=rng,
            )
            rows += [
                _score(drawn, hidden, labels, level).assign(
                    target=target.code, method=method, level=level, survey=repeat
                )
                for level in ("commune", "epci")
            ]
    return pd.concat(rows, ignore_index=True)


def _anchored(learned: Learned, anchor: Areas, predictor: Predictor) -> Learned:
    """Shift the category rates so that the other regions have their total of the new year."""
    shift = shift_to_total(anchor, predictor, learned.coefficients)
    moved = learned.coefficients.copy()
    moved[: anchor.shares.shape[1]] += shift
    return replace(learned, coefficients=moved)


def _deviations(method: str, learned: Learned, draws: int, rng: np.random.Generator) -> Floats:
    """Return the standard deviations a method draws its deviations with, shape (S or 0, 4)."""
    if method == "no_area_effect":
        return np.empty((0, 4))
    if method == "planned_tau":
        # As a release draws them: no region, one deviation for communes of every size.
        tau = Tau()
        medians = np.array([0.0, tau.metro, tau.commune, 0.0])
        return medians * np.exp(tau.log_sd * rng.standard_normal((draws, 4)))
    factor = {"halved": 0.5, "doubled": 2.0}.get(method, 1.0)
    return factor * learned.variances.draw(draws, rng)


def _score(drawn: Floats, hidden: Areas, labels: pd.DataFrame, level: str) -> pd.DataFrame:
    """Set draws of the hidden communes, or of their sums, beside the truth."""
    size = pd.cut(labels["population"], list(_SIZES), labels=list(SIZE_LABELS), right=False)
    keys = pd.DataFrame(
        {
            "geo": labels["geo"],
            "region": labels["region"],
            "cluster": labels["region"],
            "size": size.astype(str),
            "urban": labels["urban"],
        }
    )
    truth = hidden.y
    if level == "epci":
        counts = labels["epci"].value_counts()
        names = sorted(counts.index[counts >= 5])
        weight = labels["epci"].to_numpy()[None, :] == np.array(names, dtype=object)[:, None]
        weight = weight * hidden.persons
        weight = weight / weight.sum(axis=1, keepdims=True)
        drawn, truth = drawn @ weight.T, weight @ truth
        one = labels["region"].iloc[0]
        keys = pd.DataFrame({"geo": names}).assign(region=one, cluster=one, size="", urban="")
    logits = _logit(drawn)
    scores = normal_log_score(logits.mean(axis=0), logits.std(axis=0, ddof=1), _logit(truth))
    columns = interval_columns(drawn)
    return keys.assign(truth=truth, sd=drawn.std(axis=0, ddof=1), log_score=scores, **columns)


def _logit(p: Floats) -> Floats:
    return np.asarray(np.log(p) - np.log1p(-p))
