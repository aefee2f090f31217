"""The release folder, written whole or not at all.

Everything is written beside the target first and moved into place in one step. Bytes depend on the
figures and the versions only: no clock, no machine name; timings stand apart in `timings.json`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from inegnum.draws import Draws
from inegnum.errors import InputError
from inegnum.estimates.table import Estimates
from inegnum.provenance import sha256_file

__all__ = [
    "UNHASHED",
    "Bundle",
    "folder_for",
    "seal",
    "write_bundle",
    "write_excel_fr",
    "write_geojson",
    "write_json",
    "write_xlsx",
]

# What may differ between two runs of the same seed, or cannot hold its own hash.
UNHASHED: Final = ("manifest.json", "timings.json")
IRIS_DRAWS: Final = 500
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What goes into a release folder.

    Attributes
    ----------
    estimates : Estimates
    manifest : mapping
        JSON-ready; ``outputs`` is added on writing.
    tables : mapping of str to DataFrame
        Further CSV files by stem (``decomposition``, ``variants``, ``frame_margins``, ...).
    geometry : mapping or None
        GeoJSON FeatureCollection whose features carry ``properties.geo``.
    timings : mapping of str to float
        Seconds by stage.
    """

    estimates: Estimates
    manifest: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    geometry: Mapping[str, Any] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)


@contextlib.contextmanager
def folder_for(out: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a working folder that becomes `out` if and only if the block ends well.

    Raises
    ------
    InputError
        `out` exists and `replace` is false, is not a release, or cannot be written.
    """
    target = Path(out).absolute()
    if target.exists():
        _may_replace(target, replace)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    except OSError as error:
        raise InputError(
            "the release folder cannot be written",
            where=str(target),
            got=error.strerror or str(error),
            expected="a folder whose parent is writable",
            hint="choose another --out, or correct the permissions",
        ) from error
    try:
        yield work
        work.chmod(0o755)
        if target.exists():
            old = target.with_name(f".{target.name}.replaced-{os.getpid()}")
            target.rename(old)
            work.rename(target)
            shutil.rmtree(old)
        else:
            work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _may_replace(target: Path, replace: bool) -> None:
    """Refuse to overwrite what is not a release, or a release without being told to."""
    empty = target.is_dir() and not any(target.iterdir())
    release = (target / "manifest.json").exists()
    if not empty and not release:
        raise InputError(
            "the output exists and is not a release",
            where=str(target),
            expected="a new folder, or an earlier release",
            hint="choose another --out; nothing there was touched",
        )
    if release and not replace:
        raise InputError(
            "a release stands here already",
            where=str(target),
            expected="a new folder",
            hint="choose another --out, or add --replace",
        )


def write_bundle(bundle: Bundle, folder: Path, *, excel_fr: bool = False) -> dict[str, str]:
    """Write every file of a release into `folder` and return their hashes.

    Parameters
    ----------
    bundle : Bundle
    folder : Path
        From `folder_for`; files already there are hashed too.
    excel_fr : bool
        Also write ``estimates-excel-fr.csv`` with ``;`` and decimal commas.
    """
    table = bundle.estimates.to_frame()
    table.to_csv(folder / "estimates.csv", index=False, lineterminator="\n")
    table.to_parquet(folder / "estimates.parquet", index=False, compression="zstd")
    write_xlsx(table, bundle.manifest, folder / "estimates.xlsx")
    if excel_fr:
        write_excel_fr(table, folder)
    _long_draws(bundle.estimates).to_parquet(
        folder / "draws.parquet", index=False, compression="zstd"
    )
    for stem, extra in bundle.tables.items():
        extra.to_csv(folder / f"{stem}.csv", index=False, lineterminator="\n")
    if bundle.geometry is not None:
        write_geojson(bundle.geometry, table, folder)
    write_json(dict(bundle.manifest), folder / "manifest.json", indent=2)
    return seal(folder, bundle.timings)


def write_excel_fr(table: pd.DataFrame, folder: Path, name: str = "estimates-excel-fr.csv") -> None:
    """Write a CSV with ``;`` and decimal commas."""
    table.to_csv(
        folder / name,
        index=False,
        sep=";",
        decimal=",",
        # Without the mark, French Excel reads accents wrongly.
        encoding="utf-8-sig",
        lineterminator="\r\n",
    )


def seal(folder: Path, timings: Mapping[str, float]) -> dict[str, str]:
    """Put the hash of every file of `folder` into its manifest; timings beside it.

    Called again once pages have been added to the folder.
    """
    outputs = {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in UNHASHED
    }
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    write_json({**manifest, "outputs": outputs}, folder / "manifest.json", indent=2)
    write_json(dict(timings), folder / "timings.json", indent=2)
    return outputs


def _long_draws(estimates: Estimates) -> pd.DataFrame:
    """Return draws of every figure that is shown: ``level, geo, indicator, draw, value``.

    Of IRIS, a share of the draws only, the same for all: they stay joint with the others by number.
    """
    shown = (estimates.table["class"] != "D").to_numpy()
    iris = (estimates.table["level"] == "iris").to_numpy()
    step = -(-len(estimates.draws) // IRIS_DRAWS)
    parts = [(shown & ~iris, 1), (shown & iris, step)]
    long = [_long(estimates.draws.select(kept), by) for kept, by in parts if kept.any()]
    keys = pd.concat(long, ignore_index=True)
    for column in ("level", "geo", "indicator"):
        keys[column] = keys[column].astype("category")
    return keys


def _long(draws: Draws, step: int) -> pd.DataFrame:
    """Return one row a figure and draw, every `step`-th draw under its own number."""
    values = draws.values[::step]
    size = len(values)
    keys = draws.items.loc[draws.items.index.repeat(size)].reset_index(drop=True)
    keys["draw"] = np.tile(np.arange(0, len(draws), step, dtype=np.int32), values.shape[1])
    keys["value"] = values.T.ravel()
    return keys


def write_geojson(
    geometry: Mapping[str, Any],
    table: pd.DataFrame,
    folder: Path,
    *,
    above: str = "p_above_metropolis",
) -> None:
    """Write ``estimates.geojson``: shapes, each area's estimates flattened into its properties."""
    fields = ("est", "lower", "upper", "class", "people", above)
    rows: dict[str, dict[str, Any]] = {}
    for row in table.to_dict("records"):
        place = rows.setdefault(str(row["geo"]), {})
        for name in fields:
            value = row[name]
            missing = isinstance(value, float) and np.isnan(value)
            place[f"{row['indicator']}_{name}"] = None if missing else value
    features = []
    for feature in geometry["features"]:
        geo = feature["properties"]["geo"]
        features.append(
            {**feature, "properties": {**feature["properties"], **rows.get(str(geo), {})}}
        )
    collection = {"type": "FeatureCollection", "features": features}
    write_json(collection, folder / "estimates.geojson", indent=None)


def write_json(value: Any, path: Path, *, indent: int | None) -> None:
    """Write JSON the same way each time; not-a-number is refused."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False, sort_keys=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_xlsx(table: pd.DataFrame, manifest: Mapping[str, Any], path: Path) -> None:
    """Write the table and its provenance as a workbook with the same bytes each time."""
    import datetime

    from openpyxl import Workbook

    book = Workbook()
    fixed = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC).replace(tzinfo=None)
    book.properties.created = book.properties.modified = fixed
    sheet = book.active
    if sheet is None:  # pragma: no cover - a new workbook always has one
        sheet = book.create_sheet()
    sheet.title = "estimates"
    sheet.append(list(table.columns))
    for row in table.astype(object).where(table.notna(), None).itertuples(index=False):
        sheet.append(list(row))
    sheet.freeze_panes = "A2"
    inputs = book.create_sheet("inputs")
    columns = ("name", "producer", "title", "vintage", "universe", "licence", "address", "sha256")
    inputs.append(list(columns))
    for source in manifest.get("inputs", []):
        inputs.append([str(source.get(column, "")) for column in columns])
    buffer = io.BytesIO()
    book.save(buffer)
    # openpyxl stamps the clock into the archive and its properties: write it again without.
    with zipfile.ZipFile(buffer) as made, zipfile.ZipFile(path, "w") as out:
        for info in sorted(made.infolist(), key=lambda item: item.filename):
            data = made.read(info.filename)
            if info.filename == "docProps/core.xml":
                data = _without_clock(data)
            still = zipfile.ZipInfo(info.filename, date_time=_EPOCH)
            still.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(still, data)


def _without_clock(core: bytes) -> bytes:
    """Replace the time of saving, which openpyxl sets itself, by a fixed one."""
    import re

    return re.sub(
        rb"(<dcterms:modified[^>]*>)[^<]*(</dcterms:modified>)",
        rb"\g<1>2000-01-01T00:00:00Z\g<2>",
        core,
    )
