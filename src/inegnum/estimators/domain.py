"""Classical estimators of domain means when the sizes of the domains are known.

Model: none for `expansion`; `poststratified_synthetic` supposes that classes have the same mean in
every domain; `sample_size_dependent` weighs the two by how well the sample covers the domain.
Assumptions: weights are inverse inclusion probabilities. Limits: the variance of `expansion` takes
inclusions as independent (Poisson), as simple random sampling when no weights are given.
R: ``sae::direct``, ``pssynt``, ``ssd``. References: Rao & Molina (2015) chapters 2 and 3; Drew,
Singh & Choudhry (1982).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError
from inegnum.estimators.calibration.encode import Columns, as_columns, numeric, weights_of
from inegnum.estimators.design import domain_codes

__all__ = ["expansion", "poststratified_synthetic", "sample_size_dependent"]

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


def poststratified_synthetic(
    data: Columns,
    y: str,
    classes: str,
    counts: pd.DataFrame,
    *,
    weights: str | npt.ArrayLike,
) -> pd.Series:
    """Estimate domain means from the means of classes and the domains' own composition.

    Parameters
    ----------
    counts : DataFrame
        Persons by domain (index) and class (columns), covering the whole population.

    Returns
    -------
    Series
        One value a domain of `counts`.
    """
    n_rows = as_columns(data)
    values = numeric(data, y)
    w = weights_of(data, weights, n_rows)
    assert w is not None
    codes, table = domain_codes(data, classes)
    missing = [c for c in counts.columns if c not in set(table[classes])]
    if missing:
        raise InputError(
            "a class has no unit in the sample", where=classes, got=", ".join(map(str, missing))
        )
    totals = pd.Series(np.bincount(codes, w * values), index=table[classes].to_numpy())
    # Sizes of the classes are known too: they are those of the counts, over all domains.
    means = totals[list(counts.columns)].to_numpy() / counts.sum(axis=0).to_numpy()
    sums = counts.to_numpy(dtype=np.float64) @ means
    return pd.Series(sums / counts.sum(axis=1).to_numpy(), index=counts.index)


def sample_size_dependent(
    direct: pd.Series,
    synthetic: pd.Series,
    estimated_sizes: pd.Series,
    sizes: pd.Series,
    *,
    delta: float = 1.0,
) -> pd.DataFrame:
    """Weigh direct and synthetic estimates by the estimated over the known domain size.

    The weight of the direct estimate is 1 where the sample estimates at least `delta` times the
    known size, and their ratio over `delta` elsewhere.

    Returns
    -------
    DataFrame
        ``est`` and ``phi`` (weight of the direct estimate), in the order of `direct`.
    """
    index = direct.index
    if delta <= 0:
        raise InputError("delta must be positive", got=delta)
    ratio = _sizes(estimated_sizes, index) / (delta * _sizes(sizes, index))
    phi = np.minimum(ratio, 1.0)
    est = phi * direct.to_numpy() + (1 - phi) * synthetic.reindex(index).to_numpy()
    if np.isnan(est).any():
        raise InputError("a domain lacks a synthetic estimate", got=list(index[np.isnan(est)])[:5])
    return pd.DataFrame({"est": est, "phi": phi}, index=index)


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
