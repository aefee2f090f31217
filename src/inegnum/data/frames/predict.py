"""Age, schooling, diploma and sex of communes from their occupations, and how wrong that is.

Model
    z_i = (log ratios of age groups and status groups to their largest group, logit of women)
    z_i = B' x_i + u_d(i) + e_i,   u_d ~ N(0, S_u) by department,   e_i ~ N(0, S_e)
    x: log ratios of the seven occupations, log population, urban class.
    Fitted by least squares on communes over 2,000 inhabitants where z is observed; S_u and S_e by
    the moments of residuals within and between departments; u_d predicted by shrinkage.

Noise of observed margins
    The change of z from 2012 to 2018, less its mean, has variance 6 a + 6 c / sqrt(n) + b / n, by
    component (non-negative regression on persons n): a and c are the drift of a commune per year,
    slower in large ones, b is sampling in two censuses. A margin h years old thus carries
    h (a + c / sqrt(n)) + b / (2 n).

Small communes
    The regression stops at 2,000 inhabitants. Below, a share p of n persons also varies by p / n
    around its expectation (Poisson), and the occupations themselves come from a sample of
    households (gamma with effective counts). Both are drawn.

Limits
    Communes below 2,000 inhabitants are an extrapolation of the smallest above (`extrapolation`
    draws an error they share). What is observed of them agrees: with predicted communes, persons of
    75 and over add up to the independent estimate of France within 0.5 %, of regions within 5 %;
    in Seine-Maritime 2013, where communes of every size publish their ages, draws cover them.

References
----------
Aitchison 1982, doi:10.1111/j.2517-6161.1982.tb01195.x (log ratios); Henderson 1953,
doi:10.2307/3001853 (moments).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls

from inegnum.data import catalogue
from inegnum.data.codebook import URBAN
from inegnum.data.margins import CENSUS_YEAR, CommuneMargins, commune_margins, diploma_shares

__all__ = [
    "N_Z",
    "Links",
    "Noise",
    "draw_occupation",
    "draw_shares",
    "extrapolation",
    "fit_links",
    "links",
    "margin_noise",
    "predict",
    "shares_of",
    "within_age",
    "years_old",
    "z_of",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Positions of the reference groups: 30-74 among ages, below bac among status groups.
_AGE_REF, _STATUS_REF = 2, 3
N_Z = 3 + 5 + 1
# Sampling fraction of the long form and design effect of households: f n / ((1 - f) deff) effective
# persons behind a count of n (Poisson approximation).
_LARGE, _DEFF = 10_000.0, 1.3
_FRACTION_SMALL, _FRACTION_LARGE = 0.25, 0.40
_RARE = 1e-5


@dataclass(frozen=True, slots=True)
class Links:
    """How margins follow from occupations.

    Attributes
    ----------
    coefficients : ndarray of shape (P, 9)
    departments : tuple of str
    effects : ndarray of shape (D, 9)
        Predicted deviations of departments.
    effect_sd : ndarray of shape (D, 9)
        Their posterior standard deviations.
    other_sd : ndarray of shape (9,)
        That of a department not seen.
    within : ndarray of shape (9, 9)
        Covariance of communes within a department.
    """

    coefficients: Floats
    departments: tuple[str, ...]
    effects: Floats
    effect_sd: Floats
    other_sd: Floats
    within: Floats

    def effect(self, department: str) -> tuple[Floats, Floats]:
        """Return a department's deviation and its sd, shape (9,) each."""
        if department not in self.departments:
            return np.zeros(N_Z), self.other_sd
        at = self.departments.index(department)
        return self.effects[at], self.effect_sd[at]


@dataclass(frozen=True, slots=True)
class Noise:
    """Error of observed margins.

    Attributes
    ----------
    yearly, small, sampling : ndarray of shape (9,)
        Coefficients a, c and b of the variance.
    """

    yearly: Floats
    small: Floats
    sampling: Floats

    def drift(self, years: float, persons: Floats) -> Floats:
        """Return the variance of z that `years` add, shape (A, 9)."""
        n = persons[:, None]
        return np.asarray(years * (self.yearly + self.small / np.sqrt(n)))

    def sd(self, years: float, persons: Floats) -> Floats:
        """Return the sd of z for margins `years` old, shape (A, 9)."""
        sampled = self.sampling / (2 * persons[:, None])
        return np.asarray(np.sqrt(self.drift(years, persons) + sampled))


def z_of(age: Floats, status: Floats, women: Floats) -> Floats:
    """Return log ratios of margins, shape (..., 9)."""
    log_age = np.log(np.maximum(age, _RARE))
    log_status = np.log(np.maximum(status, _RARE))
    w = np.clip(women, _RARE, 1 - _RARE)
    return np.concatenate(
        [
            np.delete(log_age, _AGE_REF, axis=-1) - log_age[..., [_AGE_REF]],
            np.delete(log_status, _STATUS_REF, axis=-1) - log_status[..., [_STATUS_REF]],
            np.log(w / (1 - w))[..., None],
        ],
        axis=-1,
    )


def shares_of(z: Floats) -> tuple[Floats, Floats, Floats]:
    """Return age (..., 4), status (..., 6) and women (...,) from log ratios."""
    age = np.exp(np.insert(z[..., :3], _AGE_REF, 0.0, axis=-1))
    status = np.exp(np.insert(z[..., 3:8], _STATUS_REF, 0.0, axis=-1))
    age /= age.sum(axis=-1, keepdims=True)
    status /= status.sum(axis=-1, keepdims=True)
    return age, within_age(age, status), 1 / (1 + np.exp(-z[..., 8]))


def within_age(age: Floats, status: Floats) -> Floats:
    """Keep the enrolled of 18-24 below 95 % of that age, the rest rescaled."""
    kept = status.copy()
    limit = 0.95 * age[..., 1]
    kept[..., 0] = np.minimum(kept[..., 0], limit)
    rest = status[..., 1:].sum(axis=-1)
    kept[..., 1:] *= ((1 - kept[..., 0]) / rest)[..., None]
    return kept


def design(occupation: Floats, population: Floats, urban: pd.Series) -> Floats:
    """Return predictors of margins, shape (..., A, P); occupation may carry draws first."""
    log = np.log(occupation + 0.005)
    ratios = log - log[..., [4]]
    ratios = np.delete(ratios, 4, axis=-1)
    size = np.log(population) - np.log(3000.0)
    classes = np.stack([urban == level for level in URBAN.levels[1:]], axis=-1).astype(np.float64)
    fixed = np.concatenate([np.ones((len(size), 1)), size[:, None], classes], axis=1)
    fixed = np.broadcast_to(fixed, (*occupation.shape[:-1], fixed.shape[1]))
    return np.concatenate([fixed, ratios, ratios**2], axis=-1)


def fit_links(margins: CommuneMargins, train: Bools) -> Links:
    """Fit the links on communes `train`, all of which have observed margins."""
    z = z_of(margins.age[train], margins.status[train], margins.women[train])
    x = design(margins.occupation[train], margins.population[train], margins.areas["urban"][train])
    coefficients, *_ = np.linalg.lstsq(x, z, rcond=None)
    residual = z - x @ coefficients
    department, names = pd.factorize(margins.areas["department"][train], sort=True)
    n = np.bincount(department)
    means = np.stack(
        [np.bincount(department, weights=residual[:, k]) / n for k in range(N_Z)], axis=1
    )
    centred = residual - means[department]
    within = centred.T @ centred / (len(z) - len(n) - x.shape[1])
    between = np.average(means**2, axis=0, weights=n) - np.diag(within) / np.average(n)
    between = np.maximum(between, 1e-4 * np.diag(within))
    keep = n[:, None] * between / (n[:, None] * between + np.diag(within))
    return Links(
        coefficients,
        tuple(str(name) for name in names),
        keep * means,
        np.sqrt(between * (1 - keep)),
        np.sqrt(between),
        within,
    )


@cache
def links(year: int) -> Links:
    """Return the links fitted on every commune with observed margins under 50,000 inhabitants."""
    margins = commune_margins(year)
    return fit_links(margins, margins.observed & (margins.population < 50_000))


@cache
def extrapolation(year: int) -> Floats:
    """Return how far links go wrong below the sizes they were learned on, shape (9,).

    Links of communes above 3,000 inhabitants are applied to rural ones of 2,000 to 2,550; their
    mean error, whatever its sign, is the sd of an error shared by every commune below 2,000.
    """
    margins = commune_margins(year)
    seen = margins.observed & (margins.population < 50_000)
    fitted = fit_links(margins, seen & (margins.population > 3000))
    rural = (margins.areas["urban"] == "rural").to_numpy() & (margins.population <= 2550)
    small = margins.at(margins.areas.loc[seen & rural, "geo"].tolist())
    effects = np.stack([fitted.effect(d)[0] for d in small.areas["department"]])
    error = z_of(small.age, small.status, small.women) - predict(small, fitted) - effects
    return np.abs(error.mean(axis=0))


def predict(margins: CommuneMargins, fitted: Links, occupation: Floats | None = None) -> Floats:
    """Return expected log ratios without the department's deviation, shape (..., A, 9)."""
    shares = margins.occupation if occupation is None else occupation
    x = design(shares, margins.population, margins.areas["urban"])
    return np.asarray(x @ fitted.coefficients)


@cache
def margin_noise() -> Noise:
    """Learn the error of ageing margins from the change between 2012 and 2018."""
    census = {year: catalogue.table(f"census_{year}")[0].set_index("geo") for year in (2012, 2018)}
    both = census[2012].index.intersection(census[2018].index)
    size = [census[y].loc[both, "population"] for y in (2012, 2018)]
    both = both[((size[1] / size[0]).between(0.8, 1.25)).to_numpy()]
    z = [_z_of_census(census[y].loc[both]) for y in (2012, 2018)]
    change = z[1] - z[0]
    change -= change.mean(axis=0)
    # A few communes gain or lose an institution (school, prison, care home): their change is real
    # but not what a commune usually carries, so the square is cut at the 99th percentile.
    square = np.minimum(change**2, np.quantile(change**2, 0.99, axis=0))
    persons = census[2018].loc[both, "population"].to_numpy()
    x = np.column_stack([np.full(len(both), 6.0), 6 / np.sqrt(persons), 1 / persons])
    # Errors of a square grow with its expectation, here about as 1 / sqrt(persons).
    weight = np.sqrt(persons / persons.mean())
    found = np.stack([nnls(x * weight[:, None], square[:, k] * weight)[0] for k in range(N_Z)])
    return Noise(found[:, 0], found[:, 1], found[:, 2])


def _z_of_census(census: pd.DataFrame) -> Floats:
    persons = census["population"] - census["age_0_14"]
    age = np.column_stack(
        [
            census["age_15_29"] - census["age_18_24"],
            census["age_18_24"],
            persons - census["age_15_29"] - census["age_75p"],
            census["age_75p"],
        ]
    )
    enrolled = persons - census["not_enrolled_15p"]
    diploma = diploma_shares(census) * census["not_enrolled_15p"].to_numpy()[:, None]
    status = np.column_stack(
        [census["enrolled_18_24"], enrolled - census["enrolled_18_24"], diploma]
    )
    women = (census["women"] - 0.489 * census["age_0_14"]) / persons
    total = persons.to_numpy()[:, None]
    return z_of(age / total, status / total, women.to_numpy())


def draw_occupation(
    margins: CommuneMargins, rngs: Sequence[np.random.Generator], draws: int
) -> Floats:
    """Draw occupations from the sampling of the long form, (F, A, 7), a generator a commune."""
    fraction = np.where(margins.population < _LARGE, _FRACTION_SMALL, _FRACTION_LARGE)
    effective = margins.persons * fraction / (1 - fraction) / _DEFF
    shape = margins.occupation * effective[:, None]
    # A class the sample did not meet may still hold a person or two.
    drawn = np.stack(
        [
            rng.standard_gamma(np.broadcast_to(one + 0.1, (draws, len(one))))
            for rng, one in zip(rngs, shape, strict=True)
        ],
        axis=1,
    )
    return np.asarray(drawn / drawn.sum(axis=-1, keepdims=True))


def draw_shares(shares: Floats, persons: float, rng: np.random.Generator) -> Floats:
    """Draw shares (F, G) of a commune of so many persons around their expectation."""
    drawn = rng.standard_gamma(shares * persons + 1e-3)
    return np.asarray(drawn / drawn.sum(axis=-1, keepdims=True))


def years_old(margins: CommuneMargins) -> float:
    """Return the age of the margins of RP2018, in years."""
    return float(abs(margins.year - CENSUS_YEAR))
