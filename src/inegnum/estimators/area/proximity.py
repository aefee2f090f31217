"""Proximity of areas: checks, and the row-standardised matrix models need."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from inegnum.errors import InputError
from inegnum.estimators.area.inputs import named

__all__ = ["checked_contiguity", "checked_proximity", "row_standardise"]


def row_standardise(contiguity: Any) -> Any:
    """Divide each row of a non-negative proximity by its sum; rows of zeros stay.

    Parameters
    ----------
    contiguity : ndarray, sparse array or DataFrame of shape (m, m)

    Examples
    --------
    >>> row_standardise(np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]])).toarray()[0].tolist()
    [0.0, 0.5, 0.5]
    """
    values = contiguity.to_numpy() if isinstance(contiguity, pd.DataFrame) else contiguity
    W = sparse.csr_array(values, dtype=np.float64)
    total = np.asarray(W.sum(axis=1)).ravel()
    return sparse.csr_array(sparse.diags_array(1 / np.where(total > 0, total, 1.0)) @ W)


def checked_proximity(W: Any, geo: npt.NDArray[np.object_]) -> Any:
    """Return W as a sparse array in the order of `geo`, or say why it cannot be used.

    Parameters
    ----------
    W : ndarray, sparse array or DataFrame of shape (m, m)
        Row-standardised proximity. A DataFrame is put in the order of `geo` by its labels.
    geo : ndarray of m str

    Raises
    ------
    InputError
        Not of these areas, negative, with a diagonal, not row-standardised.
    """
    matrix = _placed(W, geo)
    _no_loops(matrix, geo)
    total = np.asarray(matrix.sum(axis=1)).ravel()
    # 1e-6: weights written with seven digits.
    wrong = (np.abs(total - 1) > 1e-6) & (total > 0)
    if wrong.any():
        raise InputError(
            "the proximity matrix is not row-standardised",
            where=f"area {named(geo, wrong)}",
            got=f"rows that sum to {total[wrong][0]:.4g}",
            expected="1, or 0 for an area without neighbour",
            hint="use row_standardise(W)",
        )
    if not (total > 0).any():
        raise InputError("no area has a neighbour", where="W", hint="use fay_herriot")
    return matrix


def checked_contiguity(W: Any, geo: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """Return a symmetric contiguity as a dense array in the order of `geo`, or say why not.

    Parameters
    ----------
    W : ndarray, sparse array or DataFrame of shape (m, m)
        Symmetric weights (1 between neighbours). A DataFrame is put in order by its labels.
    geo : ndarray of m str

    Raises
    ------
    InputError
        Not of these areas, negative, with a diagonal, not symmetric.
    """
    matrix = _placed(W, geo)
    _no_loops(matrix, geo)
    dense = np.asarray(matrix.toarray())
    uneven = (np.abs(dense - dense.T) > 1e-12).any(axis=1)
    if uneven.any():
        raise InputError(
            "a contiguity is symmetric",
            where=f"area {named(geo, uneven)}",
            hint="give the 0-1 matrix of neighbours, before row_standardise",
        )
    return dense


def _placed(W: Any, geo: npt.NDArray[np.object_]) -> Any:
    """Return W as a sparse array in the order of `geo`, finite and not negative."""
    if isinstance(W, pd.DataFrame):
        for axis, labels in (("rows", W.index), ("columns", W.columns)):
            missing = np.array([g not in set(labels) for g in geo])
            if missing.any() or len(labels) != len(geo):
                raise InputError(
                    "the proximity matrix is not of these areas",
                    where=axis,
                    got=f"{len(labels)} labels, without {named(geo, missing) or 'duplicates'}",
                    expected=f"the {len(geo)} areas of the data",
                )
        W = W.loc[list(geo), list(geo)].to_numpy()
    matrix = sparse.csr_array(W, dtype=np.float64)
    if matrix.shape != (len(geo), len(geo)):
        raise InputError(
            "the proximity matrix is not of these areas",
            got=matrix.shape,
            expected=(len(geo), len(geo)),
            hint="one row and one column per area of the data, in its order; a DataFrame labelled "
            "by codes is put in order",
        )
    if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
        raise InputError("a proximity is missing or negative", where="W")
    return matrix


def _no_loops(matrix: Any, geo: npt.NDArray[np.object_]) -> None:
    own = matrix.diagonal() != 0
    if own.any():
        raise InputError("an area is its own neighbour", where=f"area {named(geo, own)}")
