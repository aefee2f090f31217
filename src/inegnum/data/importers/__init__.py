"""Read official files as they are downloaded, check them, and give them one shape.

| file | reader | met a real file |
|---|---|---|
| base-ic-evol-struct-pop, base-cc-* | `census_bases` | yes (2013, IRIS) |
| base-ic-diplomes-formation, -activite-residents, -couples-familles-menages | same | no |
| BTT_TD_*, BTX_TD_* (POP1A, POP1B, POP5, POP6, FOR2) | `census_tables` | no |
| FD_INDCVI | `census_detail` | no |
| Filosofi, communes and IRIS | `income` | yes (2019, 2021) |
| Baromètre du numérique | `barometre` | yes (2016-2022) |
"""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePath

from inegnum.data.importers.barometre import is_barometre, read_barometre
from inegnum.data.importers.census_bases import is_base, read_base
from inegnum.data.importers.census_detail import read_detail
from inegnum.data.importers.census_tables import is_table, read_table
from inegnum.data.importers.income import is_income, read_income
from inegnum.data.importers.reading import open_raw
from inegnum.data.importers.tidy import TIDY_COLUMNS, Imported, to_margins
from inegnum.errors import InputError

__all__ = ["TIDY_COLUMNS", "Imported", "read_file", "to_margins"]


def read_file(
    path: Path, *, year: int | None = None, departments: tuple[str, ...] = ()
) -> Imported:
    r"""Read an official file, whichever it is.

    Parameters
    ----------
    path : Path
        The file as downloaded: csv, txt, xlsx or parquet, zipped or not.
    year : int, optional
        Millésime, for files that carry it neither in their columns nor in their name.
    departments : tuple of str, optional
        Departments to keep of a census detail file.

    Raises
    ------
    InputError
        The file is not one of those the package reads, or something in it is odd.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> text = "CODGEO;MED21;TP6021\n33063;23000;16,0\n33249;18500;s\n"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "cc_filosofi_2021_COM.csv"
    ...     _ = path.write_text(text)
    ...     found = read_file(path)
    >>> found.kind, found.year, int(found.table["value"].isna().sum())  # secret is missing
    ('income', 2021, 1)
    """
    if _looks_like_detail(path):
        return read_detail(path, departments=departments)
    raw = open_raw(path)
    if is_barometre(raw):
        return read_barometre(raw)
    if is_base(raw):
        return read_base(raw)
    if is_table(raw):
        return read_table(raw, year=year)
    if is_income(raw):
        return read_income(raw, year=year)
    raise InputError(
        "the package does not know this file",
        where=raw.file,
        got=f"columns {', '.join(raw.table.columns[:8])}, ...",
        expected="base-ic-*, base-cc-*, BTT_TD_*, BTX_TD_*, FD_INDCVI, Filosofi, Baromètre",
        hint="give the file as the producer publishes it, without editing it",
    )


def _looks_like_detail(path: Path) -> bool:
    """Tell a census detail file by its name: it is too large to be opened whole."""
    names = [path.name]
    if path.suffix.lower() == ".zip" and path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names += [PurePath(member).name for member in archive.namelist()]
    return any("INDCVI" in name.upper() for name in names)
