"""A territory's own survey: one CSV of respondents and one codebook.

The codebook (`own_codebook`) says which column is the weight, which is the place, which levels of
the file are which levels of the package, and which answers count as yes. Nothing is guessed: a
level the codebook does not name is refused, and `level_mapping` lists every level found, what it
became, and how many respondents hold it.

Limits: 12-17 is one class whatever the file says of their diploma or occupation; students named by
one of the two axes are students on both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from inegnum.data.importers.reading import Raw, codes, numbers, open_table
from inegnum.data.indicators import indicator
from inegnum.data.own_codebook import BANDS, FROM_FILE, YOUNGEST, Codebook, read_codebook
from inegnum.data.survey import collapse
from inegnum.data.types import CELL_KEYS, CELL_SUMS, SurveyCells
from inegnum.errors import InputError, UniverseError, nearest
from inegnum.provenance import Source

__all__ = ["OwnSurvey", "level_mapping", "read_own_survey"]

Status = Literal["matched", "left out", "unmatched"]


@dataclass(frozen=True, slots=True)
class OwnSurvey:
    """A survey on the package's codebook.

    Attributes
    ----------
    table : DataFrame
        ``indicator, geo``, the keys of survey cells (``""`` for an axis the survey does not have)
        and their sums.
    mapping : DataFrame
        ``column, value, becomes, status, n``: every level found.
    source : Source
        With the hash of the file read.
    """

    table: pd.DataFrame
    mapping: pd.DataFrame
    source: Source

    def cells(self, code: str, *, places: bool = False) -> SurveyCells:
        """Return the cells of one indicator, all places together or, on request, apart.

        With `places` the cells have a column ``geo`` more: what local cells are fused by.

        Raises
        ------
        InputError
            The survey does not have the indicator, or lacks an axis a model needs.
        """
        kept = self._of(code)
        absent = [axis for axis in CELL_KEYS[1:5] if (kept[axis] == "").any()]
        if absent:
            raise InputError(
                "the survey lacks an axis",
                where=f"{self.source.name}, {code}",
                got=", ".join(absent),
                expected="age, sex, diploma and occupation",
                hint="use its rates by area (by_area): they need no axis",
            )
        if places and (kept["geo"] == "").any():
            raise InputError(
                "respondents have no place",
                where=f"{self.source.name}, {code}",
                got=f"{kept.loc[kept['geo'] == '', 'n'].sum():g} respondents",
                hint="name the column of commune codes in the codebook: geo = ...",
            )
        keys = [*(["geo"] if places else []), *CELL_KEYS]
        sums = kept.groupby(keys, sort=True)[list(CELL_SUMS)].sum().reset_index()
        return SurveyCells(sums, indicator(code), self.source)

    def by_area(self, code: str) -> pd.DataFrame:
        """Return the six sums of one indicator by place: ``geo, n, y, w, wy, w2, w2y``."""
        kept = self._of(code)
        if (kept["geo"] == "").all():
            raise InputError(
                "the survey has no places",
                where=self.source.name,
                hint="name the column of commune codes in the codebook: geo = ...",
            )
        return kept.groupby("geo", sort=True)[list(CELL_SUMS)].sum().reset_index()

    def _of(self, code: str) -> pd.DataFrame:
        kept = self.table[self.table["indicator"] == code]
        if kept.empty:
            known = sorted(self.table["indicator"].unique())
            raise InputError(
                "the survey does not have this indicator",
                where=self.source.name,
                got=code,
                hint=nearest(code, known),
            )
        return kept


def read_own_survey(path: Path, codebook: Path) -> OwnSurvey:
    r"""Read a survey of the territory.

    Raises
    ------
    InputError
        The codebook or the file is odd, or a level is in one and not in the other.
    UniverseError
        A respondent is younger than the universe the codebook states.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> survey = "insee;age;sexe;poids;q12\n33063;45;1;1,5;1\n33063;70;2;1;2\n"
    >>> codebook = '''
    ... year = 2023
    ... mode = "phone"
    ... weight = "poids"
    ... geo = "insee"
    ... [source]
    ... name = "own"
    ... producer = "the agency"
    ... title = "survey of 2023"
    ... universe = "12+"
    ... vintage = "2023"
    ... unit = "respondents and weights"
    ... licence = "etalab-2.0"
    ... sha256 = ""
    ... role = "fit"
    ... [[axes]]
    ... axis = "age"
    ... column = "age"
    ... years = true
    ... [[axes]]
    ... axis = "sex"
    ... column = "sexe"
    ... levels = ["1 = men", "2 = women"]
    ... [[answers]]
    ... indicator = "smartphone"
    ... column = "q12"
    ... yes = ["1"]
    ... no = ["2"]
    ... '''
    >>> with TemporaryDirectory() as folder:
    ...     path, book = Path(folder) / "own.csv", Path(folder) / "own.toml"
    ...     _ = path.write_text(survey), book.write_text(codebook)
    ...     own = read_own_survey(path, book)
    >>> own.by_area("smartphone")[["geo", "n"]].values.tolist()
    [['33063', 2]]
    """
    book = read_codebook(codebook)
    raw = open_table(path)
    _columns_exist(raw, book)
    mapping = _mapping(raw, book)
    unmatched = mapping[mapping["status"] == "unmatched"]
    if len(unmatched):
        first = unmatched.iloc[0]
        raise InputError(
            "levels of the survey are not in its codebook",
            where=f"{raw.file}, column {first['column']}",
            got="; ".join(
                f"{row.column} {row.value!r}: {row.n} respondents"
                for row in unmatched.head(5).itertuples()
            ),
            expected="every level named in levels, yes, no, missing or left_out",
            hint="add them to the codebook; level_mapping lists them all",
        )
    keys = _keys(raw, book)
    frames = []
    for answer in book.answers:
        y = _values(raw, answer.column, answer.levels()).astype(float).loc[keys.index]
        if YOUNGEST[indicator(answer.indicator).universe] > YOUNGEST[book.source.universe]:
            y = y.where(keys["age"] != "12-17")
        frames.append(_cells(keys, y).assign(indicator=answer.indicator))
    table = pd.concat(frames, ignore_index=True)
    source = replace(book.source, sha256=raw.sha256)
    return OwnSurvey(table[["indicator", "geo", *CELL_KEYS, *CELL_SUMS]], mapping, source)


def level_mapping(path: Path, codebook: Path) -> pd.DataFrame:
    """Return every level found in the survey and what it becomes, unmatched ones included.

    Returns
    -------
    DataFrame
        ``column, value, becomes, status`` (matched, left out, unmatched) and ``n`` respondents.
    """
    book = read_codebook(codebook)
    raw = open_table(path)
    _columns_exist(raw, book)
    return _mapping(raw, book)


def _columns_exist(raw: Raw, book: Codebook) -> None:
    named = [*(a.column for a in book.axes), *(a.column for a in book.answers)]
    named += [column for column in (book.weight, book.geo) if column]
    for column in named:
        if column.upper() not in raw.table.columns:
            raise InputError(
                "the codebook names a column the survey does not have",
                where=raw.file,
                got=column,
                hint=nearest(column.upper(), raw.table.columns),
            )


def _mapping(raw: Raw, book: Codebook) -> pd.DataFrame:
    rows = []
    for axis in book.axes:
        becomes: dict[str, object] = dict(axis.becomes())
        counts = raw.table[axis.column.upper()].str.strip().value_counts()
        if axis.years:
            becomes = {v: _age(v) for v in counts.index if v.isdigit()}
        rows += _rows(axis.column, counts, becomes, axis.left_out)
    for answer in book.answers:
        counts = raw.table[answer.column.upper()].str.strip().value_counts()
        names: dict[str, object] = {
            value: f"{answer.indicator}: {what}"
            for what in ("yes", "no", "missing")
            for value in getattr(answer, what)
        }
        rows += _rows(answer.column, counts, names, ())
    return pd.DataFrame(rows, columns=["column", "value", "becomes", "status", "n"])


def _rows(
    column: str, counts: pd.Series, becomes: Mapping[str, object], left_out: tuple[str, ...]
) -> list[tuple[str, str, str, Status, int]]:
    out: list[tuple[str, str, str, Status, int]] = []
    for value, n in sorted(counts.items()):
        text = str(value)
        status: Status = "unmatched"
        if text in left_out:
            status = "left out"
        elif text in becomes:
            status = "matched"
        out.append((column, text, str(becomes.get(text, "")), status, int(n)))
    return out


def _age(years: str) -> str:
    return next((band for band, low in reversed(BANDS.items()) if int(years) >= low), "under 12")


def _values(raw: Raw, column: str, levels: Mapping[str, object]) -> pd.Series:
    return raw.table[column.upper()].str.strip().map(dict(levels))


def _keys(raw: Raw, book: Codebook) -> pd.DataFrame:
    """Return the keys of every respondent that is kept, with weight and place."""
    keys = pd.DataFrame(index=raw.table.index)
    kept = pd.Series(True, index=raw.table.index)
    for axis in book.axes:
        text = raw.table[axis.column.upper()].str.strip()
        kept &= ~text.isin(list(axis.left_out))
        if axis.years:
            young = kept & (pd.to_numeric(text, errors="coerce") < YOUNGEST[book.source.universe])
            if young.any():
                row = int(np.flatnonzero(young)[0])
                raise UniverseError(
                    "a respondent is younger than the universe of the survey",
                    where=raw.at(row, axis.column),
                    got=f"{text.iloc[row]} years",
                    expected=book.source.universe,
                )
            keys[axis.axis] = text.map(lambda v: _age(v) if v.isdigit() else "")
        else:
            keys[axis.axis] = text.map(axis.becomes()).fillna("")
    for axis_name in FROM_FILE:
        if axis_name not in keys:
            keys[axis_name] = ""
    _outside_the_crossing(keys)
    keys["wave"], keys["mode"] = book.year, book.mode
    keys["geo"] = _places(raw, book.geo.upper()) if book.geo else ""
    keys["w"] = numbers(raw, [book.weight.upper()])[book.weight.upper()] if book.weight else 1.0
    zero = kept & (keys["w"] <= 0)
    if zero.any():
        row = int(np.flatnonzero(zero)[0])
        raise InputError(
            "a weight is not positive", where=raw.at(row, book.weight), got=keys["w"].iloc[row]
        )
    return keys[kept]


def _places(raw: Raw, column: str) -> pd.Series:
    """Return commune or IRIS codes, whichever the first one is."""
    iris = len(raw.table[column].iloc[0].strip()) == 9
    return codes(raw, column, "IRIS" if iris else "commune", unique=False)


def _outside_the_crossing(keys: pd.DataFrame) -> None:
    """Put minors and students in their own class of diploma and of occupation."""
    crossing = [a for a in ("diploma", "occupation") if (keys[a] != "").any()]
    student = (keys[crossing] == "student").any(axis=1)
    minor = keys["age"] == "12-17"
    for axis in crossing:
        keys.loc[student, axis] = "student"
        keys.loc[minor, axis] = "minor"


def _cells(keys: pd.DataFrame, y: pd.Series) -> pd.DataFrame:
    """Sum respondents into cells, place by place."""
    parts = [collapse(rows, y.loc[rows.index]).assign(geo=geo) for geo, rows in keys.groupby("geo")]
    return pd.concat(parts, ignore_index=True)
