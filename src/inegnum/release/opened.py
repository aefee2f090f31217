"""Open a release folder: its manifest, and files that are what the manifest says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inegnum.errors import ProvenanceError
from inegnum.provenance import sha256_bytes

__all__ = ["checked", "is_wide", "manifest_of"]


def manifest_of(path: Path) -> dict[str, Any]:
    """Return the manifest of a release folder.

    Raises
    ------
    ProvenanceError
        There is none, or it is not JSON.
    """
    file = path / "manifest.json"
    try:
        manifest = json.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ProvenanceError(
            "this folder is not a release",
            where=str(path),
            got="no manifest.json",
            expected="the folder written by `inegnum run`",
            hint="give the folder itself, not one of its files",
        ) from error
    except json.JSONDecodeError as error:
        raise ProvenanceError(
            "the manifest cannot be read",
            where=str(file),
            got=str(error),
            expected="JSON",
            hint="run `inegnum run` again: a release is written whole or not at all",
        ) from error
    return dict(manifest)


def is_wide(manifest: Mapping[str, Any]) -> bool:
    """Return whether a release is one of regions or all of France."""
    return bool(manifest.get("scale", {}).get("kind") == "wide")


def checked(path: Path, name: str, outputs: Mapping[str, str]) -> bytes:
    """Return the bytes of a file of a release, which must be those its manifest names.

    Raises
    ------
    ProvenanceError
        The file is not listed, is missing, or was changed.
    """
    file = path / name
    if name not in outputs:
        raise ProvenanceError(
            "a file is not listed in the manifest",
            where=str(file),
            expected=f"one of: {', '.join(sorted(outputs))}",
            hint="run `inegnum run` again",
        )
    if not file.is_file():
        raise ProvenanceError("a file of the release is missing", where=str(file))
    data = file.read_bytes()
    found = sha256_bytes(data)
    if found != outputs[name]:
        raise ProvenanceError(
            "a file of the release changed since it was written",
            where=str(file),
            got=f"sha256 {found[:12]}...",
            expected=f"sha256 {str(outputs[name])[:12]}...",
            hint="figures are never edited by hand: run `inegnum run` again",
        )
    return data
