"""Several fits drawn together: indicators of a family, or years of one indicator.

Model
    Fit j deviates from composition by delta_j (metropolis) and u_j (communes), each with its own
    sd; for one place, deviations of the fits are correlated, R by level. Each fit's own law is
    unchanged: only what is said of several at once (the probability that two indicators are above
    France, an index, a change) depends on R.
Assumptions
    Draws of different fits are paired at random but for the deviations: coefficients of separate
    fits are independent given the data.
Limits
    The respondents of several indicators are the same persons, so national errors are correlated
    too; these errors are small beside the deviations, which is where R acts.

References
----------
    Benavent & Morales 2016, doi:10.1016/j.csda.2015.07.013.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit

from inegnum.data.types import Frame
from inegnum.draws import Draws
from inegnum.errors import InputError
from inegnum.estimators.deviations import Noise, with_groups
from inegnum.estimators.multilevel import Fit
from inegnum.numerics.correlated import correlation_root
from inegnum.numerics.poststratify import poststratify

__all__ = ["family_index", "predict_jointly", "probability_all", "shared_noise"]

Floats = npt.NDArray[np.float64]


def shared_noise(R: Mapping[str, Floats], S: int, *, seed: int) -> tuple[Noise, ...]:
    """Return the noise of each of J fits, correlated between fits for one place.

    Parameters
    ----------
    R : mapping of level to ndarray of shape (J, J) or (S, J, J)
        Correlation of deviations of ``metro``, ``commune`` and ``iris``.
    """
    roots = {part: correlation_root(np.asarray(one, dtype=np.float64)) for part, one in R.items()}
    J = next(iter(roots.values())).shape[-1]

    def noise(part: str, n: int, j: int) -> Floats:
        if part not in roots:
            raise InputError("no correlation is given for a level", got=part, expected=str([*R]))
        rng = np.random.default_rng([seed, zlib.crc32(part.encode()), n])
        z = rng.standard_normal((S, J, n))
        row = roots[part][..., j, :]  # (J,) or (S, J)
        return np.asarray(np.einsum("sk,skn->sn", np.broadcast_to(row, (S, J)), z))

    return tuple(partial(noise, j=j) for j in range(J))


def predict_jointly(
    fits: Sequence[Fit],
    frames: Frame | Sequence[Frame],
    R: Mapping[str, Floats],
    *,
    seed: int,
    groups: str | Sequence[str] | None = "epci",
) -> tuple[Draws, ...]:
    """Return joint draws of the rates of several fits: row s of one goes with row s of all.

    Parameters
    ----------
    fits : sequence of J Fit
        Of as many draws each.
    frames : Frame or sequence of J Frame
        One for all, or one a fit (years); the same areas in the same order.
    R : mapping of level to ndarray of shape (J, J) or (S, J, J)
        Correlation of deviations at ``metro``, ``commune`` and, for IRIS, ``iris``.
    seed : int
    groups : str or sequence of str, optional
        As in `Fit.predict`.

    Raises
    ------
    InputError
        Numbers of draws differ, areas differ, or R is not of these fits.
    """
    each = [frames] * len(fits) if isinstance(frames, Frame) else list(frames)
    S = len(fits[0].national)
    if len(each) != len(fits) or any(len(fit.national) != S for fit in fits):
        raise InputError(
            "fits drawn jointly have as many draws, and a frame each",
            got=f"{[len(fit.national) for fit in fits]} draws, {len(each)} frames",
        )
    if any(not frame.areas["geo"].equals(each[0].areas["geo"]) for frame in each):
        raise InputError("frames drawn jointly have the same areas in the same order")
    if any(np.shape(one)[-1] != len(fits) for one in R.values()):
        raise InputError(
            "a correlation is not of these fits",
            got=[np.shape(one) for one in R.values()],
            expected=f"({len(fits)}, {len(fits)})",
        )
    out = []
    for fit, frame, noise in zip(fits, each, shared_noise(R, S, seed=seed), strict=True):
        profile, area, N, which = fit.logits(frame, seed=seed, noise=noise)
        counts, persons = poststratify(profile, area, N, frame=which)
        counts, persons, items = with_groups(counts, persons, frame, groups, fit.indicator)
        out.append(Draws(counts / persons, items))
    return tuple(out)


def probability_all(draws: Sequence[Draws], fits: Sequence[Fit]) -> pd.DataFrame:
    """Return, by area, the probability of being farther than France on every indicator at once.

    Farther is away from digital: below France where a higher rate is closer to digital, above it
    otherwise. Column ``independent`` is what the product of the separate probabilities says.

    Returns
    -------
    DataFrame
        ``geo, level, all, independent`` and one column an indicator.
    """
    signs = [fit.indicator.direction for fit in fits]
    away = np.stack(
        [
            (sign * (d.values - fit.national[:, None]) < 0)
            for d, fit, sign in zip(draws, fits, signs, strict=True)
        ]
    )
    each = away.mean(axis=1)
    table = draws[0].items[["geo", "level"]].copy()
    table["all"] = away.all(axis=0).mean(axis=0)
    table["independent"] = each.prod(axis=0)
    for fit, column in zip(fits, each, strict=True):
        table[fit.indicator.code] = column
    return table


def family_index(draws: Sequence[Draws], fits: Sequence[Fit]) -> Draws:
    """Return the index of a family: mean logit distance to France, positive nearer digital.

    Every indicator weighs the same, oriented by its direction; 0 is France in every draw.
    """
    gaps = [
        fit.indicator.direction * (logit(d.values) - logit(fit.national)[:, None])
        for d, fit in zip(draws, fits, strict=True)
    ]
    items = draws[0].items.assign(indicator=f"index of {fits[0].indicator.family}")
    return Draws(np.mean(gaps, axis=0), items)
