"""The release folder of a wide territory: levels in one table, communes by department."""

from __future__ import annotations

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
from inegnum.data.margins import CENSUS_YEAR
from inegnum.estimates.table import AreaDraws
from inegnum.provenance import Source
from inegnum.release.bundle import folder_for, seal, write_excel_fr, write_json
from inegnum.release.national import build_national
from inegnum.release.text import Language, phrases
from inegnum.review import run_checks as checks
from inegnum.review.isolation import isolation
from inegnum.review.verdict import Verdict
from inegnum.study.beside import tau_note
from inegnum.study.manifest import manifest_of
from inegnum.study.progress import Progress
from inegnum.study.scale.levels import (
    area_places,
    commune_table,
    direct_regions,
    level_draws,
    level_sums,
    level_table,
)
from inegnum.study.scale.plan import BLOCK, left_out
from inegnum.study.scale.run import WideRun, pack_posteriors, run_wide
from inegnum.study.spec import Scale, Study

__all__ = ["wide_to_folder"]

_KEPT: Final = ["geo", "level", "department", "region", "epci", "indicator", "class", "tier", "N"]


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
    target = Path(out).absolute()
    parts = target.with_name(f".{target.name}.parts")
    with folder_for(out, replace=replace) as work, Progress.shown(language) as progress:
        done = run_wide(study, scale, parts, progress=progress)
        start = time.perf_counter()
        with progress.step("report"):
            said = _write(done, work, language, excel_fr=excel_fr)
        done.timings["release"] = round(time.perf_counter() - start, 3)
        seal(work, done.timings)
    shutil.rmtree(parts)
    return said


def _write(done: WideRun, folder: Path, language: Language, *, excel_fr: bool) -> str:
    """Write every file of the release; return what the command says."""
    communes = commune_table(done, _KEPT)
    first = communes["indicator"] == next(iter(done.fits))
    places = area_places(communes[first])
    tables, gaps = [], {}
    writer = _DrawsWriter(folder / "draws.parquet", done.study.scale.draws)
    for code, fitted in done.fits.items():
        drawn = level_draws(done, code, level_sums(done, code), places)
        gaps[code] = float(np.abs(drawn.rates[:, 0] - fitted.national).max())
        table = level_table(done, drawn)
        writer.add(drawn, table["class"].to_numpy())
        tables.append(table)
    writer.close()
    estimates = pd.concat(tables, ignore_index=True)
    regions = direct_regions(done, estimates)
    _write_table(estimates, folder)
    if excel_fr:
        write_excel_fr(estimates, folder)
    regions.to_csv(folder / "direct_regions.csv", index=False, lineterminator="\n")
    missing = left_out(done.study.territory, done.study.year)
    missing.to_csv(folder / "left_out.csv", index=False, lineterminator="\n")
    shown = _shown(pd.concat([estimates[_KEPT], communes], ignore_index=True))
    shown.to_csv(folder / "shown.csv", index=False, lineterminator="\n")
    # Not ``department=33``: readers that infer partition columns would make a number of "01".
    (folder / "communes").mkdir()
    for name in done.departments:
        place = folder / "communes" / f"{name}.parquet"
        place.write_bytes(done.figures.known(f"{name}.parquet"))
    (folder / "posterior.npz").write_bytes(pack_posteriors(done.job))
    write_json(_manifest(done, communes, gaps, regions), folder / "manifest.json", indent=2)
    for position, tongue in enumerate(done.study.languages):
        page = "report.html" if position == 0 else f"report.{tongue}.html"
        build_national(folder, estimates, shown, language=tongue, out=folder / page)
    return _summary(done, estimates, language)


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
    done: WideRun, communes: pd.DataFrame, gaps: dict[str, float], regions: pd.DataFrame
) -> dict[str, Any]:
    study = done.study
    used: dict[str, Source] = {one.name: one for one in (*done.national.sources, *done.imports)}
    for fitted in done.fits.values():
        used |= {source.name: source for source in fitted.sources}
    sources = tuple(used[name] for name in sorted(used))
    france = study.territory.france
    name = study.territory.name or ("France métropolitaine" if france else study.name)
    n_areas = int(communes["geo"].nunique())
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
            },
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
