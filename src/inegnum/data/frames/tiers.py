"""Frames from published joints (tier F2), and of parts of communes.

Model
    The commune's own table, fitted to its one-way margins (F3 or F4), is the seed of a second fit
    to the margins given: sex x age, occupation x sex, diploma x age x sex... of the commune, or of
    its IRIS. Margins are first brought to the year by the growth of the commune's population, then
    reconciled in the order given: a later margin follows the earlier ones on whatever both count
    (`reconcile`); what that moves is reported, and beyond `LARGEST_MOVE`, or what sampling explains
    in a small area, it is refused. A margin with a suppressed cell is left out for that area, and
    the report says so.

    An IRIS whose margins tell no occupation takes its commune's in the point frame and departs from
    it in the draws as IRIS do where both are known (`frames.within`).

Limits
    Margins of an area must cut ages where the atomic table does. Persons of 12 to 14 follow the
    commune's share unless a margin gives persons of 0 to 14.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.codebook import REGION, profiles
from inegnum.data.frames.ages import region_ages
from inegnum.data.frames.atoms import (
    AGES,
    children_to_profiles,
    to_local,
    to_profiles,
)
from inegnum.data.frames.build import BLOCK, asked_communes, frame_sources
from inegnum.data.frames.communes import children, commune_tables
from inegnum.data.frames.given import (
    MARGIN_COLUMNS,
    AreaMargins,
    area_margins,
    growths,
    require_columns,
)
from inegnum.data.frames.report import REPORT_COLUMNS, area_columns
from inegnum.data.frames.strata import keyed
from inegnum.data.frames.within import occupation_multipliers
from inegnum.data.margins import CommuneMargins, commune_margins
from inegnum.data.types import Frame
from inegnum.numerics.ipf import ipf, reconcile
from inegnum.provenance import Source, require_role

__all__ = ["refine_frame"]

Floats = npt.NDArray[np.float64]

_TOL = 1e-6
# Persons behind a count of the census's main exploitation: 2 in 5 addresses in large communes.
_EFFECTIVE = 0.5
_NOTES: Final = {
    "fr": {
        "F2": "base modélisée : tableaux croisés publiés, reste estimé",
        "F3": "base modélisée : marges publiées, croisements estimés",
        "F4": "base modélisée : âge publié, profession et diplôme de la commune",
    },
    "en": {
        "F2": "modelled frame: published joints, the rest estimated",
        "F3": "modelled frame: published margins, crossings estimated",
        "F4": "modelled frame: age published, occupation and diploma those of the commune",
    },
}


def refine_frame(
    areas: pd.DataFrame,
    margins: pd.DataFrame,
    sources: tuple[Source, ...],
    *,
    year: int = 2022,
    draws: int = 0,
    seed: int = 0,
    urban: Literal["metropole", "own"] = "metropole",
) -> Frame:
    """Fit communes, or parts of communes, to margins that cross dimensions.

    Parameters
    ----------
    areas : DataFrame
        ``geo``, ``commune`` (the commune each area is, or is part of) and optionally ``name``.
    margins : DataFrame
        Columns `MARGIN_COLUMNS`: one row a cell of one margin of one area. Ages are inclusive
        (``last_age`` of 95 or more is open); an empty ``sex``, ``status`` or ``occupation`` means
        all. ``status`` is ``"enrolled"`` or a diploma. Each area needs one margin that counts
        everyone of 15 and over. ``persons`` may be missing: suppressed, never zero.
    sources : tuple of Source
        Where the margins come from, of role fit.
    year, draws, seed, urban
        As in `build_frame`.

    Returns
    -------
    Frame
        Tier F2 where a margin crosses two dimensions, F3 where one tells occupation or diploma; F4
        for an IRIS that follows its commune in both, the commune's own tier for a commune.

    Raises
    ------
    InputError
        A column, level or age is not one the atomic table knows.
    MarginError
        Margins contradict each other by more than a tenth, or nothing counts everyone.
    IsolationError
        A source kept for validation is among `sources`.

    Examples
    --------
    >>> from inegnum.data.codebook import OCCUPATION
    >>> areas = pd.DataFrame({"geo": ["33063"], "commune": ["33063"]})
    >>> bands = [(15, 29, 74_000), (30, 59, 98_000), (60, 120, 56_000)]
    >>> margins = pd.DataFrame(
    ...     [("33063", "age", a, b, "", "", "", float(n), 2022) for a, b, n in bands],
    ...     columns=list(MARGIN_COLUMNS),
    ... )
    >>> source = Source("own", "INSEE", "ages", "15+", "2022", "persons", "etalab-2.0", "", "fit")
    >>> frame = refine_frame(areas, margins, (source,))
    >>> frame.areas["tier"].tolist(), round(float(frame.persons("15+")[0]))
    (['F3'], 228000)
    """
    require_role(sources, "fit", where="refine_frame")
    require_columns(areas, ("geo", "commune"), "areas")
    require_columns(margins, MARGIN_COLUMNS, "margins")
    asked_communes(areas, draws)
    parents = commune_margins(year).at(sorted(set(areas["commune"].astype(str))))
    found = np.empty((1 + draws, len(areas), len(profiles())))
    growth = growths(areas, margins, parents)
    by_area = dict(list(margins.groupby("geo", sort=False)))
    described: list[AreaMargins] = [
        area_margins(str(geo), by_area.get(geo, margins.iloc[:0]), growth[str(parent)])
        for geo, parent in zip(areas["geo"], areas["commune"], strict=True)
    ]
    reports = []
    codes = parents.areas["geo"].tolist()
    for start in range(0, len(codes), BLOCK):
        block = parents.at(codes[start : start + BLOCK])
        tables, _ = commune_tables(block, draws, seed, ages=AGES)
        young = children(block, draws, seed)
        for j, parent in enumerate(block.areas["geo"]):
            parts = np.flatnonzero((areas["commune"] == parent).to_numpy())
            unlike = _unlike(parts, areas, described, tables[:, j], keyed(seed, "within", parent))
            for i in map(int, parts):
                geo, seeds = str(areas["geo"].iloc[i]), tables[:, j]
                if i in unlike:
                    seeds = np.asarray(seeds * unlike[i][:, None, None, None])
                fitted, targets = _fit(geo, described[i], seeds, keyed(seed, "area", geo))
                found[:, i] = to_profiles(to_local(fitted))
                found[:, i] += _young(described[i], block, j, young[:, j], fitted)
                reports.append(_report(geo, described[i], targets, fitted[0]))
    return Frame(
        _areas(areas, parents, described, urban),
        found[0],
        (*frame_sources(), *sources),
        year,
        found[1:] if draws else np.empty((0, 0, 0)),
        pd.concat(reports, ignore_index=True),
    )


def _unlike(
    parts: npt.NDArray[np.int64],
    areas: pd.DataFrame,
    described: list[AreaMargins],
    tables: Floats,
    rng: np.random.Generator,
) -> dict[int, Floats]:
    """Return, for IRIS no margin tells the occupations of, what multiplies them: (1 + F, 7)."""
    commune = areas["commune"].iloc[parts[0]] if len(parts) else ""
    blind = [i for i in parts if not described[i].made_of and areas["geo"].iloc[i] != commune]
    if not blind or len(tables) == 1:
        return {}
    work = tables[1:].sum(axis=(1, 2, 3, 4))[:, None]
    shares = tables[1:].sum(axis=(1, 2, 3)) / work
    persons = np.array([described[i].margins[0].target.sum() for i in blind])
    drawn = occupation_multipliers(shares, persons, rng)
    point = np.ones((1, len(blind), drawn.shape[2]))
    both = np.concatenate([point, drawn])
    return {int(i): both[:, k] for k, i in enumerate(blind)}


def _fit(
    geo: str, area: AreaMargins, tables: Floats, rng: np.random.Generator
) -> tuple[Floats, tuple[Floats, ...]]:
    """Fit one area's draws; return tables (1 + F, 13, 2, 5, 7) and the point targets."""
    total = area.margins[0].target.sum()
    scaled = tables / tables.sum(axis=(1, 2, 3, 4), keepdims=True) * total
    stacked = []
    for margin in area.margins:
        shape = _EFFECTIVE * np.broadcast_to(margin.target, (len(tables), len(margin.target)))
        noisy = rng.standard_gamma(shape + 1e-6) / _EFFECTIVE
        noisy[0] = margin.target
        stacked.append(replace(margin, target=noisy))
    stacked = reconcile(stacked, limit=np.inf, where=geo)
    fitted = ipf(np.maximum(scaled, 1e-9 * max(total, 1.0)), stacked, tol=_TOL).fitted
    return fitted, tuple(m.target for m in area.margins)


def _young(
    area: AreaMargins, block: CommuneMargins, j: int, commune: Floats, fitted: Floats
) -> Floats:
    """Return persons of 12 to 14 of one area in their profiles, (1 + F, 294)."""
    if np.isfinite(area.children):
        share = region_ages(block.year).child_share[REGION.code(block.areas["region"][j])]
        young = np.full(len(fitted), area.children)
        return children_to_profiles(young * share[0], young * share[1])
    part = fitted.sum(axis=(1, 2, 3, 4)) / block.persons[j]
    return np.asarray(commune * part[:, None])


def _report(
    geo: str, area: AreaMargins, targets: tuple[Floats, ...], fitted: Floats
) -> pd.DataFrame:
    rows = []
    for margin, published, target, then in zip(
        area.margins, area.published, targets, area.years, strict=True
    ):
        groups = margin.groups.ravel()
        reached = np.bincount(groups[groups >= 0], fitted.ravel()[groups >= 0], len(target))
        rows.append(
            pd.DataFrame(
                {
                    "geo": geo,
                    "margin": margin.name,
                    "level": list(margin.labels),
                    "published": published,
                    "target": target,
                    "achieved": reached,
                    "source": "given",
                    "year": then,
                    "reason": "brought to the year, then reconciled with the margins before it",
                }
            )
        )
    rows.extend(
        pd.DataFrame(
            {
                "geo": [geo],
                "margin": [name],
                "level": ["all"],
                "published": [np.nan],
                "target": [np.nan],
                "achieved": [np.nan],
                "source": ["given"],
                "year": [0],
                "reason": ["left out: a cell is suppressed"],
            }
        )
        for name in area.left_out
    )
    return pd.concat(rows, ignore_index=True)[list(REPORT_COLUMNS)]


def _areas(
    areas: pd.DataFrame,
    parents: CommuneMargins,
    described: list[AreaMargins],
    urban: Literal["metropole", "own"],
) -> pd.DataFrame:
    """Return the columns of the frame's areas."""
    of_parent = area_columns(parents, urban).set_index("geo")
    table = of_parent.loc[areas["commune"].astype(str).tolist()].reset_index(names="commune")
    table.insert(0, "geo", areas["geo"].astype(str).to_numpy())
    part = (table["geo"] != table["commune"]).to_numpy()
    table["level"] = np.where(part, "iris", "commune")
    if "name" in areas.columns:
        table["name"] = areas["name"].astype(str).to_numpy()
    tier = [
        "F2" if area.joint else "F3" if area.made_of else "F4" if of_commune else parent
        for area, of_commune, parent in zip(described, part, table["tier"], strict=True)
    ]
    table["tier"] = tier
    table["observed"] = [", ".join(m.name for m in area.margins) for area in described]
    for language in ("fr", "en"):
        table[f"note_{language}"] = [_NOTES[language][one] for one in tier]
    return table
