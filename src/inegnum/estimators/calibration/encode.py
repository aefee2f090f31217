"""From columns and margins to the numbers calibration works on.

Every variable is coded once, against the levels its margins name. A column of small integers or a
pandas Categorical whose categories are already in order is used as it stands, without a copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError, MarginError, nearest

__all__ = [
    "Columns",
    "as_columns",
    "column",
    "encode",
    "factor",
    "given_weights",
    "numeric",
    "require_same_rows",
    "require_usable_weights",
    "weights_of",
]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer[Any]]
Columns = pd.DataFrame | Mapping[str, npt.ArrayLike]

# Integers within this range are coded through a table rather than a hash.
_TABLE: Final = 1 << 20
# Values looked at together: they stay in a core's own cache.
_TILE: Final = 32_768


def as_columns(data: Columns) -> int:
    """Return the number of rows, refusing what is not a table of equal columns."""
    if isinstance(data, pd.DataFrame):
        n = len(data)
    elif isinstance(data, Mapping):
        lengths = {name: len(np.asarray(col)) for name, col in data.items()}
        if len(set(lengths.values())) > 1:
            raise InputError("columns have different lengths", got=lengths)
        n = next(iter(lengths.values()), 0)
    else:
        raise InputError(
            "data must be a data frame or a dict of columns",
            got=type(data).__name__,
            hint="a polars frame becomes one with .to_pandas()",
        )
    if n == 0:
        raise InputError("data has no rows", got="0 rows")
    return n


def column(data: Columns, name: str) -> pd.Series | npt.NDArray[Any]:
    """Return one column, or say which was meant."""
    if name not in data:
        names = [str(c) for c in (data.columns if isinstance(data, pd.DataFrame) else data)]
        raise InputError("there is no such column", where=name, hint=nearest(name, names))
    found = data[name]
    if isinstance(found, pd.DataFrame):
        raise InputError("a column name stands twice in the data", where=name)
    return found if isinstance(found, pd.Series) else np.asarray(found)


def numeric(data: Columns, name: str) -> Floats:
    """Return a numeric column without missing values, shape (n,)."""
    try:
        values = np.asarray(column(data, name), dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("a variable is not numeric", where=name) from None
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InputError(
            "a numeric variable has missing or infinite values",
            where=f"{name}, rows {bad[:5].tolist()}",
            got=f"{bad.size} of {values.size} rows",
            hint="impute them, or leave those units out of the calibration on purpose",
        )
    return values


def weights_of(data: Columns, weights: str | npt.ArrayLike | None, n: int) -> Floats | None:
    """Return initial weights that can be used, shape (n,); None when none were given."""
    d = given_weights(data, weights, n)
    if d is not None:
        require_usable_weights(d, weights if isinstance(weights, str) else "weights")
    return d


def given_weights(data: Columns, weights: str | npt.ArrayLike | None, n: int) -> Floats | None:
    """Return initial weights as they were given, values unchecked, shape (n,)."""
    if weights is None:
        return None
    where = weights if isinstance(weights, str) else "weights"
    require_same_rows(data, weights, where)
    raw = column(data, weights) if isinstance(weights, str) else weights
    try:
        d = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("initial weights are not numbers", where=where) from None
    if d.shape != (n,):
        raise InputError("weights and data differ in length", where=where, got=d.shape, expected=n)
    return d


def require_same_rows(data: Columns, given: object, where: str) -> None:
    """Refuse a Series whose index is not the data's: by position or by label would differ."""
    if not (isinstance(given, pd.Series) and isinstance(data, pd.DataFrame)):
        return
    if len(given) == len(data) and not given.index.equals(data.index):
        raise InputError(
            "a Series and the data have different indexes",
            where=where,
            hint="reindex it on the data's, or give .to_numpy() if its order is that of the rows",
        )


def require_usable_weights(d: Floats, where: str) -> None:
    """Refuse weights that are negative, missing or infinite, or all zero."""
    if not (np.isfinite(d).all() and d.min() >= 0):
        bad = np.flatnonzero(~(np.isfinite(d) & (d >= 0)))
        raise InputError(
            "initial weights must be finite and not negative",
            where=f"{where}, rows {bad[:5].tolist()}",
            got=f"{d[bad[:5]].tolist()}, {bad.size} such rows",
            hint="find out where they come from; a unit to leave out has weight 0",
        )
    if not d.max() > 0:
        raise InputError("all initial weights are zero", where=where)


def factor(data: Columns, name: str) -> tuple[npt.NDArray[np.intp], list[object]]:
    """Return codes and levels of a column in sorted order; missing values are refused."""
    codes, levels = pd.factorize(column(data, name), sort=True)
    _refuse_missing(codes, name)
    return np.asarray(codes, dtype=np.intp), list(levels)


def encode(data: Columns, name: str, levels: Sequence[object], *, trusted: bool = False) -> Codes:
    """Return the position of each row's value among `levels`, shape (n,).

    Parameters
    ----------
    data, name
        Where the values are.
    levels : sequence
        Categories, in the order of the codes.
    trusted : bool
        Take integers for positions where the levels are 0, 1, 2... without reading them: the
        caller checks their range as it goes.

    Raises
    ------
    InputError
        A value is missing.
    MarginError
        A value of the data has no level.
    """
    values = column(data, name)
    if isinstance(values, pd.Series) and isinstance(values.dtype, pd.CategoricalDtype):
        codes = np.asarray(values.cat.codes)
        return _relabel(codes, list(values.cat.categories), levels, name)
    array = np.asarray(values) if not isinstance(values, pd.Series) else values.to_numpy()
    if array.dtype.kind in "iu" and array.size:
        in_place = _may_be_codes(array, levels)
        if in_place and trusted:
            return array
        low, high = _range(array)
        if in_place and low >= 0 and high < len(levels):
            return array
        if high - low < _TABLE:
            return _from_integers(array, low, high, levels, name)
    codes, uniques = pd.factorize(values)
    return _relabel(np.asarray(codes), list(uniques), levels, name)


def _may_be_codes(array: npt.NDArray[Any], levels: Sequence[object]) -> bool:
    """Return whether integers could be the positions of the levels 0, 1, 2..."""
    return array.flags.c_contiguous and list(levels) == list(range(len(levels)))


def _range(array: npt.NDArray[Any]) -> tuple[int, int]:
    """Return the smallest and largest value, tile by tile: one reading of memory, not two."""
    tiles = [array[at : at + _TILE] for at in range(0, array.size, _TILE)]
    bounds = [(tile.min(), tile.max()) for tile in tiles]
    return int(min(low for low, _ in bounds)), int(max(high for _, high in bounds))


def _from_integers(
    array: npt.NDArray[Any], low: int, high: int, levels: Sequence[object], name: str
) -> Codes:
    place = {level: i for i, level in enumerate(levels)}
    table = np.array([place.get(v, -1) for v in range(low, high + 1)])
    codes = table.astype(_narrow(len(levels)))[array - low]
    if codes.min() < 0:
        found = np.unique(array[codes < 0])
        _unknown(name, list(found.tolist()), int((codes < 0).sum()), levels)
    return np.asarray(codes)


def _relabel(codes: Codes, own: list[object], levels: Sequence[object], name: str) -> Codes:
    """Translate codes of a column's own categories to those of the margins."""
    _refuse_missing(codes, name)
    if own == list(levels)[: len(own)]:
        return codes
    place = {level: i for i, level in enumerate(levels)}
    table = np.array([place.get(v, -1) for v in own], dtype=_narrow(len(levels)))
    out = table[codes]
    if table.size and table.min() < 0 and out.min() < 0:
        used = [v for i, v in enumerate(own) if table[i] < 0 and bool(np.any(codes == i))]
        _unknown(name, used, int((out < 0).sum()), levels)
    return np.asarray(out)


def _narrow(size: int) -> type[np.signedinteger[Any]]:
    return np.int8 if size < 128 else np.int16 if size < 32768 else np.int32


def _refuse_missing(codes: Codes, name: str) -> None:
    if codes.size and codes.min() < 0:
        rows = np.flatnonzero(codes < 0)
        raise InputError(
            "a categorical variable has missing values",
            where=f"{name}, rows {rows[:5].tolist()}",
            got=f"{rows.size} of {codes.size} rows",
            hint="impute them, or give them a category of their own (in the margin too)",
        )


def _unknown(name: str, found: list[object], rows: int, levels: Sequence[object]) -> None:
    shown = ", ".join(map(repr, found[:5])) + (", ..." if len(found) > 5 else "")
    hint = nearest(str(found[0]), [str(x) for x in levels])
    if {type(x) for x in found}.isdisjoint({type(x) for x in levels}) and {
        str(x) for x in found
    } & {str(x) for x in levels}:
        hint = (
            f"the data holds {type(found[0]).__name__}, the margin {type(levels[0]).__name__}: "
            "convert one to the other"
        )
    raise MarginError(
        "the sample has categories without a total",
        where=name,
        got=f"{shown} ({rows} rows)",
        expected=", ".join(map(repr, list(levels)[:10])),
        hint=hint,
    )
