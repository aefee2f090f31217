"""Rates of areas from published rates by group, without respondents (tiers T2 and T3).

Model
    The effects of `multilevel` (no wave), seen through group rates of the national frame:
    r_k = sum_c A_kc N_c p_c / sum_c A_kc N_c + b_source + e_k, e ~ N(0, V), with the covariance of
    rates that share respondents (`numerics.inversion.group_covariance`).
Assumptions
    The groups of the publication are groups of the frame; a group the frame cannot cut is given
    with its nearest cut or left out. One deff for the survey.
Limits
    Main effects of the published groups are identified; the rest keeps its prior, and
    `prior_weight` says how much. No mode reading: one table has no mode. A single total identifies
    nothing else: tier T3 gives an order of magnitude for a whole territory and refuses sub-areas.

References
----------
    Leemann & Wasserfallen 2017, doi:10.1111/ajps.12319 (MRP from marginals).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.linalg import block_diag
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

from inegnum.data.codebook import profiles
from inegnum.data.types import Frame, Indicator
from inegnum.errors import InputError
from inegnum.estimators.anchor import anchor_shift
from inegnum.estimators.deviations import geographic_codes
from inegnum.estimators.diagnostics import Diagnostics
from inegnum.estimators.engine import Drawn, EffectsPosterior, sampled
from inegnum.estimators.evidence import Rows, encode
from inegnum.estimators.interactions import LearnedBlocks
from inegnum.estimators.learned_tau import resolved
from inegnum.estimators.multilevel import Fit
from inegnum.estimators.rate_table import RateTable, composition_of, margins_of
from inegnum.estimators.spec import FACTORS, ModelSpec
from inegnum.estimators.terms import blocks, coefficients
from inegnum.numerics.group_rates import directions, group_covariance
from inegnum.numerics.inversion import Inverted, invert
from inegnum.numerics.latent import build_design
from inegnum.provenance import require_role

__all__ = ["RateTable", "composition_of", "fit_margins", "margins_of", "prior_weight"]

Floats = npt.NDArray[np.float64]


# Their support points are cheap and drawn, not spread: eight of them for one of a fit of rows.
_POINTS: Final = 8

# What every result of tier T3 says of itself.
ORDER: Final = (
    "order of magnitude: a single national total, spread over the territory by its composition; no "
    "sub-area can be estimated from it"
)


def fit_margins(
    spec: ModelSpec,
    tables: Sequence[RateTable],
    *,
    national: Frame,
    seed: int,
    composition: Frame | None = None,
    interactions: LearnedBlocks | None = None,
) -> Fit:
    """Fit the model to published rates; the result predicts like any other.

    Parameters
    ----------
    spec : ModelSpec
        Wave terms, history and mode readings are not used.
    tables : sequence of RateTable
        One indicator; the first gives the total, the others may be offset from it.
    national : Frame
        What the total is anchored on.
    seed : int
    composition : Frame, optional
        Whom the groups of the publication are made of (`composition_of` a survey); the national
        frame unless given. Where survey and census disagree on categories, this matters more than
        the loss of the microdata. What is known of it is no sampling error of the rates either.
    interactions : LearnedBlocks, optional
        What microdata of other waves say of the interactions (`learn_interactions`), which
        published rates do not identify; without it they keep a half-normal prior around zero.

    Raises
    ------
    InputError
        Tables of several indicators or universes, or a group nobody of the frame belongs to.
    IsolationError
        A table kept for validation was offered.
    BenchmarkError
        The anchor needs more than its limit.

    Examples
    --------
    >>> import inegnum as ing
    >>> from inegnum.estimators.published import illectronisme_2021
    >>> france = ing.national_frame(year=2022)
    >>> spec = ing.ModelSpec(draws=400)
    >>> fit = fit_margins(spec, [illectronisme_2021(assumed_n=8000)], national=france, seed=1)
    >>> fit.tier, fit.indicator.universe
    ('T2', '15+')
    """
    evidence = [table.source for table in tables]
    if interactions is not None:
        evidence.append(interactions.source)
    require_role(evidence, "fit", where="fit of published rates")
    first = tables[0]
    if any(t.indicator != first.indicator for t in tables):
        raise InputError("published rates of several indicators", where="tables")
    rng = np.random.default_rng([seed, len(first.table)])
    spec = replace(spec, terms=spec.without("wave"), waves=(first.year,), year=first.year)
    spec = replace(spec, tau=resolved(spec.tau, first.indicator.code))
    rows, masks, N = cells_of(tables, composition or national, first.indicator)
    with threadpool_limits(limits=1, user_api="blas"):
        inverted = inverted_rates(
            spec,
            tables,
            (rows, masks, N),
            interactions,
            rng,
            composed=composition is not None,
        )
        design = inverted.design
        posterior: EffectsPosterior = inverted
        if spec.engine == "nuts":
            posterior = sampled(design, spec, rng, inverted=inverted)
        effects, sds = posterior.draw(spec.draws, rng)
    part = coefficients(effects, spec, rows, wave=first.year)
    p = expit(design.X @ effects.T)
    total = logit(N @ p / N.sum())
    # The published total is the centre; what the draws add is how uncertain it is.
    published = logit(first.total().rate)
    drift = float(published - total.mean())
    total = expit(total + drift)
    shift, drawn = anchor_shift(spec, part, national, first.indicator, (total, drift))
    summary = Drawn(rows, design, effects, sds).summary()
    lone = all(len(table.table) == 1 for table in tables)
    return Fit(
        spec,
        first.indicator,
        first.year,
        part,
        np.zeros(spec.draws, dtype=np.int64),
        total,
        shift,
        drawn,
        first.total(),
        Diagnostics(
            spec.engine,
            -np.inf,
            float(shift.mean()),
            drift,
            spec.anchor.limit,
            (
                *([ORDER] if lone else []),
                *_notes(tables),
                *(interactions.notes() if interactions else ()),
            ),
            summary.assign(reading="pooled"),
        ),
        (*evidence, *national.sources),
        "T3" if lone else "T2",
    )


def cells_of(
    tables: Sequence[RateTable], national: Frame, indicator: Indicator
) -> tuple[Rows, Floats, Floats]:
    """Return the national cells as model rows (R), the groups over them (G, R), persons (R)."""
    mask = national.mask(indicator.universe)
    who = profiles()[mask].reset_index(drop=True)
    A, K = len(national.areas), len(who)
    person = encode(who.assign(urban="", region=""))
    codes = {name: np.tile(code, A) for name, code in person.items()}
    for factor in ("urban", "region"):
        codes[factor] = np.repeat(geographic_codes(national, factor), K)
    codes["wave"] = np.zeros(A * K, dtype=np.int64)
    N = national.N[:, mask].ravel()
    held = N > 0
    codes, N = {name: code[held] for name, code in codes.items()}, N[held]
    masks = np.vstack([table.masks(codes) for table in tables])
    empty = np.flatnonzero(masks @ N <= 0)
    if len(empty):
        raise InputError(
            "a published group has nobody in the national frame",
            where=f"row {int(empty[0])}",
            hint="is the group inside the universe of the indicator?",
        )
    zero = np.zeros(len(N))
    return Rows(codes, zero, N, N, (tables[0].year,)), masks, N


def inverted_rates(
    spec: ModelSpec,
    tables: Sequence[RateTable],
    cells: tuple[Rows, Floats, Floats],
    interactions: LearnedBlocks | None,
    rng: np.random.Generator,
    *,
    composed: bool = False,
) -> Inverted:
    """Return the posterior of the effects given published rates, by the fast engine.

    Parameters
    ----------
    cells : tuple
        Rows of the model, groups over them (G, R), persons (R,): see `cells_of`.
    composed : bool
        Whether these persons are what the respondents stand for; `group_rates.group_covariance`.
    """
    rows, masks, N = cells
    A = masks * N
    share = A.sum(axis=1) / N.sum()
    A = A / A.sum(axis=1, keepdims=True)
    r = np.concatenate([t.table["rate"].to_numpy(dtype=np.float64) for t in tables])
    source = np.repeat(np.arange(len(tables)), [len(t.table) for t in tables])
    published = np.concatenate([t.table["n"].to_numpy(dtype=np.float64) for t in tables])
    assumed = np.array([t.assumed_n or 0.0 for t in tables])[source] * share
    n = np.where(np.isnan(published), assumed, published)
    deff = np.array([t.deff for t in tables])[source]
    rounding = np.array([t.rounding for t in tables])[source]
    same = source[:, None] == source[None, :]
    # Tables of different surveys share no respondent; each one after the first may be off by b.
    shift = same * np.array([t.offset_sd**2 if k else 0.0 for k, t in enumerate(tables)])[source]

    def covariance(p: Floats) -> Floats:
        V = group_covariance(masks, N, p, n=n, deff=deff, rounding=rounding, composed=composed)
        return np.asarray(V * same + shift)

    terms = blocks(spec, rows)
    if interactions is not None:
        terms = interactions.apply(terms)
    design = build_design(rows.y, rows.n, terms)
    kept = block_diag(*(directions(A[source == k]) for k in range(len(tables))))
    return invert(
        design, A, r, kept=kept, covariance=covariance, rng=rng, points=_POINTS * spec.points
    )


def _notes(tables: Sequence[RateTable]) -> tuple[str, ...]:
    out = []
    for table in tables:
        if table.assumed_n is not None:
            out.append(
                f"{table.source.name}: no sample size published, n = {table.assumed_n:.0f} assumed"
            )
        absent = [f for f in FACTORS if f not in table.table.columns]
        if absent:
            out.append(f"{table.source.name}: no rate by {', '.join(absent)}; the prior stands")
    return tuple(out)


def prior_weight(fit: Fit) -> pd.DataFrame:
    """Return, by learned sd, how far the published rates moved it from its prior.

    Columns: ``term, prior_mean, posterior_mean, variance_ratio``: 1 means nothing was learned.
    """
    table = fit.diagnostics.sds
    table = table[table["prior_scale"].notna()]
    # A half-normal of scale s has mean s sqrt(2/pi) and variance s^2 (1 - 2/pi).
    scale = table["prior_scale"]
    spread = (table["upper"] - table["lower"]) / (2 * 1.96)
    return pd.DataFrame(
        {
            "term": table["term"],
            "prior_mean": scale * np.sqrt(2 / np.pi),
            "posterior_mean": table["mean"],
            "variance_ratio": spread**2 / (scale**2 * (1 - 2 / np.pi)),
        }
    )
