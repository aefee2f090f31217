"""Open a statistical file as it was downloaded, and say where it is wrong.

Comma, semicolon or tab; UTF-8 or Windows-1252; zipped with its dictionary or not; header on the
first line or below a few lines of title. Everything is text until a reader asks for numbers.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from inegnum.errors import InputError, MissingDependencyError
from inegnum.provenance import sha256_bytes

__all__ = ["Raw", "codes", "numbers", "open_raw", "open_table", "year_in_name"]

# A header line holds one of these cells; titles above it do not.
_KEYS = frozenset(
    {"IRIS", "CODGEO", "COM", "ANNEE", "CANTVILLE", "DEP", "CODE_IRIS", "GEO", "COM_AV"}
)
_HEADER_WITHIN = 30
_SEPARATORS = ";,\t"


@dataclass(frozen=True, slots=True)
class Raw:
    """A file as text.

    Attributes
    ----------
    file : str
        Name of the file, and of the member of the archive.
    sha256 : str
        Hash of the file as downloaded.
    table : DataFrame
        Text, one row per line; column names in capitals.
    first_line : int
        Line of the file the first row stands on.
    """

    file: str
    sha256: str
    table: pd.DataFrame
    first_line: int

    def at(self, row: int, column: str = "") -> str:
        """Say where a row stands, for a message."""
        place = f"{self.file}, line {self.first_line + row}"
        return f"{place}, column {column}" if column else place


def open_raw(path: Path) -> Raw:
    """Read a csv, txt, xlsx or parquet file, possibly zipped or gzipped.

    Raises
    ------
    InputError
        The file cannot be read, the archive holds several tables, no header is found, or a line
        has too many or too few fields.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError("the file cannot be read", where=str(path), got=error.strerror) from error
    digest = sha256_bytes(data)
    name = path.name
    if name.lower().endswith(".zip"):
        name, data = _only_table(name, data)
    elif name.lower().endswith(".gz"):
        name, data = name[:-3], _gunzip(name, data)
    suffix = PurePath(name).suffix.lower()
    if suffix == ".parquet":
        table, first = _parquet(name, data), 1
    elif suffix in (".xlsx", ".xls"):
        table, first = _from_cells(name, _cells_of_workbook(name, data))
    else:
        table, first = _from_cells(name, _cells_of_text(name, data))
    return Raw(name, digest, table, first)


def open_table(path: Path) -> Raw:
    """Read a plain CSV whose header is its first line, whatever its columns are called."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError("the file cannot be read", where=str(path), got=error.strerror) from error
    cells = _split(_decoded(data), _decoded(data).partition("\n")[0])
    if not cells:
        raise InputError("the file is empty", where=path.name)
    table, first = _from_cells(path.name, cells, 0)
    return Raw(path.name, sha256_bytes(data), table, first)


def year_in_name(file: str) -> int | None:
    """Return the millésime a file name carries, if it carries one.

    Examples
    --------
    >>> year_in_name("base-ic-evol-struct-pop-2018.CSV")
    2018
    """
    found = re.findall(r"(?<!\d)((?:19|20)\d{2})(?!\d)", PurePath(file).name)
    return int(found[-1]) if found else None


def numbers(
    raw: Raw, columns: Sequence[str], *, missing: Collection[str] = (), negative: bool = False
) -> pd.DataFrame:
    """Return these columns as numbers; decimal commas are read, thousands spaces too.

    Parameters
    ----------
    raw : Raw
        The file.
    columns : sequence of str
        Columns to convert.
    missing : collection of str
        Cells that stand for a suppressed or absent value: they become NaN, never zero.
    negative : bool
        Whether negative numbers are meaningful.

    Raises
    ------
    InputError
        A cell is not a number; its line and column are named.
    """
    out = {}
    for column in columns:
        text = raw.table[column].str.strip()
        cleaned = text.str.replace(",", ".").str.replace(r"[\s\u00a0\u202f]", "", regex=True)
        suppressed = text.isin(list(missing))
        values = pd.to_numeric(cleaned.where(~suppressed, None), errors="coerce")
        odd = (values.isna() & ~suppressed) | np.isinf(values)
        if not negative:
            odd |= values < 0
        if odd.any():
            row = int(np.flatnonzero(odd)[0])
            raise InputError(
                "a cell is not a count" if not negative else "a cell is not a number",
                where=raw.at(row, column),
                got=repr(text.iloc[row]),
                expected="a number" + ("" if negative else ", zero or more"),
                hint="a suppressed value must be left out or marked as the producer marks it",
            )
        out[column] = values.astype("float64")
    return pd.DataFrame(out, index=raw.table.index)


_CODES = {
    "commune": (re.compile(r"(?:\d{2}|2[AB])\d{3}"), "five characters, as in 01004 or 2A004"),
    "IRIS": (re.compile(r"(?:\d{2}|2[AB])\d{7}"), "nine characters, as in 330630101"),
}


_ARTICLE = {"commune": "a", "IRIS": "an"}


def codes(raw: Raw, column: str, what: str, *, unique: bool = True) -> pd.Series:
    """Return a column of commune or IRIS codes, refusing the first odd one.

    Raises
    ------
    InputError
        A code has the wrong form (a lost zero above all) or stands twice.
    """
    pattern, form = _CODES[what]
    values = raw.table[column].str.strip()
    odd = ~values.str.fullmatch(pattern.pattern)
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        got = values.iloc[row]
        short = f"0{got}"
        hint = (
            f"a spreadsheet dropped its zero: {short}; open the file as it was downloaded"
            if pattern.fullmatch(short)
            else "codes are text"
        )
        raise InputError(
            f"{_ARTICLE[what]} {what} code has the wrong form",
            where=raw.at(row, column),
            got=repr(got),
            expected=form,
            hint=hint,
        )
    twice = values.duplicated()
    if unique and twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise InputError(
            f"{_ARTICLE[what]} {what} stands twice", where=raw.at(row, column), got=values.iloc[row]
        )
    return values


def _gunzip(name: str, data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise InputError(
            "the archive is damaged or incomplete", where=name, hint="download it again"
        ) from error


def _only_table(name: str, data: bytes) -> tuple[str, bytes]:
    """Return the one table of an archive, its dictionary (meta_, varmod) left aside."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            tables = [
                member
                for member in archive.namelist()
                if PurePath(member).suffix.lower() in (".csv", ".txt", ".xlsx", ".parquet")
                and not re.match(r"(meta|varmod|doc)", PurePath(member).name, re.IGNORECASE)
            ]
            if len(tables) != 1:
                raise InputError(
                    "the archive does not hold exactly one table",
                    where=name,
                    got=", ".join(tables) or "none",
                    expected="one csv, txt, xlsx or parquet file beside its dictionary",
                    hint="unzip it and give the table itself",
                )
            return PurePath(tables[0]).name, archive.read(tables[0])
    except zipfile.BadZipFile as error:
        raise InputError(
            "the archive is damaged or incomplete", where=name, hint="download it again"
        ) from error


def _parquet(name: str, data: bytes) -> pd.DataFrame:
    try:
        table = pd.read_parquet(io.BytesIO(data))
    except (OSError, ValueError) as error:
        raise InputError(
            "the parquet file cannot be read", where=name, hint="download it again"
        ) from error
    table.columns = [str(column).upper() for column in table.columns]
    return table.astype(object).where(table.notna(), "").astype(str)


def _cells_of_text(name: str, data: bytes) -> list[list[str]]:
    text = _decoded(data)
    lines = text.splitlines()
    sample = next((line for line in lines[:_HEADER_WITHIN] if _is_header(line)), None)
    if sample is None:
        raise InputError(
            "no header is found",
            where=name,
            got=repr(lines[0][:80]) if lines else "an empty file",
            expected=f"a line with one of {', '.join(sorted(_KEYS))}",
            hint="give an official file as the producer publishes it, without editing it",
        )
    return _split(text, sample)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _split(text: str, header: str) -> list[list[str]]:
    """Split into cells by the separator the header line uses most."""
    separator = max(_SEPARATORS, key=header.count)
    return list(csv.reader(io.StringIO(text), delimiter=separator))


def _is_header(line: str) -> bool:
    cells = re.split(f"[{_SEPARATORS}]", line)
    return any(cell.strip().strip('"').upper() in _KEYS for cell in cells)


def _cells_of_workbook(name: str, data: bytes) -> list[list[str]]:
    if name.lower().endswith(".xls"):
        raise InputError(
            "old spreadsheets (.xls) are not read",
            where=name,
            hint="download the csv version, or save the sheet as xlsx",
        )
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise MissingDependencyError(
            "reading xlsx files needs openpyxl",
            where=name,
            hint="pip install inegnum[report], or use the csv version",
        ) from error
    book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    for sheet in book.worksheets:
        rows = [["" if c is None else str(c) for c in row] for row in sheet.values]
        if any(_KEYS & {cell.strip().upper() for cell in row} for row in rows[:_HEADER_WITHIN]):
            return rows
    raise InputError("no sheet has a header", where=name, got=", ".join(book.sheetnames))


def _from_cells(
    name: str, cells: list[list[str]], start: int | None = None
) -> tuple[pd.DataFrame, int]:
    """Split header and rows, checking that every line has as many fields as the header."""
    if start is None:
        start = next(
            i
            for i, row in enumerate(cells[:_HEADER_WITHIN])
            if _KEYS & {cell.strip().upper() for cell in row}
        )
    header = [cell.strip().upper() for cell in cells[start]]
    while header and not header[-1]:
        header.pop()
    repeated = sorted({c for c in header if header.count(c) > 1})
    if repeated:
        raise InputError(
            "a column stands twice, capitals apart",
            where=name,
            got=", ".join(repeated[:5]),
            hint="give an official file as the producer publishes it, without editing it",
        )
    rows = []
    for i, row in enumerate(cells[start + 1 :], start + 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < len(header) or any(cell.strip() for cell in row[len(header) :]):
            raise InputError(
                "a line does not have as many fields as the header",
                where=f"{name}, line {i}",
                got=f"{len(row)} fields",
                expected=f"{len(header)} fields",
                hint="the file is truncated or was edited: download it again",
            )
        rows.append(row[: len(header)])
    if not rows:
        raise InputError("the file has a header and no rows", where=name)
    return pd.DataFrame(rows, columns=header, dtype=str), start + 2
