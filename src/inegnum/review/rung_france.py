"""Rung 2: census variables of communes predicted from other regions."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import pandas as pd

from inegnum.data import catalogue
from inegnum.estimators.pseudo_targets import TARGETS, Target, census
from inegnum.review.folds import Runner
from inegnum.review.known_truth_france import METHODS, SIZE_LABELS, fold
from inegnum.review.rung import Rung
from inegnum.review.scores import coverage_by
from inegnum.review.thresholds import coverage_verdict, judge
from inegnum.review.verdict import Verdict

__all__ = ["france", "france_fold", "later_fold"]

TABLES: Final = (
    "census_2012",
    "census_2018",
    "census_labour_force",
    "census_occupation_2022",
    "communes",
)
_QUICK: Final = ("modelled", "no_area_effect", "planned_tau", "national", "age", "calibrated")
_LATER: Final = ("modelled", "no_area_effect", "national")
_RIVALS: Final = {
    "national": ("score_against_national", "the national rate", "du taux national"),
    "age": ("score_against_age", "age alone", "de l'âge seul"),
    "calibrated": ("score_against_raking", "calibration", "du calage"),
}


def _target(code: str) -> Target:
    return next(target for target in TARGETS if target.code == code)


def france_fold(region: int, target: str, methods: tuple[str, ...], surveys: int) -> pd.DataFrame:
    """Predict one region of RP2018 from the others."""
    return fold(region, _target(target), census(2018), methods=methods, surveys=surveys)


def later_fold(region: int, target: str, methods: tuple[str, ...], surveys: int) -> pd.DataFrame:
    """Predict one region of RP2018 from the others in RP2012, anchored on their new total."""
    return fold(
        region,
        _target(target),
        census(2018),
        earlier=census(2012),
        methods=methods,
        surveys=surveys,
    )


def france(runner: Runner, level: Literal["quick", "full"]) -> Rung:
    """Climb rung 2."""
    hashes = {name: catalogue.source(name).sha256 for name in TABLES}
    digest = " ".join(hashes.values())
    regions = sorted(census(2018)["region"].astype(int).unique())
    methods: tuple[str, ...] = _QUICK if level == "quick" else METHODS
    surveys = 2 if level == "quick" else 5
    tasks = [(int(r), t.code, methods, surveys) for r in regions for t in TARGETS]
    now = runner.run("france", france_fold, tasks, inputs=digest)
    # The retired are known once: no earlier census to learn from.
    tasks = [(int(r), t.code, _LATER, surveys) for r in regions for t in TARGETS[:3]]
    later = runner.run("france-later", later_fold, tasks, inputs=digest)
    communes = now[now["level"] == "commune"]
    modelled = communes[communes["method"] == "modelled"]
    tables = {
        "france": coverage_by(now, ["level", "target", "method"]),
        "france_size": coverage_by(modelled, ["target", "size"]),
        "france_urban": coverage_by(modelled, ["target", "urban"]),
        "france_region": coverage_by(modelled, ["target", "region"]),
        "france_later": coverage_by(later, ["level", "target", "method"]),
    }
    verdicts = [v for target in TARGETS for v in _verdicts(now, tables["france"], target)]
    verdicts += [_later_verdict(later, target) for target in TARGETS[:3]]
    return Rung(
        2,
        "known-truth-france",
        "Known truth, France: is the census rate of a commune inside the interval predicted from "
        "other regions?",
        "Vérité connue, France : le taux du recensement d'une commune est-il dans l'intervalle "
        "prédit à partir des autres régions ?",
        tuple(verdicts),
        tables,
        notes_en=(
            "Communes are the units and rates are inferred from aggregates: areas are judged, not "
            "persons. The deviations of communes and intercommunalities were learned on the other "
            "regions; the one predicted was never seen.",
            "The variables are socio-economic, not digital: they prove the mechanism of the "
            "intervals, not the size of digital deviations.",
            f"{surveys} national surveys of 3,576 effective respondents were simulated.",
        ),
        notes_fr=(
            "Les unités sont des communes et les taux sont déduits d'agrégats : on juge des "
            "territoires, pas des personnes. Les écarts des communes et des intercommunalités ont "
            "été appris sur les autres régions ; la région prédite n'a jamais été vue.",
            "Ces variables sont socio-économiques et non numériques : elles prouvent le mécanisme "
            "des intervalles, non la taille des écarts numériques.",
            f"{surveys} enquêtes nationales de 3 576 répondants effectifs ont été simulées.",
        ),
        inputs=hashes,
    )


def _verdicts(now: pd.DataFrame, scores: pd.DataFrame, target: Target) -> list[Verdict]:
    """Judge one census variable."""
    rows = now[now["target"] == target.code]
    communes = rows[rows["level"] == "commune"]
    modelled = communes[communes["method"] == "modelled"]
    epci = rows[(rows["level"] == "epci") & (rows["method"] == "modelled")]
    planned = communes[communes["method"] == "planned_tau"]
    alone = communes[communes["method"] == "no_area_effect"]
    prefix = f"france/{target.code}"
    en, fr = f"{target.en}: 95 % coverage", f"{target.fr} : couverture à 95 %"
    found = [
        coverage_verdict(
            modelled,
            f"{prefix}/coverage",
            "coverage_95",
            en=f"{en}, communes",
            fr=f"{fr}, communes",
        ),
        coverage_verdict(
            epci,
            f"{prefix}/coverage-epci",
            "coverage_95",
            en=f"{en}, intercommunalities",
            fr=f"{fr}, intercommunalités",
        ),
        coverage_verdict(
            planned,
            f"{prefix}/coverage-estimator-tau",
            "coverage_95",
            en=f"{en}, with the estimator's deviations (0.20 and 0.18)",
            fr=f"{fr}, avec les écarts de l'estimateur (0,20 et 0,18)",
            # Fixed on design grounds for digital indicators: what it does here is information.
            miss="warn",
        ),
        coverage_verdict(
            alone,
            f"{prefix}/coverage-no-area-effect",
            "coverage_without_area_effect",
            en=f"{en}, survey error alone",
            fr=f"{fr}, erreur d'enquête seule",
        ),
    ]
    found += [
        coverage_verdict(
            modelled[modelled["size"] == size],
            f"{prefix}/coverage-{size}",
            "coverage_95",
            en=f"{en}, communes of {size} inhabitants",
            fr=f"{fr}, communes de {size} habitants",
        )
        for size in SIZE_LABELS
    ]
    return found + _score_verdicts(scores, target) + _spread_verdicts(modelled, scores, target)


def _scored(scores: pd.DataFrame, target: Target, method: str) -> pd.Series:
    chosen = (scores["target"] == target.code) & (scores["level"] == "commune")
    return scores[chosen & (scores["method"] == method)].iloc[0]


def _score_verdicts(scores: pd.DataFrame, target: Target) -> list[Verdict]:
    """Compare the mean interval score with that of the rivals."""
    own = float(_scored(scores, target, "modelled")["interval_score"])
    return [
        judge(
            f"france/{target.code}/score-{rival}",
            own / float(_scored(scores, target, rival)["interval_score"]),
            threshold,
            en=f"{target.en}: interval score over that of {en}",
            fr=f"{target.fr} : score d'intervalle rapporté à celui {fr}",
        )
        for rival, (threshold, en, fr) in _RIVALS.items()
    ]


def _spread_verdicts(rows: pd.DataFrame, scores: pd.DataFrame, target: Target) -> list[Verdict]:
    """Judge over-shrinkage: slope of the truth on the estimates, spread of the draws."""
    slope = float(_scored(scores, target, "modelled")["slope"])
    spread = (np.var(rows["est"]) + np.mean(rows["sd"] ** 2)) / np.var(rows["truth"])
    prefix = f"france/{target.code}"
    return [
        judge(
            f"{prefix}/slope",
            slope,
            "slope",
            en=f"{target.en}: slope of the truth on the estimates",
            fr=f"{target.fr} : pente de la vérité sur les estimations",
            miss="warn",
        ),
        judge(
            f"{prefix}/spread",
            float(spread),
            "spread",
            en=f"{target.en}: variance of drawn rates between communes over the truth's",
            fr=f"{target.fr} : variance des taux tirés entre communes sur celle de la vérité",
            miss="warn",
        ),
    ]


def _later_verdict(later: pd.DataFrame, target: Target) -> Verdict:
    """Judge predictions of 2018 learned on 2012."""
    rows = later[
        (later["target"] == target.code)
        & (later["level"] == "commune")
        & (later["method"] == "modelled")
    ]
    return coverage_verdict(
        rows,
        f"france-later/{target.code}/coverage",
        "coverage_95",
        en=f"{target.en}: 95 % coverage in 2018, learned on 2012",
        fr=f"{target.fr} : couverture à 95 % en 2018, apprise sur 2012",
    )
