"""Distances between initial and calibrated weights.

A distance is two functions and a name. Calibration minimises ``sum d_k G(w_k / d_k) / q_k`` under
``sum w_k x_k = X``; the solution is ``w_k = d_k F(q_k x_k' lam)`` where F is the inverse of G'.
Newton's method needs only F (`ratio`) and its derivative (`slope`), so that is all a variant holds.

References: Deville & Särndal (1992) doi:10.1080/01621459.1992.10475217, cases 1, 2, 6 and 7;
hyperbolic sine: Roy & Vanheuverzwyn (2001). The same problem on the cells of a table is its
updating by iterative fitting (raking), likelihood, least squares (linear) and minimum chi-square
(neyman): Little & Wu (1991, JASA 86, 87-95).
R: ``survey::cal.linear``, ``cal.raking``, ``cal.logit``, ``cal.sinh``; ``sampling::calib``;
``mipfp::ObtainModelEstimates``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from inegnum.errors import InputError

__all__ = [
    "Distance",
    "Likelihood",
    "Linear",
    "Logit",
    "Neyman",
    "Raking",
    "Sinh",
    "Truncated",
    "bounds_of",
    "by_row",
]

Floats = npt.NDArray[np.float64]
Bound = float | Floats

# exp overflows above 709.78; a dual point that far is divergence, and the solver says so.
_EXP_MAX: Final = 700.0


@dataclass(frozen=True, slots=True)
class Linear:
    """Chi-square distance, F(u) = 1 + u: the regression estimator; weights may be negative."""

    name = "linear"

    def ratio(self, u: Floats) -> Floats:
        """Return g = F(u)."""
        return 1.0 + u

    def slope(self, u: Floats, g: Floats) -> Floats:  # noqa: ARG002
        """Return F'(u), given g = F(u)."""
        return np.ones_like(g)


@dataclass(frozen=True, slots=True)
class Raking:
    """Entropy distance, F(u) = exp(u): raking ratio; weights stay positive, unbounded above."""

    name = "raking"

    def ratio(self, u: Floats) -> Floats:
        """Return g = F(u)."""
        return np.asarray(np.exp(np.minimum(u, _EXP_MAX)))

    def slope(self, u: Floats, g: Floats) -> Floats:  # noqa: ARG002
        """Return F'(u), given g = F(u)."""
        return g


@dataclass(frozen=True, slots=True)
class Sinh:
    """Hyperbolic sine distance: positive weights, lighter tail than raking.

    ``u = sinh(alpha (g - 1/g)) / (2 alpha)``; a larger `alpha` pulls extreme ratios in.
    """

    alpha: float = 1.0
    name = "sinh"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.alpha) and self.alpha > 0):
            raise InputError("the hyperbolic sine needs a positive alpha", got=self.alpha)

    def ratio(self, u: Floats) -> Floats:
        """Return g = F(u)."""
        s = np.arcsinh(2 * self.alpha * u) / self.alpha
        # The root of g - 1/g = s, written without cancellation where s is negative.
        root = np.sqrt(s * s + 4)
        return np.asarray(np.where(s >= 0, (s + root) / 2, 2 / (root - s)))

    def slope(self, u: Floats, g: Floats) -> Floats:
        """Return F'(u), given g = F(u)."""
        ds = 2 / np.sqrt(1 + (2 * self.alpha * u) ** 2)
        return np.asarray(ds / (1 + 1 / g**2))


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Minus log g, F(u) = 1/(1 - u): empirical (pseudo-)likelihood; positive weights."""

    name = "likelihood"

    def ratio(self, u: Floats) -> Floats:
        """Return g = F(u); infinite where u is 1 or more, which no solution reaches."""
        return np.asarray(np.divide(1.0, 1.0 - u, out=np.full(np.shape(u), np.inf), where=u < 1))

    def slope(self, u: Floats, g: Floats) -> Floats:  # noqa: ARG002
        """Return F'(u), given g = F(u)."""
        return np.asarray(g**2)


@dataclass(frozen=True, slots=True)
class Neyman:
    """Modified chi-square, ``(1 - g)^2 / g``: F(u) = (1 - 2u)^(-1/2); positive weights."""

    name = "neyman"

    def ratio(self, u: Floats) -> Floats:
        """Return g = F(u); infinite where u is 1/2 or more, which no solution reaches."""
        root = np.sqrt(np.maximum(1.0 - 2.0 * u, 0.0))
        return np.asarray(np.divide(1.0, root, out=np.full(np.shape(u), np.inf), where=root > 0))

    def slope(self, u: Floats, g: Floats) -> Floats:  # noqa: ARG002
        """Return F'(u), given g = F(u)."""
        return np.asarray(g**3)


def _check(lower: Bound, upper: Bound, name: str, *, strict: bool) -> None:
    low, up = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
    if np.isnan(low).any() or np.isnan(up).any():
        raise InputError("a bound on g is missing", where=f"bounds of the {name} distance")
    inside = (low < 1) & (up > 1) if strict else (low <= 1) & (up >= 1) & (low < up)
    if not np.all(inside):
        bad = np.flatnonzero(~np.atleast_1d(inside))
        raise InputError(
            "bounds on g = w/d must enclose 1",
            where=f"bounds of the {name} distance, positions {bad[:5].tolist()}",
            got=f"lower {np.max(low):g}, upper {np.min(up):g}",
            expected="lower < 1 < upper",
            hint="if the initial weights do not add up to the population, scale them first",
        )


@dataclass(frozen=True, slots=True)
class Logit:
    """Logistic distance: lower < g < upper, smooth; the method of choice in French practice.

    Attributes
    ----------
    lower, upper : float or ndarray of shape (n,)
        Bounds on g, strictly on either side of 1; finite.

    Examples
    --------
    >>> import pandas as pd
    >>> import inegnum as ing
    >>> people = pd.DataFrame({"sex": ["women", "men", "men"], "d": [10.0, 20.0, 20.0]})
    >>> margin = {"sex": {"women": 18.0, "men": 32.0}}
    >>> found = ing.calibrate(people, margin, weights="d", distance=Logit(0.5, 2.0))
    >>> (found.weights / found.initial).round(6).tolist()
    [1.8, 0.8, 0.8]
    """

    lower: Bound
    upper: Bound
    name = "logit"

    def __post_init__(self) -> None:
        _check(self.lower, self.upper, self.name, strict=True)
        if not (np.all(np.isfinite(self.lower)) and np.all(np.isfinite(self.upper))):
            raise InputError(
                "the logit distance needs two finite bounds",
                got=f"{self.lower}, {self.upper}",
                hint="without an upper bound use Raking(), with one only use Truncated()",
            )

    def _at(self, u: Floats) -> Floats:
        """Return the logit of the way from the lower to the upper bound."""
        low, up = self.lower, self.upper
        steep = (up - low) / ((1 - low) * (up - 1))
        return np.asarray(np.log((1 - low) / (up - 1)) + steep * u)

    def ratio(self, u: Floats) -> Floats:
        """Return g = F(u)."""
        # A weighted mean of the two bounds, so rounding cannot push g outside them.
        return np.asarray(self.lower + (self.upper - self.lower) * expit(self._at(u)))

    def slope(self, u: Floats, g: Floats) -> Floats:  # noqa: ARG002
        """Return F'(u), given g = F(u)."""
        low, up, t = self.lower, self.upper, self._at(u)
        # From both tails of the logit: no cancellation next to a bound.
        return np.asarray((up - low) ** 2 / ((1 - low) * (up - 1)) * expit(t) * expit(-t))


@dataclass(frozen=True, slots=True)
class Truncated:
    """Chi-square distance inside bounds, F(u) = clip(1 + u): weights may sit on a bound.

    Attributes
    ----------
    lower, upper : float or ndarray of shape (n,)
        Bounds on g that enclose 1; either may be infinite.

    Examples
    --------
    >>> import pandas as pd
    >>> import inegnum as ing
    >>> people = pd.DataFrame({"sex": ["women", "men", "men"], "d": [10.0, 20.0, 20.0]})
    >>> margin = {"sex": {"women": 18.0, "men": 32.0}}
    >>> found = ing.calibrate(people, margin, weights="d", distance=Truncated(0.5, 2.0))
    >>> (found.weights / found.initial).round(6).tolist()
    [1.8, 0.8, 0.8]
    """

    lower: Bound
    upper: Bound
    name = "truncated"

    def __post_init__(self) -> None:
        _check(self.lower, self.upper, self.name, strict=False)

    def ratio(self, u: Floats) -> Floats:
        """Return g = F(u)."""
        return np.asarray(np.clip(1.0 + u, self.lower, self.upper))

    def slope(self, u: Floats, g: Floats) -> Floats:
        """Return F'(u), given g = F(u)."""
        del g
        return np.asarray(((1.0 + u > self.lower) & (1.0 + u < self.upper)).astype(np.float64))


Distance = Linear | Raking | Logit | Truncated | Sinh | Likelihood | Neyman


def bounds_of(distance: Distance) -> tuple[Bound, Bound]:
    """Return the bounds that g cannot cross.

    Examples
    --------
    >>> bounds_of(Logit(0.5, 2.0))
    (0.5, 2.0)
    >>> bounds_of(Raking())
    (0.0, inf)
    """
    match distance:
        case Linear():
            return -np.inf, np.inf
        case Raking() | Sinh() | Likelihood() | Neyman():
            return 0.0, np.inf
        case Logit(lower, upper) | Truncated(lower, upper):
            return lower, upper


def by_row(distance: Distance) -> Distance:
    """Return the distance for ratios of shape (m, R), its bounds by unit laid along the rows."""
    match distance:
        case Logit(lower, upper) | Truncated(lower, upper) if np.ndim(lower) or np.ndim(upper):
            low, up = (np.reshape(b, (-1, 1)) if np.ndim(b) else b for b in (lower, upper))
            return type(distance)(low, up)
        case _:
            return distance
