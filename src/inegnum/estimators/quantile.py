"""Quantiles with design-based intervals.

Model: the interval of the proportion below the quantile is inverted (Woodruff 1952,
doi:10.1080/01621459.1952.10483443), its standard error coming from the design or from replicates.
The proportion is smooth in the weights where the quantile is not, so jackknife replicates serve.
Assumptions: the distribution is continuous near the quantile. R: ``survey::svyquantile``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from inegnum.estimators.direct import Sample, Variable, mean
from inegnum.numerics.proportions import Method, proportion_interval
from inegnum.numerics.quantiles import Rule, weighted_quantile

__all__ = ["quantile"]

Floats = npt.NDArray[np.float64]


def quantile(
    design: Sample,
    y: Variable,
    probs: npt.ArrayLike = 0.5,
    *,
    rule: Rule = "math",
    method: Method = "mean",
    prob: float = 0.95,
) -> pd.DataFrame:
    """Estimate quantiles.

    Parameters
    ----------
    design : Design or Replicates
    y : str or array
    probs : float or sequence of float
    rule : str
        Rule of `inegnum.numerics.quantiles.weighted_quantile`.
    method : {"mean", "beta", "xlogit", ...}
        Interval of the proportion that is inverted.
    prob : float
        Coverage.

    Returns
    -------
    DataFrame
        One row a probability: ``p, est, se, lower, upper``; a bound beyond the data is missing.
    """
    values = design.values(y)
    p = np.atleast_1d(np.asarray(probs, dtype=np.float64))
    est = weighted_quantile(values, design.weights, p, rule=rule)
    # A t quantile: the design's degrees of freedom are few exactly where quantiles are unstable.
    t = float(special.stdtrit(design.df, 0.5 + prob / 2))
    lower, upper = (np.full(p.size, np.nan) for _ in range(2))
    for i, q in enumerate(est):
        below = mean(design, (values <= q).astype(np.float64)).table
        share = np.clip(below["est"], 0, 1)
        n = np.array([design.weights.size])
        low, high = proportion_interval(
            share, below["se"], n, df=design.df, method=method, prob=prob
        )
        if low[0] > 0:
            lower[i] = weighted_quantile(values, design.weights, low, rule=rule)[0]
        if high[0] < 1:
            upper[i] = weighted_quantile(values, design.weights, high, rule=rule)[0]
    return pd.DataFrame(
        {"p": p, "est": est, "se": (upper - lower) / (2 * t), "lower": lower, "upper": upper}
    )
