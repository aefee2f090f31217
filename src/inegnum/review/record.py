"""Results of the ladder that come with the package: what a release may say of its own method.

``docs/validation`` holds the last run of each level as JSON, and that of the reference release; the
wheel carries them. A release repeats the state of each rung, and for each indicator how the regions
of the survey were predicted.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from inegnum.review.verdict import Verdict

__all__ = ["indicator_verdicts", "method_verdicts", "recorded", "tables_of"]

# Regions missed out of twelve that chance alone gives to one indicator in fifty.
_MISSED: Final = 3


@cache
def recorded(name: str | None = None) -> dict[str, Any]:
    """Return results on record by name (``quick``, ``full``, a release); empty without any.

    Without a name, those of the method: the full level's where there are some.
    """
    roots = (
        Path(str(files("inegnum"))) / "_validation",
        Path(__file__).resolve().parents[3] / "docs" / "validation",
    )
    names = ("full", "quick") if name is None else (name,)
    for path in (root / f"{one}.json" for root in roots for one in names):
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    return {}


def tables_of(results: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of stored results by name, as rows."""
    return {
        name: rows for rung in results.get("rungs", ()) for name, rows in rung["tables"].items()
    }


def method_verdicts(results: dict[str, Any]) -> tuple[Verdict, ...]:
    """Say, rung by rung, how the method of a release fared.

    A rung that fails warns here: it is a property of the method, not an error of the release.
    """
    found = []
    for rung in results.get("rungs", ()):
        states = [v["status"] for v in rung["verdicts"]]
        failed = [v for v in rung["verdicts"] if v["status"] == "fail"]
        when = f"{results['date']}, {results['level']}"
        held, watched = states.count("pass"), states.count("warn")
        found.append(
            Verdict(
                f"method/{rung['code']}",
                "warn" if failed else "pass",
                float(len(failed)),
                0.0,
                f"Validation of the method, rung {rung['number']} ({when}): {held} checks hold, "
                f"{watched} to watch, {len(failed)} fail."
                + "".join(f" Fails: {v['sentence_en']}" for v in failed),
                f"Validation de la méthode, barreau {rung['number']} ({when}) : {held} contrôles "
                f"tenus, {watched} à surveiller, {len(failed)} en échec."
                + "".join(f" Échoue : {v['sentence_fr']}" for v in failed),
            )
        )
    return tuple(found)


def indicator_verdicts(results: dict[str, Any], code: str) -> tuple[Verdict, ...]:
    """Say how the regions of the survey were predicted for one indicator; nothing if not tried."""
    rows = tables_of(results).get("regions_indicator", [])
    own = {
        row["method"]: row
        for row in rows
        if row["indicator"] == code and row.get("judge") == "published"
    }
    if not {"mrp", "national"} <= set(own):
        return ()
    n = round(own["mrp"]["n"])
    inside = round(n * own["mrp"]["coverage_95"])
    ratio = own["mrp"]["interval_score"] / own["national"]["interval_score"]
    french = f"{ratio:.2f}".replace(".", ",")
    return (
        Verdict(
            f"regions:{code}",
            "warn" if n - inside >= _MISSED else "pass",
            float(inside),
            float(n),
            f"Each region of the survey predicted from the others: {inside} of {n} direct "
            f"estimates inside the 95 % interval; interval score {ratio:.2f} times that of the "
            "national rate (below 1 is better).",
            f"Chaque région de l'enquête prédite à partir des autres : {inside} estimations "
            f"directes sur {n} dans l'intervalle à 95 % ; score d'intervalle {french} fois celui "
            "du taux national (moins de 1 est mieux).",
        ),
    )
