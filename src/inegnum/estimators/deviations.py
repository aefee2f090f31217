"""Area deviations that no respondent informs, and sums of areas from joint draws.

Model
    commune: delta_metropolis + u_commune; IRIS: delta_metropolis + u_commune + v_iris; each normal,
    with an sd drawn around the medians of `Tau`. The deviation of a metropolis is one number shared
    by its communes, that of a commune by its IRIS: they do not average it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.codebook import AXES, ages_of, profiles
from inegnum.data.types import Frame, Indicator
from inegnum.errors import FrameError, UniverseError
from inegnum.estimators.spec import ModelSpec, Tau
from inegnum.estimators.terms import Coefficients, graph
from inegnum.numerics.bym2 import bym2_correlation

__all__ = [
    "Noise",
    "area_deviations",
    "draw_deviations",
    "geographic_codes",
    "known_deviations",
    "require_persons",
    "with_groups",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# From a level (metro, commune, iris) and standard normals (S, areas) to others of the same law.
Noise = Callable[[str, Floats], Floats]

_NESTED: Final = {
    "epci": ("metro",),
    "commune": ("metro", "commune"),
    "iris": ("metro", "commune", "iris"),
}
_PARTS: Final = ("metro", "commune", "iris")


def area_deviations(
    frame: Frame,
    part: Coefficients,
    spec: ModelSpec,
    rng: np.random.Generator,
    *,
    transport: bool = True,
    noise: Noise | None = None,
) -> tuple[Floats, Floats]:
    """Return deviations and the variance of what is drawn of them, (S, A) each.

    Known where the fit has respondents by commune, drawn elsewhere; without `transport` nothing is
    drawn.
    """
    tau = spec.tau
    if part.communes:  # what respondents say of their commune is sampling, not transport
        return known_deviations(frame, part, tau if transport else replace(tau, iris=0.0), rng)
    structure = partial(graph, area=spec.area) if tau.structure == "bym2" else None
    S = len(part.profile)
    deviation, variance = draw_deviations(frame, tau, S, rng, graph=structure, noise=noise)
    return (deviation, variance) if transport else (0.0 * deviation, 0.0 * variance)


def draw_deviations(
    frame: Frame,
    tau: Tau,
    S: int,
    rng: np.random.Generator,
    *,
    graph: Callable[[Sequence[str]], Floats] | None = None,
    noise: Noise | None = None,
) -> tuple[Floats, Floats]:
    """Return deviations in logits and their variance given tau, (S, A) each.

    Communes and IRIS may stand side by side (communes that have IRIS are then their sum).
    With a `graph` (from commune codes to their contiguity), deviations of communes are correlated
    as BYM2 says; each keeps its sd. A `noise` takes the standard normals of `rng` in hand: fits
    drawn jointly share part of them.

    Raises
    ------
    FrameError
        A level is unknown, or EPCI stand beside smaller areas.
    """
    levels = frame.areas["level"].astype(str)
    found = sorted(set(levels))
    if not set(found) <= set(_NESTED) or ("epci" in found and len(found) > 1):
        raise FrameError(
            "area deviations are defined for areas that do not contain one another",
            where="areas, level",
            got=", ".join(found),
            expected="EPCI alone, or communes and IRIS",
            hint="predict one level at a time; groups of areas are summed from the same draws",
        )
    geo, epci = frame.areas["geo"].astype(str), frame.areas["epci"].astype(str)
    keys = {"metro": geo if "epci" in found else epci, "commune": geo.str[:5], "iris": geo}
    total, variance = np.zeros((S, len(geo))), np.zeros((S, len(geo)))
    for part in _PARTS:
        at = np.flatnonzero([part in _NESTED[level] for level in levels])
        if len(at) == 0:
            continue
        median = tau.factor * float(getattr(tau, part))
        sd = median * np.exp(tau.log_sd * rng.standard_normal(S))
        codes, names = pd.factorize(keys[part].iloc[at])
        z = rng.standard_normal((S, len(names)))
        z = noise(part, z) if noise else z
        if part == "commune" and graph is not None:
            z = z @ np.linalg.cholesky(bym2_correlation(graph(list(names)), tau.phi)).T
        total[:, at] += (sd[:, None] * z)[:, codes]
        variance[:, at] += (sd**2)[:, None]
    return total, variance


def known_deviations(
    frame: Frame, part: Coefficients, tau: Tau, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the effects of communes that gave respondents and the variance drawn, (S, A) each.

    An IRIS adds a deviation of its own, drawn; the level of the metropolis is the survey's.

    Raises
    ------
    FrameError
        An area is not one of the communes of the fit, or a part of one.
    """
    known = {code: j for j, code in enumerate(part.communes)}
    commune = frame.areas["geo"].astype(str).str[:5]
    absent = sorted(set(commune) - set(known))
    if absent or not frame.areas["level"].isin(["commune", "iris"]).all():
        raise FrameError(
            "areas are not communes of the local survey",
            got=", ".join(absent[:5]) or ", ".join(frame.areas["level"].unique()),
            expected=f"communes among {len(known)}, or their IRIS",
            hint="name them in area.communes: those without respondents are predicted too",
        )
    deviation = part.commune[:, commune.map(known).to_numpy()]
    S = len(deviation)
    iris = (frame.areas["level"] == "iris").to_numpy(dtype=np.float64)
    sd = tau.factor * tau.iris * np.exp(tau.log_sd * rng.standard_normal(S))
    noise = rng.standard_normal(deviation.shape)
    return deviation + iris * sd[:, None] * noise, iris * (sd**2)[:, None]


def geographic_codes(frame: Frame, factor: str) -> Ints:
    """Return the level of each area in ``urban`` or ``region``.

    Raises
    ------
    FrameError
        An area has none.
    """
    axis = AXES[factor]
    lookup = {level: i for i, level in enumerate(axis.levels)}
    codes = frame.areas[factor].map(lookup)
    if codes.isna().any():
        wrong = frame.areas.loc[codes.isna(), ["geo", factor]]
        raise FrameError(
            f"areas without a known {factor}",
            where=", ".join(wrong["geo"].astype(str).head(3)),
            got=", ".join(wrong[factor].astype(str).unique()[:3]),
            expected=", ".join(axis.levels),
        )
    return np.asarray(codes, dtype=np.int64)


def require_persons(frame: Frame, universe: str) -> None:
    """Refuse a frame of another universe, and areas where nobody belongs to it.

    A frame of 15 and over counts nobody of 12 to 14: poststratified to it, a rate of the 12+ would
    silently become one of the 15+.

    Raises
    ------
    UniverseError
        An age class of the universe has nobody anywhere in the frame.
    FrameError
        An area has nobody of the universe.
    """
    people = pd.Series(frame.N.sum(axis=0)).groupby(profiles()["age"].to_numpy()).sum()
    absent = [age for age in ages_of(universe) if people[age] <= 0]
    if absent:
        raise UniverseError(
            "the frame does not cover the universe of the indicator",
            where=f"ages {', '.join(absent)}",
            got="nobody of these ages in any area",
            expected=f"a frame of {universe}",
            hint="build the frame for 12 and over: universes are sums of its cells",
        )
    empty = frame.areas.loc[frame.persons(universe) <= 0, "geo"]
    if len(empty):
        raise FrameError(
            "areas without anybody in the universe of the indicator",
            where=", ".join(empty.astype(str).head(5)),
            got=f"0 persons of {universe}",
            hint="leave these areas out of the frame",
        )


def with_groups(
    counts: Floats,
    persons: Floats,
    frame: Frame,
    groups: str | Sequence[str] | None,
    indicator: Indicator,
) -> tuple[Floats, Floats, pd.DataFrame]:
    """Append one item per group of areas, summed draw by draw, and describe all items.

    Several columns of groups are appended one after the other; a group that is itself an area is
    not repeated.
    """
    items = frame.areas[["geo", "level"]].copy()
    areas = len(items)
    for column in (groups,) if isinstance(groups, str) else groups or ():
        if column not in frame.areas.columns:
            raise FrameError("the areas lack the column to group by", got=column)
        labels = frame.areas[column].astype(str)
        named = sorted(set(labels) - {"", "nan"} - set(frame.areas["geo"].astype(str)))
        member = np.array([labels == name for name in named], dtype=np.float64).T
        if named:
            counts = np.hstack([counts, counts[:, :areas] @ member])
            persons = np.hstack([persons, persons[:, :areas] @ member])
            more = pd.DataFrame({"geo": named, "level": column})
            items = pd.concat([items, more], ignore_index=True)
    items["indicator"], items["universe"] = indicator.code, indicator.universe
    items["persons"] = persons.mean(axis=0)
    return counts, persons, items
