"""Parametric bootstrap MSE of area means, from sufficient statistics.

Each replicate draws area effects and unit errors from the fitted model, forms the true area means,
fits the model again and predicts. Refitting uses area means and within-area cross products only,
and under normal errors the joint law of those statistics is known: they are drawn directly (m
means, p cross products, one chi-square), never the n units. The replicates are then exactly as
distributed as unit-by-unit simulation, at a cost that does not depend on n, and all replicates are
fitted together.

References
----------
González-Manteiga, Lombardía, Molina, Morales and Santamaría (2008),
doi:10.1080/00949650601141811.

Matches R ``sae::pbmseBHF`` within Monte-Carlo error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.numerics.bhf import BhfFit, Design, Responses, fit_bhf
from inegnum.numerics.bhf_predict import Targets, rest_means

__all__ = ["BootstrapMse", "bootstrap_mse"]

Floats = npt.NDArray[np.float64]
# floats a block of replicates may hold (about 64 MB each for a handful of temporaries)
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class BootstrapMse:
    """Bootstrap mean squared errors.

    Attributes
    ----------
    mse : ndarray of shape (D,)
        Mean over replicates of the squared prediction error.
    mc_error : ndarray of shape (D,)
        Monte-Carlo standard error of `mse`.
    zero_share : float
        Share of replicates whose area variance was estimated at zero.
    """

    mse: Floats
    mc_error: Floats
    zero_share: float


def _within_law(design: Design) -> tuple[Floats, int]:
    """Return a square root of W (p, r) and the degrees of freedom left beside it."""
    values, vectors = np.linalg.eigh(design.W)
    # the constant and area-level covariates have no within-area part: rounding noise of 0
    keep = values > 1e-10 * design.n
    return vectors[:, keep] * np.sqrt(values[keep]), design.n - design.m - int(keep.sum())


def _simulate(
    design: Design, fit: BhfFit, B: int, rng: np.random.Generator
) -> tuple[Responses, Floats]:
    """Draw the statistics of B replicates and their area effects (B, m)."""
    s_e, s_u = float(np.sqrt(fit.sigma2_e[0])), float(np.sqrt(fit.sigma2_u[0]))
    root, free = _within_law(design)
    u = s_u * rng.standard_normal((B, design.m))
    e_bar = s_e * rng.standard_normal((B, design.m)) / np.sqrt(design.a_i)
    z = rng.standard_normal((B, root.shape[1]))
    squares = (z**2).sum(axis=1) + (rng.chisquare(free, B) if free > 0 else 0.0)
    W_xe = s_e * (z @ root.T)
    beta = np.linalg.solve(design.T, fit.beta[0])
    Wb = design.W @ beta
    W_yy = beta @ Wb + 2 * (W_xe @ beta) + s_e**2 * squares
    ybar = design.xbar @ beta + u + e_bar
    return Responses(ybar, Wb + W_xe, W_yy, ybar), u


def bootstrap_mse(
    design: Design, fit: BhfFit, targets: Targets, *, B: int, rng: np.random.Generator
) -> BootstrapMse:
    """Return the parametric bootstrap MSE of the predictor of each area mean.

    Parameters
    ----------
    design, fit, targets
        Sample, fit (its first response) and areas.
    B : int
        Replicates.
    rng : Generator
        Source of randomness.
    """
    x_rest = rest_means(design, targets)
    s2u, s2e = float(fit.sigma2_u[0]), float(fit.sigma2_e[0])
    seen, at, f = targets.observed, targets.sampled, targets.f
    rest_sd = np.where(targets.rest > 0, np.sqrt(s2e / np.maximum(targets.rest, 1.0)), 0.0)
    base = x_rest @ fit.beta[0]
    total, squares, zeros = np.zeros(len(f)), np.zeros(len(f)), 0
    block = max(1, min(B, _BLOCK // max(design.m, len(f))))
    for start in range(0, B, block):
        size = min(block, B - start)
        data, u = _simulate(design, fit, size, rng)
        new = fit_bhf(design, data, method=fit.method)
        own = np.sqrt(s2u) * rng.standard_normal((size, len(f)))
        effect = np.where(seen, u[:, at], own)
        truth = base + effect + rest_sd * rng.standard_normal((size, len(f)))
        guess = new.beta @ x_rest.T + np.where(seen, new.u[:, at], 0.0)
        # the sampled part of the mean is known: it cancels
        error = ((1 - f) * (guess - truth)) ** 2
        total += error.sum(axis=0)
        squares += (error**2).sum(axis=0)
        zeros += int((new.rho == 0).sum())
    mse = total / B
    spread = np.maximum(squares / B - mse**2, 0.0)
    return BootstrapMse(mse, np.sqrt(spread / B), zeros / B)
