"""Spatial Fay-Herriot with BYM2 effects: limits it must meet, known truth, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.errors import InputError
from inegnum.estimators.area import (
    AreaData,
    Transform,
    bayes_fay_herriot,
    bym2_fay_herriot,
    row_standardise,
)
from inegnum.numerics.bym2 import bym2_mixing, share_at
from inegnum.numerics.fay_herriot_bym2 import integrate_bym2

SIDE = 7
M = SIDE * SIDE
LINE = np.eye(SIDE, k=1) + np.eye(SIDE, k=-1)
GRID = np.kron(LINE, np.eye(SIDE)) + np.kron(np.eye(SIDE), LINE)
RNG = np.random.default_rng(6)
X = np.column_stack([np.ones(M), RNG.normal(size=M)])
D = RNG.uniform(0.05, 0.3, M)


def world(phi: float, seed: int) -> tuple[AreaData, np.ndarray]:
    rng = np.random.default_rng(seed)
    mixing = bym2_mixing(GRID)
    b = 0.5 * mixing.vectors @ (np.sqrt(mixing.variances(phi)) * rng.normal(size=M))
    theta = X @ [1.0, 0.5] + b
    return AreaData(theta + rng.normal(size=M) * np.sqrt(D), X, D), theta


def test_without_spatial_share_it_is_the_bayesian_fay_herriot() -> None:
    data, _ = world(0.0, 1)
    plain = bayes_fay_herriot(data, scale=0.7)
    post = integrate_bym2(data.y, X, D, bym2_mixing(GRID), scale=0.7, phi=0.0, nodes=48)
    # Two quadratures of one posterior, the second without a ten-thousandth of its mass.
    np.testing.assert_allclose(post.mean, plain.table["est"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(np.diag(post.covariance), plain.table["mse"], rtol=1e-3)


def test_against_dense_algebra_on_a_brute_grid() -> None:
    data, _ = world(0.8, 2)
    y = np.where(np.arange(M) == 5, np.nan, data.y)
    est = bym2_fay_herriot(AreaData(y, X, D), GRID, scale=0.7, phi_prior="uniform")
    mixing = bym2_mixing(GRID, "uniform")
    S = (mixing.vectors * mixing.values) @ mixing.vectors.T
    at = np.arange(M) != 5
    log, mean = [], []
    positions = (np.arange(30) + 0.5) * 24 / 30
    for position in positions:
        phi = float(share_at(position))
        slope = np.sin(np.pi * position / 24)  # d phi / d position, up to a constant
        for sigma in (np.arange(60) + 0.5) * 0.03:
            G = sigma**2 * ((1 - phi) * np.eye(M) + phi * S)
            V = G[np.ix_(at, at)] + np.diag(D[at])
            Vi = np.linalg.inv(V)
            H = X[at].T @ Vi @ X[at]
            b = np.linalg.solve(H, X[at].T @ Vi @ y[at])
            r = y[at] - X[at] @ b
            log.append(
                -0.5 * (np.linalg.slogdet(V)[1] + np.linalg.slogdet(H)[1] + r @ Vi @ r)
                - np.log1p((sigma / 0.7) ** 2)
                + np.log(slope)
            )
            mean.append(X @ b + G[:, at] @ Vi @ r)
    w = np.exp(np.array(log) - max(log))
    w /= w.sum()
    # Midpoints in both: agreement to a hundredth of a posterior sd.
    assert (np.abs(est.table["est"] - w @ np.array(mean)) / est.table["se"]).max() < 0.01


def test_spatial_truth_is_found_and_neighbours_inform_an_area_without_data() -> None:
    spatial = [bym2_fay_herriot(world(0.95, s)[0], GRID).variance["phi"] for s in range(3)]
    independent = [bym2_fay_herriot(world(0.0, s)[0], GRID).variance["phi"] for s in range(3)]
    assert np.mean(spatial) > np.mean(independent) + 0.2
    data, theta = world(0.95, 11)
    y = np.where(np.arange(M) % 6 == 0, np.nan, data.y)
    hidden = np.isnan(y)
    with_map = bym2_fay_herriot(AreaData(y, X, D), GRID).table
    without = bayes_fay_herriot(AreaData(y, X, D)).table
    # An area of four neighbours; a corner has two, and a larger variance of its own.
    inside = hidden & (GRID.sum(axis=1) == 4)
    assert (with_map["se"][inside] < without["se"][inside]).all()
    error = [float(np.mean((t["est"] - theta)[hidden] ** 2)) for t in (with_map, without)]
    assert error[0] < error[1]


def test_rates_through_the_logit_stay_rates_and_draws_are_joint() -> None:
    rng = np.random.default_rng(3)
    p = np.clip(rng.beta(8, 3, M), 0.1, 0.9)
    data = AreaData(p, np.ones((M, 1)), p * (1 - p) / 60)
    est = bym2_fay_herriot(data, GRID, transform=Transform("logit"))
    assert est.table["lower"].gt(0).all()
    assert est.table["upper"].lt(1).all()
    values = est.draws(4000, seed=1).values
    np.testing.assert_allclose(values.mean(axis=0), est.table["est"], atol=0.005)
    np.testing.assert_allclose(values.std(axis=0), est.table["se"], rtol=0.1)


def test_labels_islands_and_refusals() -> None:
    data, _ = world(0.5, 4)
    order = np.random.default_rng(1).permutation(M)
    mixed = pd.DataFrame(GRID[np.ix_(order, order)], index=data.geo[order], columns=data.geo[order])
    a, b = bym2_fay_herriot(data, GRID), bym2_fay_herriot(data, mixed)
    np.testing.assert_allclose(a.table["est"], b.table["est"], rtol=1e-9)
    island = GRID.copy()
    island[0], island[:, 0] = 0, 0
    assert np.isfinite(bym2_fay_herriot(data, island).table["est"]).all()
    with pytest.raises(InputError, match="symmetric") as caught:
        bym2_fay_herriot(data, row_standardise(GRID))
    assert "row_standardise" in caught.value.hint
    with pytest.raises(InputError, match="not of these areas"):
        bym2_fay_herriot(data, GRID[:-1, :-1])
    with pytest.raises(InputError, match="own neighbour"):
        bym2_fay_herriot(data, GRID + np.eye(M))
    with pytest.raises(InputError, match="two neighbours at least"):
        bym2_fay_herriot(data, np.zeros((M, M)))
    with pytest.raises(InputError, match="unknown prior"):
        bym2_fay_herriot(data, GRID, phi_prior="beta")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must be positive"):
        bym2_fay_herriot(data, GRID, scale=0.0)
