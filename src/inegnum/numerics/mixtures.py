"""Quantiles of mixtures of normal laws, many at once.

A posterior integrated over its variance components is a finite mixture of normals, one for each
node; its quantiles say what a normal law with its mean and variance does not when few areas leave
the components uncertain.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from inegnum.errors import ConvergenceError

__all__ = ["mixture_quantiles"]

Floats = npt.NDArray[np.float64]


def mixture_quantiles(means: Floats, sds: Floats, weights: Floats, scores: Floats) -> Floats:
    """Return the standardised quantiles of m mixtures of G normals.

    Parameters
    ----------
    means, sds : ndarray of shape (G, m)
    weights : ndarray of shape (G,)
        Sum to one.
    scores : ndarray of shape (K,)
        Normal scores of the probabilities wanted.

    Returns
    -------
    ndarray of shape (K, m)
        ``(quantile - mean) / sd`` of each mixture.

    Examples
    --------
    >>> one = mixture_quantiles(np.zeros((1, 1)), np.ones((1, 1)), np.ones(1), np.array([1.0]))
    >>> round(float(one[0, 0]), 9)
    1.0
    """
    # Nodes that together hold a millionth move no quantile inside the scores kept.
    order = np.argsort(weights)[::-1]
    used = order[: int(np.searchsorted(np.cumsum(weights[order]), 1 - 1e-6)) + 1]
    w = weights[used] / weights[used].sum()
    mu, sd = means[used], sds[used]
    centre = w @ mu
    spread = np.sqrt(w @ (sd**2 + (mu - centre) ** 2))
    mu, sd = (mu - centre) / spread, sd / spread
    goal = ndtr(scores)[:, None]
    x = np.repeat(scores[:, None], mu.shape[1], axis=1)
    reach = 1.5 * np.abs(scores).max() * sd.max() + np.abs(mu).max()
    low, high = np.full_like(x, -reach - 1), np.full_like(x, reach + 1)
    for _ in range(200):
        cdf, density = _cdf(x, mu, sd, w)
        above = cdf > goal
        high, low = np.where(above, x, high), np.where(above, low, x)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            new = x - (cdf - goal) / density
        new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
        # 1e-7 of a standard deviation: far below the width of any interval's last digit.
        if np.abs(new - x).max() <= 1e-7:
            return new
        x = new
    raise ConvergenceError(
        "quantiles of a mixture did not settle", got=float(np.abs(new - x).max())
    )


def _cdf(x: Floats, mu: Floats, sd: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Distribution function and density of the mixtures at x, shape (K, m) each."""
    cdf, density = np.zeros_like(x), np.zeros_like(x)
    for weight, centre, scale in zip(w.tolist(), mu, sd, strict=True):
        z = (x - centre) / scale
        cdf += weight * ndtr(z)
        density += weight / scale * np.exp(-0.5 * z * z)
    return cdf, density / np.sqrt(2 * np.pi)
