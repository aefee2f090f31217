"""Whole numbers of persons from fractional weights or tables: truncate, replicate, sample.

The whole part of each weight is kept; what is left over is given, one by one, to units drawn with
the fractional parts as probabilities. The total is kept to the nearest whole number, no weight
moves by one or more, and on average none moves at all.
Reference: Lovelace & Ballas (2013) doi:10.1016/j.compenvurbsys.2013.03.004; systematic sampling:
Madow (1949). R: ``simPop::calibPop`` (and rakeR's ``integerise``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError

__all__ = ["integerise"]


def integerise(weights: npt.ArrayLike, seed: int | np.random.Generator) -> npt.NDArray[np.int64]:
    """Return whole weights, same shape.

    Parameters
    ----------
    weights : array_like
        Not negative, finite.
    seed : int or Generator

    Examples
    --------
    >>> integerise([1.0, 2.5, 0.5], seed=1).sum()
    np.int64(4)
    """
    w = np.asarray(weights, dtype=np.float64)
    if not np.isfinite(w).all() or (w < 0).any():
        raise InputError("weights to round must be finite and not negative")
    rng = np.random.default_rng(seed)
    flat = w.ravel()
    whole = np.floor(flat)
    rest = flat - whole
    places = round(float(rest.sum()))
    out = whole.astype(np.int64)
    if places:
        # Systematic draws along a random order: inclusion chances are the fractional parts, scaled
        # by at most half a person over their sum so that the total is whole.
        order = rng.permutation(flat.size)
        reach = np.cumsum(rest[order])
        ticks = (np.arange(places) + rng.random()) * reach[-1] / places
        chosen = order[np.searchsorted(reach, ticks, side="left")]
        np.add.at(out, chosen, 1)
    return out.reshape(w.shape)
