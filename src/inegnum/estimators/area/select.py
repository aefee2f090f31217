"""Stepwise choice of covariates of a Fay-Herriot model, by an information criterion.

Fits are by maximum likelihood: restricted likelihoods of different covariates do not compare. KIC
(Marhuenda et al. 2014) penalises more than AIC and was made for these models.

Limits
    A chosen model is reported with intervals that ignore the choice: they are too narrow, the more
    so the more candidates there were.

References
----------
    Marhuenda, Morales and Pardo (2014) doi:10.1016/j.csda.2013.09.016.

Must match R ``emdi::step.fh`` on the path by AIC, BIC and KIC.
"""

from __future__ import annotations

from typing import Literal

import pandas as pd

from inegnum.errors import InputError
from inegnum.estimators.area.fay_herriot import fay_herriot
from inegnum.estimators.area.inputs import AreaData

__all__ = ["choose_covariates"]


def _with(data: AreaData, columns: list[int]) -> AreaData:
    terms = tuple(data.terms[j] for j in columns)
    return AreaData(data.y, data.X[:, columns], data.D, data.geo, terms, data.n)


def choose_covariates(
    data: AreaData, *, criterion: Literal["AIC", "BIC", "KIC"] = "KIC", keep: int = 1
) -> tuple[AreaData, pd.DataFrame]:
    """Drop or take back one covariate at a time while the criterion falls.

    Parameters
    ----------
    data : AreaData
        With every candidate; columns of one factor are candidates one by one.
    criterion : {"AIC", "BIC", "KIC"}
    keep : int
        The first columns, never dropped (the intercept).

    Returns
    -------
    data : AreaData
        With the columns chosen.
    path : DataFrame
        ``step, change, value``: the criterion after each change.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(2)
    >>> X = np.column_stack([np.ones(60), rng.normal(size=(60, 3))])
    >>> y = X @ [1, 1, 0, 0] + rng.normal(0, 0.3, 60)
    >>> chosen, path = choose_covariates(AreaData(y, X, np.full(60, 0.05)))
    >>> chosen.terms
    ('x0', 'x1')
    """
    if criterion not in ("AIC", "BIC", "KIC"):
        raise InputError("an unknown criterion", where="criterion", got=criterion)

    def value(columns: list[int]) -> float:
        return fay_herriot(_with(data, columns), method="ml", mse="none").criteria[criterion]

    current = list(range(data.p))
    best = value(current)
    path: list[tuple[int, str, float]] = [(0, "all", best)]
    while True:
        tries: dict[str, list[int]] = {}
        for j in range(keep, data.p):
            if j in current and len(current) > 1:
                tries[f"- {data.terms[j]}"] = [k for k in current if k != j]
            elif j not in current:
                tries[f"+ {data.terms[j]}"] = sorted([*current, j])
        if not tries:
            break
        values = {change: value(columns) for change, columns in tries.items()}
        change = min(values, key=lambda name: values[name])
        # A fall under 1e-8 is rounding: without this bound two models could alternate.
        if values[change] >= best - 1e-8:
            break
        current, best = tries[change], values[change]
        path.append((len(path), change, best))
    return _with(data, current), pd.DataFrame(path, columns=["step", "change", "value"])
