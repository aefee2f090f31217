"""Rung 4: the regions of the real survey, each predicted from the others."""

from __future__ import annotations

from typing import Final, Literal

import pandas as pd

from inegnum.data import catalogue
from inegnum.data.indicators import definitions
from inegnum.data.survey import load_survey
from inegnum.review.folds import Runner
from inegnum.review.leave_region_out import REGIONS, YEAR, region_fold
from inegnum.review.rung import Rung
from inegnum.review.scores import coverage_by
from inegnum.review.thresholds import coverage_verdict, judge
from inegnum.review.verdict import Verdict

__all__ = ["regions_rung"]

_QUICK: Final = ("smartphone", "internet_daily", "barrier_skills")
_RIVALS: Final = {
    "national": ("score_against_national", "the national rate", "le taux national"),
    "age": ("score_against_age", "age alone", "l'âge seul"),
    "raking": ("score_against_raking", "raking", "le calage"),
}


def _indicators(level: Literal["quick", "full"]) -> tuple[str, ...]:
    if level == "quick":
        return _QUICK
    codes = [known.indicator.code for known in definitions()]
    return tuple(c for c in codes if YEAR in set(load_survey(c).table["wave"]))


def regions_rung(runner: Runner, level: Literal["quick", "full"]) -> Rung:
    """Climb rung 4."""
    known = catalogue.sources()
    hashes = {s.name: s.sha256 for s in known if s.role == "fit"}
    tasks = [(region, code) for code in _indicators(level) for region in REGIONS]
    rows = runner.run("regions", region_fold, tasks, inputs=" ".join(hashes.values()))
    tables = {
        "regions": coverage_by(rows, ["method"]),
        "regions_indicator": coverage_by(rows, ["indicator", "method"]),
        "regions_region": coverage_by(rows, ["region", "method"]),
    }
    return Rung(
        4,
        "leave-one-region-out",
        "Real indicators: does the model predict a region it has not seen, better than simpler "
        "methods?",
        "Indicateurs réels : le modèle prédit-il une région qu'il n'a pas vue, mieux que des "
        "méthodes plus simples ?",
        tuple(_verdicts(rows, tables["regions"])),
        tables,
        notes_en=(
            "The judge is the region's own direct estimate, whose standard error is 2 to 3 points: "
            "most of the predictive width is the judge's, and twelve regions have little power.",
            "Corsica (8 respondents) judges nothing and informs the fits.",
            "Waves before 2020 carry no region and are left out, so these fits know less of the "
            "urban gradient than a release does; only its pooled reading is used.",
        ),
        notes_fr=(
            "Le juge est l'estimation directe de la région, dont l'erreur-type vaut 2 à 3 points : "
            "l'essentiel de la largeur prédictive est la sienne, et douze régions ont peu de "
            "puissance.",
            "La Corse (8 répondants) ne juge rien et nourrit les ajustements.",
            "Les vagues d'avant 2020 ne portent pas la région et sont écartées : ces ajustements "
            "en savent moins sur le gradient urbain qu'une publication ; seule sa lecture commune "
            "sert ici.",
        ),
        inputs=hashes,
    )


def _verdicts(rows: pd.DataFrame, scores: pd.DataFrame) -> list[Verdict]:
    found = [
        coverage_verdict(
            rows[rows["method"] == "mrp"],
            "regions/coverage",
            "coverage_95",
            en="regions: 95 % coverage of the direct estimate",
            fr="régions : couverture à 95 % de l'estimation directe",
        )
    ]
    own = _means(scores, "mrp")
    for rival, (threshold, en, fr) in _RIVALS.items():
        interval, log = _means(scores, rival)
        found.append(
            judge(
                f"regions/score-{rival}",
                own[0] / interval,
                threshold,
                en=f"regions: mean interval score over that of {en}",
                fr=f"régions : score d'intervalle moyen rapporté à celui de {fr}",
            )
        )
        found.append(
            judge(
                f"regions/log-score-{rival}",
                log - own[1],
                "log_score_gain",
                en=f"regions: mean log score gained over {en}",
                fr=f"régions : score logarithmique moyen gagné sur {fr}",
                miss="warn",
            )
        )
    return found


def _means(scores: pd.DataFrame, method: str) -> tuple[float, float]:
    """Return the mean interval score and log score of a method."""
    row = scores[scores["method"] == method]
    return float(row["interval_score"].iloc[0]), float(row["log_score"].iloc[0])
