"""Replicate weights: variances by recomputing the estimate on pretended resamples.

Model: the variation of an estimate over replicates mimics its sampling variance; calibrated designs
are recalibrated in every replicate, so the variance is that of the calibrated estimator.
Assumptions: first-stage sampling units are drawn independently within strata. Limits: the jackknife
is inconsistent for quantiles. R: ``survey::as.svrepdesign``, ``calibrate`` and ``withReplicates``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.draws import Draws
from inegnum.errors import InputError
from inegnum.estimators.calibration.encode import Columns, as_columns, weights_of
from inegnum.estimators.calibration.result import Calibration
from inegnum.estimators.design import Design, column_values
from inegnum.numerics.batch import solve_batch
from inegnum.numerics.replicates import Scheme, replicate_covariance, replicate_factors

__all__ = ["Replicates", "recalibrate", "replicate", "replicates_from"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Replicates:
    """A sample with replicate weights.

    Attributes
    ----------
    data : DataFrame or dict of arrays
    weights : ndarray of shape (n,)
        Full-sample weights.
    replicates : ndarray of shape (n, R)
        Weights of each replicate.
    scale : float
    rscales : ndarray of shape (R,)
        Variance is ``scale * sum rscales_r (theta_r - centre)^2``.
    df : float
        Degrees of freedom.
    around_point : bool
        Deviations from the full-sample estimate rather than from the replicates' mean.
    """

    data: Columns
    weights: Floats
    replicates: Floats
    scale: float
    rscales: Floats
    df: float
    around_point: bool = False

    def __repr__(self) -> str:
        n, r = self.replicates.shape
        return f"Replicates({n} units, {r} replicates, scale {self.scale:.4g})"

    def values(self, y: str | npt.ArrayLike) -> Floats:
        """Return a variable, by name or as it is, shape (n,)."""
        return column_values(self.data, y, self.weights)

    def covariance(self, theta: Floats, point: Floats) -> Floats:
        """Return the covariance of estimates from their replicates, shape (R, k) and (k,)."""
        return replicate_covariance(
            theta, point, self.scale, self.rscales, around_point=self.around_point
        )

    def apply(self, statistic: Callable[[Floats], Floats], items: pd.DataFrame) -> Draws:
        """Return any statistic of the weights as joint draws.

        Parameters
        ----------
        statistic : callable
            Takes weights of shape (n,), returns estimates of shape (k,).
        items : DataFrame of k rows
            What each estimate is.
        """
        point = np.asarray(statistic(self.weights), dtype=np.float64)
        theta = np.stack([statistic(column) for column in self.replicates.T])
        centre = point if self.around_point else theta[self.rscales > 0].mean(axis=0)
        count = len(theta)
        spread = (theta - centre) * np.sqrt(self.rscales)[:, None]
        return Draws(point + spread, items, point, "replicate", self.scale * count)

    def where(self, rows: npt.ArrayLike) -> Replicates:
        """Return the sample restricted to some rows: the others weigh nothing."""
        mask = np.asarray(rows, dtype=bool)
        if mask.shape != self.weights.shape:
            raise InputError("a mask and the sample differ in length", got=mask.shape)
        return Replicates(
            self.data,
            np.where(mask, self.weights, 0.0),
            np.where(mask[:, None], self.replicates, 0.0),
            self.scale,
            self.rscales,
            self.df,
            self.around_point,
        )


def replicate(
    design: Design,
    scheme: Scheme,
    *,
    replicates: int = 200,
    rho: float = 0.5,
    seed: int | np.random.Generator = 0,
) -> Replicates:
    """Make replicate weights, recalibrated if the design is calibrated.

    Parameters
    ----------
    design : Design
    scheme : {"jk1", "jkn", "brr", "fay", "bootstrap", "subbootstrap", "rescaled"}
    replicates : int
        Number of bootstrap replicates; other schemes have their own.
    rho : float
        Fay's coefficient.
    seed : int or Generator

    Raises
    ------
    CalibrationError
        A replicate cannot meet the margins.

    Examples
    --------
    >>> import pandas as pd
    >>> import inegnum as ing
    >>> people = pd.DataFrame({"w": [10.0, 10.0, 20.0, 20.0], "strata": list("aabb")})
    >>> design = ing.survey_design(people, weights="w", strata="strata")
    >>> ing.replicate(design, "jkn").replicates.shape
    (4, 4)
    """
    stage = design.stages[0]
    factors = replicate_factors(stage, scheme, replicates=replicates, rho=rho, seed=seed)
    state = design.calibration
    base = design.weights if state is None else state.initial
    weights = factors.values[stage.cluster] * base[:, None]
    plain = Replicates(
        design.data, np.asarray(base), weights, factors.scale, factors.rscales, design.df
    )
    return plain if state is None else recalibrate(plain, state)


def replicates_from(
    data: Columns,
    weights: str | npt.ArrayLike,
    replicates: npt.ArrayLike,
    *,
    scale: float,
    rscales: npt.ArrayLike | None = None,
    around_point: bool = False,
) -> Replicates:
    """Describe replicate weights that came with the data."""
    n = as_columns(data)
    w = weights_of(data, weights, n)
    assert w is not None
    W = np.asarray(replicates, dtype=np.float64)
    if W.ndim != 2 or W.shape[0] != n:
        raise InputError("replicate weights have the wrong shape", got=W.shape, expected=(n, "R"))
    if not np.isfinite(W).all():
        raise InputError("replicate weights are missing", got=f"{int((~np.isfinite(W)).sum())}")
    r = np.ones(W.shape[1]) if rscales is None else np.asarray(rscales, dtype=np.float64)
    return Replicates(data, w, W, scale, r, float(W.shape[1] - 1), around_point)


def recalibrate(sample: Replicates, calibration: Calibration) -> Replicates:
    """Calibrate every replicate to the margins of a calibration of the full sample.

    Raises
    ------
    CalibrationError
        A replicate cannot meet the margins.
    """
    system = calibration.system
    D = system.replicated(sample.replicates)
    ratios = solve_batch(
        system.x,
        D,
        system.totals,
        distance=calibration.distance,
        start=calibration.solution.lam,
        q=system.q,
        z=calibration.instruments,
        ridge=system.ridge,
    )
    place = system.rows_of(sample.weights.size)
    weights = np.take(ratios, place, axis=0)
    weights *= sample.replicates
    return Replicates(
        sample.data,
        calibration.weights,
        weights,
        sample.scale,
        sample.rscales,
        sample.df,
        sample.around_point,
    )
