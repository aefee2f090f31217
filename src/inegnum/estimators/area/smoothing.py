"""Generalised variance functions: sampling variances that a model may take as known.

Model
    log D_i = a + b' z_i + error, with z of the design and not of the estimate itself: log n_i and,
    for a rate, log p(1 - p) at a predicted rate p. The smooth variance is exp(fit) times the factor
    that keeps the total (sum of smooth = sum of direct, over the areas fitted).

Assumptions
    Design effects vary little between areas of the same size.

Limits
    Direct variances of a few respondents are noise, those of zero (0 % or 100 % observed) are
    missing in all but name: they are left out of the fit and predicted. At least p + 3 positive
    variances are needed.

References
----------
    Wolter (2007) doi:10.1007/978-0-387-35099-8, chapter 7; Rivest and Belmonte (2000), Survey
    Methodology 26; Hidiroglou, Beaumont and Yung (2019), Survey Methodology 45.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError

__all__ = ["SmoothedVariances", "smooth_variances"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SmoothedVariances:
    """Smooth sampling variances.

    Attributes
    ----------
    D : ndarray of shape (M,)
        Positive for every area that has predictors.
    coefficients : ndarray of shape (1 + k,)
        Intercept and slopes on the log scale.
    r2 : float
        Share of the variance of log D the function explains.
    fitted : int
        Areas whose own variance was used.
    ratio : float
        Total-preserving factor; about exp(s^2 / 2) for a log residual variance s^2.
    """

    D: Floats
    coefficients: Floats
    r2: float
    fitted: int
    ratio: float


def smooth_variances(
    D: Floats, n: Floats, *, rate: Floats | None = None, others: Floats | None = None
) -> SmoothedVariances:
    """Smooth sampling variances over areas.

    Parameters
    ----------
    D : ndarray of shape (M,)
        Direct variances; zero or missing where there is nothing to go by.
    n : ndarray of shape (M,)
        Respondents, positive wherever a smooth variance is wanted (missing elsewhere).
    rate : ndarray of shape (M,), optional
        Predicted rate (synthetic, never the direct one), strictly between 0 and 1.
    others : ndarray of shape (M, k), optional
        Further predictors of log D.

    Raises
    ------
    InputError
        Negative variances, too few positive ones, or predictors that do not vary.

    Examples
    --------
    >>> n = np.array([20.0, 40.0, 80.0, 160.0, 320.0, 30.0])
    >>> D = np.append(0.25 / n[:5], 0.0)
    >>> bool(abs(smooth_variances(D, n).D[5] - 0.25 / 30) < 1e-12)
    True
    """
    D, n = np.asarray(D, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if (D < 0).any():
        raise InputError("a sampling variance is negative", where=f"{int((D < 0).sum())} areas")
    columns = [np.ones_like(n), np.log(np.where(n > 0, n, np.nan))]
    if rate is not None:
        p = np.asarray(rate, dtype=np.float64)
        if ((p <= 0) | (p >= 1)).any():
            raise InputError("a predicted rate must lie strictly between 0 and 1", where="rate")
        columns.append(np.log(p * (1 - p)))
    Z = np.column_stack(columns if others is None else [*columns, others])
    known = np.isfinite(Z).all(axis=1)
    use = known & (np.nan_to_num(D) > 0)
    if int(use.sum()) < Z.shape[1] + 3:
        raise InputError(
            "too few positive variances to fit a variance function",
            got=int(use.sum()),
            expected=f"at least {Z.shape[1] + 3}",
            hint="use a design effect times p(1 - p)/n instead",
        )
    target = np.log(D[use])
    coefficients, _, rank, _ = np.linalg.lstsq(Z[use], target, rcond=1e-10)
    if int(rank) < Z.shape[1]:
        raise InputError(
            "a predictor of the variance function is constant or collinear",
            hint="drop it; equal sizes everywhere leave nothing to fit",
        )
    fit = np.exp(Z @ coefficients)
    ratio = float(D[use].sum() / fit[use].sum())
    residual = target - Z[use] @ coefficients
    spread = float(target.var())
    r2 = 1 - float(residual.var()) / spread if spread > 0 else float("nan")
    return SmoothedVariances(
        np.where(known, fit * ratio, np.nan), coefficients, r2, int(use.sum()), ratio
    )
