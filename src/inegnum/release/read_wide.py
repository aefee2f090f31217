"""Read the release of regions or all of France: levels, what is shown, shapes, draws.

Communes stand in files of their own, by department, and are left there.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from inegnum.errors import InputError
from inegnum.release.opened import checked, is_wide, manifest_of

__all__ = ["SHAPES", "WideRelease", "read_wide"]

SHAPES: Final = "estimates.geojson"
_TEXT: Final = ("geo", "department", "region", "epci", "urban", "reason", "tier")


@dataclass(frozen=True, slots=True)
class WideRelease:
    """A wide release, checked.

    Attributes
    ----------
    path : Path
    manifest : dict
        As written.
    estimates : DataFrame
        France, regions, departments, intercommunalities; codes are text.
    shown : DataFrame
        Areas and persons by level, indicator, tier and class.
    geometry : dict or None
        Shapes of the level that is drawn, when the study gave some.
    """

    path: Path
    manifest: Mapping[str, Any]
    estimates: pd.DataFrame
    shown: pd.DataFrame
    geometry: dict[str, Any] | None

    def draws(self) -> pd.DataFrame:
        """Read the joint draws: ``level, geo, indicator, draw, value, persons``."""
        return pd.read_parquet(io.BytesIO(self._bytes("draws.parquet")))

    def _bytes(self, name: str) -> bytes:
        return checked(self.path, name, self.manifest["outputs"])


def read_wide(path: Path) -> WideRelease:
    """Read and check the levels of a wide release.

    Raises
    ------
    ProvenanceError
        A file is missing, not listed in the manifest, or changed since.
    InputError
        The folder is the release of one territory.
    """
    manifest = manifest_of(path)
    if not is_wide(manifest):
        raise InputError(
            "the release is not one of regions or all of France",
            where=str(path),
            expected="a folder written by a study with france = true or regions = [...]",
        )
    outputs = manifest["outputs"]
    estimates = pd.read_csv(
        io.BytesIO(checked(path, "estimates.csv", outputs)),
        dtype=dict.fromkeys(_TEXT, str),
    )
    estimates[list(_TEXT)] = estimates[list(_TEXT)].fillna("")
    shown = pd.read_csv(io.BytesIO(checked(path, "shown.csv", outputs)))
    shapes = json.loads(checked(path, SHAPES, outputs)) if SHAPES in outputs else None
    return WideRelease(path, manifest, estimates, shown, shapes)
