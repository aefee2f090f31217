"""Write a reference table and its record, always the same bytes for the same content."""

from __future__ import annotations

import io
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from inegnum.data.catalogue import Column, Record
from inegnum.provenance import Source, sha256_bytes


def text(name: str, en: str, fr: str) -> Column:
    return Column(name, "text", en, fr)


def integer(name: str, en: str, fr: str) -> Column:
    return Column(name, "integer", en, fr)


def number(name: str, en: str, fr: str) -> Column:
    return Column(name, "number", en, fr)


def write_table(df: pd.DataFrame, draft: Record, out: Path) -> None:
    """Write the table and its record into `out`.

    `draft` is the record without hash and number of rows, which are filled in here. Rows are
    sorted by the columns in order, so that the order of the input does not matter.
    """
    tidy = _typed(df, draft.source.name, draft.columns)
    parquet = draft.file.endswith(".parquet")
    _write(_parquet(tidy, draft.columns) if parquet else _csv(tidy), len(tidy), draft, out)


def write_features(collection: dict[str, Any], draft: Record, out: Path) -> None:
    """Write a GeoJSON feature collection and its record into `out`."""
    data = json.dumps(collection, ensure_ascii=False, separators=(",", ":")).encode()
    _write(data, len(collection["features"]), draft, out)


def _write(data: bytes, rows: int, draft: Record, out: Path) -> None:
    source = replace(draft.source, sha256=sha256_bytes(data))
    (out / draft.file).write_bytes(data)
    record = replace(draft, source=source, rows=rows)
    (out / f"{source.name}.toml").write_text(_toml(record), encoding="utf-8")


def _typed(df: pd.DataFrame, name: str, columns: tuple[Column, ...]) -> pd.DataFrame:
    absent = [c.name for c in columns if c.name not in df.columns]
    extra = [c for c in df.columns if c not in {column.name for column in columns}]
    if absent or extra:
        raise ValueError(f"{name}: columns absent {absent}, columns not described {extra}")
    typed = {}
    for c in columns:
        values = df[c.name]
        if c.kind == "text":
            typed[c.name] = values.astype(object).where(values.notna(), "").astype(str)
        else:
            typed[c.name] = values.astype("int64" if c.kind == "integer" else "float64")
    tidy = pd.DataFrame(typed)
    return tidy.sort_values([c.name for c in columns], kind="stable").reset_index(drop=True)


def _csv(tidy: pd.DataFrame) -> bytes:
    return tidy.to_csv(index=False, lineterminator="\n").encode("utf-8")


def _parquet(tidy: pd.DataFrame, columns: tuple[Column, ...]) -> bytes:
    types = {"text": pa.string(), "integer": pa.int32(), "number": pa.float64()}
    schema = pa.schema([pa.field(c.name, types[c.kind], nullable=True) for c in columns])
    arrow = pa.Table.from_pandas(tidy, schema=schema, preserve_index=False)
    arrow = arrow.replace_schema_metadata(None)
    sink = io.BytesIO()
    pq.write_table(
        arrow,
        sink,
        compression="zstd",
        compression_level=19,
        use_dictionary=True,
        store_schema=False,
    )
    return sink.getvalue()


def _toml(record: Record) -> str:
    lines = [f"file = {_quoted(record.file)}", f"rows = {record.rows}"]
    for key in ("caveats_en", "caveats_fr"):
        lines.append(f"{key} = [")
        lines.extend(f"  {_quoted(sentence)}," for sentence in getattr(record, key))
        lines.append("]")
    lines += ["", "[source]", *_keys(record.source)]
    for column in record.columns:
        lines += ["", "[[columns]]", *_keys(column)]
    return "\n".join(lines) + "\n"


def _keys(value: Source | Column) -> list[str]:
    return [f"{field.name} = {_quoted(getattr(value, field.name))}" for field in fields(value)]


def _quoted(value: object) -> str:
    """Return a TOML literal; JSON's text escapes are TOML's."""
    return json.dumps(value, ensure_ascii=False)
