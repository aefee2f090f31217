"""Indicators of a distribution: means, poverty, inequality, quantiles, for many samples at once.

Every function takes responses sorted along the last axis, with their weights in the same order, and
returns one value a row. The definitions are those of R ``emdi`` and ``laeken``; in particular a
quantile of a sample is the inverse of its weighted distribution function, and a quantile of a
simulated census (equal weights) interpolates between order statistics.

References
----------
Foster, Greer and Thorbecke (1984), doi:10.2307/1913475 (head count and gap); Alfons and Templ
(2013), doi:10.18637/jss.v054.i15 (Gini, quintile share); Hyndman and Fan (1996),
doi:10.1080/00031305.1996.10473566 (quantiles, definitions 2 and 7).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError, nearest

__all__ = ["ADDITIVE", "NAMES", "Custom", "evaluate", "gini", "quantiles", "quintile_share"]

Floats = npt.NDArray[np.float64]
_QUANTILES: Final = {"q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}
ADDITIVE: Final = ("mean", "head_count", "poverty_gap")
POVERTY: Final = ("head_count", "poverty_gap")
NAMES: Final = (*ADDITIVE, "gini", "quintile_share", *_QUANTILES)


@dataclass(frozen=True, slots=True)
class Custom:
    """An indicator of one's own.

    Attributes
    ----------
    name : str
        Column name in the results.
    function : callable
        Takes sorted responses (L, N) and their weights (L, N); returns (L,).
    """

    name: str
    function: Callable[[Floats, Floats], Floats]


def gini(y: Floats, w: Floats) -> Floats:
    """Return the Gini coefficient of sorted responses, shape (L,).

    Examples
    --------
    >>> gini(np.array([[0.0, 0.0, 0.0, 1.0]]), np.ones((1, 4))).tolist()
    [0.75]
    """
    wy = w * y
    total, size = wy.sum(axis=-1), w.sum(axis=-1)
    ranked = 2.0 * np.einsum("...i,...i->...", wy, np.cumsum(w, axis=-1))
    return np.asarray((ranked - np.einsum("...i,...i->...", wy, w)) / (size * total) - 1.0)


def quantiles(y: Floats, w: Floats, probs: Sequence[float], *, interpolate: bool = False) -> Floats:
    """Return weighted quantiles of sorted responses, shape (Q, L).

    The inverse of the weighted distribution function; where it is flat at `prob` (to rounding) the
    two ends are averaged. With `interpolate`, and weights all equal, the interpolated quantile
    (``numpy.quantile``'s default).

    Examples
    --------
    >>> quantiles(np.array([[1.0, 2.0, 4.0, 8.0]]), np.ones((1, 4)), [0.25, 0.3]).tolist()
    [[1.5], [2.0]]
    """
    n = y.shape[-1]
    if (w == w[..., :1]).all():
        return _equal_quantiles(y, np.asarray(probs), interpolate)
    reach = np.cumsum(w, axis=-1)
    size = reach[..., -1:]
    out = []
    for prob in probs:
        # 1e-12 of the total weight: what adding up to a million weights loses to rounding
        below = reach < (prob - 1e-12) * size
        first = below.sum(axis=-1)
        last = np.minimum((reach <= (prob + 1e-12) * size).sum(axis=-1), n - 1)
        ends = np.stack([np.minimum(first, n - 1), np.maximum(first, last)], axis=-1)
        ends = np.broadcast_to(np.minimum(ends, n - 1), (*y.shape[:-1], 2))
        out.append(np.take_along_axis(y, ends, -1).mean(axis=-1))
    return np.asarray(out)


def _equal_quantiles(y: Floats, probs: Floats, interpolate: bool) -> Floats:
    """Return quantiles of sorted responses of equal weight, shape (Q, L)."""
    n = y.shape[-1]
    if interpolate:
        position = (n - 1) * probs
        low = np.floor(position).astype(np.int64)
        share = position - low
        high = np.minimum(low + 1, n - 1)
    else:
        rank = n * probs
        low = np.clip(np.ceil(rank - 1e-12 * n).astype(np.int64) - 1, 0, n - 1)
        high = np.clip(np.floor(rank + 1e-12 * n).astype(np.int64), low, n - 1)
        share = np.full(len(probs), 0.5)
    return np.array(
        [(1 - s) * y[..., i] + s * y[..., j] for i, j, s in zip(low, high, share, strict=True)]
    )


def quintile_share(y: Floats, w: Floats) -> Floats:
    """Return the mean of the richest fifth over that of the poorest fifth, shape (L,)."""
    low, high = quantiles(y, w, (0.2, 0.8))
    poor, rich = w * (y <= low[..., None]), w * (y > high[..., None])
    with np.errstate(divide="ignore", invalid="ignore"):
        top = (rich * y).sum(axis=-1) / rich.sum(axis=-1)
        bottom = (poor * y).sum(axis=-1) / poor.sum(axis=-1)
        return np.asarray(top / bottom)


def evaluate(
    y: Floats,
    w: Floats,
    names: Sequence[str | Custom],
    threshold: float | None,
    *,
    interpolate: bool = False,
) -> Floats:
    """Return indicators of unsorted responses, shape (K, L).

    Parameters
    ----------
    y : ndarray of shape (L, N)
        Responses.
    w : ndarray of shape (N,)
        Weights.
    names : sequence of K str or Custom
        Indicators.
    threshold : float, optional
        Poverty line.
    interpolate : bool
        How quantiles of equally weighted responses are defined (see `quantiles`).
    """
    _require_known(names, threshold)
    if (w == w[0]).all():
        # order is not free: without need, the means alone are taken
        ordered = np.sort(y, axis=-1) if _needs_order(names) else y
        return _equal_weights(ordered, names, threshold, interpolate)
    order = np.argsort(y, axis=-1)
    return _weighted(np.take_along_axis(y, order, -1), w[order], names, threshold)


def _needs_order(names: Sequence[str | Custom]) -> bool:
    return any(isinstance(name, Custom) or name not in ADDITIVE for name in names)


def _require_known(names: Sequence[str | Custom], threshold: float | None) -> None:
    for name in names:
        if isinstance(name, Custom):
            continue
        if name not in NAMES:
            raise InputError("unknown indicator", got=name, hint=nearest(name, NAMES))
        if name in POVERTY and (threshold is None or threshold <= 0):
            raise InputError(
                f"indicator {name} needs a poverty line", where="threshold", got=threshold
            )


def _weighted(
    y: Floats, W: Floats, names: Sequence[str | Custom], threshold: float | None
) -> Floats:
    """Return indicators of sorted responses with unequal weights, shape (K, L)."""
    total = W.sum(axis=-1)
    line = 0.0 if threshold is None else threshold
    out = []
    for name in names:
        if isinstance(name, Custom):
            out.append(np.asarray(name.function(y, W), dtype=np.float64))
        elif name in _QUANTILES:
            out.append(quantiles(y, W, [_QUANTILES[name]])[0])
        elif name == "gini":
            out.append(gini(y, W))
        elif name == "quintile_share":
            out.append(quintile_share(y, W))
        elif name == "mean":
            out.append((W * y).sum(axis=-1) / total)
        elif name == "head_count":
            out.append((W * (y < line)).sum(axis=-1) / total)
        else:
            out.append((W * np.maximum(1.0 - y / line, 0.0)).sum(axis=-1) / total)
    return np.array(out)


def _equal_weights(
    y: Floats, names: Sequence[str | Custom], threshold: float | None, interpolate: bool
) -> Floats:
    """Return the same from cumulated sums: one pass a figure, shape (K, L).

    Sorted responses, unless only means over units are asked for.
    """
    n = y.shape[-1]
    total = y.sum(axis=-1)
    line = 0.0 if threshold is None else threshold
    wanted = [name for name in names if isinstance(name, str) and name in _QUANTILES]
    probs = np.array([_QUANTILES[name] for name in wanted])
    levels = dict(zip(wanted, _equal_quantiles(y, probs, interpolate), strict=True))
    out = []
    for name in names:
        if isinstance(name, Custom):
            out.append(np.asarray(name.function(y, np.ones_like(y)), dtype=np.float64))
        elif name in levels:
            out.append(levels[name])
        elif name == "gini":
            out.append(2.0 * (y @ np.arange(1.0, n + 1.0)) / (n * total) - (n + 1.0) / n)
        elif name == "quintile_share":
            out.append(_equal_quintile_share(y))
        elif name == "mean":
            out.append(total / n)
        elif name == "head_count":
            out.append(np.count_nonzero(y < line, axis=-1) / n)
        else:
            out.append(np.maximum(1.0 - y / line, 0.0).sum(axis=-1) / n)
    return np.array(out)


def _equal_quintile_share(y: Floats) -> Floats:
    n = y.shape[-1]
    low, high = _equal_quantiles(y, np.array([0.2, 0.8]), interpolate=False)
    sums = np.cumsum(y, axis=-1)
    poor = np.count_nonzero(y <= low[:, None], axis=-1)
    up_to = np.count_nonzero(y <= high[:, None], axis=-1)
    below = np.take_along_axis(sums, poor[:, None] - 1, -1)[:, 0]
    rest = sums[:, -1] - np.take_along_axis(sums, up_to[:, None] - 1, -1)[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((rest / (n - up_to)) / (below / poor))
