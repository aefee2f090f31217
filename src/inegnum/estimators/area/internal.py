"""A Fay-Herriot model that adds up to the direct total by itself.

With the covariate w_i D_i among the columns of X, the normal equations of generalised least squares
say sum w_i (1 - gamma_i) (y_i - x_i' beta) = 0, that is sum w_i EBLUP_i = sum w_i y_i: no external
adjustment, and an MSE that holds as it stands.

References
----------
    Wang, Fuller and Qu (2008), Survey Methodology 34(1), 29-36.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError
from inegnum.estimators.area.inputs import AreaData

__all__ = ["self_benchmarked"]

Floats = npt.NDArray[np.float64]


def self_benchmarked(data: AreaData, weights: Floats) -> AreaData:
    """Add the covariate that makes the EBLUPs reproduce ``sum w y``.

    Parameters
    ----------
    data : AreaData
        Every area sampled.
    weights : ndarray of shape (M,)
        Persons of the universe.

    Examples
    --------
    >>> from inegnum.estimators.area import fay_herriot
    >>> rng = np.random.default_rng(2)
    >>> data = AreaData(rng.normal(1, 0.3, 20), np.ones((20, 1)), rng.uniform(0.01, 0.1, 20))
    >>> est = fay_herriot(self_benchmarked(data, np.ones(20))).table["est"]
    >>> bool(abs(est.sum() - data.y.sum()) < 1e-9)
    True
    """
    if not data.sampled.all():
        raise InputError(
            "internal benchmarking needs a direct estimate in every area",
            got=f"{int((~data.sampled).sum())} areas without",
            hint="benchmark the estimates instead (benchmark_estimates)",
        )
    w = np.asarray(weights, dtype=np.float64)
    extra = w / w.sum() * data.D
    X = np.column_stack([data.X, extra / np.abs(extra).max()])
    return AreaData(data.y, X, data.D, data.geo, (*data.terms, "weight x variance"), data.n)
