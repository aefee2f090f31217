"""Information criteria of a Fay-Herriot model corrected by bootstrap, for few areas.

AIC and KIC charge two and three units a parameter, which is right for many areas. Their corrected
forms estimate the same charges on data drawn from the fitted model:

    AICc    -2 l + E* sum [V + (X beta - X beta*)^2 - (y* - X beta*)^2] / V*
    AICb1   -2 l - 2 E* [l(y | *) - l(y* | *)]
    AICb2   -2 l - 4 E* [l(y | *) - l(y | hat)]
    KIC.    the same plus the distance from the fitted law to the refitted ones,
            E* sum { log V + [V* + (X beta - X beta*)^2] / V - log V* - (y* - X beta*)^2 / V* }

with V = sigma2 + D, l the log-likelihood, stars for a replicate and what is refitted on it.

References
----------
    Marhuenda, Morales and Pardo (2014) doi:10.1016/j.csda.2013.09.016.

Must match R ``sae::eblupFH(B =)`` within Monte-Carlo error.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError
from inegnum.estimators.area.inputs import AreaData
from inegnum.estimators.progress import counted
from inegnum.numerics.reml import Method, fit_fay_herriot

__all__ = ["bootstrap_criteria"]

Floats = npt.NDArray[np.float64]


def _loglik(y: Floats, mean: Floats, V: Floats) -> float:
    return -0.5 * float(np.sum(np.log(2 * np.pi * V) + (y - mean) ** 2 / V))


def bootstrap_criteria(
    data: AreaData,
    *,
    method: Method = "reml",
    replicates: int = 200,
    seed: int | np.random.Generator = 0,
) -> Mapping[str, tuple[float, float]]:
    """Return ``AICc, AICb1, AICb2, KICc, KICb1, KICb2``, each with its Monte-Carlo error.

    Parameters
    ----------
    data : AreaData
        On the model's scale; areas without direct estimate play no part.
    method : {"reml", "ml", "fh", "ampl", "amrl", "ampl_yl", "amrl_yl"}
    replicates, seed : int

    Raises
    ------
    InputError
        Fewer than two replicates.
    ConvergenceError
        A replicate that cannot be fitted: none is left out.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> data = AreaData(rng.normal(0, 0.5, 20), np.ones((20, 1)), np.full(20, 0.1))
    >>> value, error = bootstrap_criteria(data, replicates=50)["AICc"]
    >>> error > 0
    True
    """
    if replicates < 2:
        raise InputError("too few bootstrap replicates", where="replicates", got=replicates)
    at = data.sampled
    y, X, D = data.y[at], data.X[at], data.D[at]
    fit = fit_fay_herriot(y, X, D, method=method)
    mean, V = X @ fit.beta, fit.sigma2 + D
    rng = np.random.default_rng(seed)
    charge = np.empty((replicates, 3))
    distance = np.empty(replicates)
    for b in counted(replicates, "bootstrap criteria"):
        star = mean + rng.standard_normal(len(y)) * np.sqrt(V)
        again = fit_fay_herriot(star, X, D, method=method)
        mean_b, V_b = X @ again.beta, again.sigma2 + D
        moved, residual = (mean - mean_b) ** 2, (star - mean_b) ** 2
        here = _loglik(y, mean_b, V_b)
        charge[b] = (
            float(np.sum((V + moved - residual) / V_b)),
            -2 * (here - again.loglik),
            -4 * (here - fit.loglik),
        )
        distance[b] = float(np.sum(np.log(V) + (V_b + moved) / V - np.log(V_b) - residual / V_b))
    found: dict[str, tuple[float, float]] = {}
    for prefix, extra in (("AIC", 0.0), ("KIC", distance)):
        for k, suffix in enumerate(("c", "b1", "b2")):
            values = -2 * fit.loglik + charge[:, k] + extra
            error = float(values.std(ddof=1)) / np.sqrt(replicates)
            found[prefix + suffix] = (float(values.mean()), float(error))
    return found
