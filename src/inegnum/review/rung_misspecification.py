"""Rung 6: what the intervals are worth when the model is wrong."""

from __future__ import annotations

from typing import Final, Literal

import pandas as pd

from inegnum.data import catalogue
from inegnum.review.folds import Runner
from inegnum.review.misspecification import BY_ENGINE, VARIANTS, WORLDS, engine_fold, world_fold
from inegnum.review.rung import Rung
from inegnum.review.scores import coverage_by
from inegnum.review.thresholds import coverage_verdict, judge
from inegnum.review.verdict import Verdict

__all__ = ["misspecification_rung"]

_SAID: Final = {
    "as_assumed": ("the model is right", "le modèle est juste"),
    "tau_drawn": ("deviations drawn from their prior", "écarts tirés de leur prior"),
    "tau_half": ("deviations half the prior's", "écarts moitié de ceux du prior"),
    "tau_double": ("deviations twice the prior's", "écarts doubles de ceux du prior"),
    "interaction": (
        "an interaction of age and urban size is missing",
        "une interaction entre âge et taille urbaine manque",
    ),
    "urban": (
        "the last wave exaggerates the urban gradient",
        "la dernière vague exagère le gradient urbain",
    ),
    "mode": ("mode is confounded with place", "le mode se confond avec le lieu"),
}


def misspecification_rung(runner: Runner, level: Literal["quick", "full"]) -> Rung:
    """Climb rung 6."""
    hashes = {s.name: s.sha256 for s in catalogue.sources() if s.role == "fit"}
    digest = " ".join(hashes.values())
    repeats = 4 if level == "quick" else 12
    tasks = [(world, repeat) for world in WORLDS for repeat in range(repeats)]
    rows = _clustered(runner.run("misspecification", world_fold, tasks, inputs=digest))
    verdicts = [verdict for world in WORLDS for verdict in _verdicts(rows, world)]
    tables = {
        "misspecification": coverage_by(rows, ["world", "method"]),
        "misspecification_urban": coverage_by(rows, ["world", "method", "urban"]),
    }
    engines = ("", "")
    if level == "full":
        tasks = [(world, repeat) for world in BY_ENGINE for repeat in range(ENGINE_REPEATS)]
        both = _clustered(runner.run("engines", engine_fold, tasks, inputs=digest))
        tables["misspecification_engine"] = coverage_by(both, ["world", "method"])
        verdicts += _engine_verdicts(both)
        engines = (
            " By engine: one survey a world, main effects of one wave.",
            " Par moteur : une enquête par monde, effets principaux d'une vague.",
        )
    return Rung(
        6,
        "misspecification",
        "Misspecification: what are the intervals worth when the model is wrong?",
        "Mauvaise spécification : que valent les intervalles quand le modèle est faux ?",
        tuple(verdicts),
        tables,
        notes_en=(
            f"{repeats} simulated surveys a world, 51 areas of 13 metropolises.{engines[0]}",
            "With deviations twice the prior's medians, intervals must miss: releases print the "
            "result with tau halved and doubled, and that interval is judged here too. Over "
            "deviations drawn from the prior, intervals must hold.",
        ),
        notes_fr=(
            f"{repeats} enquêtes simulées par monde, 51 zones de 13 métropoles.{engines[1]}",
            "Avec des écarts doubles des médianes du prior, les intervalles manquent : les "
            "publications montrent pour cela le résultat avec tau divisé et multiplié par deux, et "
            "cet intervalle est jugé ici aussi. Sur des écarts tirés du prior, les intervalles "
            "doivent tenir.",
        ),
        inputs=hashes,
    )


# NUTS is slow: enough to see an engine that misses, not to measure its coverage.
ENGINE_REPEATS: Final = 1


def _clustered(rows: pd.DataFrame) -> pd.DataFrame:
    """Name the cluster: areas of one metropolis in one survey share their error."""
    return rows.assign(cluster=rows["survey"].astype(str) + " " + rows["epci"].astype(str))


def _verdicts(rows: pd.DataFrame, world: str) -> list[Verdict]:
    """Judge the default in one world, and the variant that is right there."""
    en, fr = _SAID[world]
    own = rows[rows["world"] == world]
    found = [
        coverage_verdict(
            own[own["method"] == "release"],
            f"misspecification/{world}",
            "coverage_95",
            en=f"{en}: 95 % coverage",
            fr=f"{fr} : couverture à 95 %",
            # A prior wrong by two misses by construction: how much is what is asked.
            miss="warn" if world in VARIANTS else "fail",
        )
    ]
    if world in VARIANTS:
        variant = f"tau x {VARIANTS[world]:g}"
        found.append(
            coverage_verdict(
                own[own["method"] == variant],
                f"misspecification/{world}/variant",
                "coverage_95",
                en=f"{en}: 95 % coverage of the variant {variant}",
                fr=f"{fr} : couverture à 95 % de la variante {variant}",
            )
        )
    return found


def _engine_verdicts(rows: pd.DataFrame) -> list[Verdict]:
    """Judge both engines over the worlds, and how far apart they are."""
    found = [
        coverage_verdict(
            rows[rows["method"] == engine],
            f"misspecification/engine-{engine}",
            "coverage_95",
            en=f"engine {engine}, four worlds: 95 % coverage",
            fr=f"moteur {engine}, quatre mondes : couverture à 95 %",
        )
        for engine in ("laplace", "nuts")
    ]
    keys = ["world", "survey", "geo"]
    laplace, nuts = (
        rows[rows["method"] == engine].set_index(keys)[["est", "sd"]]
        for engine in ("laplace", "nuts")
    )
    gap = ((laplace["est"] - nuts["est"]).abs() / nuts["sd"]).max()
    found.append(
        judge(
            "misspecification/engines-agree",
            float(gap),
            "engines_agree",
            en="largest gap of an estimate between engines, in posterior sds",
            fr="plus grand écart d'une estimation entre moteurs, en écarts-types a posteriori",
        )
    )
    return found
