"""What every small-area estimator returns: one table of areas, its model and its error law.

Whatever the method (area level, unit level, synthetic, composite), a map, a benchmark, a check or
an export reads the same object. Points and mean squared errors stand in `AreaEstimates.table`; the
joint law of the prediction errors stands beside them (`ErrorLaw`), so that differences, ranks and
aggregates can be computed draw by draw and never by adding standard errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.draws import Draws
from inegnum.errors import InputError, nearest
from inegnum.estimators.error_law import ErrorLaw, Link, from_rate_scale, to_rate_scale

__all__ = [
    "COLUMNS",
    "AreaEstimates",
    "ErrorLaw",
    "Link",
    "area_table",
    "compare",
    "from_rate_scale",
    "to_rate_scale",
]

Floats = npt.NDArray[np.float64]

COLUMNS: Final = (
    "geo",
    "est",
    "se",
    "mse",
    "cv",
    "lower",
    "upper",
    "direct",
    "direct_se",
    "synthetic",
    "gamma",
    "basis",
    "n",
)
_OPTIONAL: Final = ("direct", "direct_se", "synthetic", "gamma", "basis", "n")


@dataclass(frozen=True, slots=True)
class AreaEstimates:
    """Estimates of a set of areas by one method.

    Attributes
    ----------
    table : DataFrame
        One row per area, columns `COLUMNS`: estimate, standard error (square root of the MSE),
        MSE, coefficient of variation, bounds of the 95 % interval, the direct estimate and its
        standard error, the synthetic part, the weight `gamma` of the direct estimate, `basis`
        (direct, model, synthetic or composite) and respondents `n`. What does not exist is
        missing, never zero.
    coefficients : DataFrame
        ``term, beta, se, z, p``.
    variance : mapping
        Variance components by name, for instance ``{"sigma2_u": 0.02, "rho": 0.6}``.
    method : str
        Estimator and MSE, in words.
    criteria : mapping
        ``loglik, AIC, BIC, KIC`` when the method has a likelihood.
    notes : tuple of str
        What a reader must know (zero variance, areas without direct estimate, ...).
    law : ErrorLaw, optional
        Joint law of the areas; missing when no MSE was computed.
    """

    table: pd.DataFrame
    coefficients: pd.DataFrame
    variance: Mapping[str, float]
    method: str
    criteria: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    law: ErrorLaw | None = None

    def __post_init__(self) -> None:
        missing = [column for column in COLUMNS if column not in self.table.columns]
        if missing:
            raise InputError(
                "a table of estimates lacks columns",
                where=self.method,
                got=", ".join(map(str, self.table.columns)),
                expected=", ".join(COLUMNS),
                hint="build it with area_table",
            )
        if self.law is not None and len(self.law.center) != len(self.table):
            raise InputError(
                "the error law and the table do not have the same areas",
                got=len(self.law.center),
                expected=len(self.table),
            )

    def __len__(self) -> int:
        return len(self.table)

    def draws(self, S: int = 1000, seed: int | np.random.Generator = 0) -> Draws:
        """Draw the areas jointly, normal on the model's scale.

        Parameters
        ----------
        S : int
            Number of draws.
        seed : int or Generator
            Same seed, same draws.

        Returns
        -------
        Draws
            Items ``geo``; the point is the estimate of the table.

        Raises
        ------
        InputError
            The method computed no mean squared error.
        """
        if self.law is None or not np.isfinite(self.law.mse).all():
            raise InputError(
                "these estimates carry no uncertainty to draw from",
                where=self.method,
                hint="fit again with a mean squared error (argument mse)",
            )
        values = self.law.sample(S, np.random.default_rng(seed))
        point = self.table["est"].to_numpy(np.float64)
        return Draws(values, self.table[["geo"]].copy(), point)

    def interval(self, prob: float = 0.95) -> tuple[Floats, Floats]:
        """Return bounds of the interval of mass `prob`, shape (m,) each."""
        if self.law is None:
            missing = np.full(len(self.table), np.nan)
            return missing, missing.copy()
        return self.law.interval(prob)


def area_table(
    geo: Sequence[str] | npt.NDArray[np.object_],
    est: Floats,
    *,
    mse: Floats | None = None,
    law: ErrorLaw | None = None,
    columns: Mapping[str, object] | None = None,
) -> pd.DataFrame:
    """Build the table of an `AreaEstimates`.

    Parameters
    ----------
    geo : sequence of m str
        Areas, each once.
    est, mse : ndarray of shape (m,)
        Estimates and mean squared errors on the target's scale.
    law : ErrorLaw, optional
        Gives the bounds; without it they are ``est -+ 1.96 se``.
    columns : mapping, optional
        Any of ``direct, direct_se, synthetic, gamma, basis, n``; the rest is missing.

    Examples
    --------
    >>> t = area_table(["a", "b"], np.array([0.5, 0.6]), mse=np.array([0.01, 0.04]))
    >>> t["se"].round(2).tolist(), t["n"].isna().all()
    ([0.1, 0.2], np.True_)
    """
    given = dict(columns or {})
    unknown = [name for name in given if name not in _OPTIONAL]
    if unknown:
        raise InputError(
            "a column of the table of estimates has an unknown name",
            got=", ".join(unknown),
            hint=nearest(unknown[0], _OPTIONAL),
        )
    m = len(est)
    mse_ = np.full(m, np.nan) if mse is None else np.asarray(mse, dtype=np.float64)
    if (mse_ < 0).any():
        raise InputError(
            "a mean squared error is negative",
            where=", ".join(str(geo[i]) for i in np.flatnonzero(mse_ < 0)[:5]),
            got=float(np.nanmin(mse_)),
            hint="the approximation fails here; use a bootstrap MSE",
        )
    se = np.sqrt(mse_)
    if law is None:
        lower, upper = est - 1.959963984540054 * se, est + 1.959963984540054 * se
    else:
        lower, upper = law.interval(0.95)
    with np.errstate(divide="ignore", invalid="ignore"):
        cv = np.where(est != 0, se / np.abs(est), np.nan)
    fixed = {
        "geo": np.asarray(geo, dtype=object),
        "est": est,
        "se": se,
        "mse": mse_,
        "cv": cv,
        "lower": lower,
        "upper": upper,
    }
    missing = np.full(m, np.nan)
    rest = {name: given.get(name, "model" if name == "basis" else missing) for name in COLUMNS[7:]}
    return pd.DataFrame({**fixed, **rest})


def compare(
    a: AreaEstimates, b: AreaEstimates, direct: AreaEstimates | None = None
) -> pd.DataFrame:
    """Put two sets of estimates side by side, with the direct estimates when they exist.

    Parameters
    ----------
    a, b : AreaEstimates
        Estimates of the same target by two methods.
    direct : AreaEstimates, optional
        Direct estimates; without it the column ``direct`` of `a` is used.

    Returns
    -------
    DataFrame
        ``geo, direct, direct_se, a, a_se, b, b_se, difference, relative, se_ratio``: the difference
        is ``b - a``, relative to `a`; ``se_ratio`` is the standard error of `b` over that of `a`.
        Areas of either set are kept; what one lacks is missing.

    Raises
    ------
    InputError
        The two sets have no area in common.
    """
    left = a.table[["geo", "est", "se", "direct", "direct_se"]].rename(
        columns={"est": "a", "se": "a_se"}
    )
    right = b.table[["geo", "est", "se"]].rename(columns={"est": "b", "se": "b_se"})
    if not set(left["geo"]) & set(right["geo"]):
        raise InputError(
            "two sets of estimates have no area in common",
            got=f"{left['geo'].head(3).tolist()} and {right['geo'].head(3).tolist()}",
            hint="codes are text and of one geographic vintage",
        )
    if direct is not None:
        given = direct.table[["geo", "est", "se"]]
        given = given.rename(columns={"est": "direct", "se": "direct_se"})
        left = left.drop(columns=["direct", "direct_se"]).merge(given, on="geo", how="left")
    both = left.merge(right, on="geo", how="outer", sort=False)
    both["difference"] = both["b"] - both["a"]
    both["relative"] = both["difference"] / both["a"].where(both["a"] != 0)
    both["se_ratio"] = both["b_se"] / both["a_se"].where(both["a_se"] > 0)
    names = ["geo", "direct", "direct_se", "a", "a_se", "b", "b_se"]
    return both[[*names, "difference", "relative", "se_ratio"]]
