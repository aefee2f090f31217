"""Variance components of deviations nested in groups nested in regions.

Model: e_i = m + v_region(i) + delta_group(i) + u_i, all normal and independent,
v ~ N(0, s_v^2), delta ~ N(0, s_d^2), u_i ~ N(0, s_0^2 + s_1^2 / k_i), where k is a known size
(persons over a unit such as 5,000): small areas deviate more, by chance of who lives there, and
large ones never less than s_0. The likelihood is restricted (m integrated out), computed in one
pass by nested rank-one updates.

Assumptions: deviations are known without error (a census), groups lie within regions.

Limits: with a dozen regions s_v is loosely known; the draws of the components carry that. The
components are drawn on the log scale from the normal approximation at the maximum, where a weak
prior log s ~ N(log 0.2, 1) keeps a component that the data put at zero from running to minus
infinity.

Matches R ``lme4::lmer(e ~ 1 + (1 | region/group), REML = TRUE)`` when s_1 = 0 and the prior is
negligible.

References
----------
Searle, Casella and McCulloch 1992, doi:10.1002/9780470316856, chapter 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, InputError

__all__ = ["NestedVariances", "fit_nested", "nested_deviance"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Prior of each log standard deviation: centred on a fifth of a logit, one unit wide (0.03 to 1.4
# at two standard deviations). Of no weight beside thousands of areas, of some for the regions.
_PRIOR_MEAN = float(np.log(0.2))
_PRIOR_SD = 1.0
# Where the search may go: no component is below a thousandth or above five logits.
_BOUNDS = (float(np.log(1e-3)), float(np.log(5.0)))


@dataclass(frozen=True, slots=True)
class NestedVariances:
    """Fitted components.

    Attributes
    ----------
    mean : ndarray of shape (4,)
        ``log s_v, log s_d, log s_0, log s_1`` at the maximum; minus infinity for s_1 when it was
        held at zero.
    covariance : ndarray of shape (4, 4)
        Of the normal approximation.
    """

    mean: Floats
    covariance: Floats

    @property
    def sd_region(self) -> float:
        """Standard deviation between regions."""
        return float(np.exp(self.mean[0]))

    @property
    def sd_group(self) -> float:
        """Standard deviation between groups of one region."""
        return float(np.exp(self.mean[1]))

    def sd_area(self, size: Floats) -> Floats:
        """Return the standard deviation of areas of this size in their group, shape of `size`."""
        return np.asarray(np.sqrt(np.exp(2 * self.mean[2]) + np.exp(2 * self.mean[3]) / size))

    def draw(self, S: int, rng: np.random.Generator) -> Floats:
        """Return draws of ``s_v, s_d, s_0, s_1``, shape (S, 4)."""
        noise = rng.multivariate_normal(np.zeros(4), self.covariance, size=S, method="eigh")
        return np.asarray(np.exp(self.mean + noise))


def nested_deviance(
    parameters: Floats, e: Floats, group: Ints, region_of_group: Ints, size: Floats
) -> float:
    """Return minus twice the restricted log-likelihood, up to a constant.

    Parameters
    ----------
    parameters : ndarray of shape (4,)
        ``log s_v, log s_d, log s_0, log s_1``.
    e, size : ndarray of shape (A,)
        Deviations and sizes.
    group : ndarray of int, shape (A,)
        Group of each area, 0 to G - 1.
    region_of_group : ndarray of int, shape (G,)
        Region of each group, 0 to R - 1.
    """
    v2, d2, constant, by_size = np.exp(2 * parameters)
    inverse = 1 / (constant + by_size / size)
    deviance = -np.log(inverse).sum() + (e**2 * inverse).sum()
    precision = np.bincount(group, weights=inverse, minlength=len(region_of_group))
    weighted = np.bincount(group, weights=e * inverse, minlength=len(region_of_group))
    levels: tuple[tuple[float, Ints], ...] = (
        (d2, region_of_group),
        (v2, np.zeros(int(region_of_group.max()) + 1, dtype=np.int64)),
    )
    # Integrate out one level after the other: each is a rank-one update of the one below.
    for variance, parent in levels:
        shrink = 1 + variance * precision
        deviance += np.log(shrink).sum() - variance * (weighted**2 / shrink).sum()
        precision = np.bincount(parent, weights=precision / shrink)
        weighted = np.bincount(parent, weights=weighted / shrink)
    return float(deviance + np.log(precision[0]) - weighted[0] ** 2 / precision[0])


def fit_nested(
    e: Floats, group: Ints, region_of_group: Ints, size: Floats | None = None
) -> NestedVariances:
    """Fit the components by restricted maximum likelihood with a weak prior.

    Parameters
    ----------
    e : ndarray of shape (A,)
        Deviations.
    group : ndarray of int, shape (A,)
    region_of_group : ndarray of int, shape (G,)
    size : ndarray of shape (A,), optional
        Sizes; without them s_1 is zero (one standard deviation for areas of every size).

    Raises
    ------
    InputError
        Fewer than three regions or groups, missing deviations, or a size that is not positive.
    ConvergenceError
        The optimiser did not reach its criterion.
    """
    from scipy.optimize import minimize

    _, region_of_group = np.unique(region_of_group, return_inverse=True)
    if region_of_group.max(initial=-1) < 2 or not np.isfinite(e).all():
        raise InputError(
            "deviations do not identify variance components",
            got=f"{region_of_group.max(initial=-1) + 1} regions, {len(region_of_group)} groups",
            expected="at least three of each, and finite deviations",
        )
    if size is not None and not (size > 0).all():
        raise InputError("a size is not positive", where="fit_nested", got=float(size.min()))
    free = 3 if size is None else 4
    sizes = np.ones(len(e)) if size is None else size

    def objective(x: Floats) -> float:
        full = np.concatenate([x, np.full(4 - free, -np.inf)])
        prior = float((((x - _PRIOR_MEAN) / _PRIOR_SD) ** 2).sum())
        return 0.5 * (nested_deviance(full, e, group, region_of_group, sizes) + prior)

    start = np.full(free, np.log(max(float(e.std()), 2e-3) / np.sqrt(free)))
    found = minimize(objective, start, method="L-BFGS-B", bounds=[_BOUNDS] * free)
    curvature = _hessian(objective, found.x)
    # Newton's last step says how far the maximum is, in posterior standard deviations.
    step = np.linalg.solve(curvature, _gradient(objective, found.x))
    if np.linalg.eigvalsh(curvature)[0] <= 0 or float(step @ curvature @ step) > 0.01:
        raise ConvergenceError(
            "variance components did not converge",
            got=f"{found.message}, step {np.round(step, 3).tolist()}",
            expected="a step under a tenth of a standard deviation",
        )
    mean, covariance = np.full(4, -np.inf), np.zeros((4, 4))
    mean[:free] = found.x
    covariance[:free, :free] = np.linalg.inv(curvature)
    return NestedVariances(mean, covariance)


def _gradient(function: Callable[[Floats], float], x: Floats, step: float = 1e-3) -> Floats:
    """Return first derivatives by central differences, shape (k,)."""
    eye = np.eye(len(x)) * step
    return np.array([(function(x + d) - function(x - d)) / (2 * step) for d in eye])


def _hessian(function: Callable[[Floats], float], x: Floats, step: float = 1e-2) -> Floats:
    """Return second derivatives by central differences, shape (k, k)."""
    k = len(x)
    out = np.empty((k, k))
    eye = np.eye(k) * step
    for i in range(k):
        for j in range(i + 1):
            out[i, j] = out[j, i] = (
                function(x + eye[i] + eye[j])
                - function(x + eye[i] - eye[j])
                - function(x - eye[i] + eye[j])
                + function(x - eye[i] - eye[j])
            ) / (4 * step**2)
    return out
