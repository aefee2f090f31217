"""Poststratification frames: persons by area and profile, and how uncertain they are.

Model
    Each commune's table (age x sex x status x occupation, persons of 15 and over) is its
    department's table of the same urban class, fitted (IPF) to the commune's own margins:
    occupation, four age groups, schooling and diploma, sex. The department's interactions are thus
    kept, the commune's totals are met. Minors and students leave the crossing afterwards; persons
    of 12 to 14 are added from population less persons of 15 and over.

Tiers
    F3 one-way margins and seeds (communes over 2,000 inhabitants); F4 occupation only, the other
    margins predicted from occupation and department (`frame_predict`). F1, the census's joint file,
    and F2, published joints, are in `frame_tiers`.

Draws
    One draw of everything at a time: survey joint and age x diploma (national seed), departments'
    deviations, projection of ages, drift of diplomas, sampling of occupations, ageing of 2018
    margins, prediction error where margins are not observed. Components are keyed by name: a
    commune's draws do not depend on which other communes are asked for.

Limits
    Every cell is modelled: what is observed is its margins. No interaction between diploma and
    occupation is observed below the national survey.

References
----------
Purcell and Kish 1980, doi:10.2307/1402400; Zhang and Chambers 2004,
doi:10.1111/j.1467-9868.2004.05266.x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.codebook import REGION, URBAN
from inegnum.data.frame_ages import region_ages
from inegnum.data.frame_atoms import (
    LOCAL_AGES,
    LOCAL_SHAPE,
    age_groups,
    children_to_profiles,
    status_groups,
    to_local,
    to_profiles,
)
from inegnum.data.frame_predict import (
    draw_occupation,
    draw_shares,
    links,
    margin_noise,
    predict,
    shares_of,
    years_old,
    z_of,
)
from inegnum.data.frame_report import area_columns, commune_report, stratum_report
from inegnum.data.frame_strata import (
    common_drift,
    department_effect,
    department_tables,
    drifted,
    keyed,
    region_tables,
    strata,
)
from inegnum.data.margins import SOURCES, CommuneMargins, commune_margins
from inegnum.data.types import Frame
from inegnum.errors import ConvergenceError, FrameError
from inegnum.numerics.ipf import Ipf, Margin, axis_margin, ipf

__all__ = ["build_frame", "national_frame"]

Floats = npt.NDArray[np.float64]

# Margins of a commune are met to one person in a hundred thousand.
_TOL = 1e-5
# Communes fitted together: bounds memory, whatever the number of areas asked for.
_BLOCK = 64
# Variance of the share of children in small communes, times population (see `margins`).
_CHILD_NOISE = 0.62


@dataclass(frozen=True, slots=True)
class _Targets:
    """Margins of A communes as shares of persons of 15+: point first, then draws, (B, A, ...)."""

    occupation: Floats
    age: Floats
    status: Floats
    women: Floats


def build_frame(
    areas: pd.DataFrame,
    *,
    year: int = 2022,
    draws: int = 0,
    seed: int = 0,
    urban: Literal["metropole", "own"] = "metropole",
) -> Frame:
    """Build the frame of some communes.

    Parameters
    ----------
    areas : DataFrame
        Communes, column ``geo`` (for instance from `load_areas`).
    year : int
        Year the counts are brought to, 2018 to 2023.
    draws : int
        Frames drawn from their own uncertainty.
    seed : int
        Same seed, same draws; a national frame of the same seed and number of draws shares them.
    urban : {"metropole", "own"}
        Urban class of communes of a métropole: that of most of its inhabitants, or their own.

    Returns
    -------
    Frame
        One row a commune, in the order given; `report` says margin by margin what was published,
        aimed at and reached.

    Raises
    ------
    FrameError
        A commune is unknown or stands twice, or the year cannot be had.
    ConvergenceError, MarginError
        Margins of a commune cannot be met; the message names it.

    Examples
    --------
    >>> from inegnum.data.areas import load_areas
    >>> frame = build_frame(load_areas(communes=["33063", "33487"]))
    >>> frame.areas[["geo", "tier"]].to_numpy().tolist()
    [['33063', 'F3'], ['33487', 'F4']]
    """
    geos = _asked(areas, draws)
    margins = commune_margins(year).at(geos)
    blocks = [
        _block(margins.at(geos[i : i + _BLOCK]), draws, seed) for i in range(0, len(geos), _BLOCK)
    ]
    counts = np.concatenate([block[0] for block in blocks], axis=1)
    report = pd.concat([block[1] for block in blocks], ignore_index=True)
    return Frame(
        area_columns(margins, urban),
        counts[0],
        tuple(catalogue.source(name) for name in SOURCES),
        year,
        counts[1:] if draws else np.empty((0, 0, 0)),
        report,
    )


def _asked(areas: pd.DataFrame, draws: int) -> list[str]:
    if "geo" not in areas.columns or areas.empty:
        raise FrameError(
            "no commune to build a frame for",
            where="areas",
            got=", ".join(map(str, areas.columns)) or "an empty table",
            expected="a table with a column geo of commune codes",
            hint="use load_areas",
        )
    if areas["geo"].duplicated().any():
        raise FrameError(
            "a commune stands twice",
            where="areas",
            got=", ".join(areas.loc[areas["geo"].duplicated(), "geo"].head()),
        )
    if draws < 0:
        raise FrameError("the number of draws is negative", where="draws", got=draws)
    return [str(geo) for geo in areas["geo"]]


def _block(margins: CommuneMargins, draws: int, seed: int) -> tuple[Floats, pd.DataFrame]:
    """Return counts (1 + F, A, 294) of a block of communes, and their report."""
    targets = _targets(margins, draws, seed)
    fit = _fit(margins, _seeds(margins, draws, seed), targets)
    fitted = fit.fitted.reshape(1 + draws, len(margins.areas), *LOCAL_SHAPE)
    counts = to_profiles(fitted) + _children(margins, draws, seed)
    point = _Targets(*(getattr(targets, f)[0] for f in ("occupation", "age", "status", "women")))
    report = commune_report(
        margins, point.occupation, point.age, point.status, point.women, fitted[0]
    )
    return counts, report


def _seeds(margins: CommuneMargins, draws: int, seed: int) -> Floats:
    """Return each commune's department table of its urban class, (1 + F, A, 8, 2, 5, 7)."""
    found = np.empty((1 + draws, len(margins.areas), *LOCAL_SHAPE))
    for (department, region), rows in margins.areas.groupby(["department", "region"]):
        tables = to_local(
            department_tables(str(department), str(region), margins.year, draws, seed)
        )
        classes = [URBAN.code(u) for u in rows["urban"]]
        found[:, rows.index.to_numpy()] = tables[:, classes]
    return found


def _targets(margins: CommuneMargins, draws: int, seed: int) -> _Targets:
    """Return point margins and their draws."""
    occupation = np.empty((1 + draws, len(margins.areas), 7))
    z = np.empty((1 + draws, len(margins.areas), 9))
    effects = {
        d: department_effect(d, margins.year, draws, seed)
        for d in margins.areas["department"].unique()
    }
    for i, area in enumerate(margins.areas.itertuples()):
        one = margins.at([str(area.geo)])
        rng = keyed(seed, "commune", str(area.geo))
        occupation[0, i] = one.occupation[0]
        occupation[1:, i] = draw_occupation(one, rng, draws)[:, 0]
        if one.observed[0]:
            z[:, i] = _observed_z(one, draws, rng)
        else:
            z[:, i] = _predicted_z(one, occupation[:, [i]], effects[area.department], rng)
    age, status, women = shares_of(z)
    status = drifted(status, common_drift(margins.year, draws, seed))
    for i in map(int, np.flatnonzero(~margins.observed)):
        # A commune is finite: its shares differ from what is expected of a commune like it.
        rng, n = keyed(seed, "finite", margins.areas["geo"][i]), float(margins.persons[i])
        age[1:, i] = draw_shares(age[1:, i], n, rng)
        status[1:, i] = draw_shares(status[1:, i], n, rng)
        both = np.stack([women[1:, i], 1 - women[1:, i]], axis=-1)
        women[1:, i] = draw_shares(both, n, rng)[:, 0]
    status[..., 0] = np.minimum(status[..., 0], 0.95 * age[..., 1])
    status /= status.sum(axis=-1, keepdims=True)
    return _Targets(occupation, age, status, women)


def _observed_z(one: CommuneMargins, draws: int, rng: np.random.Generator) -> Floats:
    z = z_of(one.age[0], one.status[0], one.women[0])
    sd = margin_noise().sd(years_old(one), one.persons)[0]
    return np.concatenate([z[None], z + rng.normal(size=(draws, len(z))) * sd])


def _predicted_z(
    one: CommuneMargins, occupation: Floats, effect: Floats, rng: np.random.Generator
) -> Floats:
    fitted = links(one.year)
    z = predict(one, fitted, occupation)[:, 0] + effect
    # Links were learned above 2,000 inhabitants: below, a commune ages as the smallest of those.
    aged = margin_noise().drift(years_old(one), np.maximum(one.persons, 1700.0))[0]
    spread = np.linalg.cholesky(fitted.within + np.diag(aged))
    z[1:] += rng.normal(size=(len(z) - 1, len(spread))) @ spread.T
    return np.asarray(z)


def _margins(persons: Floats, targets: _Targets) -> list[Margin]:
    """Return the margins of every commune and draw, flattened over both."""
    cells = np.indices(LOCAL_SHAPE)
    counts = np.broadcast_to(persons, targets.women.shape)[..., None]
    women = np.stack([targets.women, 1 - targets.women], axis=-1)

    def flat(shares: Floats) -> Floats:
        return (shares * counts).reshape(-1, shares.shape[-1])

    return [
        Margin("age", age_groups(LOCAL_AGES)[cells[0]], flat(targets.age)),
        axis_margin("sex", LOCAL_SHAPE, (1,), flat(women)),
        Margin(
            "schooling and diploma",
            status_groups(LOCAL_AGES)[cells[0], cells[2]],
            flat(targets.status),
        ),
        axis_margin("occupation", LOCAL_SHAPE, (3,), flat(targets.occupation)),
    ]


def _fit(margins: CommuneMargins, seeds: Floats, targets: _Targets) -> Ipf:
    """Fit every commune and draw; name the commune when one cannot be fitted."""
    flat = seeds.reshape(-1, *LOCAL_SHAPE)
    scale = flat.sum(axis=(1, 2, 3, 4), keepdims=True)
    # A cell the department does not have may exist in one of its communes: keep it open.
    flat = np.maximum(flat / scale, 1e-9)
    try:
        return ipf(flat, _margins(margins.persons, targets), tol=_TOL)
    except ConvergenceError as error:
        raise ConvergenceError(
            "the margins of a commune cannot all be met",
            where=f"among {', '.join(margins.areas['geo'].head())}... : {error.where}",
            got=error.got,
            expected=error.expected,
            hint="table number modulo the number of communes gives its position in the list",
        ) from error


def _children(margins: CommuneMargins, draws: int, seed: int) -> Floats:
    """Return persons of 12 to 14 in their profiles, (1 + F, A, 294)."""
    shares = region_ages(margins.year).child_share
    at = [REGION.code(r) for r in margins.areas["region"]]
    persons = margins.children[:, None] * shares[at]
    usual = np.maximum(margins.children / margins.population, 0.05)
    relative = np.minimum(np.sqrt(_CHILD_NOISE / margins.population) / usual, 0.5)
    noise = np.ones((1 + draws, len(at)))
    for i, geo in enumerate(margins.areas["geo"]):
        shape = 1 / relative[i] ** 2
        noise[1:, i] = keyed(seed, "children", geo).gamma(shape, 1 / shape, size=draws)
    drawn = persons * noise[..., None]
    return children_to_profiles(drawn[..., 0], drawn[..., 1])


def national_frame(*, year: int = 2022, draws: int = 0, seed: int = 0) -> Frame:
    """Build the frame of metropolitan France by region and size of urban unit.

    Parameters
    ----------
    year, draws, seed
        As in `build_frame`.

    Returns
    -------
    Frame
        One row a region and urban class that holds anyone (``geo`` such as ``"75-rural"``), in the
        profiles of `build_frame`. Age by urban class comes from census communes.

    Examples
    --------
    >>> frame = national_frame()
    >>> round(float(frame.persons("15+").sum()) / 1e6, 1)
    54.5
    """
    if draws < 0:
        raise FrameError("the number of draws is negative", where="draws", got=draws)
    held = strata(year)
    ages = region_ages(year)
    counts = np.empty((1 + draws, len(held), 294))
    reports = []
    for region, rows in held.groupby("region"):
        tables = to_local(region_tables(str(region), year, draws, seed))
        share = ages.child_share[REGION.code(str(region))]
        at = rows.index.to_numpy()
        for i, urban, children in zip(at, rows["urban"], rows["children"], strict=True):
            u, young = URBAN.code(urban), np.full(1 + draws, float(children))
            counts[:, i] = to_profiles(tables[:, u])
            counts[:, i] += children_to_profiles(young * share[0], young * share[1])
        reports.append(stratum_report(str(region), year, tables[0]))
    return Frame(
        _stratum_columns(held, year),
        counts[0],
        tuple(catalogue.source(name) for name in SOURCES),
        year,
        counts[1:] if draws else np.empty((0, 0, 0)),
        pd.concat(reports, ignore_index=True),
    )


def _stratum_columns(held: pd.DataFrame, year: int) -> pd.DataFrame:
    everyone = commune_margins(year)
    persons = pd.DataFrame(
        {"persons": everyone.persons, "seen": everyone.persons * everyone.observed}
    )
    keys = [everyone.areas["region"], everyone.areas["urban"]]
    sums = persons.groupby(keys).sum()
    seen = (sums["seen"] / sums["persons"]).reindex(
        pd.MultiIndex.from_frame(held[["region", "urban"]])
    )
    share = seen.to_numpy()
    return pd.DataFrame(
        {
            "geo": held["region"] + "-" + held["urban"],
            "level": "stratum",
            "name": [
                f"{REGION.label(r)}, {URBAN.label(u)}"
                for r, u in zip(held["region"], held["urban"], strict=True)
            ],
            "region": held["region"],
            "urban": held["urban"],
            "epci": "",
            "tier": np.where(share >= 0.5, "F3", "F4"),
            "observed_share": share.round(3),
            "note_fr": [
                f"base modélisée ; âge, scolarité, diplôme observés pour {s:.0%} des habitants"
                for s in share
            ],
            "note_en": [
                f"modelled frame; age, schooling, diploma observed for {s:.0%} of persons"
                for s in share
            ],
        }
    )
