"""The frame of a territory from everything a study gives: files, shipped tables, IRIS.

Each commune takes the best there is for it: the census's joint file (F1), margins of imported
files (F2, F3), what the package knows of every commune (F3, F4). With IRIS asked for, a commune
stands as its IRIS wherever margins by IRIS exist, imported or shipped, and as itself elsewhere; a
commune that has IRIS is their sum, in the frame and in every draw.

An IRIS whose margins say nothing of occupation nor diploma follows its commune in them (tier F4).
An IRIS of fewer than `FEWEST` persons of 15 and over is left out, and the report says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.frames.build import build_frame
from inegnum.data.frames.imported import imported_joint, imported_margins, imported_source
from inegnum.data.frames.iris import SHIPPED, iris_margins
from inegnum.data.frames.joint import frame_from_joint
from inegnum.data.frames.report import REPORT_COLUMNS, area_columns
from inegnum.data.frames.tiers import refine_frame
from inegnum.data.importers import Imported
from inegnum.data.margins import commune_margins
from inegnum.data.types import Frame
from inegnum.errors import FrameError
from inegnum.provenance import Source

__all__ = ["FEWEST", "communes_of", "territory_frame"]

FEWEST: Final = 10.0
_NO_IRIS: Final = "0000"


def territory_frame(
    areas: pd.DataFrame,
    *,
    imports: Sequence[Imported] = (),
    iris: bool = False,
    year: int = 2022,
    draws: int = 0,
    seed: int = 0,
    urban: Literal["metropole", "own"] = "metropole",
) -> Frame:
    """Build the frame of a territory at its finest level.

    Parameters
    ----------
    areas : DataFrame
        Communes, from `load_areas`.
    imports : sequence of Imported
        Census files on the communes of the package (`brought_forward`).
    iris : bool
        Whether communes stand as their IRIS where margins by IRIS exist.
    year, draws, seed, urban
        As in `build_frame`.

    Returns
    -------
    Frame
        Communes and IRIS that do not overlap; columns ``commune, commune_name`` say what each is
        part of.

    Raises
    ------
    FrameError
        IRIS are asked for and none is known.
    InputError, MarginError
        A file gives no margin, or margins contradict each other.
    """
    named = dict(zip(areas["geo"], areas["name"], strict=True))
    how = _How(year, draws, seed, urban)
    left = list(named)
    parts: list[Frame] = []
    for file in (f for f in imports if f.kind == "detail"):
        parts.append(_joint(file, left, how, iris=iris))
        left = _without(left, parts[-1])
    for given in _given([f for f in imports if f.kind != "detail"], left, iris=iris):
        parts.append(_refined(given, how))
        left = _without(left, parts[-1])
    if imports and not parts:
        raise FrameError(
            "the files named hold none of the communes of the territory",
            where="frame.imports",
            got=", ".join(file.file for file in imports),
            expected=f"rows of {', '.join(left[:5])}, ...",
        )
    if left:
        rest = areas[areas["geo"].isin(left)]
        parts.append(build_frame(rest, year=year, draws=draws, seed=seed, urban=urban))
    frame = _joined(parts, named, {geo: label for f in imports for geo, label in f.names.items()})
    if iris and not (frame.areas["level"] == "iris").any():
        cities = catalogue.table(SHIPPED)[0]["city"].unique()
        raise FrameError(
            "no IRIS of this territory is known",
            where="territory.levels",
            got="iris",
            expected=f"margins by IRIS, or one of the cities shipped: {', '.join(sorted(cities))}",
            hint="name base-ic files in frame.imports, or leave iris out of the levels",
        )
    return frame


def communes_of(frame: Frame) -> Frame:
    """Add up the IRIS of each commune; communes that are not cut stand as they are.

    The tier of a commune is the one most of its persons live under.
    """
    of = frame.areas["commune"].to_numpy()
    geos, first, at = np.unique(of, return_index=True, return_inverse=True)
    member = np.zeros((len(geos), len(of)))
    member[at, np.arange(len(of))] = 1.0
    table = frame.areas.iloc[first].reset_index(drop=True)
    people = frame.N.sum(axis=1)
    sums = pd.DataFrame({"commune": of, "tier": frame.areas["tier"], "people": people})
    main = sums.groupby(["commune", "tier"])["people"].sum().reset_index()
    tier = main.sort_values("people").groupby("commune")["tier"].last()
    table = table.assign(
        geo=geos, level="commune", name=table["commune_name"], tier=tier.loc[geos].to_numpy()
    )
    drawn = np.einsum("ca,fak->fck", member, frame.draws) if frame.draws.size else frame.draws
    return Frame(table, member @ frame.N, frame.sources, frame.year, drawn, frame.report)


@dataclass(frozen=True, slots=True)
class _How:
    """What every way of building a frame is told."""

    year: int
    draws: int
    seed: int
    urban: Literal["metropole", "own"]


@dataclass(frozen=True, slots=True)
class _Given:
    """Margins by area, with the commune each is, or is part of."""

    areas: pd.DataFrame
    margins: pd.DataFrame
    sources: tuple[Source, ...]
    left_out: tuple[str, ...] = ()


def _without(left: list[str], part: Frame) -> list[str]:
    done = set(part.areas["commune"])
    return [geo for geo in left if geo not in done]


def _given(files: Sequence[Imported], communes: list[str], *, iris: bool) -> list[_Given]:
    """Return margins to refine communes with: imported ones, then shipped IRIS of the others."""
    found = []
    if files:
        _, margins, sources = imported_margins(files)
        found.append(_placed(margins, communes, sources, iris=iris))
    done = {geo for given in found for geo in given.areas["commune"]}
    if iris:
        shipped = set(catalogue.table(SHIPPED)[0]["geo"].str[:5])
        found += [_Given(*iris_margins(geo)) for geo in communes if geo in shipped - done]
    return [given for given in found if len(given.areas)]


def _placed(
    margins: pd.DataFrame, communes: list[str], sources: tuple[Source, ...], *, iris: bool
) -> _Given:
    """Keep the communes asked for, by IRIS or summed; a commune of one IRIS stands as itself."""
    kept = margins[margins["geo"].str[:5].isin(communes)]
    whole = (kept["geo"].str[5:] == _NO_IRIS) | (not iris)
    kept = kept.assign(geo=kept["geo"].where(~whole, kept["geo"].str[:5]))
    keys = [c for c in kept.columns if c != "persons"]
    # A suppressed part leaves the sum missing.
    lacking = kept["persons"].isna().groupby([kept[c] for c in keys], sort=False).any()
    sums = kept.groupby(keys, sort=False)["persons"].sum().where(~lacking).reset_index()
    adults = sums[sums["last_age"] > 14].groupby(["geo", "margin"])["persons"].sum()
    size = adults.groupby(level="geo").max()
    few = size.index[size < FEWEST]
    geos = size.index[size >= FEWEST]
    areas = pd.DataFrame({"geo": geos, "commune": geos.str[:5]}).reset_index(drop=True)
    return _Given(areas, sums[margins.columns], sources, tuple(few))


def _refined(given: _Given, how: _How) -> Frame:
    frame = refine_frame(
        given.areas,
        given.margins,
        given.sources,
        year=how.year,
        draws=how.draws,
        seed=how.seed,
        urban=how.urban,
    )
    left_out = pd.DataFrame(
        {
            "geo": list(given.left_out),
            "margin": "all",
            "level": "all",
            "published": np.nan,
            "target": np.nan,
            "achieved": np.nan,
            "source": "given",
            "year": 0,
            "reason": f"left out: fewer than {FEWEST:.0f} persons of 15 and over",
        }
    )
    return replace(frame, report=_stacked([frame.report, left_out[list(REPORT_COLUMNS)]]))


def _joint(file: Imported, communes: list[str], how: _How, *, iris: bool) -> Frame:
    """Return the frame of communes whose IRIS the detail file tells, grown to the year."""
    joint = imported_joint(file)
    joint = joint[(file.table["level"] == "iris").to_numpy()]
    joint = joint[joint["geo"].str[:5].isin(communes)]
    found = sorted(joint["geo"].str[:5].unique())
    if not found:
        raise FrameError(
            "the detail file places nobody in the communes of the territory",
            where=f"frame.imports, {file.file}",
            expected="communes of 10,000 inhabitants and more, which it cuts in IRIS",
        )
    if not iris:
        joint = joint.assign(geo=joint["geo"].str[:5])
    margins = commune_margins(how.year).at(found)
    held = area_columns(margins, how.urban).set_index("geo")
    geos = sorted(joint["geo"].unique())
    areas = held.loc[[geo[:5] for geo in geos]].reset_index(names="commune")
    areas.insert(0, "geo", geos)
    areas["level"] = "iris" if iris else "commune"
    population = catalogue.table("communes")[0].set_index("geo")
    then = f"population_{file.year}"
    if then in population.columns:
        growth = population[f"population_{how.year}"] / population[then]
        joint = joint.assign(persons=joint["persons"] * joint["geo"].str[:5].map(growth))
    return frame_from_joint(
        areas, joint, (imported_source(file),), year=how.year, draws=how.draws, seed=how.seed
    )


def _joined(parts: list[Frame], named: dict[str, str], iris: dict[str, str]) -> Frame:
    """Put frames of different areas side by side, in the order of communes."""
    areas = pd.concat([part.areas for part in parts], ignore_index=True)
    areas["commune"] = areas["commune"].fillna(areas["geo"]) if "commune" in areas else areas["geo"]
    areas["commune_name"] = areas["commune"].map(named)
    cut = (areas["level"] == "iris").to_numpy()
    code = areas["commune_name"] + " " + areas["geo"].str[5:]
    areas["name"] = areas["name"].mask(
        cut, [iris.get(g, c) for g, c in zip(areas["geo"], code, strict=True)]
    )
    order = areas.sort_values(["commune", "geo"]).index.to_numpy()
    draws = np.concatenate([part.draws for part in parts], axis=1) if parts[0].draws.size else None
    sources = {source.name: source for part in parts for source in part.sources}
    return Frame(
        areas.iloc[order].reset_index(drop=True),
        np.concatenate([part.N for part in parts])[order],
        tuple(sources[name] for name in sorted(sources)),
        parts[0].year,
        np.empty((0, 0, 0)) if draws is None else draws[:, order],
        _stacked([part.report for part in parts]),
    )


def _stacked(reports: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([report for report in reports if len(report)], ignore_index=True)
