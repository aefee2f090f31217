"""Run a release again from its manifest and compare, byte for byte."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inegnum.data import catalogue
from inegnum.data.strict import into
from inegnum.errors import InputError
from inegnum.provenance import sha256_file
from inegnum.release.diff import causes_of
from inegnum.study.folder import run_to_folder
from inegnum.study.spec import Study, files_of, located

__all__ = ["rerun"]


def rerun(manifest: str | Path, *, files: str | Path = "") -> list[str]:
    """Run the study of a manifest again and say what differs; nothing when every byte is the same.

    Inputs are compared first: a run on other inputs could only differ.

    Parameters
    ----------
    manifest : str or Path
        A release folder, or its ``manifest.json``.
    files : str or Path
        Folder of the files the study names (imports, events, shapes, survey); the manifest tells
        their names and hashes, not where they stand.

    Raises
    ------
    InputError
        The file is not a manifest.
    """
    path = Path(manifest)
    path = path / "manifest.json" if path.is_dir() else path
    old = _read(path)
    study = located(into(Study, old["study"], where=str(path)), Path(files))
    changed = _inputs(old, files_of(study))
    if changed:
        return changed
    excel = "estimates-excel-fr.csv" in old["outputs"]
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "release"
        run_to_folder(study, out, excel_fr=excel)
        new = _read(out / "manifest.json")
    found = [f"{c.kind} {c.what}: {c.old} then, {c.new} now" for c in causes_of(old, new)]
    outputs = sorted({*old["outputs"], *new["outputs"]})
    found += [
        f"output {output}: other bytes"
        for output in outputs
        if old["outputs"].get(output) != new["outputs"].get(output)
    ]
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = {"study", "inputs", "outputs", "versions"} - set(manifest)
    except (OSError, ValueError) as error:
        raise InputError(
            "the manifest cannot be read",
            where=str(path),
            got=error.strerror if isinstance(error, OSError) else error,
            expected="a folder written by `inegnum run`, or its manifest.json",
        ) from error
    if missing:
        raise InputError(
            "the file is not the manifest of a release", where=str(path), got=f"no {missing}"
        )
    return manifest


def _inputs(manifest: dict[str, Any], given: Sequence[str]) -> list[str]:
    """Say which input is not the one the release was made from."""
    now = {source.name: source.sha256 for source in catalogue.sources()}
    lost = {Path(file).name: file for file in given if not Path(file).is_file()}
    now |= {Path(file).name: sha256_file(Path(file)) for file in given if Path(file).is_file()}
    found = []
    for item in manifest["inputs"]:
        name, here = item["name"], now.get(item["name"])
        if name in lost:
            found.append(f"input {name}: not found at {lost[name]} (give its folder: --files)")
        elif here != item["sha256"]:
            found.append(f"input {name}: {item['sha256'][:12]} then, {str(here)[:12]} now")
    return found
