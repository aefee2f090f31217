"""All communes of a wide territory: fits once, then departments wherever there is room.

    national frame -> fits -> posterior -> [sums by department -> anchor] -> figures by department

Both passes over departments are stored as they go, under a name made from the posterior and from
everything else the figures depend on: what is found there is what would be computed again.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from inegnum.data.frames.build import national_frame
from inegnum.data.frames.imported import imported_source
from inegnum.data.importers import Imported
from inegnum.data.margins import commune_margins
from inegnum.data.survey import load_survey
from inegnum.data.types import Frame
from inegnum.errors import BenchmarkError, StudyError
from inegnum.estimators.blocks import Posterior, posterior_of
from inegnum.estimators.multilevel import Fit, fit
from inegnum.estimators.spec import ModelSpec
from inegnum.provenance import Source, sha256_bytes
from inegnum.study.evidence import spec_for
from inegnum.study.pipeline import imports_of, seed_for, timed
from inegnum.study.progress import Progress
from inegnum.study.scale.executor import each
from inegnum.study.scale.partition import Job, Piece, arrays, compute, environment, packed
from inegnum.study.scale.plan import departments, pieces
from inegnum.study.scale.store import Store
from inegnum.study.spec import Scale, Study

__all__ = ["WideRun", "job_for", "national_shifts", "pack_posteriors", "run_wide"]

Floats = npt.NDArray[np.float64]

# Logit shifts at which all of France is summed. The rate is so smooth a function of the shift that
# a polynomial through five of them gives it back to less than a person in France.
_NODES: Final = (-1.0, -0.5, 0.0, 0.5, 1.0)
_ENDS: Final = {"sums": ("npz",), "figures": ("parquet", "npz")}


@dataclass(frozen=True, slots=True)
class WideRun:
    """What a wide study produced: fits here, figures in a store.

    Attributes
    ----------
    study : Study
    fits : dict of str to Fit
    notes : dict of str to tuple of str
        By indicator, what was left out and why.
    national : Frame
    job : Job
        That of the figures.
    departments : tuple of str
    imports : tuple of Source
        Census files the frame rests on, beside those of the package.
    figures : Store
        ``DEPARTMENT.parquet`` and ``DEPARTMENT.npz``.
    timings : dict of str to float
    """

    study: Study
    fits: dict[str, Fit]
    notes: dict[str, tuple[str, ...]]
    national: Frame
    job: Job
    departments: tuple[str, ...]
    imports: tuple[Source, ...]
    figures: Store
    timings: dict[str, float]


def run_wide(
    study: Study, scale: Scale, work: Path, *, progress: Progress | None = None
) -> WideRun:
    """Estimate every commune of a wide study, departments already in `work` excepted.

    Parameters
    ----------
    study : Study
        Whose territory is France or some regions.
    scale : Scale
        Where and in how many pieces; figures do not depend on it.
    work : Path
        Folder of parts; kept when the run is stopped, and taken up by the next one.
    progress : Progress, optional

    Raises
    ------
    BenchmarkError
        The national shift is beyond the model's limit.
    """
    progress = progress or Progress.silent()
    timings: dict[str, float] = {}
    specs = {code: spec_for(study.model, code) for code in study.indicators}
    with timed(timings, "fits"), progress.step("fits"):
        seed = seed_for(study, "frame")
        with threadpool_limits(limits=1):
            national = national_frame(year=study.year, draws=study.frame.draws, seed=seed)
        found = Parallel(n_jobs=min(scale.workers or os.cpu_count() or 1, len(specs)))(
            delayed(_fit)(code, spec, national, seed_for(study, code))
            for code, (spec, _) in specs.items()
        )
        fits = dict(zip(specs, found, strict=True))
    job = job_for(study, _posteriors(study, fits))
    names = departments(study.territory, study.year)
    imports = _imports(study, names)
    root = work / _key(job, imports)

    def ready(kind: Literal["sums", "figures"], job: Job) -> Store:
        store = Store(root / kind)
        with timed(timings, kind):
            _complete(store, replace(job, kind=kind), names, (scale, imports), progress)
        return store

    if study.territory.france:
        limit = study.model.anchor.limit
        nodes = np.array(_NODES) * limit
        around = np.broadcast_to(nodes[:, None], (len(fits), len(nodes), study.model.draws))
        sums = ready("sums", replace(job, shifts=around))
        shift = national_shifts(job.posteriors, sums, names, nodes)
        job = replace(job, shifts=shift[:, None, :])
    notes = {code: (*left, *fits[code].diagnostics.notes) for code, (_, left) in specs.items()}
    used = tuple(imported_source(file) for file in imports)
    figures = ready("figures", job)
    return WideRun(study, fits, notes, national, job, names, used, figures, timings)


def job_for(study: Study, posteriors: tuple[Posterior, ...], shifts: Floats | None = None) -> Job:
    """Return the job of a study's figures; without shifts, at the coefficients' own level."""
    none = np.zeros((len(posteriors), 1, study.model.draws))
    return Job(
        posteriors,
        none if shifts is None else shifts,
        "figures",
        study.year,
        study.frame.draws,
        seed_for(study, "frame"),
        study.territory.urban,
        study.quality.prob,
        study.quality.limits(),
        environment(),
    )


def _fit(code: str, spec: ModelSpec, national: Frame, seed: int) -> Fit:
    with threadpool_limits(limits=1):
        return fit(spec, load_survey(code), national=national, seed=seed)


def _posteriors(study: Study, fits: dict[str, Fit]) -> tuple[Posterior, ...]:
    return tuple(posterior_of(one, seed=seed_for(study, code)) for code, one in fits.items())


def _imports(study: Study, names: tuple[str, ...]) -> tuple[Imported, ...]:
    """Return the census files of a wide study: bases of communes or IRIS."""
    areas = commune_margins(study.year).areas
    found = imports_of(study, areas[areas["department"].isin(names)])
    detail = [file.file for file in found if file.kind == "detail"]
    if detail:
        raise StudyError(
            "detail files are read for one territory, not for regions or all of France",
            where="frame.imports",
            got=", ".join(detail),
            expected="bases of communes or IRIS",
        )
    return found


def _key(job: Job, imports: tuple[Imported, ...]) -> str:
    """Return a name for everything the figures depend on."""
    settings = {
        "year": job.year,
        "frames": [job.frames, job.frame_seed, job.urban],
        "shown": [job.prob, asdict(job.limits)],
        "tau": [asdict(one.tau) for one in job.posteriors],
        "seeds": [one.seed for one in job.posteriors],
        "versions": job.versions,
        "imports": [file.sha256 for file in imports],
    }
    posterior = sha256_bytes(pack_posteriors(job))
    return sha256_bytes((json.dumps(settings, sort_keys=True) + posterior).encode())[:16]


def pack_posteriors(job: Job) -> bytes:
    """Return the posterior of every indicator, and its shifts, as the bytes of an ``.npz`` file."""
    values: dict[str, npt.NDArray[np.generic]] = {}
    for one, shift in zip(job.posteriors, job.shifts, strict=True):
        part, code = one.coefficients, one.indicator.code
        values |= {
            f"{code}.profile": part.profile,
            f"{code}.urban": part.urban,
            f"{code}.region": part.region,
            f"{code}.national": one.national,
            f"{code}.shift": shift,
        }
    return packed(values)


def _of(file: Imported, departments: tuple[str, ...]) -> Imported:
    return replace(file, table=file.table[file.table["geo"].str.startswith(departments)])


def _complete(
    store: Store,
    job: Job,
    names: tuple[str, ...],
    where: tuple[Scale, tuple[Imported, ...]],
    progress: Progress,
) -> None:
    """Compute the departments that the store lacks."""
    scale, imports = where
    lacking = tuple(
        name for name in names if not store.has(*(f"{name}.{end}" for end in _ENDS[job.kind]))
    )
    if not lacking:
        return
    work = [
        Piece(names, tuple(_of(file, names) for file in imports))
        for names in pieces(lacking, job.year, scale.partitions)
    ]
    done = each(compute, job, work, workers=scale.workers, scheduler=scale.scheduler)
    for files in progress.over(job.kind, done, len(work)):
        for name, data in files.items():
            store.keep(name, data)


def national_shifts(
    posteriors: tuple[Posterior, ...], sums: Store, names: tuple[str, ...], nodes: Floats
) -> Floats:
    """Return the shift that makes all communes add up to the national rate, by draw, (I, S).

    Parameters
    ----------
    posteriors : tuple of Posterior
    sums : Store
        ``yes`` (I, Q, S) and ``persons`` (I, S) of every department.
    names : tuple of str
    nodes : ndarray of shape (Q,)
        Shifts the sums were taken at.

    Raises
    ------
    BenchmarkError
        A draw needs more than the largest node.
    """
    parts = [arrays(sums.known(f"{name}.npz")) for name in names]
    yes = np.sum([part["yes"] for part in parts], axis=0)
    persons = np.sum([part["persons"] for part in parts], axis=0)
    rate = yes / persons[:, None]
    target = np.stack([one.national for one in posteriors])
    shift = _through(np.log(rate / (1 - rate)), nodes, np.log(target / (1 - target)))
    beyond = np.abs(shift).max(axis=1) > nodes.max()
    if beyond.any():
        code = posteriors[int(np.argmax(beyond))].indicator.code
        raise BenchmarkError(
            "communes are too far from the national rate to be brought to it",
            where=code,
            got=f"a logit shift of {np.abs(shift).max():.2f}",
            expected=f"at most {nodes.max():g} either way",
        )
    return shift


def _through(values: Floats, nodes: Floats, at: Floats) -> Floats:
    """Interpolate nodes (Q,) as a polynomial of values (I, Q, S), at (I, S): Lagrange's formula."""
    total = np.zeros_like(at)
    for q, node in enumerate(nodes):
        weight = np.ones_like(at)
        for r in range(len(nodes)):
            if r != q:
                weight *= (at - values[:, r]) / (values[:, q] - values[:, r])
        total += node * weight
    return total
