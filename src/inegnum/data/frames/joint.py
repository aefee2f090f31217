"""Frames from the census's joint file (tier F1): records summed by profile.

Model
    Weighted records summed by profile are the frame. Draws are gamma with the records behind each
    cell (the posterior of a Poisson count under a prior of `_UNSEEN` of a record), scaled to the
    persons of the area, which are known: only their make-up is drawn. A cell without a record is
    empty in the point frame and nearly so in draws.

Limits
    Weights within a cell are taken as equal; the census's rotation over five years is not modelled.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.codebook import profiles
from inegnum.data.frames.build import asked_communes
from inegnum.data.frames.given import require_columns
from inegnum.data.frames.strata import keyed
from inegnum.data.types import Frame
from inegnum.errors import FrameError, InputError
from inegnum.provenance import Source, require_role

__all__ = ["JOINT_COLUMNS", "frame_from_joint"]

Floats = npt.NDArray[np.float64]

JOINT_COLUMNS: Final = ("geo", "age", "sex", "diploma", "occupation", "persons", "records")
_UNSEEN = 0.1


def frame_from_joint(
    areas: pd.DataFrame,
    joint: pd.DataFrame,
    sources: tuple[Source, ...],
    *,
    year: int,
    draws: int = 0,
    seed: int = 0,
) -> Frame:
    """Take a joint table of persons by profile as the frame (tier F1).

    Parameters
    ----------
    areas : DataFrame
        Columns a frame needs: ``geo, level, name, region, urban, epci``.
    joint : DataFrame
        ``geo, age, sex, diploma, occupation`` in the codebook's levels, ``persons`` (sum of
        weights) and ``records`` (how many lie behind it). Other areas may stand in it.
    sources : tuple of Source
        Of role fit.
    year : int
        Census year; nothing is scaled.
    draws, seed : int
        Frames drawn from the sampling of records.

    Raises
    ------
    InputError, FrameError
        A level is unknown, a count missing or negative, or an area has no persons.
    """
    require_role(sources, "fit", where="frame_from_joint")
    require_columns(joint, JOINT_COLUMNS, "joint")
    asked_communes(areas, draws)
    persons, records = _placed(areas, joint)
    rng = keyed(seed, "joint file")
    weight = np.divide(persons, records, out=np.zeros_like(persons), where=records > 0)
    usual = persons.sum(axis=1, keepdims=True) / records.sum(axis=1, keepdims=True)
    weight = np.where(weight > 0, weight, usual)
    noise = rng.standard_gamma(np.broadcast_to(records + _UNSEEN, (draws, *records.shape)))
    drawn = noise * weight
    if draws:
        # Totals of persons are known: only their make-up is drawn.
        drawn *= persons.sum(axis=1, keepdims=True) / drawn.sum(axis=2, keepdims=True)
    table = areas.reset_index(drop=True).assign(
        tier="F1",
        observed="joint file",
        note_fr="base issue du fichier détail du recensement",
        note_en="frame from the census's joint file",
    )
    return Frame(table, persons, sources, year, drawn if draws else np.empty((0, 0, 0)))


def _placed(areas: pd.DataFrame, joint: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return persons and records by area and profile, (A, 294) each."""
    names = profiles()
    index = pd.MultiIndex.from_frame(names)
    at = index.get_indexer(pd.MultiIndex.from_frame(joint[list(names.columns)]))
    if (at < 0).any():
        bad = joint.iloc[int(np.argmax(at < 0))]
        raise InputError(
            "a row is not a profile of the codebook",
            where="joint",
            got=", ".join(str(bad[c]) for c in names.columns),
            hint="minors and students are classes of their own, see inegnum.data.codebook.profiles",
        )
    counts = joint[["persons", "records"]].to_numpy(dtype=np.float64)
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise InputError("a count is missing or negative", where="joint, persons and records")
    rows = pd.Index(areas["geo"]).get_indexer(pd.Index(joint["geo"]))
    persons, records = (np.zeros((len(areas), len(names))) for _ in range(2))
    known = rows >= 0
    np.add.at(persons, (rows[known], at[known]), counts[known, 0])
    np.add.at(records, (rows[known], at[known]), counts[known, 1])
    empty = persons.sum(axis=1) == 0
    if empty.any():
        raise FrameError(
            "an area has no persons in the joint table",
            got=", ".join(areas["geo"][empty].head()),
            expected="every area asked for",
        )
    return persons, records
