"""Bayesian spatial Fay-Herriot: area effects part shared with neighbours, part their own (BYM2).

Model
    Fay-Herriot with b ~ N(0, sigma^2 [(1 - phi) I + phi S]), S from the contiguity graph, scaled so
    that sigma is the sd of an area and phi the spatial share of its variance; sigma and phi are
    integrated by quadrature (see `inegnum.numerics.fay_herriot_bym2`), on the scale of `transform`.

Assumptions
    Known sampling variances, independent errors; neighbours resemble each other or not at all (phi
    is never negative; for repulsion see `spatial_fay_herriot`).

Limits
    A few dozen areas say little of phi: its posterior sd is in ``variance``. Dense algebra: up to
    about 1,000 areas. Areas without direct estimate borrow from their neighbours.

References
----------
    Riebler, Sørbye, Simpson and Rue (2016) doi:10.1177/0962280216660421; Besag, York and Mollié
    (1991) doi:10.1007/BF00116466.

R ``SUMMER::smoothArea`` and ``INLA::inla(model = "bym2")`` fit this model.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from inegnum.errors import InputError, nearest
from inegnum.estimators.area.fay_herriot import coefficient_table
from inegnum.estimators.area.inputs import AreaData
from inegnum.estimators.area.proximity import checked_contiguity
from inegnum.estimators.area.transform import Transform, back_transform, to_model_scale
from inegnum.estimators.error_law import SCORES, ErrorLaw, to_rate_scale
from inegnum.estimators.result import AreaEstimates, area_table
from inegnum.numerics.bym2 import PhiPrior, bym2_mixing
from inegnum.numerics.fay_herriot_bym2 import Bym2Posterior, integrate_bym2
from inegnum.numerics.mixtures import mixture_quantiles

__all__ = ["bym2_fay_herriot"]

Floats = npt.NDArray[np.float64]
_MOST_AREAS = 200


def bym2_fay_herriot(
    data: AreaData,
    contiguity: Any,
    *,
    transform: Transform | None = None,
    phi_prior: PhiPrior = "pc",
    scale: float | None = None,
) -> AreaEstimates:
    """Estimate every area with effects that neighbours may share.

    Parameters
    ----------
    data : AreaData
    contiguity : ndarray, sparse array or DataFrame of shape (M, M)
        Symmetric: 1 between neighbours, 0 elsewhere; in the order of `data`, or labelled.
    transform : Transform, optional
        Scale of the model; estimates come back as posterior means.
    phi_prior : {"pc", "uniform"}
        Of the spatial share: P(phi < 1/2) = 2/3, or flat.
    scale : float, optional
        Of the half-Cauchy prior on sigma, on the model's scale; the standard deviation of the
        direct estimates there when missing.

    Returns
    -------
    AreaEstimates
        ``variance`` holds posterior means and sds of ``sigma_u`` and ``phi``; ``lower, upper`` are
        posterior quantiles.

    Raises
    ------
    InputError
        The contiguity is not symmetric, not of these areas, or empty; evidence without image.

    Examples
    --------
    >>> line = np.eye(20, k=1) + np.eye(20, k=-1)
    >>> y = np.sin(np.arange(20) / 3) + np.random.default_rng(1).normal(0, 0.3, 20)
    >>> est = bym2_fay_herriot(AreaData(y, np.ones((20, 1)), np.full(20, 0.09)), line)
    >>> est.variance["phi"] > 0.4
    True
    """
    scale_of = transform or Transform()
    if scale_of.back == "crude":
        raise InputError("a posterior mean needs no crude correction", where="transform.back")
    if phi_prior not in get_args(PhiPrior):
        raise InputError(
            "an unknown prior",
            where="phi_prior",
            got=phi_prior,
            hint=nearest(phi_prior, get_args(PhiPrior)),
        )
    mixing = bym2_mixing(checked_contiguity(contiguity, data.geo), phi_prior)
    y, D = to_model_scale(data.y, data.D, data.geo, scale_of)
    at = data.sampled
    width = float(np.std(y[at])) if scale is None else scale
    if not width > 0:
        raise InputError("the scale of a prior must be positive", where="scale", got=width)
    # Hundreds of small factorisations: threads would cost more than they bring.
    with threadpool_limits(limits=1, user_api="blas"):
        post = integrate_bym2(y, data.X, D, mixing, scale=width)
    law = _law(post, scale_of)
    mse_model = np.diag(post.covariance)
    est = back_transform(post.mean, mse_model, mse_model, scale_of)
    outside = int((~at).sum())
    notes = (f"{outside} areas without direct estimate: prediction from their neighbours",)
    table = area_table(
        data.geo,
        est,
        mse=_mse(law, est),
        law=law,
        columns={
            "direct": data.y,
            "direct_se": np.sqrt(data.D),
            "synthetic": to_rate_scale(data.X @ post.beta, scale_of.link),
            "basis": np.where(at, "model", "synthetic"),
            "n": data.n,
        },
    )
    suffix = "" if scale_of.link == "identity" else f", {scale_of.link}"
    return AreaEstimates(
        table,
        coefficient_table(data.terms, post.beta, post.cov_beta),
        post.moments,
        f"BYM2 Fay-Herriot by quadrature, half-Cauchy({width:.3g}) on sigma_u, {phi_prior} prior "
        f"on phi{suffix}",
        notes=notes if outside else (),
        law=law,
    )


def _law(post: Bym2Posterior, scale: Transform) -> ErrorLaw:
    M = len(post.mean)
    pivot = np.empty((0, 0))
    if M <= _MOST_AREAS:
        pivot = mixture_quantiles(post.means, np.sqrt(post.variances), post.weights, SCORES)
    # Rounding of a sum of some hundred covariances: a trillionth of the trace keeps it definite.
    ridge = 1e-12 * float(np.trace(post.covariance)) / M
    factor = np.linalg.cholesky(post.covariance + ridge * np.eye(M))
    own = np.einsum("ij,ij->i", factor, factor)
    factor *= np.sqrt(np.minimum(1.0, np.diag(post.covariance) / own))[:, None]
    return ErrorLaw(post.mean, np.diag(post.covariance).copy(), factor, scale.link, pivot)


def _mse(law: ErrorLaw, est: Floats) -> Floats:
    """Mean squared error on the target's scale: the normal law through its link, 41 nodes."""
    if law.link == "identity":
        return law.mse
    z = np.linspace(-5.0, 5.0, 41)
    weight = np.exp(-0.5 * z * z)
    values = to_rate_scale(law.center[:, None] + np.sqrt(law.mse)[:, None] * z, law.link)
    return np.asarray((values - est[:, None]) ** 2 @ (weight / weight.sum()))
