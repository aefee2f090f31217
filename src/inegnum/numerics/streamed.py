"""Calibration of units that come in parts: Newton's method, one reading of all parts a step.

Model, assumptions and convergence are those of `inegnum.numerics.calibration`, whose steps are
taken here on sums added up part by part: memory is that of one part and of p x p cross-products.
Limits: no instruments, bounds the same for all units. What stands in the way of margins that
cannot be met is not looked for, which would take all units at once.
References: Deville & Särndal (1992) doi:10.1080/01621459.1992.10475217.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from inegnum.numerics.calibration import margin_sizes, newton
from inegnum.numerics.distances import Distance, Raking
from inegnum.numerics.feasibility import explain_failure, screen
from inegnum.numerics.normal_equations import (
    Matrix,
    cross_products,
    diagonal_of,
    has_negative,
    independent_columns,
    solve_scaled,
)

__all__ = ["Each", "Look", "OfPart", "StreamedSolution", "Sums", "look", "solve_streamed"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Sums = tuple[Floats, ...]
# Of auxiliary variables, initial weights and unit factors, shape (m,) (None: all one).
OfPart = Callable[[Matrix, Floats, Floats | None], Sums]
# Applies a function to every part, in order, and yields what it returns.
Each = Callable[[OfPart], Iterable[Sums]]


@dataclass(frozen=True, slots=True)
class Look:
    """Sums over all parts.

    Attributes
    ----------
    net, mass : ndarray of shape (p,)
        Columns added up with the initial weights, and their sizes.
    lowest : ndarray of shape (p,)
        Smallest entry of each column.
    gram : ndarray of shape (p, p)
        Cross-products.
    d : float
        Sum of the initial weights.
    plain : bool
        Whether all unit factors are one.
    """

    net: Floats
    mass: Floats
    lowest: Floats
    gram: Floats
    d: float
    plain: bool


@dataclass(frozen=True, slots=True)
class StreamedSolution:
    """What gives the ratio of any unit: ``g = F(x' lam)``, 0 where x touches a frozen column.

    Attributes
    ----------
    lam : ndarray of shape (p,)
    frozen : ndarray of bool of shape (p,)
        Columns whose total is zero: their units weigh nothing.
    before, achieved, error : ndarray of shape (p,)
        Initial and calibrated totals, relative misses.
    steps : int
    notes : tuple of str
    """

    lam: Floats
    frozen: Mask
    before: Floats
    achieved: Floats
    error: Floats
    steps: int
    notes: tuple[str, ...]

    def ratios(self, x: Matrix, distance: Distance, q: Floats | None = None) -> Floats:
        """Return the ratios of some units, shape (m,)."""
        g = distance.ratio(_u(x, self.lam, q))
        return g if not self.frozen.any() else np.where(_touching(x, self.frozen), 0.0, g)


def look(each: Each, frozen: Mask | None = None) -> Look:
    """Read all parts once."""
    parts = iter(each(partial(_look_at, frozen=frozen)))
    net, mass, lowest, gram, d, plain = next(parts)
    for part in parts:
        net, mass, gram, d = net + part[0], mass + part[1], gram + part[3], d + part[4]
        lowest, plain = np.minimum(lowest, part[2]), np.minimum(plain, part[5])
    return Look(net, mass, lowest, gram, float(d), bool(plain))


def solve_streamed(
    each: Each,
    first: Look,
    totals: Floats,
    *,
    distance: Distance,
    names: Sequence[str],
    ridge: Floats,
    tolerance: float = 1e-10,
) -> StreamedSolution:
    """Calibrate units that come in parts.

    Parameters
    ----------
    each : callable
        Applies a function to the auxiliary variables and weights of every part.
    first : Look
        What `look` saw of them.
    totals, ridge : ndarray of shape (p,)
    distance : Distance
    names : sequence of p str
    tolerance : float

    Raises
    ------
    CalibrationError
        Some margin is not met.

    Examples
    --------
    >>> import numpy as np
    >>> from inegnum.numerics.distances import Linear
    >>> parts = [(np.array([[1.0], [2.0]]), np.ones(2)), (np.array([[3.0]]), np.ones(1))]
    >>> each = lambda f: [f(x, d, None) for x, d in parts]
    >>> found = solve_streamed(
    ...     each, look(each), np.array([20.0]), distance=Linear(), names=["x"], ridge=np.zeros(1)
    ... )
    >>> found.achieved, found.ratios(parts[1][0], Linear()).round(6)
    (array([20.]), array([4.]))
    """
    active, notes = _screened(first, totals, distance, names, ridge)
    frozen = np.zeros(totals.size, dtype=bool)
    frozen[(totals == 0) & (first.mass > 0) & ~np.isin(np.arange(totals.size), active)] = True
    seen = first
    if frozen.any():
        seen = look(each, frozen)
        active, _ = _screened(seen, totals, distance, names, ridge)
    exact = active[ridge[active] == 0]
    kept, repeated = independent_columns(
        partial(_distances, each, frozen), seen.gram, totals, exact, names
    )
    kept = np.sort(np.concatenate([kept, active[ridge[active] > 0]]))
    size = margin_sizes(seen.net, seen.mass, totals)
    dual = _Dual(each, totals, distance, ridge[kept], kept, frozen)
    lam = np.zeros(totals.size)
    with np.errstate(invalid="ignore", over="ignore"):
        reached, steps = newton(dual, dual.at(_start(dual, seen)), size[kept], tolerance)
    lam[kept] = reached.lam
    gap = np.abs(totals - reached.achieved)
    unmet = np.abs(totals - reached.achieved - ridge * lam) / size
    # As in memory: a column left out because it repeats others also carries their rounding.
    if not np.all(unmet <= 10 * tolerance) or not np.all(unmet[kept] <= tolerance):
        hard, got = ridge == 0, reached.achieved
        raise explain_failure(
            None, None, seen.net, totals, distance, names, got, unmet, hard, tolerance
        )
    return StreamedSolution(
        lam, frozen, first.net, reached.achieved, gap / size, steps, notes + repeated
    )


@dataclass(frozen=True, slots=True)
class _Point:
    """A dual point and the sums of one reading there."""

    lam: Floats
    residual: Floats
    achieved: Floats
    H: Floats


@dataclass(frozen=True, slots=True)
class _Dual:
    """The dual problem of `inegnum.numerics.calibration`, one reading a point."""

    each: Each
    totals: Floats
    distance: Distance
    ridge: Floats
    kept: Ints
    frozen: Mask
    symmetric: bool = True

    def at(self, lam: Floats) -> _Point:
        whole = np.zeros(self.totals.size)
        whole[self.kept] = lam
        achieved, H = np.zeros(self.totals.size), np.zeros((self.kept.size, self.kept.size))
        reading = partial(
            _sums_at, lam=whole, kept=self.kept, distance=self.distance, frozen=self.frozen
        )
        for part in self.each(reading):
            achieved, H = achieved + part[0], H + part[1]
        residual = (self.totals - achieved)[self.kept] - self.ridge * lam
        return _Point(lam, residual, achieved, H)

    def slope(self, at: _Point) -> Floats:
        H = at.H.copy()
        diagonal_of(H)[:] += self.ridge
        return H


def _screened(
    seen: Look, totals: Floats, distance: Distance, names: Sequence[str], ridge: Floats
) -> tuple[Ints, tuple[str, ...]]:
    """Screen the margins on two units a column: its mass, and its lowest entry where negative."""
    x = np.vstack([np.diag(seen.mass), np.diag(np.minimum(seen.lowest, 0.0))])
    one = np.ones(len(x))
    found = screen(x, x.T, one, seen.mass, totals, distance, names, ridge, signs=has_negative(x))
    return found.active, found.notes


def _start(dual: _Dual, seen: Look) -> Floats:
    """Return a first dual point: weights scaled to the population where raking can say so."""
    zero = np.zeros(dual.kept.size)
    if not isinstance(dual.distance, Raking) or not seen.plain:
        return zero
    gram, net = seen.gram[np.ix_(dual.kept, dual.kept)], seen.net[dual.kept]
    constant = solve_scaled(gram, net, symmetric=True)
    # sum d (1 - x' c)^2, as a share of sum d: whether the margins contain the constant.
    apart = 1.0 - float(2 * constant @ net - constant @ gram @ constant) / seen.d
    ratio = float(constant @ dual.totals[dual.kept]) / seen.d
    return constant * np.log(ratio) if abs(apart) <= 1e-8 and ratio > 0 else zero


def _u(x: Matrix, lam: Floats, q: Floats | None) -> Floats:
    u = np.asarray(x @ lam)
    return u if q is None else q * u


def _look_at(x: Matrix, d: Floats, q: Floats | None, *, frozen: Mask | None) -> Sums:
    d = _thawed(x, d, frozen)
    net = np.asarray(x.T @ d)
    low = x.min(axis=0)
    lowest = np.asarray(low if isinstance(x, np.ndarray) else low.toarray()).ravel()
    mass = np.asarray(np.abs(x).T @ d) if has_negative(x) else net
    plain = np.array(q is None or bool((q == 1).all()))
    return net, mass, lowest, cross_products(x)(d), np.array(d.sum()), plain


def _sums_at(
    x: Matrix,
    d: Floats,
    q: Floats | None,
    *,
    lam: Floats,
    kept: Ints,
    distance: Distance,
    frozen: Mask,
) -> Sums:
    d = _thawed(x, d, frozen)
    u = _u(x, lam, q)
    g = distance.ratio(u)
    v = d * distance.slope(u, g)
    H = cross_products(x)(v if q is None else q * v)
    return np.asarray(x.T @ (d * g)), H[np.ix_(kept, kept)]


def _distances(each: Each, frozen: Mask, A: Floats) -> Floats:
    squares = sum((part[0] for part in each(partial(_squares, A=A, frozen=frozen))), np.zeros(1))
    return np.asarray(np.sqrt(squares))


def _squares(x: Matrix, d: Floats, _: Floats | None, *, A: Floats, frozen: Mask) -> Sums:
    return (np.asarray(_thawed(x, d, frozen) @ (x @ A) ** 2),)


def _touching(x: Matrix, frozen: Mask) -> Mask:
    return np.asarray(x @ frozen.astype(np.float64)) > 0


def _thawed(x: Matrix, d: Floats, frozen: Mask | None) -> Floats:
    """Return the weights of the units that no zero total freezes."""
    if frozen is None or not frozen.any():
        return d
    return np.where(_touching(x, frozen), 0.0, d)
