"""Read the files of a release that checks need, hashes verified."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd

from inegnum.errors import InputError, ProvenanceError
from inegnum.provenance import read_checked

__all__ = ["draws_of", "estimates_of", "manifest_of"]


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


def _checked(release: Path, name: str) -> bytes:
    outputs = manifest_of(release).get("outputs", {})
    if name not in outputs:
        raise ProvenanceError(
            "a file of the release is not in its manifest", where=f"{release.name}/{name}"
        )
    return read_checked(release / name, outputs[name])


def estimates_of(release: Path) -> pd.DataFrame:
    """Return the table of estimates, its hash checked against the manifest."""
    data = _checked(release, "estimates.csv")
    return pd.read_csv(io.BytesIO(data), dtype={"geo": str, "reason": str})


def draws_of(release: Path) -> int:
    """Return how many joint draws a release rests on."""
    data = _checked(release, "draws.parquet")
    return int(pd.read_parquet(io.BytesIO(data), columns=["draw"])["draw"].nunique())
