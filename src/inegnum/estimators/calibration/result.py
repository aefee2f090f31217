"""What calibration returns: weights, and everything a variance or a reviewer needs of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from inegnum.errors import InputError
from inegnum.estimators.calibration.diagnostics import Diagnostics, diagnose
from inegnum.estimators.calibration.margins import Margin
from inegnum.estimators.calibration.system import System
from inegnum.numerics.calibration import Solution
from inegnum.numerics.distances import Distance
from inegnum.numerics.normal_equations import Matrix
from inegnum.numerics.residuals import Projection, project

__all__ = ["Calibration"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Calibrated weights and the state that makes later standard errors aware of them.

    Attributes
    ----------
    weights : ndarray of shape (n,)
        Calibrated weights, in the order of the data.
    initial : ndarray of shape (n,)
        Weights before calibration.
    margins : tuple of Margin
    distance : Distance
    notes : tuple of str
        Constraints left out because they repeat others, zero totals.
    steps : int
        Newton steps.
    system : System
        Auxiliary variables on distinct units.
    solution : Solution
        Dual point and misses.
    instruments : ndarray of shape (m, p) or None
        Of generalised calibration.

    Examples
    --------
    >>> import pandas as pd
    >>> import inegnum as ing
    >>> people = pd.DataFrame({"sex": ["women", "men", "men"]})
    >>> raked = ing.rake(people, {"sex": {"women": 30.0, "men": 20.0}})
    >>> raked.weights.round(6).tolist()
    [30.0, 10.0, 10.0]
    """

    weights: Floats
    initial: Floats
    margins: tuple[Margin, ...]
    distance: Distance
    system: System
    solution: Solution
    instruments: Matrix | None = None

    def __repr__(self) -> str:
        g = self.solution.g
        return (
            f"Calibration({self.distance.name}, {self.weights.size} units, "
            f"{len(self.solution.lam)} totals, g in [{g.min():.3g}, {g.max():.3g}], "
            f"largest miss {self.solution.error.max(initial=0.0):.1e})"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and why."""
        return self.solution.notes

    @property
    def steps(self) -> int:
        """Newton steps taken."""
        return self.solution.steps

    @property
    def g(self) -> Floats:
        """Ratios of calibrated to initial weights, shape (n,)."""
        return self.system.expand(self.solution.g, np.ones(self.weights.size))

    def table(self) -> pd.DataFrame:
        """Return one row a total: asked, before and after, misses, and price.

        Columns ``margin, level, total, before, after, gap, miss, share``. `gap` is how far the
        initial weights were from the total, relatively, once scaled to the population; `miss` how
        far the calibrated ones are. `share` is the part of the chi-square distance between scaled
        and calibrated weights that this total accounts for, other margins being equal (they add up
        to one): where it is large the sample is unlike the population.
        """
        s, achieved = self.system, self.solution.achieved
        before = np.asarray(s.x.T @ s.d)
        start = before * self._scale(before)
        push = (self.projection.inverse @ (achieved - start)) * (achieved - start)
        total = push.sum()
        size = np.where(s.totals != 0, np.abs(s.totals), 1.0)
        return pd.DataFrame(
            {
                "margin": [self.margins[i].name for i in s.margin],
                "level": [", ".join(map(str, level)) for m in self.margins for level in m.by_level],
                "total": s.totals,
                "before": before,
                "after": achieved,
                "gap": (start - s.totals) / size,
                "miss": self.solution.error,
                "share": push / total if total > 0 else np.zeros(push.size),
            }
        )

    def given_up(self) -> pd.DataFrame:
        """Return what soft margins gave up, one row a total of theirs, worst first.

        Columns ``margin, level, total, after, miss, se, in_se``: `miss` is relative, `in_se` the
        difference in standard errors of the total (missing where softness comes from a cost).
        """
        soft = [m.soft for m in self.margins]
        t = self.table().loc[np.asarray(soft, dtype=bool)[self.system.margin]]
        se = np.concatenate([np.zeros(0), *(m.errors for m in self.margins if m.soft)])
        known = np.where(se > 0, se, np.nan)
        t = t.assign(se=known, in_se=np.abs(t["after"] - t["total"]) / known)
        columns = ["margin", "level", "total", "after", "miss", "se", "in_se"]
        return t[columns].sort_values("miss", ascending=False, ignore_index=True)

    def _scale(self, before: Floats) -> float:
        """Return what brings the initial weights to the size of the population, if counted."""
        for i, margin in enumerate(self.margins):
            if margin.value is None and margin.per == "unit":
                mass = float(before[self.system.margin == i].sum())
                return margin.sum() / mass if mass > 0 else 1.0
        return 1.0

    def diagnostics(self) -> Diagnostics:
        """Return how far weights moved, where, and at what price."""
        return diagnose(self.weights, self.initial, self.g, self.table())

    @cached_property
    def projection(self) -> Projection:
        """Regression on the auxiliary variables, shared by every variance."""
        s = self.system
        q = s.d if s.q is None else s.d * s.q
        return project(s.x, q, s.ridge, self.instruments)

    def residuals(self, values: Floats) -> Floats:
        """Return residuals of unit values on the auxiliary variables, shape (n,) or (n, k).

        The sampling variance of a calibrated total ``sum w_k y_k`` is, to first order, that of
        ``sum w_k e_k`` with ``e_k = y_k - x_k' B`` (Deville & Särndal 1992, section 4).
        """
        values = np.asarray(values, dtype=np.float64)
        if values.shape[:1] != self.weights.shape:
            raise InputError(
                "values and weights differ in length", got=values.shape, expected=self.weights.shape
            )
        if values.ndim == 2:
            return np.column_stack([self.residuals(column) for column in values.T])
        s = self.system
        sums = s.totals_of(self.initial * values)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(s.d > 0, sums / s.d, 0.0)
        fitted = s.x @ self.projection.coefficients(mean)
        return np.asarray(values - s.expand(fitted / s.members, np.ones(values.size)))

    def residualise(self, weighted: Floats) -> Floats:
        """Return weighted residuals of already weighted values ``w_k z_k``, same shape."""
        shape = (-1,) + (1,) * (np.ndim(weighted) - 1)
        w = self.weights.reshape(shape)
        live = w != 0
        values = np.divide(weighted, w, out=np.zeros(np.shape(weighted)), where=live)
        return np.asarray(w * self.residuals(values))

    def regression(
        self, values: sparse.csc_array, weights: Floats
    ) -> tuple[sparse.csr_array, Floats]:
        """Return unit-level auxiliary variables and coefficients of many sparse variables on them.

        Parameters
        ----------
        values : csc_array of shape (n, D)
            Variables that are zero in most rows.
        weights : ndarray of shape (n,)
            Weights they are estimated with (the calibrated ones unless trimmed since).

        Returns
        -------
        x : csr_array of shape (n, p), coefficients : ndarray of shape (p, D)
        """
        s, n = self.system, self.weights.size
        place = s.rows_of(n)
        x = sparse.csr_array(sparse.csr_array(s.x)[place])
        if s.group is not None:
            x = sparse.csr_array(sparse.diags_array(1 / s.members[place]) @ x)
        ratio = np.divide(weights, self.weights, out=np.zeros(n), where=self.weights != 0)
        q = np.ones(s.d.size) if s.q is None else s.q
        # z' V y of the projection with y summed by distinct unit, all columns at once.
        gather = sparse.csr_array(
            (self.initial * ratio, (place, np.arange(n))), shape=(s.d.size, n)
        )
        sums = gather @ values
        z = sparse.csr_array(self.projection.z)
        moments = (sparse.csr_array(z.T) @ (sparse.diags_array(q) @ sums)).toarray()
        return x, self.projection.inverse @ moments
