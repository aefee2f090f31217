"""Quantiles of weighted samples.

Rules follow Hyndman & Fan (1996) doi:10.1080/00031305.1996.10473566 with weights in the place of
counts: a rule gives each sorted value a plotting position, discontinuous rules (``hf1`` to ``hf3``)
read the distribution function as a staircase, the others join its points. ``math`` is ``hf1``, the
inverse distribution function, ``school`` is ``hf2``. Equal values keep the order of the rows, as in
R, so ``hf4`` to ``hf9`` may depend on it where equal values have unequal weights.
R: ``survey::svyquantile(qrule =)``.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError

__all__ = ["Rule", "weighted_quantile"]

Floats = npt.NDArray[np.float64]
Rule = Literal["math", "school", "hf1", "hf2", "hf3", "hf4", "hf5", "hf6", "hf7", "hf8", "hf9"]

# Share of a value's own weight below its position, and share of the last added to the whole.
_POSITION: Final = {
    "hf4": (1.0, 0.0),
    "hf5": (0.5, 0.0),
    "hf6": (1.0, 1.0),
    "hf8": (2 / 3, 1 / 3),
    "hf9": (5 / 8, 1 / 4),
}
# Cumulated weights carry rounding; a step this near p is at p.
_AT: Final = 1e-12


def weighted_quantile(
    y: npt.ArrayLike, w: npt.ArrayLike, probs: npt.ArrayLike, *, rule: Rule = "math"
) -> Floats:
    """Return quantiles of y under weights w, shape of `probs`.

    Parameters
    ----------
    y, w : array_like of shape (n,)
        Values and weights; weights of 0 are left out.
    probs : array_like
        Between 0 and 1.
    rule : str
        ``math`` (inverse distribution function), ``school`` or ``hf1`` to ``hf9``.

    Examples
    --------
    >>> weighted_quantile([1.0, 2.0, 3.0], [1.0, 1.0, 2.0], [0.5])
    array([2.])
    >>> weighted_quantile([1.0, 2.0, 3.0], [1.0, 1.0, 2.0], [0.5], rule="school")
    array([2.5])
    """
    values, weights = (np.asarray(a, dtype=np.float64) for a in (y, w))
    p = np.asarray(probs, dtype=np.float64)
    live = weights > 0
    values, weights = values[live], weights[live]
    if values.size == 0:
        raise InputError("a quantile needs at least one value of positive weight")
    if not np.all((p >= 0) & (p <= 1)):
        raise InputError("a quantile's probability lies outside 0 to 1", got=p.tolist())
    order = np.argsort(values, kind="stable")
    values, mass = values[order], weights[order]
    cumulated = np.cumsum(mass)
    if rule in ("math", "school", "hf1", "hf2", "hf3"):
        return _staircase(values, cumulated / cumulated[-1], p, rule)
    return np.asarray(np.interp(p, _positions(mass, cumulated, rule), values))


def _staircase(values: Floats, steps: Floats, p: Floats, rule: Rule) -> Floats:
    last = values.size - 1
    up = np.minimum(np.searchsorted(steps, p - _AT, side="left"), last)
    if rule in ("math", "hf1"):
        return np.asarray(values[up])
    on_step = np.abs(steps[up] - p) <= _AT
    above = np.minimum(up + 1, last)
    if rule in ("school", "hf2"):
        return np.asarray(np.where(on_step, (values[up] + values[above]) / 2, values[up]))
    # hf3: on a step, the even one of the two values that share it.
    even = (up + 1) % 2 == 0
    return np.asarray(np.where(on_step & ~even, values[above], values[up]))


def _positions(mass: Floats, cumulated: Floats, rule: Rule) -> Floats:
    if rule == "hf7":
        before = cumulated - mass
        return np.asarray(before / before[-1]) if mass.size > 1 else np.zeros(1)
    if rule not in _POSITION:
        raise InputError("unknown quantile rule", got=rule, hint='"math", "school", "hf1" to "hf9"')
    own, last = _POSITION[rule]
    return np.asarray((cumulated - (1 - own) * mass) / (cumulated[-1] + last * mass[-1]))
