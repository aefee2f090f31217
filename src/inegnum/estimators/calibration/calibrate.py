"""Calibration of survey weights to known totals.

Model
    Weights as close as possible to the initial ones that reproduce every margin (Deville &
    Särndal 1992, doi:10.1080/01621459.1992.10475217).
Assumptions
    Margins describe the population the sample stands for, in the sample's own categories.
Limits
    Calibration removes a bias only as far as the margins explain both response and the variable;
    it cannot invent units for an empty category (that is an error here, by name).
R
    ``survey::calibrate``, ``rake``, ``postStratify``; ``icarus::calibration`` (SAS Calmar);
    ``sampling::calib``, ``gencalib``; ReGenesees ``e.calibrate``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError, nearest
from inegnum.estimators.calibration.encode import (
    Columns,
    as_columns,
    factor,
    given_weights,
    numeric,
    require_same_rows,
)
from inegnum.estimators.calibration.margins import Margin, Margins, as_margins
from inegnum.estimators.calibration.result import Calibration
from inegnum.estimators.calibration.system import Household, System, build_system
from inegnum.numerics.calibration import solve
from inegnum.numerics.distances import (
    Distance,
    Likelihood,
    Linear,
    Logit,
    Neyman,
    Raking,
    Sinh,
    Truncated,
)
from inegnum.numerics.feasibility import tightest_bounds as narrowest

__all__ = [
    "calibrate",
    "generalised_calibration",
    "poststratify_weights",
    "rake",
    "tightest_bounds",
]

Floats = npt.NDArray[np.float64]
Weights = str | npt.ArrayLike | None

_BY_NAME: Final[dict[str, Distance]] = {
    "linear": Linear(),
    "raking": Raking(),
    "sinh": Sinh(),
    "likelihood": Likelihood(),
    "neyman": Neyman(),
}


def calibrate(
    data: Columns,
    margins: Margins,
    *,
    weights: Weights = None,
    distance: str | Distance = "raking",
    q: Weights = None,
    household: str | Household | None = None,
    tolerance: float = 1e-10,
) -> Calibration:
    """Calibrate weights so that they reproduce every margin.

    Parameters
    ----------
    data : DataFrame or dict of arrays
        The sample, one row a unit (or a cell, with the cell's summed weight in `weights`).
    margins : dict, tidy table, Margin or list of Margin
        Totals to reproduce; see `Margin`, and `proportions` for shares.
    weights : str or array of shape (n,), optional
        Initial weights; equal ones that add up to the population when omitted.
    distance : {"raking", "linear", "sinh", "likelihood", "neyman"} or Distance
        Also ``Logit(lower, upper)`` and ``Truncated(lower, upper)``, whose bounds on g may be
        given unit by unit.
    q : str or array of shape (n,), optional
        Unit factors: a larger one lets the weight move more.
    household : str or Household, optional
        Column of the household: its members keep one common weight.
    tolerance : float
        Largest relative miss of a margin.

    Returns
    -------
    Calibration

    Raises
    ------
    CalibrationError
        Margins cannot all be met: which, by how much and, when it can be known, why.
    MarginError, InputError
        Data or margins that cannot be used.

    Examples
    --------
    >>> import inegnum as ing
    >>> sample = {"sex": ["F", "F", "M"], "age": ["young", "old", "old"]}
    >>> fit = calibrate(sample, {"sex": {"F": 52, "M": 48}, "age": {"young": 30, "old": 70}})
    >>> fit.weights.round(6)
    array([30., 22., 48.])
    """
    n = as_columns(data)
    asked = as_margins(margins)
    d = _initial(data, weights, asked, n)
    variant = variant_of(distance, n)
    _require_tolerance(tolerance)
    factors = _factors(data, q, n)
    home = Household(household) if isinstance(household, str) else household
    by_unit = _by_unit(variant)
    if home is not None and by_unit:
        raise InputError("bounds by unit and one weight per household do not go together")
    keyed = np.empty(n)
    system = build_system(
        data, asked, d, factors, home, by_unit=by_unit, weights_name=_named(weights), keyed=keyed
    )
    return _solved(system, d, asked, variant, tolerance, keyed=keyed)


def rake(data: Columns, margins: Margins, *, weights: Weights = None) -> Calibration:
    """Rake weights to counts: `calibrate` with the raking distance.

    Same solution as iterative proportional fitting run to convergence, without its slow tail.

    Examples
    --------
    >>> rake({"sex": ["F", "F", "M"]}, {"sex": {"F": 6, "M": 4}}).weights
    array([3., 3., 4.])
    """
    return calibrate(data, margins, weights=weights, distance=Raking())


def poststratify_weights(data: Columns, counts: Margins, *, weights: Weights = None) -> Calibration:
    """Scale weights to the count of each class: one margin, possibly crossed.

    Examples
    --------
    >>> poststratify_weights({"sex": ["F", "F", "M"]}, {"sex": {"F": 6, "M": 4}}).weights
    array([3., 3., 4.])
    """
    asked = as_margins(counts)
    if len(asked) != 1 or asked[0].value is not None:
        raise InputError(
            "poststratification takes one margin of counts",
            got=", ".join(m.name for m in asked),
            hint="cross the variables in one margin, or use calibrate()",
        )
    return calibrate(data, asked, weights=weights, distance=Linear())


def generalised_calibration(
    data: Columns,
    margins: Margins,
    instruments: Mapping[str, str],
    *,
    weights: Weights = None,
    distance: str | Distance = "raking",
    tolerance: float = 1e-10,
) -> Calibration:
    """Calibrate with ratios that depend on other variables than the margins.

    ``w_k = d_k F(z_k' lam)`` while ``sum w_k x_k = X``: corrects non-response that depends on z,
    known for respondents only (Deville 2000; Kott 2006). R: ``sampling::gencalib``.

    Parameters
    ----------
    data, margins, weights, distance, tolerance
        As in `calibrate`.
    instruments : mapping
        For each margin that is replaced, its name and the numeric variable (for a numeric margin)
        or the categorical variable with as many levels, in order, that drives the ratios.

    Raises
    ------
    CalibrationError
        The instruments cannot steer the margins.
    """
    n = as_columns(data)
    asked = as_margins(margins)
    d = _initial(data, weights, asked, n)
    _require_tolerance(tolerance)
    factors = np.ones(n)
    system = build_system(data, asked, d, factors, None, by_unit=True, weights_name=_named(weights))
    steering = build_system(
        data, _instrumented(data, asked, instruments), d, factors, None, by_unit=True
    )
    return _solved(system, d, asked, variant_of(distance, n), tolerance, steering)


def tightest_bounds(
    data: Columns, margins: Margins, *, weights: Weights = None
) -> tuple[float, float]:
    """Return the narrowest interval of g = w/d in which every margin can be met.

    Examples
    --------
    >>> low, high = tightest_bounds({"sex": ["F", "M"]}, {"sex": {"F": 6, "M": 4}})
    >>> round(low, 6), round(high, 6)
    (0.8, 1.2)
    """
    n = as_columns(data)
    asked = as_margins(margins)
    d = _initial(data, weights, asked, n)
    system = build_system(data, asked, d, None, None, by_unit=False, weights_name=_named(weights))
    return narrowest(system.x, system.d, system.totals)


def _solved(
    system: System,
    d: Floats,
    margins: tuple[Margin, ...],
    distance: Distance,
    tolerance: float,
    steering: System | None = None,
    keyed: Floats | None = None,
) -> Calibration:
    solution = solve(
        system.x,
        system.d,
        system.totals,
        distance=distance,
        names=system.names,
        q=system.q,
        z=None if steering is None else steering.x,
        ridge=system.ridge,
        partition=None if system.cells is None else system.margin,
        tolerance=tolerance,
    )
    weights = system.expand(solution.g, d, keyed)
    z = None if steering is None else steering.x
    return Calibration(weights, d, margins, distance, system, solution, z)


def variant_of(distance: str | Distance, n: int) -> Distance:
    if isinstance(distance, str):
        if distance not in _BY_NAME:
            hint = nearest(distance, [*_BY_NAME, "Logit(lower, upper)", "Truncated(lower, upper)"])
            raise InputError("unknown distance", got=distance, hint=hint)
        return _BY_NAME[distance]
    if not isinstance(distance, Distance):
        raise InputError(
            "not a distance",
            got=repr(distance),
            expected="a name, or one of the distances, for instance Raking() or Logit(0.5, 2)",
        )
    if isinstance(distance, Logit | Truncated):
        for bound in (distance.lower, distance.upper):
            if np.ndim(bound) and np.shape(bound) != (n,):
                raise InputError(
                    "bounds by unit and data differ in length", got=np.shape(bound), expected=(n,)
                )
    return distance


def _by_unit(distance: Distance) -> bool:
    if not isinstance(distance, Logit | Truncated):
        return False
    return bool(np.ndim(distance.lower) or np.ndim(distance.upper))


def _initial(data: Columns, weights: Weights, margins: tuple[Margin, ...], n: int) -> Floats:
    """Return the initial weights: those given, or equal ones that add up to the population.

    `build_system` checks their values.
    """
    d = given_weights(data, weights, n)
    if d is not None:
        return d
    counts = [m.sum() for m in margins if m.value is None and m.per == "unit"]
    if not counts or counts[0] <= 0:
        raise InputError(
            "initial weights are needed: no margin counts the population",
            where="weights",
            hint="give weights=, or add a margin of counts",
        )
    return np.broadcast_to(np.float64(counts[0] / n), (n,))


def _require_tolerance(tolerance: float) -> None:
    if not 0 < tolerance <= 1e-2:
        raise InputError(
            "a tolerance is a small positive share of each total",
            where="tolerance",
            got=tolerance,
            expected="above 0, at most 0.01",
        )


def _named(weights: Weights) -> str:
    return weights if isinstance(weights, str) else "weights"


def _factors(data: Columns, q: Weights, n: int) -> Floats | None:
    if q is None:
        return None
    require_same_rows(data, q, "q")
    factors = numeric(data, q) if isinstance(q, str) else np.asarray(q, dtype=np.float64)
    if factors.shape != (n,) or not np.isfinite(factors).all() or factors.min() <= 0:
        raise InputError(
            "unit factors must be positive, one a row",
            where=q if isinstance(q, str) else "q",
            got=f"shape {factors.shape}, smallest {factors.min(initial=np.inf):g}",
        )
    return factors


def _instrumented(
    data: Columns, margins: tuple[Margin, ...], instruments: Mapping[str, str]
) -> list[Margin]:
    """Return the margins with their variables replaced by instruments; totals do not matter."""
    unknown = [name for name in instruments if name not in [m.name for m in margins]]
    if unknown:
        raise InputError(
            "an instrument replaces no margin",
            got=", ".join(unknown),
            hint=nearest(unknown[0], [m.name for m in margins]),
        )
    out = []
    for margin in margins:
        z = instruments.get(margin.name)
        if z is None:
            out.append(margin)
        elif not margin.variables:
            out.append(Margin((), 0.0, value=z))
        else:
            out.append(_instrumented_counts(data, margin, z))
    return out


def _instrumented_counts(data: Columns, margin: Margin, z: str) -> Margin:
    _, levels = factor(data, z)
    if len(levels) != len(margin.by_level):
        raise InputError(
            "an instrument needs as many levels as its margin",
            where=f"{z} for {margin.name}",
            got=len(levels),
            expected=len(margin.by_level),
        )
    totals: dict[Any, float] = dict.fromkeys(levels, 0.0)
    return Margin(z, totals)
