"""From a study file to a release folder, in one call."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed

from inegnum.errors import InputError, StudyError, nearest
from inegnum.estimates.retract import without_retracted
from inegnum.release.bundle import Bundle, folder_for, seal, write_bundle
from inegnum.release.report import build_report
from inegnum.release.text import Language, Phrases, phrases
from inegnum.study.beside import (
    labelled_variants,
    own_urban_class,
    published_beside,
    tau_note,
)
from inegnum.study.manifest import given_with, manifest_of
from inegnum.study.pipeline import Run, areas_of, run
from inegnum.study.progress import Progress
from inegnum.study.shapes import shapes_of
from inegnum.study.spec import Study, load_study
from inegnum.study.surveys import local_tables

__all__ = ["bundle_of", "find_study", "run_to_folder", "summary"]


def find_study(name: str | Path) -> Study:
    """Return a study from its file, or one that comes with the package by its name."""
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        return load_study(path)
    root = shipped_root()
    known = sorted(file.stem for file in root.glob("*.toml"))
    if str(name) not in known:
        raise InputError(
            "no study file and no shipped study has this name",
            got=str(name),
            expected=f"a .toml file, or one of {', '.join(known)}",
            hint=nearest(str(name), known),
        )
    return load_study(root / f"{name}.toml")


def shipped_root() -> Path:
    """Return the folder of shipped studies: inside the wheel, or in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_models"
    return installed if installed.is_dir() else package.parents[1] / "models"


def run_to_folder(
    study: str | Path | Study,
    out: str | Path,
    *,
    language: Language = "fr",
    replace: bool = False,
    excel_fr: bool = False,
    scheduler: str | None = None,
    workers: int | None = None,
) -> str:
    """Run a study, write its release folder whole or not at all, return a summary to read aloud.

    Parameters
    ----------
    study : str, Path or Study
        A study file, the name of a shipped one, or a study.
    out : str or Path
    language : {"fr", "en"}
        Of the summary.
    replace : bool
        Replace an earlier release.
    excel_fr : bool
        Also write a CSV that French Excel opens.
    scheduler, workers : str, int, optional
        Where a territory of regions or of all France is computed, in place of what the study says
        (`Scale`); figures do not depend on it.

    Raises
    ------
    InegnumError
        Whatever stops the run; nothing is left behind.
    """
    found = study if isinstance(study, Study) else find_study(study)
    phrases(language)  # an unknown language stops before the work, not after
    if found.territory.wide:
        from inegnum.study.scale.folder import wide_to_folder

        return wide_to_folder(
            found,
            found.scale.on(scheduler, workers),
            out,
            language=language,
            replace=replace,
            excel_fr=excel_fr,
        )
    if scheduler is not None or workers is not None:
        raise StudyError(
            "a scheduler serves territories of regions or of all France",
            where=found.name,
            hint="leave --scheduler and --workers out: this study runs in one go",
        )
    with folder_for(out, replace=replace) as work, Progress.shown(language) as progress:
        # Shapes that lack an area stop the run before the work, not after.
        shapes_of(found.territory, list(areas_of(found)["geo"]))
        done = run(found, progress=progress)
        start = time.perf_counter()
        bundle = bundle_of(done)
        write_bundle(bundle, work, excel_fr=excel_fr)
        pages = page_names(found)
        written = Parallel(n_jobs=len(pages), return_as="generator")(
            delayed(build_report)(work, language=tongue, out=work / page)
            for tongue, page in pages.items()
        )
        for _ in progress.over("report", written, len(pages)):
            pass
        done.timings["release"] = round(time.perf_counter() - start, 3)
        seal(work, done.timings)
    said = summary(done, language)
    return said if bundle.geometry is not None else f"{said}\n{phrases(language)['explore.given']}"


def page_names(study: Study) -> dict[str, str]:
    """Return the file of the page in each language: the first language has the plain name."""
    first, *others = study.languages
    return {first: "report.html", **{tongue: f"report.{tongue}.html" for tongue in others}}


def bundle_of(done: Run) -> Bundle:
    """Return what the release folder of a run holds."""
    code, name = done.whole
    frame = done.frames.territory
    iris = done.iris
    gone = done.study.retractions
    variants = without_retracted("variants", labelled_variants(done), gone, code)
    notes: dict[str, Any] = {
        "variants": variants.astype(object).where(variants.notna(), None).to_dict("records"),
        "reference": published_beside(code, done.study.indicators),
        "tau": {key: tau_note(one.fit.spec.tau) for key, one in done.indicators.items()},
        "indicator_notes": {key: list(value) for key, value in done.notes.items()},
        **({"change": done.compared} if done.compared else {}),
        **({"retractions": [asdict(one) for one in gone]} if gone else {}),
    }
    manifest = manifest_of(
        done.study,
        territory={"code": code, "name": name, "level": "epci", "n_areas": len(frame.areas)},
        sources=(*done.estimates.sources, *given_with(done.study)),
        indicators=[one.fit.indicator for one in done.indicators.values()],
        verdicts=done.verdicts,
        notes=notes,
    )
    tables = {
        "decomposition": done.table("decomposition"),
        "variants": variants,
        "raking": done.table("raking"),
        "components": done.table("components"),
        "profiles": done.table("profiles"),
        "merged": done.merged,
        **({"change": done.table("change")} if done.compared else {}),
        **({} if done.families is None else {"families": done.families}),
        **({} if done.local is None else local_tables(done.local, done.estimates)),
        "own_urban": own_urban_class(done),
        "frame_margins": frame.report,
    }
    return Bundle(
        done.estimates,
        manifest,
        {stem: without_retracted(stem, table, gone, code) for stem, table in tables.items()},
        shapes_of(done.study.territory, [*frame.areas["geo"], *iris]),
        done.timings,
    )


def summary(done: Run, language: Language) -> str:
    """Return one line an indicator, as one would say it."""
    words = phrases(language)
    table = done.estimates.table
    lines = []
    for code, one in done.indicators.items():
        whole = done.estimates.row(done.whole[0], code)
        france = table[(table["level"] == "france") & (table["indicator"] == code)].iloc[0]
        lines.append(_spoken(words, getattr(one.fit.indicator, language), whole, france))
    return "\n".join(lines)


def _spoken(words: Phrases, label: str, whole: pd.Series[Any], france: pd.Series[Any]) -> str:
    """Say one figure: label, natural frequency, interval, France."""
    if whole["class"] == "D":
        said = words["table.masked"]
    else:
        bounds = (float(whole["lower"]), float(whole["upper"]))
        said = words.rate_sentence(str(whole["universe"]), float(whole["est"]), bounds)
    colon = " :" if words.language == "fr" else ":"
    return f"{label}{colon} {said} ; France {words.hundred(float(france['est']))}"
