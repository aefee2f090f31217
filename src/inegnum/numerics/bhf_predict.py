"""Area means from a fitted nested error regression, with analytic mean squared errors.

The mean of area i over its N_i units is the sampled part, known, plus the rest, predicted:
``f ybar + (Xbar - f xbar)' beta + (1 - f) u`` with ``f = n / N``; without N the area is endless and
the predictor is ``Xbar' beta + u``. An area without sample has its synthetic part only, and an MSE
that holds the whole area variance.

MSE = (1 - f)^2 (g1 + g2 + 2 g3) + the error of the mean of the unsampled units; g1 is what remains
of the area effect, g2 comes from beta, g3 from the variance components (counted twice: once as
error, once as the bias of plugging them into g1). Under ML, g1 is also corrected for the bias of
the components.

References
----------
Prasad and Rao (1990), doi:10.1080/01621459.1990.10475320; Datta and Lahiri (2000), Statistica
Sinica 10, 613-627; Rao and Molina (2015), doi:10.1002/9781118735855, sections 7.1 and 7.2.

Matches R ``sae::eblupBHF`` (points) and ``JoSAE::eblup.mse.f.wrap`` (g1, g2, g3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.numerics.bhf import BhfFit, Design, Responses, information

__all__ = ["MeanMse", "Targets", "analytic_mse", "make_targets", "predict_means", "rest_means"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Targets:
    """Areas whose mean is wanted.

    Attributes
    ----------
    sampled : ndarray of shape (D,)
        Position of the area in the sample, -1 when it has none.
    Xbar : ndarray of shape (D, p)
        Population means of the covariates (of all units, sampled ones included).
    f : ndarray of shape (D,)
        Sampling fraction n / N; 0 when N is endless or the area has no sample.
    rest : ndarray of shape (D,)
        Number of units outside the sample, N - n; infinite when N is.
    """

    sampled: Ints
    Xbar: Floats
    f: Floats
    rest: Floats

    @property
    def observed(self) -> npt.NDArray[np.bool_]:
        """Return which areas have a sample, shape (D,)."""
        return self.sampled >= 0


@dataclass(frozen=True, slots=True)
class MeanMse:
    """Mean squared error of each area mean and its parts, each of shape (D,).

    Attributes
    ----------
    mse, g1, g2, g3 : ndarray of shape (D,)
        Whole and parts (the parts before the finite-population factor).
    rest : ndarray of shape (D,)
        Error of the mean of the unsampled units.
    factor : ndarray of shape (D, p)
        Loadings on the shared error of beta; its squared rows are ``(1 - f)^2 g2``.
    """

    mse: Floats
    g1: Floats
    g2: Floats
    g3: Floats
    rest: Floats
    factor: Floats


def make_targets(design: Design, sampled: Ints, Xbar: Floats, N: Floats | None) -> Targets:
    """Place areas against the sample.

    Parameters
    ----------
    design : Design
        Of the sample.
    sampled : ndarray of shape (D,)
        Position of each area in the sample, -1 when it has none.
    Xbar : ndarray of shape (D, p)
        Population means.
    N : ndarray of shape (D,), optional
        Units of each area; endless when missing.
    """
    n = np.where(sampled >= 0, design.n_i[sampled], 0.0)
    if N is None:
        return Targets(sampled, Xbar, np.zeros_like(n), np.full_like(n, np.inf))
    return Targets(sampled, Xbar, n / N, N - n)


def rest_means(design: Design, targets: Targets) -> Floats:
    """Return covariate means of the units outside the sample, shape (D, p).

    An area sampled whole has no such unit; its row is the population mean and carries no weight.
    """
    f = targets.f[:, None]
    if not f.any():
        return targets.Xbar
    inside = np.where(targets.observed[:, None], design.xmean[targets.sampled], 0.0)
    whole = f >= 1.0
    return np.where(whole, targets.Xbar, (targets.Xbar - f * inside) / np.where(whole, 1.0, 1 - f))


def predict_means(design: Design, fit: BhfFit, targets: Targets, data: Responses) -> Floats:
    """Return the predictor of each area mean for each response, shape (B, D).

    Parameters
    ----------
    design, fit, targets
        Sample, fits of B responses, areas.
    data : Responses
        The responses (their sampled part is known).
    """
    effect = np.where(targets.observed, fit.u[:, targets.sampled], 0.0)
    rest = fit.beta @ rest_means(design, targets).T + effect
    if not targets.f.any():
        return rest
    known = np.where(targets.observed, data.ymean[:, targets.sampled], 0.0)
    return targets.f * known + (1 - targets.f) * rest


def analytic_mse(design: Design, fit: BhfFit, targets: Targets) -> MeanMse:
    """Return the second-order unbiased estimate of the MSE of the first fit.

    Parameters
    ----------
    design, fit, targets
        Sample, fit (its first response) and areas.
    """
    s2u, s2e = float(fit.sigma2_u[0]), float(fit.sigma2_e[0])
    seen, at = targets.observed, targets.sampled
    gamma = np.where(seen, fit.gamma[0][at], 0.0)
    a = np.where(seen, design.a_i[at], 0.0)
    g1 = (1 - gamma) * s2u
    inverse = np.linalg.inv(information(design, s2u, s2e))
    alpha = s2e + a * s2u
    g3 = (a / alpha**3) * (
        s2e**2 * inverse[0, 0] + s2u**2 * inverse[1, 1] - 2 * s2e * s2u * inverse[0, 1]
    )
    if fit.method == "ML":
        bias = _ml_bias(design, fit, inverse)
        slope_u = np.where(seen, (1 - gamma) ** 2, 1.0)
        slope_e = np.divide(gamma**2, a, out=np.zeros_like(a), where=seen)
        g1 = np.maximum(g1 - bias[0] * slope_u - bias[1] * slope_e, 0.0)
    xbar = design.xbar @ np.linalg.inv(design.T)
    inside = np.where(seen[:, None], xbar[at], 0.0)
    d = rest_means(design, targets) - gamma[:, None] * inside
    factor = d @ np.linalg.cholesky(fit.cov_beta[0])
    g2 = np.einsum("ij,ij->i", factor, factor)
    share = (1 - targets.f) ** 2
    unsampled = share * np.where(targets.rest > 0, s2e / np.maximum(targets.rest, 1.0), 0.0)
    mse = share * (g1 + g2 + 2 * g3) + unsampled
    return MeanMse(mse, g1, g2, g3, unsampled, (1 - targets.f)[:, None] * factor)


def _ml_bias(design: Design, fit: BhfFit, inverse: Floats) -> Floats:
    """Return the first-order bias of the ML variance components, shape (2,)."""
    rho, s2e = float(fit.rho[0]), float(fit.sigma2_e[0])
    w = design.a_i / (1 + design.a_i * rho)
    A = design.W + (design.xbar * w[:, None]).T @ design.xbar
    S2 = (design.xbar * (w**2)[:, None]).T @ design.xbar
    trace = float(np.trace(np.linalg.solve(A, S2)))
    slopes = np.array([-trace / s2e, (rho * trace - design.p) / s2e])
    return np.asarray(0.5 * inverse @ slopes)
