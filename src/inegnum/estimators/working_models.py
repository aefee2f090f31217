"""Regression on a complex sample, and estimation assisted by it (GREG, logistic GREG).

Model: a generalised linear model fitted with the survey weights serves as a working model; the
population total is the sum of its predictions plus the weighted sum of sample residuals, so a poor
model costs precision, not bias (Särndal, Swensson & Wretman 1992, chapter 6; Lehtonen & Veijanen
1998).
Assumptions: predictors are known for every person of the population, or for its cells.
Limits: the fitted coefficients are treated as known in the variance of GREG (first order).
R: ``survey::svyglm``; ``mase::greg``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from inegnum.errors import ConvergenceError, InputError
from inegnum.estimators.design import Design

__all__ = ["AssistedTotal", "WorkingModel", "greg", "working_model"]

Floats = npt.NDArray[np.float64]
Family = Literal["gaussian", "binomial"]


@dataclass(frozen=True)
class WorkingModel:
    """A regression fitted with survey weights.

    Attributes
    ----------
    table : DataFrame
        One row a coefficient: ``term, est, se, t, p``; design-based standard errors.
    covariance : ndarray of shape (p, p)
        Design-based covariance of the coefficients.
    fitted : ndarray of shape (n,)
        Predictions for the sample.
    residuals : ndarray of shape (n,)
        Observed minus predicted; 0 in rows of weight 0.
    df : float
        Residual degrees of freedom: those of the design less the slopes.
    family : {"gaussian", "binomial"}
    """

    table: pd.DataFrame
    covariance: Floats
    fitted: Floats
    residuals: Floats
    df: float
    family: Family
    _spec: Any

    def predict(self, population: pd.DataFrame) -> Floats:
        """Return predictions for the rows of another table, shape (N,)."""
        X = self._spec.get_model_matrix(population)
        if len(X) != len(population):
            raise InputError(
                "predictors are missing in the population",
                got=f"{len(population) - len(X)} of {len(population)} rows",
            )
        eta = np.asarray(X, dtype=np.float64) @ self.table["est"].to_numpy()
        return eta if self.family == "gaussian" else np.asarray(special.expit(eta))


@dataclass(frozen=True, slots=True)
class AssistedTotal:
    """A model-assisted total.

    Attributes
    ----------
    est, se : float
        Total and standard error.
    synthetic : float
        Sum of predictions over the population.
    correction : float
        Weighted sum of sample residuals: large means a model that does not fit the population.
    """

    est: float
    se: float
    synthetic: float
    correction: float


def working_model(design: Design, formula: str, *, family: Family = "gaussian") -> WorkingModel:
    """Fit a linear or logistic regression with the design's weights.

    Parameters
    ----------
    design : Design
        Its data must be a data frame.
    formula : str
        For instance ``"y ~ age + C(diploma)"`` (formulaic).
    family : {"gaussian", "binomial"}

    Raises
    ------
    ConvergenceError
        The logistic regression has no finite maximum (separation), or did not reach it.
    """
    import formulaic
    import statsmodels.api as sm

    if family not in ("gaussian", "binomial"):
        raise InputError("unknown family", got=family, expected="gaussian, binomial")
    data = design.data if isinstance(design.data, pd.DataFrame) else pd.DataFrame(dict(design.data))
    live = design.weights > 0
    y_frame, X_frame = formulaic.model_matrix(formula, data[live], na_action="raise")
    y, X = np.asarray(y_frame, dtype=np.float64)[:, -1], np.asarray(X_frame, dtype=np.float64)
    w = design.weights[live]
    kind = sm.families.Gaussian() if family == "gaussian" else sm.families.Binomial()
    # Weights of mean 1 leave coefficients unchanged and keep the scoring well scaled.
    fit = sm.GLM(y, X, family=kind, freq_weights=w / w.mean()).fit(tol=1e-14, maxiter=100)
    mu = np.asarray(fit.mu)
    v = np.ones_like(mu) if family == "gaussian" else mu * (1 - mu)
    score = (w * (y - mu)) @ X
    if not np.all(np.abs(score) <= 1e-6 * (np.abs(w * y) @ np.abs(X) + 1e-300)):
        raise ConvergenceError(
            "the regression did not converge",
            where=formula,
            got=f"largest relative score {np.max(np.abs(score)):.2e}",
            hint="a category may predict the outcome perfectly: merge it",
        )
    bread = np.linalg.inv((X * (w * v)[:, None]).T @ X)
    influence = np.zeros((live.size, X.shape[1]))
    influence[live] = ((y - mu)[:, None] * X) @ bread
    covariance = design.covariance(influence)
    beta = np.asarray(fit.params)
    se = np.sqrt(np.diag(covariance))
    df = design.df - (X.shape[1] - 1)
    t = beta / se
    table = pd.DataFrame(
        {
            "term": list(X_frame.columns),
            "est": beta,
            "se": se,
            "t": t,
            "p": 2 * special.stdtr(df, -np.abs(t)),
        }
    )
    fitted, residuals = np.zeros(live.size), np.zeros(live.size)
    fitted[live], residuals[live] = mu, y - mu
    return WorkingModel(table, covariance, fitted, residuals, df, family, X_frame.model_spec)


def greg(
    design: Design,
    model: WorkingModel,
    population: pd.DataFrame,
    *,
    counts: str | None = None,
) -> AssistedTotal:
    """Estimate a total assisted by a working model.

    Parameters
    ----------
    design : Design
        The sample the model was fitted on.
    model : WorkingModel
    population : DataFrame
        Predictors of every person, or of every cell with its size in `counts`.
    counts : str, optional
        Column of cell sizes.
    """
    predicted = model.predict(population)
    if counts is None:
        size = np.ones(predicted.size)
    elif counts in population.columns:
        size = population[counts].to_numpy(dtype=np.float64)
    else:
        raise InputError("there is no such column", where=counts)
    if not np.isfinite(size).all() or (size < 0).any():
        raise InputError("cell sizes are missing or negative", where=counts or "")
    synthetic = float(size @ predicted)
    correction = float(design.weights @ model.residuals)
    variance = float(design.covariance(model.residuals[:, None])[0, 0])
    return AssistedTotal(synthetic + correction, float(np.sqrt(variance)), synthetic, correction)
