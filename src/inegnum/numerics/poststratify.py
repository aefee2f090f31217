"""Poststratification: rates of areas from draws of a logit that adds a profile and an area part.

Model
    theta_sa = sum_c N_ac s(b_sc + a_sa) / sum_c N_ac, with s the logistic function; exponentials
    factorise, so 1 / (1 + exp(-b) exp(-a)) costs one multiplication and one division a cell.
Assumptions
    No effect crosses areas and profiles.
Limits
    Chunked by draws: cells x draws never stand in memory. Large problems use a compiled kernel,
    loaded on first use; small ones stay in numpy, which needs no compilation.

References
----------
    Gelman & Little 1997, Survey Methodology 23(2); Park, Gelman & Bafumi 2004,
    doi:10.1093/pan/mph024.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, InputError

__all__ = ["poststratify", "poststratify_groups", "recentring", "shift_to"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Below this many cell-draws, numpy is done before the compiler has started.
COMPILED_FROM: Final = 2_000_000
_CHUNK: Final = 128  # draws whose exponentials stand in memory at once
_TILE: Final = 32_768  # cells of a tile of areas: a quarter of a megabyte, within the L2 cache


def poststratify(
    profile: Floats, area: Floats, N: Floats, *, frame: Ints | None = None
) -> tuple[Floats, Floats]:
    """Return persons with the characteristic and persons, by draw and area.

    Parameters
    ----------
    profile : ndarray of shape (S, K)
        Logit of each profile, area part left out.
    area : ndarray of shape (S, A)
        Logit part of each area.
    N : ndarray of shape (A, K), or (F, A, K)
        Persons; several frames when the frame itself is drawn.
    frame : ndarray of shape (S,), optional
        Which of the F frames each draw uses.

    Returns
    -------
    counts, persons : ndarray of shape (S, A)

    Examples
    --------
    >>> counts, persons = poststratify(np.zeros((1, 2)), np.zeros((1, 1)), np.array([[3.0, 1.0]]))
    >>> float(counts[0, 0] / persons[0, 0])
    0.5
    """
    frames = _frames(N)
    S, K = profile.shape
    if area.shape[0] != S or frames.shape[1:] != (area.shape[1], K):
        raise InputError(
            "draws and frame do not match",
            got=f"profile {profile.shape}, area {area.shape}, N {N.shape}",
            expected="(S, K), (S, A), (A, K)",
        )
    which = np.zeros(S, dtype=np.int64) if frame is None else frame
    if frame is None and len(frames) > 1:
        raise InputError("several frames need to know which draw uses which", where="frame")
    counts = np.empty(area.shape)
    for rows, N_f in _chunks(which, frames):
        _sum(_odds(profile[rows]), _odds(area[rows]), N_f, rows, counts)
    return counts, frames.sum(axis=2)[which]


def _frames(N: Floats) -> Floats:
    """Return frames as (F, A, K), profiles of an area side by side in memory."""
    return np.ascontiguousarray(N[None] if N.ndim == 2 else N)


def _chunks(which: Ints, frames: Floats) -> Iterator[tuple[Ints, Floats]]:
    """Return draws of one frame, a chunk at a time, and that frame."""
    for f in np.unique(which):
        at = np.flatnonzero(which == f)
        for rows in np.array_split(at, max(1, len(at) // _CHUNK)):
            yield rows, frames[f]


def _odds(logits: Floats) -> Floats:
    """Return the odds of "no".

    Beyond 80 logits a rate is 0 or 1 to the last digit; the product of four denominators, each at
    most 1 + e^160, then stays finite. Columns chosen out of a matrix come back one after the other
    in memory, where the compiled loop is five times slower: rows first, whatever came in.
    """
    odds = np.clip(logits, -80, 80, order="C")
    np.negative(odds, out=odds)
    return np.asarray(np.exp(odds, out=odds))


def _sum(odds: Floats, scale: Floats, N: Floats, rows: Ints, counts: Floats) -> None:
    """Write the counts of some draws: `odds` of their profiles, `scale` of their areas."""
    if odds.size * scale.shape[1] * (len(counts) / len(rows)) < COMPILED_FROM:
        counts[rows] = _tile(odds, scale, N)
    else:
        _kernel()(odds, scale, N, rows, counts)


def _tile(odds: Floats, scale: Floats, N: Floats) -> Floats:
    out = np.empty(scale.shape)
    work = np.empty_like(odds)
    for a in range(scale.shape[1]):
        np.multiply(odds, scale[:, a, None], out=work)
        work += 1.0
        np.reciprocal(work, out=work)
        out[:, a] = work @ N[a]
    return out


@cache
def _kernel() -> Callable[[Floats, Floats, Floats, Ints, Floats], None]:
    """Compile the inner loop, once a process (numba caches it on disk).

    Division is what it waits for: four cells are brought to one denominator and share one. Areas
    are taken in tiles that stay in cache while every draw passes over them, so that a large frame
    is read from memory once a chunk of draws.
    """
    import numba

    # numpy's error model: Python's tests each divisor for zero, and no loop with a test in it is
    # vectorised (four times slower). Sums may be reordered; infinities and NaN stay what they are.
    @numba.njit(  # type: ignore[untyped-decorator]
        cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy"
    )
    def kernel(odds: Floats, scale: Floats, N: Floats, rows: Ints, out: Floats) -> None:
        S, K = odds.shape
        A = N.shape[0]
        q = K // 4
        tile = max(1, _TILE // max(K, 1))
        for first in range(0, A, tile):
            for s in range(S):
                o = odds[s]
                o0, o1, o2, o3 = o[:q], o[q : 2 * q], o[2 * q : 3 * q], o[3 * q : 4 * q]
                for a in range(first, min(A, first + tile)):
                    x, n, total = scale[s, a], N[a], 0.0
                    n0, n1, n2, n3 = n[:q], n[q : 2 * q], n[2 * q : 3 * q], n[3 * q : 4 * q]
                    for c in range(q):
                        d0, d1 = 1.0 + o0[c] * x, 1.0 + o1[c] * x
                        d2, d3 = 1.0 + o2[c] * x, 1.0 + o3[c] * x
                        left, right = d0 * d1, d2 * d3
                        yes = (n0[c] * d1 + n1[c] * d0) * right + (n2[c] * d3 + n3[c] * d2) * left
                        total += yes / (left * right)
                    for c in range(4 * q, K):
                        total += n[c] / (1.0 + o[c] * x)
                    out[rows[s], a] = total

    return kernel  # type: ignore[no-any-return]


def shift_to(
    profile: Floats,
    area: Floats,
    N: Floats,
    *,
    target: Floats,
    frame: Ints | None = None,
    start: Floats | None = None,
    tolerance: float = 1e-10,
) -> Floats:
    """Return, for each draw, the logit shift that makes the whole frame reproduce a rate.

    Parameters
    ----------
    profile, area, N, frame
        As for `poststratify`.
    target : ndarray of shape (S,)
        Rate to reproduce.
    start : ndarray of shape (S,), optional
        Shifts to begin from, zero unless given.

    Returns
    -------
    ndarray of shape (S,)

    Raises
    ------
    ConvergenceError
        The secant iteration did not meet `tolerance` (on the logit of the rate).
    """
    goal = np.log(target) - np.log1p(-target)
    frames = _frames(N)
    which = np.zeros(len(goal), dtype=np.int64) if frame is None else frame
    odds, total = _odds(profile), frames.sum(axis=(1, 2))[which]

    def gap_at(shift: Floats) -> Floats:
        counts, scale = np.empty(area.shape), _odds(area + shift[:, None])
        for rows, N_f in _chunks(which, frames):
            _sum(odds[rows], scale[rows], N_f, rows, counts)
        yes = counts.sum(axis=1)
        return np.asarray(goal - np.log(yes) + np.log(total - yes))

    low = np.zeros_like(goal) if start is None else start
    low_gap = gap_at(low)
    high = low + low_gap
    for _ in range(30):
        gap = gap_at(high)
        if np.abs(gap).max() <= tolerance:
            return high
        change = low_gap - gap
        # A draw already met leaves a change of nothing: it stays where it is.
        slope = np.divide(high - low, change, out=np.zeros_like(change), where=change != 0)
        low, low_gap, high = high, gap, high + gap * slope
    raise ConvergenceError(
        "no logit shift reproduces the target",
        got=f"a gap of {np.abs(gap).max():.2g} on the logit",
        expected=f"at most {tolerance:g}",
        hint="check that the target is a rate strictly between 0 and 1",
    )


def recentring(logits: Floats, variance: Floats) -> Floats:
    """Return what is added to a marginal logit before a normal deviation is.

    A model fitted without area deviations gives rates averaged over areas. A deviation of this
    variance would pull every rate towards one half (Jensen); v/2 tanh(eta/2) cancels the second
    order of that pull, and shrinking eta as a marginal logit shrinks (Zeger, Liang & Albert 1988)
    most of the fourth: within 0.02 of a point up to an sd of 0.6.

    Parameters
    ----------
    logits : ndarray of shape (S, K)
    variance : ndarray of shape (S,) or (S, K)

    References
    ----------
    Zeger, Liang & Albert 1988, doi:10.2307/2531734.
    """
    v = variance[:, None] if variance.ndim == 1 else variance
    return np.asarray(0.5 * v * np.tanh(0.5 * logits / np.sqrt(1 + 0.35 * v)))


def poststratify_groups(
    profile: Floats, area: Floats, N: Floats, members: Floats, *, frame: Ints | None = None
) -> tuple[Floats, Floats]:
    """Return what `poststratify` does for groups of profiles within each area.

    Parameters
    ----------
    profile, area, N, frame
        As for `poststratify`.
    members : ndarray of shape (K, G)
        1 where a profile belongs to a group, else 0; groups may overlap.

    Returns
    -------
    counts, persons : ndarray of shape (S, A, G)

    Examples
    --------
    >>> logits, N = np.array([[0.0, 100.0]]), np.array([[3.0, 1.0]])
    >>> counts, persons = poststratify_groups(logits, np.zeros((1, 1)), N, np.eye(2))
    >>> (counts / persons).tolist()
    [[[0.5, 1.0]]]
    """
    frames = N[None] if N.ndim == 2 else N
    which = np.zeros(len(profile), dtype=np.int64) if frame is None else frame
    counts = np.empty((*area.shape, members.shape[1]))
    for f in np.unique(which):
        rows = np.flatnonzero(which == f)
        odds = np.exp(-np.clip(profile[rows], -80, 80))
        scale = np.exp(-np.clip(area[rows], -80, 80))
        for a in range(area.shape[1]):
            rates = 1.0 / (1.0 + odds * scale[:, a, None])
            counts[rows, a] = rates @ (frames[f, a][:, None] * members)
    return counts, (frames @ members)[which]
