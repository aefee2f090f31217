"""Calibration of Dask data frames: partitions are counted and weighed where they are.

Partitions are added up in their order whatever worker counted them, so weights do not depend on the
number of workers. Limits: those of `chunks`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from inegnum.errors import InputError, MissingDependencyError, nearest
from inegnum.estimators.calibration.chunks import (
    CellSums,
    ChunkedCalibration,
    calibrate_sums,
    count_chunk,
    counts_only,
)
from inegnum.estimators.calibration.margins import Margins
from inegnum.estimators.calibration.system import levels_of
from inegnum.numerics.distances import Distance

__all__ = ["calibrate_dask"]


def calibrate_dask(
    frame: Any,
    margins: Margins,
    *,
    weights: str | None = None,
    name: str = "weight",
    distance: str | Distance = "raking",
    tolerance: float = 1e-10,
) -> tuple[Any, ChunkedCalibration]:
    """Calibrate a Dask data frame.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
        The margins' columns are read once here, and once more when the result is computed.
    margins, weights, distance, tolerance
        See `calibrate_chunks`.
    name : str
        Name of the column of calibrated weights.

    Returns
    -------
    frame : dask.dataframe.DataFrame
        The same, lazily, with the column of weights.
    calibration : ChunkedCalibration

    Raises
    ------
    MissingDependencyError
        Dask is not installed.
    CalibrationError, MarginError, InputError
        As `calibrate_chunks`.
    """
    try:
        import dask
    except ImportError as error:
        raise MissingDependencyError(
            "Dask data frames need dask", hint="pip install 'inegnum[scale]'"
        ) from error
    asked = counts_only(margins)
    needed = [*levels_of(asked), *([weights] if weights else [])]
    known = [str(c) for c in frame.columns]
    for column in needed:
        if column not in known:
            raise InputError("there is no such column", where=column, hint=nearest(column, known))
    if name in known:
        raise InputError("the frame already has a column of this name", where=name)
    count = dask.delayed(_count)
    parts = dask.compute(*(count(part, asked, weights) for part in frame[needed].to_delayed()))
    sums = CellSums()
    for part in parts:
        sums = sums.plus(part)
    fit = calibrate_sums(sums, asked, weights=weights, distance=distance, tolerance=tolerance)
    meta = frame._meta.assign(**{name: pd.Series(dtype="float64")})
    return frame.map_partitions(_weighed, fit, name, meta=meta), fit


def _count(part: pd.DataFrame, margins: Any, weights: str | None) -> CellSums:
    return count_chunk(part, margins, weights) if len(part) else CellSums()


def _weighed(part: pd.DataFrame, fit: ChunkedCalibration, name: str) -> pd.DataFrame:
    return part.assign(**{name: fit.weigh(part) if len(part) else pd.Series(dtype="float64")})
