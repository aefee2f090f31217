"""Direct estimates: totals, means, ratios and proportions with design-based standard errors.

Model: none; the randomness is that of the sample. Variances are linearised (Taylor) and, when
weights are calibrated, those of calibration residuals. For replicate weights see `replication`.
Assumptions: domains may be random in size; the sample is large enough for linearisation.
Limits: a domain with few sampling units has an unreliable standard error: read `n` and `df`.
References: Särndal, Swensson & Wretman (1992); Deville (1999); Kish (1965) for design effects.
R: ``survey::svytotal``, ``svymean``, ``svyratio``, ``svyby``, ``svyciprop``, ``svycontrast``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse, special

from inegnum.errors import InputError
from inegnum.estimators.design import Design, Names, domain_codes
from inegnum.estimators.replication import Replicates
from inegnum.numerics.proportions import Method, proportion_interval
from inegnum.numerics.variance import domain_variances

__all__ = ["Direct", "mean", "proportion", "ratio", "total"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Variable = str | npt.ArrayLike
Sample = Design | Replicates
# Covariance matrix (None for many domains) and variances.
Spread = tuple[Floats | None, Floats]

# Above this many domains only variances are computed, not their covariances.
_MANY = 60


@dataclass(frozen=True, slots=True)
class Direct:
    """Direct estimates, one row a domain.

    Attributes
    ----------
    table : DataFrame
        Domain columns, then ``est, se, cv, lower, upper, n, deff``: respondents of the domain, and
        variance over that of simple random sampling of as many (missing where not defined).
    covariance : ndarray of shape (D, D) or None
        Covariance of the estimates; None beyond 60 domains.
    df : float
        Degrees of freedom of the design.
    prob : float
        Mass of the intervals.
    """

    table: pd.DataFrame
    covariance: Floats | None
    df: float
    prob: float = 0.95

    def contrast(self, weights: Mapping[int, float] | npt.ArrayLike) -> tuple[float, float]:
        """Return estimate and standard error of a linear combination of domains.

        Parameters
        ----------
        weights : mapping from row to weight, or array of shape (D,)

        Examples
        --------
        The difference between the second and the first domain is ``contrast({0: -1, 1: 1})``.
        """
        size = len(self.table)
        if isinstance(weights, Mapping):
            unknown = [row for row in weights if row not in range(size)]
            if unknown:
                raise InputError(
                    "a contrast names rows the table does not have",
                    got=unknown,
                    expected=f"0 to {size - 1}",
                )
            a = np.array([weights.get(row, 0.0) for row in range(size)])
        else:
            a = np.asarray(weights, dtype=np.float64)
        if a.shape != (size,) or not np.isfinite(a).all():
            raise InputError(
                "a contrast needs one finite weight a row", got=f"shape {a.shape}", expected=size
            )
        if self.covariance is None:
            raise InputError(
                "covariances are kept for at most 60 domains",
                got=len(self.table),
                hint="estimate the domains to compare in a call of their own",
            )
        estimate = float(a @ self.table["est"].to_numpy())
        return estimate, float(np.sqrt(a @ self.covariance @ a))


def total(design: Sample, y: Variable, *, by: Names | None = None, prob: float = 0.95) -> Direct:
    """Estimate totals ``sum w y``, overall or by domain.

    Examples
    --------
    >>> from inegnum.estimators.design import survey_design
    >>> d = survey_design({"w": [2.0, 2.0, 2.0], "y": [1.0, 2.0, 3.0]}, weights="w")
    >>> total(d, "y").table[["est", "se"]].round(4).values.tolist()
    [[12.0, 3.4641]]
    """
    values = design.values(y)
    where = _domains(design, by)
    size = where.size
    est = np.bincount(where.codes, design.weights * values, size)
    simple = _simple_total(design.weights, where, values)
    if isinstance(design, Replicates):
        spread = _replicated(design, where.sum(values, design.replicates), est)
    else:
        spread = variances(design, where.spread(values))
    return _finished(design, where, est, spread, simple, prob)


def mean(design: Sample, y: Variable, *, by: Names | None = None, prob: float = 0.95) -> Direct:
    """Estimate means (Hájek), overall or by domain.

    Examples
    --------
    >>> from inegnum.estimators.design import survey_design
    >>> d = survey_design({"w": [2.0, 2.0, 2.0], "y": [1.0, 2.0, 3.0]}, weights="w")
    >>> mean(d, "y").table[["est", "se"]].round(4).values.tolist()
    [[2.0, 0.5774]]
    """
    values = design.values(y)
    where = _domains(design, by)
    simple = _simple_mean(design.weights, where, values)
    return _ratio(design, where, values, np.ones(values.size), simple, prob)


def proportion(
    design: Sample,
    y: Variable,
    *,
    by: Names | None = None,
    method: Method = "logit",
    prob: float = 0.95,
) -> Direct:
    """Estimate proportions of a 0/1 variable, with intervals made for proportions.

    Parameters
    ----------
    method : {"logit", "wilson", "beta", "likelihood", "xlogit", "asin", "mean"}
        See `inegnum.numerics.proportions.proportion_interval`.
    """
    values = design.values(y)
    if not np.isin(values, (0.0, 1.0)).all():
        raise InputError(
            "a proportion needs a 0/1 variable",
            got=f"values from {values.min():g} to {values.max():g}",
            hint="use mean()",
        )
    plain = mean(design, values, by=by, prob=prob)
    t = plain.table
    low, high = proportion_interval(
        np.clip(t["est"], 0, 1), t["se"], t["n"], df=plain.df, method=method, prob=prob
    )
    return Direct(t.assign(lower=low, upper=high), plain.covariance, plain.df, prob)


def ratio(
    design: Sample, y: Variable, x: Variable, *, by: Names | None = None, prob: float = 0.95
) -> Direct:
    """Estimate ratios of totals ``sum w y / sum w x``, overall or by domain."""
    where = _domains(design, by)
    nothing = np.full(where.size, np.nan)
    return _ratio(design, where, design.values(y), design.values(x), nothing, prob)


@dataclass(frozen=True, slots=True)
class _Domains:
    """Which domain each row is in.

    Attributes
    ----------
    codes : ndarray of shape (n,)
    table : DataFrame of D rows
    """

    codes: Ints
    table: pd.DataFrame

    @property
    def size(self) -> int:
        return len(self.table)

    def spread(self, z: Floats) -> sparse.csc_array:
        """Return z in the column of its domain, shape (n, D)."""
        rows = np.arange(self.codes.size)
        return sparse.csc_array((z, (rows, self.codes)), shape=(rows.size, self.size))

    def sum(self, z: Floats, replicates: Floats) -> Floats:
        """Return replicated totals of z by domain, shape (R, D)."""
        return np.asarray((self.spread(z).T @ replicates).T)


def _domains(design: Sample, by: Names | None) -> _Domains:
    """Return the domains that hold weight."""
    n = design.weights.size
    if by is None:
        return _Domains(np.zeros(n, dtype=np.intp), pd.DataFrame(index=[0]))
    codes, table = domain_codes(design.data, by)
    found = np.bincount(codes, design.weights != 0, len(table)) > 0
    # Rows of empty domains weigh nothing: wherever they are counted they add nothing.
    place = np.where(found, np.cumsum(found) - 1, 0)
    return _Domains(np.asarray(place[codes], dtype=np.intp), table[found].reset_index(drop=True))


def _ratio(
    design: Sample, where: _Domains, y: Floats, x: Floats, simple: Floats, prob: float
) -> Direct:
    top, bottom = (np.bincount(where.codes, design.weights * v, where.size) for v in (y, x))
    if np.any(bottom == 0):
        empty = where.table[bottom == 0].head().to_dict("records")
        raise InputError("a ratio's denominator is zero", got=empty or "all rows")
    est = top / bottom
    if isinstance(design, Replicates):
        bottoms = where.sum(x, design.replicates)
        if np.any(bottoms == 0):
            raise InputError(
                "a domain is empty in some replicate",
                got=where.table[np.any(bottoms == 0, axis=0)].head().to_dict("records"),
                hint="merge small domains, or use a bootstrap that keeps all units (rescaled)",
            )
        theta = where.sum(y, design.replicates) / bottoms
        spread = _replicated(design, theta, est)
    else:
        z = (y - est[where.codes] * x) / bottom[where.codes]
        spread = variances(design, where.spread(z))
    return _finished(design, where, est, spread, simple, prob)


def _replicated(design: Replicates, theta: Floats, est: Floats) -> Spread:
    covariance = design.covariance(theta, est)
    return covariance, np.diag(covariance).copy()


def _simple_mean(w: Floats, where: _Domains, y: Floats) -> Floats:
    """Return variances of means under simple random sampling without replacement, shape (D,).

    The population is the sum of weights of the sample, the population variance that of the domain
    (``survey::svymean``'s deff).
    """
    codes, size = where.codes, where.size
    n, persons = np.bincount(codes, w != 0, size), np.bincount(codes, w, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        est = np.bincount(codes, w * y, size) / persons
        spread = np.bincount(codes, w * (y - est[codes]) ** 2, size) / persons * n / (n - 1)
        return np.asarray(spread / n * (persons - n) / persons)


def _simple_total(w: Floats, where: _Domains, y: Floats) -> Floats:
    persons = np.bincount(where.codes, w, where.size)
    return np.asarray(_simple_mean(w, where, y) * persons**2)


def _finished(
    design: Sample,
    where: _Domains,
    est: Floats,
    spread: Spread,
    simple: Floats,
    prob: float,
) -> Direct:
    if not 0 < prob < 1:
        raise InputError("an interval needs a mass between 0 and 1", where="prob", got=prob)
    covariance, variance = spread
    se = np.sqrt(variance)
    half = float(special.ndtri(0.5 + prob / 2)) * se
    with np.errstate(invalid="ignore", divide="ignore"):
        cv = np.where(est != 0, se / np.abs(est), np.nan)
        deff = np.where(simple > 0, variance / simple, np.nan)
    table = where.table.assign(
        est=est,
        se=se,
        cv=cv,
        lower=est - half,
        upper=est + half,
        n=np.bincount(where.codes, design.weights != 0, est.size).astype(np.int64),
        deff=deff,
    )
    return Direct(table.reset_index(drop=True), covariance, design.df, prob)


def variances(design: Design, linear: sparse.csc_array) -> Spread:
    """Return the covariance matrix (None for many domains) and variances of linearised totals."""
    count = linear.shape[1]
    if count <= _MANY:
        covariance = design.covariance(linear.toarray())
        return covariance, np.diag(covariance).copy()
    plain = len(design.stages) == 1 and not np.any(design.stages[0].count == 1)
    if not plain:
        parts = [
            np.diag(design.covariance(linear[:, at : at + _MANY].toarray()))
            for at in range(0, count, _MANY)
        ]
        return None, np.concatenate(parts)
    return None, _many(design, linear)


def _many(design: Design, linear: sparse.csc_array) -> Floats:
    state, stage = design.calibration, design.stages[0]
    if state is None:
        return domain_variances(linear, design.weights, None, None, stage)
    x, coefficients = state.regression(linear, design.weights)
    return domain_variances(linear, design.weights, x, coefficients, stage)
