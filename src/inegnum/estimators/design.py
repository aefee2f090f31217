"""A sample and how it was drawn: what every design-based estimate and variance starts from.

Calibration state is part of it: when `weights` is a `Calibration`, every variance computed from the
design is that of calibration residuals.

Assumptions: stages are nested and weights are known. Limits: two-phase designs and joint inclusion
probabilities are not covered. R: ``survey::svydesign``, ``as.svrepdesign``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError, nearest
from inegnum.estimators.calibration.encode import (
    Columns,
    as_columns,
    column,
    factor,
    numeric,
    require_same_rows,
    weights_of,
)
from inegnum.estimators.calibration.result import Calibration
from inegnum.numerics.variance import Lonely, Stage, nested_stages, stage_covariance

__all__ = ["Design", "survey_design"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Names = str | Sequence[str]


@dataclass(frozen=True)
class Design:
    """A sample with weights, stages of sampling and calibration state.

    Attributes
    ----------
    data : DataFrame or dict of arrays
    weights : ndarray of shape (n,)
        Weights of estimates (calibrated, if they are).
    stages : tuple of Stage
    lonely : {"fail", "remove", "certainty", "adjust", "average"}
        Rule for strata with a single sampling unit.
    calibration : Calibration or None
        State that variances residualise with.
    """

    data: Columns
    weights: Floats
    stages: tuple[Stage, ...]
    lonely: Lonely
    calibration: Calibration | None = None

    def __repr__(self) -> str:
        first = self.stages[0]
        calibrated = ", calibrated" if self.calibration is not None else ""
        return (
            f"Design({self.weights.size} units, {first.stratum.size} sampling units in "
            f"{first.count.size} strata, {len(self.stages)} stage(s){calibrated})"
        )

    @property
    def df(self) -> float:
        """Degrees of freedom: sampling units less strata, of the first stage, where weights are."""
        first = self.stages[0]
        live = np.bincount(first.cluster, self.weights > 0, first.stratum.size) > 0
        return float(live.sum() - np.unique(first.stratum[live]).size)

    def values(self, y: str | npt.ArrayLike) -> Floats:
        """Return a variable, by name or as it is, shape (n,)."""
        return column_values(self.data, y, self.weights)

    def covariance(self, linear: Floats) -> Floats:
        """Return the covariance of the totals of linearised variables.

        Parameters
        ----------
        linear : ndarray of shape (n, k)
            Linearised values z: the variance is that of ``sum w z``.
        """
        u = self.weights[:, None] * linear
        if self.calibration is not None:
            u = self.calibration.residualise(u)
        return stage_covariance(u, self.stages, self.lonely)

    def where(self, rows: npt.ArrayLike) -> Design:
        """Return the design restricted to some rows, as a domain: the others weigh nothing.

        Dropping rows instead would lose the sampling units in which the domain is empty.
        """
        mask = np.asarray(rows, dtype=bool)
        if mask.shape != self.weights.shape:
            raise InputError("a mask and the design differ in length", got=mask.shape)
        weights = np.where(mask, self.weights, 0.0)
        return Design(self.data, weights, self.stages, self.lonely, self.calibration)

    def reweighted(self, weights: npt.ArrayLike) -> Design:
        """Return the same design with other weights (trimmed, for instance)."""
        new = weights_of(self.data, weights, self.weights.size)
        assert new is not None
        return Design(self.data, new, self.stages, self.lonely, self.calibration)


def survey_design(
    data: Columns,
    *,
    weights: str | npt.ArrayLike | Calibration | None = None,
    strata: Names | None = None,
    clusters: Names | None = None,
    fpc: Names | None = None,
    lonely: Lonely = "fail",
) -> Design:
    """Describe how a sample was drawn.

    Parameters
    ----------
    data : DataFrame or dict of arrays
        One row a unit.
    weights : str, array or Calibration, optional
        Weights; the inverse of the sampling fractions of `fpc` when omitted.
    strata, clusters, fpc : str or sequence of str, optional
        Columns, one a stage. Population sizes, or sampling fractions when all are at most 1.
        Without clusters, each row is a sampling unit.
    lonely : {"fail", "remove", "certainty", "adjust", "average"}
        Rule for strata with a single sampling unit.

    Examples
    --------
    >>> sample = {"w": [2.0, 2.0, 3.0, 3.0], "region": ["a", "a", "b", "b"]}
    >>> survey_design(sample, weights="w", strata="region")
    Design(4 units, 4 sampling units in 2 strata, 1 stage(s))
    """
    n = as_columns(data)
    if lonely not in get_args(Lonely):
        raise InputError("unknown rule", where="lonely", hint=nearest(lonely, get_args(Lonely)))
    units = [_codes(data, c) for c in _names(clusters)] or [np.arange(n)]
    depth = len(units)
    groups = [_codes(data, s) for s in _names(strata)]
    groups += [np.zeros(n, dtype=np.intp)] * (depth - len(groups))
    sizes = [numeric(data, f) for f in _names(fpc)]
    if len(groups) > depth or len(sizes) > depth:
        raise InputError(
            "more stages of strata or fpc than of clusters",
            got=f"{len(_names(strata))} strata, {len(sizes)} fpc, {depth} cluster stage(s)",
        )
    populations = _populations(units, groups, sizes, n)
    stages = nested_stages(units, groups, populations)
    if isinstance(weights, Calibration):
        if weights.weights.shape != (n,):
            raise InputError("calibration and data differ in length", got=weights.weights.size)
        return Design(data, weights.weights, stages, lonely, weights)
    if weights is None:
        return Design(data, _inverse_fractions(stages, len(sizes), n), stages, lonely)
    w = weights_of(data, weights, n)
    assert w is not None
    return Design(data, w, stages, lonely)


def column_values(data: Columns, y: str | npt.ArrayLike, weights: Floats) -> Floats:
    """Return a variable, by name or as it is; rows of weight 0 may be missing and count as 0."""
    require_same_rows(data, y, "variable")
    raw = column(data, y) if isinstance(y, str) else y
    try:
        values = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("a variable is not numeric", where=str(y)[:40]) from None
    if values.shape != weights.shape:
        raise InputError(
            "a variable and the design differ in length", got=values.shape, expected=weights.shape
        )
    missing = ~np.isfinite(values)
    if np.any(missing & (weights != 0)):
        raise InputError(
            "a variable has missing or infinite values",
            where=y if isinstance(y, str) else "",
            got=f"{int((missing & (weights != 0)).sum())} of {values.size} rows",
            hint="restrict the design to the rows that answered with .where(), or impute",
        )
    return np.where(missing, 0.0, values) if missing.any() else values


def _names(names: Names | None) -> list[str]:
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)


def _codes(data: Columns, name: str) -> Ints:
    return factor(data, name)[0]


def _populations(
    units: list[Ints], groups: list[Ints], sizes: list[Floats], n: int
) -> list[Floats]:
    """Return population sizes by row and stage; fractions become sizes."""
    out = []
    for i in range(len(units)):
        if i >= len(sizes):
            out.append(np.full(n, np.inf))
            continue
        size = sizes[i]
        if size.max() <= 1:
            parent = units[i - 1] if i else np.zeros(n, dtype=np.intp)
            frame = pd.DataFrame({"parent": parent, "stratum": groups[i], "unit": units[i]})
            drawn = frame.groupby(["parent", "stratum"])["unit"].transform("nunique")
            size = drawn.to_numpy(dtype=np.float64) / size
        out.append(size)
    return out


def _inverse_fractions(stages: tuple[Stage, ...], given: int, n: int) -> Floats:
    if given == 0 or len(stages) < given:
        raise InputError(
            "weights are needed: no population sizes to derive them from",
            where="weights",
            hint="give weights=, or fpc= for every stage",
        )
    w = np.ones(n)
    for stage in stages:
        h = stage.stratum[stage.cluster]
        w *= (stage.population / stage.count)[h]
    return w


def domain_codes(data: Columns, by: Names) -> tuple[Ints, pd.DataFrame]:
    """Return the domain of each row and one row a domain, in sorted order.

    Raises
    ------
    InputError
        A variable that defines domains has missing values.
    """
    names = _names(by)
    coded = [factor(data, name) for name in names]
    key = np.zeros(coded[0][0].size, dtype=np.intp)
    for codes, levels in coded:
        key = key * len(levels) + codes
    found, codes = np.unique(key, return_inverse=True)
    at = np.unravel_index(found, [len(levels) for _, levels in coded])
    columns: dict[str, Any] = {}
    for name, place, (_, levels) in zip(names, at, coded, strict=True):
        original = column(data, name)
        index = pd.Index(levels)
        columns[name] = index[place]
        if isinstance(original, pd.Series) and not isinstance(original.dtype, pd.CategoricalDtype):
            columns[name] = columns[name].astype(original.dtype)
    return np.asarray(codes, dtype=np.intp), pd.DataFrame(columns)
