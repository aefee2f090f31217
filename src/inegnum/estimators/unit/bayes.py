"""Bayesian unit-level estimates of area means, by quadrature: the area variance averaged over.

Model
    The nested error regression of `inegnum.estimators.unit.bhf` with priors on its variance
    components (see `inegnum.numerics.bhf_bayes`); no Markov chain.

Assumptions
    Those of the EBLUP. What it plugs in is integrated out: with few areas, or an area variance near
    zero, intervals of sampled and unsampled areas keep the width that plug-in intervals lose.

Limits
    With under ten areas the prior matters: vary its scale. Intervals are quantiles of the posterior
    up to 500 areas, normal beyond, where the two agree.

References
----------
    Datta and Ghosh (1991) doi:10.1214/aos/1176348369; Rao and Molina (2015)
    doi:10.1002/9781118735855, section 10.5.

Must match R ``rstanarm::stan_lmer`` (weak); R ``hbsae::fSAE.Unit`` has the model of ``flat``.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from inegnum.errors import InputError
from inegnum.estimators.error_law import SCORES, ErrorLaw
from inegnum.estimators.result import AreaEstimates, area_table
from inegnum.estimators.unit.bhf import require_choice
from inegnum.estimators.unit.inputs import AreaMeans, UnitSample
from inegnum.estimators.unit.tables import coefficient_table, direct_means, within_mse
from inegnum.numerics.bhf import responses
from inegnum.numerics.bhf_bayes import BhfPosterior, Prior, integrate_bhf
from inegnum.numerics.bhf_predict import make_targets
from inegnum.numerics.mixtures import mixture_quantiles

__all__ = ["bayes_bhf"]

Floats = npt.NDArray[np.float64]
_MOST_AREAS = 500


def bayes_bhf(
    sample: UnitSample,
    means: AreaMeans,
    *,
    prior: Prior = "half-cauchy",
    scale: float | None = None,
) -> AreaEstimates:
    """Estimate area means by their posterior.

    Parameters
    ----------
    sample : UnitSample
        Respondents; its `precision` factors are used, its weights are not.
    means : AreaMeans
        Areas to estimate; with sizes N the sampled part of an area counts as known.
    prior : {"half-cauchy", "flat", "weak"}
        Of the area variance: half-Cauchy on sigma_u, flat on the ratio of variances, or the
        defaults of rstanarm.
    scale : float, optional
        Of the half-Cauchy; the standard deviation of the response when missing.

    Returns
    -------
    AreaEstimates
        ``variance`` holds posterior means and sds of the components; ``lower, upper`` are quantiles
        of the posterior.

    Raises
    ------
    InputError
        An unknown prior, a scale that is not positive, and everything `bhf` refuses.
    ConvergenceError
        The quadrature did not settle.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> area = np.repeat(np.arange(8), 5)
    >>> y = 1 + rng.normal(size=8)[area] + rng.normal(size=40)
    >>> s = UnitSample.from_arrays(y, np.ones((40, 1)), area)
    >>> est = bayes_bhf(s, AreaMeans((*s.geo, "elsewhere"), np.ones((9, 1))))
    >>> bool(est.table["se"].iloc[8] > est.table["se"].iloc[0])
    True
    """
    require_choice("prior", prior, get_args(Prior))
    width = float(np.std(sample.y, ddof=1)) if scale is None else scale
    if not width > 0:
        raise InputError("the scale of a prior must be positive", where="scale", got=width)
    at, notes = means.match(sample)
    design = sample.design()
    data = responses(design, sample.y)
    targets = make_targets(design, at, means.X, means.N)
    # Thousands of p x p systems: threads would cost more than they bring.
    with threadpool_limits(limits=1, user_api="blas"):
        post = integrate_bhf(design, data, sample.y, targets, prior=prior, scale=width)
    law = _law(post)
    direct, direct_se, n = direct_means(sample, at, targets.f)
    columns = {
        "direct": direct,
        "direct_se": direct_se,
        "synthetic": means.X @ post.beta,
        "gamma": post.gamma,
        "basis": np.where(at >= 0, "model", "synthetic"),
        "n": n,
    }
    described = {
        "half-cauchy": f"half-Cauchy({width:.3g}) on sigma_u",
        "flat": "flat prior on the variance ratio",
        "weak": "weakly informative priors",
    }
    return AreaEstimates(
        table=area_table(means.geo, post.mean, mse=post.variance, law=law, columns=columns),
        coefficients=coefficient_table(sample.names, post.beta, post.cov_beta),
        variance=post.moments,
        method=f"Bayesian unit-level model by quadrature, {described[prior]}",
        notes=notes,
        law=law,
    )


def _law(post: BhfPosterior) -> ErrorLaw:
    """Quantiles of the mixture, tied together by the error of the coefficients."""
    pivot = np.empty((0, 0))
    if len(post.mean) <= _MOST_AREAS:
        # A fully sampled area has no variance: its quantiles are its mean.
        sds = np.sqrt(np.maximum(post.variances, 1e-30))
        pivot = mixture_quantiles(post.means, sds, post.weights, SCORES)
    return ErrorLaw(post.mean, post.variance, within_mse(post.factor, post.variance), pivot=pivot)
