"""From fits to a table: joint draws by area, the territory as a whole, France."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.types import Frame
from inegnum.errors import InputError
from inegnum.estimates.local import Local, fused
from inegnum.estimates.quality import QualityLimits
from inegnum.estimates.table import AreaDraws, Estimates, combine
from inegnum.estimators.deviations import Noise
from inegnum.estimators.multilevel import Fit

__all__ = ["area_draws", "estimate"]

_DOWNWARDS: Final = ("epci", "commune", "iris")


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
    fitted: Fit,
    frame: Frame,
    *,
    national: Frame,
    whole: tuple[str, str],
    seed: int,
    local: Local | None = None,
    noise: Noise | None = None,
) -> AreaDraws:
    """Return joint draws of France, the territory and its areas for one indicator.

    Where the frame stands in IRIS, each commune they make up is their sum in every draw.

    Parameters
    ----------
    fitted : Fit
    frame, national : Frame
    whole : tuple of str
        Code and name of the territory.
    seed : int
    local : Local, optional
        The territory's own survey, joined to the model where it has the indicator; the share of
        each figure it informs is then a column of the areas.
    noise : callable, optional
        What becomes of the standard normals of the deviations (`deviations.Noise`).
    """
    code, name = whole
    labelled = replace(frame, areas=frame.areas.assign(whole=code))
    groups = ["whole"] if "commune" not in frame.areas else ["commune", "whole"]
    rates = fitted.predict(labelled, seed=seed, groups=groups, noise=noise)
    counts = fitted.predict_counts(labelled, seed=seed, groups=groups, noise=noise)
    persons = counts.values / rates.values
    universe = fitted.indicator.universe
    shares, respondents = np.zeros(len(rates.items)), np.zeros(len(rates.items), dtype=np.int64)
    if local is not None and local.has(fitted.indicator.code):
        joint = fused(fitted, labelled, rates, local, groups=groups, seed=seed)
        rates, shares = joint.draws, joint.share_local
        respondents = _respondents(rates.items, labelled, local, fitted.indicator.code)
    items = rates.items.assign(level=rates.items["level"].replace("whole", "epci"))
    rank = items["level"].map({level: i for i, level in enumerate(_DOWNWARDS)})
    # The whole, then communes, then IRIS, each level in the order of its codes.
    order = items.assign(rank=rank).sort_values(["rank", "geo"], kind="stable").index.to_numpy()
    areas = items[["geo", "level"]].iloc[order].reset_index(drop=True)
    france = float(national.persons(universe).sum())
    table = pd.DataFrame(
        {
            "geo": ["FR", *areas["geo"]],
            "level": ["france", *areas["level"]],
            "name": ["France", *_names(areas, frame, name)],
            "tier": [_tier(national, universe), *_tiers(areas, frame, universe)],
            # Respondents of the area itself: the national survey names no commune.
            "n": [int(fitted.direct.n), *respondents[order]],
        }
    )
    informed = np.append(0.0, np.maximum(shares[order], 0.0))
    table["basis"] = np.where(informed > 0, "composite", "model")
    table["method"] = np.where(informed > 0, "mrp, local survey", "mrp")
    table.loc[0, ["basis", "method"]] = ["direct", "survey"]
    if local is not None:
        table["share_local"] = informed.round(4)
    return AreaDraws(
        fitted.indicator,
        table,
        np.column_stack([fitted.national, rates.values[:, order]]),
        np.column_stack([np.full(len(fitted.national), france), persons[:, order]]),
        fitted.national,
        whole=1,
    )


def _respondents(
    items: pd.DataFrame, frame: Frame, local: Local, code: str
) -> npt.NDArray[np.int64]:
    """Return the local respondents of each area and of the sums they make up."""
    n = local.survey.by_area(code).set_index("geo")["n"]
    areas = frame.areas.assign(n=frame.areas["geo"].map(n).fillna(0.0))
    held = areas.set_index("geo")["n"].to_dict()
    for column in ("commune", "whole"):
        if column in areas:
            held |= areas.groupby(column)["n"].sum().to_dict()
    return items["geo"].map(held).to_numpy(dtype=np.int64)


def _names(areas: pd.DataFrame, frame: Frame, whole: str) -> list[str]:
    """Return the name of each item: its own, that of the commune its IRIS make up, the whole's."""
    known = dict(zip(frame.areas["geo"], frame.areas["name"], strict=True))
    if "commune" in frame.areas:
        known |= dict(zip(frame.areas["commune"], frame.areas["commune_name"], strict=True))
    return [
        whole if level == "epci" else str(known[geo])
        for geo, level in zip(areas["geo"], areas["level"], strict=True)
    ]


def _tiers(areas: pd.DataFrame, frame: Frame, universe: str) -> list[str]:
    """Return the frame tier of each item: for a sum, that of most of its persons."""
    own = dict(zip(frame.areas["geo"], frame.areas["tier"], strict=True))
    if "commune" in frame.areas:
        table = frame.areas.assign(persons=frame.persons(universe))
        sums = table.groupby(["commune", "tier"])["persons"].sum().reset_index()
        own |= sums.sort_values("persons").groupby("commune")["tier"].last().to_dict()
    return [
        _tier(frame, universe) if level == "epci" else str(own[geo])
        for geo, level in zip(areas["geo"], areas["level"], strict=True)
    ]


def _tier(frame: Frame, universe: str) -> str:
    """Return the frame tier that most persons live under."""
    people = pd.Series(frame.persons(universe)).groupby(frame.areas["tier"].to_numpy()).sum()
    return str(people.idxmax())
