"""Measures of how good intervals and estimates are against a known truth.

Everything here takes arrays over areas and returns numbers; no measure depends on a model. Areas of
one region share their errors, so the uncertainty of a coverage comes from a bootstrap of regions,
never from the binomial law.

References
----------
Gneiting and Raftery 2007, doi:10.1198/016214506000001437 (interval and logarithmic scores);
Kuh et al. 2024, doi:10.1002/sim.9956 (validating multilevel poststratification).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError

__all__ = [
    "Clustered",
    "clustered_share",
    "coverage_by",
    "interval_score",
    "normal_log_score",
    "point_scores",
    "summarise",
]

Floats = npt.NDArray[np.float64]
PROBS = (0.5, 0.8, 0.95)


@dataclass(frozen=True, slots=True)
class Clustered:
    """A share with its bootstrap interval.

    Attributes
    ----------
    value, lower, upper : float
        The share and the bounds of its 95 % interval over resampled clusters.
    n, clusters : int
        Areas and clusters it rests on.
    """

    value: float
    lower: float
    upper: float
    n: int
    clusters: int


def interval_score(lower: Floats, upper: Floats, truth: Floats, prob: float = 0.95) -> Floats:
    """Return the interval score of each area (lower is better), shape (A,).

    Width, plus 2 / (1 - prob) times the distance from the interval to the truth it missed: the only
    way to improve it is to be both narrow and right.

    Examples
    --------
    >>> interval_score(np.array([0.2, 0.2]), np.array([0.4, 0.4]), np.array([0.3, 0.5])).round(2)
    array([0.2, 4.2])
    """
    _same_shape(lower, upper, truth)
    if not (lower <= upper).all():
        raise InputError("an interval has its bounds in the wrong order", where="interval_score")
    penalty = 2 / (1 - prob)
    missed = np.maximum(lower - truth, 0.0) + np.maximum(truth - upper, 0.0)
    return np.asarray((upper - lower) + penalty * missed)


def normal_log_score(center: Floats, sd: Floats, truth: Floats) -> Floats:
    """Return minus the log density of the truth under a normal law, shape (A,); lower is better."""
    _same_shape(center, sd, truth)
    if not (sd > 0).all():
        raise InputError("a predictive law has no spread", where="normal_log_score")
    return np.asarray(0.5 * np.log(2 * np.pi) + np.log(sd) + 0.5 * ((truth - center) / sd) ** 2)


def clustered_share(
    hits: npt.NDArray[np.bool_],
    clusters: npt.NDArray[np.object_],
    *,
    seed: int = 0,
    replicates: int = 2000,
) -> Clustered:
    """Return a share of areas and its bootstrap interval over whole clusters.

    Where every area agrees the bootstrap has no spread; the bound is then the exact binomial one,
    each cluster counting once: as few trials as there can be, hence the widest.

    Parameters
    ----------
    hits : ndarray of bool, shape (A,)
        For instance whether each interval held the truth.
    clusters : ndarray of shape (A,)
        What is resampled whole, usually the region.

    Raises
    ------
    InputError
        There is no area, or the shapes differ.

    Examples
    --------
    >>> clustered_share(np.array([True, True, False, True]), np.array(list("aabb"))).value
    0.75
    """
    if hits.shape != clusters.shape or hits.size == 0:
        raise InputError(
            "a share needs as many clusters as areas",
            got=f"{hits.shape} and {clusters.shape}",
        )
    names, where = np.unique(clusters, return_inverse=True)
    inside = np.bincount(where, weights=hits.astype(np.float64))
    size = np.bincount(where).astype(np.float64)
    rng = np.random.default_rng(seed)
    picked = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=replicates)
    shares = (picked @ inside) / (picked @ size)
    lower, upper = np.quantile(shares, [0.025, 0.975])
    if hits.all():
        lower = 0.025 ** (1 / len(names))
    elif not hits.any():
        upper = 1 - 0.025 ** (1 / len(names))
    return Clustered(float(hits.mean()), float(lower), float(upper), hits.size, len(names))


def point_scores(est: Floats, truth: Floats) -> dict[str, float]:
    """Return bias, root mean squared error, rank correlation and over-shrinkage of estimates.

    ``variance_ratio`` is the variance of the estimates over that of the truth: below 1 the
    estimates differ less between areas than the areas do, as they must when the truth cannot be
    fully predicted; ``slope`` is that of the truth on the estimates: above 1 the estimates are
    shrunk too much, below 1 too little. Both are missing when the estimates are all equal.
    """
    from scipy.stats import spearmanr

    _same_shape(est, truth, truth)
    error = est - truth
    spread = float(est.var())
    flat = not spread > 1e-20
    return {
        "bias": float(error.mean()),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "rank_correlation": np.nan if flat else float(spearmanr(est, truth).statistic),
        "variance_ratio": float(spread / truth.var()) if truth.var() > 0 else np.nan,
        "slope": np.nan if flat else float(np.cov(est, truth, ddof=0)[0, 1] / spread),
    }


def summarise(table: pd.DataFrame, *, truth: str = "truth", seed: int = 0) -> dict[str, float]:
    """Return every score of one method over a table of areas.

    Parameters
    ----------
    table : DataFrame
        Columns ``est``, `truth`, ``cluster``, ``lower_50`` ... ``upper_95``, and ``log_score``.

    Returns
    -------
    dict
        ``n``, point scores, ``coverage_50``, ``coverage_80``, ``coverage_95`` with the clustered
        bootstrap bounds of the last (``coverage_low``, ``coverage_high``), mean width, interval
        score and log score at 95 %.
    """
    known = table[truth].to_numpy(np.float64)
    out: dict[str, float] = {"n": float(len(table))}
    out |= point_scores(table["est"].to_numpy(np.float64), known)
    for prob in PROBS:
        name = f"{prob * 100:.0f}"
        lower = table[f"lower_{name}"].to_numpy(np.float64)
        upper = table[f"upper_{name}"].to_numpy(np.float64)
        hits = (lower <= known) & (known <= upper)
        out[f"coverage_{name}"] = float(hits.mean())
        if prob == PROBS[-1]:
            share = clustered_share(hits, table["cluster"].to_numpy(object), seed=seed)
            out |= {"coverage_low": share.lower, "coverage_high": share.upper}
            out["width_95"] = float(np.mean(upper - lower))
            out["interval_score"] = float(interval_score(lower, upper, known, prob).mean())
    out["log_score"] = float(table["log_score"].mean())
    return out


def coverage_by(table: pd.DataFrame, by: list[str], *, seed: int = 0) -> pd.DataFrame:
    """Return the scores of each group of a table of areas, one row a group.

    Parameters
    ----------
    table : DataFrame
        As for `summarise`, with the columns `by`.
    by : list of str
        Columns that define the groups, for instance ``["target", "method", "size"]``.
    """
    rows = []
    for key, group in table.groupby(by, sort=True):
        rows.append(dict(zip(by, key, strict=True)) | summarise(group, seed=seed))
    return pd.DataFrame(rows)


def interval_columns(draws: Floats) -> dict[str, Floats]:
    """Return ``est`` and the bounds of the 50, 80 and 95 % intervals of draws (S, A)."""
    tails = [t for prob in PROBS for t in ((1 - prob) / 2, (1 + prob) / 2)]
    bounds = np.quantile(draws, tails, axis=0)
    names = [f"{side}_{prob * 100:.0f}" for prob in PROBS for side in ("lower", "upper")]
    return {"est": draws.mean(axis=0)} | dict(zip(names, bounds, strict=True))


def _same_shape(*arrays: Floats) -> None:
    """Refuse arrays of different areas."""
    if len({a.shape for a in arrays}) != 1:
        raise InputError(
            "scores need one value per area on every side",
            got=", ".join(str(a.shape) for a in arrays),
        )
