"""INSEE's census detail file (FD_INDCVI), csv or parquet: persons one by one, weighted.

One line a person, weight ``IPONDI``, place by IRIS in communes of 10,000 inhabitants and more
(``ZZZZZZZZZ`` elsewhere) and by pseudo-canton everywhere. The reader counts persons of 12 and over
by the package's profiles: the joint distribution that other frames have to model (tier F1).

The file has tens of millions of lines: it is read by blocks, whichever its format. This reader
follows the published dictionary and has met fixtures only.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import IO, Final

import numpy as np
import pandas as pd

from inegnum.data.codebook import AGE, DIPLOMA, OCCUPATION
from inegnum.data.importers.reading import year_in_name
from inegnum.data.importers.tidy import Imported
from inegnum.errors import InputError
from inegnum.provenance import sha256_file

__all__ = ["DETAIL_COLUMNS", "is_detail", "read_detail"]

DETAIL_COLUMNS: Final = ("geo", "level", "age", "sex", "diploma", "occupation", "n", "N", "N2")
_ALWAYS = ("CANTVILLE", "IRIS", "DEPT", "SEXE", "ETUD", "IPONDI")
_AGES = ("AGEREV", "AGED")
_DIPLOMAS = ("DIPL", "DIPL_15")
_OCCUPATIONS = ("CS1", "STAT_GSEC")
_WANTED = frozenset({*_ALWAYS, *_AGES, *_DIPLOMAS, *_OCCUPATIONS})
_BLOCK, _BLOCK_BYTES = 500_000, 64 << 20
_NO_IRIS = "ZZZZZZZZZ"
_FIRST_AGE = (12, 15, 18, 25, 40, 60, 70)
_DIPLOMA: Final = {
    "DIPL": {
        **dict.fromkeys(("01", "02", "03", "11"), "none"),
        **dict.fromkeys(("12", "13"), "below_bac"),
        **dict.fromkeys(("14", "15"), "bac"),
        **dict.fromkeys(("16", "17", "18", "19"), "higher"),
        "ZZ": "",
    },
    # The short list does not tell BEPC from no diploma.
    "DIPL_15": {"A": "none", "B": "below_bac", "C": "bac", "D": "higher", "Z": ""},
}
# Farmers (1) and the self-employed (2) are one class of the codebook.
_CLASSES = (OCCUPATION.levels[2], *OCCUPATION.levels[2:])
_OCCUPATION: Final = {
    "CS1": dict(zip("12345678", _CLASSES, strict=True)),
    # Since 2022: status (1 in work, 2 unemployed, 3 and 4 neither) and socio-economic group;
    # 32 is retired, any other code of people neither in work nor formerly so is inactive.
    "STAT_GSEC": {
        **{f"{a}{b}": _CLASSES[-1] for a in "1234" for b in "0123456789"},
        **{f"{status}{i}": _CLASSES[i - 1] for status in "12" for i in range(1, 7)},
        "32": _CLASSES[6],
        "ZZ": _CLASSES[-1],
    },
}
_SEX: Final = {"1": "men", "2": "women"}
_ENROLLED: Final = {"1": True, "2": False}


def is_detail(columns: set[str]) -> bool:
    """Tell whether these columns are those of the detail file."""
    return {"CANTVILLE", "IPONDI", "SEXE"} <= columns


def read_detail(path: Path, *, departments: tuple[str, ...] = ()) -> Imported:
    """Count persons of 12 and over by area and profile.

    Parameters
    ----------
    path : Path
        FD_INDCVI as csv, zipped csv or parquet.
    departments : tuple of str, optional
        Keep these departments only.

    Returns
    -------
    Imported
        Columns `DETAIL_COLUMNS`: area (``iris`` where known, ``canton_or_city`` elsewhere),
        profile of the codebook, persons in the file ``n``, weighted persons ``N`` and sum of
        squared weights ``N2``.

    Raises
    ------
    InputError
        A column is missing, or a code or weight is odd (column and line are named).
    """
    year = year_in_name(path.name)
    if year is None:
        raise InputError(
            "the year of the file is not known",
            where=path.name,
            expected="a year in the name, as in FD_INDCVI_2019.csv",
        )
    sums: pd.DataFrame | None = None
    line, young = 2, 0.0
    columns: dict[str, str] = {}
    for block in _progress(path):
        columns = columns or _chosen(block, path)
        counted, dropped = _count(block, _Place(path.name), line, columns, departments)
        young += dropped
        line += len(block)
        sums = counted if sums is None else _added(pd.concat([sums, counted]))
    if sums is None or sums.empty:
        raise InputError(
            "no person of the departments asked for is in the file",
            where=path.name,
            got=f"{line - 2} lines",
            expected=", ".join(departments) or "persons of 12 and over",
        )
    notes = [f"{young:,.0f} persons under 12 (weighted) are left out: the survey starts at 12."]
    if columns["diploma"] == "DIPL_15":
        notes.append("The list DIPL_15 does not tell BEPC from no diploma: both are « none ».")
    return Imported(
        kind="detail",
        year=year,
        level="canton_or_city",
        table=sums.reset_index(drop=True),
        file=path.name,
        sha256=sha256_file(path),
        notes=tuple(notes),
    )


def _progress(path: Path) -> Iterator[pd.DataFrame]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed:,.0f} persons"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(path.name, total=None)
        for block in _blocks(path):
            yield block
            progress.advance(task, len(block))


def _blocks(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the useful columns as text, block by block."""
    name = path.name.lower()
    if name.endswith(".parquet"):
        yield from _parquet_blocks(path)
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            members = [
                m
                for m in archive.namelist()
                if PurePath(m).suffix.lower() in (".csv", ".txt")
                and PurePath(m).name.upper().startswith("FD_")
            ]
            if len(members) != 1:
                raise InputError(
                    "the archive does not hold exactly one detail file",
                    where=path.name,
                    got=", ".join(members) or "none",
                )
            with archive.open(members[0]) as handle:
                yield from _csv_blocks(handle, path)
    else:
        with path.open("rb") as handle:
            yield from _csv_blocks(handle, path)


def _csv_blocks(handle: IO[bytes], path: Path) -> Iterator[pd.DataFrame]:
    """Stream the useful columns; Arrow refuses a line with too many or too few fields."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header = handle.readline().decode("utf-8-sig").strip().split(";")
    names = [name.strip().strip('"').upper() for name in header]
    kept = [name for name in names if name in _WANTED]
    try:
        reader = arrow_csv.open_csv(
            handle,
            read_options=arrow_csv.ReadOptions(column_names=names, block_size=_BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(delimiter=";"),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=kept,
                column_types=dict.fromkeys(kept, pa.string()),
                strings_can_be_null=False,
            ),
        )
        for batch in reader:
            yield batch.to_pandas()
    except pa.ArrowInvalid as error:
        raise InputError(
            "a line of the detail file cannot be read",
            where=path.name,
            got=str(error),
            expected=f"{len(names)} fields separated by semicolons",
            hint="the file is truncated or was edited: download it again",
        ) from error


def _parquet_blocks(path: Path) -> Iterator[pd.DataFrame]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            "the parquet file cannot be read", where=path.name, hint="download it again"
        ) from error
    columns = [name for name in file.schema_arrow.names if name.upper() in _WANTED]
    for batch in file.iter_batches(batch_size=_BLOCK, columns=columns):
        block = batch.to_pandas()
        block.columns = [column.upper() for column in block.columns]
        yield block.astype(object).where(block.notna(), "").astype(str)


def _chosen(block: pd.DataFrame, path: Path) -> dict[str, str]:
    """Return which column gives age, diploma and occupation in this file."""
    options = {"age": _AGES, "diploma": _DIPLOMAS, "occupation": _OCCUPATIONS}
    found = {
        what: next((column for column in names if column in block.columns), "")
        for what, names in options.items()
    }
    absent = [column for column in _ALWAYS if column not in block.columns]
    absent += [" or ".join(options[what]) for what, column in found.items() if not column]
    if absent:
        raise InputError(
            "the detail file lacks columns", where=path.name, expected=", ".join(absent)
        )
    return found


def _count(
    block: pd.DataFrame,
    place: _Place,
    line: int,
    columns: dict[str, str],
    departments: tuple[str, ...],
) -> tuple[pd.DataFrame, float]:
    """Return sums by area and profile, and the weight of persons under 12."""
    lines = line + np.arange(len(block))
    if departments:
        kept = block["DEPT"].isin(departments).to_numpy()
        lines, block = lines[kept], block[kept].reset_index(drop=True)
    place.lines = lines
    weight = place.number(block, "IPONDI")
    age = place.number(block, columns["age"]).astype("int64")
    old = age >= _FIRST_AGE[0]
    minor = age < 18
    student = place.label(block, "ETUD", _ENROLLED).astype(bool) & ~minor
    held = place.label(block, columns["diploma"], _DIPLOMA[columns["diploma"]])
    place.refuse(
        old & ~minor & ~student & (held == ""),
        block,
        columns["diploma"],
        "an adult no longer enrolled has no diploma code",
    )
    work = place.label(block, columns["occupation"], _OCCUPATION[columns["occupation"]])
    known = block["IRIS"].str.strip() != _NO_IRIS
    band = np.searchsorted(_FIRST_AGE, age, side="right") - 1
    out = pd.DataFrame(
        {
            "geo": block["IRIS"].str.strip().where(known, block["CANTVILLE"].str.strip()),
            "level": known.map({True: "iris", False: "canton_or_city"}),
            # Position -1 is under 12, dropped below.
            "age": np.array([*AGE.levels, ""])[band],
            "sex": place.label(block, "SEXE", _SEX),
            "diploma": held.mask(student, DIPLOMA.levels[1]).mask(minor, DIPLOMA.levels[0]),
            "occupation": work.mask(student, OCCUPATION.levels[1]).mask(
                minor, OCCUPATION.levels[0]
            ),
            "n": 1,
            "N": weight,
            "N2": weight**2,
        }
    )
    return _added(out[old]), float(weight[~old].sum())


def _added(table: pd.DataFrame) -> pd.DataFrame:
    by = list(DETAIL_COLUMNS[:6])
    return table.groupby(by, sort=True)[list(DETAIL_COLUMNS[6:])].sum().reset_index()


class _Place:
    """Reads labels and numbers, and names the line of the first odd one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines = np.arange(0)

    def refuse(self, odd: pd.Series, block: pd.DataFrame, column: str, what: str) -> None:
        if odd.any():
            row = int(np.flatnonzero(odd)[0])
            raise InputError(
                what,
                where=f"{self.name}, line {self.lines[row]}, column {column}",
                got=repr(block[column].iloc[row]),
            )

    def number(self, block: pd.DataFrame, column: str) -> pd.Series:
        values = pd.to_numeric(block[column].str.replace(",", "."), errors="coerce")
        self.refuse(~(values >= 0), block, column, "a cell is not a number, zero or more")
        return values

    def label(self, block: pd.DataFrame, column: str, known: Mapping[str, object]) -> pd.Series:
        values = block[column].str.strip()
        self.refuse(~values.isin(list(known)), block, column, "a code is not in the dictionary")
        return values.map(dict(known))
