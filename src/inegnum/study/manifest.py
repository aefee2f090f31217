"""What a release says about itself: inputs with hashes, study, versions, notes, verdicts."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from inegnum import __version__
from inegnum.data.types import Indicator
from inegnum.provenance import Source, sha256_file
from inegnum.review.verdict import Verdict
from inegnum.study.spec import Study

__all__ = ["given_with", "manifest_of", "versions"]

# The packages whose version can change a figure.
_NUMERICAL: Final = ("numpy", "scipy", "pandas", "numba", "pyarrow")
_ENGINES: Final = {"laplace": (), "nuts": ("pymc", "pytensor", "arviz", "nutpie")}


def versions(engine: str) -> dict[str, str]:
    """Return the versions a figure depends on."""
    packages = (*_NUMERICAL, *_ENGINES[engine])
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def given_with(study: Study) -> tuple[Source, ...]:
    """Return the files of shapes and of events a study names as sources, with their hashes."""
    graph = study.model.area.shapes if study.model.area else ""
    named = {
        graph: "shapes of the communes that touch",
        study.territory.geojson: "shapes of the areas",
        study.frame.events: "events",
    }
    years = {study.territory.geojson: study.territory.geojson_year}
    return tuple(
        Source(
            name=Path(file).name,
            producer="given with the study",
            title=title,
            universe="areas",
            vintage="",
            unit="areas",
            licence="",
            sha256=sha256_file(Path(file)),
            role="fit",
            geo_vintage=f"COG {year}" if (year := years.get(file)) else "",
        )
        for file, title in named.items()
        if file
    )


def manifest_of(
    study: Study,
    *,
    territory: dict[str, Any],
    sources: Sequence[Source],
    indicators: Sequence[Indicator],
    verdicts: Sequence[Verdict],
    notes: dict[str, Any],
) -> dict[str, Any]:
    """Return the manifest of a release, its outputs excepted.

    Parameters
    ----------
    study : Study
    territory : dict
        ``code, name, level, n_areas``.
    sources : sequence of Source
        Everything that entered a fit, a frame or a comparison, each once.
    indicators : sequence of Indicator
    verdicts : sequence of Verdict
    notes : dict
        Further entries: ``variants``, ``reference``, ``tau``, ``indicator_notes``.
    """
    unique = {source.name: source for source in sources}
    return {
        "inegnum": __version__,
        "study": study.to_dict(),
        "study_sha256": study.sha256(),
        "seed": study.seed,
        "engine": study.model.engine,
        # Estimates derive from every input: share-alike licences carry over.
        "licences": sorted({source.licence for source in unique.values()} - {""}),
        "inputs": [asdict(unique[name]) for name in sorted(unique)],
        "versions": versions(study.model.engine),
        "territory": territory,
        "indicators": {one.code: _note(one) for one in indicators},
        "verdicts": [asdict(verdict) for verdict in verdicts],
        **notes,
    }


def _note(indicator: Indicator) -> dict[str, Any]:
    return {
        "family": indicator.family,
        "label_fr": indicator.fr,
        "label_en": indicator.en,
        "wording": indicator.wording,
        "universe": indicator.universe,
        "denominator_fr": indicator.denominator_fr,
        "denominator_en": indicator.denominator_en,
        "direction": indicator.direction,
    }
