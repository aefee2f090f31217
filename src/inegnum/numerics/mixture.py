"""A posterior as a mixture of skewed normals over support points of the sds, draws and ratios.

Every draw can be held against the exact posterior: its importance ratio is the exact density of
effects and evidence over that of the mixture, both known up to one constant. The ratios judge the
approximation on the rates it is used for (`psis.judge`).

References
----------
Rue, Martino & Chopin 2009, doi:10.1111/j.1467-9868.2008.00700.x; Yao, Vehtari, Simpson & Gelman
2018, PMLR 80 (importance ratios as a check of an approximate posterior).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError
from inegnum.numerics import dense
from inegnum.numerics.latent import Design, prior_height
from inegnum.numerics.logistic import softplus

__all__ = ["Posterior", "Support"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CHUNK: Final = 1_000_000  # rows x draws whose linear predictor stands in memory at once


@dataclass(frozen=True, slots=True)
class Support:
    """The effects given one set of sds, corrected.

    Attributes
    ----------
    mean : ndarray of shape (P,)
        Posterior mean.
    factor : ndarray of shape (P, P)
        Lower Cholesky factor of the posterior precision.
    third : ndarray of shape (R,)
        Third derivative of the log-likelihood by row, averaged over the posterior.
    variances : ndarray of shape (R,)
        Posterior variance of the linear predictor of each row.
    """

    mean: Floats
    factor: Floats
    third: Floats
    variances: Floats


@dataclass(frozen=True, slots=True)
class Posterior:
    """A mixture over support points of the sds.

    Attributes
    ----------
    design : Design
    sds : ndarray of shape (M, T)
        Support points; fixed sds are constant.
    weights : ndarray of shape (M,)
        Probability of each support point.
    supports : tuple of Support
    khat : float
        Tail shape of the importance ratios of the sds.
    ess : float
        Effective number of support points.
    evidence : ndarray of shape (M,)
        Log evidence given the sds (Laplace), constants as in `Conditional`; empty when the mixture
        approximates another likelihood than that of the design's rows.
    """

    design: Design
    sds: Floats
    weights: Floats
    supports: tuple[Support, ...]
    khat: float
    ess: float
    evidence: Floats = field(default_factory=lambda: np.empty(0))

    def mean(self) -> Floats:
        """Return the posterior mean of the effects, shape (P,)."""
        return np.asarray(self.weights @ np.stack([s.mean for s in self.supports]))

    def covariance(self) -> Floats:
        """Return the posterior covariance of the effects, shape (P, P)."""
        centre = self.mean()
        total = np.zeros((len(centre), len(centre)))
        for weight, support in zip(self.weights, self.supports, strict=True):
            off = support.mean - centre
            total += weight * (dense.inverse(support.factor) + np.outer(off, off))
        return total

    def draw(self, S: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw effects (S, P) and sds (S, T) independently from the posterior."""
        which, z = self._choose(S, rng)
        effects = np.empty((S, self.design.size))
        for m in np.unique(which):
            at = np.flatnonzero(which == m)
            for part in np.array_split(at, 1 + at.size * len(self.design.y) // _CHUNK):
                effects[part] = _draw_support(self.design, self.supports[m], z[part])[0]
        order = rng.permutation(S)
        return effects[order], self.sds[which[order]]

    def weighed(self, S: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Draw as `draw` does and weigh each draw against the exact posterior.

        Returns
        -------
        effects : ndarray of shape (S, P)
        eta : ndarray of shape (S, R)
            Linear predictor of each row.
        log_ratio : ndarray of shape (S,)
            Exact density over that of the mixture, up to a constant.

        Raises
        ------
        InputError
            The mixture was not built from a likelihood of rows.
        """
        if not self.evidence.size:
            raise InputError("this posterior has no likelihood of rows to be weighed against")
        which, z = self._choose(S, rng)
        effects, log_ratio = np.empty((S, self.design.size)), np.empty(S)
        eta = np.empty((S, len(self.design.y)))
        for m in np.unique(which):
            at, support = which == m, self.supports[m]
            effects[at], rows = _draw_support(self.design, support, z[at])
            eta[at] = self.design.maps.predictor(effects[at].T).T + self.design.offset
            density = _log_density(support, z[at], rows)
            log_ratio[at] = (
                _log_joint(self.design, self.sds[m], effects[at], eta[at])
                - density
                - self.evidence[m]
            )
        return effects, eta, log_ratio

    def _choose(self, S: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """Return the support point of each draw (S,) and its normal numbers (S, P)."""
        # Systematic resampling: every support point is drawn as often as its weight says, within 1.
        positions = (rng.random() + np.arange(S)) / S
        which = np.minimum(
            np.searchsorted(np.cumsum(self.weights), positions), len(self.weights) - 1
        )
        return which, rng.standard_normal((S, self.design.size))


def _draw_support(design: Design, support: Support, z: Floats) -> tuple[Floats, Floats]:
    """Turn normal draws z (S, P) into draws with the support's mean, covariance and skewness.

    With u ~ N(0, C), the third cumulant of the posterior is K_abc = sum_r t_r (Cx_r)_a (Cx_r)_b
    (Cx_r)_c, t being the third derivative of the log-likelihood; u + C X'(t * ((Xu)^2 - var)) / 6
    has that third cumulant and mean zero. Returns the draws and Xu, shape (R, S).
    """
    u = dense.solve_upper(support.factor, z.T)
    rows = design.maps.predictor(u)
    if not support.third.any():
        return np.asarray(support.mean + u.T), rows
    bent = rows * rows
    bent -= support.variances[:, None]
    bent *= support.third[:, None] / 6
    moved = u + dense.solve(support.factor, design.maps.scores(bent))
    return np.asarray(support.mean + moved.T), rows


def _log_density(support: Support, z: Floats, rows: Floats) -> Floats:
    """Return the log density of draws made from z, up to the constant of a normal in P dimensions.

    The bend multiplies volumes by det(I + C X' diag(t Xu / 3) X); to first order its log is the
    trace. What is left out is of the second order in t, which the third-order draws ignore too.
    """
    volume = (support.third * support.variances / 3) @ rows
    height = float(np.log(np.diag(support.factor)).sum())
    return np.asarray(height - 0.5 * (z * z).sum(axis=1) - volume)


def _log_joint(design: Design, sds: Floats, effects: Floats, eta: Floats) -> Floats:
    """Return log p(y, effects | sds) of each draw, up to the same constant."""
    Q, q = design.prior(sds)
    quadratic = ((effects @ Q) * effects).sum(axis=1)
    loglik = eta @ design.y - softplus(eta) @ design.n
    return np.asarray(loglik - 0.5 * quadratic + effects @ q + prior_height(design, sds))
