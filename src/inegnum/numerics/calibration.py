"""Calibration of weights: Newton's method on the dual.

Model
    Find ``w_k = d_k F(q_k z_k' lam)`` with ``sum w_k x_k = X``; z = x unless instruments are given.
    A penalised margin gives way: ``X_j - sum w_k x_kj = ridge_j lam_j``.
Assumptions
    Margins are met by some weights inside the bounds; columns that repeat others agree with them.
Limits
    Dense normal equations of p margins: p up to a few thousand.

References
----------
    Deville & Särndal (1992) doi:10.1080/01621459.1992.10475217. Penalised: Rao & Singh (1997),
    Beaumont & Bocci (2008, Metron 66, 5-20). Instruments: Deville (2000), Kott (2006).
R
    ``survey::grake``, ``sampling::calib``, ``sampling::gencalib``, ``icarus::calibration``.

Converged means one thing: every margin met to `tolerance`. Anything else raises, and says which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from inegnum.numerics.distances import Distance, Raking, Sinh
from inegnum.numerics.feasibility import explain_failure, screen
from inegnum.numerics.normal_equations import (
    CrossProducts,
    Matrix,
    cross_products,
    diagonal_of,
    distances_of,
    has_negative,
    independent_columns,
    solve_scaled,
)

__all__ = ["Dual", "Point", "Solution", "margin_sizes", "newton", "solve"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

_MAX_STEPS: Final = 100
_MAX_HALVINGS: Final = 40
# A starting point that misses no margin by more than this needs no comparison with another.
_NEAR: Final = 0.25
# Margins met this closely leave nothing to polish.
_ROUNDING: Final = 1e-14


@dataclass(frozen=True, slots=True)
class Solution:
    """Calibrated ratios and how they were reached.

    Attributes
    ----------
    g : ndarray of shape (m,)
        Ratios w/d.
    lam : ndarray of shape (p,)
        Dual point: what each margin costs (0 for a column that was left out).
    achieved : ndarray of shape (p,)
        Calibrated totals.
    error : ndarray of shape (p,)
        Relative miss of each margin (of a penalised one: what was given up).
    steps : int
        Newton steps taken.
    notes : tuple of str
        Redundant columns left out, zero totals.
    """

    g: Floats
    lam: Floats
    achieved: Floats
    error: Floats
    steps: int
    notes: tuple[str, ...]


class Point(Protocol):
    """A dual point and what the margins miss there."""

    @property
    def lam(self) -> Floats:
        """The point, shape (k,)."""

    @property
    def residual(self) -> Floats:
        """What the kept margins miss, shape (k,)."""


class Dual[P: Point](Protocol):
    """A dual problem Newton's steps can be taken on."""

    @property
    def symmetric(self) -> bool:
        """Whether the slope is symmetric: the dual is then concave."""

    def at(self, lam: Floats) -> P:
        """Return a dual point and its residuals."""

    def slope(self, at: P) -> Floats:
        """Return minus the Jacobian of the residual."""


@dataclass(frozen=True, slots=True)
class _Point:
    """A dual point and what follows from it."""

    lam: Floats
    u: Floats
    g: Floats
    residual: Floats


@dataclass(frozen=True, slots=True)
class _Dual:
    """The dual problem: residuals of the kept margins, and their slope, at a dual point.

    Dual points have one coordinate a kept column; the columns left out stay at zero. `initial` is
    the slope where no weight has moved, which is known already; None with instruments or unit
    factors.
    """

    x: Matrix
    xt: Matrix
    z: Matrix | None
    d: Floats
    totals: Floats
    distance: Distance
    q: Floats | None
    ridge: Floats
    products: CrossProducts
    kept: Ints
    initial: Floats | None

    @property
    def symmetric(self) -> bool:
        return self.z is None

    def u(self, lam: Floats) -> Floats:
        whole = np.zeros(self.totals.size)
        whole[self.kept] = lam
        u = np.asarray((self.x if self.z is None else self.z) @ whole)
        return u if self.q is None else self.q * u

    def at(self, lam: Floats) -> _Point:
        """Return ratios and residuals ``X - x'w - ridge lam`` at a dual point."""
        u = self.u(lam)
        g = self.distance.ratio(u)
        miss = self.totals - self.xt @ (self.d * g)
        return _Point(lam, u, g, np.asarray(miss[self.kept] - self.ridge * lam))

    def slope(self, at: _Point) -> Floats:
        """Return minus the Jacobian of the residual."""
        steep = self.distance.slope(at.u, at.g)
        if self.initial is not None and np.ptp(steep) <= _ROUNDING * abs(steep[0]):
            H = steep[0] * self.initial
        else:
            v = self.d * steep
            H = self.gram(v if self.q is None else self.q * v)
        diagonal_of(H)[:] += self.ridge
        return np.asarray(H)

    def gram(self, v: Floats) -> Floats:
        """Return cross-products of the kept columns."""
        return _among(self.products(v), self.kept)


def solve(
    x: Matrix,
    d: Floats,
    totals: Floats,
    *,
    distance: Distance,
    names: Sequence[str],
    q: Floats | None = None,
    z: Matrix | None = None,
    ridge: Floats | None = None,
    partition: Ints | None = None,
    tolerance: float = 1e-10,
) -> Solution:
    """Calibrate `d` so that ``x' w`` equals `totals`.

    Parameters
    ----------
    x : ndarray or csr_array of shape (m, p)
        Auxiliary variables, one row per unit or distinct cell.
    d : ndarray of shape (m,)
        Initial weights, not negative.
    totals : ndarray of shape (p,)
        What each column must add up to.
    distance : Distance
        Variant of `inegnum.numerics.distances`.
    names : sequence of p str
        Names of the columns, for messages.
    q : ndarray of shape (m,), optional
        Unit factors: a large one lets the weight move more.
    z : ndarray or csr_array of shape (m, p), optional
        Instruments (generalised calibration).
    ridge : ndarray of shape (p,), optional
        Softness of each margin; 0 is exact.
    partition : ndarray of shape (p,), optional
        Which partition of the rows each column is a class of, where x is made of partitions, one
        after the other: every row has a one in one class of each.
    tolerance : float
        Largest relative miss.

    Returns
    -------
    Solution

    Raises
    ------
    CalibrationError
        Some margin is not met; the message names it, by how much, and why when it can be known.
    """
    soft = np.zeros(totals.size) if ridge is None else ridge
    xt = x.T
    net = np.asarray(xt @ d)
    products = cross_products(x, ones=0 if partition is None else int(partition[-1]) + 1)
    signs = not products.ones and has_negative(x)
    seen = screen(x, xt, d, net, totals, distance, names, soft, signs=signs)
    live = d
    if seen.frozen.any():
        live = np.where(seen.frozen, 0.0, d)
        net = np.asarray(xt @ live)
    exact = seen.active[soft[seen.active] == 0]
    gram = products(live)
    kept, repeated = independent_columns(
        distances_of(x, live), gram, totals, exact, names, partition
    )
    if exact.size < seen.active.size:
        kept = np.sort(np.concatenate([kept, seen.active[soft[seen.active] > 0]]))
    steering = products if z is None else cross_products(x, z)
    gram = _among(gram, kept)
    known = gram if z is None and q is None else None
    dual = _Dual(x, xt, z, live, totals, distance, q, soft[kept], steering, kept, known)
    size = margin_sizes(net, np.asarray(np.abs(xt) @ live) if signs else net, totals)
    lam = np.zeros(totals.size)
    start = _start(dual, gram, net, size[kept])
    # Steps that are too long overflow; the search then shortens them.
    with np.errstate(invalid="ignore", over="ignore"):
        reached, steps = newton(dual, start, size[kept], tolerance)
    lam[kept] = reached.lam
    g = reached.g
    g[seen.frozen] = 0.0
    achieved = np.asarray(xt @ (d * g))
    miss = np.abs(totals - achieved) / size
    unmet = np.abs(totals - achieved - soft * lam) / size
    # A column left out because it repeats others also carries their rounding, hence the factor.
    if not np.all(unmet <= 10 * tolerance) or not np.all(unmet[kept] <= tolerance):
        hard, steered = soft == 0, z is not None
        raise explain_failure(
            x, d, net, totals, distance, names, achieved, unmet, hard, tolerance, steered=steered
        )
    notes = seen.notes + repeated + _edge(g[~seen.frozen], distance)
    return Solution(g, lam, achieved, miss, steps, notes)


def _among(H: Floats, kept: Ints) -> Floats:
    """Return the rows and columns of H that are kept, as an array of its own."""
    return np.take(H, kept[:, None] * len(H) + kept)


def _edge(g: Floats, distance: Distance) -> tuple[str, ...]:
    """Say when margins leave some units no weight, although the distance keeps them positive."""
    if not isinstance(distance, Raking | Sinh) or g.size == 0:
        return ()
    vanished = int(np.sum(g < 1e-8 * g.max()))
    if not vanished:
        return ()
    return (f"{vanished} distinct unit(s) forced to the edge: margins leave them practically 0",)


def margin_sizes(net: Floats, mass: Floats, totals: Floats) -> Floats:
    """Return what a miss is relative to, shape (p,): never zero.

    The total; where it is zero, or nearly so because positive and negative values cancel (`net`
    adds them up, `mass` their sizes), the mass of the column scaled to the population.
    """
    cancels = np.abs(net) < 0.5 * mass
    size = np.where(cancels | (totals == 0), np.maximum(np.abs(totals), mass), np.abs(totals))
    return np.asarray(np.where(size > 0, size, 1.0))


def newton[P: Point](dual: Dual[P], here: P, size: Floats, tolerance: float) -> tuple[P, int]:
    """Climb the dual until the margins are met, then take one step more.

    The last step costs little and, convergence being quadratic, takes weights as well as margins
    to rounding even where margins are nearly collinear.
    """
    met = _worst(here.residual, size) <= tolerance
    if met:
        return here, 0
    H = np.empty(0)
    for step in range(1, _MAX_STEPS + 1):
        # The slope has settled by the last step: that of the step before serves again.
        H = H if met else dual.slope(here)
        move = solve_scaled(H, here.residual, symmetric=dual.symmetric)
        there = _search(dual, here, move, size)
        if there is None:
            return here, step - 1
        if met and not _worst(there.residual, size) < _worst(here.residual, size):
            return here, step - 1
        here = there
        miss = _worst(here.residual, size)
        if met or miss <= _ROUNDING:
            return here, step
        met = miss <= tolerance
    return here, _MAX_STEPS


def _worst(residual: Floats, size: Floats) -> float:
    return float((np.abs(residual) / size).max(initial=0.0))


def _length(v: Floats) -> float:
    return math.sqrt(float(v @ v))


def _start(dual: _Dual, gram: Floats, before: Floats, size: Floats) -> _Point:
    """Return a first dual point.

    Raking weights that add up to something else than the population is Newton's hardest case (it
    would climb an exponential). If the margins contain the constant, start from weights scaled to
    the population: they lie on the same dual curve. Where columns are categories, each multiplied
    by its own ratio is mostly nearer (exact for independent margins); overlapping ones overshoot.
    """
    zero = np.zeros(dual.kept.size)
    if not isinstance(dual.distance, Raking) or dual.z is not None or dual.q is not None:
        return dual.at(zero)
    each = None
    if dual.products.ones and not dual.ridge.any():
        each = dual.at(_own_ratios(dual, gram, before))
        if _worst(each.residual, size) <= _NEAR:
            return each
    constant = solve_scaled(gram, before[dual.kept], symmetric=True)
    if not np.max(np.abs(dual.u(constant) - 1.0)) <= 1e-8:
        return dual.at(zero)
    ratio = float(constant @ dual.totals[dual.kept]) / float(dual.d.sum())
    if ratio <= 0:
        return dual.at(zero)
    scaled = dual.at(constant * math.log(ratio))
    if each is None or not _worst(each.residual, size) < _worst(scaled.residual, size):
        return scaled
    return each


def _own_ratios(dual: _Dual, gram: Floats, before: Floats) -> Floats:
    """Return the dual point of weights scaled to the population, then by each category's ratio."""
    ones = dual.products.ones
    scale = math.log(max(float(dual.totals.sum()), 1e-300) / (ones * float(dual.d.sum())))
    live = (before > 0) & (dual.totals > 0)
    own = np.zeros(live.size)
    own[live] = np.log(dual.totals[live] / before[live]) - scale
    u = np.asarray(dual.xt @ (dual.d * (dual.x @ own + scale)))
    return solve_scaled(gram, u[dual.kept], symmetric=True)


def _search[P: Point](dual: Dual[P], here: P, move: Floats, size: Floats) -> P | None:
    """Shorten a Newton step until residuals shrink or the maximum is not overshot.

    The dual is concave: a step whose end still climbs (``residual . move >= 0``) has gained all
    the way, whatever happened to the norm of the residuals. None when no step makes progress.
    """
    before = _length(here.residual / size)
    length = 1.0
    for _ in range(_MAX_HALVINGS):
        there = dual.at(here.lam + length * move)
        norm = _length(there.residual / size)
        climbing = dual.symmetric and float(there.residual @ move) >= 0
        if np.isfinite(norm) and (norm <= before * (1 - 1e-4 * length) or climbing):
            return there
        length /= 2
    return None
