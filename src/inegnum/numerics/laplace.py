"""Nested Laplace: posterior of a latent Gaussian logit, integrated over its sds.

Model
    `latent.Design`; every learned sd has a half-normal prior. The posterior is a mixture, over
    support points of the sds, of the effects' conditional posteriors.
Method
    1. The likelihood is replaced by its quadratic expansion at a central mode; under it every sd
       has a one-dimensional conditional density in closed form (an eigenproblem of the block), so a
       Gibbs sampler on grids travels the sds quickly. Averaged over its chain these conditionals
       are the marginals of the sds, without simulation noise of their own.
    2. M support points are a Latin hypercube of the product of these marginals: 32 of them
       integrate like 200 draws of the sds. The exact Laplace marginal at each, over the product, is
       its importance weight. From a fixed Gaussian importance sampling collapses at seven sds; from
       the marginals, some three quarters of the points remain effective.
    3. At each point the mode is moved to the posterior mean (the expected score under the
       approximation is set to zero, its curvature averaged likewise) and draws carry the
       third-order skewness of every linear combination.
Assumptions
    Effects are informed by enough rows, or by their prior, for their conditional posterior to be
    unimodal (it is log-concave) and mildly skewed.
Limits
    Judged against long NUTS runs in ``tests/golden``; complete separation leans on the prior.

References
----------
    Rue, Martino & Chopin 2009, doi:10.1111/j.1467-9868.2008.00700.x; Opper & Archambeau 2009,
    doi:10.1162/neco.2008.08-07-592; van Niekerk & Rue 2024, JMLR 25(62) (mean correction);
    Vehtari et al. 2024, JMLR 25(72) (k-hat). R: ``INLA::inla(family = "binomial")``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import roots_hermitenorm

from inegnum.errors import ConvergenceError
from inegnum.numerics import dense
from inegnum.numerics.bym2 import CELLS, move_share, share_at, share_mass
from inegnum.numerics.hypercube import latin_hypercube, quantile_cells
from inegnum.numerics.latent import Conditional, Design, conditional_mode
from inegnum.numerics.logistic import logistic
from inegnum.numerics.mixture import Posterior, Support
from inegnum.numerics.psis import smooth_weights

__all__ = ["Surrogate", "integrate"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GRID: Final = np.exp(np.linspace(np.log(0.005), np.log(4.0), 56))  # sds, in prior scales
_LOG_GRID: Final = np.log(GRID)
_STEP: Final = float(np.log(GRID[1] / GRID[0]))
_NODES, _WEIGHTS = roots_hermitenorm(5)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def integrate(
    design: Design, *, rng: np.random.Generator, points: int = 64, correct: bool = True
) -> Posterior:
    """Return the posterior of the effects and sds.

    Parameters
    ----------
    design : Design
    rng : numpy Generator
    points : int
        Support points of the sds; 1 keeps their central value (empirical Bayes).
    correct : bool
        Move modes to means and average curvatures (step 3); without it the plain nested Laplace.

    Raises
    ------
    ConvergenceError
        The conditional mode is not reached, or the support points do not represent the sds
        (k-hat above 0.7).
    """
    sds = design.start()
    conditional = conditional_mode(design, sds)
    learned = [k for k, term in enumerate(design.terms) if term.learned]
    if not learned or points == 1:
        if learned:
            sds, conditional = _centre(design, sds, conditional, learned, rng)
        support = _corrected(design, conditional, sds, correct)
        evidence = np.array([conditional.log_marginal])
        return Posterior(design, sds[None, :], np.ones(1), (support,), -np.inf, 1.0, evidence)
    sds, conditional = _centre(design, sds, conditional, learned, rng)
    surrogate = Surrogate.at(design, conditional.mode)
    support_sds, ratios = _spread(surrogate, sds, points, learned, rng)
    conditionals = []
    for m, theta in enumerate(support_sds):
        found = conditional_mode(design, theta, start=surrogate.solve(theta))
        conditionals.append(found)
        ratios[m] += found.log_marginal
    smoothed = smooth_weights(ratios)
    if smoothed.khat > 0.7 and smoothed.ess < points / 4:
        raise ConvergenceError(
            "the sds of the effects are not represented by their support points",
            where=", ".join(design.terms[k].name for k in learned),
            got=f"k-hat {smoothed.khat:.2f}, {smoothed.ess:.0f} effective points of {points}",
            expected="k-hat at most 0.7",
            hint="raise the number of points, tighten the prior scales, or use engine = 'nuts'",
        )
    supports = tuple(
        _corrected(design, c, theta, correct)
        for c, theta in zip(conditionals, support_sds, strict=True)
    )
    return Posterior(
        design,
        support_sds,
        np.exp(smoothed.log_weights),
        supports,
        smoothed.khat,
        smoothed.ess,
        np.array([c.log_marginal for c in conditionals]),
    )


def _centre(
    design: Design,
    sds: Floats,
    conditional: Conditional,
    learned: list[int],
    rng: np.random.Generator,
) -> tuple[Floats, Conditional]:
    """Move the expansion to the typical sds: two rounds of a short chain and its geometric mean."""
    for length in (8, 16):
        chain = Surrogate.at(design, conditional.mode).sweeps(sds, length, learned, rng)
        sds = np.exp(np.log(chain[length // 4 :]).mean(axis=0))
        conditional = conditional_mode(design, sds, start=conditional.mode)
    return sds, conditional


def _spread(
    surrogate: Surrogate, sds: Floats, points: int, learned: list[int], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return support points of the sds (M, T), and log prior minus log proposal of each (M,)."""
    design = surrogate.design
    marginals, shares = surrogate.marginals(surrogate.sweeps(sds, 16, learned, rng), learned)
    log_prior = _LOG_GRID - 0.5 * GRID**2
    # A fiftieth of the prior in the proposal keeps a tail the short chain did not visit in reach.
    prior = np.exp(log_prior) / np.exp(log_prior).sum()
    u = latin_hypercube(points, len(learned) + len(shares), rng)
    spread, log_ratio = np.tile(sds, (points, 1)), np.zeros(points)
    for j, k in enumerate(learned):
        mass = 0.98 * marginals[j] + 0.02 * prior
        cells, within = quantile_cells(mass, u[:, j])
        relative = GRID[cells] * np.exp(_STEP * (within - 0.5))
        spread[:, k] = design.terms[k].scale * relative
        log_ratio += np.log(relative) - 0.5 * relative**2 - np.log(mass[cells])
    for j, (k, law) in enumerate(shares.items(), start=len(learned)):
        mixing = design.terms[k].mixing
        prior = np.exp(mixing.log_masses()) if mixing is not None else law
        mass = 0.98 * law + 0.02 * prior
        cells, within = quantile_cells(mass, u[:, j])
        spread[:, design.share_at(k)] = share_at(cells + within)
        log_ratio += np.log(prior[cells] / mass[cells])
    return spread, log_ratio


class Surrogate:
    """The likelihood as a Gaussian in the effects: precision H (P, P), information h (P,)."""

    def __init__(self, design: Design, H: Floats, h: Floats) -> None:
        self.design, self.H, self.h = design, H, h

    @classmethod
    def at(cls, design: Design, mode: Floats) -> Surrogate:
        """Expand the likelihood of a design around a mode."""
        p = logistic(design.eta(mode))
        H = design.maps.gram(design.n * p * (1 - p))
        return cls(design, H, H @ mode + design.maps.scores(design.y - design.n * p))

    def solve(self, sds: Floats) -> Floats:
        """Return the mode of the effects under the surrogate, shape (P,)."""
        Q, q = self.design.prior(sds)
        return dense.solve(dense.factor(self.H + Q), self.h + q)

    def sweeps(
        self, sds: Floats, count: int, learned: list[int], rng: np.random.Generator
    ) -> Floats:
        """Return `count` Gibbs sweeps over the learned sds, shape (count, T)."""
        design = self.design
        sds = sds.copy()
        chain = np.empty((count, len(sds)))
        for i in range(count):
            if i % 10 == 0:  # low-rank updates drift slowly: start again from the factors
                C, mean = self._moments(sds)
            for k in learned:
                place, root = design.slices[k], design.root(k, sds)
                block, scaled = _whitened(root, C[place, place], mean[place])
                sds[k], change, c, V = _draw_sd(block, scaled, sds[k], design.terms[k].scale, rng)
                # Woodbury, in the block's own eigenbasis: C loses or gains precision along it.
                reach = C[:, place] @ (V if root is None else root @ V)
                gain = change / (1 + change * c)
                mean = mean - reach @ (gain * (scaled @ V))
                C = dense.subtract(C, reach, gain)
                mixing = design.terms[k].mixing
                if mixing is not None:
                    at = design.share_at(k)
                    sds[at], C, mean = move_share(C, mean, place, mixing, (sds[k], sds[at]), rng)
            chain[i] = sds
        return chain

    def marginals(self, chain: Floats, learned: list[int]) -> tuple[Floats, dict[int, Floats]]:
        """Return the law of each learned sd on `GRID` (T, G) and of each share, over a chain."""
        design = self.design
        shares = {k: np.zeros(CELLS) for k in learned if design.terms[k].mixing is not None}
        seen: dict[int, list[tuple[Floats, Floats]]] = {k: [] for k in learned}
        for sds in chain:
            C, mean = self._moments(sds)
            for k in learned:
                place, mixing = design.slices[k], design.terms[k].mixing
                seen[k].append(_whitened(design.root(k, sds), C[place, place], mean[place]))
                if mixing is not None:
                    at = sds[design.share_at(k)]
                    shares[k] += share_mass(C[place, place], mean[place], mixing, sds[k], at)
        masses = []
        for k in learned:
            blocks, scaled = (np.stack(part) for part in zip(*seen[k], strict=True))
            law, _, _ = _sd_mass(blocks, scaled, chain[:, k], design.terms[k].scale)
            masses.append(law.mean(axis=0))
        return np.stack(masses), {k: law / len(chain) for k, law in shares.items()}

    def _moments(self, sds: Floats) -> tuple[Floats, Floats]:
        """Return covariance (P, P) and mean (P,) of the effects under the surrogate."""
        Q, q = self.design.prior(sds)
        C = dense.inverse(dense.factor(self.H + Q))
        return C, C @ (self.h + q)


def _whitened(root: Floats | None, block: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Return covariance and mean of a block in coordinates where its prior is N(0, sd^2 I)."""
    if root is None:
        return block, mean
    return root.T @ block @ root, root.T @ mean


def _sd_mass(
    block: Floats, scaled: Floats, sd: Floats | float, scale: float
) -> tuple[Floats, Floats, Floats]:
    """Return the law of one sd given the others on the cells of `GRID`; leading axes are kept.

    Parameters
    ----------
    block : ndarray of shape (..., K, K)
        Posterior covariance of the block in coordinates where its prior is N(0, sd^2 I).
    scaled : ndarray of shape (..., K)
        Its posterior mean there.
    sd : float or ndarray of shape (...)

    Returns
    -------
    mass : ndarray of shape (..., G)
        Of sum 1.
    c, V : ndarray of shape (..., K), (..., K, K)
        Eigenvalues and eigenvectors of the block.
    """
    c, V = np.linalg.eigh(block)
    # Precision of the block from everything but its own prior; rounding can leave it below zero.
    rest = np.maximum(1 / c - 1 / np.asarray(sd)[..., None] ** 2, 0.0)
    information = ((scaled[..., None, :] @ V)[..., 0, :] / c) ** 2
    both = rest[..., None, :] + (1 / (GRID * scale) ** 2)[:, None]
    fit = (information[..., None, :] / both - np.log(both)).sum(axis=-1)
    log_density = 0.5 * fit - 0.5 * GRID**2 + (1 - c.shape[-1]) * _LOG_GRID
    mass = np.exp(log_density - log_density.max(axis=-1, keepdims=True))
    return mass / mass.sum(axis=-1, keepdims=True), c, V


def _draw_sd(
    block: Floats, scaled: Floats, sd: float, scale: float, rng: np.random.Generator
) -> tuple[float, float, Floats, Floats]:
    """Draw one sd given the others.

    Returns
    -------
    float
        The new sd.
    float
        Change of prior precision.
    c, V : ndarray of shape (K,), (K, K)
        Eigenvalues and eigenvectors of the block.
    """
    mass, c, V = _sd_mass(block, scaled, sd, scale)
    at = int(np.searchsorted(np.cumsum(mass), rng.random()))
    new = float(GRID[min(at, len(GRID) - 1)] * scale * np.exp(_STEP * (rng.random() - 0.5)))
    return new, 1 / new**2 - 1 / sd**2, c, V


def _corrected(design: Design, conditional: Conditional, sds: Floats, correct: bool) -> Support:
    """Move from the mode to the posterior mean and average the curvature over the posterior.

    Solves E[score] = 0 under N(m, C), C the inverse of the averaged curvature (Opper & Archambeau);
    one update of C and Newton steps in m.
    """
    if not correct:
        nothing = np.zeros(len(design.y))
        return Support(conditional.mode, conditional.factor, nothing, nothing)
    Q, q = design.prior(sds)
    C = dense.inverse(conditional.factor)
    mean = conditional.mode
    variances = np.maximum(design.maps.row_variances(C), 0.0)
    for _ in range(2):
        p, slope, third = _averages(design.eta(mean), variances)
        mean = mean + C @ (design.maps.scores(design.y - design.n * p) - Q @ mean + q)
    factor = dense.factor(design.maps.gram(design.n * slope) + Q)
    return Support(mean, factor, -design.n * third, variances)


def _averages(eta: Floats, variances: Floats) -> tuple[Floats, Floats, Floats]:
    """Return E s(x), E s'(x), E s''(x) for x ~ N(eta, variances) and s the logistic function."""
    s = logistic(eta[None, :] + _NODES[:, None] * np.sqrt(variances)[None, :])
    slope = s * (1 - s)
    return _WEIGHTS @ s, _WEIGHTS @ slope, _WEIGHTS @ (slope * (1 - 2 * s))
