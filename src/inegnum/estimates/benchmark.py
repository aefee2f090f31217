"""Benchmarking: areas that add up to a total known from elsewhere.

Given estimates theta_i, shares w_i that sum to one and a target T:

    logit        expit(logit theta_i + delta), one delta for all: stays between 0 and 1 (default)
    ratio        theta_i T / sum w theta
    difference   theta_i + (T - sum w theta)
    mse          theta_i + mse_i / (sum w mse) (T - sum w theta): uncertain areas move more
    soft         the logit shift towards a compromise between the areas' own sum and the target,
                 each weighted by its variance

Draws are benchmarked one by one, each to its own draw of the target when the target has an error.
Points keep their MSE and add the squared adjustment (Datta et al. 2011).

Assumptions
    The target is about the same universe, year and question. Its source is not evidence of the fit.

Limits
    A benchmark moves the level, never the differences it should have explained: the shift is
    reported in logits, with a warning above 0.2. It can hide a model that fails.

References
----------
    Pfeffermann (2013) doi:10.1214/12-STS395; Datta, Ghosh, Steorts and Maples (2011)
    doi:10.1007/s11749-010-0218-y; Zhang and Bryant (2020) doi:10.1111/insr.12367; Rosenman et al.
    (2023) doi:10.1017/pan.2022.36 (logit shift); Wang, Fuller and Qu (2008), Survey Methodology 34.

Must match R ``emdi::benchmark`` (its "raking" is the difference).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from inegnum.draws import Draws
from inegnum.errors import BenchmarkError, InegnumWarning, InputError, nearest
from inegnum.estimators.error_law import ErrorLaw, from_rate_scale
from inegnum.estimators.result import AreaEstimates, area_table
from inegnum.numerics.poststratify import shift_to
from inegnum.provenance import Source, require_role

__all__ = [
    "SHIFT_LIMIT",
    "Adjustment",
    "BenchmarkWarning",
    "Shift",
    "Target",
    "benchmark_draws",
    "benchmark_estimates",
]

Floats = npt.NDArray[np.float64]
Adjustment = Literal["logit", "ratio", "difference", "mse", "soft"]
SHIFT_LIMIT: Final = 0.2


class BenchmarkWarning(InegnumWarning):
    """A benchmark moves the estimates more than a level correction should."""


@dataclass(frozen=True, slots=True)
class Target:
    """A total known from elsewhere.

    Attributes
    ----------
    value : float
        Rate (or mean) of the whole, on the scale of the estimates.
    se : float
        Its own standard error; needed by the soft benchmark, drawn by `benchmark_draws`.
    source : Source, optional
        Of role ``benchmark``.
    """

    value: float
    se: float = 0.0
    source: Source | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.value) or not np.isfinite(self.se) or self.se < 0:
            raise InputError(
                "a benchmark target needs a finite value and a standard error of at least zero",
                got=f"value {self.value}, se {self.se}",
            )


@dataclass(frozen=True, slots=True)
class Shift:
    """What a benchmark did.

    Attributes
    ----------
    before, after, target : float
        The whole, before and after, and what it was asked to be.
    logit : float
        ``logit(after) - logit(before)``, or missing when the estimates are not rates.
    method : str
    """

    before: float
    after: float
    target: float
    logit: float
    method: Adjustment


def _shares(weights: Floats, size: int) -> Floats:
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (size,) or not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
        raise InputError(
            "a benchmark needs one finite, non-negative weight an area",
            where="weights",
            got=f"shape {w.shape}",
            expected=f"shape ({size},), for instance persons of the universe",
        )
    return np.asarray(w / w.sum())


def _allowed(target: Target, fitted_on: Iterable[Source], method: str) -> None:
    """Refuse an unknown method, a source kept for validation, and evidence used twice."""
    if method not in get_args(Adjustment):
        raise InputError(
            "an unknown benchmark",
            where="method",
            got=method,
            hint=nearest(method, get_args(Adjustment)),
        )
    if method == "soft" and target.se == 0:
        raise InputError(
            "a soft benchmark needs the standard error of its target",
            where="Target.se",
            hint="without one the target is exact: use method='logit'",
        )
    if target.source is None:
        return
    require_role([target.source], "benchmark", where="benchmark target")
    same = [
        s
        for s in fitted_on
        if s.name == target.source.name or (s.sha256 and s.sha256 == target.source.sha256)
    ]
    if same:
        raise BenchmarkError(
            "the respondents of the target already feed the likelihood",
            where=target.source.name,
            hint="they would count twice and the interval be too narrow: fit again without them, "
            "or drop the benchmark",
        )


def _is_rate(values: Floats) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


def _as_rates(values: Floats, target: Floats, method: str) -> None:
    if not _is_rate(values) or ((target <= 0) | (target >= 1)).any():
        raise BenchmarkError(
            f"the {method} benchmark is for rates",
            got=f"estimates from {values.min():.4g} to {values.max():.4g}, target "
            f"{float(np.mean(target)):.4g}",
            expected="estimates between 0 and 1, a target strictly between",
            hint="use ratio, difference or mse for other quantities",
        )


def _moved(values: Floats, w: Floats, target: Floats, method: str, mse: Floats | None) -> Floats:
    """Adjust rows of `values`, shape (S, A), to the targets, shape (S,)."""
    if method in ("logit", "soft"):
        _as_rates(values, target, method)
        with np.errstate(divide="ignore"):
            eta = logit(values)
        one = np.zeros((len(values), 1))
        delta = shift_to(one, np.clip(eta, -700, 700), w[:, None], target=target)
        return np.asarray(expit(eta + delta[:, None]))
    whole = values @ w
    if method == "ratio":
        if (whole == 0).any():
            raise BenchmarkError("a ratio benchmark needs a whole that is not zero")
        moved = values * (target / whole)[:, None]
    elif method == "difference":
        moved = values + (target - whole)[:, None]
    else:
        if mse is None or not np.isfinite(mse).all() or not float(w @ mse) > 0:
            raise InputError(
                "the mse benchmark needs the mean squared error of every area",
                hint="fit again with an MSE, or use method='logit'",
            )
        moved = values + (target - whole)[:, None] * (mse / float(w @ mse))
    if _is_rate(values) and not _is_rate(moved):
        outside = int(((moved < 0) | (moved > 1)).any(axis=0).sum())
        raise BenchmarkError(
            f"the {method} benchmark pushes rates outside 0-1",
            got=f"{outside} areas from {moved.min():.4g} to {moved.max():.4g}",
            hint="use method='logit'",
        )
    return moved


def _report(
    before: float, after: float, target: Target, method: Adjustment, *, rate: bool
) -> Shift:
    inside = rate and 0 < before < 1 and 0 < after < 1
    moved = float(logit(after) - logit(before)) if inside else float("nan")
    if abs(moved) > SHIFT_LIMIT:
        warnings.warn(
            f"the benchmark moves the whole from {before:.3f} to {after:.3f}, {moved:+.2f} logit "
            f"(limit {SHIFT_LIMIT}): look for a difference of universe, question or mode first",
            BenchmarkWarning,
            stacklevel=3,
        )
    return Shift(before, after, target.value, moved, method)


def _compromise(whole: Floats | float, variance: float, aim: Floats | float, se: float) -> Floats:
    """Average the areas' own whole and the target with inverse variances as weights."""
    own, other = 1 / variance, 1 / se**2
    return np.asarray((own * np.asarray(whole) + other * np.asarray(aim)) / (own + other))


def benchmark_draws(
    draws: Draws,
    weights: Floats,
    target: Target,
    *,
    method: Adjustment = "logit",
    fitted_on: Iterable[Source] = (),
    seed: int | np.random.Generator = 0,
) -> tuple[Draws, Shift]:
    """Benchmark every draw.

    Parameters
    ----------
    draws : Draws
        Joint draws of A areas that make up the whole.
    weights : ndarray of shape (A,)
        Persons of the universe.
    target : Target
        With a standard error, each draw is brought to its own draw of the target.
    method : {"logit", "ratio", "difference", "mse", "soft"}
    fitted_on : iterable of Source
        Evidence of the fit, which the target must not repeat.
    seed : int or Generator
        Draws the target.

    Returns
    -------
    draws : Draws
    shift : Shift
        Of the points.

    Raises
    ------
    BenchmarkError
        The target repeats the evidence, or rates would leave 0-1.
    IsolationError
        The target is kept for validation.

    Examples
    --------
    >>> import pandas as pd
    >>> raw = Draws(np.array([[0.6, 0.8], [0.5, 0.7]]), pd.DataFrame({"geo": ["a", "b"]}))
    >>> moved, shift = benchmark_draws(raw, np.array([1.0, 1.0]), Target(0.68))
    >>> (moved.values @ [0.5, 0.5]).round(9).tolist()
    [0.68, 0.68]
    """
    _allowed(target, fitted_on, method)
    w = _shares(weights, draws.values.shape[1])
    rng = np.random.default_rng(seed)
    whole = draws.values @ w
    aim = target.value + target.se * rng.standard_normal(len(draws))
    point_aim = np.array([target.value])
    if method == "soft":
        variance = float(whole.var(ddof=1)) if len(whole) > 1 else 0.0
        if variance == 0:
            raise BenchmarkError("the whole does not vary between draws: nothing to compromise on")
        aim = _compromise(whole, variance, aim, target.se)
        point_aim = np.atleast_1d(
            _compromise(float(draws.point @ w), variance, target.value, target.se)
        )
    mse = draws.se() ** 2 if method == "mse" else None
    values = _moved(draws.values, w, aim, method, mse)
    point = _moved(draws.point[None], w, point_aim, method, mse)[0]
    result = Draws(values, draws.items, point, draws.kind, draws.scale)
    shift = _report(
        float(draws.point @ w), float(point @ w), target, method, rate=_is_rate(draws.point)
    )
    return result, shift


def _whole_variance(law: ErrorLaw | None, est: Floats, w: Floats) -> float:
    if law is None:
        raise InputError(
            "a soft benchmark needs the joint error of the areas",
            hint="fit again with an MSE",
        )
    values = law.sample(2000, np.random.default_rng(0)) @ w
    return float(np.mean((values - est @ w) ** 2))


def benchmark_estimates(
    estimates: AreaEstimates,
    weights: Floats,
    target: Target,
    *,
    method: Adjustment = "logit",
    fitted_on: Iterable[Source] = (),
) -> tuple[AreaEstimates, Shift]:
    """Benchmark the points of a set of estimates.

    Parameters
    ----------
    estimates : AreaEstimates
        Every area of the whole.
    weights : ndarray of shape (m,)
        Persons of the universe, in the order of the table.
    target : Target
    method : {"logit", "ratio", "difference", "mse", "soft"}
    fitted_on : iterable of Source

    Returns
    -------
    estimates : AreaEstimates
        MSE increased by the squared adjustment; the shift is written in `notes`.
    shift : Shift

    Raises
    ------
    BenchmarkError, IsolationError
        As `benchmark_draws`.
    """
    _allowed(target, fitted_on, method)
    table, law = estimates.table, estimates.law
    est = table["est"].to_numpy(np.float64)
    mse = table["mse"].to_numpy(np.float64)
    w = _shares(weights, len(est))
    aim = np.array([target.value])
    if method == "soft":
        aim = np.atleast_1d(
            _compromise(float(est @ w), _whole_variance(law, est, w), target.value, target.se)
        )
    moved = _moved(est[None], w, aim, method, mse)[0]
    shift = _report(float(est @ w), float(moved @ w), target, method, rate=_is_rate(est))
    if law is not None:
        # On the model's scale, so that bounds keep to the range of the link.
        step = from_rate_scale(moved, law.link) - from_rate_scale(est, law.link)
        law = replace(law, center=law.center + step, mse=law.mse + step**2)
    kept = table[["direct", "direct_se", "synthetic", "gamma", "basis", "n"]]
    columns = {name: kept[name].to_numpy() for name in kept.columns}
    new = area_table(
        table["geo"].to_numpy(object), moved, mse=mse + (moved - est) ** 2, law=law, columns=columns
    )
    amount = f", {shift.logit:+.3f} logit" if np.isfinite(shift.logit) else ""
    note = (
        f"benchmarked ({method}): the whole moves from {shift.before:.4g} to {shift.after:.4g}"
        + amount
    )
    result = replace(estimates, table=new, law=law, notes=(*estimates.notes, note))
    return result, shift
