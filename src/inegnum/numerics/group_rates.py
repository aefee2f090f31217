"""Published rates of overlapping groups as evidence on the effects of a logit.

Model
    r = A s(X b) + e, e ~ N(0, V(b)); A averages cells into groups, b as in `latent.Design`. Written
    on the logits of the group rates, where effects act nearly as sums,

        z - logit(A s(X b)) ~ N(0, D V D),    D = 1 / (P (1 - P)),

    V and D at the group rates P of the fit. z is the working response of a generalised linear
    model, logit P + D (r - P): score and information are those of r to first order, whatever the
    point they are taken at. Its centre is set back by (1 - 2 P) / 2 times the posterior variance of
    the logit: counts are skewed on that scale where a normal law is not, and it is then the rates
    whose posterior means are those of the fit, as with the counts themselves.
Assumptions
    Group rates are about normal on the logit scale over their posterior.
Limits
    V is singular where tables of a survey share a total; these directions are dropped
    (`directions`), not inverted.

References
----------
    McCullagh & Nelder 1989, sections 2.5 and 9.2 (working response, quasi-score); METHODS of the
    documentation, margins only; Leemann & Wasserfallen 2017, doi:10.1111/ajps.12319.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from inegnum.numerics.latent import Design

__all__ = ["GroupRates", "cell_rates", "directions", "group_covariance", "group_rates"]

Floats = npt.NDArray[np.float64]
_BEYOND: Final = 30.0  # logits; a rate is 0 or 1 to the thirteenth digit


@dataclass(frozen=True, slots=True)
class GroupRates:
    """Published rates as a normal law of the logits of group rates.

    Attributes
    ----------
    A : csr_array of shape (G, R)
        Shares of the cells in each group.
    z : ndarray of shape (G,)
        Working logits.
    W : ndarray of shape (G, G)
        Inverse of their covariance, on the directions kept (`directions`).
    """

    A: csr_array
    z: Floats
    W: Floats

    def likelihood(self, design: Design, effects: Floats) -> tuple[Floats, Floats]:
        """Return the log-likelihood of draws (S,) and its gradient (S, P).

        Parameters
        ----------
        effects : ndarray of shape (S, P)
        """
        p = cell_rates(design, effects)
        P = self.A @ p
        gap = self.z[:, None] - (np.log(P) - np.log1p(-P))
        pull = self.W @ gap
        back = self.A.T @ (pull / (P * (1 - P)))
        back *= p
        back *= 1 - p
        return -0.5 * (gap * pull).sum(axis=0), np.asarray((design.X.T @ back).T)

    def slopes(self, design: Design, effects: Floats) -> tuple[Floats, Floats]:
        """Return group logits (G,) and how they move with the effects (G, P), both averaged.

        Parameters
        ----------
        effects : ndarray of shape (S, P)
            Draws the averages are over: one for the tangent at a point.
        """
        logits, weights = np.zeros(len(self.z)), np.zeros(self.A.shape)
        dense = self.A.toarray()
        for part in np.array_split(effects, max(1, len(effects) // 64)):
            p = cell_rates(design, part)
            P = self.A @ p
            logits += (np.log(P) - np.log1p(-P)).sum(axis=1)
            weights += (1 / (P * (1 - P))) @ (p * (1 - p)).T
        J = (dense * weights) @ design.X
        return logits / len(effects), np.asarray(J / len(effects))


def cell_rates(design: Design, effects: Floats) -> Floats:
    """Return the rates of the cells at draws of the effects (S, P), shape (R, S)."""
    eta = np.asarray(design.X @ effects.T)
    eta += design.offset[:, None]
    np.clip(eta, -_BEYOND, _BEYOND, out=eta)
    np.negative(eta, out=eta)
    np.exp(eta, out=eta)
    eta += 1.0
    return np.asarray(np.reciprocal(eta, out=eta))


def group_rates(
    design: Design, A: csr_array, r: Floats, p: Floats, C: Floats, law: tuple[Floats, Floats]
) -> GroupRates:
    """Return published rates r (G,) as evidence, expanded at cell rates p (R,).

    Parameters
    ----------
    C : ndarray of shape (P, P)
        Posterior covariance of the effects; empty before there is one.
    law : tuple of ndarray of shape (G, G) and (G, d)
        Covariance of the published rates and the directions kept.
    """
    P = A @ p
    D = 1 / (P * (1 - P))
    z = np.log(P) - np.log1p(-P) + D * (r - P)
    if C.size:
        J = D[:, None] * (A.multiply(p * (1 - p)) @ design.X).toarray()
        z = z - 0.5 * (1 - 2 * P) * np.einsum("gp,gp->g", J @ C, J)
    V, U = law
    half = np.linalg.solve(np.linalg.cholesky(U.T @ V @ U), U.T / D)
    return GroupRates(A, z, half.T @ half)


def group_covariance(
    masks: Floats,
    N: Floats,
    p: Floats,
    *,
    n: Floats,
    deff: Floats,
    rounding: Floats,
    composed: bool = False,
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
    composed : bool
        Whether the respondents themselves are composed as the cells say. Differences between the
        cells of a group are then no part of its sampling error, as they are none for a model of the
        respondents: ``p_kl (1 - p_kl)`` becomes the mean of ``p_c (1 - p_c)``, the rest is gone.

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
    if composed:
        error = (masks * (N * p * (1 - p))) @ masks.T
        bracket = np.divide(error, shared, out=np.zeros_like(error), where=shared > 0)
    V = np.sqrt(np.outer(deff, deff)) * joint / np.outer(n, n) * bracket
    return np.asarray(V + np.diag((rounding / 2) ** 2 / 3))


def directions(A: Floats) -> Floats:
    """Return what rates of one survey say between them, shape (G, d): a basis of the range of A.

    Left out are sums of groups that are known twice (every one-way table has the same total): the
    effects cannot move them, and V is singular there but for rounding. They are read off the
    groups themselves; smallest eigenvalues of V would do it at equal scales only, and come and go
    with the rates.

    Parameters
    ----------
    A : ndarray of shape (G, R)
        Shares of the cells in each group.
    """
    U, size, _ = np.linalg.svd(A, full_matrices=False)
    # Rows are weights of sum 1: what is left of a sum known twice is rounding, some 1e-16.
    return np.asarray(U[:, size > 1e-9 * size[0]])
