"""Joint draws of any commune of a wide release, computed again from its posterior and seed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from inegnum.data.indicators import indicator
from inegnum.data.margins import commune_margins
from inegnum.data.strict import into
from inegnum.draws import Draws
from inegnum.errors import InputError, ProvenanceError, nearest
from inegnum.estimates.retract import RETRACTED, masked_rows
from inegnum.estimates.table import MASKED
from inegnum.estimators.blocks import Posterior, block_counts
from inegnum.estimators.terms import Coefficients
from inegnum.provenance import read_checked
from inegnum.study.pipeline import seed_for
from inegnum.study.scale.partition import Job, arrays, block_frame, described
from inegnum.study.scale.plan import blocks
from inegnum.study.scale.run import job_for
from inegnum.study.spec import Study

__all__ = ["Recomputed", "recompute"]


@dataclass(frozen=True, slots=True)
class Recomputed:
    """One commune of a wide release.

    Attributes
    ----------
    table : DataFrame
        Its rows, an indicator each, as the release holds them.
    draws : Draws
        Joint draws of its rates, masked ones included: not for publication. Withdrawn ones
        are left out.
    persons : ndarray of shape (S, I)
        Persons in the universe of each indicator, draw by draw.
    """

    table: pd.DataFrame
    draws: Draws
    persons: np.ndarray[Any, np.dtype[np.float64]]


def recompute(release: str | Path, commune: str) -> Recomputed:
    """Compute a commune of a wide release again.

    Parameters
    ----------
    release : str or Path
        Folder that ``inegnum run`` wrote for regions or all of France.
    commune : str
        Code, as text.

    Raises
    ------
    InputError
        The commune is not in the release, or the folder is not a wide release.
    ProvenanceError
        The posterior is not the one the release was made from.
    """
    job = job_of(Path(release))
    everyone = commune_margins(job.year).areas
    found = everyone[everyone["geo"] == commune]
    manifest = _manifest(Path(release))
    if found.empty or found["department"].iloc[0] not in manifest["scale"]["departments"]:
        raise InputError(
            "the commune is not in the release",
            where=str(release),
            got=repr(commune),
            hint=nearest(str(commune), everyone["geo"].tolist()),
        )
    department = str(found["department"].iloc[0])
    # The whole block: the same call to the same routines gives the same bytes.
    areas = next(b for b in blocks(department, job.year, job.urban) if (b["geo"] == commune).any())
    rows, rates, persons = [], [], []
    with threadpool_limits(limits=1):
        frame = block_frame(job, areas)
        at = int(np.flatnonzero(frame.areas["geo"] == commune)[0])
        for posterior, shift in zip(job.posteriors, job.shifts, strict=True):
            counts, people = block_counts(posterior, frame, shift)
            rate = counts[0] / people
            rows.append(described(job, posterior, frame, rate, people).iloc[[at]])
            rates.append(rate[:, at])
            persons.append(people[:, at])
    table = pd.concat(rows, ignore_index=True)
    study = into(Study, manifest["study"], where="manifest.json")
    table = masked_rows(table, study.retractions, columns=(*MASKED, "p_above_france"))
    kept = (table["reason"] != RETRACTED).to_numpy()
    items = table.loc[kept, ["level", "geo", "indicator"]].reset_index(drop=True)
    shown = [rate for rate, one in zip(rates, kept, strict=True) if one]
    drawn = np.stack(shown, axis=1) if shown else np.empty((len(rates[0]), 0))
    return Recomputed(table, Draws(drawn, items), np.stack(persons, axis=1))


def job_of(release: Path) -> Job:
    """Return the job a wide release was made by."""
    manifest = _manifest(release)
    study = into(Study, manifest["study"], where=str(release / "manifest.json"))
    data = read_checked(release / "posterior.npz", manifest["outputs"]["posterior.npz"])
    held = arrays(data)
    posteriors = tuple(
        Posterior(
            indicator(code),
            Coefficients(held[f"{code}.profile"], held[f"{code}.urban"], held[f"{code}.region"]),
            held[f"{code}.national"],
            study.model.tau,
            seed_for(study, code),
        )
        for code in study.indicators
    )
    return job_for(study, posteriors, np.stack([held[f"{c}.shift"] for c in study.indicators]))


def _manifest(release: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((release / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ProvenanceError(
            "the manifest of the release cannot be read", where=str(release), got=error
        ) from error
    if manifest.get("scale", {}).get("kind") != "wide":
        raise InputError(
            "the release is not one of regions or all of France",
            where=str(release),
            expected="a folder written by a study with france = true or regions = [...]",
            hint="the draws of another release are in its draws.parquet",
        )
    if manifest["study"]["frame"]["imports"]:
        raise InputError(
            "the frame rests on files that are not in the release",
            where=", ".join(manifest["study"]["frame"]["imports"]),
            hint="run the study again where these files stand",
        )
    return manifest
