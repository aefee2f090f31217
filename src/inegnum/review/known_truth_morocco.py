"""Rung 3: household internet by commune, Morocco 2014, from simulated samples.

The census gives the share of households with internet in 1,493 communes. A sample is simulated:
four communes in ten, forty households in each; Fay-Herriot on the arcsine scale uses the census
education and housing of every commune. Sampled communes borrow strength, the others get a synthetic
rate with the error of the model. ``synthetic`` is the regression without the direct rate, ``mean``
the sample's mean everywhere with the spread of the sampled communes.

Limits: households are drawn with the commune's own rate (no cluster or interviewer effect).
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import ProvenanceError
from inegnum.estimators.area import AreaData, Transform, fay_herriot
from inegnum.provenance import sha256_file
from inegnum.review.folds import Runner
from inegnum.review.known_truth_rouen import shared_file
from inegnum.review.rung import Rung
from inegnum.review.scores import coverage_by, interval_columns, normal_log_score
from inegnum.review.thresholds import coverage_verdict, judge
from inegnum.review.verdict import Verdict

__all__ = ["communes", "morocco_rung", "sample_fold"]

Floats = npt.NDArray[np.float64]

HOUSEHOLDS: Final = "known_truth/maroc2014_households.csv.gz"
PEOPLE: Final = "known_truth/maroc2014_people.csv.gz"
COVARIATES: Final = ("education_higher", "education_upper_secondary", "dwelling_type_apartment")
SHARE: Final = 0.4
SIZE: Final = 40
_DRAWS: Final = 500
TITLE_EN: Final = (
    "Known truth, Morocco 2014: is household internet of a commune inside the area-level interval?"
)
TITLE_FR: Final = (
    "Vérité connue, Maroc 2014 : l'accès des ménages à internet d'une commune est-il dans "
    "l'intervalle du modèle par zone ?"
)


@cache
def communes() -> pd.DataFrame:
    """Return communes: ``geo, region, truth`` and the covariates as shares.

    Raises
    ------
    ProvenanceError
        The files are not here.
    """
    paths = shared_file(HOUSEHOLDS), shared_file(PEOPLE)
    if paths[0] is None or paths[1] is None:
        raise ProvenanceError(
            "the communes of Morocco are not here",
            where=HOUSEHOLDS,
            hint="set INEGNUM_SHARED to the folder that holds data/known_truth",
        )
    text = {"code": str, "code_digits": str}
    homes, people = pd.read_csv(paths[0], dtype=text), pd.read_csv(paths[1], dtype=text)
    whole = (homes["level"] == "commune") & (homes["area"] == "total")
    everyone = (people["level"] == "commune") & (people["area"] == "total")
    everyone &= people["sex"] == "all"
    kept = ["code", "education_higher", "education_upper_secondary"]
    table = homes[whole].merge(people.loc[everyone, kept], on="code", validate="1:1")
    rates = table[["equipment_internet", *COVARIATES]] / 100
    out = rates.rename(columns={"equipment_internet": "truth"})
    return out.assign(geo=table["code"], region=table["code"].str[:2]).dropna(
        subset=["truth", *COVARIATES], ignore_index=True
    )


def sample_fold(repeat: int) -> pd.DataFrame:
    """Estimate every commune from one simulated sample.

    Returns
    -------
    DataFrame
        One row a commune and method: ``method, sampled, geo, cluster, truth, est, sd, survey``,
        interval bounds and ``log_score`` (of the rate on the arcsine scale).
    """
    table = communes()
    rng = np.random.default_rng([3, repeat])
    truth = table["truth"].to_numpy(np.float64)
    chosen = rng.random(len(table)) < SHARE
    y = np.where(chosen, rng.binomial(SIZE, truth) / SIZE, np.nan)
    pooled = np.nanmean(y)
    D = np.where(chosen, pooled * (1 - pooled) / SIZE, np.nan)
    n = np.where(chosen, float(SIZE), np.nan)
    root = np.sqrt(table[list(COVARIATES)].to_numpy(np.float64))
    drawn = {}
    for method, X in (
        ("fay_herriot", np.column_stack([np.ones(len(table)), root])),
        ("mean", np.ones((len(table), 1))),
    ):
        data = AreaData(y, X, D, geo=table["geo"].to_numpy(object), n=n)
        found = fay_herriot(data, transform=Transform("arcsin", n_eff=n))
        drawn[method] = found.draws(_DRAWS, rng).values
    rows = [_row(values, truth).assign(method=method) for method, values in drawn.items()]
    keys = pd.DataFrame(
        {"geo": table["geo"], "cluster": table["region"], "sampled": chosen, "truth": truth}
    )
    joined = [pd.concat([row, keys], axis=1) for row in rows]
    return pd.concat(joined, ignore_index=True).assign(survey=repeat)


def _row(values: Floats, truth: Floats) -> pd.DataFrame:
    angles = np.arcsin(np.sqrt(values))
    score = normal_log_score(
        angles.mean(axis=0), angles.std(axis=0, ddof=1), np.arcsin(np.sqrt(truth))
    )
    return pd.DataFrame(interval_columns(values)).assign(
        sd=values.std(axis=0, ddof=1), log_score=score
    )


def morocco_rung(runner: Runner, level: Literal["quick", "full"]) -> Rung:
    """Climb rung 3, or say that its communes are not here."""
    files = {name: shared_file(name) for name in (HOUSEHOLDS, PEOPLE)}
    if None in files.values():
        verdict = Verdict(
            "morocco/communes",
            "warn",
            0.0,
            1.0,
            "Not climbed here: the communes of Morocco do not come with the package; the committed "
            "results of docs/validation hold the last run.",
            "Non gravi ici : les communes du Maroc ne sont pas dans le paquet ; les résultats "
            "déposés dans docs/validation gardent la dernière exécution.",
        )
        return Rung(3, "known-truth-morocco", TITLE_EN, TITLE_FR, (verdict,))
    hashes = {name: sha256_file(path) for name, path in files.items() if path is not None}
    repeats = 5 if level == "quick" else 50
    rows = runner.run(
        "morocco", sample_fold, [(r,) for r in range(repeats)], inputs=" ".join(hashes.values())
    )
    table = coverage_by(rows, ["sampled", "method"])
    verdicts = []
    for sampled, en, fr in (
        (True, "communes with forty households asked", "communes où quarante ménages répondent"),
        (False, "communes without any household asked", "communes sans aucun ménage interrogé"),
    ):
        chosen = rows[(rows["sampled"] == sampled) & (rows["method"] == "fay_herriot")]
        name = "sampled" if sampled else "unsampled"
        verdicts.append(
            coverage_verdict(
                chosen,
                f"morocco/coverage-{name}",
                "coverage_95",
                en=f"{en}: 95 % coverage",
                fr=f"{fr} : couverture à 95 %",
            )
        )
        scores = table[table["sampled"] == sampled].set_index("method")["interval_score"]
        verdicts.append(
            judge(
                f"morocco/score-{name}",
                float(scores["fay_herriot"] / scores["mean"]),
                "score_against_national",
                en=f"{en}: interval score over that of one mean for all",
                fr=f"{fr} : score d'intervalle rapporté à celui d'une moyenne pour toutes",
            )
        )
    return Rung(
        3,
        "known-truth-morocco",
        TITLE_EN,
        TITLE_FR,
        tuple(verdicts),
        {"morocco": table},
        notes_en=(f"{repeats} samples: four communes in ten, forty households in each.",),
        notes_fr=(f"{repeats} échantillons : quatre communes sur dix, quarante ménages chacune.",),
        inputs=hashes,
    )
