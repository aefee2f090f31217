"""Covariates and responses of a nested error regression, reduced to area sums.

Areas enter the likelihood only through precision-weighted means, counts and within-area cross
products. One pass over the units gives them; covariates are centred and scaled on the way, so that
a column of years or of pixel counts costs no precision.

References
----------
Battese, Harter and Fuller (1988), doi:10.1080/01621459.1988.10478561.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError

__all__ = ["Design", "Responses", "make_design", "responses"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Eigenvalue ratio of the scaled cross products below which columns are called collinear: singular
# values 1e-6 apart leave fewer than four significant digits to a coefficient.
COLLINEAR = 1e-12


@dataclass(frozen=True, slots=True)
class Design:
    """Covariates of a sample, reduced to what every response shares.

    Attributes
    ----------
    area : ndarray of shape (n,)
        Area of each unit, 0 to m - 1.
    a : ndarray of shape (n,)
        Precision factors.
    n_i, a_i : ndarray of shape (m,)
        Units and sums of precision factors by area.
    X : ndarray of shape (n, p)
        Covariates as given.
    T : ndarray of shape (p, p)
        Scaling: the work is done on ``X @ T``, ``beta = T @ beta_scaled``.
    xbar : ndarray of shape (m, p)
        Precision-weighted area means of ``X @ T``.
    W : ndarray of shape (p, p)
        Within-area cross products of ``X @ T``.
    xw : ndarray of shape (p, n)
        ``a * (x - xbar[area])``, in the units of X.
    xmean : ndarray of shape (m, p)
        Plain area means, in the units of X.
    """

    area: Ints
    a: Floats
    n_i: Floats
    a_i: Floats
    X: Floats
    T: Floats
    xbar: Floats
    W: Floats
    xw: Floats
    xmean: Floats

    @property
    def n(self) -> int:
        """Return the number of units."""
        return int(self.X.shape[0])

    @property
    def m(self) -> int:
        """Return the number of sampled areas."""
        return int(self.n_i.shape[0])

    @property
    def p(self) -> int:
        """Return the number of covariates, the constant included."""
        return int(self.X.shape[1])


@dataclass(frozen=True, slots=True)
class Responses:
    """B responses on one design, reduced to what the likelihood needs.

    Attributes
    ----------
    ybar : ndarray of shape (B, m)
        Precision-weighted area means.
    Wxy : ndarray of shape (B, p)
        Within-area cross products with the scaled covariates.
    Wyy : ndarray of shape (B,)
        Within-area sums of squares.
    ymean : ndarray of shape (B, m)
        Plain area means.
    """

    ybar: Floats
    Wxy: Floats
    Wyy: Floats
    ymean: Floats


def _area_means(rows: Floats, area: Ints, a: Floats | None, size: Floats) -> Floats:
    """Return (weighted) area means of each row, shape (rows, m)."""
    m = size.shape[0]
    sums = [np.bincount(area, row if a is None else a * row, m) for row in rows]
    return np.array(sums) / size


def _scaling(xbar: Floats, W: Floats, a_i: Floats) -> Floats:
    """Return T (p, p) such that X @ T is centred, when there is a constant, and scaled."""
    total = a_i.sum()
    centre = a_i @ xbar / total
    spread = np.sqrt((np.diag(W) + a_i @ (xbar - centre) ** 2) / total)
    flat = np.flatnonzero((spread <= 1e-12 * np.abs(centre)) & (centre != 0))
    if len(flat) == 0:
        size = np.sqrt(spread**2 + centre**2)
        return np.diag(1.0 / np.where(size > 0, size, 1.0))
    spread[flat] = 1.0
    T = np.diag(1.0 / np.where(spread > 0, spread, 1.0))
    constant = flat[0]
    T[constant] = -centre / spread / centre[constant]
    T[constant, constant] = 1.0 / centre[constant]
    return T


def make_design(
    X: Floats, area: Ints, m: int, *, a: Floats | None = None, names: Sequence[str] = ()
) -> Design:
    """Reduce covariates to area means and within-area cross products.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Covariates, the constant included when there is one.
    area : ndarray of shape (n,)
        Area of each unit, 0 to m - 1, none empty.
    m : int
        Number of areas.
    a : ndarray of shape (n,), optional
        Known precision factors; 1 when missing.
    names : sequence of str
        Columns of X, for messages.

    Raises
    ------
    InputError
        An area without units, fewer units than needed, or collinear covariates.
    """
    n, p = X.shape
    n_i = np.bincount(area, minlength=m).astype(np.float64)
    if (n_i == 0).any():
        raise InputError("an area of the sample has no unit", got=int((n_i == 0).sum()))
    if n <= p + 1 or m < 2 or n <= m:
        raise InputError(
            "too few units for a nested error regression",
            got=f"{n} units, {m} areas, {p} coefficients",
            expected="at least two areas, more units than areas and than coefficients + 1",
            hint="fit fewer covariates, or use an area-level or a synthetic estimator",
        )
    a_i = n_i if a is None else np.bincount(area, a, m)
    rows = np.ascontiguousarray(X.T)
    means = _area_means(rows, area, a, a_i)
    plain = means if a is None else _area_means(rows, area, None, n_i)
    within = np.zeros_like(rows)
    for row, mean, out in zip(rows, means, within, strict=True):
        if (row == row[0]).all():
            continue
        np.take(mean, area, out=out)
        np.subtract(row, out, out=out)
    weighted = within if a is None else within * a
    raw = weighted @ within.T
    T = _scaling(means.T, raw, a_i)
    W, xbar = T.T @ raw @ T, means.T @ T
    _require_full_rank(W + (xbar * a_i[:, None]).T @ xbar, T, names)
    factors = np.ones(n) if a is None else a
    return Design(area, factors, n_i, a_i, X, T, xbar, W, weighted, plain.T)


def _require_full_rank(A: Floats, T: Floats, names: Sequence[str]) -> None:
    """Refuse collinear covariates, naming the columns of the smallest eigenvector."""
    values, vectors = np.linalg.eigh(A)
    if values[0] > COLLINEAR * values[-1]:
        return
    size = np.abs(np.linalg.inv(T)).max(axis=0)
    raw = np.abs(T @ vectors[:, 0]) * size
    guilty = [int(j) for j in np.flatnonzero(raw > 1e-6 * raw.max())]
    shown = [names[j] if j < len(names) else f"column {j}" for j in guilty]
    raise InputError(
        "covariates are collinear or constant",
        where=", ".join(shown),
        got=f"eigenvalue ratio {abs(values[0] / values[-1]):.1e}",
        expected=f"above {COLLINEAR:g}",
        hint="drop one of them (a constant beside the intercept counts as one)",
    )


def responses(design: Design, Y: Floats) -> Responses:
    """Reduce responses to their statistics.

    Parameters
    ----------
    design : Design
        Of the same units.
    Y : ndarray of shape (n,) or (B, n)
        One response a row.
    """
    rows = np.atleast_2d(Y)
    equal = bool((design.a_i == design.n_i).all())
    ybar = _area_means(rows, design.area, None if equal else design.a, design.a_i)
    plain = ybar if equal else _area_means(rows, design.area, None, design.n_i)
    Wyy = np.empty(len(rows))
    for b, y in enumerate(rows):
        within = y - ybar[b][design.area]
        Wyy[b] = np.dot(within if equal else design.a * within, within)
    return Responses(ybar, rows @ design.xw.T @ design.T, Wyy, plain)
