"""A latent Gaussian logit on collapsed cells: terms, design, conditional mode.

Model
    y_r of n_r in row r, eta_r = offset_r + sum_k v_kr b_k[i_kr];
    potential y*eta - n*log(1 + e^eta); block b_k ~ N(mean_k, sd_k^2 S_k), with sd_k fixed or
    learned (half-normal).
Assumptions
    Given the effects the rows are independent; y and n are effective counts and need not be whole.
Limits
    Dense in the number of effects P (a few hundred); rows may be many.

References
----------
    Rue, Martino & Chopin 2009, doi:10.1111/j.1467-9868.2008.00700.x.
    At fixed sds the mode is that of ``lme4::glmer`` (penalised least squares, reweighted).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from inegnum.errors import ConvergenceError, InputError
from inegnum.numerics import dense
from inegnum.numerics.bym2 import Mixing
from inegnum.numerics.logistic import logistic, softplus
from inegnum.numerics.row_maps import Block, RowMaps

__all__ = [
    "Conditional",
    "Design",
    "Term",
    "build_design",
    "conditional_mode",
    "log_determinants",
    "prior_height",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Term:
    """One block of K effects.

    Attributes
    ----------
    name : str
        How messages call it.
    index : ndarray of shape (n,)
        Level of each row, -1 where the row has no effect of this block.
    size : int
        K.
    scale : float
        Scale of the half-normal prior of the sd when `learned`; the sd itself otherwise.
    learned : bool
        Whether the sd is a hyperparameter.
    covariance : ndarray of shape (K, K)
        Prior covariance at sd 1; empty means independent effects.
    mean : ndarray of shape (K,)
        Prior mean; empty means zero. Only blocks with a fixed sd may have one.
    value : ndarray of shape (n,)
        Multiplier by row; empty means 1.
    mixing : Mixing, optional
        BYM2 structure: its spatial share is one more hyperparameter, and the sd must be learned.
    """

    name: str
    index: Ints
    size: int
    scale: float
    learned: bool = True
    covariance: Floats = field(default_factory=lambda: np.empty((0, 0)))
    mean: Floats = field(default_factory=lambda: np.empty(0))
    value: Floats = field(default_factory=lambda: np.empty(0))
    mixing: Mixing | None = None

    def precision(self) -> Floats:
        """Return the prior precision at sd 1, shape (K, K)."""
        if self.covariance.size == 0:
            return np.eye(self.size)
        return np.asarray(np.linalg.inv(self.covariance))


@dataclass(frozen=True, slots=True)
class Design:
    """Rows, terms and the sparse maps every step uses.

    Attributes
    ----------
    y, n, offset : ndarray of shape (R,)
    terms : tuple of Term
    slices : tuple of slice
        Place of each term among the P effects.
    X : csr_array of shape (R, P)
        Effects by row.
    maps : RowMaps
        Products with X, cheaper than by itself.
    precisions, roots : tuple of ndarray
        Precision of each term at sd 1, and A with A A' equal to it (None for the identity).
    """

    y: Floats
    n: Floats
    offset: Floats
    terms: tuple[Term, ...]
    slices: tuple[slice, ...]
    X: csr_array
    maps: RowMaps
    precisions: tuple[Floats, ...]
    roots: tuple[Floats | None, ...]

    @property
    def size(self) -> int:
        """Number of effects P."""
        return int(self.slices[-1].stop)

    def eta(self, b: Floats) -> Floats:
        """Return the linear predictor of each row at b, shape (R,)."""
        return np.asarray(self.maps.predictor(b) + self.offset)

    def start(self) -> Floats:
        """Return hyperparameters to start from: an sd by term, then a share by mixed term."""
        sds = [t.scale * (0.5 if t.learned else 1.0) for t in self.terms]
        return np.array(sds + [0.5 for t in self.terms if t.mixing])

    def share_at(self, k: int) -> int:
        """Return where the hyperparameters hold the spatial share of term k."""
        return len(self.terms) + sum(t.mixing is not None for t in self.terms[:k])

    def root(self, k: int, sds: Floats) -> Floats | None:
        """Return A such that A A' is the prior precision of term k at sd 1; None stands for I."""
        mixing = self.terms[k].mixing
        return self.roots[k] if mixing is None else mixing.root(sds[self.share_at(k)])

    def prior(self, sds: Floats) -> tuple[Floats, Floats]:
        """Return the prior precision (P, P) and its product with the prior mean (P,)."""
        Q = np.zeros((self.size, self.size))
        q = np.zeros(self.size)
        for k, (term, place, R) in enumerate(
            zip(self.terms, self.slices, self.precisions, strict=True)
        ):
            if term.mixing is not None:
                R = term.mixing.precision(sds[self.share_at(k)])
            Q[place, place] = R / sds[k] ** 2
            if term.mean.size:
                q[place] = Q[place, place] @ term.mean
        return Q, q


@dataclass(frozen=True, slots=True)
class Conditional:
    """The effects given the sds, as their mode and curvature.

    Attributes
    ----------
    mode : ndarray of shape (P,)
    factor : ndarray of shape (P, P)
        Lower Cholesky factor of the curvature (likelihood and prior).
    log_marginal : float
        Laplace approximation of log p(y | sds), up to a constant free of the sds.
    steps : int
        Newton steps taken.
    """

    mode: Floats
    factor: Floats
    log_marginal: float
    steps: int

    def covariance(self) -> Floats:
        """Return the inverse curvature, shape (P, P)."""
        return dense.inverse(self.factor)


def _require(ok: bool, what: str, where: str, hint: str = "") -> None:
    if not ok:
        raise InputError(what, where=where, hint=hint)


def _check(y: Floats, n: Floats, offset: Floats, terms: Sequence[Term]) -> None:
    _require(len(y) > 0, "no row of evidence is left", "rows")
    for name, v in (("y", y), ("n", n), ("offset", offset)):
        _require(bool(np.isfinite(v).all()) and v.shape == y.shape, "rows must be finite", name)
    _require(
        bool((n >= 0).all() and (y >= -1e-12).all() and (y <= n * (1 + 1e-9) + 1e-12).all()),
        "counts must satisfy 0 <= y <= n",
        "rows",
        "y counts those with the characteristic among n",
    )
    for term in terms:
        _require(
            term.index.shape == y.shape
            and int(term.index.min()) >= -1
            and int(term.index.max()) < term.size,
            "levels must lie between -1 and K - 1, one a row",
            term.name,
        )
        _require(term.scale > 0, "a prior scale must be positive", term.name)
        _require(
            not (term.learned and term.mean.size), "a learned block has prior mean 0", term.name
        )
        _require(term.learned or term.mixing is None, "a BYM2 block learns its sd", term.name)


def build_design(
    y: Floats, n: Floats, terms: Sequence[Term], *, offset: Floats | None = None
) -> Design:
    """Lay rows and terms out once for every later evaluation.

    Parameters
    ----------
    y, n : ndarray of shape (R,)
        Effective counts.
    terms : sequence of Term
        Blocks of effects.
    offset : ndarray of shape (R,), optional
        Known part of the linear predictor.

    Raises
    ------
    InputError
        Counts or levels that cannot be.
    """
    y, n = np.asarray(y, dtype=np.float64), np.asarray(n, dtype=np.float64)
    offset = np.zeros_like(y) if offset is None else np.asarray(offset, dtype=np.float64)
    _check(y, n, offset, terms)
    ends = np.cumsum([term.size for term in terms])
    slices = tuple(slice(int(e) - t.size, int(e)) for e, t in zip(ends, terms, strict=True))
    blocks = [Block(t.index, t.size, p.start, t.value) for t, p in zip(terms, slices, strict=True)]
    maps = RowMaps.of(blocks, len(y))
    precisions = tuple(term.precision() for term in terms)
    roots = tuple(
        np.linalg.cholesky(R) if term.covariance.size else None
        for term, R in zip(terms, precisions, strict=True)
    )
    return Design(y, n, offset, tuple(terms), slices, maps.Z @ maps.S, maps, precisions, roots)


def _objective(design: Design, b: Floats, eta: Floats, Q: Floats, q: Floats) -> float:
    loglik = design.y @ eta - design.n @ softplus(eta)
    return float(loglik - 0.5 * b @ Q @ b + q @ b)


def conditional_mode(
    design: Design, sds: Floats, *, start: Floats | None = None, tolerance: float = 1e-6
) -> Conditional:
    """Maximise the posterior of the effects at given sds by damped Newton steps.

    Parameters
    ----------
    design : Design
    sds : ndarray of shape (T,)
        Sd of every block, fixed ones included, then the spatial share of each BYM2 block.
    start : ndarray of shape (P,), optional
        Where to begin.
    tolerance : float
        Newton decrement (twice the gain still to be had in log posterior) below which it stops;
        the default leaves the mode within 0.001 posterior sd.

    Raises
    ------
    ConvergenceError
        No decrement below `tolerance` after 50 steps.
    """
    Q, q = design.prior(sds)
    b = np.zeros(design.size) if start is None else start
    eta = design.eta(b)
    value = _objective(design, b, eta, Q, q)
    for step in range(1, 51):
        p = logistic(eta)
        gradient = design.maps.scores(design.y - design.n * p) - Q @ b + q
        L = dense.factor(design.maps.gram(design.n * p * (1 - p)) + Q)
        move = dense.solve(L, gradient)
        decrement = float(gradient @ move)
        b, eta, value = _damped(design, b, eta, value, move, (Q, q))
        if decrement < tolerance:
            return Conditional(b, L, value + log_determinants(design, L, sds), step)
    raise ConvergenceError(
        "the conditional mode of the effects was not reached",
        where=", ".join(term.name for term in design.terms),
        got=f"Newton decrement {decrement:.2g} after 50 steps",
        expected=f"below {tolerance:g}",
        hint="look for a level that separates y = 0 from y = n, and give it a tighter prior",
    )


def _damped(
    design: Design, b: Floats, eta: Floats, value: float, move: Floats, prior: tuple[Floats, Floats]
) -> tuple[Floats, Floats, float]:
    """Take the longest of 1, 1/2, 1/4, ... of a Newton step that does not lose ground."""
    direction = design.maps.predictor(move)
    length = 1.0
    while True:
        trial, trial_eta = b + length * move, eta + length * direction
        trial_value = _objective(design, trial, trial_eta, *prior)
        # The slack is the rounding of a sum of a few thousand terms near the mode.
        if trial_value >= value - 1e-9 * max(1.0, abs(value)) or length < 1e-6:
            return trial, trial_eta, trial_value
        length /= 2


def log_determinants(design: Design, L: Floats, sds: Floats) -> float:
    """Return half the log determinant of the prior over that of the posterior precision L L'."""
    return prior_height(design, sds) - float(np.log(np.diag(L)).sum())


def prior_height(design: Design, sds: Floats) -> float:
    """Return half the log determinant of the prior precision, up to a constant free of the sds."""
    total = 0.0
    for k, term in enumerate(design.terms):
        total -= term.size * float(np.log(sds[k]))
        if term.mixing is not None:
            total -= 0.5 * float(np.log(term.mixing.variances(sds[design.share_at(k)])).sum())
    return total
