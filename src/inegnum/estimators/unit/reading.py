"""Read the inputs of unit-level estimators from tables and a formula."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from inegnum.errors import InputError, nearest
from inegnum.estimators.unit.inputs import AreaMeans, Census, UnitSample, area_codes

__all__ = ["read_census", "read_means", "read_sample"]

INTERCEPT = "Intercept"


def _require_columns(table: pd.DataFrame, names: Sequence[str], where: str) -> None:
    for name in names:
        if name not in table.columns:
            raise InputError(
                "a column is missing",
                where=where,
                got=name,
                hint=nearest(name, [str(c) for c in table.columns]),
            )


def _require_complete(table: pd.DataFrame, names: Sequence[str], where: str) -> None:
    for name in names:
        missing = np.flatnonzero(table[name].isna())
        if len(missing):
            raise InputError(
                "a value is missing",
                where=f"{where}, column {name}, rows {missing[:5].tolist()}",
                got=f"{len(missing)} of {len(table)} values",
                hint="remove these rows, or impute them and say so",
            )


def read_sample(
    formula: str,
    data: pd.DataFrame,
    *,
    area: str,
    weights: str | None = None,
    precision: str | None = None,
) -> UnitSample:
    """Build a sample from a table and a formula.

    Parameters
    ----------
    formula : str
        ``"y ~ x1 + x2 + C(region)"``; the constant is implied.
    data : DataFrame
        One row a respondent.
    area : str
        Column of area codes (text or integers).
    weights, precision : str, optional
        Columns of survey weights and of known precision factors.

    Raises
    ------
    InputError
        A column that is absent, a missing value, an unusable formula.

    Examples
    --------
    >>> data = pd.DataFrame({"y": [1.0, 2.0], "x": [0.0, 1.0], "commune": ["33063", "33281"]})
    >>> read_sample("y ~ x", data, area="commune").names
    ('Intercept', 'x')
    """
    from formulaic import Formula, model_matrix
    from formulaic.errors import FormulaicError

    extra = [name for name in (area, weights, precision) if name is not None]
    try:
        needed = sorted(str(v) for v in Formula(formula).required_variables)
        _require_columns(data, [*needed, *extra], "sample")
        _require_complete(data, needed, "sample")
        matrices = model_matrix(formula, data, na_action="ignore")
        y, X = matrices.lhs, matrices.rhs
    except (FormulaicError, AttributeError) as error:
        raise InputError(
            "the formula cannot be read",
            got=formula,
            expected="a response and covariates, such as 'y ~ x1 + x2'",
            hint=str(error),
        ) from error
    if y.shape[1] != 1:
        raise InputError("the model has one response", where=formula, got=list(y.columns))
    codes, geo = area_codes(data[area], area)
    return UnitSample(
        y.to_numpy(np.float64)[:, 0],
        X.to_numpy(np.float64),
        codes,
        geo,
        tuple(str(c) for c in X.columns),
        None if weights is None else data[weights].to_numpy(np.float64),
        None if precision is None else data[precision].to_numpy(np.float64),
        X.model_spec,
    )


def read_means(
    sample: UnitSample, table: pd.DataFrame, *, area: str, size: str | None = None
) -> AreaMeans:
    """Read population means, one row per area, columns named as the sample's covariates.

    Parameters
    ----------
    sample : UnitSample
        Names the columns that are needed (the constant is supplied).
    table : DataFrame
        Areas with their means.
    area, size : str
        Columns of codes and, when known, of sizes N.

    Examples
    --------
    >>> import pandas as pd
    >>> fields = pd.DataFrame({"y": [1.0, 2.0, 3.0], "x": [0.0, 1.0, 2.0], "area": list("aab")})
    >>> means = pd.DataFrame({"area": ["a", "b"], "x": [0.4, 1.6]})
    >>> read_means(read_sample("y ~ x", fields, area="area"), means, area="area").X.tolist()
    [[1.0, 0.4], [1.0, 1.6]]
    """
    wanted = [name for name in sample.names if name != INTERCEPT]
    _require_columns(table, [*wanted, area, *([size] if size else [])], "area means")
    if table[area].isna().any():
        raise InputError("a row of the area means has no area", where=f"column {area}")
    X = np.column_stack(
        [
            np.ones(len(table)) if name == INTERCEPT else table[name].to_numpy(np.float64)
            for name in sample.names
        ]
    )
    N = None if size is None else table[size].to_numpy(np.float64)
    return AreaMeans(tuple(str(v) for v in table[area]), X, N)


def read_census(
    sample: UnitSample,
    table: pd.DataFrame,
    *,
    area: str,
    count: str | None = None,
    domain: str | None = None,
) -> Census:
    """Apply the sample's formula to a census, one row a unit or a cell of units.

    Parameters
    ----------
    sample : UnitSample
        Read with `read_sample`.
    table : DataFrame
        Census of the covariates.
    area : str
        Column of area codes, spelled as in the sample.
    count : str, optional
        Column of the number of units a row stands for.
    domain : str, optional
        Column of what the estimates are for (a region, say); the area unless given.

    Raises
    ------
    InputError
        A column or a level that the sample does not have.

    Examples
    --------
    >>> import pandas as pd
    >>> fields = pd.DataFrame({"y": [1.0, 2.0, 3.0], "x": [0.0, 1.0, 2.0], "area": list("aab")})
    >>> census = pd.DataFrame({"area": list("aabb"), "x": [0.0, 1.0, 1.0, 2.0]})
    >>> read_census(read_sample("y ~ x", fields, area="area"), census, area="area").X.shape
    (4, 2)
    """
    from formulaic.errors import DataMismatchWarning

    if sample.spec is None:
        raise InputError(
            "the sample was built from arrays: there is no formula to apply to a census",
            hint="build the Census from arrays too",
        )
    needed = sorted(str(v) for v in sample.spec.required_variables)
    _require_columns(table, [*needed, area, *(c for c in (count, domain) if c)], "census")
    _require_complete(table, needed, "census")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataMismatchWarning)
        try:
            X = sample.spec.get_model_matrix(table, na_action="ignore").to_numpy(np.float64)
        except DataMismatchWarning as warning:
            raise InputError(
                "the census has levels the sample never saw",
                where=", ".join(needed),
                got=str(warning).split(":", 1)[-1].split("}")[0] + "}",
                hint="merge these levels in both tables before fitting",
            ) from warning
    codes, geo = area_codes(table[area], area)
    size = np.ones(len(table)) if count is None else table[count].to_numpy(np.float64)
    if domain is None:
        return Census(geo, codes, X, size)
    domain_codes, domains = area_codes(table[domain], domain)
    return Census(geo, codes, X, size, domains, domain_codes)
