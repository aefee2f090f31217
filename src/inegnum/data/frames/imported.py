"""From imported official files to frames: what `refine_frame` and `frame_from_joint` take.

A population base gives sex x age and occupation (x sex) by area; a diploma base gives schooling by
age with diplomas of those no longer enrolled, one margin that counts everyone of 15 and over; the
detail file gives the joint. Ages a base publishes twice, in several cuts, are taken once, in the
cut of `_BANDS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from inegnum.data.frames.given import MARGIN_COLUMNS
from inegnum.data.frames.joint import JOINT_COLUMNS
from inegnum.data.importers import Imported
from inegnum.data.importers.tidy import PUBLISHED_ON
from inegnum.errors import InputError
from inegnum.provenance import Source

__all__ = ["imported_joint", "imported_margins", "imported_source"]

_BANDS: Final = ((15, 29), (30, 44), (45, 59), (60, 74), (75, 120))
_SCHOOL: Final = ((15, 17), (18, 24), (25, 29), (30, 120))
_OCCUPATION: Final = {
    "cs1": "self_employed",
    "cs2": "self_employed",
    "cs3": "manager",
    "cs4": "intermediate",
    "cs5": "employee",
    "cs6": "worker",
    "cs7": "retired",
    "cs8": "inactive",
}
_DIPLOMA: Final = {
    "none": "none",
    "no_diploma": "none",
    "cep": "none",
    "bepc": "below_bac",
    "cap_bep": "below_bac",
    "bac": "bac",
    "bac2": "higher",
    "bac3_4": "higher",
    "bac5": "higher",
    "higher": "higher",
}


def imported_source(file: Imported) -> Source:
    """Return where the figures of an imported file come from, as a source of role fit."""
    return Source(
        name=file.file,
        producer="INSEE",
        title=f"{file.kind}, {file.level}",
        universe="all",
        vintage=f"RP{file.year}",
        unit="persons",
        licence="etalab-2.0",
        sha256=file.sha256,
        role="fit",
        geo_vintage=f"COG {file.geography or file.year + PUBLISHED_ON}",
        transformation="; ".join(file.notes),
    )


def imported_margins(
    files: Sequence[Imported],
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[Source, ...]]:
    """Return areas, margins and sources of imported bases, as `refine_frame` takes them.

    Parameters
    ----------
    files : sequence of Imported
        Population and diploma bases of communes or IRIS, population first.

    Raises
    ------
    InputError
        No file gives a margin that counts everyone of 15 and over.
    """
    parts = [part for file in files for part in _parts(file)]
    if not any((part["margin"] != "children").any() for part in parts):
        raise InputError(
            "no imported file gives margins of persons of 15 and over",
            got=", ".join(f"{file.file} ({file.kind})" for file in files) or "no file",
            expected="base-ic-evol-struct-pop (sex by age, occupation by sex) or "
            "base-ic-diplomes-formation, with all of their columns",
        )
    margins = pd.concat(parts, ignore_index=True)[list(MARGIN_COLUMNS)]
    geos = margins["geo"].drop_duplicates().sort_values().reset_index(drop=True)
    # An IRIS code starts with the code of its commune, and a commune is its own.
    areas = pd.DataFrame({"geo": geos, "commune": geos.str[:5]})
    return areas, margins, tuple(imported_source(file) for file in files)


def _parts(file: Imported) -> list[pd.DataFrame]:
    if "group" not in file.table.columns:
        return []
    rows = file.table[file.table["measure"] == "persons"].rename(
        columns={"age_from": "first_age", "age_to": "last_age", "value": "persons"}
    )
    rows = rows.assign(year=file.year, status="")
    plain = rows[(rows["group"] == "") & (rows["diploma"] == "")]
    parts = [
        _banded(plain[(plain["occupation"] == "") & (plain["sex"] != "")], _BANDS, "sex x age"),
        _work(plain[plain["sex"] != ""]),
        _schooling(rows),
        _banded(plain[(plain["occupation"] == "") & (plain["sex"] == "")], ((0, 14),), "children"),
    ]
    return [part for part in parts if len(part)]


def _banded(rows: pd.DataFrame, bands: tuple[tuple[int, int], ...], name: str) -> pd.DataFrame:
    """Keep the rows of one cut of ages, if the file gives the whole of it."""
    cut = list(zip(rows["first_age"], rows["last_age"], strict=True))
    if not set(bands) <= set(cut):
        return rows.iloc[:0]
    return rows[[band in bands for band in cut]].assign(margin=name)


def _work(rows: pd.DataFrame) -> pd.DataFrame:
    """Return occupation x sex of persons of 15 and over, in seven classes."""
    kept = rows[(rows["first_age"] == 15) & (rows["last_age"] >= 95)]
    kept = kept[kept["occupation"].isin(_OCCUPATION)]
    return _summed(kept.assign(occupation=kept["occupation"].map(_OCCUPATION)), "occupation x sex")


def _schooling(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the enrolled by age and the others by diploma, as one margin."""
    both = rows[(rows["sex"] == "") & (rows["occupation"] == "")]
    enrolled = _banded(both[both["group"] == "enrolled"], _SCHOOL, "schooling and diploma")
    held = both[(both["group"] == "not_enrolled") & both["diploma"].isin(_DIPLOMA)]
    if enrolled.empty or held.empty:
        return rows.iloc[:0]
    others = held.assign(status=held["diploma"].map(_DIPLOMA))
    return _summed(pd.concat([enrolled.assign(status="enrolled"), others]), "schooling and diploma")


def _summed(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Add up rows that fall in one cell; a suppressed part leaves the cell missing."""
    keys = ["geo", "first_age", "last_age", "sex", "status", "occupation", "year"]
    added = pd.DataFrame(rows.groupby(keys, as_index=False)["persons"].sum(min_count=1))
    missing = rows[rows["persons"].isna()].set_index(keys).index
    added.loc[added.set_index(keys).index.isin(missing), "persons"] = float("nan")
    return added.assign(margin=name)


def imported_joint(file: Imported) -> pd.DataFrame:
    """Return the joint of a detail file, as `frame_from_joint` takes it.

    Raises
    ------
    InputError
        The file is not a detail file.
    """
    if file.kind != "detail":
        raise InputError(
            "this file has no joint of profiles",
            where=file.file,
            got=file.kind,
            expected="the census detail file, FD_INDCVI",
        )
    table = file.table.rename(columns={"N": "persons", "n": "records"})
    return table[list(JOINT_COLUMNS)]
