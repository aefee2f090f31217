"""Calibration of Dask data frames: partitions are counted and weighed where they are.

Partitions are added up in their order whatever worker counted them, so weights do not depend on the
number of workers. Limits: those of `chunks`; a household's rows must stand in one partition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from inegnum.errors import InputError, MissingDependencyError, nearest
from inegnum.estimators.calibration.chunks import (
    CellSums,
    ChunkedCalibration,
    as_household,
    calibrate_sums,
    columns_of,
    count_chunk,
    keeps_rows_apart,
)
from inegnum.estimators.calibration.margins import Margin, Margins, as_margins
from inegnum.estimators.calibration.streamed import (
    Households,
    StreamedCalibration,
    calibrate_each,
    hashes_of,
    sums_of,
)
from inegnum.estimators.calibration.system import Household
from inegnum.numerics.distances import Distance

__all__ = ["calibrate_dask"]


def calibrate_dask(
    frame: Any,
    margins: Margins,
    *,
    weights: str | None = None,
    name: str = "weight",
    distance: str | Distance = "raking",
    household: str | Household | None = None,
    tolerance: float = 1e-10,
) -> tuple[Any, ChunkedCalibration | StreamedCalibration]:
    """Calibrate a Dask data frame.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
        The margins' columns are read once here (once a step of Newton's method for numeric margins
        and households), and once more when the result is computed.
    margins, weights, distance, household, tolerance
        See `calibrate_chunks`.
    name : str
        Name of the column of calibrated weights.

    Returns
    -------
    frame : dask.dataframe.DataFrame
        The same, lazily, with the column of weights.
    calibration : ChunkedCalibration or StreamedCalibration

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
    asked, home = as_margins(margins), as_household(household)
    needed = columns_of(asked, weights, home)
    known = [str(c) for c in frame.columns]
    for column in needed:
        if column not in known:
            raise InputError("there is no such column", where=column, hint=nearest(column, known))
    if name in known:
        raise InputError("the frame already has a column of this name", where=name)
    parts = frame[needed].to_delayed()

    def on_parts(function: Callable[..., Any], *given: object) -> list[Any]:
        run = dask.delayed(_on_part)
        found = dask.compute(*(run(function, part, *given) for part in parts))
        return [one for one in found if one is not None]

    fit: ChunkedCalibration | StreamedCalibration
    if keeps_rows_apart(asked, home):
        fit = _streamed(on_parts, asked, weights, distance, home, tolerance)
    else:
        sums = CellSums()
        for part in on_parts(count_chunk, asked, weights):
            sums = sums.plus(part)
        fit = calibrate_sums(sums, asked, weights=weights, distance=distance, tolerance=tolerance)
    meta = frame._meta.assign(**{name: pd.Series(dtype="float64")})
    return frame.map_partitions(_weighed, fit, name, meta=meta), fit


def _on_part(function: Callable[..., Any], part: pd.DataFrame, *given: object) -> Any:
    return function(part, *given) if len(part) else None


def _streamed(
    on_parts: Callable[..., list[Any]],
    margins: tuple[Margin, ...],
    weights: str | None,
    distance: str | Distance,
    household: Household | None,
    tolerance: float,
) -> StreamedCalibration:
    if household is not None:
        known = Households(household.by)
        for hashes in on_parts(hashes_of, household.by):
            known.meet(hashes)
    sums = on_parts(sums_of, weights)
    if not sums:
        raise InputError("data has no rows", got="0 rows")
    rows, mass, squares = (sum(column) for column in zip(*sums, strict=True))
    return calibrate_each(
        on_parts,
        margins,
        weights=weights,
        rows=rows,
        sums=(mass, squares),
        distance=distance,
        household=household,
        tolerance=tolerance,
    )


def _weighed(
    part: pd.DataFrame, fit: ChunkedCalibration | StreamedCalibration, name: str
) -> pd.DataFrame:
    return part.assign(**{name: fit.weigh(part) if len(part) else pd.Series(dtype="float64")})
