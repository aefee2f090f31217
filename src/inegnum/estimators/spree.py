"""Structure-preserving estimation: a census table brought up to date by fresh margins.

SPREE keeps the interactions of a proxy table X (area x category) and meets fresh totals by area and
by category. GSPREE lets a survey scale those interactions: within areas,

    log theta_ij = lambda_j + beta log X_ij + constant of the area,

fitted by multinomial likelihood on (effective) survey counts; beta = 1 is SPREE, beta = 0 the same
composition everywhere.

Assumptions
    The proxy's interactions are those of today, up to one factor.

Limits
    Zeros of the proxy stay zero in SPREE and are refused in GSPREE, which takes their log. The
    error of an area's own interaction is not estimated.

References
----------
    Purcell and Kish (1980) doi:10.2307/1402400; Zhang and Chambers (2004)
    doi:10.1111/j.1467-9868.2004.05266.x; Luna-Hernández (2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, InputError
from inegnum.numerics.ipf import axis_margin, ipf

__all__ = ["Spree", "gspree", "spree"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spree:
    """Updated table.

    Attributes
    ----------
    table : ndarray of shape (A, J)
        Persons by area and category, meeting both margins.
    beta, beta_se : float
        Factor on the proxy's log interactions and its standard error (1 and 0 for SPREE).
    """

    table: Floats
    beta: float
    beta_se: float

    def shares(self) -> Floats:
        """Return the composition of each area, shape (A, J)."""
        return np.asarray(self.table / self.table.sum(axis=1, keepdims=True))


def _margins(proxy: Floats, areas: Floats, categories: Floats) -> Floats:
    shape = (proxy.shape[0], proxy.shape[1])
    fitted = ipf(
        proxy,
        [
            axis_margin("areas", shape, (0,), areas),
            axis_margin("categories", shape, (1,), categories),
        ],
    )
    return fitted.fitted


def spree(proxy: Floats, areas: Floats, categories: Floats) -> Spree:
    """Update a table to fresh margins.

    Parameters
    ----------
    proxy : ndarray of shape (A, J)
        Earlier counts.
    areas, categories : ndarray of shape (A,) and (J,)
        Fresh totals, of the same whole.

    Raises
    ------
    MarginError
        The margins contradict each other or a zero of the proxy.

    Examples
    --------
    >>> s = spree(np.array([[30.0, 10.0], [10.0, 30.0]]), np.array([50.0, 50.0]),
    ...           np.array([60.0, 40.0]))
    >>> t = s.table
    >>> round(float(t[0, 0] * t[1, 1] / (t[0, 1] * t[1, 0])), 6)  # the odds ratio is kept
    9.0
    """
    proxy = np.asarray(proxy, dtype=np.float64)
    return Spree(_margins(proxy, areas, categories), 1.0, 0.0)


def _multinomial(log_proxy: Floats, counts: Floats) -> tuple[Floats, float, float]:
    """Newton's method on (lambda_2..lambda_J, beta): shares, beta and its standard error."""
    A, J = counts.shape
    Z = np.zeros((A, J, J))
    for j in range(1, J):
        Z[:, j, j - 1] = 1.0
    Z[:, :, J - 1] = log_proxy
    n = counts.sum(axis=1)
    b = np.zeros(J)
    b[-1] = 1.0
    for _ in range(50):
        eta = Z @ b
        theta = np.exp(eta - eta.max(axis=1, keepdims=True))
        theta /= theta.sum(axis=1, keepdims=True)
        mean = np.einsum("aj,ajk->ak", theta, Z)
        score = np.einsum("aj,ajk->k", counts - n[:, None] * theta, Z)
        centred = Z - mean[:, None, :]
        information = np.einsum("a,aj,ajk,ajl->kl", n, theta, centred, centred, optimize=True)
        step = np.linalg.solve(information, score)
        b = b + step
        # 1e-10: Newton's next step would be at rounding.
        if np.abs(step).max() < 1e-10:
            return theta, float(b[-1]), float(np.sqrt(np.linalg.inv(information)[-1, -1]))
    raise ConvergenceError(
        "the composition model did not converge",
        got=f"last step {np.abs(step).max():.2g}",
        hint="a category without respondents has no lambda: merge it",
    )


def gspree(proxy: Floats, survey: Floats, areas: Floats, categories: Floats) -> Spree:
    """Update a table with interactions scaled by a survey, then meet both margins.

    Parameters
    ----------
    proxy : ndarray of shape (A, J)
        Earlier counts, positive.
    survey : ndarray of shape (A, J)
        Effective survey counts; rows of zeros are areas without respondents.
    areas, categories : ndarray of shape (A,) and (J,)
        Fresh totals, of the same whole.

    Raises
    ------
    InputError
        Shapes differ, or a count is missing, negative, or zero where its log is needed.
    ConvergenceError
        The composition model has no finite maximum.
    """
    proxy = np.asarray(proxy, dtype=np.float64)
    survey = np.asarray(survey, dtype=np.float64)
    if proxy.shape != survey.shape:
        raise InputError("proxy and survey differ", got=survey.shape, expected=proxy.shape)
    if not (proxy > 0).all():
        raise InputError(
            "a zero of the proxy has no log interaction",
            where=f"{int((proxy <= 0).sum())} cells",
            hint="use spree, which keeps zeros, or merge categories",
        )
    if not np.isfinite(survey).all() or (survey < 0).any():
        raise InputError("survey counts must be finite and not negative", where="survey")
    if (survey.sum(axis=0) == 0).any():
        raise InputError("a category has no respondent", where="survey", hint="merge it")
    theta, beta, se = _multinomial(np.log(proxy), survey)
    return Spree(_margins(theta * np.asarray(areas)[:, None], areas, categories), beta, se)
