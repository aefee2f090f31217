"""Means of domains whose sizes are known, without any other auxiliary information.

Model: none. Assumptions: weights are inverse inclusion probabilities. Limits: the variance takes
inclusions as independent (Poisson), as simple random sampling when no weights are given; with
strata, clusters or calibration use `direct.mean`.
R: ``sae::direct``. Reference: Rao & Molina (2015) chapter 2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError
from inegnum.estimators.calibration.encode import Columns, as_columns, numeric, weights_of
from inegnum.estimators.design import domain_codes

__all__ = ["expansion"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


def expansion(
    data: Columns,
    y: str,
    by: str,
    *,
    weights: str | npt.ArrayLike | None = None,
    sizes: pd.Series | None = None,
) -> pd.DataFrame:
    """Estimate domain means: expansion over the known size, or the plain mean.

    Parameters
    ----------
    data, y, by
        Sample, variable, and column of domains.
    weights : str or array, optional
        Inverse inclusion probabilities; without them the sample is simple random in each domain.
    sizes : Series indexed by domain, optional
        Population sizes; needed with weights, and for the finite population correction without.

    Returns
    -------
    DataFrame
        One row a domain: ``by, n, est, se``.
    """
    n_rows = as_columns(data)
    values = numeric(data, y)
    codes, table = domain_codes(data, by)
    size = len(table)
    n = np.bincount(codes, minlength=size).astype(np.float64)
    w = weights_of(data, weights, n_rows)
    if w is not None:
        if sizes is None:
            raise InputError("expansion needs the sizes of the domains", where="sizes")
        N = _sizes(sizes, table[by])
        est = np.bincount(codes, w * values, size) / N
        variance = np.bincount(codes, w * (w - 1) * values**2, size) / N**2
    else:
        est = np.bincount(codes, values, size) / n
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.bincount(codes, (values - est[codes]) ** 2, size) / (n - 1)
        fraction = 0.0 if sizes is None else n / _sizes(sizes, table[by])
        variance = (1 - fraction) * spread / n
    return table.assign(n=n.astype(np.int64), est=est, se=np.sqrt(variance))


def _sizes(sizes: pd.Series, domains: pd.Index | pd.Series) -> Floats:
    found = sizes.reindex(pd.Index(domains)).to_numpy(dtype=np.float64)
    bad = ~(found > 0)
    if bad.any():
        raise InputError(
            "domains without a known size",
            got=", ".join(map(str, np.asarray(domains)[bad][:5])),
            expected="a positive size for every domain of the sample",
        )
    return np.asarray(found)
