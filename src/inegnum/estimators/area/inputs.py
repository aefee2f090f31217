"""Evidence of area-level models: direct estimates, their variances, covariates.

Two ways in, the same object: `AreaData(...)` takes arrays, `AreaData.from_formula` a table and a
formula. Whatever a model could silently turn into a wrong number is refused here, once: missing or
non-positive sampling variances, areas that stand twice, covariates that are missing, constant or
collinear, fewer areas than covariates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError, nearest

__all__ = ["AreaData", "named"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def named(geo: npt.NDArray[np.object_], where: Mask) -> str:
    """Return up to five names of the areas where a mask holds."""
    at = np.flatnonzero(where)
    return ", ".join(str(geo[i]) for i in at[:5]) + (
        f" and {len(at) - 5} more" if len(at) > 5 else ""
    )


@dataclass(frozen=True)
class AreaData:
    """Direct estimates of m areas out of M, and covariates of all M.

    Attributes
    ----------
    y : ndarray of shape (M,)
        Direct estimates; missing where an area has none (it gets a synthetic estimate).
    X : ndarray of shape (M, p)
        Covariates, the column of ones included.
    D : ndarray of shape (M,)
        Sampling variances, positive; missing exactly where `y` is.
    geo : ndarray of M str
        Codes of the areas, as text.
    terms : tuple of p str
    n : ndarray of shape (M,)
        Respondents; missing when unknown.

    Raises
    ------
    InputError
        The evidence cannot be used; the message names the areas or the columns.

    Examples
    --------
    >>> data = AreaData([0.5, 0.7, 0.6], [[1.0], [1.0], [1.0]], [0.01, 0.02, 0.01])
    >>> len(data), data.p
    (3, 1)
    """

    y: Floats
    X: Floats
    D: Floats
    geo: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, dtype=object))
    terms: tuple[str, ...] = ()
    n: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        y = np.asarray(self.y, dtype=np.float64).reshape(-1)
        X = np.asarray(self.X, dtype=np.float64)
        X = X[:, None] if X.ndim == 1 else X
        D = np.asarray(self.D, dtype=np.float64).reshape(-1)
        M = len(y)
        geo = np.asarray(self.geo, dtype=object)
        geo = geo if geo.size else np.array([str(i + 1) for i in range(M)], dtype=object)
        n = np.asarray(self.n, dtype=np.float64)
        n = n if n.size else np.full(M, np.nan)
        terms = tuple(self.terms) or tuple(f"x{j}" for j in range(X.shape[1]))
        for name, size in (("X", X.shape[0]), ("D", len(D)), ("geo", len(geo)), ("n", len(n))):
            if size != M:
                raise InputError(
                    "the arrays of area-level data have different lengths",
                    where=name,
                    got=size,
                    expected=M,
                )
        if len(terms) != X.shape[1]:
            raise InputError("terms do not match the covariates", got=terms, expected=X.shape[1])
        for name, value in (("y", y), ("X", X), ("D", D), ("geo", geo), ("n", n), ("terms", terms)):
            object.__setattr__(self, name, value)
        _check_geo(geo)
        _check_direct(y, D, geo)
        _check_covariates(X, self.sampled, geo, terms)

    @classmethod
    def from_formula(
        cls,
        formula: str,
        table: pd.DataFrame,
        *,
        variance: str,
        geo: str,
        n: str | None = None,
    ) -> AreaData:
        """Read a formula such as ``"rate ~ over_60 + C(urban)"`` against a table of areas.

        Parameters
        ----------
        formula : str
            Wilkinson formula (formulaic); an intercept is added unless ``- 1``.
        table : DataFrame
            One row per area.
        variance, geo, n : str
            Columns of the sampling variance, the code and the number of respondents.

        Examples
        --------
        >>> t = pd.DataFrame({"g": list("abc"), "r": [0.5, 0.6, None], "v": [0.01, 0.01, None]})
        >>> data = AreaData.from_formula("r ~ 1", t, variance="v", geo="g")
        >>> data.terms, data.sampled.tolist()
        (('Intercept',), [True, True, False])
        """
        from formulaic import Formula

        parsed: Any = Formula(formula)
        if not hasattr(parsed, "rhs"):
            raise InputError(
                "a formula lacks its left-hand side",
                got=formula,
                expected="direct_estimate ~ covariates",
            )
        needed = {str(v) for v in parsed.required_variables}
        for column in (*sorted(needed), variance, geo, *([n] if n else [])):
            if column not in table.columns:
                raise InputError(
                    "a column is missing from the table of areas",
                    got=column,
                    hint=nearest(column, map(str, table.columns)),
                )
        left = {str(v) for v in parsed.lhs.required_variables}
        codes = table[geo].to_numpy(dtype=object)
        for column in sorted(needed - left):
            blank = table[column].isna().to_numpy()
            if blank.any():
                raise _missing_covariate(column, named(codes, blank))
        frame = table.reset_index(drop=True)
        y = parsed.lhs.get_model_matrix(frame, na_action="ignore")
        X = parsed.rhs.get_model_matrix(frame, na_action="ignore")
        return cls(
            np.asarray(y, dtype=np.float64)[:, 0],
            np.asarray(X, dtype=np.float64),
            frame[variance].to_numpy(dtype=np.float64, na_value=np.nan),
            codes,
            tuple(map(str, X.columns)),
            np.empty(0) if n is None else frame[n].to_numpy(dtype=np.float64, na_value=np.nan),
        )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def p(self) -> int:
        """Number of covariates, the intercept included."""
        return int(self.X.shape[1])

    @cached_property
    def sampled(self) -> Mask:
        """Areas with a direct estimate, shape (M,)."""
        return ~np.isnan(self.y)


def _missing_covariate(term: str, areas: str) -> InputError:
    return InputError(
        "a covariate is missing",
        where=f"{term}, area {areas}",
        expected="a value for every area, sampled or not",
        hint="leave the area out or complete the covariate; nothing is imputed here",
    )


def _check_geo(geo: npt.NDArray[np.object_]) -> None:
    not_text = np.array([not isinstance(g, str) for g in geo], dtype=bool)
    if not_text.any():
        raise InputError(
            "codes of areas must be text",
            where=named(geo, not_text),
            got=type(geo[not_text][0]).__name__,
            hint="01004 and 1004 are not the same commune: read codes as str",
        )
    values, counts = np.unique(geo.astype(str), return_counts=True)
    if (counts > 1).any():
        raise InputError(
            "an area stands twice",
            where=", ".join(values[counts > 1][:5]),
            expected="one row per area",
            hint="combine its rows before, with their covariance",
        )


def _check_direct(y: Floats, D: Floats, geo: npt.NDArray[np.object_]) -> None:
    if np.isinf(y).any():
        raise InputError("a direct estimate is infinite", where=named(geo, np.isinf(y)))
    sampled = ~np.isnan(y)
    blank = sampled & ~np.isfinite(D)
    if blank.any():
        raise InputError(
            "a sampling variance is missing",
            where=f"area {named(geo, blank)}",
            expected="a positive variance for every direct estimate",
            hint="smooth the variances (smooth_variances), or set the direct estimate to missing",
        )
    bad = sampled & (D <= 0)
    if bad.any():
        raise InputError(
            "a sampling variance is zero or negative",
            where=f"area {named(geo, bad)}",
            got=float(D[bad][0]),
            expected="a positive variance",
            hint="a variance of zero comes from a sample without variation (0 % or 100 %): "
            "smooth the variances (smooth_variances)",
        )


def _check_covariates(
    X: Floats, sampled: Mask, geo: npt.NDArray[np.object_], terms: tuple[str, ...]
) -> None:
    for j, term in enumerate(terms):
        blank = ~np.isfinite(X[:, j])
        if blank.any():
            raise _missing_covariate(term, named(geo, blank))
    m, p = int(sampled.sum()), X.shape[1]
    if m <= p:
        raise InputError(
            "there are not more areas than coefficients",
            got=f"{m} areas with a direct estimate, {p} coefficients",
            expected="more areas than coefficients",
            hint="drop covariates or use wider areas as evidence",
        )
    _check_rank(X[sampled], terms)


def _check_rank(X: Floats, terms: tuple[str, ...]) -> None:
    """Name each column that is constant zero or a combination of those before it."""
    scale = np.linalg.norm(X, axis=0)
    zero = [terms[j] for j in np.flatnonzero(scale == 0)]
    if not zero:
        R = np.abs(np.diag(np.linalg.qr(X / scale, mode="r")))
        # A unit column whose part outside the others is under 1e-9 leaves no digit to a
        # coefficient computed from sums of squares (1e-9 squared is below double precision).
        zero = [terms[j] for j in np.flatnonzero(R < 1e-9)]
    if zero:
        raise InputError(
            "covariates are constant or collinear among the areas with a direct estimate",
            where=", ".join(zero),
            hint="drop these columns: each is zero or a combination of the columns before it "
            "(a constant repeats the intercept)",
        )
