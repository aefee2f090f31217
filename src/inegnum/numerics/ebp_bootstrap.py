"""Bootstrap MSE of empirical best predictors.

A replicate draws area effects and unit errors from the fitted model, builds a whole census and a
sample of the transformed response on the same area effects, brings both back, chooses the
transformation again, fits again, predicts again, and compares with the indicators of its census.
The wild variant replaces normal unit errors by residuals with random signs: a respondent keeps its
own, a census unit takes that of the respondent whose fitted value is nearest, so that spread may
depend on the level.

References
----------
González-Manteiga et al. (2008), doi:10.1080/00949650601141811; Molina and Rao (2010),
doi:10.1002/cjs.10051; Rojas-Perilla et al. (2020), doi:10.1111/rssa.12488 (wild bootstrap).

Matches R ``emdi::ebp(MSE = TRUE, boot_type = "parametric" | "wild")`` within Monte-Carlo error, but
for areas without sample: emdi 2.2 draws their effect twice and overstates their MSE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from inegnum.numerics.bhf import BhfFit, Design, fit_bhf, responses
from inegnum.numerics.ebp import Layout, Predictive, expected_additive, simulate
from inegnum.numerics.indicators import ADDITIVE, Custom, evaluate
from inegnum.numerics.transformations import Transformation, choose_lambda

__all__ = ["EbpFit", "Problem", "fit_problem", "predict", "squared_errors"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything that stays the same from one replicate to the next.

    Attributes
    ----------
    design : Design
        Covariates of the sample.
    X : ndarray of shape (R, p)
        Covariates of the census, in the order of `layout`.
    layout : Layout
        Census rows by domain and area.
    at : ndarray of shape (A,)
        Position of each census area in the sample, -1 when it has none.
    transformation : Transformation
        Family (its parameter is chosen in every replicate unless fixed).
    names : tuple of K str or Custom
        Indicators.
    threshold : float or None
        Poverty line.
    L : int
        Simulated censuses a prediction.
    exact : bool
        Whether means over units are integrated rather than simulated.
    domain : ndarray of shape (n,), optional
        Domain of each respondent, -1 outside: then respondents are units beside the census rows.
    """

    design: Design
    X: Floats
    layout: Layout
    at: Ints
    transformation: Transformation
    names: tuple[str | Custom, ...]
    threshold: float | None
    L: int
    exact: bool
    domain: Ints | None = None


@dataclass(frozen=True, slots=True)
class EbpFit:
    """A chosen transformation and the fit on its scale."""

    lam: float
    fit: BhfFit


def fit_problem(
    problem: Problem, y: Floats, *, at_edge: Literal["error", "accept"] = "error"
) -> EbpFit:
    """Choose the transformation of `y` and fit the nested error regression to it."""
    family = problem.transformation
    lam = choose_lambda(problem.design, y, family, at_edge=at_edge)
    data = responses(problem.design, family.forward(y, lam))
    return EbpFit(lam, fit_bhf(problem.design, data))


def _known(problem: Problem, y: Floats) -> tuple[Floats, ...] | None:
    """Return the respondents' values of each domain, when they are units of their own."""
    if problem.domain is None:
        return None
    D = len(problem.layout.starts) - 1
    order = np.argsort(problem.domain, kind="stable")
    cuts = np.searchsorted(problem.domain[order], np.arange(D + 1))
    return tuple(y[order[cuts[d] : cuts[d + 1]]] for d in range(D))


def predict(problem: Problem, y: Floats, model: EbpFit, rng: np.random.Generator) -> Floats:
    """Return the empirical best predictor of every indicator, shape (D, K)."""
    fit, at = model.fit, problem.at
    seen = at >= 0
    effect = np.where(seen, fit.u[0][at], 0.0)
    left = np.where(seen, 1 - fit.gamma[0][at], 1.0) * fit.sigma2_u[0]
    mu = problem.X @ fit.beta[0] + effect[problem.layout.area]
    law = Predictive(mu, np.sqrt(left), float(np.sqrt(fit.sigma2_e[0])))
    known = _known(problem, y)
    easy = [k for k, name in enumerate(problem.names) if problem.exact and name in ADDITIVE]
    hard = [k for k in range(len(problem.names)) if k not in easy]
    out = np.empty((len(problem.layout.starts) - 1, len(problem.names)))
    family = problem.transformation
    if easy:
        plain = [str(problem.names[k]) for k in easy]
        out[:, easy] = expected_additive(
            problem.layout, law, family, model.lam, plain, threshold=problem.threshold, known=known
        )
    if hard:
        out[:, hard] = simulate(
            problem.layout,
            law,
            family,
            model.lam,
            [problem.names[k] for k in hard],
            threshold=problem.threshold,
            L=problem.L,
            rng=rng,
            known=known,
        )
    return out


def _census_indicators(problem: Problem, y: Floats, known: tuple[Floats, ...] | None) -> Floats:
    """Return the indicators of one census, shape (D, K)."""
    starts, w = problem.layout.starts, problem.layout.w
    rows = []
    for d in range(len(starts) - 1):
        here = slice(starts[d], starts[d + 1])
        values, weights = y[here], w[here]
        if known is not None:
            values = np.concatenate([values, known[d]])
            weights = np.concatenate([weights, np.ones(len(known[d]))])
        rows.append(
            evaluate(values[None], weights, problem.names, problem.threshold, interpolate=True)
        )
    return np.stack(rows)[:, :, 0]


def _residuals(problem: Problem, model: EbpFit, y: Floats) -> tuple[Floats, Floats]:
    """Return fitted values (area effect included) and residuals scaled to sigma_e, (n,) each."""
    fit, design = model.fit, problem.design
    fitted = design.X @ fit.beta[0] + fit.u[0][design.area]
    e = (problem.transformation.forward(y, model.lam) - fitted) * np.sqrt(design.a)
    return fitted, (e - e.mean()) / e.std() * np.sqrt(fit.sigma2_e[0])


def _nearest(sorted_values: Floats, wanted: Floats) -> Ints:
    """Return the position of the sorted value nearest to each wanted one."""
    right = np.clip(np.searchsorted(sorted_values, wanted), 1, len(sorted_values) - 1)
    left = right - 1
    closer = wanted - sorted_values[left] <= sorted_values[right] - wanted
    return np.where(closer, left, right).astype(np.int64)


def squared_errors(
    problem: Problem,
    y: Floats,
    model: EbpFit,
    rng: np.random.Generator,
    kind: Literal["parametric", "wild"],
) -> Floats:
    """Return the squared prediction errors of one replicate, shape (D, K)."""
    fit, design, family = model.fit, problem.design, problem.transformation
    s_u, s_e = float(np.sqrt(fit.sigma2_u[0])), float(np.sqrt(fit.sigma2_e[0]))
    u_sample = s_u * rng.standard_normal(design.m)
    u_census = s_u * rng.standard_normal(len(problem.at))
    u_census = np.where(problem.at >= 0, u_sample[problem.at], u_census)
    t_census = problem.X @ fit.beta[0] + u_census[problem.layout.area]
    t_sample = design.X @ fit.beta[0] + u_sample[design.area]
    if kind == "parametric":
        e_census = s_e * rng.standard_normal(len(t_census))
        e_sample = s_e * rng.standard_normal(design.n)
    else:
        fitted, pool = _residuals(problem, model, y)
        order = np.argsort(fitted)
        nearest = order[_nearest(fitted[order], t_census)]
        e_census = pool[nearest] * rng.choice([-1.0, 1.0], len(t_census))
        e_sample = pool * rng.choice([-1.0, 1.0], design.n)
    census = family.backward(t_census + e_census, model.lam)
    sample = family.backward(t_sample + e_sample / np.sqrt(design.a), model.lam)
    sample = _inside_domain(family, sample)
    truth = _census_indicators(problem, census, _known(problem, sample))
    again = fit_problem(problem, sample, at_edge="accept")
    return np.asarray((predict(problem, sample, again, rng) - truth) ** 2)


def _inside_domain(family: Transformation, y: Floats) -> Floats:
    """Lift values drawn at the very floor of the family just above it, where a log exists."""
    if family.name in ("none", "log-shift"):
        return y
    least = np.min(y[y > -family.shift]) if (y > -family.shift).any() else 1.0
    return np.maximum(y, -family.shift + 0.5 * (least + family.shift))


def replicate_seeds(seed: int, count: int) -> Sequence[np.random.SeedSequence]:
    """Return one independent seed a task, whatever the number of workers."""
    return np.random.SeedSequence(seed).spawn(count)
