"""Empirical best prediction of poverty, inequality and quantiles by area (Molina-Rao, census EB).

Model. A nested error regression on a transformed response; given the sample, whole censuses of the
response are drawn from it and indicators averaged over them. Means over units (mean, head count,
poverty gap) are integrated exactly instead.

Assumptions. The census holds every covariate of the model for every unit of the areas to estimate;
sampling is ignorable given the covariates; normality on the transformed scale.

Limits. Where the census cannot tell respondents from the rest, they are predicted like the others
(census EB, ``sampled="in_census"``; the loss is small when sampling fractions are). A census row of
weight w counts as w units alike. An MSE needs the bootstrap, which takes the model for granted: it
does not see a wrong transformation (the wild variant sees unequal spread).

References
----------
Molina and Rao (2010), doi:10.1002/cjs.10051; Rojas-Perilla et al. (2020), doi:10.1111/rssa.12488;
Kreutzmann et al. (2019), doi:10.18637/jss.v091.i07.

Matches R ``emdi::ebp`` (``in_census``) and ``sae::ebBHF`` (``appended``) within Monte-Carlo error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError, nearest
from inegnum.estimators.result import AreaEstimates, ErrorLaw, Link, area_table
from inegnum.estimators.unit.bhf import require_choice
from inegnum.estimators.unit.inputs import Census, UnitSample
from inegnum.estimators.unit.replicates import run_replicates
from inegnum.estimators.unit.tables import coefficient_table, criteria, zero_variance_notes
from inegnum.numerics.ebp import make_layout
from inegnum.numerics.ebp_bootstrap import (
    EbpFit,
    Problem,
    fit_problem,
    predict,
    replicate_seeds,
    squared_errors,
)
from inegnum.numerics.indicators import NAMES, POVERTY, Custom
from inegnum.numerics.transformations import Transformation

__all__ = ["Ebp", "EbpOptions", "ebp"]

Floats = npt.NDArray[np.float64]
Boot = Literal["parametric", "wild"]
Sampled = Literal["in_census", "appended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EbpOptions:
    """How predictions and their errors are computed.

    Attributes
    ----------
    L : int
        Simulated censuses a prediction.
    B : int
        Bootstrap replicates; 0 for no MSE.
    bootstrap : {"parametric", "wild"}
        Law of the unit errors in the replicates.
    exact : bool
        Integrate mean, head count and gap rather than simulate them.
    sampled : {"in_census", "appended"}
        Whether respondents are rows of the census, or units beside it.
    workers : int
        Threads; results do not depend on their number.
    seed : int
        Same seed, same results.
    progress : bool
        Show a bar on standard error (in a terminal).
    """

    L: int = 50
    B: int = 0
    bootstrap: Boot = "parametric"
    exact: bool = True
    sampled: Sampled = "in_census"
    workers: int = 1
    seed: int = 0
    progress: bool = True

    def __post_init__(self) -> None:
        require_choice("bootstrap", self.bootstrap, get_args(Boot))
        require_choice("sampled", self.sampled, get_args(Sampled))
        for name, value, least in (
            ("L", self.L, 1),
            ("B", self.B, 0),
            ("workers", self.workers, 1),
        ):
            if value < least:
                raise InputError(f"{name} is too small", got=value, expected=f"{least} or more")


@dataclass(frozen=True, slots=True)
class Ebp:
    """Predictions of several indicators of the same domains.

    Attributes
    ----------
    estimates : mapping
        One `AreaEstimates` an indicator.
    transformation : Transformation
        Family, with the parameter in use.
    mc_error : mapping
        Monte-Carlo standard error of each bootstrap MSE, shape (D,); empty without bootstrap.
    """

    estimates: Mapping[str, AreaEstimates]
    transformation: Transformation
    mc_error: Mapping[str, Floats] = field(default_factory=dict)

    def __getitem__(self, name: str) -> AreaEstimates:
        """Return the estimates of one indicator."""
        if name not in self.estimates:
            raise InputError(
                "no such indicator", got=name, hint=nearest(name, list(self.estimates))
            )
        return self.estimates[name]

    def to_frame(self, what: Literal["est", "se", "mse", "cv"] = "est") -> pd.DataFrame:
        """Return one row a domain, one column an indicator."""
        tables = {name: e.table.set_index("geo")[what] for name, e in self.estimates.items()}
        return pd.DataFrame(tables).reset_index()


def ebp(
    sample: UnitSample,
    census: Census,
    *,
    transformation: Transformation | str = "box-cox",
    indicators: Sequence[str | Custom] = ("mean", "head_count", "poverty_gap"),
    threshold: float | None = None,
    options: EbpOptions | None = None,
) -> Ebp:
    """Predict indicators of the distribution of a response by domain.

    Parameters
    ----------
    sample : UnitSample
        Respondents, response on its own scale.
    census : Census
        Covariates of the units to predict, with the domains of the output.
    transformation : Transformation or str
        ``"none", "log", "box-cox", "dual", "log-shift"``; parameter by REML unless fixed.
    indicators : sequence of str or Custom
        Among ``mean, head_count, poverty_gap, gini, quintile_share, q10, q25, median, q75, q90``,
        or your own.
    threshold : float, optional
        Poverty line, on the scale of the response.
    options : EbpOptions, optional
        Simulations, bootstrap, threads, seed.

    Returns
    -------
    Ebp
        One `AreaEstimates` an indicator; domains in the order of ``census.domains``.

    Raises
    ------
    InputError
        A response outside the domain of the transformation, a missing poverty line, ...
    ConvergenceError
        The best transformation parameter is at the end of its range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> area = np.repeat(np.arange(10), 8)
    >>> x = rng.normal(size=80)
    >>> y = np.exp(2 + 0.5 * x + 0.2 * rng.normal(size=10)[area] + 0.3 * rng.normal(size=80))
    >>> s = UnitSample.from_arrays(y, np.column_stack([np.ones(80), x]), area)
    >>> c = Census(s.geo, np.repeat(np.arange(10), 50), np.column_stack(
    ...     [np.ones(500), rng.normal(size=500)]), np.ones(500))
    >>> result = ebp(s, c, transformation="log", threshold=5.0)
    >>> bool(result["head_count"].table["est"].between(0, 1).all())
    True
    """
    chosen = options or EbpOptions()
    family = (
        transformation
        if isinstance(transformation, Transformation)
        else Transformation(transformation)  # type: ignore[arg-type]
    )
    family.require_domain(sample.y)
    _require_indicators(indicators, threshold)
    problem = _problem(sample, census, family, tuple(indicators), threshold, chosen)
    model = fit_problem(problem, sample.y)
    seeds = replicate_seeds(chosen.seed, chosen.B + 1)
    points = predict(problem, sample.y, model, np.random.default_rng(seeds[0]))
    mse, noise = _bootstrap(problem, sample.y, model, seeds[1:], chosen)
    names = [name.name if isinstance(name, Custom) else name for name in indicators]
    return Ebp(
        {
            name: _estimates(
                sample,
                census,
                problem,
                model,
                chosen,
                name,
                points[:, k],
                None if mse is None else mse[:, k],
            )
            for k, name in enumerate(names)
        },
        Transformation(family.name, family.shift, model.lam if _has_parameter(family) else None),
        {} if noise is None else {name: noise[:, k] for k, name in enumerate(names)},
    )


def _has_parameter(family: Transformation) -> bool:
    return family.name in ("box-cox", "dual", "log-shift")


def _require_indicators(indicators: Sequence[str | Custom], threshold: float | None) -> None:
    if not indicators:
        raise InputError("no indicator is asked for", expected=", ".join(NAMES))
    names = [i.name if isinstance(i, Custom) else i for i in indicators]
    if len(set(names)) < len(names):
        raise InputError("an indicator is asked for twice", got=", ".join(names))
    for indicator in indicators:
        if isinstance(indicator, str) and indicator not in NAMES:
            raise InputError("unknown indicator", got=indicator, hint=nearest(indicator, NAMES))
        if indicator in POVERTY and (threshold is None or not threshold > 0):
            raise InputError(
                f"indicator {indicator} needs a positive poverty line",
                where="threshold",
                got=threshold,
                hint="for instance 0.6 times the weighted median of the sample",
            )


def _problem(
    sample: UnitSample,
    census: Census,
    family: Transformation,
    names: tuple[str | Custom, ...],
    threshold: float | None,
    options: EbpOptions,
) -> Problem:
    if census.X.shape[1] != len(sample.names):
        raise InputError(
            "census and sample do not have the same covariates",
            got=f"{census.X.shape[1]} columns",
            expected=f"{len(sample.names)}: {', '.join(sample.names)}",
        )
    layout = make_layout(census.area, census.domain, census.count, len(census.domains))
    at = sample.positions(census.geo)
    domain = _sample_domains(sample, census, at) if options.sampled == "appended" else None
    return Problem(
        sample.design(),
        census.X[layout.order],
        layout,
        at,
        family,
        names,
        threshold,
        options.L,
        options.exact,
        domain,
    )


def _sample_domains(
    sample: UnitSample, census: Census, at: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the domain of each respondent through its area, -1 outside the census."""
    pairs = np.unique(np.column_stack([census.area, census.domain]), axis=0)
    if len(np.unique(pairs[:, 0])) < len(pairs):
        raise InputError(
            "an area lies in two domains: respondents cannot be placed",
            hint="use sampled='in_census'",
        )
    of_area = np.full(len(sample.geo), -1, dtype=np.int64)
    here = at[pairs[:, 0]]
    of_area[here[here >= 0]] = pairs[here >= 0, 1]
    return of_area[sample.area]


def _bootstrap(
    problem: Problem,
    y: Floats,
    model: EbpFit,
    seeds: Sequence[np.random.SeedSequence],
    options: EbpOptions,
) -> tuple[Floats | None, Floats | None]:
    """Return the bootstrap MSE and its Monte-Carlo error, shape (D, K) each."""
    if not seeds:
        return None, None
    label = f"{options.bootstrap} bootstrap" if options.progress else ""
    total = squares = np.zeros((1, 1))
    for errors in run_replicates(
        lambda rng: squared_errors(problem, y, model, rng, options.bootstrap),
        seeds,
        workers=options.workers,
        label=label,
    ):
        total, squares = total + errors, squares + errors**2
    B = len(seeds)
    mse = total / B
    return mse, np.sqrt(np.maximum(squares / B - mse**2, 0.0) / B)


def _estimates(
    sample: UnitSample,
    census: Census,
    problem: Problem,
    model: EbpFit,
    options: EbpOptions,
    name: str,
    est: Floats,
    mse: Floats | None,
) -> AreaEstimates:
    fit = model.fit
    law = None if mse is None else _law(name, est, mse)
    n = _respondents(sample, census)
    family = problem.transformation
    spelled = f"{family.name}(lambda = {model.lam:.4g})" if _has_parameter(family) else family.name
    how = "no MSE" if mse is None else f"{options.bootstrap} bootstrap MSE (B = {options.B})"
    notes = list(zero_variance_notes(float(fit.sigma2_u[0])))
    if (n == 0).any():
        notes.append(f"{int((n == 0).sum())} domains have no sample: their estimate is synthetic")
    columns = {"basis": np.where(n > 0, "model", "synthetic"), "n": n}
    return AreaEstimates(
        table=area_table(census.domains, est, mse=mse, law=law, columns=columns),
        coefficients=coefficient_table(sample.names, fit.beta[0], fit.cov_beta[0]),
        variance={
            "sigma2_u": float(fit.sigma2_u[0]),
            "sigma2_e": float(fit.sigma2_e[0]),
            **({"lambda": model.lam} if _has_parameter(family) else {}),
        },
        method=f"empirical best predictor of {name}, {spelled}, {how}",
        criteria=criteria(float(fit.loglik[0]), problem.design.p + 2, problem.design.n),
        notes=tuple(notes),
        law=law,
    )


def _respondents(sample: UnitSample, census: Census) -> Floats:
    """Return respondents in the areas of each domain, shape (D,)."""
    pairs = np.unique(np.column_stack([census.area, census.domain]), axis=0)
    n = np.bincount(sample.area, minlength=len(sample.geo)).astype(np.float64)
    here = sample.positions([census.geo[i] for i in pairs[:, 0]])
    counts = np.where(here >= 0, n[here], 0.0)
    return np.bincount(pairs[:, 1], counts, len(census.domains))


def _law(name: str, est: Floats, mse: Floats) -> ErrorLaw:
    """Return a normal law; of the logit for the indicators that live in (0, 1)."""
    inside = ((est > 0) & (est < 1)).all()
    if name in (*POVERTY, "gini") and inside:
        slope = est * (1 - est)
        link: Link = "logit"
        return ErrorLaw(np.log(est / (1 - est)), mse / slope**2, link=link)
    return ErrorLaw(est, mse)
