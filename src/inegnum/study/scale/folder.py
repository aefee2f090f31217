"""The release folder of a wide territory: levels in one table, communes by department."""

from __future__ import annotations

import io
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from inegnum.data.catalogue import sources as catalogue_sources
from inegnum.data.margins import CENSUS_YEAR, commune_margins
from inegnum.errors import StudyError
from inegnum.estimates.retract import masked_rows, require_known, without_retracted
from inegnum.estimates.table import MASKED, AreaDraws
from inegnum.provenance import Source
from inegnum.release.bundle import (
    folder_for,
    seal,
    write_excel_fr,
    write_geojson,
    write_json,
    write_xlsx,
)
from inegnum.release.national import write_national
from inegnum.release.read_wide import WideRelease
from inegnum.release.text import Language, phrases
from inegnum.review import run_checks as checks
from inegnum.review.isolation import isolation
from inegnum.review.verdict import Verdict
from inegnum.study.beside import tau_note
from inegnum.study.geography import changed_since_margins
from inegnum.study.manifest import given_with, manifest_of
from inegnum.study.pipeline import events_of
from inegnum.study.progress import Progress
from inegnum.study.scale.levels import (
    area_places,
    commune_table,
    direct_regions,
    level_draws,
    level_sums,
    level_table,
)
from inegnum.study.scale.plan import BLOCK, departments, left_out
from inegnum.study.scale.run import WideRun, pack_posteriors, run_wide
from inegnum.study.scale.shapes import wide_shapes
from inegnum.study.spec import Scale, Study

__all__ = ["wide_to_folder"]

_MASKED: Final = (*MASKED, "p_above_france")
_KEPT: Final = [
    *("geo", "level", "department", "region", "epci", "indicator", "class", "reason", "tier", "N")
]


def wide_to_folder(
    study: Study,
    scale: Scale,
    out: str | Path,
    *,
    language: Language = "fr",
    replace: bool = False,
    excel_fr: bool = False,
) -> str:
    """Run a wide study, write its release folder whole or not at all, return a summary.

    Departments already computed stand beside the target, in ``.NAME.parts``, until the release is
    whole: a run that was stopped starts again from them.

    Parameters
    ----------
    study : Study
    scale : Scale
        Where and in how many pieces; that of the study, or another.
    out : str or Path
    language : {"fr", "en"}
        Of the summary.
    replace : bool
        Replace an earlier release.
    excel_fr : bool
        Also write the table of levels as a CSV that French Excel opens.

    Raises
    ------
    InegnumError
        Whatever stops the run; parts excepted, nothing is left behind.
    """
    phrases(language)  # an unknown language stops before the work, not after
    # What is refused is refused before the work, not after.
    shapes = wide_shapes(study)
    _require_known(study)
    target = Path(out).absolute()
    parts = target.with_name(f".{target.name}.parts")
    with folder_for(out, replace=replace) as work, Progress.shown(language) as progress:
        done = run_wide(study, scale, parts, progress=progress)
        start = time.perf_counter()
        with progress.step("report"):
            said = _write(done, work, language, shapes=shapes, excel_fr=excel_fr)
        done.timings["release"] = round(time.perf_counter() - start, 3)
        seal(work, done.timings)
    shutil.rmtree(parts)
    return said


def _require_known(study: Study) -> None:
    """Refuse a retraction of nothing, or of a code that two levels share."""
    if not study.retractions:
        return
    everyone = commune_margins(study.year).areas
    areas = everyone[everyone["department"].isin(departments(study.territory, study.year))]
    columns = {"commune": "geo", "epci": "epci", "department": "department", "region": "region"}
    known = {level: set(areas[column]) - {""} for level, column in columns.items()}
    require_known(study.retractions, study.indicators, set().union(*known.values()))
    for at, one in enumerate(study.retractions):
        levels = [level for level, codes in known.items() if one.geo in codes]
        unclear = len(levels) > 1 if one.level == "" else one.level not in levels
        if one.geo != "*" and unclear:
            raise StudyError(
                "a withdrawal names one area",
                where=f"retractions[{at}].level",
                got=one.level or "none",
                expected=f"one of {', '.join(levels)} for {one.geo}",
            )


def _write(
    done: WideRun,
    folder: Path,
    language: Language,
    *,
    shapes: tuple[str, dict[str, Any]] | None,
    excel_fr: bool,
) -> str:
    """Write every file of the release; return what the command says."""
    gone = done.study.retractions
    communes = masked_rows(commune_table(done, _KEPT), gone, columns=())
    first = communes["indicator"] == next(iter(done.fits))
    places = area_places(communes[first])
    tables, gaps = [], {}
    writer = _DrawsWriter(folder / "draws.parquet", done.study.scale.draws)
    for code, fitted in done.fits.items():
        drawn = level_draws(done, code, level_sums(done, code), places)
        gaps[code] = float(np.abs(drawn.rates[:, 0] - fitted.national).max())
        table = masked_rows(level_table(done, drawn), gone, columns=_MASKED)
        writer.add(drawn, table["class"].to_numpy())
        tables.append(table)
    writer.close()
    estimates = pd.concat(tables, ignore_index=True)
    regions = without_retracted(
        "direct_regions",
        direct_regions(done, estimates).rename(columns={"region": "geo"}).assign(level="region"),
        gone,
        "FR",
    )
    regions = regions.drop(columns="level").rename(columns={"geo": "region"})
    _write_table(estimates, folder)
    if excel_fr:
        write_excel_fr(estimates, folder)
    regions.to_csv(folder / "direct_regions.csv", index=False, lineterminator="\n")
    missing = left_out(done.study.territory, done.study.year)
    missing.to_csv(folder / "left_out.csv", index=False, lineterminator="\n")
    shown = _shown(pd.concat([estimates[_KEPT], communes], ignore_index=True))
    shown.to_csv(folder / "shown.csv", index=False, lineterminator="\n")
    _write_communes(done, folder / "communes")
    (folder / "posterior.npz").write_bytes(pack_posteriors(done.job))
    drawn_level = "" if shapes is None else shapes[0]
    if shapes is not None:
        rows = estimates[estimates["level"] == drawn_level]
        write_geojson(shapes[1], rows, folder, above="p_above_france")
    manifest = _manifest(done, communes, gaps, regions, drawn_level)
    write_json(manifest, folder / "manifest.json", indent=2)
    write_xlsx(estimates, manifest, folder / "estimates.xlsx")
    release = WideRelease(folder, manifest, estimates, shown, None if shapes is None else shapes[1])
    for position, tongue in enumerate(done.study.languages):
        page = "report.html" if position == 0 else f"report.{tongue}.html"
        write_national(release, language=tongue, out=folder / page)
    return _summary(done, estimates, language)


def _write_communes(done: WideRun, folder: Path) -> None:
    """Write the rows of communes by department, what is withdrawn masked.

    Not ``department=33``: readers that infer partition columns would make a number of "01".
    """
    folder.mkdir()
    gone = done.study.retractions
    for name in done.departments:
        data = done.figures.known(f"{name}.parquet")
        table = pd.read_parquet(io.BytesIO(data))
        if any(one.hits(table).any() for one in gone):
            table = masked_rows(table, gone, columns=_MASKED)
            data = table.to_parquet(None, index=False, compression="zstd")
        for form in done.study.scale.communes:
            if form == "parquet":
                (folder / f"{name}.parquet").write_bytes(data)
            elif form == "csv":
                table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
            else:
                write_excel_fr(table, folder, f"{name}-excel-fr.csv")


def _write_table(estimates: pd.DataFrame, folder: Path) -> None:
    estimates.to_csv(folder / "estimates.csv", index=False, lineterminator="\n")
    estimates.to_parquet(folder / "estimates.parquet", index=False, compression="zstd")


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Return areas and persons by level, indicator, tier of the frame and class."""
    keys = ["level", "indicator", "tier", "class"]
    counted = rows.groupby(keys, sort=True).agg(areas=("geo", "size"), persons=("N", "sum"))
    return counted.reset_index()


class _DrawsWriter:
    """Joint draws of the levels kept, one indicator at a time: memory does not add them up."""

    def __init__(self, path: Path, levels: tuple[str, ...]) -> None:
        text = pa.dictionary(pa.int32(), pa.string())
        fields = [("level", text), ("geo", text), ("indicator", text)]
        numbers = [("draw", pa.int32()), ("value", pa.float64()), ("persons", pa.float64())]
        self._schema = pa.schema([*fields, *numbers])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._levels = levels

    def add(self, drawn: AreaDraws, classes: np.ndarray[Any, Any]) -> None:
        """Write the draws of the areas that are shown, at the levels kept."""
        kept = drawn.areas["level"].isin(self._levels).to_numpy() & (classes != "D")
        at = np.flatnonzero(kept)
        size = len(drawn.national)
        columns = {
            name: pd.Categorical(np.repeat(drawn.areas[name].to_numpy()[at], size))
            for name in ("level", "geo")
        }
        table = pd.DataFrame(
            {
                **columns,
                "indicator": pd.Categorical([drawn.indicator.code] * (size * len(at))),
                "draw": np.tile(np.arange(size, dtype=np.int32), len(at)),
                "value": drawn.rates.T[at].ravel(),
                "persons": drawn.persons.T[at].ravel(),
            }
        )
        self._writer.write_table(pa.Table.from_pandas(table, self._schema, preserve_index=False))

    def close(self) -> None:
        """End the file."""
        self._writer.close()


def _manifest(
    done: WideRun,
    communes: pd.DataFrame,
    gaps: dict[str, float],
    regions: pd.DataFrame,
    drawn_level: str,
) -> dict[str, Any]:
    study = done.study
    used: dict[str, Source] = {one.name: one for one in (*done.national.sources, *done.imports)}
    for fitted in done.fits.values():
        used |= {source.name: source for source in fitted.sources}
    sources = (*(used[name] for name in sorted(used)), *given_with(study))
    france = study.territory.france
    name = study.territory.name or ("France métropolitaine" if france else study.name)
    n_areas = int(communes["geo"].nunique())
    gone = bool(study.retractions)
    return manifest_of(
        study,
        territory={
            "code": "FR" if france else study.name,
            "name": name,
            "level": "france" if france else "regions",
            "n_areas": n_areas,
        },
        sources=sources,
        indicators=[one.indicator for one in done.fits.values()],
        verdicts=_verdicts(done, communes, gaps, regions, sources),
        notes={
            "tau": {code: tau_note(one.spec.tau) for code, one in done.fits.items()},
            "indicator_notes": {code: list(value) for code, value in done.notes.items()},
            "scale": {
                "kind": "wide",
                "departments": list(done.departments),
                "block": BLOCK,
                "draws": study.model.draws,
                "frames": study.frame.draws,
                "drawn_level": drawn_level,
            },
            **({"retractions": [asdict(one) for one in study.retractions]} if gone else {}),
        },
    )


def _verdicts(
    done: WideRun,
    communes: pd.DataFrame,
    gaps: dict[str, float],
    regions: pd.DataFrame,
    sources: tuple[Source, ...],
) -> tuple[Verdict, ...]:
    verdicts = [
        isolation([asdict(source) for source in sources], catalogue_sources()),
        checks.year_gap(done.study.year, CENSUS_YEAR),
        checks.survey_gap(done.study.model.year, done.study.year),
        checks.geography(
            changed_since_margins(sorted(communes["geo"].unique()), events=events_of(done.study))
        ),
    ]
    for i, (code, fitted) in enumerate(done.fits.items()):
        verdicts.append(checks.anchor_shift(code, fitted.diagnostics.shift))
        if len(fitted.diagnostics.reliability):
            verdicts.append(checks.fast_engine(code, fitted.diagnostics.reliability))
        if done.study.territory.france:
            shift = done.job.shifts[i, 0]
            verdicts.append(checks.national_sum(code, gaps[code], float(shift.mean())))
    for code in done.fits:
        z = regions.loc[regions["indicator"] == code, "z"].dropna()
        if len(z):
            verdicts.append(checks.regions_agree(code, z))
    verdicts.append(checks.masked_share(communes))
    return checks.require_publishable(verdicts)


def _summary(done: WideRun, estimates: pd.DataFrame, language: Language) -> str:
    """Return one line an indicator: France, and the departments at both ends."""
    words = phrases(language)
    lines = []
    for code, fitted in done.fits.items():
        rows = estimates[estimates["indicator"] == code]
        france = rows[rows["level"] == "france"].iloc[0]
        shown = rows[(rows["level"] == "department") & rows["est"].notna()].sort_values("est")
        said = words["table.masked"]
        if france["class"] != "D":
            said = words.rate_sentence(
                str(france["universe"]), float(france["est"]), (france["lower"], france["upper"])
            )
        colon = " :" if language == "fr" else ":"
        line = f"{getattr(fitted.indicator, language)}{colon} France, {said}"
        if len(shown):
            low, high = shown.iloc[0], shown.iloc[-1]
            line += words["wide.range"].format(
                low=low["geo"],
                low_rate=words.hundred(float(low["est"])),
                high=high["geo"],
                high_rate=words.hundred(float(high["est"])),
            )
        lines.append(line)
    return "\n".join(lines)
