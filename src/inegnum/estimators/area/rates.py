"""Fay-Herriot for rates on their own scale: beta or binomial direct estimates, logit effects.

Model
    logit theta_i = x_i' beta + u_i, u_i ~ N(0, sigma^2);
    binomial   n_i y_i of n_i, n_i effective respondents = y (1 - y) / D unless given;
    beta       y_i of mean theta_i and variance D_i ("variance"), or theta_i (1 - theta_i) / n_i
               ("size").
    Coefficients N(0, 2.5^2) on standardised covariates, sigma half-normal; all integrated by
    quadrature (`inegnum.numerics.latent_areas`), no Markov chain.

Assumptions
    Sampling errors independent between areas, their size known. Unlike a logit of the direct
    estimate, a binomial area may show 0 % or 100 %.

Limits
    Independent area effects (neighbours: `bym2_fay_herriot`, on a transformed scale). A beta
    likelihood knows no 0 nor 1: refused. Coefficients are normal given sigma.

References
----------
    Janicki (2020) doi:10.1080/03610926.2019.1570266; Liu, Lahiri and Kalton (2014), Survey
    Methodology 40(1); Chen, Wakefield and Lumley (2014) doi:10.1016/j.sste.2014.07.002.

Must match R ``tipsae::fit_sae(likelihood = "beta")`` within its Monte-Carlo error.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, expit, logit, ndtr, xlog1py, xlogy

from inegnum.errors import InputError, nearest
from inegnum.estimators.area.fay_herriot import coefficient_table
from inegnum.estimators.area.inputs import AreaData, named
from inegnum.estimators.error_law import SCORES, ErrorLaw
from inegnum.estimators.result import AreaEstimates, area_table
from inegnum.numerics.latent_areas import RatePosterior, integrate_rates

__all__ = ["rate_fay_herriot"]

Floats = npt.NDArray[np.float64]
Likelihood = Literal["binomial", "beta"]
Dispersion = Literal["variance", "size"]


def _sizes(data: AreaData, n_eff: Floats | None, likelihood: Likelihood) -> Floats:
    """Effective respondents of the sampled areas, shape (m,)."""
    at = data.sampled
    y, D = data.y[at], data.D[at]
    if n_eff is None:
        edge = (y <= 0) | (y >= 1)
        if edge.any():
            raise InputError(
                "a rate of 0 or 1 says nothing of its effective size",
                where=f"area {named(data.geo[at], edge)}",
                hint="give effective sizes: n_eff=respondents / design effect",
            )
        sizes = y * (1 - y) / D
    else:
        sizes = np.asarray(n_eff, dtype=np.float64)
        if sizes.shape != (len(data),):
            raise InputError(
                "effective sizes do not match the areas", got=sizes.shape, expected=(len(data),)
            )
        sizes = sizes[at]
    least = 1.0 if likelihood == "beta" else 0.0
    bad = ~(np.isfinite(sizes) & (sizes > least))
    if bad.any():
        raise InputError(
            "an effective size is missing or too small",
            where=f"area {named(data.geo[at], bad)}",
            expected=f"above {least:g}",
            hint="its sampling variance exceeds that of one respondent: leave the area out",
        )
    return np.asarray(sizes)


def _loglik(
    data: AreaData, sizes: Floats, likelihood: Likelihood, dispersion: Dispersion
) -> object:
    y, D = data.y[data.sampled][:, None], data.D[data.sampled][:, None]
    n = sizes[:, None]
    if likelihood == "binomial":
        return lambda eta: n * (y * eta - np.logaddexp(0.0, eta))

    def beta(eta: Floats) -> Floats:
        mu = expit(eta)
        size = n - 1 if dispersion == "size" else mu * expit(-eta) / D - 1
        # No beta law has so large a variance at this mean: outside the support.
        inside = size > 1e-12
        size = np.where(inside, size, 1.0)
        a, b = mu * size, expit(-eta) * size
        value = xlogy(a - 1, y) + xlog1py(b - 1, -y) - betaln(a, b)
        return np.where(inside, value, -1e10 * (1 + eta**2))

    return beta


def rate_fay_herriot(
    data: AreaData,
    *,
    likelihood: Likelihood = "binomial",
    n_eff: Floats | None = None,
    dispersion: Dispersion = "variance",
    scale: float = 1.0,
) -> AreaEstimates:
    """Estimate every area's rate by its posterior, on the rate's own scale.

    Parameters
    ----------
    data : AreaData
        Direct rates, between 0 and 1 (strictly, for the beta likelihood).
    likelihood : {"binomial", "beta"}
    n_eff : ndarray of shape (M,), optional
        Effective respondents; from the sampling variances when missing.
    dispersion : {"variance", "size"}
        What the beta likelihood keeps known: the sampling variance, or the effective size.
    scale : float
        Of the half-normal prior on the sd of area effects, in logits.

    Returns
    -------
    AreaEstimates
        Posterior means; ``lower, upper`` are posterior quantiles; ``coefficients`` are logits.

    Raises
    ------
    InputError
        Rates outside 0-1, a size that cannot be, an unknown choice.
    ConvergenceError
        The area effects outgrow their prior.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=30)
    >>> n = rng.integers(20, 80, 30)
    >>> y = rng.binomial(n, expit(1 + 0.5 * x + rng.normal(0, 0.3, 30))) / n
    >>> data = AreaData(y, np.column_stack([np.ones(30), x]), 0.25 / n)
    >>> est = rate_fay_herriot(data, n_eff=n.astype(float))
    >>> bool(((est.table["lower"] > 0) & (est.table["upper"] < 1)).all())
    True
    """
    for where, value, allowed in (
        ("likelihood", likelihood, get_args(Likelihood)),
        ("dispersion", dispersion, get_args(Dispersion)),
    ):
        if value not in allowed:
            raise InputError(
                "an unknown choice", where=where, got=value, hint=nearest(value, allowed)
            )
    if not scale > 0:
        raise InputError("the scale of a prior must be positive", where="scale", got=scale)
    at = data.sampled
    y = data.y[at]
    outside = (y < 0) | (y > 1) | ((likelihood == "beta") & ((y == 0) | (y == 1)))
    if outside.any():
        raise InputError(
            f"a direct estimate is no rate of the {likelihood} likelihood",
            where=f"area {named(data.geo[at], outside)}",
            got=float(y[outside][0]),
            hint="use likelihood='binomial' with effective sizes for rates of 0 and 1",
        )
    sizes = _sizes(data, n_eff, likelihood)
    T, precision = _standardised(data.X[at])
    start = logit((y * sizes + 0.5) / (sizes + 1))
    post = integrate_rates(
        _loglik(data, sizes, likelihood, dispersion),  # type: ignore[arg-type]
        data.X @ T,
        at,
        start,
        P=precision,
        scale=scale,
        probabilities=ndtr(SCORES),
    )
    law = _law(post)
    outside_count = int((~at).sum())
    note = f"{outside_count} areas without direct estimate: predictive distribution"
    table = area_table(
        data.geo,
        post.mean,
        mse=post.variance,
        law=law,
        columns={
            "direct": data.y,
            "direct_se": np.sqrt(data.D),
            "synthetic": post.synthetic,
            "basis": np.where(at, "model", "synthetic"),
            "n": data.n,
        },
    )
    how = likelihood if likelihood == "binomial" else f"beta, known {dispersion}"
    return AreaEstimates(
        table,
        coefficient_table(data.terms, T @ post.beta, T @ post.cov_beta @ T.T),
        post.moments,
        f"Fay-Herriot for rates ({how}; logit effects) by quadrature, "
        f"half-normal({scale:g}) on sigma_u",
        notes=(note,) if outside_count else (),
        law=law,
    )


def _standardised(X: Floats) -> tuple[Floats, Floats]:
    """Return T such that X @ T is centred and scaled, and the prior precision there."""
    p = X.shape[1]
    centre, spread = X.mean(axis=0), X.std(axis=0, ddof=1)
    constant = np.flatnonzero(spread <= 1e-12 * np.abs(centre))
    T = np.diag(1 / np.where(spread > 0, spread, 1.0))
    if constant.size:
        c = int(constant[0])
        T = np.diag(1 / np.where(np.arange(p) == c, centre[c], np.where(spread > 0, spread, 1.0)))
        T[c] = np.where(np.arange(p) == c, 1 / centre[c], -centre * np.diag(T) / centre[c])
    return T, np.eye(p) / 2.5**2


def _law(post: RatePosterior) -> ErrorLaw:
    """Posterior quantiles on the logit scale; areas are taken as independent."""
    pivot = (post.quantiles - post.center) / np.sqrt(post.spread)
    return ErrorLaw(post.center, post.spread, link="logit", pivot=pivot)
