"""Calibration of Parquet files larger than memory.

Two readings, one writing: weights are added up by cell, cells calibrated, then rows are read again
and written with their weight; numeric margins and households take a reading for each step of
Newton's method. Memory is that of one batch of rows, whatever the file. The output
takes its name when it is whole, with a record beside it of what it was made from.
Limits: those of `chunks`. The output's row groups are the batches.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from inegnum.errors import InputError, ProvenanceError, nearest
from inegnum.estimators.calibration.chunks import (
    CellSums,
    ChunkedCalibration,
    as_household,
    calibrate_chunks,
    columns_of,
)
from inegnum.estimators.calibration.encode import Columns
from inegnum.estimators.calibration.margins import Margin, Margins, as_margins
from inegnum.estimators.calibration.streamed import (
    ColumnSums,
    StreamedCalibration,
    whole_households,
)
from inegnum.estimators.calibration.system import Household
from inegnum.estimators.progress import counted
from inegnum.numerics.distances import Distance
from inegnum.provenance import sha256_file

__all__ = ["FileCalibration", "calibrate_parquet"]

Floats = npt.NDArray[np.float64]

ROWS: Final = 500_000
_FORMAT: Final = "inegnum.calibration/1"


@dataclass(frozen=True)
class FileCalibration:
    """A calibrated file.

    Attributes
    ----------
    path : Path
        The file written.
    calibration : ChunkedCalibration or StreamedCalibration
        Ratios of its cells, or the dual point that gives them; margin table.
    record : dict
        What was written beside it: inputs with their hashes, margins asked and reached by the
        weights written, sums of weights.
    """

    path: Path
    calibration: ChunkedCalibration | StreamedCalibration
    record: dict[str, Any]

    @property
    def n_eff(self) -> float:
        """Kish's effective size of the weights written."""
        return float(self.record["weights"]["sum"] ** 2 / self.record["weights"]["sum_of_squares"])


def calibrate_parquet(
    source: str | Path,
    margins: Margins,
    out: str | Path,
    *,
    weights: str | None = None,
    name: str = "weight",
    distance: str | Distance = "raking",
    household: str | Household | None = None,
    tolerance: float = 1e-10,
    rows: int = ROWS,
    replace: bool = False,
) -> FileCalibration:
    """Calibrate a Parquet file, or a folder of them read in the order of their names.

    Parameters
    ----------
    source : str or Path
    margins : dict, tidy table, Margin or list of Margin
        Totals to reproduce (see `Margin`).
    out : str or Path
        File to write: every column of the source and the calibrated weight; its record goes to
        ``out`` + ``.json``.
    weights : str, optional
        Column of initial weights; equal ones that add up to the population when omitted.
    name : str
        Name of the column of calibrated weights.
    distance, tolerance
        See `calibrate`.
    household : str or Household, optional
        Column of the household: its members, whose rows follow each other, keep one common weight.
    rows : int
        Rows read at a time: memory grows with it, and the weights do not depend on it beyond
        rounding.
    replace : bool
        Replace a file of that name.

    Raises
    ------
    CalibrationError
        Margins cannot all be met: which, by how much and, when it can be known, why.
    MarginError, InputError
        Data, margins or files that cannot be used; nothing is written.
    ProvenanceError
        The source changed between the two readings; nothing is written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> pd.DataFrame({"sex": ["F", "F", "M"]}).to_parquet(folder / "people.parquet")
    >>> fit = calibrate_parquet(
    ...     folder / "people.parquet", {"sex": {"F": 6, "M": 4}}, folder / "weighted.parquet"
    ... )
    >>> pd.read_parquet(fit.path)["weight"].tolist()
    [3.0, 3.0, 4.0]
    """
    asked, home = as_margins(margins), as_household(household)
    out = Path(out)
    files = _files(Path(source))
    if rows < 1:
        raise InputError("rows read at a time must be at least one", where="rows", got=rows)
    needed = columns_of(asked, weights, home)
    schema = _schema(files, needed, name)
    _require_place(out, files, replace=replace)
    fit = calibrate_chunks(
        lambda: _chunks(files, schema, needed, rows, "reading"),
        asked,
        weights=weights,
        distance=distance,
        household=home,
        tolerance=tolerance,
    )
    partial = [out.with_name(out.name + end) for end in (".part", ".json.part")]
    try:
        tally = _write(files, schema, needed, fit, partial[0], name, rows)
        record = _record(files, asked, fit, tally, weights, name, tolerance)
        partial[1].write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
        partial[0].replace(out)
        partial[1].replace(_beside(out))
    finally:
        for file in partial:
            file.unlink(missing_ok=True)
    return FileCalibration(out, fit, record)


@dataclass(frozen=True, slots=True)
class _Tally:
    """What the weights written add up to; `sums` are of the kind the calibration gives."""

    sums: Any
    squares: float = 0.0
    smallest: float = np.inf
    largest: float = -np.inf

    def plus(self, w: Floats, sums: Any) -> _Tally:
        return _Tally(
            self.sums.plus(sums),
            self.squares + float(w @ w),
            min(self.smallest, float(w.min())),
            max(self.largest, float(w.max())),
        )


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        files = sorted(source.glob("*.parquet"))
    else:
        files = [source] if source.is_file() else []
    if not files:
        raise InputError("there is no Parquet file to read", where=str(source))
    return files


def _beside(out: Path) -> Path:
    return out.with_name(out.name + ".json")


def _require_place(out: Path, files: list[Path], *, replace: bool) -> None:
    if not out.parent.is_dir():
        raise InputError("the folder to write in does not exist", where=str(out.parent))
    if out.resolve() in [file.resolve() for file in files]:
        raise InputError("the output would replace its own source", where=str(out))
    if out.exists() and not replace:
        raise InputError(
            "there is already a file of this name",
            where=str(out),
            hint="give another name, or replace=True",
        )


def _schema(files: list[Path], needed: list[str], name: str) -> pa.Schema:
    """Return the schema that all files share, holding the columns needed."""
    try:
        schemas = [pq.read_schema(file).remove_metadata() for file in files]
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError("not a Parquet file", where=str(files[0].parent), got=error) from None
    for file, schema in zip(files[1:], schemas[1:], strict=True):
        if not schema.equals(schemas[0]):
            raise InputError(
                "files of one folder have different columns or types",
                where=f"{files[0].name}, {file.name}",
            )
    known = schemas[0].names
    for column in needed:
        if column not in known:
            raise InputError("there is no such column", where=column, hint=nearest(column, known))
    if name in known:
        raise InputError(
            "the source already has a column of this name", where=name, hint="give another name="
        )
    return schemas[0]


def _batches(
    files: list[Path], schema: pa.Schema, columns: list[str], rows: int, label: str
) -> Iterator[pa.RecordBatch]:
    """Yield batches of every file in turn; text comes coded, category by category."""
    text = [
        field.name
        for field in schema
        if field.name in columns and (pa.types.is_string(field.type) or _is_large(field.type))
    ]
    readers = [pq.ParquetFile(file, read_dictionary=text, pre_buffer=False) for file in files]
    total = sum(-(-reader.metadata.num_rows // rows) for reader in readers)
    ticks = counted(total, label)
    for reader in readers:
        with reader:
            for batch in reader.iter_batches(rows, columns=columns):
                next(ticks, None)
                yield batch
    deque(ticks, maxlen=0)


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind))


def _columns(batch: pa.RecordBatch, names: list[str]) -> pd.DataFrame:
    chunk: pd.DataFrame = batch.select(names).to_pandas()
    return chunk


def _chunks(
    files: list[Path], schema: pa.Schema, needed: list[str], rows: int, label: str
) -> Iterator[pd.DataFrame]:
    for batch in _batches(files, schema, needed, rows, label):
        yield _columns(batch, needed)


def _weighed(
    chunks: Iterable[Columns], fit: ChunkedCalibration | StreamedCalibration
) -> Iterator[tuple[Floats, CellSums | ColumnSums]]:
    """Yield the weights of all rows in order, and their sums, in pieces of any length."""
    home = fit.household if isinstance(fit, StreamedCalibration) else None
    for chunk in whole_households(chunks, home):
        yield fit.weigh_and_sum(chunk)


def _write(
    files: list[Path],
    schema: pa.Schema,
    needed: list[str],
    fit: ChunkedCalibration | StreamedCalibration,
    partial: Path,
    name: str,
    rows: int,
) -> _Tally:
    """Write every row with its weight; return what the weights add up to.

    A batch waits until the last of its households is whole.
    """
    tally, ready = _Tally(fit.no_sums), np.empty(0)
    wide = schema.append(pa.field(name, pa.float64()))
    waiting: deque[pa.RecordBatch] = deque()

    def chunks() -> Iterator[pd.DataFrame]:
        for batch in _batches(files, schema, list(schema.names), rows, "writing"):
            waiting.append(batch)
            yield _columns(batch, needed)

    with pq.ParquetWriter(partial, wide) as writer:
        for w, sums in _weighed(chunks(), fit):
            tally = tally.plus(w, sums)
            ready = np.concatenate([ready, w]) if ready.size else w
            while waiting and ready.size >= waiting[0].num_rows:
                batch = waiting.popleft()
                own, ready = ready[: batch.num_rows], ready[batch.num_rows :]
                writer.write_batch(_widened(batch, own, wide))
    if tally.sums.rows != fit.rows:
        raise ProvenanceError(
            "the source changed while it was read",
            where=", ".join(file.name for file in files),
            got=f"{tally.sums.rows} rows, {fit.rows} at the first reading",
        )
    return tally


def _widened(batch: pa.RecordBatch, w: Floats, wide: pa.Schema) -> pa.RecordBatch:
    """Return a batch in the types of its file, with the column of weights."""
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(batch.columns, list(wide)[:-1], strict=True)
    ]
    return pa.RecordBatch.from_arrays([*columns, pa.array(w)], schema=wide)


def _record(
    files: list[Path],
    margins: tuple[Margin, ...],
    fit: ChunkedCalibration | StreamedCalibration,
    tally: _Tally,
    weights: str | None,
    name: str,
    tolerance: float,
) -> dict[str, Any]:
    from inegnum import __version__

    reached = iter(fit.totals(tally.sums).tolist())
    totals = [
        {"margin": m.name, "level": [str(x) for x in level], "asked": total, "reached": got}
        for m in margins
        for (level, total), got in zip(m.by_level.items(), reached, strict=False)
    ]
    return {
        "format": _FORMAT,
        "inegnum": __version__,
        "source": [
            {"file": f.name, "bytes": f.stat().st_size, "sha256": sha256_file(f)} for f in files
        ],
        "initial": weights,
        "column": name,
        "distance": repr(fit.distance),
        "household": repr(fit.household) if isinstance(fit, StreamedCalibration) else None,
        "tolerance": tolerance,
        "rows": tally.sums.rows,
        "cells": int(fit.cells.weights.size) if isinstance(fit, ChunkedCalibration) else None,
        "steps": fit.steps,
        "notes": list(fit.notes),
        "weights": {
            "sum": float(tally.sums.d.sum()),
            "sum_of_squares": tally.squares,
            "smallest": tally.smallest,
            "largest": tally.largest,
        },
        "totals": totals,
    }
