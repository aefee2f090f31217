"""Rungs that put the method itself to the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from inegnum.data import catalogue
from inegnum.review.folds import Runner
from inegnum.review.isolation import isolation
from inegnum.review.known_truth_morocco import morocco_rung
from inegnum.review.rung import Rung
from inegnum.review.rung_france import france
from inegnum.review.rung_misspecification import misspecification_rung
from inegnum.review.rung_published import published_rung
from inegnum.review.rung_regions import regions_rung
from inegnum.review.rung_rouen import rouen_rung

__all__ = ["METHOD_RUNGS"]


def catalogue_isolation(runner: Runner, level: Literal["quick", "full"]) -> Rung:
    """Climb rung 7 on the tables that come with the package."""
    del runner, level
    known = catalogue.sources()
    offered = [
        {"name": s.name, "role": s.role, "sha256": s.sha256} for s in known if s.role != "validate"
    ]
    kept = [source.name for source in known if source.role == "validate"]
    return Rung(
        7,
        "isolation",
        "Isolation: does any table kept for validation enter a fit?",
        "Étanchéité : une table de validation entre-t-elle dans une estimation ?",
        (isolation(offered, known),),
        notes_en=(f"Tables kept for validation: {', '.join(kept)}.",),
        notes_fr=(f"Tables réservées à la validation : {', '.join(kept)}.",),
        inputs={source.name: source.sha256 for source in known},
    )


METHOD_RUNGS: Final[dict[int, Callable[[Runner, Literal["quick", "full"]], Rung]]] = {
    1: rouen_rung,
    2: france,
    3: morocco_rung,
    4: regions_rung,
    5: published_rung,
    6: misspecification_rung,
    7: catalogue_isolation,
}
