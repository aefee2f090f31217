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

_JUDGES: Final = {
    "published": ("regions", "regions", "régions"),
    "even": (
        "regions-even",
        "regions, phone interviews even in both",
        "régions, entretiens téléphoniques égalisés des deux côtés",
    ),
}
_RIVALS: Final = {
    "national": ("score_against_national", "the national rate", "du taux national"),
    "age": ("score_against_age", "age alone", "de l'âge seul"),
    "raking": ("score_against_raking", "raking", "du calage"),
}


def _indicators() -> tuple[str, ...]:
    """Return every indicator of the year judged."""
    codes = [known.indicator.code for known in definitions()]
    return tuple(c for c in codes if YEAR in set(load_survey(c).table["wave"]))


def regions_rung(runner: Runner, level: Literal["quick", "full"]) -> Rung:
    """Climb rung 4, every indicator at either level."""
    del level
    known = catalogue.sources()
    hashes = {s.name: s.sha256 for s in known if s.role == "fit"}
    tasks = [(region, code) for code in _indicators() for region in REGIONS]
    rows = runner.run("regions", region_fold, tasks, inputs=" ".join(hashes.values()))
    tables = {
        "regions": coverage_by(rows, ["judge", "method"]),
        "regions_indicator": coverage_by(rows, ["judge", "indicator", "method"]),
        "regions_region": coverage_by(rows, ["judge", "region", "method"]),
    }
    return Rung(
        4,
        "leave-one-region-out",
        "Real indicators: does the model predict a region it has not seen, better than simpler "
        "methods?",
        "Indicateurs réels : le modèle prédit-il une région qu'il n'a pas vue, mieux que des "
        "méthodes plus simples ?",
        tuple(v for judge in _JUDGES for v in _verdicts(rows, tables["regions"], judge)),
        tables,
        notes_en=(
            "The judge is the region's own direct estimate, whose standard error is 2 to 3 points: "
            "most of the predictive width is the judge's, and twelve regions have little power.",
            "Corsica (8 respondents) judges nothing and informs the fits.",
            "Waves before 2020 carry no region and are left out, so these fits know less of the "
            "urban gradient than a release does: it is held at 2020, not at 2016-2019.",
            "Phone interviews, aimed at people far from digital, weigh 4 to 19 % of a region: the "
            "direct estimate carries that too. The second judgement gives them the same weight in "
            "every region and urban size, within age, on both sides; it overcorrects as far as "
            "people there are really farther from digital. Neither replaces the other.",
        ),
        notes_fr=(
            "Le juge est l'estimation directe de la région, dont l'erreur-type vaut 2 à 3 points : "
            "l'essentiel de la largeur prédictive est la sienne, et douze régions ont peu de "
            "puissance.",
            "La Corse (8 répondants) ne juge rien et nourrit les ajustements.",
            "Les vagues d'avant 2020 ne portent pas la région et sont écartées : ces ajustements "
            "en savent moins sur le gradient urbain qu'une publication : il est tenu à 2020 et "
            "non à 2016-2019.",
            "Les entretiens téléphoniques, destinés aux personnes éloignées du numérique, pèsent 4 "
            "à 19 % d'une région : l'estimation directe les porte aussi. Le second jugement leur "
            "donne le même poids dans chaque région et taille urbaine, à âge égal, des deux "
            "côtés ; il corrige trop dans la mesure où les habitants y sont réellement plus "
            "éloignés. Aucun ne remplace l'autre.",
        ),
        inputs=hashes,
    )


def _verdicts(rows: pd.DataFrame, scores: pd.DataFrame, by: str) -> list[Verdict]:
    prefix, said_en, said_fr = _JUDGES[by]
    found = [
        coverage_verdict(
            rows[(rows["method"] == "mrp") & (rows["judge"] == by)],
            f"{prefix}/coverage",
            "coverage_95",
            en=f"{said_en}: 95 % coverage of the direct estimate",
            fr=f"{said_fr} : couverture à 95 % de l'estimation directe",
        )
    ]
    own = _means(scores, by, "mrp")
    for rival, (threshold, en, fr) in _RIVALS.items():
        interval, log = _means(scores, by, rival)
        found.append(
            judge(
                f"{prefix}/score-{rival}",
                own[0] / interval,
                threshold,
                en=f"{said_en}: mean interval score over that of {en}",
                fr=f"{said_fr} : score d'intervalle moyen rapporté à celui {fr}",
            )
        )
        found.append(
            judge(
                f"{prefix}/log-score-{rival}",
                log - own[1],
                "log_score_gain",
                en=f"{said_en}: mean log score gained over {en}",
                fr=f"{said_fr} : score logarithmique moyen gagné sur celui {fr}",
                miss="warn",
            )
        )
    return found


def _means(scores: pd.DataFrame, by: str, method: str) -> tuple[float, float]:
    """Return the mean interval score and log score of a method before one judge."""
    row = scores[(scores["judge"] == by) & (scores["method"] == method)]
    return float(row["interval_score"].iloc[0]), float(row["log_score"].iloc[0])
