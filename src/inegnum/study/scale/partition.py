"""One department: a pure function of the job and the department's code.

It may run anywhere, twice, or again after a kill: the files it returns have the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from inegnum import __version__
from inegnum.data.frames.build import build_frame
from inegnum.data.frames.levels import communes_of, territory_frame
from inegnum.data.importers import Imported
from inegnum.data.types import Frame
from inegnum.errors import StudyError
from inegnum.estimates.quality import QualityLimits
from inegnum.estimates.table import AreaDraws, tabulate
from inegnum.estimators.blocks import Posterior, block_counts
from inegnum.study.manifest import versions
from inegnum.study.scale.plan import blocks

__all__ = [
    "COLUMNS",
    "Job",
    "Piece",
    "arrays",
    "block_frame",
    "compute",
    "described",
    "environment",
    "packed",
]

Floats = npt.NDArray[np.float64]

COLUMNS: Final = (
    *("geo", "level", "name", "department", "region", "epci", "urban", "indicator", "universe"),
    *("year", "est", "lower", "upper", "prob", "se", "class", "basis", "method", "tier", "n", "N"),
    *("people", "people_lower", "people_upper", "gap_france", "gap_lower", "gap_upper"),
    *("p_above_france", "reason"),
)
PLACE: Final = ("department", "region", "epci", "urban")


@dataclass(frozen=True, slots=True)
class Job:
    """All that a department needs; the same object goes to every process.

    Attributes
    ----------
    posteriors : tuple of Posterior
        I indicators of S draws.
    shifts : ndarray of shape (I, Q, S)
        Logit shifts to evaluate at: several to find the national anchor, one for the figures.
    kind : {"sums", "figures"}
        Sums of persons over the department, or the figures of its communes.
    year, frames, frame_seed, urban
        As `build_frame`.
    prob, limits
        As `tabulate`.
    versions : dict
        Packages of the process that made the job: others could give other bytes.
    """

    posteriors: tuple[Posterior, ...]
    shifts: Floats
    kind: Literal["sums", "figures"]
    year: int
    frames: int
    frame_seed: int
    urban: Literal["metropole", "own"]
    prob: float
    limits: QualityLimits
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work: departments, and the rows of imported census files that concern them."""

    departments: tuple[str, ...]
    imports: tuple[Imported, ...] = ()


def compute(job: Job, piece: Piece) -> dict[str, bytes]:
    """Return the files of some departments by name.

    Raises
    ------
    StudyError
        The packages here are not those of the process that made the job.
    """
    here = environment()
    differing = [name for name, value in here.items() if job.versions.get(name) != value]
    if differing:
        raise StudyError(
            "this worker has other versions than the run that calls it",
            where=", ".join(differing),
            got=", ".join(here[name] for name in differing),
            expected=", ".join(str(job.versions.get(name)) for name in differing),
            hint="install the same pinned requirements on every worker",
        )
    found: dict[str, bytes] = {}
    # Many small products: one thread is faster, and the bytes do not depend on the machine's.
    with threadpool_limits(limits=1):
        for department in piece.departments:
            one = _sums if job.kind == "sums" else _figures
            found |= {
                f"{department}.{end}": data for end, data in one(job, piece, department).items()
            }
    return found


def environment() -> dict[str, str]:
    """Return the versions that the bytes of a part depend on."""
    return {"inegnum": __version__} | versions("laplace")


def described(
    job: Job, posterior: Posterior, frame: Frame, rates: Floats, persons: Floats
) -> pd.DataFrame:
    """Return the rows of a block of communes for one indicator."""
    S, areas = len(posterior), frame.areas
    with_france = pd.DataFrame(
        {
            "geo": ["FR", *areas["geo"]],
            "level": ["france", *areas["level"]],
            "name": ["France", *areas["name"]],
            "tier": ["F3", *areas["tier"]],
            "basis": "model",
            "method": "mrp",
            # The survey names no commune, so no respondent can be counted in one.
            "n": 0,
        }
    )
    drawn = AreaDraws(
        posterior.indicator,
        with_france,
        np.column_stack([posterior.national, rates]),
        np.column_stack([np.ones(S), persons]),
        posterior.national,
        whole=0,
    )
    table = tabulate(drawn, year=job.year, prob=job.prob, limits=job.limits).iloc[1:]
    table = table.rename(columns={"p_above_metropolis": "p_above_france"}).reset_index(drop=True)
    return table.assign(**{name: areas[name].to_numpy() for name in PLACE})[list(COLUMNS)]


def packed(values: dict[str, npt.NDArray[np.generic]]) -> bytes:
    """Return arrays as the bytes of an ``.npz`` file, which carries no clock."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **values)
    return buffer.getvalue()


def arrays(data: bytes, *names: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of `packed`, all of them or those named."""
    with np.load(io.BytesIO(data)) as held:
        return {name: held[name] for name in names or held.files}


def block_frame(job: Job, areas: pd.DataFrame, imports: tuple[Imported, ...] = ()) -> Frame:
    """Return the frame of a block, the finest the package and imported files give."""
    here = tuple(
        kept for kept in (_within(file, areas["geo"]) for file in imports) if len(kept.table)
    )
    year, draws, seed, urban = job.year, job.frames, job.frame_seed, job.urban
    if not here:
        return build_frame(areas, year=year, draws=draws, seed=seed, urban=urban, report=False)
    frame = territory_frame(areas, imports=here, year=year, draws=draws, seed=seed, urban=urban)
    return communes_of(frame).select(areas["geo"].tolist())


def _within(file: Imported, communes: pd.Series) -> Imported:
    """Keep the rows of some communes, or of their IRIS."""
    return replace(file, table=file.table[file.table["geo"].str[:5].isin(communes)])


def _frames(job: Job, piece: Piece, department: str) -> Iterator[Frame]:
    for areas in blocks(department, job.year, job.urban):
        yield block_frame(job, areas, piece.imports)


def _sums(job: Job, piece: Piece, department: str) -> dict[str, bytes]:
    """Return persons with each characteristic (I, Q, S) and persons (I, S) of a department."""
    n, Q, S = job.shifts.shape
    yes, persons = np.zeros((n, Q, S)), np.zeros((n, S))
    for frame in _frames(job, piece, department):
        for i, posterior in enumerate(job.posteriors):
            counts, people = block_counts(posterior, frame, job.shifts[i])
            yes[i] += counts.sum(axis=2)
            persons[i] += people.sum(axis=1)
    return {"npz": packed({"yes": yes, "persons": persons})}


def _figures(job: Job, piece: Piece, department: str) -> dict[str, bytes]:
    """Return the table of a department's communes, and sums by intercommunality.

    Arrays: ``epci`` (E,) codes and, by indicator, ``CODE.yes`` and ``CODE.persons`` (E, S).
    """
    parts: dict[str, list[pd.DataFrame]] = {p.indicator.code: [] for p in job.posteriors}
    sums: dict[str, tuple[Floats, Floats]] = {}
    shape = (len(job.posteriors), job.shifts.shape[2])
    for frame in _frames(job, piece, department):
        codes = frame.areas["epci"].to_numpy()
        members = {str(code): np.flatnonzero(codes == code) for code in sorted(set(codes))}
        for code in members:
            sums.setdefault(code, (np.zeros(shape), np.zeros(shape)))
        for i, posterior in enumerate(job.posteriors):
            counts, people = block_counts(posterior, frame, job.shifts[i])
            parts[posterior.indicator.code].append(
                described(job, posterior, frame, counts[0] / people, people)
            )
            for code, at in members.items():
                sums[code][0][i] += counts[0][:, at].sum(axis=1)
                sums[code][1][i] += people[:, at].sum(axis=1)
    table = pd.concat(
        [pd.concat(blocks).sort_values("geo") for blocks in parts.values()], ignore_index=True
    )
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    epci = sorted(sums)
    held: dict[str, npt.NDArray[np.generic]] = {"epci": np.array(epci)}
    for i, posterior in enumerate(job.posteriors):
        held[f"{posterior.indicator.code}.yes"] = np.stack([sums[code][0][i] for code in epci])
        held[f"{posterior.indicator.code}.persons"] = np.stack([sums[code][1][i] for code in epci])
    return {"parquet": buffer.getvalue(), "npz": packed(held)}
