"""Post-stratified synthetic estimates: national rates of cells, local weights of cells.

Model
    theta_i = sum_c N_ic p_c / sum_c N_ic, p_c the mean of cell c over the whole survey: weighted
    (Hájek, the default) or weighted total over known persons (Horvitz-Thompson, as R).

Assumptions
    A cell has the same mean everywhere: all local difference is composition.

Limits
    Biased wherever the assumption fails, with an error the survey cannot show: the standard error
    here is that of the cell means only. Use it as one side of a composite, not alone.

References
----------
    Gonzalez (1973); Rao and Molina (2015) doi:10.1002/9781118735855, section 3.2.

Must match R ``sae::pssynt`` (``mean="ht"``).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError
from inegnum.estimators.result import AreaEstimates, ErrorLaw, area_table

__all__ = ["poststratified_synthetic"]

Floats = npt.NDArray[np.float64]


def _cell_means(
    y: Floats, w: Floats, cell: npt.NDArray[np.int64], known: Floats | None, C: int
) -> tuple[Floats, Floats]:
    """Means of cells and their variances (linearised, with replacement), shape (C,) each."""
    n = np.maximum(np.bincount(cell, minlength=C), 1)
    total = np.bincount(cell, w, C) if known is None else known
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(cell, w * y, C) / total
    z = w * (y - mean[cell]) / total[cell] if known is None else w * y / total[cell]
    z = z - (np.bincount(cell, z, C) / n)[cell]
    return mean, np.bincount(cell, z * z, C) * n / np.maximum(n - 1, 1)


def poststratified_synthetic(
    respondents: pd.DataFrame,
    persons: pd.DataFrame,
    *,
    y: str,
    cell: str,
    weight: str | None = None,
    mean: Literal["hajek", "ht"] = "hajek",
) -> AreaEstimates:
    """Estimate every area from its composition.

    Parameters
    ----------
    respondents : DataFrame
        One row a respondent: columns `y`, `cell` and, when given, `weight`.
    persons : DataFrame
        Persons by area (rows, index = codes) and cell (columns).
    y, cell, weight : str
        Columns of `respondents`.
    mean : {"hajek", "ht"}
        Denominator of a cell's mean: its sum of weights, or its known persons.

    Raises
    ------
    InputError
        A cell with persons has no respondent, counts are missing or negative, or weights not
        positive.

    Examples
    --------
    >>> r = pd.DataFrame({"y": [1.0, 0.0, 0.0, 0.0], "age": ["young", "young", "old", "old"]})
    >>> N = pd.DataFrame({"young": [30, 10], "old": [10, 30]}, index=["a", "b"])
    >>> est = poststratified_synthetic(r, N, y="y", cell="age")
    >>> est.table["est"].tolist()
    [0.375, 0.125]
    """
    N = persons.to_numpy(np.float64)
    if not np.isfinite(N).all() or (N < 0).any() or (N.sum(axis=1) <= 0).any():
        raise InputError(
            "persons by area and cell must be finite, not negative, and not all zero in an area",
            where="persons",
            hint="a suppressed count is missing, never zero: complete it before (ipf)",
        )
    labels = [str(c) for c in persons.columns]
    known = respondents[cell].astype(str)
    code = pd.Series(range(len(labels)), index=labels).reindex(known).to_numpy(np.float64)
    if np.isnan(code).any():
        stray = sorted(set(known[np.isnan(code)]))
        raise InputError("respondents are in cells without persons", where=cell, got=stray[:5])
    values = respondents[y].to_numpy(np.float64)
    w = np.ones(len(values)) if weight is None else respondents[weight].to_numpy(np.float64)
    if not np.isfinite(values).all() or not np.isfinite(w).all() or (w <= 0).any():
        raise InputError("a value is missing, or a weight is not positive", where=f"{y}, {weight}")
    at = code.astype(np.int64)
    n = np.bincount(at, minlength=len(labels))
    lacking = [labels[c] for c in np.flatnonzero((n < 2) & (N.sum(axis=0) > 0))]
    if lacking:
        raise InputError(
            "a cell has fewer than two respondents",
            where=", ".join(lacking[:5]),
            hint="merge it with another cell, in both tables",
        )
    if mean not in ("hajek", "ht"):
        raise InputError("an unknown mean of cells", where="mean", got=mean, expected="hajek or ht")
    known_persons = N.sum(axis=0) if mean == "ht" else None
    p, variance = _cell_means(values, w, at, known_persons, len(labels))
    share = N / N.sum(axis=1, keepdims=True)
    used = n > 0
    est = share[:, used] @ p[used]
    factor = share[:, used] * np.sqrt(variance[used])
    mse = np.einsum("ij,ij->i", factor, factor)
    law = ErrorLaw(est, mse, factor)
    geo = np.array([str(g) for g in persons.index], dtype=object)
    table = area_table(geo, est, mse=mse, law=law, columns={"synthetic": est, "basis": "synthetic"})
    cells = pd.DataFrame({"term": labels, "beta": p, "se": np.sqrt(variance)})
    cells["z"], cells["p"] = cells["beta"] / cells["se"].where(cells["se"] > 0), np.nan
    return AreaEstimates(
        table,
        cells,
        {},
        "post-stratified synthetic",
        notes=("the MSE holds the sampling error of cell means only, not the bias of an area",),
        law=law,
    )
