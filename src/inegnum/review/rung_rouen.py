"""Rung 1: IRIS of Rouen estimated from samples of other IRIS."""

from __future__ import annotations

from typing import Final, Literal

import pandas as pd

from inegnum.provenance import sha256_file
from inegnum.review.folds import Runner
from inegnum.review.known_truth_rouen import (
    COUNTS,
    OUTCOMES,
    PERSONS,
    area_level_fold,
    iris_fold,
    rouen,
    shared_file,
)
from inegnum.review.rung import Rung
from inegnum.review.scores import coverage_by
from inegnum.review.thresholds import coverage_verdict, judge
from inegnum.review.verdict import Verdict

__all__ = ["rouen_rung"]

TITLE_EN: Final = (
    "Known truth, Rouen: is the census rate of a neighbourhood inside the interval estimated from "
    "people of other neighbourhoods?"
)
TITLE_FR: Final = (
    "Vérité connue, Rouen : le taux du recensement d'un quartier est-il dans l'intervalle estimé "
    "à partir d'habitants d'autres quartiers ?"
)
SAMPLE: Final = 1500
_EN: Final = {"retired": "retired", "managers": "managers", "workers": "workers"}
_FR: Final = {"retired": "retraités", "managers": "cadres", "workers": "ouvriers"}


def rouen_rung(runner: Runner, level: Literal["quick", "full"]) -> Rung:
    """Climb rung 1, or say that its persons are not here."""
    files = {name: shared_file(name) for name in (PERSONS, COUNTS)}
    if None in files.values():
        return _not_here()
    hashes = {name: sha256_file(path) for name, path in files.items() if path is not None}
    digest = " ".join(hashes.values())
    repeats = 2 if level == "quick" else 6
    tasks = [(i, SAMPLE, repeats) for i in range(len(rouen().iris))]
    hidden = runner.run("rouen", iris_fold, tasks, inputs=digest)
    sampled = runner.run(
        "rouen-area-level",
        area_level_fold,
        [(SAMPLE, repeat) for repeat in range(5 * repeats)],
        inputs=digest,
    )
    tables = {
        "rouen": coverage_by(hidden, ["target", "method"]),
        "rouen_area_level": coverage_by(sampled, ["target", "method"]),
    }
    return Rung(
        1,
        "known-truth-rouen",
        TITLE_EN,
        TITLE_FR,
        tuple(_verdicts(hidden, sampled, tables["rouen"])),
        tables,
        notes_en=(
            f"{repeats} samples of {SAMPLE} of 36,684 census persons; each IRIS is estimated from "
            "its sex and age counts alone, without any of its own respondents.",
            "Sex and age say much about retirement and nearly nothing about managers or workers: "
            "there no method ranks neighbourhoods, and intervals are wide for that reason.",
            "Persons are a subsample without weights (retired 18.5 %, census 19.5 %): part of the "
            "gap between estimate and truth is that, not the method.",
        ),
        notes_fr=(
            f"{repeats} échantillons de {SAMPLE} personnes parmi 36 684 du recensement ; chaque "
            "IRIS est estimé par ses seuls effectifs par sexe et âge, sans aucun de ses habitants.",
            "Le sexe et l'âge disent beaucoup de la retraite et presque rien des cadres ou des "
            "ouvriers : aucune méthode n'y classe les quartiers, d'où des intervalles larges.",
            "Les personnes sont un sous-échantillon sans poids (retraités 18,5 %, recensement "
            "19,5 %) : une part de l'écart vient de là et non de la méthode.",
        ),
        inputs=hashes,
    )


def _not_here() -> Rung:
    verdict = Verdict(
        "rouen/persons",
        "warn",
        0.0,
        1.0,
        "Not climbed here: the census persons of Rouen do not come with the package; the committed "
        "results of docs/validation hold the last run.",
        "Non gravi ici : les individus du recensement de Rouen ne sont pas dans le paquet ; les "
        "résultats déposés dans docs/validation gardent la dernière exécution.",
    )
    return Rung(1, "known-truth-rouen", TITLE_EN, TITLE_FR, (verdict,))


def _verdicts(hidden: pd.DataFrame, sampled: pd.DataFrame, scores: pd.DataFrame) -> list[Verdict]:
    found = []
    for target in OUTCOMES:
        for method, threshold, en, fr in (
            ("mrp", "coverage_95", "95 % coverage", "couverture à 95 %"),
            (
                "mrp_no_tau",
                "coverage_without_area_effect",
                "95 % coverage, survey error alone",
                "couverture à 95 %, erreur d'enquête seule",
            ),
            (
                "margins",
                "coverage_95",
                "95 % coverage of margins-only",
                "couverture à 95 % des marges seules",
            ),
            (
                "fay_herriot",
                "coverage_95",
                "95 % coverage of Fay-Herriot, IRIS without respondents",
                "couverture à 95 % de Fay-Herriot, IRIS sans répondant",
            ),
        ):
            rows = hidden[(hidden["target"] == target) & (hidden["method"] == method)]
            found.append(
                coverage_verdict(
                    rows,
                    f"rouen/{target}/coverage-{method.replace('_', '-')}",
                    threshold,
                    en=f"{_EN[target]}: {en}",
                    fr=f"{_FR[target]} : {fr}",
                )
            )
        rows = sampled[(sampled["target"] == target) & (sampled["method"] == "fay_herriot")]
        found.append(
            coverage_verdict(
                rows,
                f"rouen/{target}/coverage-fay-herriot-sampled",
                "coverage_95",
                en=f"{_EN[target]}: 95 % coverage of Fay-Herriot, every IRIS sampled",
                fr=f"{_FR[target]} : couverture à 95 % de Fay-Herriot, tout IRIS échantillonné",
            )
        )
    means = scores.groupby("method")["interval_score"].mean()
    rivals = {
        "national": ("score_against_national", "the national rate", "du taux national"),
        "age": ("score_against_age", "age alone", "de l'âge seul"),
        "raking": ("score_against_raking", "raking", "du calage"),
    }
    found += [
        judge(
            f"rouen/score-{rival}" if own == "mrp" else f"rouen/{own}/score-{rival}",
            float(means[own] / means[rival]),
            threshold,
            en=f"mean interval score{said_en} over that of {en}, three outcomes",
            fr=f"score d'intervalle moyen{said_fr} rapporté à celui {fr}, trois variables",
            # Margins-only stands in where there are no respondents to rake or tabulate.
            miss="fail" if own == "mrp" else "warn",
        )
        for own, said_en, said_fr in (
            ("mrp", "", ""),
            ("margins", " of margins-only", " des marges seules"),
        )
        for rival, (threshold, en, fr) in rivals.items()
    ]
    return found
