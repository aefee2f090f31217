"""Frames from published joints (tier F2), and of parts of communes.

Model
    The commune's own table, fitted to its one-way margins (F3 or F4), is the seed of a second fit
    to the margins given: sex x age, occupation x sex, diploma x age x sex... of the commune, or of
    its IRIS. Margins are first brought to the year by the growth of the commune's population, then
    reconciled in the order given: a later margin follows the earlier ones on whatever both count
    (`reconcile`); what that moves is reported, and beyond `LARGEST_MOVE` it is refused. A margin
    with a suppressed cell is left out for that area, and the report says so.

Limits
    Margins of an area must cut ages where the atomic table does. Persons of 12 to 14 follow the
    commune's share unless a margin gives persons of 0 to 14.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.codebook import REGION, profiles
from inegnum.data.frame import BLOCK, asked_communes, frame_sources
from inegnum.data.frame_ages import region_ages
from inegnum.data.frame_atoms import (
    AGES,
    OCCUPATIONS,
    SEXES,
    SHAPE,
    STATUS,
    children_to_profiles,
    to_local,
    to_profiles,
)
from inegnum.data.frame_communes import children, commune_tables
from inegnum.data.frame_report import REPORT_COLUMNS, area_columns
from inegnum.data.frame_strata import keyed
from inegnum.data.margins import FIRST_YEAR, LAST_YEAR, CommuneMargins, commune_margins
from inegnum.data.types import Frame
from inegnum.errors import InputError, MarginError, nearest
from inegnum.numerics.ipf import Margin, ipf, reconcile
from inegnum.provenance import Source, require_role

__all__ = ["LARGEST_MOVE", "MARGIN_COLUMNS", "refine_frame", "require_columns"]

Floats = npt.NDArray[np.float64]

MARGIN_COLUMNS: Final = (
    "geo",
    "margin",
    "first_age",
    "last_age",
    "sex",
    "status",
    "occupation",
    "persons",
    "year",
)
LARGEST_MOVE: Final = 0.10
_TOL = 1e-6
# Persons behind a count of the census's main exploitation: 2 in 5 addresses in large communes.
_EFFECTIVE = 0.5
_OPEN_AGE = 95
_LEVELS: Final = {"sex": SEXES, "status": STATUS, "occupation": OCCUPATIONS}


@dataclass(frozen=True, slots=True)
class _AreaMargins:
    """Margins of one area over the atomic table, in persons of the frame's year."""

    margins: tuple[Margin, ...]
    published: tuple[Floats, ...]
    children: float
    joint: bool
    left_out: tuple[str, ...]
    years: tuple[int, ...]


def refine_frame(
    areas: pd.DataFrame,
    margins: pd.DataFrame,
    sources: tuple[Source, ...],
    *,
    year: int = 2022,
    draws: int = 0,
    seed: int = 0,
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
    year, draws, seed
        As in `build_frame`.

    Returns
    -------
    Frame
        Tier F2 where a margin crosses two dimensions, F3 otherwise.

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
    described: list[_AreaMargins] = [
        _area_margins(str(geo), margins[margins["geo"] == geo], _growth(str(parent), year))
        for geo, parent in zip(areas["geo"], areas["commune"], strict=True)
    ]
    reports = []
    codes = parents.areas["geo"].tolist()
    for start in range(0, len(codes), BLOCK):
        block = parents.at(codes[start : start + BLOCK])
        tables, _ = commune_tables(block, draws, seed, ages=AGES)
        young = children(block, draws, seed)
        for j, parent in enumerate(block.areas["geo"]):
            for i in np.flatnonzero((areas["commune"] == parent).to_numpy()):
                geo = str(areas["geo"].iloc[i])
                fitted, targets = _fit(geo, described[i], tables[:, j], keyed(seed, "area", geo))
                found[:, i] = to_profiles(to_local(fitted))
                found[:, i] += _young(described[i], block, j, young[:, j], fitted)
                reports.append(_report(geo, described[i], targets, fitted[0]))
    return Frame(
        _areas(areas, parents, described),
        found[0],
        (*frame_sources(), *sources),
        year,
        found[1:] if draws else np.empty((0, 0, 0)),
        pd.concat(reports, ignore_index=True),
    )


def require_columns(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> None:
    """Refuse a table that lacks columns."""
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise InputError(
            "a table lacks columns",
            where=where,
            got=", ".join(map(str, table.columns)),
            expected=", ".join(columns),
            hint=f"add {', '.join(missing)}",
        )


def _growth(parent: str, year: int) -> dict[int, float]:
    """Return the growth of the commune's population from each year it is known to `year`."""
    communes, _ = catalogue.table("communes")
    row = communes[communes["geo"] == parent].iloc[0]
    return {
        then: float(row[f"population_{year}"] / row[f"population_{then}"])
        for then in range(FIRST_YEAR, LAST_YEAR + 1)
        if row[f"population_{then}"] > 0
    }


def _cells(geo: str, rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the row each cell of the atomic table belongs to, -1 for none."""
    groups = np.full(SHAPE, -1, dtype=np.int64)
    edges = np.array([*AGES, 200])
    names = list(_LEVELS)
    bands = rows[["first_age", "last_age"]].to_numpy(dtype=np.int64)
    for at, (band, levels) in enumerate(zip(bands, rows[names].to_numpy(), strict=True)):
        first, last = int(band[0]), int(band[1])
        where = f"{geo}, margin {rows['margin'].iloc[at]}, ages {first}-{last}"
        last = 199 if last >= _OPEN_AGE else last
        if first not in AGES or last + 1 not in edges:
            raise InputError(
                "a margin cuts ages where the frame cannot",
                where=where,
                expected=f"bands starting at {', '.join(map(str, AGES))}",
                hint="gather bands until they start and end there",
            )
        ages = (edges[:-1] >= first) & (edges[:-1] <= last)
        inside = np.broadcast_to(ages[:, None, None, None], SHAPE).copy()
        for axis, (name, level) in enumerate(zip(names, levels, strict=True), start=1):
            if level == "" or pd.isna(level):
                continue
            if level not in _LEVELS[name]:
                raise InputError(
                    f"unknown level of {name}",
                    where=where,
                    got=level,
                    hint=nearest(str(level), _LEVELS[name]),
                )
            one = np.arange(SHAPE[axis]) == _LEVELS[name].index(level)
            inside &= one.reshape([-1 if k == axis else 1 for k in range(4)])
        if (groups[inside] >= 0).any():
            raise MarginError(
                "two rows of a margin count the same persons", where=where, hint="one row a cell"
            )
        groups[inside] = at
    return groups


def _crosses(rows: pd.DataFrame) -> bool:
    """Return whether a margin varies along two dimensions or more."""
    levels = [rows["first_age"].unique(), *(rows[name].fillna("").unique() for name in _LEVELS)]
    return sum(len(level) > 1 for level in levels) > 1


def _area_margins(geo: str, rows: pd.DataFrame, growth: dict[int, float]) -> _AreaMargins:
    """Read the margins of one area and bring them to the year."""
    young = rows[rows["last_age"] <= 14]
    under_15 = float(young["persons"].sum()) if len(young) else float("nan")
    adults = rows[rows["last_age"] > 14]
    kept: list[Margin] = []
    published, left_out, years = [], [], []
    joint = False
    for name, part in adults.groupby("margin", sort=False):
        if part["persons"].isna().any():
            left_out.append(str(name))
            continue
        counts = part["persons"].to_numpy(dtype=np.float64)
        then = int(part["year"].iloc[0])
        groups = _cells(geo, part)
        labels = tuple(
            f"{r.first_age}-{r.last_age} {r.sex} {r.status} {r.occupation}".strip()
            for r in part.fillna("").itertuples(index=False)
        )
        # Out of the years of municipal populations nothing can be scaled: the counts stand.
        kept.append(Margin(str(name), groups, counts * growth.get(then, 1.0), labels))
        published.append(counts)
        years.append(then)
        joint = joint or _crosses(part)
    whole = [margin for margin in kept if (margin.groups >= 0).all()]
    if not whole:
        raise MarginError(
            "no margin counts everyone of 15 and over",
            where=geo,
            got=", ".join(m.name for m in kept) or "no margin without a suppressed cell",
            expected="at least one margin whose cells cover ages 15 and over",
        )
    kept, published, years = _whole_first(kept, published, years)
    scale = kept[0].target.sum() / sum(published[0])
    return _AreaMargins(
        tuple(reconcile(kept, limit=LARGEST_MOVE, where=geo)),
        tuple(published),
        under_15 * scale,
        joint,
        tuple(left_out),
        tuple(years),
    )


def _whole_first(
    kept: list[Margin], published: list[Floats], years: list[int]
) -> tuple[list[Margin], list[Floats], list[int]]:
    """Put margins that count everyone first, otherwise in the order given."""
    order = sorted(range(len(kept)), key=lambda i: bool((kept[i].groups < 0).any()))
    return [kept[i] for i in order], [published[i] for i in order], [years[i] for i in order]


def _fit(
    geo: str, area: _AreaMargins, tables: Floats, rng: np.random.Generator
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
    area: _AreaMargins, block: CommuneMargins, j: int, commune: Floats, fitted: Floats
) -> Floats:
    """Return persons of 12 to 14 of one area in their profiles, (1 + F, 294)."""
    if np.isfinite(area.children):
        share = region_ages(block.year).child_share[REGION.code(block.areas["region"][j])]
        young = np.full(len(fitted), area.children)
        return children_to_profiles(young * share[0], young * share[1])
    part = fitted.sum(axis=(1, 2, 3, 4)) / block.persons[j]
    return np.asarray(commune * part[:, None])


def _report(
    geo: str, area: _AreaMargins, targets: tuple[Floats, ...], fitted: Floats
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
    areas: pd.DataFrame, parents: CommuneMargins, described: list[_AreaMargins]
) -> pd.DataFrame:
    """Return the columns of the frame's areas."""
    of_parent = area_columns(parents, "metropole").set_index("geo")
    table = of_parent.loc[areas["commune"].astype(str).tolist()].reset_index(names="commune")
    table.insert(0, "geo", areas["geo"].astype(str).to_numpy())
    part = (table["geo"] != table["commune"]).to_numpy()
    table["level"] = np.where(part, "iris", "commune")
    if "name" in areas.columns:
        table["name"] = areas["name"].astype(str).to_numpy()
    joint = np.array([area.joint for area in described])
    table["tier"] = np.where(joint, "F2", "F3")
    table["observed"] = [", ".join(m.name for m in area.margins) for area in described]
    table["note_fr"] = np.where(
        joint,
        "base modélisée : tableaux croisés publiés, reste estimé",
        "base modélisée : marges publiées, croisements estimés",
    )
    table["note_en"] = np.where(
        joint,
        "modelled frame: published joints, the rest estimated",
        "modelled frame: published margins, crossings estimated",
    )
    return table
