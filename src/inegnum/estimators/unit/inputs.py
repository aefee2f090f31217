"""What the unit-level estimators read: a sample of units, area means, a census of covariates.

Build them from arrays here, or from tables and a formula with `inegnum.estimators.unit.reading`.
Whatever the door, bad input stops at these types, by name, before any number is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError
from inegnum.numerics.bhf import Design, make_design

if TYPE_CHECKING:
    from formulaic import ModelSpec

__all__ = ["AreaMeans", "Census", "UnitSample", "area_codes"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class UnitSample:
    """Respondents: one response and covariates each, in areas.

    Attributes
    ----------
    y : ndarray of shape (n,)
        Response.
    X : ndarray of shape (n, p)
        Covariates, the constant included when the model has one.
    area : ndarray of shape (n,)
        Position of each respondent's area in `geo`.
    geo : tuple of m str
        Sampled areas.
    names : tuple of p str
        Columns of X.
    weights : ndarray of shape (n,), optional
        Survey weights (only the methods that say so use them).
    precision : ndarray of shape (n,), optional
        Known factors a of the unit variance ``sigma2_e / a``.
    spec : formulaic ModelSpec, optional
        How X was made from a table, to make a census the same way.
    """

    y: Floats
    X: Floats
    area: Ints
    geo: tuple[str, ...]
    names: tuple[str, ...]
    weights: Floats | None = None
    precision: Floats | None = None
    spec: ModelSpec | None = None

    def __post_init__(self) -> None:
        n = len(self.y)
        if self.X.shape != (n, len(self.names)) or self.area.shape != (n,):
            raise InputError(
                "a sample is ragged",
                got=f"y {self.y.shape}, X {self.X.shape}, area {self.area.shape}",
                expected=f"n = {n} rows and {len(self.names)} named columns",
            )
        _require_finite(self.y, "the response")
        if not np.isfinite(self.X).all():
            for name, column in zip(self.names, self.X.T, strict=True):
                _require_finite(column, f"covariate {name}")
        for name, values in (("weights", self.weights), ("precision", self.precision)):
            if values is None:
                continue
            if values.shape != (n,):
                raise InputError(f"{name} do not match the sample", got=values.shape, expected=(n,))
            _require_finite(values, name)
            if (values <= 0).any():
                raise InputError(
                    f"{name} must be positive",
                    where=f"row {int(np.argmax(values <= 0))}",
                    got=float(values.min()),
                    hint="leave out units of zero weight",
                )

    @classmethod
    def from_arrays(
        cls,
        y: npt.ArrayLike,
        X: npt.ArrayLike,
        area: Sequence[object] | npt.NDArray[np.generic],
        *,
        names: Sequence[str] = (),
        weights: npt.ArrayLike | None = None,
        precision: npt.ArrayLike | None = None,
    ) -> Self:
        """Build a sample from arrays; X holds its own constant column if there is to be one.

        Examples
        --------
        >>> s = UnitSample.from_arrays([1.0, 2.0], [[1.0], [1.0]], ["33063", "33281"])
        >>> s.geo, s.names
        (('33063', '33281'), ('x0',))
        """
        matrix = np.asarray(X, dtype=np.float64)
        if matrix.ndim != 2:
            raise InputError("covariates must be a matrix", got=matrix.shape, expected="(n, p)")
        codes, geo = area_codes(pd.Series(np.asarray(area)), "area")
        labels = tuple(names) or tuple(f"x{j}" for j in range(matrix.shape[1]))
        return cls(
            np.asarray(y, dtype=np.float64),
            matrix,
            codes,
            geo,
            labels,
            None if weights is None else np.asarray(weights, dtype=np.float64),
            None if precision is None else np.asarray(precision, dtype=np.float64),
        )

    def design(self, *, precision: bool = True) -> Design:
        """Reduce the covariates for the nested error regression."""
        a = self.precision if precision else None
        return make_design(self.X, self.area, len(self.geo), a=a, names=self.names)

    def positions(self, geo: Sequence[str]) -> Ints:
        """Return where each of these areas stands in the sample, -1 for those without sample."""
        index = {code: i for i, code in enumerate(self.geo)}
        return np.array([index.get(code, -1) for code in geo], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class AreaMeans:
    """Population means of the covariates by area, the constant included.

    Attributes
    ----------
    geo : tuple of D str
        Areas to estimate, each once; those without sample get a synthetic estimate.
    X : ndarray of shape (D, p)
        Means over all units of the area, columns as in the sample.
    N : ndarray of shape (D,), optional
        Units of the area; without it the sampling fraction counts as zero.
    """

    geo: tuple[str, ...]
    X: Floats
    N: Floats | None = None

    def __post_init__(self) -> None:
        D = len(self.geo)
        if self.X.ndim != 2 or len(self.X) != D:
            raise InputError("area means are ragged", got=self.X.shape, expected=(D, "p"))
        twice = pd.Series(self.geo).duplicated()
        if twice.any():
            raise InputError(
                "an area stands twice in the area means",
                got=", ".join(pd.Series(self.geo)[twice].head()),
                expected="one row per area",
            )
        missing = ~np.isfinite(self.X).all(axis=1)
        if missing.any():
            raise InputError(
                "covariates are missing for an area",
                where=", ".join(np.array(self.geo)[missing][:5]),
                expected="finite population means",
                hint="leave these areas out, or estimate them without these covariates",
            )
        if self.N is not None:
            if self.N.shape != (D,):
                raise InputError("area sizes are ragged", got=self.N.shape, expected=(D,))
            bad = ~(np.isfinite(self.N) & (self.N >= 1))
            if bad.any():
                raise InputError(
                    "an area size is missing or below one",
                    where=", ".join(np.array(self.geo)[bad][:5]),
                    got=self.N[bad][:5].tolist(),
                )

    def match(self, sample: UnitSample) -> tuple[Ints, tuple[str, ...]]:
        """Return positions in the sample and notes; refuse areas smaller than their sample."""
        if self.X.shape[1] != len(sample.names):
            raise InputError(
                "area means and sample do not have the same covariates",
                got=f"{self.X.shape[1]} columns",
                expected=f"{len(sample.names)}: {', '.join(sample.names)}",
            )
        at = sample.positions(self.geo)
        n = np.bincount(sample.area, minlength=len(sample.geo))
        if self.N is not None:
            over = (at >= 0) & (n[at] > self.N)
            if over.any():
                i = int(np.argmax(over))
                raise InputError(
                    "an area has more respondents than units",
                    where=self.geo[i],
                    got=f"{n[at[i]]} respondents, N = {self.N[i]:g}",
                    hint="N counts all units of the area, sampled ones included",
                )
        return at, _coverage_notes(sample, at)


@dataclass(frozen=True, slots=True)
class Census:
    """Covariates of every unit (or cell of units) of the areas to estimate.

    Attributes
    ----------
    geo : tuple of D str
        Areas.
    area : ndarray of shape (R,)
        Position of each row's area in `geo`.
    X : ndarray of shape (R, p)
        Covariates, columns as in the sample.
    count : ndarray of shape (R,)
        Persons (or any size measure) each row stands for; 1 for units.
    domains : tuple of str
        What estimates are for; the areas themselves unless given.
    domain : ndarray of shape (R,)
        Position of each row's domain in `domains`.
    """

    geo: tuple[str, ...]
    area: Ints
    X: Floats
    count: Floats
    domains: tuple[str, ...] = ()
    domain: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        R = len(self.area)
        if not self.domains:
            object.__setattr__(self, "domains", self.geo)
            object.__setattr__(self, "domain", self.area)
        for what, codes, labels in (
            ("area", self.area, self.geo),
            ("domain", self.domain, self.domains),
        ):
            if codes.shape != (R,) or (np.bincount(codes, minlength=len(labels)) == 0).any():
                raise InputError(f"a census has rows without {what}, or a {what} without rows")
        if self.X.shape[0] != R or self.count.shape != (R,):
            raise InputError("a census is ragged", got=(R, self.X.shape, self.count.shape))
        if not np.isfinite(self.X).all():
            rows = np.flatnonzero(~np.isfinite(self.X).all(axis=1))
            raise InputError(
                "covariates are missing in the census",
                where=f"rows {rows[:5].tolist()} (areas {self.geo[self.area[rows[0]]]}, ...)",
                hint="a suppressed cell is missing, never zero: build the census without it",
            )
        if not (np.isfinite(self.count) & (self.count > 0)).all():
            raise InputError("counts of a census must be positive", got=float(self.count.min()))

    def means(self) -> AreaMeans:
        """Return the means of the covariates and the sizes of the areas."""
        D = len(self.geo)
        N = np.bincount(self.area, self.count, D)
        sums = [np.bincount(self.area, self.count * x, D) for x in self.X.T]
        return AreaMeans(self.geo, np.stack(sums, 1) / N[:, None], N)


def _require_finite(values: Floats, what: str) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(
            f"{what} is missing or infinite",
            where=f"rows {np.flatnonzero(bad)[:5].tolist()} of the sample",
            got=f"{int(bad.sum())} of {len(values)} values",
            hint="remove these respondents, or impute them and say so; nothing is dropped silently",
        )


def area_codes(column: pd.Series, what: str) -> tuple[Ints, tuple[str, ...]]:
    """Return positions and text labels of areas, in sorted order."""
    if column.isna().any():
        raise InputError(
            "a unit has no area",
            where=f"column {what}, rows {np.flatnonzero(column.isna())[:5].tolist()}",
        )
    if pd.api.types.is_float_dtype(column):
        raise InputError(
            "area codes are numbers with decimals",
            where=f"column {what}",
            got=column.iloc[0],
            expected="text codes such as 33063",
            hint="read the column as text: a code loses its zeros otherwise",
        )
    codes, labels = pd.factorize(column, sort=True)
    return codes.astype(np.int64), tuple(str(label) for label in labels)


def _coverage_notes(sample: UnitSample, at: Ints) -> tuple[str, ...]:
    notes = []
    absent = sorted(set(range(len(sample.geo))) - set(at.tolist()))
    if absent:
        notes.append(
            f"{len(absent)} sampled areas inform the fit but are not among the areas to estimate "
            f"({', '.join(sample.geo[i] for i in absent[:5])}{', ...' if len(absent) > 5 else ''})"
        )
    if (at < 0).any():
        notes.append(f"{int((at < 0).sum())} areas have no sample: their estimate is synthetic")
    return tuple(notes)
