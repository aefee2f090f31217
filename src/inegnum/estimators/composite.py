"""Composite estimates: a weight between a direct and a synthetic estimate.

    fixed       the same weight phi everywhere, or one an area
    optimal     phi_i = M_i / (M_i + D_i), M_i the MSE of the synthetic estimate
    size        sample-size dependent: 1 where the sample is as large as its share, less below
                (Drew, Singh and Choudhry 1982)

When the MSE of the synthetic estimate is not given, `common_mse` estimates one for all areas as the
mean of (synthetic - direct)^2 - D (independent estimates): it is an average, and may be zero.

Assumptions
    Direct and synthetic errors are independent: true when an area is a small part of the survey.

Limits
    A composite has the bias of its synthetic side, times 1 - phi.

References
----------
    Drew, Singh and Choudhry (1982), Survey Methodology 8; Rao and Molina (2015)
    doi:10.1002/9781118735855, section 3.3; Purcell and Kish (1979) doi:10.2307/2530351.

Must match R ``sae::ssd``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError
from inegnum.estimators.area.inputs import AreaData, named
from inegnum.estimators.error_law import ErrorLaw
from inegnum.estimators.result import AreaEstimates, area_table

__all__ = ["common_mse", "composite", "optimal_weights", "size_dependent_weights"]

Floats = npt.NDArray[np.float64]


def common_mse(direct: Floats, D: Floats, synthetic: Floats) -> float:
    """Estimate the average MSE of the synthetic estimates, at least zero.

    Areas without direct estimate (missing) are left out of the average.

    Examples
    --------
    >>> common_mse(np.array([0.5, 0.7]), np.array([0.01, 0.01]), np.array([0.6, 0.5]))
    0.015
    """
    gap = (synthetic - direct) ** 2 - D
    return round(max(float(np.nanmean(gap)), 0.0), 15)


def optimal_weights(D: Floats, mse_synthetic: Floats | float) -> Floats:
    """Return the weight of the direct estimate that minimises the MSE, shape (m,).

    Examples
    --------
    >>> optimal_weights(np.array([0.01, np.nan]), 0.03).tolist()
    [0.75, 0.0]
    """
    M = np.broadcast_to(np.asarray(mse_synthetic, dtype=np.float64), D.shape)
    if not np.isfinite(M).all() or (M < 0).any():
        raise InputError("the MSE of a synthetic estimate must be finite and not negative")
    return np.where(np.isnan(D), 0.0, M / (M + np.where(np.isnan(D), 1.0, D)))


def size_dependent_weights(
    estimated_persons: Floats, persons: Floats, *, delta: float = 1.0
) -> Floats:
    """Return the weight of the direct estimate: 1 where the sample is large enough, shape (m,).

    Parameters
    ----------
    estimated_persons, persons : ndarray of shape (m,)
        Sum of survey weights in the area, and its known population.
    delta : float
        Share of the expected size above which the direct estimate stands alone.

    Examples
    --------
    >>> size_dependent_weights(np.array([80.0, 120.0]), np.array([100.0, 100.0])).tolist()
    [0.8, 1.0]
    """
    if (persons <= 0).any() or (estimated_persons < 0).any() or delta <= 0:
        raise InputError("persons must be positive, their estimates not negative, delta positive")
    return np.minimum(estimated_persons / (delta * persons), 1.0)


def composite(
    direct: AreaData,
    synthetic: AreaEstimates,
    *,
    weights: Floats | Sequence[float] | float | None = None,
    mse_synthetic: Floats | float | None = None,
) -> AreaEstimates:
    """Combine direct and synthetic estimates area by area.

    Parameters
    ----------
    direct : AreaData
        Direct estimates and variances; its covariates are not used.
    synthetic : AreaEstimates
        Has every area of `direct`.
    weights : float or sequence of shape (m,), optional
        Of the direct estimates; optimal when missing. Areas without direct estimate get 0.
    mse_synthetic : float or ndarray of shape (m,), optional
        MSE of the synthetic estimates, bias included; `common_mse` when missing.

    Returns
    -------
    AreaEstimates
        ``gamma`` is the weight; MSE is ``phi^2 D + (1 - phi)^2 M``.

    Raises
    ------
    InputError
        An area has no synthetic estimate, or weights are outside 0-1.
    """
    found = synthetic.table.set_index("geo")["est"].reindex(list(direct.geo)).to_numpy(np.float64)
    if np.isnan(found).any():
        raise InputError(
            "an area has no synthetic estimate", where=f"area {named(direct.geo, np.isnan(found))}"
        )
    at = direct.sampled
    D = np.where(at, direct.D, np.nan)
    notes: list[str] = []
    if mse_synthetic is None:
        mse_synthetic = common_mse(direct.y, D, found)
        notes.append(f"MSE of the synthetic side estimated for all areas: {mse_synthetic:.4g}")
        if mse_synthetic == 0:
            notes.append("it is zero: the direct estimates show no local difference")
    M = np.broadcast_to(np.asarray(mse_synthetic, dtype=np.float64), D.shape)
    phi = optimal_weights(D, M) if weights is None else np.asarray(weights, dtype=np.float64)
    phi = np.where(at, np.broadcast_to(phi, D.shape), 0.0)
    if not np.isfinite(phi).all() or (phi < 0).any() or (phi > 1).any():
        raise InputError("weights of a composite must lie between 0 and 1", where="weights")
    est = np.where(at, phi * np.where(at, direct.y, 0.0), 0.0) + (1 - phi) * found
    mse = np.where(at, phi**2 * np.where(at, D, 0.0), 0.0) + (1 - phi) ** 2 * M
    basis = np.select([phi == 1, phi == 0], ["direct", "synthetic"], "composite")
    law = ErrorLaw(est, mse)
    table = area_table(
        direct.geo,
        est,
        mse=mse,
        law=law,
        columns={
            "direct": direct.y,
            "direct_se": np.sqrt(D),
            "synthetic": found,
            "gamma": phi,
            "basis": basis,
            "n": direct.n,
        },
    )
    kind = "optimal" if weights is None else "given weights"
    empty = pd.DataFrame(columns=["term", "beta", "se", "z", "p"])
    return AreaEstimates(table, empty, {}, f"composite ({kind})", notes=tuple(notes), law=law)
