"""Margins given for communes or their parts, read onto the atomic table and brought to one year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.frames.atoms import AGES, OCCUPATIONS, SEXES, SHAPE, STATUS
from inegnum.data.margins import FIRST_YEAR, LAST_YEAR, CommuneMargins
from inegnum.errors import InputError, MarginError, nearest
from inegnum.numerics.ipf import Margin, reconcile

__all__ = [
    "LARGEST_MOVE",
    "MARGIN_COLUMNS",
    "AreaMargins",
    "area_margins",
    "growths",
    "require_columns",
]

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
# A quarter of households answer the long form: relative variance of its count of N persons, 3 / N.
_LONG_FORM = 3.0
_OPEN_AGE = 95
_LEVELS: Final = {"sex": SEXES, "status": STATUS, "occupation": OCCUPATIONS}


@dataclass(frozen=True, slots=True)
class AreaMargins:
    """Margins of one area over the atomic table, in persons of the frame's year.

    `joint` says whether one crosses two dimensions, `made_of` whether one tells occupation or
    diploma.
    """

    margins: tuple[Margin, ...]
    published: tuple[Floats, ...]
    children: float
    joint: bool
    made_of: bool
    left_out: tuple[str, ...]
    years: tuple[int, ...]


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


def growths(
    areas: pd.DataFrame, margins: pd.DataFrame, parents: CommuneMargins
) -> dict[str, dict[int, float]]:
    """Return, by commune, its growth from each year of a margin to the year of the frame.

    By municipal populations where they are known; from another year, by persons of 15 and over:
    those of the frame's year over those of the margins, all parts of the commune together.
    """
    communes, _ = catalogue.table("communes")
    held = communes.set_index("geo").loc[parents.areas["geo"]]
    growth: dict[str, dict[int, float]] = {geo: {} for geo in held.index}
    for then in range(FIRST_YEAR, LAST_YEAR + 1):
        ratio = held[f"population_{parents.year}"] / held[f"population_{then}"]
        for geo, value in ratio[np.isfinite(ratio)].items():
            growth[str(geo)][then] = float(value)
    # Every row given counts here, areas asked for or not: the commune has to be whole.
    of = margins["geo"].map(dict(zip(areas["geo"], areas["commune"], strict=True)))
    of = of.fillna(margins["geo"].str[:5])
    # By place and not by label: tables put one under the other repeat their labels.
    adults = margins.assign(commune=of.to_numpy())[(margins["last_age"] > 14).to_numpy()]
    counted = adults.groupby(["commune", "year", "margin"], sort=False)["persons"].sum()
    counted = counted.groupby(level=[0, 1], sort=False).first()
    for geo, persons in zip(parents.areas["geo"], parents.persons, strict=True):
        for then, count in counted.get(geo, pd.Series(dtype=float)).items():
            growth[geo].setdefault(int(then), float(persons / count) if count > 0 else 1.0)
    return growth


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


def area_margins(geo: str, rows: pd.DataFrame, growth: dict[int, float]) -> AreaMargins:
    """Read the margins of one area and bring them to the year."""
    young = rows[rows["last_age"] <= 14]
    under_15 = float(young["persons"].sum()) if len(young) else float("nan")
    adults = rows[rows["last_age"] > 14]
    kept: list[Margin] = []
    published, left_out, years = [], [], []
    joint = made_of = False
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
        kept.append(Margin(str(name), groups, counts * growth.get(then, 1.0), labels))
        published.append(counts)
        years.append(then)
        joint = joint or _crosses(part)
        made_of = made_of or bool((part[["status", "occupation"]] != "").any(axis=None))
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
    return AreaMargins(
        tuple(reconcile(kept, limit=_largest_move(published[0].sum()), where=geo)),
        tuple(published),
        under_15 * scale,
        joint,
        made_of,
        tuple(left_out),
        tuple(years),
    )


def _largest_move(persons: float) -> float:
    """Return how far two margins of an area may be apart: a tenth, or three standard errors."""
    return max(LARGEST_MOVE, 3 * float(np.sqrt(_LONG_FORM / max(persons, 1.0))))


def _whole_first(
    kept: list[Margin], published: list[Floats], years: list[int]
) -> tuple[list[Margin], list[Floats], list[int]]:
    """Put margins that count everyone first, otherwise in the order given."""
    order = sorted(range(len(kept)), key=lambda i: bool((kept[i].groups < 0).any()))
    return [kept[i] for i in order], [published[i] for i in order], [years[i] for i in order]
