"""The joint law of prediction errors of a set of areas, and the scales it lives on.

Errors are normal on the model's scale, with what areas share (coefficients, a spatial field) apart
from what is their own. Where an estimator knows better than normal (a posterior, a bootstrap of
the studentised error), each area has its own quantiles of the standardised error; areas then depend
on each other as the normal errors do (a Gaussian copula).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError

__all__ = ["SCORES", "ErrorLaw", "Link", "from_rate_scale", "to_rate_scale"]

Floats = npt.NDArray[np.float64]
Link = Literal["identity", "log", "logit", "arcsin"]

# Normal scores at which the quantiles of a standardised error are kept: from 4e-5 on each side.
SCORES: Final = np.linspace(-4.0, 4.0, 65)


def to_rate_scale(values: Floats, link: Link) -> Floats:
    """Bring values of the model's scale back to the scale of the target, elementwise.

    Examples
    --------
    >>> to_rate_scale(np.array([0.0]), "logit").tolist()
    [0.5]
    """
    if link == "identity":
        return values
    if link == "log":
        return np.exp(values)
    if link == "logit":
        from scipy.special import expit

        return np.asarray(expit(values), dtype=np.float64)
    return np.sin(np.clip(values, 0.0, np.pi / 2)) ** 2


def from_rate_scale(values: Floats, link: Link) -> Floats:
    """Bring values of the target's scale to the model's, elementwise: inverse of `to_rate_scale`.

    Examples
    --------
    >>> from_rate_scale(np.array([0.5]), "logit").tolist()
    [0.0]
    """
    if link == "identity":
        return values
    if link == "log":
        return np.log(values)
    if link == "logit":
        return np.log(values) - np.log1p(-values)
    return np.arcsin(np.sqrt(values))


@dataclass(frozen=True, slots=True)
class ErrorLaw:
    """Normal law of the areas given the data, on the model's scale.

    The error of area j is ``factor[j] @ z + sqrt(mse[j] - factor[j] @ factor[j]) e_j`` with
    independent standard normal ``z`` and ``e``: what areas share (coefficients, spatial field) goes
    through `factor`, the rest is their own.

    Attributes
    ----------
    center : ndarray of shape (m,)
        Predictor on the model's scale.
    mse : ndarray of shape (m,)
        Its mean squared error on that scale; missing where none was computed.
    factor : ndarray of shape (m, k)
        Loadings on the shared errors; k = 0 when errors are taken as independent.
    link : {"identity", "log", "logit", "arcsin"}
        From the target's scale to the model's.
    pivot : ndarray of shape (65, m)
        Quantiles of ``(theta - center) / sqrt(mse)`` at the normal scores `SCORES`; empty when the
        errors are normal.
    """

    center: Floats
    mse: Floats
    factor: Floats = field(default_factory=lambda: np.empty((0, 0)))
    link: Link = "identity"
    pivot: Floats = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        m = self.center.shape[0]
        if self.mse.shape != (m,):
            raise InputError("an error law is ragged", got=self.mse.shape, expected=(m,))
        factor = self.factor if self.factor.size else np.empty((m, 0))
        if factor.shape[0] != m:
            raise InputError("an error law is ragged", got=factor.shape, expected=(m, "k"))
        excess = np.einsum("jk,jk->j", factor, factor) - self.mse
        # 1e-6 relative: a factor is computed from the same terms as the MSE, up to rounding.
        if (excess > 1e-6 * np.abs(self.mse)).any():
            raise InputError(
                "the shared error of an area exceeds its mean squared error",
                where=f"area at position {int(np.nanargmax(excess))}",
                got=float(np.nanmax(excess)),
                expected="a factor whose squared row is at most the MSE",
            )
        object.__setattr__(self, "factor", factor)
        if self.pivot.size and self.pivot.shape != (len(SCORES), m):
            raise InputError(
                "the quantiles of an error law are ragged",
                got=self.pivot.shape,
                expected=(len(SCORES), m),
            )

    def _standardised(self, scores: Floats) -> Floats:
        """Turn normal scores (S, m) into standardised errors of each area."""
        if not self.pivot.size:
            return scores
        columns = [np.interp(z, SCORES, q) for z, q in zip(scores.T, self.pivot.T, strict=True)]
        return np.stack(columns, axis=1)

    def interval(self, prob: float = 0.95) -> tuple[Floats, Floats]:
        """Return bounds of the central interval on the target's scale, shape (m,) each."""
        if not 0 < prob < 1:
            raise InputError("an interval needs a mass between 0 and 1", where="prob", got=prob)
        from scipy.special import ndtri

        z = float(ndtri((1 + prob) / 2))
        ends = self._standardised(np.repeat([[-z], [z]], len(self.center), axis=1))
        lower, upper = self.center + ends * np.sqrt(self.mse)
        return to_rate_scale(lower, self.link), to_rate_scale(upper, self.link)

    def sample(self, S: int, rng: np.random.Generator) -> Floats:
        """Draw the areas jointly on the target's scale, shape (S, m)."""
        m, k = self.factor.shape
        own = np.sqrt(np.maximum(self.mse - np.einsum("jk,jk->j", self.factor, self.factor), 0.0))
        error = rng.standard_normal((S, m)) * own
        if k:
            error += rng.standard_normal((S, k)) @ self.factor.T
        if self.pivot.size:
            sd = np.sqrt(self.mse)
            error = sd * self._standardised(error / np.where(sd > 0, sd, 1.0))
        return to_rate_scale(self.center + error, self.link)
