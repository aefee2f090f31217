"""What an IRIS may be made of when nothing is published of its occupations.

Model
    Shares of occupations of an IRIS are those of its commune times exp(z), z normal with the
    covariance seen between IRIS and their communes where both are published (table `SPREAD`). In
    each draw the multipliers of a commune's IRIS are fitted (IPF) so that its IRIS still make up
    its occupations. Diplomas follow occupations by the interactions of the commune's table.
Limits
    One department tells the covariance. What diplomas depart by at equal occupation is not drawn.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from inegnum.data import catalogue
from inegnum.data.frames.atoms import OCCUPATIONS

__all__ = ["SPREAD", "occupation_multipliers"]

Floats = npt.NDArray[np.float64]
SPREAD: Final = "iris_occupation_spread"
_ROUNDS: Final = 30


@cache
def _root() -> Floats:
    """Return a square root of the covariance, (7, 7)."""
    table, _ = catalogue.table(SPREAD)
    matrix = table.pivot_table(index="occupation", columns="with", values="covariance")
    values, vectors = np.linalg.eigh(matrix.loc[list(OCCUPATIONS), list(OCCUPATIONS)].to_numpy())
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def occupation_multipliers(
    shares: Floats, persons: Floats, rng: np.random.Generator, *, spread: Floats | None = None
) -> Floats:
    """Draw what multiplies a commune's occupations in each of its IRIS.

    Parameters
    ----------
    shares : ndarray of shape (F, 7)
        Occupations of the commune, draw by draw.
    persons : ndarray of shape (I,)
        Persons of 15 and over of its IRIS.
    rng : Generator
    spread : ndarray of shape (7, 7), optional
        Square root of the covariance; that of `SPREAD` unless given.

    Returns
    -------
    ndarray of shape (F, I, 7)
        ``sum_i w_i m_io = 1`` for each occupation (w: share of persons), ``sum_o p_o m_io = 1`` for
        each IRIS, to 1e-3.
    """
    root = _root() if spread is None else spread
    w = persons / persons.sum()
    found = np.exp(rng.standard_normal((len(shares), len(w), len(root))) @ root.T)
    for _ in range(_ROUNDS):
        found /= np.einsum("fo,fio->fi", shares, found)[..., None]
        found /= np.einsum("i,fio->fo", w, found)[:, None]
    return np.asarray(found)
