"""Is the fast engine good enough for this rate? k-hat judged on each rate that is published.

References
----------
Vehtari et al. 2024, JMLR 25(72); Yao, Vehtari, Simpson & Gelman 2018, PMLR 80:5581-5590.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array

from inegnum.data.types import Frame, Indicator
from inegnum.errors import ConvergenceError
from inegnum.estimators.deviations import geographic_codes, known_deviations
from inegnum.estimators.evidence import Rows
from inegnum.estimators.spec import FACTORS, ModelSpec, Tau
from inegnum.estimators.terms import coefficients
from inegnum.numerics.logistic import logistic
from inegnum.numerics.mixture import Posterior
from inegnum.numerics.poststratify import poststratify
from inegnum.numerics.psis import KHAT, SHIFT, Judged, judge

if TYPE_CHECKING:
    from inegnum.estimators.engine import Estimated

__all__ = ["Weighed", "group_shares", "judge_areas", "judged_table", "require_reliable", "weigh"]

Floats = npt.NDArray[np.float64]
_DRAWS: Final = 400  # a tail of 60 draws tells k-hat to about 0.15


@dataclass(frozen=True, slots=True)
class Weighed:
    """Draws of the effects apart from those published, each held against the exact posterior.

    Attributes
    ----------
    effects : ndarray of shape (S, P)
    log_ratio : ndarray of shape (S,)
    table : DataFrame
        ``rate, khat, share, shift, reliable``: the survey's own rates, in all and by level of each
        factor, for the last wave. See `numerics.psis.Judged`.
    joint : float
        k-hat of all effects together: informational.
    """

    effects: Floats
    log_ratio: Floats
    table: pd.DataFrame
    joint: float


def weigh(posterior: Posterior, rows: Rows, rng: np.random.Generator) -> Weighed:
    """Draw, weigh and judge the survey's own rates."""
    effects, eta, log_ratio = posterior.weighed(_DRAWS, rng)
    names, shares = group_shares(rows)
    used = shares.any(axis=0)
    weights = csr_array(shares[:, used])
    # A few draws at a time: rates of every row and draw would be the largest arrays of a fit.
    parts = [
        (weights @ logistic(part[:, used]).T).T for part in np.array_split(eta, 1 + _DRAWS // 50)
    ]
    found = judge(log_ratio, np.concatenate(parts))
    return Weighed(effects, log_ratio, judged_table(names, found), found.joint)


def group_shares(rows: Rows) -> tuple[list[str], Floats]:
    """Return names and weights, shape (Q, R), of the rates of the last wave: all, and by level."""
    last = rows.codes["wave"] == len(rows.waves) - 1
    names, shares = ["all"], [np.where(last, rows.w, 0.0)]
    for factor, levels in FACTORS.items():
        for code, level in enumerate(levels):
            share = np.where(last & (rows.codes[factor] == code), rows.w, 0.0)
            if share.any():
                names.append(f"{factor} {level}")
                shares.append(share)
    stacked = np.stack(shares)
    return names, stacked / stacked.sum(axis=1, keepdims=True)


def judge_areas(
    evidence: Sequence[Estimated], spec: ModelSpec, frame: Frame, indicator: Indicator, shift: float
) -> pd.DataFrame:
    """Judge the rate of each area, without deviations that no evidence bears on.

    Parameters
    ----------
    evidence : sequence of Estimated
        Sampled posteriors are passed over.
    spec : ModelSpec
    frame : Frame
    indicator : Indicator
    shift : float
        Logit shift of the anchor.
    """
    mask, tables = frame.mask(indicator.universe), []
    names = frame.areas["geo"].astype(str).tolist()
    for found in evidence:
        if found.weighed is None or found.switched:
            continue
        waves = found.rows.waves
        wave = max((w for w in waves if w <= spec.year), default=max(waves))
        part = coefficients(found.weighed.effects, spec, found.rows, wave=wave)
        area = part.urban[:, geographic_codes(frame, "urban")] + shift
        area = area + part.region[:, geographic_codes(frame, "region")]
        if part.communes:
            area = area + known_deviations(frame, part, Tau(iris=0.0), np.random.default_rng(0))[0]
        counts, persons = poststratify(part.profile[:, mask], area, frame.N[:, mask])
        tables.append(judged_table(names, judge(found.weighed.log_ratio, counts / persons)))
    return pd.concat(tables, ignore_index=True) if tables else judged_table((), None)


def judged_table(names: Sequence[str], found: Judged | None) -> pd.DataFrame:
    """Return ``rate, khat, share, shift, reliable``, a row by rate."""
    if found is None:
        return pd.DataFrame({"rate": [], "khat": [], "share": [], "shift": [], "reliable": []})
    return pd.DataFrame(
        {
            "rate": list(names),
            "khat": found.khat,
            "share": found.share,
            "shift": found.shift,
            "reliable": ~found.fails(),
        }
    )


def require_reliable(table: pd.DataFrame, *, where: str) -> None:
    """Refuse rates whose approximate posterior cannot be relied upon.

    Parameters
    ----------
    table : DataFrame
        Of `judged_table`.

    Raises
    ------
    ConvergenceError
        Names the worst rates; the engine is never changed silently.
    """
    failed = table[~table["reliable"].astype(bool)].sort_values("khat", ascending=False)
    if failed.empty:
        return
    worst = ", ".join(
        f"{rate} (k-hat {khat:.2f}, {share:.0%} effective, off by {shift:+.2f} sd)"
        for rate, khat, share, shift in failed[["rate", "khat", "share", "shift"]]
        .head(3)
        .itertuples(index=False, name=None)
    )
    raise ConvergenceError(
        "the fast engine does not represent some rates",
        where=where,
        got=f"{len(failed)} of {len(table)} rates: {worst}",
        expected=f"k-hat at most {KHAT}, half of the draws effective, means within {SHIFT} sd",
        hint="set engine = 'nuts', or on_khat = 'nuts' to sample when this happens (and say so)",
    )
