"""Spatial model: against dense algebra, with areas left out, and refusals of W."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from inegnum.errors import ConvergenceError, InputError
from inegnum.estimators.area import AreaData, row_standardise, spatial_fay_herriot
from inegnum.numerics import sar
from inegnum.numerics.block_tridiagonal import Layout, factorise
from inegnum.numerics.sar import fit_sar
from inegnum.numerics.sar_mse import sar_mse


def grid(side: int) -> sparse.csr_array:
    line = sparse.diags_array([np.ones(side - 1)] * 2, offsets=[-1, 1])
    one = sparse.eye_array(side)
    return sparse.csr_array(sparse.kron(line, one) + sparse.kron(one, line))


def simulate(side: int, rho: float, seed: int = 3) -> tuple[AreaData, sparse.csr_array]:
    rng = np.random.default_rng(seed)
    W = row_standardise(grid(side))
    m = side * side
    X = np.column_stack([np.ones(m), rng.normal(size=m)])
    D = rng.uniform(0.2, 0.6, m)
    v = np.linalg.solve(np.eye(m) - rho * W.toarray(), rng.normal(size=m) * 0.6)
    y = X @ [1.0, 2.0] + v + rng.normal(size=m) * np.sqrt(D)
    return AreaData(y, X, D), W


def test_blocks_agree_with_dense_algebra() -> None:
    G = grid(14)
    A = sparse.csr_array(sparse.eye_array(196) * 5 - 0.9 * G)
    layout = Layout.of(abs(A))
    assert len(layout.cuts) > 3
    factor = factorise(layout.blocks(A))
    dense = A.toarray()[np.ix_(layout.order, layout.order)]
    inverse = np.linalg.inv(dense)
    assert factor.logdet == pytest.approx(np.linalg.slogdet(dense)[1], rel=1e-12)
    rhs = np.random.default_rng(0).normal(size=(196, 3))
    np.testing.assert_allclose(factor.solve(rhs), inverse @ rhs, rtol=1e-10, atol=1e-13)
    blocks, cuts = factor.inverse_blocks(), layout.cuts
    for k in range(len(cuts) - 1):
        here = slice(cuts[k], cuts[k + 1])
        np.testing.assert_allclose(blocks.diagonal[k], inverse[here, here], rtol=1e-9, atol=1e-13)
        if k:
            above = slice(cuts[k - 1], cuts[k])
            np.testing.assert_allclose(
                blocks.lower[k - 1], inverse[here, above], rtol=1e-9, atol=1e-13
            )


@pytest.mark.parametrize("m", [5, 31, 33, 40, 63, 64, 65])
def test_blocks_hold_every_row_of_a_narrow_graph(m: int) -> None:
    """Few areas make one block, and left-over rows join the last: levels hold two rows here."""
    ring = sparse.csr_array(np.roll(np.eye(m), 1, axis=1) + np.roll(np.eye(m), -1, axis=1))
    A = sparse.csr_array(sparse.eye_array(m) * 3 - ring)
    layout = Layout.of(abs(A))
    assert (layout.cuts[0], layout.cuts[-1]) == (0, m)
    expected = np.linalg.slogdet(A.toarray())[1]
    assert factorise(layout.blocks(A)).logdet == pytest.approx(expected, rel=1e-12)


def test_gradient_vanishes_and_dense_likelihood_is_maximal() -> None:
    data, W = simulate(12, 0.6)
    fit = fit_sar(data.y, data.X, data.D, W, restricted=True)

    def dense(s: float, rho: float) -> float:
        A = np.eye(144) - rho * W.toarray()
        V = s * np.linalg.inv(A.T @ A) + np.diag(data.D)
        Vi = np.linalg.inv(V)
        I = data.X.T @ Vi @ data.X  # noqa: E741
        r = data.y - data.X @ np.linalg.solve(I, data.X.T @ Vi @ data.y)
        return -0.5 * (np.linalg.slogdet(V)[1] + r @ Vi @ r + np.linalg.slogdet(I)[1])

    top = dense(fit.sigma2, fit.rho)
    for ds, dr in ((1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3)):
        assert dense(fit.sigma2 + ds, fit.rho + dr) < top


def test_area_without_direct_estimate_is_the_conditional_mean() -> None:
    data, W = simulate(8, 0.7)
    y = data.y.copy()
    y[[5, 40]] = np.nan
    fit = fit_sar(y, data.X, data.D, W)
    at = ~np.isnan(y)
    A = np.eye(64) - fit.rho * W.toarray()
    G = fit.sigma2 * np.linalg.inv(A.T @ A)
    V = G[np.ix_(at, at)] + np.diag(data.D[at])
    Vi = np.linalg.inv(V)
    X = data.X
    Q = np.linalg.inv(X[at].T @ Vi @ X[at])
    beta = Q @ X[at].T @ Vi @ y[at]
    effects = G[:, at] @ Vi @ (y[at] - X[at] @ beta)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-9)
    np.testing.assert_allclose(fit.effects, effects, rtol=1e-8, atol=1e-10)
    # g1 + g2 of the best predictor, by textbook algebra on the sampled areas.
    D = np.where(at, data.D, np.nan)
    terms = sar_mse(fit, X, D)
    L = G[:, at] @ Vi
    g1 = np.diag(G - L @ G[at])
    d = X - L @ X[at]
    np.testing.assert_allclose(terms.g1, g1, rtol=1e-8)
    np.testing.assert_allclose(terms.g2, np.einsum("ij,jk,ik->i", d, Q, d), rtol=1e-8)
    assert (terms.mse() > terms.g1).all()


def test_asymmetric_proximity_takes_the_other_path() -> None:
    """Nearest-neighbour weights are not similar to a symmetric matrix; the answer is as exact."""
    rng = np.random.default_rng(4)
    m = 60
    W = np.zeros((m, m))
    for i in range(m):
        W[i, rng.choice(np.delete(np.arange(m), i), 4, replace=False)] = 0.25
    X = np.column_stack([np.ones(m), rng.normal(size=m)])
    D = np.full(m, 0.3)
    v = np.linalg.solve(np.eye(m) - 0.5 * W, rng.normal(size=m))
    y = X @ [1.0, 2.0] + v + rng.normal(size=m) * np.sqrt(D)
    fit = fit_sar(y, X, D, W, restricted=False)
    A = np.eye(m) - fit.rho * W
    V = fit.sigma2 * np.linalg.inv(A.T @ A) + np.diag(D)
    r = y - X @ fit.beta
    loglik = -0.5 * (np.linalg.slogdet(2 * np.pi * V)[1] + r @ np.linalg.solve(V, r))
    assert fit.loglik == pytest.approx(loglik, rel=1e-10)


def test_joint_law_has_the_mse_on_its_diagonal() -> None:
    data, W = simulate(7, 0.5)
    est = spatial_fay_herriot(data, W)
    assert est.law is not None
    shared = np.einsum("ij,ij->i", est.law.factor, est.law.factor)
    assert (shared <= est.table["mse"] * (1 + 1e-9)).all()
    near, far = est.draws(4000, seed=1).values[:, [0, 1]].T, est.draws(4000, seed=1).values[:, 48]
    assert np.corrcoef(near)[0, 1] > np.corrcoef(near[0], far)[0, 1]


def test_refusals() -> None:
    data, W = simulate(5, 0.5)
    with pytest.raises(InputError, match="not of these areas"):
        spatial_fay_herriot(data, row_standardise(grid(4)))
    with pytest.raises(InputError, match="not row-standardised") as caught:
        spatial_fay_herriot(data, grid(5))
    assert "row_standardise" in caught.value.hint
    with pytest.raises(InputError, match="own neighbour"):
        spatial_fay_herriot(data, 0.5 * (W + sparse.eye_array(25)))
    with pytest.raises(InputError, match="negative"):
        spatial_fay_herriot(data, -W)
    with pytest.raises(InputError, match="no area has a neighbour"):
        spatial_fay_herriot(data, np.zeros((25, 25)))
    other = pd.DataFrame(W.toarray(), index=list("abcde") * 5, columns=list("abcde") * 5)
    with pytest.raises(InputError, match="not of these areas"):
        spatial_fay_herriot(data, other)


def test_labels_put_the_proximity_in_order() -> None:
    data, W = simulate(6, 0.5)
    order = np.random.default_rng(1).permutation(36)
    labels = data.geo[order]
    mixed = pd.DataFrame(W.toarray()[np.ix_(order, order)], index=labels, columns=labels)
    a = spatial_fay_herriot(data, W, mse="none").table["est"]
    np.testing.assert_allclose(spatial_fay_herriot(data, mixed, mse="none").table["est"], a)


def test_zero_variance_is_reported() -> None:
    data, W = simulate(6, 0.0)
    flat = AreaData(data.X @ [1.0, 2.0] + 0.01 * np.sin(np.arange(36)), data.X, data.D)
    est = spatial_fay_herriot(flat, W)
    assert est.variance["sigma2_u"] == 0.0
    assert np.isnan(est.variance["rho"])
    assert "zero" in est.notes[0]


@pytest.mark.parametrize("seed", range(8))
def test_both_searches_find_the_same_maximum(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Average-information steps against L-BFGS within bounds, strong and weak patterns."""
    data, W = simulate(7, (-0.5, 0.0, 0.5, 0.9)[seed % 4], seed)
    y = np.where(np.arange(49) < 2 * (seed % 2), np.nan, data.y)
    fast = fit_sar(y, data.X, data.D, W, restricted=seed > 3, start=0.3)
    monkeypatch.setattr(sar, "_climb", lambda *_: None)
    slow = fit_sar(y, data.X, data.D, W, restricted=seed > 3, start=0.3)
    assert fast.boundary == slow.boundary
    # Both stop within 1e-9 of a maximum; at the bound zero L-BFGS leaves the value flat to 1e-9.
    assert fast.point.value == pytest.approx(slow.point.value, rel=1e-9)
    np.testing.assert_allclose([fast.sigma2, fast.rho], [slow.sigma2, slow.rho], rtol=1e-6)


def test_analytic_mse_is_never_negative() -> None:
    """Few areas: where the expansion goes below zero its leading terms stand, and it is said."""
    line = sparse.csr_array(np.eye(9, k=1) + np.eye(9, k=-1))
    replaced = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        X = np.column_stack([np.ones(9), rng.normal(size=9)])
        D = rng.uniform(0.01, 1.0, 9) ** 2
        y = X.sum(axis=1) + rng.normal(size=9) * np.sqrt(D)
        try:
            fitted = spatial_fay_herriot(AreaData(y, X, D), row_standardise(line))
        except ConvergenceError:
            continue
        assert (fitted.table["mse"] > 0).all()
        replaced += any("g1 + g2" in note for note in fitted.notes)
    assert replaced > 0
