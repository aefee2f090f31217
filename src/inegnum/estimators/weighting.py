"""Raking survey cells to a frame: the rate of a territory by weights alone.

Model
    Respondents stand for the people of the frame who share their age, sex, diploma and occupation;
    weights of the cells are raked to the frame's margins (Deville & Särndal 1992,
    doi:10.1080/01621459.1992.10475217).
Assumptions
    Given the margins, people of the territory answer like people elsewhere: nothing local but its
    composition enters. The variance is that of sampling with replacement within waves.
Limits
    Sampling error only. The interval says nothing of transport, mode or frame error: the
    multilevel model carries those.
R
    ``survey::calibrate`` then ``svymean`` on respondents; the cell sums give the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.codebook import profiles
from inegnum.data.types import Frame, SurveyCells
from inegnum.errors import FrameError, InputError, UniverseError
from inegnum.estimators.calibration import Calibration, Distance, Margin, calibrate
from inegnum.estimators.calibration.diagnostics import Diagnostics
from inegnum.numerics.proportions import Method, proportion_interval

__all__ = ["RakedRate", "frame_margins", "raked_rate"]

Floats = npt.NDArray[np.float64]

DEFAULT_AXES = ("age", "sex", "diploma", "occupation")
# The survey has one class of minors where the frame keeps two, so that universes add up.
_MINORS = {"12-14": "12-17", "15-17": "12-17"}


@dataclass(frozen=True, slots=True)
class RakedRate:
    """A rate estimated by raking.

    Attributes
    ----------
    est, se : float
        Rate and standard error (calibration residuals).
    lower, upper : float
        Interval on the logit scale.
    prob : float
        Its mass.
    n : int
        Respondents.
    n_eff : float
        Kish's effective size of the raked weights.
    calibration : Calibration
        Weights of the cells and their state.
    """

    est: float
    se: float
    lower: float
    upper: float
    prob: float
    n: int
    n_eff: float
    calibration: Calibration

    @property
    def margins(self) -> pd.DataFrame:
        """One row a total: asked, before, after, miss, share of the distance."""
        return self.calibration.table()

    def diagnostics(self) -> Diagnostics:
        """Return how far the cells' weights moved."""
        return self.calibration.diagnostics()


def raked_rate(
    cells: SurveyCells,
    frame: Frame,
    *,
    axes: Sequence[str | tuple[str, ...]] = DEFAULT_AXES,
    distance: str | Distance = "raking",
    prob: float = 0.95,
) -> RakedRate:
    """Estimate the rate of the frame's territory by raking survey cells to its margins.

    Parameters
    ----------
    cells : SurveyCells
        Evidence, restricted beforehand to the waves and respondents to use.
    frame : Frame
        Areas that make up the territory; their persons are added up.
    axes : sequence of str or tuple of str
        Margins to reproduce, among age, sex, diploma and occupation; a tuple crosses them.
    distance : str or Distance
        See `calibrate`.
    prob : float
        Mass of the interval.

    Returns
    -------
    RakedRate

    Raises
    ------
    CalibrationError
        A class of the frame has no respondent, or margins cannot be met.
    UniverseError
        The survey's classes do not separate the indicator's universe.

    Examples
    --------
    >>> import inegnum as ing
    >>> survey = ing.load_survey("smartphone").waves(2022)
    >>> frame = ing.build_frame(ing.load_areas(epci="243300316"), year=2022)
    >>> raked = ing.raked_rate(survey, frame)
    >>> int(raked.n), bool(raked.lower < raked.est < raked.upper)
    (4184, True)
    """
    if not 0 < prob < 1:
        raise InputError("an interval needs a mass between 0 and 1", where="prob", got=prob)
    table = cells.table
    universe = cells.indicator.universe
    if universe == "15+" and (table["age"] == "12-17").any():
        raise UniverseError(
            "the survey's minors are 12 to 17: they cannot be cut at 15",
            where=cells.indicator.code,
            got=universe,
            expected="12+ or 18+",
        )
    margins = frame_margins(frame, axes, universe)
    fit = calibrate(table, margins, weights="w", distance=distance)
    sums = {name: table[name].to_numpy(dtype=np.float64) for name in ("n", "w", "wy", "w2", "w2y")}
    g = fit.g
    persons = float(g @ sums["w"])
    est = float(g @ sums["wy"]) / persons
    variance = cell_variance(fit, sums, est, table["wave"].to_numpy())
    se = float(np.sqrt(variance))
    n = int(sums["n"].sum())
    n_eff = persons**2 / float(g**2 @ sums["w2"])
    lower, upper = _interval(est, se, n_eff, prob)
    return RakedRate(est, se, lower, upper, prob, n, n_eff, fit)


def frame_margins(
    frame: Frame, axes: Sequence[str | tuple[str, ...]], universe: str
) -> tuple[Margin, ...]:
    """Return the margins of a frame, all areas together, in the survey's classes."""
    levels = frame.areas["level"].unique()
    if len(levels) > 1:
        raise FrameError(
            "areas of several levels would count people twice",
            got=", ".join(map(str, levels)),
            hint="select the areas of one level",
        )
    people = profiles().assign(N=frame.N.sum(axis=0))[frame.mask(universe)]
    people = people.replace({"age": _MINORS})
    out = []
    for axis in axes:
        by = (axis,) if isinstance(axis, str) else tuple(axis)
        unknown = [a for a in by if a not in ("age", "sex", "diploma", "occupation")]
        if unknown:
            raise InputError(
                "not an axis of the frame",
                got=", ".join(unknown),
                expected="age, sex, diploma, occupation",
            )
        counts = people.groupby(list(by), sort=False)["N"].sum()
        out.append(Margin(by, counts[counts > 0]))
    return tuple(out)


def cell_variance(
    fit: Calibration, sums: dict[str, Floats], est: float, strata: npt.NDArray[np.generic]
) -> float:
    """Return the linearised variance of a raked rate, exactly, from the sums of its cells.

    Respondents of a cell share their auxiliary variables, hence two residuals only: ``e1`` of
    those with the characteristic and ``e0`` of the others. With ``u_k = g w_k e_k``,

        sum u   = g (e1 wy  + e0 (w  - wy))
        sum u^2 = g^2 (e1^2 w2y + e0^2 (w2 - w2y))

    cell by cell, and the variance within a stratum is ``n/(n-1) (sum u^2 - (sum u)^2 / n)``.
    """
    g, w, wy = fit.g, sums["w"], sums["wy"]
    persons = float(g @ w)
    # The residual of the cell mean of z = (y - est)/persons differs from that of a respondent by
    # the respondent's own deviation from the mean, which the auxiliary variables cannot see.
    rate = np.divide(wy, w, out=np.zeros_like(w), where=w > 0)
    of_mean = fit.residuals((rate - est) / persons)
    e1 = of_mean + (1 - rate) / persons
    e0 = of_mean - rate / persons
    total = g * (e1 * wy + e0 * (w - wy))
    square = g**2 * (e1**2 * sums["w2y"] + e0**2 * (sums["w2"] - sums["w2y"]))
    _, h = np.unique(strata, return_inverse=True)
    n = np.bincount(h, sums["n"])
    if np.any(n < 2):
        raise InputError("a wave has a single respondent", where="cells")
    within = np.bincount(h, square) - np.bincount(h, total) ** 2 / n
    return float(np.sum(n / (n - 1) * np.maximum(within, 0.0)))


def _interval(est: float, se: float, n_eff: float, prob: float) -> tuple[float, float]:
    """Return a logit interval; where nobody (or everybody) qualifies, the exact one."""
    method: Method = "logit" if 0 < est < 1 and se > 0 else "beta"
    p = np.array([min(max(est, 0.0), 1.0)])
    # With g allowed to be negative (linear distance) a rate may leave [0, 1]: it is not hidden.
    low, high = proportion_interval(p, [se], [n_eff], df=np.inf, method=method, prob=prob)
    return float(low[0]), float(high[0])
