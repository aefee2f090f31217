"""Tables drawn from the uncertainty of the sample that seeds them, each fitted to the margins.

Model: the seed is a sample of persons. Its cell shares are drawn from a Dirichlet distribution of
effective counts (posterior under a flat prior spread thin), or resampled (Poisson replicates of the
cells' respondents); every draw is then fitted to the same margins, so margins hold in all of them
and only what they leave open varies.
Assumptions: respondents of a cell are exchangeable; a design effect stands for the rest of the
design. Limits: structural zeros stay zero; error of the margins themselves is not drawn here.
References: Rubin (1981) doi:10.1214/aos/1176345338 (Bayesian bootstrap); Purcell & Kish (1980).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError
from inegnum.numerics.ipf import Margin, ipf

__all__ = ["ipf_draws"]

Floats = npt.NDArray[np.float64]


def ipf_draws(
    counts: Floats,
    margins: Sequence[Margin],
    draws: int,
    *,
    method: Literal["dirichlet", "replicate"] = "dirichlet",
    deff: float = 1.0,
    seed: int | np.random.Generator = 0,
) -> Floats:
    """Return tables fitted to the margins, from seeds drawn around a sample's counts.

    Parameters
    ----------
    counts : ndarray of shape (d1, d2, ...)
        Respondents by cell; a missing value (NaN) marks a structural zero.
    margins : sequence of Margin
        Of `inegnum.numerics.ipf`, over tables of the same shape.
    draws : int
    method : {"dirichlet", "replicate"}
        Dirichlet with effective counts and one respondent in all as prior, or Poisson replicates
        of the counts (an empty cell then keeps the prior's share only).
    deff : float
        Design effect: counts are divided by it.
    seed : int or Generator

    Returns
    -------
    ndarray of shape (draws, d1, d2, ...)

    Raises
    ------
    MarginError, ConvergenceError
        Margins contradict each other or the structural zeros.

    Examples
    --------
    >>> from inegnum.numerics.ipf import axis_margin
    >>> rows = axis_margin("rows", (2, 2), (0,), np.array([30.0, 70.0]))
    >>> columns = axis_margin("columns", (2, 2), (1,), np.array([50.0, 50.0]))
    >>> tables = ipf_draws(np.full((2, 2), 25.0), [rows, columns], 3, seed=1)
    >>> tables.sum(axis=2).round(6).tolist()
    [[30.0, 70.0], [30.0, 70.0], [30.0, 70.0]]
    """
    n = np.asarray(counts, dtype=np.float64)
    possible = ~np.isnan(n)
    if (n[possible] < 0).any() or not np.isfinite(n[possible]).all() or not possible.any():
        raise InputError("counts of a seed must be finite and not negative", where="counts")
    if draws < 1 or not deff > 0:
        raise InputError("draws and deff must be positive", got=f"{draws}, {deff}")
    rng = np.random.default_rng(seed)
    # One respondent spread over all cells: enough to keep possible cells alive, too little to see.
    prior = 1.0 / int(possible.sum())
    effective = np.where(possible, n / deff, 0.0)
    shape = (draws, *n.shape)
    if method == "dirichlet":
        seeds = rng.gamma(np.broadcast_to(effective + prior, shape))
    elif method == "replicate":
        seeds = rng.poisson(np.broadcast_to(effective, shape)) + prior
    else:
        raise InputError("unknown method", got=method, expected="dirichlet, replicate")
    # A gamma of small shape underflows to 0, which fitting would read as impossible.
    seeds = np.where(possible, np.maximum(seeds, 1e-200), 0.0)
    return ipf(seeds, margins).fitted
