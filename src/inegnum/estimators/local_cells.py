"""A national model and the respondents of a local survey together (tier T4).

Model
    logit p = eta_s(profile, area) + b for a local respondent of that profile and area: eta_s are
    the joint draws of the national fit on the areas of the frame, their deviations included, b one
    offset of mode (telephone against mixed mode, another year, another wording), normal; effective
    counts by commune and profile.
Method
    The draws of profiles (K), areas (A) and offset are taken as jointly normal; the mode of their
    posterior is found by Newton steps on the local counts, and every draw moves by what its own
    simulated survey misses of the real one (Matheron's rule), so that communes, metropolis and
    profiles stay joint.
Assumptions
    Within a commune and a profile local respondents are a sample of the frame's persons. The
    composition of the sample is not that of the commune: cells correct it, rates by commune
    (`fusion`) leave that to the survey's weights.
Limits
    The offset is told from the deviation of the metropolis by its prior only. Covariances come
    from S draws: with 2,000, posterior variances are low by the number of informed directions over
    S, a few per cent.

References
----------
    Wilson et al. 2021, JMLR 22(105) (Matheron's rule); Gelman & Little 1997; Chen, Wakefield &
    Lumley 2014, doi:10.1016/j.sste.2014.07.002 (effective counts).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from scipy.special import expit, logit, roots_hermitenorm
from threadpoolctl import threadpool_limits

from inegnum.data.codebook import profiles
from inegnum.data.types import Frame, SurveyCells
from inegnum.draws import Draws
from inegnum.errors import ConvergenceError, InputError, PublicationError
from inegnum.estimators.deviations import with_groups
from inegnum.estimators.fusion import Fused
from inegnum.estimators.multilevel import Fit
from inegnum.numerics.poststratify import poststratify
from inegnum.provenance import require_role

__all__ = ["fuse_cells"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NODES, _WEIGHTS = roots_hermitenorm(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_PERSONAL = ["age", "sex", "diploma", "occupation"]


def fuse_cells(
    fit: Fit,
    frame: Frame,
    local: SurveyCells,
    *,
    offset_mean: float = 0.0,
    offset_sd: float = 0.15,
    groups: str | Sequence[str] | None = "epci",
    seed: int,
) -> Fused:
    """Update the rates of areas by the respondents of a local survey.

    Parameters
    ----------
    fit : Fit
        The national model.
    frame : Frame
        Areas to estimate, those surveyed among them.
    local : SurveyCells
        Cells of the same indicator with a column ``geo``: area of residence, as text.
    offset_mean, offset_sd : float
        Prior of the logit difference between this survey and the national one; an sd of 0 states
        that they measure the same.
    groups : str or sequence of str, optional
        As in `Fit.predict`.
    seed : int

    Returns
    -------
    Fused
        Draws of every area and group, the share of local information of each, the offset.

    Raises
    ------
    IsolationError
        The survey is kept for validation.
    InputError
        Another indicator, no places, or respondents of areas outside the frame.
    PublicationError
        The fit rests on a single total: it has no profiles to update.
    """
    require_role([local.source], "fit", where="fusion with local cells")
    _require_same(fit, frame, local, offset_sd)
    before = fit.predict(frame, seed=seed, groups=groups)
    profile, area, N, which = fit.logits(frame, seed=seed)
    S, K = profile.shape
    rng = np.random.default_rng([seed, len(local.table)])
    offset = offset_mean + offset_sd * rng.standard_normal(S)
    H, y, n = _rows(local, frame, frame.mask(fit.indicator.universe))
    with threadpool_limits(limits=1, user_api="blas"):
        moved = _updated(np.column_stack([profile, area, offset]), H, y, n, rng)
    counts, persons = poststratify(moved[:, :K].copy(), moved[:, K:-1].copy(), N, frame=which)
    counts, persons, items = with_groups(counts, persons, frame, groups, fit.indicator)
    after = Draws(counts / persons, items)
    share = 1 - logit(after.values).var(axis=0) / logit(before.values).var(axis=0)
    return Fused(after, share, moved[:, -1])


def _require_same(fit: Fit, frame: Frame, local: SurveyCells, offset_sd: float) -> None:
    if fit.tier == "T3":
        raise PublicationError(
            "a single national total has no profiles for local respondents to speak of",
            where=fit.indicator.code,
            hint="fuse rates by commune with a fit of tier T1 or T2, or publish the local survey",
        )
    if (local.indicator.code, local.indicator.universe) != (
        fit.indicator.code,
        fit.indicator.universe,
    ):
        raise InputError(
            "the local survey measures another indicator",
            got=f"{local.indicator.code}, {local.indicator.universe}",
            expected=f"{fit.indicator.code}, {fit.indicator.universe}",
            hint="two questions on one theme are not one indicator",
        )
    if "geo" not in local.table.columns:
        raise InputError(
            "local cells have no places",
            where=local.source.name,
            expected="a column geo: the area each cell's respondents live in",
        )
    absent = sorted(set(local.table["geo"].astype(str)) - set(frame.areas["geo"].astype(str)))
    if absent:
        raise InputError(
            "local respondents live outside the frame",
            got=", ".join(absent[:5]),
            expected=f"among {len(frame.areas)} areas",
            hint="leave them out of the survey, or add their areas to the frame",
        )
    if offset_sd < 0:
        raise InputError("an sd is not negative", where="offset_sd", got=offset_sd)


def _rows(
    local: SurveyCells, frame: Frame, mask: npt.NDArray[np.bool_]
) -> tuple[csr_array, Floats, Floats]:
    """Return the map from profiles, areas and offset to rows (R, K + A + 1), y and n of rows."""
    table = local.table.copy()
    # One class in the survey, two in the census with one effect: either stands for both.
    table["age"] = table["age"].replace({"12-17": "15-17"})
    n, y = _effective(table)
    who = profiles()[mask].reset_index(drop=True)
    place = {row: k for k, row in enumerate(who[_PERSONAL].itertuples(index=False, name=None))}
    keys = list(table[_PERSONAL].itertuples(index=False, name=None))
    unknown = [key for key in keys if key not in place]
    if unknown:
        raise InputError(
            "local respondents have a profile outside the universe or the codebook",
            got=", ".join(map(str, unknown[:2])),
            expected=f"one of {len(who)} profiles of {local.indicator.universe}",
        )
    codes = {geo: i for i, geo in enumerate(frame.areas["geo"].astype(str))}
    k = np.array([place[key] for key in keys], dtype=np.int64)
    a = table["geo"].astype(str).map(codes).to_numpy(dtype=np.int64)
    pair, inverse = np.unique(k * len(codes) + a, return_inverse=True)
    y, n = np.bincount(inverse, y), np.bincount(inverse, n)
    k, a = np.divmod(pair, len(codes))
    R, K = len(pair), len(who)
    columns = np.concatenate([k, K + a, np.full(R, K + len(codes))])
    H = csr_array(
        (np.ones(3 * R), (np.tile(np.arange(R), 3), columns)), shape=(R, K + len(codes) + 1)
    )
    return H, np.minimum(y, n), n


def _effective(table: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return effective n and y of cells: respondents of a commune, spread by weight within it.

    Communes are often sampled at different rates: weights are compared within a commune only. The
    design effect is Kish's, of unequal weights within communes, averaged over respondents.
    """
    w = table["w"].to_numpy(dtype=np.float64)
    by = table.groupby("geo")
    n_area, w_area = (by[c].transform("sum").to_numpy(dtype=np.float64) for c in ("n", "w"))
    sums = by[["n", "w", "w2"]].sum()
    kish = sums["n"] * sums["w2"] / sums["w"] ** 2
    deff = max(1.0, float(np.average(kish, weights=sums["n"])))
    n = w * n_area / w_area / deff
    return n, n * table["wy"].to_numpy(dtype=np.float64) / w


def _updated(state: Floats, H: csr_array, y: Floats, n: Floats, rng: np.random.Generator) -> Floats:
    """Return draws of the state (S, d) given y of n in rows of linear predictor H state.

    The normal posterior nearest to the exact one (Kullback-Leibler): score and curvature are means
    over it. At the mode alone, expected counts match the survey's where p is that of the mean
    logit; the mean of p is lower above one half, and rates would land below both sources.
    """
    centre = state.mean(axis=0)
    P = np.cov(state, rowvar=False)
    mean, eye = centre, np.eye(len(centre))
    S = np.zeros_like(P)
    for _ in range(50):
        p, slope = _averaged(H @ mean, np.asarray(H.multiply(H @ S).sum(axis=1)).ravel())
        G = np.asarray(((H.T * (n * slope)) @ H).toarray())
        goal = G @ mean + H.T @ (y - n * p)  # H'W z, z the working response
        S = np.linalg.solve(eye + P @ G, P)
        found = centre + S @ (goal - G @ centre)
        step = float(np.abs(H @ (found - mean)).max())
        # Half a logit a step keeps the expansion near where it was made.
        mean = mean + (found - mean) * min(1.0, 0.5 / max(step, 1e-12))
        if step < 1e-6:
            break
    else:
        raise ConvergenceError(
            "the update by the local survey does not settle",
            got=f"logits still moving by {step:.2g} after 50 steps",
            expected="below 1e-6",
        )
    values, vectors = np.linalg.eigh(G)
    noise = (rng.standard_normal(state.shape) * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    gap = goal - state @ G - noise
    return np.asarray(state + np.linalg.solve(eye + P @ G, P @ gap.T).T)


def _averaged(eta: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Return the means of p and p(1 - p) over normal logits, by Gauss-Hermite quadrature."""
    p = expit(eta[:, None] + np.sqrt(np.maximum(variance, 0.0))[:, None] * _NODES)
    return p @ _WEIGHTS, (p * (1 - p)) @ _WEIGHTS
