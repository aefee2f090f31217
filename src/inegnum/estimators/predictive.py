"""Does the model produce data like the survey's? Before seeing it, and after.

Prior predictive: rates implied by the priors alone; what they exclude, no survey can bring back.
Posterior predictive: the survey repeated under the posterior, group by group. Effective counts make
a repeated survey as noisy as the design effect says.

References
----------
    Gelman, Meng & Stern 1996, Statistica Sinica 6:733-807; Gabry et al. 2019,
    doi:10.1111/rssa.12378 (both checks as one workflow).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from inegnum.errors import InputError
from inegnum.estimators.engine import Estimated
from inegnum.estimators.evidence import Rows
from inegnum.estimators.reliability import group_shares
from inegnum.estimators.spec import FACTORS, ModelSpec
from inegnum.estimators.terms import blocks
from inegnum.numerics.bym2 import share_at
from inegnum.numerics.latent import Design, build_design

__all__ = ["posterior_predictive", "prior_predictive"]

Floats = npt.NDArray[np.float64]
_QUANTILES: Final = {"lower": 0.05, "lower_half": 0.25, "median": 0.5, "upper_half": 0.75}


def prior_predictive(
    spec: ModelSpec, rows: Rows, *, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return what the priors say of the survey's rates before any answer is read.

    Parameters
    ----------
    spec : ModelSpec
    rows : Rows
        Who was interviewed; their answers are not used.
    draws : int
    seed : int

    Returns
    -------
    DataFrame
        ``rate`` (all, or a level of a factor), ``lower, lower_half, median, upper_half, upper`` (5,
        25, 50, 75 and 95 % of prior draws), and a last row a factor, ``gap FACTOR``: largest less
        smallest rate between its levels.
    """
    design = build_design(rows.y, rows.n, blocks(spec, rows))
    effects = _prior_effects(design, draws, np.random.default_rng(seed))
    names, shares = group_shares(rows)
    rates = expit(design.maps.predictor(effects.T).T + design.offset) @ shares.T
    columns = dict(zip(names, rates.T, strict=True))
    for factor in FACTORS:
        levels = [name for name in names if name.startswith(f"{factor} ")]
        if len(levels) > 1:
            found = np.stack([columns[name] for name in levels])
            columns[f"gap {factor}"] = found.max(axis=0) - found.min(axis=0)
    at = [*_QUANTILES.values(), 0.95]
    table = pd.DataFrame(
        [np.quantile(values, at) for values in columns.values()], columns=[*_QUANTILES, "upper"]
    )
    table.insert(0, "rate", list(columns))
    return table


def _prior_effects(design: Design, S: int, rng: np.random.Generator) -> Floats:
    """Draw effects from their prior, sds included, shape (S, P)."""
    effects = np.empty((S, design.size))
    for term, place in zip(design.terms, design.slices, strict=True):
        sd = term.scale * (np.abs(rng.standard_normal((S, 1))) if term.learned else 1.0)
        z = rng.standard_normal((S, term.size))
        if term.covariance.size:
            values, vectors = np.linalg.eigh(term.covariance)
            z = z * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
        if term.mixing is not None:
            mass = np.exp(term.mixing.log_masses())
            phi = rng.choice(len(mass), S, p=mass / mass.sum()) + rng.random(S)
            z = np.stack(
                [
                    term.mixing.vectors
                    @ (np.sqrt(term.mixing.variances(float(share_at(at)))) * row)
                    for at, row in zip(phi, z, strict=True)
                ]
            )
        effects[:, place] = sd * z + (term.mean if term.mean.size else 0.0)
    return effects


def posterior_predictive(
    found: Estimated,
    *,
    by: Sequence[str] = ("age", "diploma"),
    draws: int = 1000,
    smallest: float = 5.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Repeat the survey under the posterior and compare, group by group of the last wave.

    Parameters
    ----------
    found : Estimated
    by : sequence of str
        Factors whose crossing makes the groups.
    draws : int
    smallest : float
        Effective respondents below which a group is left unjudged (``p`` missing).
    seed : int

    Returns
    -------
    DataFrame
        One column a factor, then ``n`` (effective respondents), ``observed`` (their weighted rate),
        ``predicted``, ``lower``, ``upper`` (mean and 95 % interval of the repeated rate), and ``p``
        (two-sided predictive probability). A factor silent in a group (diploma of minors) is
        ``""``.

    Notes
    -----
    Counts are effective, not whole: the repeated rate of a group is that of m answers, m being the
    number that gives it the variance of the sum of its rows, rounded up or down at random.
    """
    unknown = [factor for factor in by if factor not in FACTORS]
    if unknown:
        raise InputError(
            "unknown factor", where="by", got=", ".join(unknown), expected=", ".join(FACTORS)
        )
    rows, rng = found.rows, np.random.default_rng(seed)
    last = (rows.codes["wave"] == len(rows.waves) - 1) & (rows.n > 0)
    codes = pd.DataFrame({factor: rows.codes[factor] for factor in by})[last]
    group, levels = pd.MultiIndex.from_frame(codes).factorize(sort=True)
    member = np.zeros((len(levels), int(last.sum())))
    member[group, np.arange(len(group))] = 1.0
    n, y = rows.n[last], rows.y[last]
    p = expit(found.draw(draws, rng).logits()[:, last])
    N = member @ n
    mean = (p * n) @ member.T / N
    variance = (p * (1 - p) * n) @ member.T / N**2
    m = np.maximum(np.floor(mean * (1 - mean) / variance + rng.random(mean.shape)), 1.0)
    repeated = rng.binomial(m.astype(np.int64), mean) / m
    observed = member @ y / N
    below = (repeated < observed).mean(axis=0) + 0.5 * (repeated == observed).mean(axis=0)
    lower, upper = np.quantile(repeated, [0.025, 0.975], axis=0)
    table = pd.DataFrame(
        [
            ["" if k < 0 else FACTORS[f][k] for f, k in zip(by, level, strict=True)]
            for level in levels
        ],
        columns=list(by),
    )
    two_sided = np.where(smallest <= N, 2 * np.minimum(below, 1 - below), np.nan)
    return table.assign(
        n=N,
        observed=observed,
        predicted=repeated.mean(axis=0),
        lower=lower,
        upper=upper,
        p=two_sided,
    )
