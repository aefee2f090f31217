"""Transformations of a skewed response, and the choice of their parameter.

A transformation T maps the response to a scale where the nested error regression is plausible; its
parameter maximises the likelihood of the transformed response with the Jacobian of T. Under REML
the Jacobian counts (n - p)/n times, which is the likelihood of the transformed response divided by
the geometric mean of its slope: only so is the choice free of the currency of the response.

    none       y
    log        log(y + shift)
    box-cox    ((y + shift)^lambda - 1) / lambda
    dual       ((y + shift)^lambda - (y + shift)^-lambda) / (2 lambda)
    log-shift  log(y + lambda)

Box-Cox is searched between 0 (the logarithm) and 2: with a negative parameter the mean of the
response does not exist. A response that is not positive is refused with the shift that would do; it
is never shifted in silence.

References
----------
Box and Cox (1964), doi:10.1111/j.2517-6161.1964.tb00553.x; Yang (2006),
doi:10.1016/j.econlet.2006.01.011 (dual); Gurka, Edwards, Muller and Kupper (2006),
doi:10.1111/j.1467-985X.2005.00391.x (REML); Rojas-Perilla, Pannier, Schmid and Tzavidis (2020),
doi:10.1111/rssa.12488.

Matches R ``emdi::ebp`` (``transformation = "no", "log", "box.cox", "dual", "log.shift"``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, InputError, nearest
from inegnum.numerics.bhf import Design, Method, fit_bhf, responses

__all__ = ["Transformation", "choose_lambda", "profile_loglik"]

Floats = npt.NDArray[np.float64]
Name = Literal["none", "log", "box-cox", "dual", "log-shift"]
# below this the power families are their logarithmic limit to 1e-8 relative
_TINY: Final = 1e-9
_GRID: Final = 25
_ZOOM: Final = 13
# Reach of the last parabolas, as shares of the range: their error is of the order of its square,
# and below 1e-5 the differences of log-likelihoods drown in rounding.
_POLISH: Final = (3e-3, 2e-4, 2e-5)


@dataclass(frozen=True, slots=True)
class Transformation:
    """A family; its parameter is passed to each method.

    Attributes
    ----------
    name : {"none", "log", "box-cox", "dual", "log-shift"}
        Family.
    shift : float
        Added to the response before a log, Box-Cox or dual transformation.
    lam : float, optional
        Fixed parameter; estimated when missing and the family has one.
    """

    name: Name
    shift: float = 0.0
    lam: float | None = None

    def __post_init__(self) -> None:
        if self.name not in get_args(Name):
            raise InputError(
                "unknown transformation",
                got=self.name,
                expected=", ".join(get_args(Name)),
                hint=nearest(str(self.name), get_args(Name)),
            )
        if self.shift != 0 and self.name in ("none", "log-shift"):
            raise InputError(f"transformation {self.name} takes no shift", got=self.shift)
        if self.lam is not None and self.name in ("none", "log"):
            raise InputError(f"transformation {self.name} has no parameter", got=self.lam)

    @property
    def estimated(self) -> bool:
        """Return whether a parameter is to be chosen from the data."""
        return self.lam is None and self.name in ("box-cox", "dual", "log-shift")

    def require_domain(self, y: Floats) -> None:
        """Refuse responses outside the domain of the family."""
        least = float(y.min()) + self.shift
        if self.name == "none" or (self.name == "log-shift" and self.lam is None):
            return
        if self.name == "log-shift" and self.lam is not None:
            least += self.lam
        if least <= 0:
            raise InputError(
                f"transformation {self.name} needs a positive response",
                where=f"row {int(np.argmin(y))} of the sample",
                got=float(y.min()),
                hint=f"pass Transformation({self.name!r}, shift={1 - float(y.min()):g}) or choose "
                "'none' or 'log-shift'",
            )

    def forward(self, y: Floats, lam: float) -> Floats:
        """Return T(y)."""
        if self.name == "none":
            return y
        log = np.log(y + (lam if self.name == "log-shift" else self.shift))
        if self.name in ("log", "log-shift") or abs(lam) < _TINY:
            return log
        return (np.expm1(lam * log) if self.name == "box-cox" else np.sinh(lam * log)) / lam

    def log_slope(self, y: Floats, lam: float) -> Floats:
        """Return the logarithm of dT/dy."""
        if self.name == "none":
            return np.zeros_like(y)
        log = np.log(y + (lam if self.name == "log-shift" else self.shift))
        if self.name == "box-cox":
            return np.asarray((lam - 1) * log)
        if self.name == "dual":
            return np.asarray(np.log(np.cosh(lam * log)) - log)
        return -log

    def backward(self, t: Floats, lam: float) -> Floats:
        """Return the response of a transformed value.

        Values that Box-Cox cannot reach (``lambda t + 1 <= 0`` with lambda > 0) are its least
        response, ``-shift``.

        Raises
        ------
        InputError
            With a negative lambda, a value beyond the largest response the family can reach.
        """
        if self.name == "none":
            return t
        if self.name == "log-shift":
            return np.exp(t) - lam
        if self.name == "log" or abs(lam) < _TINY:
            return np.exp(t) - self.shift
        if self.name == "dual":
            return np.exp(np.arcsinh(lam * t) / lam) - self.shift
        base = np.maximum(lam * t + 1.0, 0.0)
        if lam < 0 and (base <= 0).any():
            raise InputError(
                "the transformation sends plausible values to infinity",
                where=f"Box-Cox, lambda = {lam:.3f}",
                hint="use 'dual' or 'log', or fix lambda at 0 or above",
            )
        return np.power(base, 1.0 / lam) - self.shift

    def floor(self, lam: float) -> float:
        """Return the transformed value below which `backward` is flat."""
        return -1.0 / lam if self.name == "box-cox" and lam >= _TINY else -np.inf

    def bounds(self, y: Floats) -> tuple[float, float]:
        """Return the range in which the parameter is searched."""
        if self.name in ("box-cox", "dual"):
            return 0.0, 2.0
        spread = float(np.ptp(y))
        return max(0.0, -float(y.min())) + 1e-6 * spread, spread


def profile_loglik(
    design: Design, y: Floats, transformation: Transformation, lams: Floats, method: Method
) -> Floats:
    """Return the profile log-likelihood of each parameter value, shape (G,)."""
    Y = np.stack([transformation.forward(y, float(lam)) for lam in lams])
    share = (design.n - design.p) / design.n if method == "REML" else 1.0
    jacobian = [transformation.log_slope(y, float(lam)).sum() for lam in lams]
    return fit_bhf(design, responses(design, Y), method=method).loglik + share * np.array(jacobian)


def choose_lambda(
    design: Design,
    y: Floats,
    transformation: Transformation,
    *,
    method: Method = "REML",
    at_edge: Literal["error", "accept"] = "error",
) -> float:
    """Return the parameter that maximises the likelihood (the fixed one when it is given).

    Parameters
    ----------
    design : Design
        Covariates.
    y : ndarray of shape (n,)
        Untransformed response.
    transformation : Transformation
        Family.
    method : {"REML", "ML"}
        Likelihood.
    at_edge : {"error", "accept"}
        What to do when the best value is an end of the search range.

    Raises
    ------
    ConvergenceError
        The best value is an end of the search range (but for zero, the logarithm).
    """
    if not transformation.estimated:
        return 0.0 if transformation.lam is None else transformation.lam
    low, high = transformation.bounds(y)
    steps = np.linspace(0.0, 1.0, _GRID)
    # a shift matters by its ratio to the response: search it on a quadratic scale
    grid = low + (high - low) * (steps**2 if transformation.name == "log-shift" else steps)
    for _ in range(2):
        best = int(np.argmax(profile_loglik(design, y, transformation, grid, method)))
        lam, ends = float(grid[best]), (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
        grid = np.linspace(*ends, _ZOOM)
    if lam in (low, high):
        at_zero = transformation.name != "log-shift" and lam == low
        if at_edge == "error" and not at_zero:
            raise ConvergenceError(
                "the best transformation parameter is at the end of its range",
                where=transformation.name,
                got=lam,
                expected=f"inside ({low:g}, {high:g})",
                hint="the family does not suit this response: try another, or fix the parameter",
            )
        return lam
    for reach in _POLISH:
        h = min(reach * (high - low), lam - low, high - lam)
        trio = np.array([lam - h, lam, lam + h])
        lam += h * _vertex(profile_loglik(design, y, transformation, trio, method))
    return lam


def _vertex(values: Floats) -> float:
    """Return the maximum of the parabola through three values at -1, 0, 1, within [-1, 1]."""
    left, middle, right = (float(v) for v in values)
    bend = left - 2.0 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -1.0, 1.0)) if bend < 0 else 0.0
