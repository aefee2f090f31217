"""The reference tables that come with the package, each with its record.

A table is one file (``<name>.parquet``, ``.csv`` or ``.geojson``) and one record
(``<name>.toml``): producer, title, universe, vintage, licence, hash, role, transformation, columns
and caveats. Nothing is read without its hash being checked. Codes are text (``"01004"``,
``"2A004"``); a missing number is NaN (suppressed is missing, never zero), a missing text is ``""``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from inegnum.data.strict import into, read_toml
from inegnum.errors import InegnumError, ProvenanceError, nearest
from inegnum.provenance import Source, read_checked, sha256_file

__all__ = [
    "Column",
    "Finding",
    "Record",
    "features",
    "load",
    "names",
    "record",
    "reference_root",
    "source",
    "sources",
    "table",
    "verify",
]

Kind = Literal["text", "integer", "number"]
_FORMATS = (".parquet", ".csv", ".geojson")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type, what it holds and in which unit."""

    name: str
    kind: Kind
    en: str
    fr: str


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known about one reference table.

    Attributes
    ----------
    source : Source
        Where the table comes from.
    file : str
        Name of the data file beside the record.
    rows : int
        Rows, or features of a geometry.
    columns : tuple of Column
        In the order of the table; properties of the features for a geometry.
    caveats_en, caveats_fr : tuple of str
        What a reader must know before using it.
    """

    source: Source
    file: str
    rows: int
    columns: tuple[Column, ...]
    caveats_en: tuple[str, ...] = ()
    caveats_fr: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with the reference data."""

    name: str
    problem: str
    got: str = ""
    expected: str = ""


def reference_root() -> Path:
    """Return the folder of reference tables: inside the wheel, or in a checkout."""
    installed = Path(str(files("inegnum"))) / "_reference"
    if installed.is_dir():
        return installed
    checkout = Path(__file__).resolve().parents[3] / "data" / "reference"
    if checkout.is_dir():
        return checkout
    raise ProvenanceError(
        "the reference data is not there",
        where=f"{installed} or {checkout}",
        hint="reinstall the package, or work from a complete checkout",
    )


def names(*, root: Path | None = None) -> tuple[str, ...]:
    """Return the names of all reference tables, sorted."""
    return tuple(sorted(path.stem for path in (root or reference_root()).glob("*.toml")))


def record(name: str, *, root: Path | None = None) -> Record:
    """Return the record of one table.

    Raises
    ------
    ProvenanceError
        No table has this name.
    InputError
        The record cannot be read or holds unknown keys.
    """
    root = root or reference_root()
    path = root / f"{name}.toml"
    if not path.is_file():
        raise ProvenanceError(
            "no reference table has this name", got=name, hint=nearest(name, names(root=root))
        )
    known = into(Record, read_toml(path.read_bytes(), where=path.name), where=path.name)
    if known.source.name != name:
        raise ProvenanceError(
            "a record is not about the table it stands for",
            where=path.name,
            got=f"name = {known.source.name!r}",
            expected=f"name = {name!r}",
        )
    return known


def source(name: str, *, root: Path | None = None) -> Source:
    """Return where one table comes from."""
    return record(name, root=root).source


def sources(*, root: Path | None = None) -> tuple[Source, ...]:
    """Return where every table comes from, sorted by name."""
    return tuple(source(name, root=root) for name in names(root=root))


def table(
    name: str, *, where: Mapping[str, str] | None = None, root: Path | None = None
) -> tuple[pd.DataFrame, Source]:
    """Read one table after checking its hash.

    Parameters
    ----------
    name : str
        One of `names`.
    where : mapping, optional
        Keep rows whose text columns have these values (faster than filtering afterwards).
    root : Path, optional
        Folder of reference tables; the package's own otherwise.

    Returns
    -------
    DataFrame
        Columns in the order and of the types of the record.
    Source
        Where it comes from.

    Raises
    ------
    ProvenanceError
        The name is unknown, the file missing or changed, or it is a geometry.
    """
    root = root or reference_root()
    known = record(name, root=root)
    if known.file.endswith(".geojson"):
        raise ProvenanceError(
            "this reference is a geometry, not a table", where=name, hint="use features()"
        )
    data = read_checked(root / known.file, known.source.sha256)
    return parse(data, known.file, known.columns, where=where), known.source


def features(name: str, *, root: Path | None = None) -> tuple[dict[str, Any], Source]:
    """Read one geometry (a GeoJSON feature collection) after checking its hash."""
    root = root or reference_root()
    known = record(name, root=root)
    if not known.file.endswith(".geojson"):
        raise ProvenanceError(
            "this reference is a table, not a geometry", where=name, hint="use table()"
        )
    collection: dict[str, Any] = json.loads(read_checked(root / known.file, known.source.sha256))
    return collection, known.source


def load(name: str, *, root: Path | None = None) -> tuple[pd.DataFrame | dict[str, Any], Source]:
    """Read one reference, table or geometry, after checking its hash."""
    if record(name, root=root).file.endswith(".geojson"):
        return features(name, root=root)
    return table(name, root=root)


def parse(
    data: bytes,
    file: str,
    columns: tuple[Column, ...],
    *,
    where: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Turn the bytes of a table into columns of the recorded types."""
    kept = dict(where or {})
    if file.endswith(".parquet"):
        filters = [(column, "=", value) for column, value in kept.items()]
        raw = pd.read_parquet(io.BytesIO(data), filters=filters or None)
    else:
        raw = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
        for column, value in kept.items():
            raw = raw[raw[column] == value].reset_index(drop=True)
    expected = [column.name for column in columns]
    if list(raw.columns) != expected:
        raise ProvenanceError(
            "a reference table does not have the columns of its record",
            where=file,
            got=", ".join(map(str, raw.columns)),
            expected=", ".join(expected),
            hint="rebuild the reference data",
        )
    return pd.DataFrame({c.name: _typed(raw[c.name], c.kind) for c in columns})


def _typed(values: pd.Series, kind: Kind) -> pd.Series:
    """Return one column as text, whole numbers or decimal numbers."""
    if kind == "text":
        return values.astype(str)
    if not pd.api.types.is_numeric_dtype(values.dtype):
        values = pd.to_numeric(values.where(values != "", None))
    return values.astype("int64" if kind == "integer" else "float64")


def verify(*, root: Path | None = None) -> list[Finding]:
    """Check every record against its file: presence, hash, columns and rows.

    Returns
    -------
    list of Finding
        Empty when everything is as recorded.
    """
    root = root or reference_root()
    found: list[Finding] = []
    expected = set()
    for name in names(root=root):
        try:
            known = record(name, root=root)
        except InegnumError as error:
            found.append(Finding(name, error.sentence()))
            continue
        expected.add(known.file)
        found.extend(_check(known, root))
    strays = [p.name for p in root.iterdir() if p.suffix in _FORMATS and p.name not in expected]
    found.extend(Finding(stray, "a file without a record") for stray in sorted(strays))
    return found


def _check(known: Record, root: Path) -> list[Finding]:
    """Return what is wrong with one table."""
    name, path = known.source.name, root / known.file
    if not path.is_file():
        return [Finding(name, "the file is missing", expected=known.file)]
    digest = sha256_file(path)
    if digest != known.source.sha256:
        return [Finding(name, "the file changed", f"sha256 {digest}", known.source.sha256)]
    try:
        content, _ = load(name, root=root)
    except InegnumError as error:
        return [Finding(name, error.sentence())]
    rows = len(content["features"]) if isinstance(content, Mapping) else len(content)
    if rows != known.rows:
        return [Finding(name, "the number of rows differs", str(rows), str(known.rows))]
    return []
