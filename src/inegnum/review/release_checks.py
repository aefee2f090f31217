"""Rungs that put the figures of a release to the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from inegnum.data import catalogue
from inegnum.review.figures import figures_rung
from inegnum.review.isolation import isolation
from inegnum.review.reference import reference_rung
from inegnum.review.release_files import manifest_of
from inegnum.review.rung import Rung

__all__ = ["RELEASE_RUNGS"]


def release_isolation(release: Path, against: Path | None) -> Rung:
    """Climb rung 7 on the inputs of a release."""
    del against
    inputs = manifest_of(release)["inputs"]
    return Rung(
        7,
        "isolation",
        "Isolation: does any table kept for validation enter this release?",
        "Étanchéité : une table de validation entre-t-elle dans cette publication ?",
        (isolation(inputs, catalogue.sources()),),
        inputs={entry["name"]: entry["sha256"] for entry in inputs},
    )


def release_reference(release: Path, against: Path | None) -> Rung:
    """Climb rung 5 on the figures of a release."""
    del against
    return reference_rung(release)


RELEASE_RUNGS: Final[dict[int, Callable[[Path, Path | None], Rung]]] = {
    5: release_reference,
    7: release_isolation,
    8: figures_rung,
}
