"""`run(study) -> Run`: the one place where stages are chained.

    areas -> frames | survey -> fit -> draws by area -> table -> checks

Each indicator draws from a generator seeded by the study's seed and its own code, so that adding
an indicator, or the number of workers, changes no figure.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from inegnum.data.areas import load_areas
from inegnum.data.catalogue import sources as catalogue_sources
from inegnum.data.frames.build import national_frame
from inegnum.data.frames.levels import communes_of, territory_frame
from inegnum.data.importers import Imported
from inegnum.data.imports import brought_forward, read_import
from inegnum.data.margins import CENSUS_YEAR
from inegnum.data.types import Frame
from inegnum.data.vintages import Event, read_events
from inegnum.errors import InputError
from inegnum.estimates.local import Local
from inegnum.estimates.merge import merge_masked
from inegnum.estimates.retract import require_known, retracted
from inegnum.estimates.table import Estimates, combine
from inegnum.estimators.spec import ModelSpec
from inegnum.provenance import Source
from inegnum.review import run_checks as checks
from inegnum.review.isolation import isolation
from inegnum.review.record import method_verdicts, recorded
from inegnum.review.verdict import Verdict
from inegnum.study.evidence import model_of, spec_for
from inegnum.study.frames import Frames
from inegnum.study.geography import changed_since_margins, same_geography
from inegnum.study.indicator import IndicatorRun, run_indicator
from inegnum.study.manifest import given_with
from inegnum.study.progress import Progress
from inegnum.study.shapes import named_by_shapes
from inegnum.study.spec import Publication, Study
from inegnum.study.surveys import codebook_source, read_local
from inegnum.study.together import (
    Changes,
    Comparison,
    families_of,
    family_members,
)

__all__ = ["Run", "areas_of", "events_of", "frames_of", "imports_of", "run", "seed_for", "timed"]


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a study produced.

    Attributes
    ----------
    study : Study
    frames : Frames
    indicators : dict of str to IndicatorRun
        In the study's order.
    estimates : Estimates
    verdicts : tuple of Verdict
    notes : dict of str to tuple of str
        By indicator, what was left out and why.
    timings : dict of str to float
        Seconds by stage.
    local : Local or None
        The territory's own survey, when the study names one.
    families : DataFrame or None
        Indicators of a family drawn together (`estimates.families`), when the study asks for them
        and a family has two.
    compared : dict
        Of the comparison with an earlier year, for the manifest; empty without one.
    """

    study: Study
    frames: Frames
    indicators: dict[str, IndicatorRun]
    estimates: Estimates
    verdicts: tuple[Verdict, ...]
    notes: dict[str, tuple[str, ...]]
    timings: dict[str, float] = field(default_factory=dict)
    local: Local | None = None
    families: pd.DataFrame | None = None
    compared: dict[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> tuple[str, str]:
        """Code and name of the territory as a whole."""
        return self.frames.whole

    @property
    def iris(self) -> list[str]:
        """Codes of the IRIS estimated; empty when the study stops at communes."""
        finest = self.frames.finest
        if finest is None:
            return []
        return [str(geo) for geo in finest.areas.loc[finest.areas["level"] == "iris", "geo"]]

    @property
    def merged(self) -> pd.DataFrame:
        """Masked areas of each level taken together, by indicator."""
        table, quality = self.estimates.table, self.study.quality
        parts = [
            merge_masked(
                one.drawn,
                table[table["indicator"] == code],
                year=self.study.year,
                prob=quality.prob,
                limits=quality.limits(),
            )
            for code, one in self.indicators.items()
        ]
        filled = [part for part in parts if len(part)]
        return pd.concat(filled, ignore_index=True) if filled else parts[0]

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of `IndicatorRun` over all indicators, for instance ``raking``."""
        parts: list[pd.DataFrame] = [getattr(one, name) for one in self.indicators.values()]
        joined = pd.concat(parts, ignore_index=True)
        first = [column for column in joined.columns if column == "indicator"]
        return pd.DataFrame(joined[[*first, *joined.columns.drop(first)]])


def seed_for(study: Study, name: str) -> int:
    """Return the seed of one indicator or stage: a function of the study's seed and a name."""
    entropy = np.random.SeedSequence([study.seed, zlib.crc32(name.encode())])
    return int(entropy.generate_state(1)[0])


def run(study: Study, *, progress: Progress | None = None, jobs: int | None = None) -> Run:
    """Estimate every indicator of a study.

    Parameters
    ----------
    study : Study
    progress : Progress, optional
        Shown on the terminal when given.
    jobs : int, optional
        Processes; as many as there are processors, four at most, unless given. Figures do not
        depend on it.

    Raises
    ------
    InputError, StudyError
        The territory, an indicator or a wave is unknown.
    ConvergenceError, BenchmarkError
        A model did not converge, or its anchor is out of bounds.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import inegnum as ing
    >>> from inegnum.study.folder import find_study
    >>> study = find_study("bordeaux-metropole-2022")
    >>> quick = replace(
    ...     study,
    ...     indicators=("smartphone",),
    ...     frame=replace(study.frame, draws=2),
    ...     model=replace(study.model, draws=400, history=()),
    ...     quality=replace(study.quality, variants=False),
    ... )
    >>> done = ing.run(quick, jobs=1)
    >>> str(done.estimates.row("243300316", "smartphone")["class"])
    'B'
    """
    from joblib import Parallel, delayed

    progress = progress or Progress.silent()
    timings: dict[str, float] = {}
    model = model_of(study)
    specs = {code: spec_for(model, code) for code in study.indicators}
    jobs = jobs or min(os.cpu_count() or 1, 4, len(specs))
    with timed(timings, "frames"), progress.step("frames"), threadpool_limits(limits=1):
        choice = study.survey.local
        local = None if choice is None else read_local(choice, study.indicators)
        changes = Changes.of(study, {code: spec for code, (spec, _) in specs.items()}, local)
        # The frames of an earlier year are built beside those of the study's.
        pending = Parallel(n_jobs=min(jobs, 2), return_as="generator")(
            delayed(_earlier)(study, local) for _ in range(bool(changes.kept))
        )
        frames = frames_of(study, local)
        earlier = next(pending, None)
        require_known(study.retractions, study.indicators, frames.geos)
    with timed(timings, "indicators"):
        results = Parallel(n_jobs=jobs, return_as="generator")(
            delayed(_one)(
                code,
                spec,
                frames,
                seed_for(study, code),
                study.quality,
                local,
                changes.one(code, earlier),
            )
            for code, (spec, _) in specs.items()
        )
        found = dict(zip(specs, progress.over("indicators", results, len(specs)), strict=True))
    families = None
    if study.families:
        with timed(timings, "families"):
            families = _families(study, frames, found, local, jobs, progress)
    used = _used(frames, found, earlier)
    if local is not None and choice is not None:
        used = (*used, local.survey.source, codebook_source(choice))
    estimates = combine(
        [one.drawn for one in found.values()],
        used,
        year=study.year,
        prob=study.quality.prob,
        limits=study.quality.limits(),
    )
    verdicts = _verdicts(study, found, estimates, used)
    notes = {code: (*left, *found[code].fit.diagnostics.notes) for code, (_, left) in specs.items()}
    shown = retracted(estimates, study.retractions)
    told = changes.told()
    return Run(study, frames, found, shown, verdicts, notes, timings, local, families, told)


def _one(
    code: str,
    spec: ModelSpec,
    frames: Frames,
    seed: int,
    quality: Publication,
    local: Local | None,
    compared: Comparison | None,
) -> IndicatorRun:
    # The products are small and many: one thread is faster, and the bytes stay the same.
    with threadpool_limits(limits=1):
        return run_indicator(
            code, spec, frames, seed=seed, quality=quality, local=local, compared=compared
        )


def _earlier(study: Study, local: Local | None) -> Frames:
    """Return the frames of the year a study compares with."""
    if study.change is None:
        raise InputError("the study names no earlier year", where="change.since")
    with threadpool_limits(limits=1):
        return frames_of(replace(study, year=study.change.since, change=None), local, own=False)


def _families(
    study: Study,
    frames: Frames,
    found: dict[str, IndicatorRun],
    local: Local | None,
    jobs: int,
    progress: Progress,
) -> pd.DataFrame | None:
    """Return the families of two indicators or more, one under the other; None without any."""
    from joblib import Parallel, delayed

    members = family_members(study.indicators, study.retractions, local)
    if not members:
        return None
    tables: Iterator[pd.DataFrame] = Parallel(
        n_jobs=min(jobs, len(members)), return_as="generator"
    )(
        delayed(families_of)(
            [found[code].fit for code in codes],
            study.model,
            frames,
            seed=seed_for(study, f"family {family}"),
            quality=study.quality,
            retractions=study.retractions,
        )
        for family, codes in members.items()
    )
    return pd.concat(progress.over("families", tables, len(members)), ignore_index=True)


def areas_of(study: Study) -> pd.DataFrame:
    """Return the communes of a study's territory."""
    return load_areas(
        epci=study.territory.epci,
        department=study.territory.department,
        communes=list(study.territory.communes) or None,
    )


def frames_of(study: Study, local: Local | None = None, *, own: bool = True) -> Frames:
    """Return the frames of a study, areas labelled with the territory as a whole.

    Without `own` the frame of communes in their own urban class is left out.
    """
    territory = study.territory
    areas = areas_of(study)
    given = (*given_with(study), *([local.survey.source] if local else []))
    same_geography(given, list(areas["geo"]), events=events_of(study))
    imports = imports_of(study, areas)
    seed = seed_for(study, "frame")
    code = territory.epci or territory.department or study.name
    names = areas["epci_name"].unique()
    name = territory.name or (str(names[0]) if territory.epci else str(code))

    def labelled(urban: Literal["metropole", "own"]) -> Frame:
        frame = territory_frame(
            areas,
            imports=imports,
            iris="iris" in territory.levels,
            year=study.year,
            draws=study.frame.draws,
            seed=seed,
            urban=urban,
        )
        named = named_by_shapes(frame, territory)
        return replace(frame, areas=named.assign(whole=code, whole_name=name))

    finest = labelled(territory.urban)
    chosen = communes_of(finest)
    own_class = None
    differs = (chosen.areas["urban"] != chosen.areas["urban_own"]).any()
    if own and territory.urban != "own" and differs:
        own_class = communes_of(labelled("own"))
    national = national_frame(year=study.year, draws=study.frame.draws, seed=seed)
    cut = (finest.areas["level"] == "iris").any()
    return Frames(chosen, national, own_class, finest if cut else None)


def events_of(study: Study) -> tuple[Event, ...] | None:
    """Return the events of communes a study names, None when it names none."""
    return read_events(Path(study.frame.events)) if study.frame.events else None


def imports_of(study: Study, areas: pd.DataFrame) -> tuple[Imported, ...]:
    """Return the census files a study names, brought to the communes of the package."""
    events = events_of(study)
    departments = tuple(sorted(areas["department"].unique()))
    return tuple(
        brought_forward(
            read_import(Path(path), departments=departments), list(areas["geo"]), events=events
        )
        for path in study.frame.imports
    )


def _used(
    frames: Frames, found: dict[str, IndicatorRun], earlier: Frames | None
) -> tuple[Source, ...]:
    every = [frames] if earlier is None else [earlier, frames]
    pairs = [frame for one in every for frame in (one.territory, one.national)]
    sources = {source.name: source for frame in pairs for source in frame.sources}
    for result in found.values():
        sources |= {source.name: source for source in result.fit.sources}
    return tuple(sources[name] for name in sorted(sources))


def _moved(study: Study, estimates: Estimates) -> list[str]:
    """Return what changed in the territory's communes since the package's older tables."""
    table = estimates.table
    communes = table.loc[table["level"] == "commune", "geo"].unique()
    return changed_since_margins(list(map(str, communes)), events=events_of(study))


def _verdicts(
    study: Study,
    found: dict[str, IndicatorRun],
    estimates: Estimates,
    used: tuple[Source, ...],
) -> tuple[Verdict, ...]:
    inputs = [asdict(source) for source in used]
    verdicts = [
        isolation(inputs, catalogue_sources()),
        # Diploma and age by commune are the oldest margins of the frame.
        checks.year_gap(study.year, CENSUS_YEAR),
        checks.survey_gap(study.model.year, study.year),
        checks.geography(_moved(study, estimates)),
    ]
    for result in found.values():
        verdicts.extend(result.verdicts)
    verdicts.append(checks.masked_share(estimates.table))
    verdicts.extend(method_verdicts(recorded()))
    return checks.require_publishable(verdicts)


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Add the seconds a block takes under the name of a stage."""
    start = time.perf_counter()
    yield
    timings[stage] = round(time.perf_counter() - start, 3)
