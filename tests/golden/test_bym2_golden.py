"""BYM2 against brms (Stan) on the sudden infant deaths of North Carolina, 1974-1978.

The reference is a Poisson model: y*eta - E exp(eta) is y*eta' - n log(1 + exp(eta')) with
eta' = eta + log(E / n) as n grows; n = 1e7 leaves a relative error of 2e-6 at the largest county.
Its Student priors are flat where the posterior stands; ours are normal of the same scale.
"""

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from inegnum.numerics.bym2 import bym2_mixing
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Term, build_design
from shared import shared

pytestmark = [pytest.mark.shared, pytest.mark.slow]


def test_means_and_sds_of_parameters_and_counties():
    case = ("golden", "brms_bym2_ncsids")
    data = pd.read_csv(shared("golden", "data", "nc_sids.csv"))
    W = pd.read_csv(shared("golden", "data", "nc_adjacency.csv")).to_numpy(np.float64)
    params = pd.read_csv(shared(*case, "expected_params.csv"), index_col=0)
    counties = pd.read_csv(shared(*case, "expected_mu.csv"), index_col=0)
    E = (data["births"] * data["sids"].sum() / data["births"].sum()).to_numpy()
    K, n = len(data), 1e7
    covariate = data["nwb"].to_numpy()
    everywhere = np.zeros(K, dtype=np.int64)
    centred = covariate - covariate.mean()
    terms = (
        Term("intercept", everywhere, 1, 2.5, learned=False),
        Term("nwb", everywhere, 1, 100.0, learned=False, value=centred),
        Term("county", np.arange(K), K, 2.5, mixing=bym2_mixing(W, "uniform")),
    )
    y = data["sids"].to_numpy(np.float64)
    design = build_design(y, np.full(K, n), terms, offset=np.log(E / n))
    with threadpool_limits(limits=1, user_api="blas"):
        found = integrate(design, rng=np.random.default_rng(1), points=200)
        effects, hyper = found.draw(8000, np.random.default_rng(2))
    ours = np.column_stack(
        [effects[:, 0] - covariate.mean() * effects[:, 1], effects[:, 1], hyper[:, 2], hyper[:, 3]]
    )
    _agree(ours, params, chain=2)
    _agree((E[:, None] * np.exp(design.X @ effects.T)).T, counties, chain=0)


def _agree(ours: np.ndarray, reference: pd.DataFrame, *, chain: int) -> None:
    """Hold means to 0.1 sd + 4 MCSE and sds to 5 % + 4 standard errors of both runs.

    The last `chain` columns are sd and share: their draws are the 200 support points.
    """
    mean, sd, mcse, ess = (reference[c].to_numpy() for c in ("mean", "sd", "mcse_mean", "ess_bulk"))
    draws = np.full(len(mean), 8000.0)
    draws[len(mean) - chain :] = 100.0  # 200 support points, half of them effective
    gap = np.abs(ours.mean(axis=0) - mean) / sd
    assert (gap <= 0.1 + 4 * np.hypot(mcse / sd, 1 / np.sqrt(draws))).all(), gap
    noise = 4 * np.sqrt(0.5 / ess + 0.5 / draws)
    assert (np.abs(ours.std(axis=0) / sd - 1) <= 0.05 + noise).all()
