"""Effects of a logit from rates published for overlapping groups.

Model
    `group_rates.GroupRates` as likelihood; effects and sds as in `latent.Design`.
Method
    1. Gauss-Newton for the mode; working logits and covariance are updated along the way, then held
       (`settled`): this fixes the density whatever samples it.
    2. The group logits are replaced by their mean and mean slope over the posterior (statistical
       linearisation, twice): a Gaussian likelihood, whose sds are drawn by Gibbs as in `laplace`.
    3. Draws of the effects are moved by Hamiltonian steps that leave the exact density given their
       sds where it is, in the metric of the expansion: where the rates say nothing of an effect
       (interactions), it goes far enough for the logistic curve to bend.
Assumptions
    The law of the sds is that of the expansion.
Limits
    Judged against a long NUTS run of the same density in ``tests/golden``.

References
----------
    Neal 2011, arXiv:1206.1901 (Hamiltonian steps); Särkkä 2013, doi:10.1017/CBO9781139344203,
    chapter 5 (statistical linearisation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from inegnum.errors import ConvergenceError
from inegnum.numerics import dense
from inegnum.numerics.group_rates import GroupRates, cell_rates, group_rates
from inegnum.numerics.laplace import Surrogate
from inegnum.numerics.latent import Design

__all__ = ["Inverted", "invert", "settled"]

Floats = npt.NDArray[np.float64]

# Rates that nearly determine a small group make Gauss-Newton crawl: its steps are cheap, and most
# fits need a dozen.
_STEPS: Final = 2000
_ROUNDS: Final = 75
_CIRCLE: Final = 0.5  # logits
_AVERAGED: Final = 256  # draws a mean slope is taken over
# Moves of a draw. Three leapfrog steps of half a unit go a quarter of the way round a standard
# normal law: what they reach hardly depends on where they left from.
_MOVES: Final = 4
_LEAPS: Final = 3
_LENGTH: Final = 0.5


@dataclass(frozen=True, slots=True)
class Inverted:
    """The posterior of the effects given group rates.

    Attributes
    ----------
    design : Design
    groups : GroupRates
        With the priors of the design, the density itself.
    surrogate : Surrogate
        Its Gaussian expansion.
    sds : ndarray of shape (M, T)
        Support points of the sds, of equal weight.
    """

    design: Design
    groups: GroupRates
    surrogate: Surrogate
    sds: Floats

    def draw(self, S: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw effects (S, P) and sds (S, T) from the posterior.

        Raises
        ------
        ConvergenceError
            Under half of the moves are accepted, however short.
        """
        which = np.minimum((np.arange(S) * len(self.sds)) // S, len(self.sds) - 1)
        effects, length = np.empty((S, self.design.size)), _LENGTH
        for m in np.unique(which):
            at = np.flatnonzero(which == m)
            effects[at], length = self._drawn(self.sds[m], len(at), length, rng)
        order = rng.permutation(S)
        return effects[order], self.sds[which[order]]

    def _drawn(
        self, sds: Floats, count: int, length: float, rng: np.random.Generator
    ) -> tuple[Floats, float]:
        """Draw `count` effects given the sds; return them and the length of the leaps."""
        Q, q = self.design.prior(sds)
        L = dense.factor(self.surrogate.H + Q)
        start = (
            self.surrogate.solve(sds)
            + dense.solve_upper(L, rng.standard_normal((self.design.size, count))).T
        )

        def density(b: Floats) -> tuple[Floats, Floats]:
            value, slope = self.groups.likelihood(self.design, b)
            pull = b @ Q
            return value - 0.5 * (pull * b).sum(axis=1) + b @ q, slope - pull + q

        while length > 0.01:
            b, accepted = _moved(density, start, L, length, rng)
            if accepted > 0.5:
                return b, length
            length /= 2
        raise ConvergenceError(
            "draws of the effects cannot be moved towards the published rates",
            got=f"{accepted:.0%} of the moves accepted at leaps of {2 * length:.2g}",
            expected="half of them",
            hint="look for two rates that contradict each other",
        )


def _moved(
    density: Callable[[Floats], tuple[Floats, Floats]],
    b: Floats,
    L: Floats,
    length: float,
    rng: np.random.Generator,
) -> tuple[Floats, float]:
    """Take Hamiltonian moves from draws b (S, P) in the metric L L'; return them, share accepted.

    The leaps of a move are of one random length, the same for all draws.
    """
    value, slope = density(b)
    accepted = 0.0
    for _ in range(_MOVES):
        step = length * rng.uniform(0.8, 1.2)
        # With y = L'b the metric is the identity: m is the momentum of y.
        m = rng.standard_normal(b.shape)
        kinetic = 0.5 * (m * m).sum(axis=1)
        trial, trial_value, trial_slope = b, value, slope
        for _ in range(_LEAPS):
            m = m + 0.5 * step * dense.solve_lower(L, trial_slope.T).T
            trial = trial + step * dense.solve_upper(L, m.T).T
            trial_value, trial_slope = density(trial)
            m = m + 0.5 * step * dense.solve_lower(L, trial_slope.T).T
        gain = trial_value - value + kinetic - 0.5 * (m * m).sum(axis=1)
        taken = np.log(rng.random(len(b))) < gain
        b = np.where(taken[:, None], trial, b)
        slope = np.where(taken[:, None], trial_slope, slope)
        value = np.where(taken, trial_value, value)
        accepted += taken.mean() / _MOVES
    return b, float(accepted)


def invert(
    design: Design,
    A: Floats,
    r: Floats,
    *,
    kept: Floats,
    covariance: Callable[[Floats], Floats],
    rng: np.random.Generator,
    points: int = 64,
) -> Inverted:
    """Return the posterior of the effects given group rates.

    Parameters
    ----------
    design : Design
        Its rows are cells of the frame; its counts are not used.
    A : ndarray of shape (G, R)
        Rows of shares.
    r : ndarray of shape (G,)
        Published rates.
    kept : ndarray of shape (G, d)
        Directions of the rates that are used (`group_rates.directions`).
    covariance : callable
        From cell rates (R,) to V (G, G).
    points : int
        Support points of the sds.

    Raises
    ------
    ConvergenceError
        The mode is not reached.
    """
    learned = [k for k, term in enumerate(design.terms) if term.learned]
    groups, mode, sds = settled(design, A, r, kept=kept, covariance=covariance, rng=rng)
    surrogate = _expanded(design, groups, mode[None, :])
    for _ in range(2):
        chain = surrogate.sweeps(sds, _AVERAGED // 4 + 5, learned, rng)[5:]
        effects, _ = Inverted(design, groups, surrogate, chain).draw(_AVERAGED, rng)
        surrogate = _expanded(design, groups, effects)
    chain = surrogate.sweeps(sds, points + 5, learned, rng)[5:]
    return Inverted(design, groups, surrogate, chain)


def settled(
    design: Design,
    A: Floats,
    r: Floats,
    *,
    kept: Floats,
    covariance: Callable[[Floats], Floats],
    rng: np.random.Generator,
) -> tuple[GroupRates, Floats, Floats]:
    """Return the evidence of published rates, the mode it is expanded at and its sds.

    Parameters
    ----------
    As `invert`.
    """
    learned = [k for k, term in enumerate(design.terms) if term.learned]
    sds, shares = design.start(), csr_array(A)

    def law(p: Floats) -> tuple[Floats, Floats]:
        return covariance(p), kept

    start = np.zeros(design.size)
    start[0] = np.log(r.mean()) - np.log1p(-r.mean())
    groups, mode = _fixed(design, shares, r, sds, start, law)
    for length in (8, 16):
        chain = _expanded(design, groups, mode[None, :]).sweeps(sds, length, learned, rng)
        sds = np.exp(np.log(chain[length // 4 :]).mean(axis=0))
        groups, mode = _fixed(design, shares, r, sds, mode, law)
    return groups, mode, sds


def _expanded(design: Design, groups: GroupRates, effects: Floats) -> Surrogate:
    """Make the group logits linear in the effects, as they are on average over draws (S, P)."""
    logits, J = groups.slopes(design, effects)
    H = J.T @ groups.W @ J
    at = J @ effects.mean(axis=0)
    return Surrogate(design, H, J.T @ (groups.W @ (groups.z - logits + at)))


def _fixed(
    design: Design,
    A: csr_array,
    r: Floats,
    sds: Floats,
    start: Floats,
    law: Callable[[Floats], tuple[Floats, Floats]],
) -> tuple[GroupRates, Floats]:
    """Return evidence and mode, one found from the other in turn."""
    b, C = start, np.empty((0, 0))
    Q = design.prior(sds)[0]
    p = cell_rates(design, b[None, :])[:, 0]
    for round_ in range(_ROUNDS):
        # Two tables that cross can send mode and covariance round in a circle: once near, rates
        # follow the mode by a half, then by less.
        pace = 1.0 if round_ < 4 else max(0.5 ** (1 + round_ // 15), 1 / 16)
        p = p + pace * (cell_rates(design, b[None, :])[:, 0] - p)
        groups = group_rates(design, A, r, p, C, law(p))
        found = _mode(design, groups, sds, b)
        moved = float(np.abs(found - b).max())
        b = found
        # Logits. The working response holds to first order from any point near the fit: where the
        # circle is narrow, its middle will do.
        if (moved < 1e-3 * pace and round_ > 2) or (round_ + 1 == _ROUNDS and moved < _CIRCLE):
            return groups, b
        C = dense.inverse(dense.factor(_expanded(design, groups, b[None, :]).H + Q))
    raise ConvergenceError(
        "the covariance of the published rates does not settle",
        got=f"effects still moving by {moved:.2g} logits after {_ROUNDS} rounds",
        expected=f"below {_CIRCLE:g}",
        hint="look for two rates that contradict each other",
    )


def _mode(design: Design, groups: GroupRates, sds: Floats, start: Floats) -> Floats:
    """Return the mode of the effects, by Gauss-Newton steps halved until they gain."""
    Q, q = design.prior(sds)

    def height(b: Floats) -> float:
        return float(groups.likelihood(design, b[None, :])[0][0] - 0.5 * b @ Q @ b + q @ b)

    b, value = start, height(start)
    for _ in range(_STEPS):
        target = _expanded(design, groups, b[None, :]).solve(sds)
        length, gained = 1.0, -np.inf
        while length > 1e-9:
            gained = height(b + length * (target - b)) - value
            if gained >= 0:
                break
            length /= 2
        if gained < 0:  # no step gains any more: rounding is all that is left
            return b
        b, value = b + length * (target - b), value + gained
        if gained < 1e-7:  # log posterior: the mode is within 0.0005 of a posterior sd
            return b
    raise ConvergenceError(
        "no effects reproduce the published rates",
        got=f"a log posterior still gaining {gained:.2g} after {_STEPS} steps",
        expected="below 1e-7",
        hint="look for two rates that contradict each other",
    )
