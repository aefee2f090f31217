"""Margins: what calibrated weights must add up to, however the user writes it.

A margin is one of

- counts of a variable, ``{"sex": {"F": 520, "M": 480}}``;
- counts of crossed variables, ``{("sex", "age"): {("F", "15-24"): 60, ...}}``;
- the total of a numeric variable, ``{"income": 470_000}``;
- the same by category, ``Margin("sex", {"F": 210_000, "M": 260_000}, value="income")``;
- any of these with a standard error or a cost, so that it may give way (soft calibration).

A tidy table (columns ``margin, level, total`` and perhaps ``value, se, cost, per``), a Calmar table
(`read_calmar`) or pandas Series with named indexes say the same thing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import CalibrationError, MarginError, nearest

__all__ = ["Level", "Margin", "Margins", "TotalNames", "as_margins", "number"]

Level = tuple[object, ...]
Per = Literal["unit", "household"]


@dataclass(frozen=True, slots=True)
class Margin:
    """Totals of one variable, or of several crossed.

    Attributes
    ----------
    by : str or tuple of str
        Categorical variables, crossed; ``()`` for the plain total of a numeric variable.
    totals : mapping, Series or float
        Total by level (by tuple of levels when crossed), or the total itself.
    value : str, optional
        Numeric variable to add up; counts of units otherwise.
    se : float or mapping, optional
        Standard error of the totals: the margin is met as far as it is known.
    cost : float
        Price of a relative miss against that of moving weights; infinite is exact.
    per : {"unit", "household"}
        Whether a household's members count one by one or once.

    Examples
    --------
    >>> Margin("sex", {"women": 3.0, "men": 5.0}, se=0.5).by
    ('sex',)
    """

    by: str | tuple[str, ...]
    totals: Mapping[Any, float] | pd.Series | float
    value: str | None = None
    se: float | Mapping[Any, float] | None = None
    cost: float = math.inf
    per: Per = "unit"

    def __post_init__(self) -> None:
        by = (self.by,) if isinstance(self.by, str) else tuple(self.by)
        object.__setattr__(self, "by", by)
        object.__setattr__(self, "totals", _by_level(self.totals, by, self._called(by)))
        if self.se is not None and isinstance(self.se, Mapping | pd.Series):
            object.__setattr__(self, "se", _by_level(self.se, by, f"se of {self._called(by)}"))
        self._check()

    def _called(self, by: tuple[str, ...]) -> str:
        crossed = "*".join(by)
        if self.value is None:
            return crossed
        return f"{self.value} by {crossed}" if by else self.value

    @property
    def name(self) -> str:
        """What messages call this margin."""
        return self._called(self.variables)

    @property
    def variables(self) -> tuple[str, ...]:
        """Categorical variables, in the order of the levels."""
        return (self.by,) if isinstance(self.by, str) else self.by

    @property
    def by_level(self) -> dict[Level, float]:
        """Total of each tuple of levels."""
        assert isinstance(self.totals, dict)
        return self.totals

    @property
    def soft(self) -> bool:
        """Whether the margin may be missed."""
        return self.se is not None or math.isfinite(self.cost)

    @property
    def errors(self) -> npt.NDArray[np.float64]:
        """Standard error of each total, in the order of the levels; 0 where none is given."""
        if self.se is None:
            return np.zeros(len(self.by_level))
        if isinstance(self.se, Mapping):
            return np.array([self.se[level] for level in self.by_level], dtype=np.float64)
        return np.full(len(self.by_level), float(self.se))

    def sum(self) -> float:
        """Return the grand total."""
        return math.fsum(self.by_level.values())

    def label(self, level: Level) -> str:
        """Return the name of one total, for instance ``sex = F, age = 15-24``."""
        where = ", ".join(f"{v} = {x}" for v, x in zip(self.variables, level, strict=True))
        if self.value is None:
            return where
        return f"{self.value} where {where}" if where else self.value

    def _check(self) -> None:
        if not self.variables and self.value is None:
            raise MarginError("a margin needs a variable", hint='write Margin("sex", {...})')
        if not self.by_level:
            raise MarginError("a margin has no level", where=self.name)
        bad = [lv for lv, total in self.by_level.items() if not math.isfinite(total)]
        if bad:
            raise MarginError(
                "a margin's total is missing or infinite",
                where=self.name,
                got=", ".join(f"{self.label(lv)}: {self.by_level[lv]}" for lv in bad[:5]),
                expected="a finite number for every level",
                hint="a suppressed total is missing, never zero: drop the margin or merge levels",
            )
        negative = [lv for lv, total in self.by_level.items() if total < 0]
        if self.value is None and negative:
            raise MarginError(
                "a count is negative",
                where=self.name,
                got=", ".join(f"{self.label(lv)}: {self.by_level[lv]:g}" for lv in negative[:5]),
                expected="counts of 0 or more",
            )
        if not self.cost > 0:
            raise MarginError("a cost must be positive", where=self.name, got=self.cost)
        errors = self.se.values() if isinstance(self.se, Mapping) else [self.se]
        if any(se is not None and not (math.isfinite(se) and se >= 0) for se in errors):
            raise MarginError("a standard error is negative or missing", where=self.name)
        if isinstance(self.se, Mapping) and set(self.se) != set(self.by_level):
            raise MarginError("standard errors and totals have other levels", where=self.name)


class TotalNames(Sequence[str]):
    """Names of the totals of margins, in order, each written when asked for: by messages only."""

    def __init__(self, margins: Sequence[Margin]) -> None:
        self._levels = [(m, level) for m in margins for level in m.by_level]

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if isinstance(at, slice):
            return [margin.label(level) for margin, level in self._levels[at]]
        margin, level = self._levels[at]
        return margin.label(level)

    def __len__(self) -> int:
        return len(self._levels)


Margins = (
    Mapping[str, object]
    | Mapping[tuple[str, ...], object]
    | Mapping[str | tuple[str, ...], object]
    | Sequence[Margin | pd.Series]
    | pd.DataFrame
    | Margin
)


def _by_level(totals: object, by: tuple[str, ...], name: str) -> dict[Level, float]:
    """Return totals keyed by tuples of levels."""
    if isinstance(totals, pd.Series):
        if totals.index.has_duplicates:
            raise MarginError(
                "a level stands twice in a margin",
                where=name,
                got=", ".join(map(str, totals.index[totals.index.duplicated()][:5])),
            )
        totals = dict(zip(totals.index.tolist(), totals.tolist(), strict=True))
    if not isinstance(totals, Mapping):
        if by:
            raise MarginError(
                "a categorical margin needs a total by level", where=name, got=repr(totals)
            )
        return {(): number(totals, name)}
    if not by:
        raise MarginError("a plain total is one number", where=name, got=repr(totals)[:80])
    out: dict[Level, float] = {}
    for level, total in totals.items():
        key = level if isinstance(level, tuple) else (level,)
        if len(key) != len(by):
            raise MarginError(
                "a level does not match the margin's variables",
                where=name,
                got=repr(level),
                expected=f"one level of each of {', '.join(by)}",
            )
        if any(x is None or x != x for x in key):
            raise MarginError(
                "a margin has a missing level",
                where=name,
                got=repr(level),
                hint="give missing values a category of their own in the data and in the margin",
            )
        out[key] = number(total, name)
    return out


def number(total: object, name: str) -> float:
    """Return a total as a number, or say which margin holds something else."""
    try:
        return float(total)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise MarginError(
            "a margin's total is not a number",
            where=name,
            got=repr(total)[:80],
            hint='totals of categories are a dict, for instance {"F": 52, "M": 48}',
        ) from None


def as_margins(margins: Margins) -> tuple[Margin, ...]:
    """Return the margins in one form.

    Examples
    --------
    >>> [m.name for m in as_margins({"sex": {"F": 5, "M": 4}, "income": 90})]
    ['sex', 'income']
    """
    if isinstance(margins, Margin):
        found: Iterable[Margin] = [margins]
    elif isinstance(margins, pd.DataFrame):
        found = _from_table(margins)
    elif isinstance(margins, Mapping):
        found = [_from_item(key, value) for key, value in margins.items()]
    else:
        found = [_from_series(m) if isinstance(m, pd.Series) else m for m in margins]
    out = tuple(found)
    if not out:
        raise MarginError("there is no margin to calibrate on")
    wrong = [type(m).__name__ for m in out if not isinstance(m, Margin)]
    if wrong:
        raise MarginError(
            "not a margin",
            got=", ".join(wrong),
            expected="a dict, a tidy table, or a list of Margin or named Series",
        )
    names = [(m.name, m.per) for m in out]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise MarginError("a margin stands twice", where=", ".join(sorted(n for n, _ in twice)))
    _require_same_size(out)
    return out


def _from_item(key: object, value: object) -> Margin:
    if isinstance(value, Margin):
        return value
    by = key if isinstance(key, tuple) else (str(key),)
    if isinstance(value, Mapping | pd.Series):
        return Margin(by, value)
    if len(by) > 1:
        raise MarginError("a crossed margin needs a total by levels", where="*".join(by))
    return Margin((), number(value, by[0]), value=by[0])


def _from_series(series: pd.Series) -> Margin:
    names = series.index.names
    if any(name is None for name in names):
        raise MarginError(
            "a Series given as margin needs a named index",
            got=f"index names {list(names)}",
            hint='for instance counts.rename_axis("sex")',
        )
    return Margin(tuple(str(name) for name in names), series)


_TIDY = ("margin", "level", "total")


def _from_table(table: pd.DataFrame) -> list[Margin]:
    """Read one row a total; crossed variables are joined by ``*`` in margin and level."""
    missing = [c for c in _TIDY if c not in table.columns]
    if missing:
        raise MarginError(
            "a table of margins lacks columns",
            got=", ".join(map(str, table.columns)),
            expected="margin, level, total (and perhaps value, se, cost, per)",
            hint=nearest(missing[0], [str(c) for c in table.columns]),
        )
    out = []
    values = (
        table["value"] if "value" in table.columns else pd.Series(None, table.index, dtype=object)
    )
    key = [table["margin"].astype(str), values.astype(object).where(values.notna(), "")]
    for (name, value), rows in table.groupby(key, sort=False):
        out.append(_from_rows(str(name), str(value), rows))
    return out


def _from_rows(name: str, value: str, rows: pd.DataFrame) -> Margin:
    def only(column: str) -> object | None:
        if column not in rows.columns or rows[column].isna().all():
            return None
        if len(rows[column].unique()) > 1:
            raise MarginError(f"a margin has several values of {column}", where=name)
        found: object = rows[column].iloc[0]
        return found

    per: Per = "household" if only("per") == "household" else "unit"
    cost = only("cost")
    price = math.inf if cost is None else number(cost, name)
    by = tuple(name.split("*"))
    if rows["level"].isna().all() and len(rows) == 1 and not value:
        return Margin((), float(rows["total"].iloc[0]), name, _se(rows, [()]), price, per)
    levels = [_split(level, len(by), name) for level in rows["level"]]
    if len(set(levels)) < len(levels):
        raise MarginError("a level stands twice in a margin", where=name)
    totals = dict(zip(levels, (number(t, name) for t in rows["total"]), strict=True))
    return Margin(by, totals, value or None, _se(rows, levels), price, per)


def _se(rows: pd.DataFrame, levels: list[Level]) -> dict[object, float] | float | None:
    if "se" not in rows.columns or rows["se"].isna().all():
        return None
    if levels == [()]:
        return float(rows["se"].iloc[0])
    return dict(zip(levels, rows["se"].fillna(0.0).astype(float), strict=True))


def _split(level: object, count: int, name: str) -> Level:
    if count == 1:
        return (level,)
    parts = tuple(str(level).split("*"))
    if len(parts) != count:
        raise MarginError(
            "a level does not match the margin's variables", where=name, got=repr(level)
        )
    return parts


def _require_same_size(margins: Sequence[Margin]) -> None:
    """Refuse exact counts that describe populations of different sizes."""
    for per in ("unit", "household"):
        counts = [m for m in margins if m.value is None and m.per == per and not m.soft]
        for other in counts[1:]:
            a, b = counts[0].sum(), other.sum()
            # Published counts are rounded to a unit; adding up costs rounding only.
            if abs(a - b) > 1e-8 * max(abs(a), abs(b)):
                raise CalibrationError(
                    "margins contradict each other: they count different populations",
                    where=f"{counts[0].name}, {other.name}",
                    got=f"{counts[0].name} adds up to {a:.10g}, {other.name} to {b:.10g}",
                    expected="one population size",
                    hint="scale one margin to the other, or let one give way with se= or cost=",
                )
