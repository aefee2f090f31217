"""Pareto-smoothed importance sampling: how far importance weights can be trusted.

Model
    The largest importance ratios follow a generalised Pareto law of shape k.
Assumptions
    Ratios are independent, or nearly.
Limits
    k-hat > 0.7: the weighted mean cannot be relied upon at practical sample sizes.

References
----------
    Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25(72); Zhang & Stephens 2009,
    doi:10.1198/tech.2009.08017. Matches ``loo::psis`` (R).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["KHAT", "Judged", "Smoothed", "fit_generalised_pareto", "judge", "smooth_weights"]

Floats = npt.NDArray[np.float64]
KHAT: Final = 0.7
SHIFT: Final = 0.1  # posterior sds, the tolerance both engines are held to
_BIN: Final = 5  # draws whose ratios are averaged: enough to tame one, few enough to see a slope


@dataclass(frozen=True, slots=True)
class Smoothed:
    """Smoothed weights.

    Attributes
    ----------
    log_weights : ndarray of shape (S,)
        Normalised: their exponentials add up to 1.
    khat : float
        Estimated tail shape.
    ess : float
        Kish's effective number of draws.
    """

    log_weights: Floats
    khat: float
    ess: float


def fit_generalised_pareto(x: Floats) -> tuple[float, float]:
    """Return shape k and scale sigma of a generalised Pareto law fitted to excesses x > 0.

    Zhang & Stephens' empirical Bayes estimate, with the weak prior of Vehtari et al. that draws k
    to 0.5 with the weight of ten observations.
    """
    x = np.sort(x)
    n = len(x)
    m = 30 + int(np.sqrt(n))
    # 1/theta is profiled over a grid around the quartile-based guess of Zhang & Stephens.
    grid = 1 / x[-1] + (1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (
        3 * x[int(n / 4 + 0.5) - 1]
    )
    ks = np.mean(np.log1p(-grid[:, None] * x), axis=1)
    profile = n * (np.log(-grid / ks) - ks - 1)
    weights = np.exp(profile - profile.max())
    theta = float(grid @ weights / weights.sum())
    k = float(np.mean(np.log1p(-theta * x)))
    sigma = -k / theta
    return (k * n + 0.5 * 10) / (n + 10), sigma


def smooth_weights(log_ratios: Floats) -> Smoothed:
    """Replace the largest ratios by the expected order statistics of their fitted tail.

    Parameters
    ----------
    log_ratios : ndarray of shape (S,)
        log of target over proposal, up to a constant.

    Examples
    --------
    >>> round(float(smooth_weights(np.zeros(100)).ess), 9)
    100.0
    """
    lw = np.asarray(log_ratios, dtype=np.float64) - np.max(log_ratios)
    S = len(lw)
    tail = int(np.ceil(min(0.2 * S, 3 * np.sqrt(S))))
    khat = -np.inf
    order = np.argsort(lw, kind="stable")
    cut = lw[order[-tail - 1]] if tail < S else lw.min()
    excess = np.exp(lw[order[-tail:]]) - np.exp(cut)
    # Fewer than five distinct excesses carry no tail: equal ratios are the best case there is.
    if tail >= 5 and len(np.unique(excess[excess > 1e-12])) >= 5:
        khat, sigma = fit_generalised_pareto(excess[excess > 0])
        at = (np.arange(1, tail + 1) - 0.5) / tail
        quantiles = (
            sigma * np.expm1(-khat * np.log1p(-at)) / khat if khat else -sigma * np.log1p(-at)
        )
        lw = lw.copy()
        lw[order[-tail:]] = np.minimum(np.log(quantiles + np.exp(cut)), 0.0)
    lw -= np.log(np.exp(lw - lw.max()).sum()) + lw.max()
    return Smoothed(lw, float(khat), float(1 / np.exp(2 * lw).sum()))


@dataclass(frozen=True, slots=True)
class Judged:
    """How well draws stand for the exact law of each of Q quantities.

    Attributes
    ----------
    khat : ndarray of shape (Q,)
        Tail shape of the ratio of exact to approximate marginal density.
    share : ndarray of shape (Q,)
        Effective share of the draws under that ratio, 0 to 1.
    shift : ndarray of shape (Q,)
        How far reweighting moves the mean, in posterior sds.
    joint : float
        k-hat of the joint ratio, of as many dimensions as there are effects: informational.
    """

    khat: Floats
    share: Floats
    shift: Floats
    joint: float

    def fails(self) -> npt.NDArray[np.bool_]:
        """Return which quantities cannot be relied upon, shape (Q,).

        k-hat above 0.7, unless the ratios are all but equal (nothing then hangs on their tail);
        fewer than half of the draws effective, where the draws may not even reach the tail that
        k-hat would see; or a mean off by more than a tenth of a posterior sd.
        """
        tail = (self.khat > KHAT) & (self.share < 0.9)
        return np.asarray(tail | (self.share < 0.5) | (np.abs(self.shift) > SHIFT))


def judge(log_ratios: Floats, quantities: Floats) -> Judged:
    """Judge draws on each quantity by the importance ratio of its own marginal.

    The marginal ratio at x is the mean of the joint ratio over draws whose quantity is x: draws are
    sorted by the quantity and their ratios averaged five by five.

    Parameters
    ----------
    log_ratios : ndarray of shape (S,)
        log of exact over approximate joint density, up to a constant.
    quantities : ndarray of shape (S, Q)

    References
    ----------
    Yao, Vehtari, Simpson & Gelman 2018, PMLR 80:5581-5590.
    """
    joint = smooth_weights(log_ratios)
    weights = np.exp(joint.log_weights)
    bins = max(1, len(weights) // _BIN)
    khat, share, shift = (np.empty(quantities.shape[1]) for _ in range(3))
    raw = np.exp(log_ratios - log_ratios.max())
    edges = np.arange(bins) * len(raw) // bins
    size = np.diff([*edges, len(raw)])
    for j, x in enumerate(quantities.T):
        found = smooth_weights(np.log(np.add.reduceat(raw[np.argsort(x)], edges) / size))
        khat[j], share[j] = found.khat, found.ess / bins
        sd = x.std()
        shift[j] = (weights @ x - x.mean()) / sd if sd > 0 else 0.0
    return Judged(khat, share, shift, joint.khat)
