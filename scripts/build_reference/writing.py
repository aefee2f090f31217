"""Write a reference table and its record, always the same bytes for the same content."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from inegnum.data.catalogue import Column
from inegnum.provenance import Role, sha256_bytes

Format = Literal["parquet", "csv", "geojson"]


@dataclass(frozen=True, slots=True)
class Meta:
    """What the record says; hash, rows and file name are added when the table is written."""

    producer: str
    title: str
    universe: str
    vintage: str
    unit: str
    licence: str
    role: Role
    transformation: str
    columns: tuple[Column, ...]
    geo_vintage: str = ""
    address: str = ""
    caveats_en: tuple[str, ...] = ()
    caveats_fr: tuple[str, ...] = ()
    format: Format = "parquet"


def text(name: str, en: str, fr: str) -> Column:
    return Column(name, "text", en, fr)


def integer(name: str, en: str, fr: str) -> Column:
    return Column(name, "integer", en, fr)


def number(name: str, en: str, fr: str) -> Column:
    return Column(name, "number", en, fr)


def write_table(df: pd.DataFrame, name: str, meta: Meta, out: Path) -> None:
    """Write ``<name>.<format>`` and ``<name>.toml`` into `out`.

    Rows are sorted by the columns in order, so that the order of the input does not matter.
    """
    tidy = _typed(df, name, meta.columns)
    data = _parquet(tidy, meta.columns) if meta.format == "parquet" else _csv(tidy)
    _write(data, len(tidy), name, meta, out)


def write_features(collection: dict[str, Any], name: str, meta: Meta, out: Path) -> None:
    """Write a GeoJSON feature collection and its record into `out`."""
    data = json.dumps(collection, ensure_ascii=False, separators=(",", ":")).encode()
    _write(data, len(collection["features"]), name, meta, out)


def _write(data: bytes, rows: int, name: str, meta: Meta, out: Path) -> None:
    file = f"{name}.{meta.format}"
    (out / file).write_bytes(data)
    (out / f"{name}.toml").write_text(_toml(name, file, meta, data, rows), encoding="utf-8")


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


def _toml(name: str, file: str, meta: Meta, data: bytes, rows: int) -> str:
    head = {
        "name": name,
        "file": file,
        "producer": meta.producer,
        "title": meta.title,
        "universe": meta.universe,
        "vintage": meta.vintage,
        "geo_vintage": meta.geo_vintage,
        "unit": meta.unit,
        "licence": meta.licence,
        "address": meta.address,
        "role": meta.role,
        "transformation": meta.transformation,
        "sha256": sha256_bytes(data),
        "rows": rows,
    }
    lines = [f"{key} = {_quoted(value)}" for key, value in head.items()]
    for key, sentences in (("caveats_en", meta.caveats_en), ("caveats_fr", meta.caveats_fr)):
        lines.append(f"{key} = [")
        lines.extend(f"  {_quoted(sentence)}," for sentence in sentences)
        lines.append("]")
    for column in meta.columns:
        lines += ["", "[[columns]]"]
        lines += [
            f"{key} = {_quoted(getattr(column, key))}" for key in ("name", "kind", "en", "fr")
        ]
    return "\n".join(lines) + "\n"


def _quoted(value: object) -> str:
    """Return a TOML literal; JSON's text escapes are TOML's."""
    return json.dumps(value, ensure_ascii=False)
