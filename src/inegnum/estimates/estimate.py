"""From fits to a table: joint draws by area, the territory as a whole, France."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from inegnum.data.types import Frame
from inegnum.errors import InputError
from inegnum.estimates.quality import QualityLimits
from inegnum.estimates.table import AreaDraws, Estimates, combine
from inegnum.estimators.multilevel import Fit

__all__ = ["area_draws", "estimate"]


def estimate(
    fits: Fit | Sequence[Fit],
    frame: Frame,
    *,
    national: Frame,
    seed: int,
    limits: QualityLimits | None = None,
) -> Estimates:
    """Estimate the rates of a territory and of its areas from fitted models.

    Parameters
    ----------
    fits : Fit or sequence of Fit
        One an indicator.
    frame : Frame
        Areas of the territory; the whole is their sum, named after their EPCI when they share one.
    national : Frame
        The frame the fits were anchored on.
    seed : int
        Of area deviations and frame draws.
    limits : QualityLimits, optional
        Of the publication classes.

    Returns
    -------
    Estimates
        Rows of France, of the whole and of each area, for every indicator.

    Raises
    ------
    InputError
        No fit was given, or the areas belong to several EPCI.

    Examples
    --------
    >>> import inegnum as ing
    >>> france = ing.national_frame(year=2022)
    >>> spec = ing.ModelSpec(history=(), draws=400)
    >>> fit = ing.fit(spec, ing.load_survey("smartphone"), national=france, seed=1)
    >>> frame = ing.build_frame(ing.load_areas(epci="243300316"), year=2022)
    >>> found = ing.estimate(fit, frame, national=france, seed=1)
    >>> row = found.row("243300316", "smartphone")
    >>> str(row["class"]), bool(row["lower"] < 0.91 < row["upper"])
    ('B', True)
    """
    fits = (fits,) if isinstance(fits, Fit) else tuple(fits)
    named = frame.areas[["epci", "epci_name"]].drop_duplicates()
    if len(named) != 1:
        raise InputError(
            "the areas do not make up one territory",
            where="frame",
            got=f"{len(named)} intercommunalities",
            expected="areas of one EPCI",
            hint="run a study for a department or a list of communes",
        )
    code, name = map(str, named.iloc[0])
    drawn = [
        area_draws(one, frame, national=national, whole=(code, name), seed=seed) for one in fits
    ]
    sources = {source.name: source for one in fits for source in one.sources}
    sources |= {source.name: source for source in (*frame.sources, *national.sources)}
    return combine(
        drawn, tuple(sources[key] for key in sorted(sources)), year=frame.year, limits=limits
    )


def area_draws(
    fitted: Fit, frame: Frame, *, national: Frame, whole: tuple[str, str], seed: int
) -> AreaDraws:
    """Return joint draws of France, the territory and its areas for one indicator.

    Parameters
    ----------
    fitted : Fit
    frame, national : Frame
    whole : tuple of str
        Code and name of the territory.
    seed : int
    """
    code, name = whole
    labelled = replace(frame, areas=frame.areas.assign(whole=code))
    rates = fitted.predict(labelled, seed=seed, groups="whole")
    counts = fitted.predict_counts(labelled, seed=seed, groups="whole")
    persons = counts.values / rates.values
    universe = fitted.indicator.universe
    order = [len(frame.areas), *range(len(frame.areas))]
    france = float(national.persons(universe).sum())
    tiers = [_tier(national, universe), _tier(frame, universe), *frame.areas["tier"]]
    areas = pd.DataFrame(
        {
            "geo": ["FR", *rates.items["geo"].iloc[order]],
            "level": ["france", "epci", *frame.areas["level"]],
            "name": ["France", name, *frame.areas["name"]],
            "tier": tiers,
            "basis": ["direct", *["model"] * len(order)],
            "method": ["survey", *["mrp"] * len(order)],
            # Respondents of the area itself: the survey names no commune, so none can be counted.
            "n": [int(fitted.direct.n), *[0] * len(order)],
        }
    )
    return AreaDraws(
        fitted.indicator,
        areas,
        np.column_stack([fitted.national, rates.values[:, order]]),
        np.column_stack([np.full(len(fitted.national), france), persons[:, order]]),
        fitted.national,
        whole=1,
    )


def _tier(frame: Frame, universe: str) -> str:
    """Return the frame tier that most persons live under."""
    people = pd.Series(frame.persons(universe)).groupby(frame.areas["tier"].to_numpy()).sum()
    return str(people.idxmax())
