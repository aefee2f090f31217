"""Several fits drawn together: indicators of a family, or years of one indicator.

Model
    Fit j deviates from composition by delta_j (metropolis) and u_j (communes), each with its own
    sd; for one place, deviations of the fits are correlated, R by level. Each fit's own law is
    unchanged: only what is said of several at once (the probability that two indicators are above
    France, an index, a change) depends on R.
    Indicators are answered by the same persons: the errors of their coefficients go together too.
    `paired` reorders the draws of each fit, so that one row follows one reading of the urban
    gradient in all of them and the rate of the areas, deviations apart, has the rank correlation
    of two answers of one person.
Assumptions
    Estimates of two indicators from the same respondents and weights have errors correlated as the
    answers are given what the model knows. Years need no pairing: one posterior draws them.
Limits
    One number a fit is paired (the rate of all the areas together): what the coefficients do to one
    area and not to another stays independent.

References
----------
    Benavent & Morales 2016, doi:10.1016/j.csda.2015.07.013; Iman & Conover 1982,
    doi:10.1080/03610918208812265 (rank correlation by reordering).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit

from inegnum.data.types import Frame
from inegnum.draws import Draws
from inegnum.errors import InputError
from inegnum.estimators.deviations import Noise, geographic_codes, with_groups
from inegnum.estimators.multilevel import Fit
from inegnum.numerics.correlated import correlation_root
from inegnum.numerics.poststratify import poststratify

__all__ = ["family_index", "paired", "predict_jointly", "probability_all", "shared_noise"]

Floats = npt.NDArray[np.float64]


def paired(
    fits: Sequence[Fit], frame: Frame, R: Floats, *, seed: int, frames: int = 0
) -> tuple[Fit, ...]:
    """Return the fits, draws of each in an order of its own, so that row s of one goes with all.

    The draws of a fit, and so its law, are the same set.

    Parameters
    ----------
    fits : sequence of J Fit
        Of as many draws each.
    frame : Frame
        The areas whose rate is paired.
    R : ndarray of shape (J, J)
        Correlation of the errors of the J rates (`family.answer_correlation`).
    seed : int
    frames : int
        Draws of the national frame the fits were anchored on. Draw s of any frame goes with row s:
        the part of the shift that a national frame causes stays with it.
    """
    S = len(fits[0].national)
    z = np.random.default_rng([seed, len(fits)]).standard_normal((S, len(fits)))
    z = z @ correlation_root(R).T
    # One layout of readings for all: a fit that lacks one has its neighbours' rows instead.
    layout = np.argsort(fits[0].reading, kind="stable")
    blocks = np.sort(fits[0].reading)
    out = []
    for j, fit in enumerate(fits):
        by_reading = np.argsort(fit.reading, kind="stable")
        rate = _whole_logit(fit, frame)
        order = np.empty(S, dtype=np.int64)
        for block in np.unique(blocks):
            rows, mine = layout[blocks == block], by_reading[blocks == block]
            # The lowest rate where z is lowest, and so on.
            order[rows[np.argsort(z[rows, j])]] = mine[np.argsort(rate[mine])]
        out.append(_reordered(fit, order, frames))
    return tuple(out)


def _whole_logit(fit: Fit, frame: Frame) -> Floats:
    """Return the mean logit of everybody of the areas less France's, by draw, deviations apart."""
    mask = frame.mask(fit.indicator.universe)
    people = frame.N[:, mask]
    part = fit.anchored()
    area = part.urban[:, geographic_codes(frame, "urban")]
    area = area + part.region[:, geographic_codes(frame, "region")]
    by_profile, by_area = people.sum(axis=0), people.sum(axis=1)
    total = people.sum()
    rate = part.profile[:, mask] @ (by_profile / total) + area @ (by_area / total)
    return np.asarray(rate - logit(fit.national))


def _reordered(fit: Fit, order: npt.NDArray[np.int64], frames: int) -> Fit:
    extra = fit.shift_drawn - fit.shift
    if frames:
        which = np.arange(len(order)) % frames
        extra = (np.bincount(which, extra) / np.bincount(which))[which]
    return replace(
        fit,
        coefficients=fit.coefficients.take(order),
        reading=fit.reading[order],
        national=fit.national[order],
        shift=fit.shift[order],
        shift_drawn=fit.shift[order] + extra,
    )


def shared_noise(R: Mapping[str, Floats], S: int, *, seed: int) -> tuple[Noise, ...]:
    """Return the noise of each of J fits, correlated between fits for one place.

    Parameters
    ----------
    R : mapping of level to ndarray of shape (J, J) or (S, J, J)
        Correlation of deviations of ``metro``, ``commune`` and ``iris``.
    """
    roots = {part: correlation_root(np.asarray(one, dtype=np.float64)) for part, one in R.items()}
    J = next(iter(roots.values())).shape[-1]

    def noise(part: str, own: Floats, j: int) -> Floats:
        n = own.shape[1]
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
