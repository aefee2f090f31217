"""A wave of the Baromètre du numérique as the producer publishes it: respondents to cells."""

from __future__ import annotations

import pandas as pd

from inegnum.data.importers.reading import Raw
from inegnum.data.importers.tidy import Imported
from inegnum.data.indicators import definitions
from inegnum.data.survey import answers, collapse, recode

__all__ = ["is_barometre", "read_barometre"]

_MARKERS = {"ANNEE", "POND", "AGE6FUZ"}


def is_barometre(raw: Raw) -> bool:
    """Tell whether the columns are those of the Baromètre."""
    return set(raw.table.columns) >= _MARKERS


def read_barometre(raw: Raw) -> Imported:
    """Read respondents and sum them into cells, indicator by indicator.

    Indicators whose columns the file does not have are left out and listed in ``unused``.

    Returns
    -------
    Imported
        Columns ``indicator``, the keys of survey cells and their sums.

    Raises
    ------
    InputError
        See `inegnum.data.survey.recode` and `answers`; rows are counted from the file's header.
    """
    table = raw.table.copy()
    table.index = pd.RangeIndex(raw.first_line, raw.first_line + len(table), name="line")
    keys = recode(table)
    waves = set(keys["wave"])
    frames, absent = [], []
    for known in definitions():
        code = known.indicator.code
        measures = [m for m in known.measures if waves & set(m.waves)]
        needed = {column for m in measures for column in m.columns()}
        if not measures or not needed <= set(table.columns):
            absent.append(code)
            continue
        frames.append(collapse(keys, answers(table, code)).assign(indicator=code))
    return Imported(
        kind="barometre",
        year=int(keys["wave"].max()),
        level="",
        table=pd.concat(frames, ignore_index=True),
        file=raw.file,
        sha256=raw.sha256,
        unused=tuple(absent),
        notes=("One indicator a row: no row links two answers of a respondent.",),
    )
