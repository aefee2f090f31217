"""Which waves of the survey may carry an indicator of a study."""

from __future__ import annotations

from dataclasses import replace

from inegnum.data.indicators import breaks, definition, definitions
from inegnum.errors import StudyError
from inegnum.estimators.spec import AreaEffects, ModelSpec
from inegnum.study.spec import Study

__all__ = ["model_of", "spec_for"]


def model_of(study: Study) -> ModelSpec:
    """Return the model of a study, the graph of its communes taken from the study's own shapes.

    A spatial model (``tau`` or ``area`` under BYM2) needs to know which communes touch. Without
    ``area.shapes`` the territory's ``geojson`` tells it, and without that the package's shapes do.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from inegnum.study.folder import find_study
    >>> study = find_study("bordeaux-metropole-2022")
    >>> own = replace(study.territory, geojson="communes.geojson")
    >>> spatial = replace(study.model, tau=replace(study.model.tau, structure="bym2"))
    >>> model_of(replace(study, territory=own, model=spatial)).area.shapes
    'communes.geojson'
    """
    model, territory = study.model, study.territory
    area = model.area or AreaEffects()
    spatial = "bym2" in (model.tau.structure, area.structure)
    if not spatial or area.shapes or not territory.geojson:
        return model
    own = replace(area, shapes=territory.geojson, shapes_code=territory.geojson_code)
    return replace(model, area=own)


def spec_for(model: ModelSpec, code: str) -> tuple[ModelSpec, tuple[str, ...]]:
    """Fit the waves of a model to one indicator.

    A wave is pooled only when the question was asked in it and nothing in the registry separates
    it from the year of the figures (a changed wording is not a change of behaviour). The break of
    2020 concerns every indicator (face to face before): it keeps earlier waves in the history, for
    the urban gradient only, and takes out of the history those whose question was another one.

    Returns
    -------
    ModelSpec
        The model with its waves, year and history for this indicator.
    tuple of str
        What was left out and why.

    Raises
    ------
    StudyError
        No wave of the model measures the indicator.
    """
    surveyed = {wave for known in definitions() for wave in known.waves}
    unknown = {*model.waves, *model.history} - surveyed
    if unknown:
        raise StudyError(
            "the survey has no such wave",
            where="model.waves or model.history",
            got=", ".join(map(str, sorted(unknown))),
            expected=f"among {', '.join(map(str, sorted(surveyed)))}",
        )
    asked = definition(code).waves
    here = [wave for wave in model.waves if wave in asked]
    if not here:
        raise StudyError(
            "no wave of the study measures this indicator",
            where=f"indicators, {code}",
            got=f"waves {', '.join(map(str, model.waves))}",
            expected=f"among {', '.join(map(str, asked))}",
            hint="add a wave to model.waves, or leave the indicator out",
        )
    year = model.year if model.year in here else max(here)
    left = [f"{wave}: not asked" for wave in model.waves if wave not in here]
    if year != model.year:
        left.append(f"figures are about {year}")
    pooled = []
    for wave in here:
        found = _wording_breaks(code, wave, year)
        if found:
            left.append(f"{wave}: {found[0]}")
        else:
            pooled.append(wave)
    history = [
        wave for wave in model.history if wave in asked and not _wording_breaks(code, wave, year)
    ]
    return replace(model, year=year, waves=tuple(pooled), history=tuple(history)), tuple(left)


def _wording_breaks(code: str, first: int, last: int) -> list[str]:
    """Return what changed in the question itself between two waves."""
    return [known.en for known in breaks(code, first, last) if known.indicators]
