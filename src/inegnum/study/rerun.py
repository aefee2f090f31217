"""Run a release again from its manifest and compare, byte for byte."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from inegnum.data import catalogue
from inegnum.data.strict import into
from inegnum.errors import InputError
from inegnum.release.diff import causes_of
from inegnum.study.folder import run_to_folder
from inegnum.study.spec import Study

__all__ = ["rerun"]


def rerun(manifest: str | Path) -> list[str]:
    """Run the study of a manifest again and say what differs; nothing when every byte is the same.

    Inputs are compared first: a run on other inputs could only differ.

    Parameters
    ----------
    manifest : str or Path
        ``manifest.json`` of a release.

    Raises
    ------
    InputError
        The file is not a manifest.
    """
    path = Path(manifest)
    old = _read(path)
    changed = _inputs(old)
    if changed:
        return changed
    study = into(Study, old["study"], where=str(path))
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
        raise InputError("the manifest cannot be read", where=str(path), got=error) from error
    if missing:
        raise InputError(
            "the file is not the manifest of a release", where=str(path), got=f"no {missing}"
        )
    return manifest


def _inputs(manifest: dict[str, Any]) -> list[str]:
    """Say which input is not the one the release was made from."""
    now = {source.name: source.sha256 for source in catalogue.sources()}
    found = []
    for item in manifest["inputs"]:
        here = now.get(item["name"])
        if here != item["sha256"]:
            found.append(f"input {item['name']}: {item['sha256'][:12]} then, {str(here)[:12]} now")
    return found
