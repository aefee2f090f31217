"""Effects of a logit from rates published for overlapping groups.

Model
    r = A s(X b) + e, e ~ N(0, V(b)); A averages cells into groups, b as in `latent.Design`.
Method
    Gauss-Newton for the mode, V updated along the way and then held; effects and sds from the
    normal expansion there (sds by Gibbs, as in `laplace`); draws are then moved so that their group
    rates keep their law where the logistic curve bends (`straighten`).
Assumptions
    Rates are normal around their group means: groups of a few dozen respondents or more.
Limits
    V is singular when one-way tables share their total: directions whose variance is below 1e-5 of
    the largest are dropped, not inverted.

References
----------
    METHODS of the documentation, margins only; Leemann & Wasserfallen 2017, doi:10.1111/ajps.12319.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from inegnum.errors import ConvergenceError
from inegnum.numerics import dense
from inegnum.numerics.laplace import Surrogate
from inegnum.numerics.latent import Design
from inegnum.numerics.mixture import Posterior, Support

__all__ = ["GroupRates", "group_covariance", "invert", "straighten", "truncated_inverse"]

Floats = npt.NDArray[np.float64]

# Rates that nearly determine a small group make Gauss-Newton crawl: its steps are cheap, and most
# fits need a dozen.
_STEPS: Final = 2000


@dataclass(frozen=True, slots=True)
class GroupRates:
    """Published rates as a normal likelihood of the cells' rates.

    Attributes
    ----------
    A : ndarray of shape (G, R)
        Shares of the cells in each group.
    r : ndarray of shape (G,)
        Published rates.
    W : ndarray of shape (G, G)
        Inverse of their covariance, on the directions kept (`truncated_inverse`).
    """

    A: Floats
    r: Floats
    W: Floats


def group_covariance(
    masks: Floats, N: Floats, p: Floats, *, n: Floats, deff: Floats, rounding: Floats
) -> Floats:
    """Return the covariance of published group rates that share respondents.

    Parameters
    ----------
    masks : ndarray of shape (G, R)
        Share of each cell that belongs to the group, 0 to 1.
    N, p : ndarray of shape (R,)
        Persons and rate of each cell.
    n : ndarray of shape (G,)
        Respondents of each group.
    deff : ndarray of shape (G,)
    rounding : ndarray of shape (G,)
        Unit the rate was rounded to (0.01 for a whole percentage).

    Returns
    -------
    ndarray of shape (G, G)
        ``deff n_kl / (n_k n_l) [p_kl (1 - p_kl) + (p_kl - p_k)(p_kl - p_l)]``, plus the variance
        of rounding on the diagonal.
    """
    shared = (masks * N) @ masks.T
    yes = (masks * (N * p)) @ masks.T
    within = np.divide(yes, shared, out=np.zeros_like(yes), where=shared > 0)
    persons = np.diag(shared)
    rate = np.diag(within)
    # n_k is proportional to N_k within a survey; between two tables, to their geometric mean.
    joint = shared * np.sqrt(np.outer(n / persons, n / persons))
    bracket = within * (1 - within) + (within - rate[:, None]) * (within - rate[None, :])
    V = np.sqrt(np.outer(deff, deff)) * joint / np.outer(n, n) * bracket
    return np.asarray(V + np.diag((rounding / 2) ** 2 / 3))


def truncated_inverse(V: Floats, rank: int | None = None) -> tuple[Floats, int]:
    """Return the inverse of V on the `rank` directions that vary most, and the rank.

    Unless given, the rank leaves out directions below 1e-5 of the largest variance: sums of shared
    groups that are known twice, while the smallest true variance stands near 1e-4 of the largest.
    """
    values, vectors = np.linalg.eigh(V)
    rank = int((values > 1e-5 * values[-1]).sum()) if rank is None else rank
    kept = slice(len(values) - rank, None)
    return np.asarray((vectors[:, kept] / values[kept]) @ vectors[:, kept].T), rank


def invert(
    design: Design,
    A: Floats,
    r: Floats,
    *,
    covariance: Callable[[Floats], Floats],
    rng: np.random.Generator,
    points: int = 64,
) -> Posterior:
    """Return the posterior of the effects given group rates.

    Parameters
    ----------
    design : Design
        Its rows are cells of the frame; its counts are not used.
    A : ndarray of shape (G, R)
        Rows of shares.
    r : ndarray of shape (G,)
        Published rates.
    covariance : callable
        From cell rates (R,) to V (G, G).

    Raises
    ------
    ConvergenceError
        The mode is not reached.
    """
    learned = [k for k, term in enumerate(design.terms) if term.learned]
    sds = design.start()
    start = np.zeros(design.size)
    start[0] = np.log(r.mean()) - np.log1p(-r.mean())
    mode, W = _settled(design, A, r, sds, start, covariance)
    for length in (8, 16):
        chain = _expanded(design, A, r, mode, W).sweeps(sds, length, learned, rng)
        sds = np.exp(np.log(chain[length // 4 :]).mean(axis=0))
        mode, W = _settled(design, A, r, sds, mode, covariance)
    surrogate = _expanded(design, A, r, mode, W)
    chain = surrogate.sweeps(sds, points + 5, learned, rng)[5:]
    nothing = np.zeros(len(design.y))
    supports = []
    for theta in chain:
        mean = surrogate.solve(theta)
        L = dense.factor(surrogate.H + design.prior(theta)[0])
        supports.append(Support(mean, L, nothing, nothing))
    even = np.full(points, 1 / points)
    return Posterior(design, chain, even, tuple(supports), -np.inf, float(points))


def straighten(design: Design, A: Floats, effects: Floats) -> Floats:
    """Move draws of the effects so that their group rates have the law the evidence gives them.

    The rates are nearly linear constraints, met by normal draws on the tangent only: far along a
    direction the rates say nothing of, the logistic curve leaves them. Each draw is brought back,
    by the shortest way in the posterior metric of all draws, to the rates its tangent promised. A
    law smooth in the effects is not flat in the rates; that is left out, and means are off for it.

    Parameters
    ----------
    effects : ndarray of shape (S, P)

    Returns
    -------
    ndarray of shape (S, P)
    """
    centre = effects.mean(axis=0)
    J = _slopes(design, A, centre)
    goal = A @ expit(design.X @ centre + design.offset) + (effects - centre) @ J.T
    spread = np.cov(effects.T)
    back = J @ spread
    # A ten-thousandth of a rate's prior variance keeps tables known twice from dividing by zero.
    gain = np.linalg.solve(back @ J.T + 1e-8 * np.eye(len(A)), back)
    return _brought(design, A, effects, goal, gain)


def _brought(design: Design, A: Floats, effects: Floats, goal: Floats, gain: Floats) -> Floats:
    """Return draws moved until their group rates are `goal` (S, G)."""
    out = effects.copy()
    for rows in np.array_split(np.arange(len(out)), max(1, len(out) // 250)):
        gap = goal[rows] - _group_rates(design, A, out[rows])
        length = np.ones(len(rows))
        for _ in range(8):
            trial = out[rows] + length[:, None] * (gap @ gain)
            left = goal[rows] - _group_rates(design, A, trial)
            better = (left**2).sum(axis=1) < (gap**2).sum(axis=1)
            out[rows[better]], gap[better] = trial[better], left[better]
            length = np.where(better, 1.0, length / 2)
            if np.abs(gap).max() < 1e-4:  # a hundredth of a point
                break
    return out


def _slopes(design: Design, A: Floats, b: Floats) -> Floats:
    """Return how the group rates move with the effects at b, shape (G, P)."""
    p = expit(design.X @ b + design.offset)
    return np.asarray((A * (p * (1 - p))) @ design.X)


def _group_rates(design: Design, A: Floats, effects: Floats) -> Floats:
    return np.asarray((A @ expit(design.X @ effects.T + design.offset[:, None])).T)


def _expanded(design: Design, A: Floats, r: Floats, b: Floats, W: Floats) -> Surrogate:
    """Linearise the group rates around b: a Gaussian likelihood of the effects."""
    p = expit(design.X @ b + design.offset)
    J = np.asarray((A * (p * (1 - p))) @ design.X)
    H = J.T @ W @ J
    return Surrogate(design, H, H @ b + J.T @ (W @ (r - A @ p)))


def _log_posterior(
    design: Design, A: Floats, r: Floats, b: Floats, W: Floats, sds: Floats
) -> float:
    gap = r - A @ expit(design.X @ b + design.offset)
    Q, q = design.prior(sds)
    return float(-0.5 * gap @ W @ gap - 0.5 * b @ Q @ b + q @ b)


def _settled(
    design: Design,
    A: Floats,
    r: Floats,
    sds: Floats,
    start: Floats,
    covariance: Callable[[Floats], Floats],
) -> tuple[Floats, Floats]:
    """Return the mode and the inverse covariance it implies, one found from the other in turn."""
    b, rank = start, None
    p = expit(design.X @ b + design.offset)
    for round_ in range(60):
        # Halved once near: two tables that cross can send mode and covariance back and forth.
        now = expit(design.X @ b + design.offset)
        p = now if round_ < 4 else 0.5 * (p + now)
        W, found_rank = truncated_inverse(covariance(p), rank)
        # The rank is settled once rates are near: a direction on the threshold would come and go.
        rank = found_rank if round_ == 2 else rank
        found = _mode(design, A, r, sds, b, W)
        moved = float(np.abs(found - b).max())
        b = found
        if moved < 1e-3:  # logits: the covariance needs rates to a tenth of a point
            return b, W
    raise ConvergenceError(
        "the covariance of the published rates does not settle",
        got=f"effects still moving by {moved:.2g} logits after 60 rounds",
        expected="below 1e-3",
        hint="look for two rates that contradict each other",
    )


def _mode(design: Design, A: Floats, r: Floats, sds: Floats, start: Floats, W: Floats) -> Floats:
    """Return the mode of the effects, by Gauss-Newton steps halved until they gain."""
    b, value = start, _log_posterior(design, A, r, start, W, sds)
    for _ in range(_STEPS):
        target = _expanded(design, A, r, b, W).solve(sds)
        length, gained = 1.0, -np.inf
        while length > 1e-9:
            gained = _log_posterior(design, A, r, b + length * (target - b), W, sds) - value
            if gained >= 0:
                break
            length /= 2
        move = length * (target - b)
        if gained < 0:  # no step gains any more: rounding is all that is left
            return b
        b, value = b + move, value + gained
        if gained < 1e-7:  # log posterior: the mode is within 0.0005 of a posterior sd
            return b
    raise ConvergenceError(
        "no effects reproduce the published rates",
        got=f"a log posterior still gaining {gained:.2g} after {_STEPS} steps",
        expected="below 1e-7",
        hint="look for two rates that contradict each other",
    )
