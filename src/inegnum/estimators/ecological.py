"""Rates of areas from their composition, and what composition leaves unexplained.

Model: area i holds shares s_ic of categories c; with contextual covariates x_i,

    theta_i = sum_c s_ic expit(alpha_c + x_i'b + v_region(i) + delta_group(i) + u_i).

This is the predictive step of the estimators (national fit, synthetic rate, deviations of region,
metropolis and commune drawn, then summed), applied to a census variable whose truth is known.
Category rates and slopes come from areas other than those predicted. The national survey is
simulated: from the information that n effective respondents would bring on (alpha, b), `survey`
draws one estimate and the posterior an analyst would have.

Assumptions: deviations act alike on every category of an area; category rates are those of other
regions once covariates are accounted for.

Limits: rates are inferred from aggregates, so a category rate also carries what goes with living
beside that category. Only the area totals are judged, never the category rates.

References
----------
Gelman and Little 1997 (multilevel poststratification); King 1997 (ecological inference);
Prasad and Rao 1990, doi:10.1080/01621459.1990.10475320 (synthetic estimates and area effects).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, InputError
from inegnum.numerics.nested import NestedVariances, fit_nested

__all__ = [
    "Areas",
    "Calibrated",
    "CategoryRates",
    "Learned",
    "Predictor",
    "area_effects",
    "learn",
    "predict",
    "survey",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Priors of the category rates (logits around the mean rate) and of the slopes of standardised
# covariates: wide for a rate; two tenths of a logit for one standard deviation of context, the
# order of what an area itself deviates by.
_ALPHA_SD = 1.5
_SLOPE_SD = 0.2
# Scale of the deviations while rates are fitted; only the balance with the priors depends on it.
_RESIDUAL = 0.3


@dataclass(frozen=True, slots=True)
class Areas:
    """A census variable by area, with what predicts it.

    Attributes
    ----------
    y : ndarray of shape (A,)
        True rate.
    shares : ndarray of shape (A, C)
        Composition; rows sum to one.
    x : ndarray of shape (A, P)
        Contextual covariates, standardised; P may be 0.
    persons : ndarray of shape (A,)
        Persons the rate is about.
    group, region : ndarray of int, shape (A,)
        Intercommunality and region of each area.
    """

    y: Floats
    shares: Floats
    x: Floats
    persons: Floats
    group: Ints
    region: Ints

    def __post_init__(self) -> None:
        if not ((self.y > 0) & (self.y < 1)).all():
            raise InputError(
                "a true rate is not strictly between 0 and 1",
                where=f"areas {np.flatnonzero(~((self.y > 0) & (self.y < 1)))[:5].tolist()}",
                hint="leave out areas too small for a rate",
            )
        if not np.allclose(self.shares.sum(axis=1), 1.0) or (self.shares < 0).any():
            raise InputError("shares of a composition must sum to one", where="Areas.shares")

    def __len__(self) -> int:
        return len(self.y)

    @property
    def size(self) -> Floats:
        """Persons in units of 5,000: small areas deviate more."""
        return np.asarray(self.persons / 5000)

    def take(self, where: npt.NDArray[np.bool_]) -> Areas:
        """Return some of the areas."""
        return Areas(
            self.y[where],
            self.shares[where],
            self.x[where],
            self.persons[where],
            self.group[where],
            self.region[where],
        )


class Predictor(Protocol):
    """How composition is turned into the logits of an area's categories."""

    def fit(self, areas: Areas) -> Floats:
        """Return the coefficients fitted on areas whose truth is known, shape (p,)."""
        ...

    def prior(self, areas: Areas) -> tuple[Floats, Floats]:
        """Return the prior mean and precision of each coefficient, shape (p,) each."""
        ...

    def information(self, areas: Areas, coefficients: Floats, n: float) -> Floats:
        """Return the information of a survey of n effective respondents, shape (p, p)."""
        ...

    def logits(self, areas: Areas, coefficients: Floats) -> tuple[Floats, Floats]:
        """Return category logits (..., A, C) for coefficients (..., p), and shares (A, C)."""
        ...


@dataclass(frozen=True, slots=True)
class CategoryRates:
    """Logit category rates plus contextual covariates: the model itself."""

    def fit(self, areas: Areas) -> Floats:
        """Minimise squared deviations on the logit scale, with the priors; shape (C + P,)."""
        from scipy.optimize import least_squares

        middle, precision = self.prior(areas)
        scale = precision**-0.5
        target = _logit(areas.y)

        def residuals(t: Floats) -> Floats:
            rate = self._rate(areas, t)[0]
            return np.concatenate([(_logit(rate) - target) / _RESIDUAL, (t - middle) / scale])

        def jacobian(t: Floats) -> Floats:
            rate, slope = self._rate(areas, t)
            by_rate = np.hstack([slope, slope.sum(axis=1, keepdims=True) * areas.x])
            by_rate /= (rate * (1 - rate))[:, None] * _RESIDUAL
            return np.vstack([by_rate, np.diag(1 / scale)])

        found = least_squares(residuals, middle, jac=jacobian, method="trf", xtol=1e-10)
        if not found.success:
            raise ConvergenceError("category rates did not converge", got=found.message)
        return np.asarray(found.x)

    def information(self, areas: Areas, coefficients: Floats, n: float) -> Floats:
        """Return that of a logistic regression on n persons spread as the census."""
        _, slope = self._rate(areas, coefficients)
        weight = slope * (n * areas.persons / areas.persons.sum())[:, None]
        own = np.diag(weight.sum(axis=0))
        cross = weight.T @ areas.x
        context = (areas.x * weight.sum(axis=1)[:, None]).T @ areas.x
        return np.block([[own, cross], [cross.T, context]])

    def logits(self, areas: Areas, coefficients: Floats) -> tuple[Floats, Floats]:
        """Return ``alpha_c + x_i'b``."""
        c = areas.shares.shape[1]
        alpha, b = coefficients[..., :c], coefficients[..., c:]
        return alpha[..., None, :] + (b @ areas.x.T)[..., None], areas.shares

    def prior(self, areas: Areas) -> tuple[Floats, Floats]:
        """Return the national rate for every category and no slope, with their precisions."""
        c, p = areas.shares.shape[1], areas.x.shape[1]
        mean = float(_logit(np.asarray(np.average(areas.y, weights=areas.persons))))
        # One category is a national rate: nothing to shrink it towards.
        alpha_sd = _ALPHA_SD if c > 1 else 100.0
        middle = np.concatenate([np.full(c, mean), np.zeros(p)])
        return middle, np.concatenate([np.full(c, alpha_sd**-2), np.full(p, _SLOPE_SD**-2)])

    def _rate(self, areas: Areas, t: Floats) -> tuple[Floats, Floats]:
        """Return rates (A,) and their derivatives by category logit (A, C)."""
        logits, shares = self.logits(areas, t)
        p = _expit(logits)
        return (shares * p).sum(axis=1), shares * p * (1 - p)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Rates linear in composition and covariates: what calibrating a national sample gives.

    A sample calibrated to the margins of an area has ``X_i'B`` as its synthetic part (Deville and
    Särndal 1992); the covariates are margins like any other.
    """

    def fit(self, areas: Areas) -> Floats:
        """Regress the rates on the margins, weighted by persons; shape (C + P,)."""
        z = self._margins(areas)
        root = np.sqrt(areas.persons / areas.persons.mean())
        return np.asarray(np.linalg.lstsq(z * root[:, None], areas.y * root, rcond=None)[0])

    def prior(self, areas: Areas) -> tuple[Floats, Floats]:
        """Return none: calibration does not shrink."""
        p = areas.shares.shape[1] + areas.x.shape[1]
        return np.zeros(p), np.zeros(p)

    def information(self, areas: Areas, coefficients: Floats, n: float) -> Floats:
        """Return that of a linear regression on n persons spread as the census."""
        del coefficients
        z = self._margins(areas)
        share = areas.persons / areas.persons.sum()
        mean = float(share @ areas.y)
        moments = (z * share[:, None]).T @ z
        # Persons of one category share their row: the one-hot block is diagonal, as in a survey.
        c = areas.shares.shape[1]
        moments[:c, :c] = np.diag(share @ areas.shares)
        return np.asarray(moments * n / (mean * (1 - mean)))

    def logits(self, areas: Areas, coefficients: Floats) -> tuple[Floats, Floats]:
        """Return the logit of the linear rate, held off 0 and 1 by half a point."""
        rate = np.clip(coefficients @ self._margins(areas).T, 0.005, 0.995)
        return _logit(rate)[..., None], np.ones((len(areas), 1))

    def _margins(self, areas: Areas) -> Floats:
        return np.hstack([areas.shares, areas.x])


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned on areas other than those to predict.

    Attributes
    ----------
    coefficients : ndarray of shape (p,)
        Fitted on the whole census of those areas.
    information : ndarray of shape (p, p)
        What one survey of them would tell.
    prior_mean, prior_precision : ndarray of shape (p,)
        What is assumed before the survey.
    variances : NestedVariances
        Deviations of region, group and area, given composition.
    regions : ndarray of int
        Regions it was learned on; the predicted ones are refused.
    """

    coefficients: Floats
    information: Floats
    prior_mean: Floats
    prior_precision: Floats
    variances: NestedVariances
    regions: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def area_effects(shares: Floats, logits: Floats, y: Floats) -> Floats:
    """Return the deviation that makes each area's rate exact, shape (A,).

    Parameters
    ----------
    shares, logits : ndarray of shape (A, C)
    y : ndarray of shape (A,)
        True rates, strictly between 0 and 1.

    Raises
    ------
    ConvergenceError
        Newton's steps did not meet the rates to 1e-10.

    Examples
    --------
    >>> area_effects(np.ones((1, 1)), np.zeros((1, 1)), np.array([0.75])).round(6)
    array([1.098612])
    """
    e = np.zeros(len(y))
    for _ in range(60):
        p = _expit(logits + e[:, None])
        gap = (shares * p).sum(axis=1) - y
        if np.abs(gap).max() < 1e-10:
            return e
        # Steps of at most one logit keep Newton inside where the curve is nearly flat.
        e -= np.clip(gap / (shares * p * (1 - p)).sum(axis=1), -1.0, 1.0)
    raise ConvergenceError(
        "deviations of areas did not converge", got=float(np.abs(gap).max()), expected="1e-10"
    )


def learn(areas: Areas, predictor: Predictor, *, n: float, one_tau: bool = False) -> Learned:
    """Learn rates and deviations from areas whose truth is known.

    Parameters
    ----------
    areas : Areas
    predictor : Predictor
    n : float
        Effective size of the simulated national survey.
    one_tau : bool
        One standard deviation for areas of every size.
    """
    coefficients = predictor.fit(areas)
    logits, shares = predictor.logits(areas, coefficients)
    e = area_effects(shares, logits, areas.y)
    groups, group = np.unique(areas.group, return_inverse=True)
    region_of_group = np.zeros(len(groups), dtype=np.int64)
    region_of_group[group] = areas.region
    variances = fit_nested(e, group, region_of_group, None if one_tau else areas.size)
    information = predictor.information(areas, coefficients, n)
    return Learned(
        coefficients,
        information,
        *predictor.prior(areas),
        variances,
        np.unique(areas.region),
    )


def survey(learned: Learned, S: int, rng: np.random.Generator) -> Floats:
    """Simulate one national survey and return draws of the coefficients given it, shape (S, p).

    The maximum-likelihood estimate of the survey is drawn around the truth with the inverse of its
    information; its posterior under the prior is what an analyst would have.
    """
    p = len(learned.coefficients)
    # What the survey says nothing of (a class it never meets) has zero information.
    values, vectors = np.linalg.eigh(learned.information)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    score = learned.information @ learned.coefficients + root @ rng.standard_normal(p)
    posterior = learned.information + np.diag(learned.prior_precision)
    center = np.linalg.solve(posterior, score + learned.prior_precision * learned.prior_mean)
    spread = np.linalg.inv(np.linalg.cholesky(posterior)).T
    return np.asarray(center + rng.standard_normal((S, p)) @ spread.T)


def predict(
    learned: Learned,
    areas: Areas,
    predictor: Predictor,
    *,
    coefficients: Floats,
    deviations: Floats,
    rng: np.random.Generator,
) -> Floats:
    """Draw the rates of areas of other regions, shape (S, A).

    Parameters
    ----------
    learned : Learned
    areas : Areas
        Their truth `y` is not read.
    predictor : Predictor
        The one `learned` was learned with.
    coefficients : ndarray of shape (S, p)
        From `survey`.
    deviations : ndarray of shape (S, 4)
        Draws of ``s_v, s_d, s_0, s_1``; of shape (0, 4) to leave the deviations out.
    rng : Generator

    Raises
    ------
    InputError
        An area belongs to a region the deviations were learned on.
    """
    seen = np.intersect1d(np.unique(areas.region), learned.regions)
    if seen.size:
        raise InputError(
            "areas to predict lie in regions that were learned from",
            got=f"regions {seen.tolist()}",
            hint="leave the region out before learning",
        )
    logits, shares = predictor.logits(areas, coefficients)
    if len(deviations):
        logits = logits + _draw_deviations(deviations, areas, rng)[..., None]
    return np.asarray((_expit(logits) * shares).sum(axis=-1))


def _draw_deviations(parameters: Floats, areas: Areas, rng: np.random.Generator) -> Floats:
    """Draw v_region + delta_group + u_i from their predictive law, shape (S, A)."""
    S = len(parameters)
    total = np.zeros((S, len(areas)))
    for level, scale in ((areas.region, parameters[:, 0]), (areas.group, parameters[:, 1])):
        names, where = np.unique(level, return_inverse=True)
        total += (rng.standard_normal((S, len(names))) * scale[:, None])[:, where]
    own = np.sqrt(parameters[:, 2, None] ** 2 + parameters[:, 3, None] ** 2 / areas.size)
    return np.asarray(total + own * rng.standard_normal(total.shape))


def _logit(p: Floats) -> Floats:
    from scipy.special import logit

    return np.asarray(logit(p))


def _expit(x: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(x))
