"""Reliability classes: which figure may be shown, and how.

A 94 % with an interval of +-3 points has a coefficient of variation of 1.6 %, the 6 % on the other
side one of 26 %: they are the same statistic. The class therefore looks at the 95 % half-width in
points and at the same half-width relative to the rarer side, and keeps the worse of the two.

=====  ==========  ====================  =====================================
class  half-width  relative, rarer side  how it is shown
=====  ==========  ====================  =====================================
A      <= 3 pts    <= 0.35               rate with interval
B      <= 6 pts    <= 0.70               rate with interval
C      <= 10 pts   <= 1.20               hatched, interval first, no rank
D      beyond      beyond                masked; P(above the metropolis) stays
=====  ==========  ====================  =====================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError

__all__ = ["CLASSES", "REASONS", "QualityLimits", "grade"]

CLASSES: Final = np.array(["A", "B", "C", "D"])
REASONS: Final = ("", "width", "few_persons", "retracted")


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Upper limits of classes A, B and C, and the smallest population shown.

    Attributes
    ----------
    half_width : tuple of 3 floats
        Limits of the 95 % half-width, as proportions.
    relative : tuple of 3 floats
        Limits of the half-width divided by the rarer of the rate and its complement.
    min_persons : float
        An area with fewer persons in the universe is class D whatever its interval.
    """

    half_width: tuple[float, float, float] = (0.03, 0.06, 0.10)
    relative: tuple[float, float, float] = (0.35, 0.70, 1.20)
    min_persons: float = 200.0

    def __post_init__(self) -> None:
        for name in ("half_width", "relative"):
            limits = getattr(self, name)
            if len(limits) != 3 or not all(np.diff(limits) > 0) or limits[0] <= 0:
                raise InputError(
                    "quality limits must be three increasing positive numbers",
                    where=name,
                    got=limits,
                    expected="for instance (0.03, 0.06, 0.10)",
                )
        if not self.min_persons >= 0:
            raise InputError("a population cannot be negative", where="min_persons")


def grade(
    est: npt.NDArray[np.float64],
    lower: npt.NDArray[np.float64],
    upper: npt.NDArray[np.float64],
    persons: npt.NDArray[np.float64],
    limits: QualityLimits,
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    """Return the class of each rate and why it is masked, if it is.

    Parameters
    ----------
    est, lower, upper : ndarray of shape (J,)
        Rates and the bounds of their 95 % intervals, as proportions.
    persons : ndarray of shape (J,)
        Census persons in the universe of the rate.
    limits : QualityLimits

    Returns
    -------
    classes : ndarray of str, shape (J,)
        ``"A"`` to ``"D"``.
    reasons : ndarray of str, shape (J,)
        ``""``, ``"width"`` or ``"few_persons"``.

    Examples
    --------
    The same half-width of 3 points is class A in mid-range and B for a rare state:

    >>> import numpy as np
    >>> grade(np.array([.5, .94]), np.array([.47, .91]), np.array([.53, .97]),
    ...       np.array([1e4, 1e4]), QualityLimits())[0].tolist()
    ['A', 'B']
    """
    half = (upper - lower) / 2
    if not (half >= 0).all():
        raise InputError(
            "an interval has its bounds in the wrong order or missing",
            where=f"positions {np.flatnonzero(~(half >= 0))[:5].tolist()}",
        )
    rarer = np.minimum(est, 1 - est)
    # A rate of exactly 0 or 1 has no rarer side: any positive width is infinitely wide.
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(half > 0, half / rarer, 0.0)
    # A hair of tolerance: 0.97 - 0.91 is not exactly 0.06 in binary.
    width_class = np.searchsorted(np.asarray(limits.half_width) + 1e-12, half)
    relative_class = np.searchsorted(np.asarray(limits.relative) + 1e-12, relative)
    worst = np.maximum(width_class, relative_class)
    few = persons < limits.min_persons
    reasons = np.where(few, "few_persons", np.where(worst == 3, "width", ""))
    return CLASSES[np.where(few, 3, worst)], reasons
