"""Pseudo-EBLUP of You and Rao: unit-level prediction with survey weights, self-benchmarking.

Model. The nested error regression; survey weights enter the area means and the estimating equations
of the coefficients, so that the predictor is design-consistent when samples of areas grow.

Property. If the model has a constant and weights add up to the size of each sampled area, the
estimates weighted by those sizes add up to the survey regression estimator of the whole.

Limits. Variance components come from the unweighted restricted likelihood; weights are fixed
numbers, and strongly informative sampling is only mitigated.

References
----------
You and Rao (2002), doi:10.2307/3316146; Torabi and Rao (2010), doi:10.1016/j.jmva.2010.06.014.
"""

from __future__ import annotations

import numpy as np

from inegnum.errors import InputError
from inegnum.estimators.result import AreaEstimates, ErrorLaw, area_table
from inegnum.estimators.unit.inputs import AreaMeans, UnitSample
from inegnum.estimators.unit.tables import (
    coefficient_table,
    direct_means,
    within_mse,
    zero_variance_notes,
)
from inegnum.numerics.bhf import fit_bhf, responses
from inegnum.numerics.pseudo_eblup import (
    coefficient_covariance,
    fit_pseudo,
    predict_pseudo,
    pseudo_mse,
)

__all__ = ["pseudo_eblup"]


def pseudo_eblup(sample: UnitSample, means: AreaMeans) -> AreaEstimates:
    """Estimate area means by the pseudo-EBLUP, with its analytic MSE.

    Parameters
    ----------
    sample : UnitSample
        Respondents with survey weights.
    means : AreaMeans
        Areas to estimate (the sampling fraction is taken as zero).

    Returns
    -------
    AreaEstimates
        ``direct`` is the weighted mean of the area.

    Raises
    ------
    InputError
        A sample without weights, and everything `bhf` refuses.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> area = np.repeat(np.arange(6), 8)
    >>> y = rng.normal(size=6)[area] + rng.normal(size=48)
    >>> s = UnitSample.from_arrays(y, np.ones((48, 1)), area, weights=rng.uniform(1, 3, 48))
    >>> est = pseudo_eblup(s, AreaMeans(s.geo, np.ones((6, 1))))
    >>> total = np.bincount(area, s.weights)
    >>> bool(np.isclose(total @ est.table["est"], total @ est.table["direct"]))
    True
    """
    if sample.weights is None:
        raise InputError(
            "the pseudo-EBLUP needs survey weights",
            where="sample",
            hint="name their column in read_sample(weights=...), or use bhf",
        )
    at, notes = means.match(sample)
    design = sample.design()
    fit = fit_bhf(design, responses(design, sample.y))
    pseudo = fit_pseudo(design, fit, sample.y, sample.weights)
    est = predict_pseudo(pseudo, means.X, at)
    mse, factor = pseudo_mse(design, fit, pseudo, sample.weights, means.X, at)
    law = ErrorLaw(est, mse, within_mse(factor, mse))
    direct, direct_se, n = direct_means(sample, at, np.zeros(len(at)))
    columns = {
        "direct": direct,
        "direct_se": direct_se,
        "synthetic": means.X @ pseudo.beta,
        "gamma": np.where(at >= 0, pseudo.gamma[at], 0.0),
        "basis": np.where(at >= 0, "model", "synthetic"),
        "n": n,
    }
    s2u, s2e = float(fit.sigma2_u[0]), float(fit.sigma2_e[0])
    return AreaEstimates(
        table=area_table(means.geo, est, mse=mse, law=law, columns=columns),
        coefficients=coefficient_table(
            sample.names, pseudo.beta, coefficient_covariance(design, fit, pseudo, sample.weights)
        ),
        variance={"sigma2_u": s2u, "sigma2_e": s2e},
        method="pseudo-EBLUP (You-Rao), analytic MSE",
        notes=(*notes, *zero_variance_notes(s2u)),
        law=law,
    )
