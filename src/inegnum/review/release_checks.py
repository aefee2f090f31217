"""Rungs that put the figures of a release to the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from inegnum.data import catalogue
from inegnum.errors import InputError
from inegnum.review.isolation import isolation
from inegnum.review.rung import Rung

__all__ = ["RELEASE_RUNGS", "manifest_of"]


def manifest_of(release: Path) -> dict[str, Any]:
    """Read the manifest of a release folder.

    Raises
    ------
    InputError
        The folder holds no manifest, or one without inputs.
    """
    path = release / "manifest.json"
    if not path.is_file():
        raise InputError(
            "not a release",
            where=str(release),
            expected="a folder with manifest.json",
            hint="run the study first, then validate the folder it writes",
        )
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(manifest.get("inputs"), list):
        raise InputError("the manifest lists no inputs", where=str(path), expected="inputs")
    return manifest


def release_isolation(release: Path) -> Rung:
    """Climb rung 7 on the inputs of a release."""
    inputs = manifest_of(release)["inputs"]
    return Rung(
        7,
        "isolation",
        "Isolation: does any table kept for validation enter this release?",
        "Étanchéité : une table de validation entre-t-elle dans cette publication ?",
        (isolation(inputs, catalogue.sources()),),
        inputs={entry["name"]: entry["sha256"] for entry in inputs},
    )


RELEASE_RUNGS: Final[dict[int, Callable[[Path], Rung]]] = {7: release_isolation}
