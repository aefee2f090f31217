"""Joint draws: the only carrier of uncertainty.

Posterior draws and replicates share one axis. Every interval, difference, rank or probability is
computed draw by draw from a `Draws`; standard errors are never added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError

__all__ = ["Draws"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Draws:
    """Joint draws of J quantities.

    Attributes
    ----------
    values : ndarray of shape (S, J)
        One row per draw; a row is one joint state of the world.
    items : DataFrame of J rows
        What each column is (for instance ``level``, ``geo``, ``indicator``).
    point : ndarray of shape (J,), optional
        Point estimates; the mean of the draws unless given (replicates give the full-sample value).
    kind : {"posterior", "replicate"}
        Replicates are centred on `point`; posterior draws on their own mean.
    scale : float
        Multiplies the variance of `values` around the point (replicate designs; 1 otherwise).

    Examples
    --------
    >>> items = pd.DataFrame({"geo": ["33063", "33281"], "indicator": "smartphone"})
    >>> draws = Draws(np.array([[0.90, 0.80], [0.92, 0.84], [0.94, 0.82]]), items)
    >>> draws.point.round(3).tolist()
    [0.92, 0.82]
    """

    values: Floats
    items: pd.DataFrame
    point: Floats = field(default_factory=lambda: np.empty(0))
    kind: Literal["posterior", "replicate"] = "posterior"
    scale: float = 1.0

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.items):
            raise InputError(
                "draws and their items do not match",
                got=f"values of shape {values.shape}, {len(self.items)} items",
                expected="values of shape (draws, items)",
            )
        if not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values).all(axis=0))
            raise InputError(
                "draws hold missing or infinite values",
                where=f"items {bad[:5].tolist()}",
                expected="finite numbers; leave out what cannot be estimated",
            )
        point = np.asarray(self.point, dtype=np.float64)
        if point.size == 0 and values.shape[1] > 0:
            point = values.mean(axis=0)
        if point.shape != (values.shape[1],):
            raise InputError(
                "point estimates and items do not match",
                got=point.shape,
                expected=(values.shape[1],),
            )
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "point", point)
        object.__setattr__(self, "items", self.items.reset_index(drop=True))

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def se(self) -> Floats:
        """Return the standard error of each item, shape (J,)."""
        if self.kind == "replicate":
            deviation = self.values - self.point
            return np.asarray(np.sqrt(self.scale * np.mean(deviation**2, axis=0)))
        return np.asarray(self.values.std(axis=0, ddof=1))

    def interval(self, prob: float = 0.95) -> tuple[Floats, Floats]:
        """Return lower and upper bounds of the central interval of mass `prob`, shape (J,) each."""
        if not 0 < prob < 1:
            raise InputError("an interval needs a mass between 0 and 1", where="prob", got=prob)
        tail = (1 - prob) / 2
        if self.kind == "replicate":
            from scipy.special import ndtri

            half = ndtri(1 - tail) * self.se()
            return self.point - half, self.point + half
        lower, upper = np.quantile(self.values, [tail, 1 - tail], axis=0)
        return lower, upper

    def aggregate(self, weights: Floats, items: pd.DataFrame) -> Draws:
        """Combine items linearly, draw by draw.

        Parameters
        ----------
        weights : ndarray of shape (K, J)
            One row per combination; rows of shares give rates, rows of counts give totals.
        items : DataFrame of K rows
            What each combination is.
        """
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != (len(items), self.values.shape[1]):
            raise InputError(
                "weights do not match the draws",
                got=weights.shape,
                expected=(len(items), self.values.shape[1]),
            )
        return Draws(self.values @ weights.T, items, weights @ self.point, self.kind, self.scale)

    def transform(self, function: Callable[[Floats], Floats]) -> Draws:
        """Apply an elementwise function to every draw and to the point."""
        return Draws(function(self.values), self.items, function(self.point), self.kind, self.scale)

    def select(self, where: Sequence[int] | npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Draws:
        """Return the items at these positions (or where a mask holds)."""
        at = np.asarray(where)
        if at.dtype == bool:
            at = np.flatnonzero(at)
        return Draws(self.values[:, at], self.items.iloc[at], self.point[at], self.kind, self.scale)
