"""Margins from shares of a population, and from tables in the form of Calmar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from inegnum.errors import MarginError
from inegnum.estimators.calibration.margins import Margin, Margins, as_margins

__all__ = ["proportions", "read_calmar"]


def proportions(margins: Margins, size: float) -> tuple[Margin, ...]:
    """Return margins of counts from margins of proportions and a population size.

    Totals of numeric variables stay as they are, as in Calmar.

    Examples
    --------
    >>> proportions({"sex": {"F": 0.6, "M": 0.4}}, 50)[0].by_level
    {('F',): 30.0, ('M',): 20.0}
    """
    if not (math.isfinite(size) and size > 0):
        raise MarginError("a population size must be positive", where="size", got=size)
    out = []
    for margin in as_margins(margins):
        if margin.value is not None:
            out.append(margin)
            continue
        total = margin.sum()
        # Shares printed with four digits add up to one within a few units of the last.
        if abs(total - 1) > 1e-3:
            raise MarginError(
                "proportions do not add up to 1",
                where=margin.name,
                got=f"{total:.6g}",
                hint="divide percentages by 100; counts need no size",
            )
        counts = {lv: size * share / total for lv, share in margin.by_level.items()}
        out.append(replace(margin, totals=counts))
    return tuple(out)


def read_calmar(table: pd.DataFrame, levels: Mapping[str, Sequence[object]]) -> tuple[Margin, ...]:
    """Return margins from a Calmar (or icarus) table.

    Parameters
    ----------
    table : DataFrame
        One row a variable: its name, its number of categories (0 for a numeric variable), then
        one total a category, in order.
    levels : mapping
        Categories of each categorical variable, in the order of the columns.

    Examples
    --------
    >>> table = pd.DataFrame([["sex", 2, 140, 90], ["salary", 0, 470_000, 0]])
    >>> [m.name for m in read_calmar(table, {"sex": [1, 2]})]
    ['sex', 'salary']
    """
    out = []
    for row in table.itertuples(index=False):
        name, count, *totals = row
        name, count = str(name), int(count)
        if count == 0:
            out.append(Margin((), float(totals[0]), value=name))
            continue
        known = levels.get(name)
        if known is None or len(known) != count:
            raise MarginError(
                "a Calmar margin needs its categories in order",
                where=name,
                got="none" if known is None else f"{len(known)} categories",
                expected=f"{count} categories",
            )
        out.append(Margin(name, dict(zip(known, totals[:count], strict=True))))
    return as_margins(out)
