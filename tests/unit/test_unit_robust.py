"""Robust unit-level prediction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from inegnum.errors import InputError
from inegnum.estimators.unit.bhf import bhf
from inegnum.estimators.unit.inputs import AreaMeans, UnitSample
from inegnum.estimators.unit.robust import robust_bhf
from inegnum.numerics.bhf import make_design
from inegnum.numerics.robust_bhf import (
    consistency,
    decorrelate,
    fit_robust,
    reblup_effects,
    scale_equations,
)


def _world(seed: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    area = np.repeat(np.arange(15), 6)
    X = np.column_stack([np.ones(90), 100 + rng.normal(size=90)])
    y = X @ [5.0, 2.0] + 1.5 * rng.normal(size=15)[area] + rng.normal(size=90)
    return y, X, area


def test_kappa_is_the_integral() -> None:
    for k in (0.7, 1.345, 3.0):
        inside = quad(lambda z: z**2 * norm.pdf(z), -k, k)[0]
        assert consistency(k) == pytest.approx(inside + 2 * k**2 * norm.sf(k), rel=1e-9)


def test_decorrelation_is_the_symmetric_root() -> None:
    area, n_i, d = np.array([0, 0, 0, 1, 1]), np.array([3.0, 2.0]), 0.8
    root = np.stack([decorrelate(e, area, n_i, d) for e in np.eye(5)], 1)
    V = np.eye(5) + d * (area[:, None] == area)
    np.testing.assert_allclose(root @ root, np.linalg.inv(V), atol=1e-14)
    np.testing.assert_allclose(root, root.T, atol=1e-15)


def test_all_three_equations_hold() -> None:
    y, X, area = _world()
    y[3] += 25
    design = make_design(X, area, 15)
    fit = fit_robust(design, y, k=1.5)
    d = fit.sigma2_u / fit.sigma2_e
    r = decorrelate(y - X @ fit.beta, area, design.n_i, d) / np.sqrt(fit.sigma2_e)
    Xt = np.stack([decorrelate(x, area, design.n_i, d) for x in X.T], 1)
    # the rounds stop at relative changes of 1e-10, and the equations are about as steep
    np.testing.assert_allclose(
        Xt.T @ np.clip(r, -1.5, 1.5) / np.abs(Xt).sum(axis=0), 0.0, atol=1e-9
    )
    np.testing.assert_allclose(scale_equations(r, area, design.n_i, d, 1.5), 1.0, rtol=1e-8)


def test_without_truncation_it_is_maximum_likelihood() -> None:
    y, X, area = _world()
    sample = UnitSample.from_arrays(y, X, area)
    means = AreaMeans(sample.geo, np.column_stack([np.ones(15), np.full(15, 100.0)]))
    robust = robust_bhf(sample, means, k=1e3)
    plain = bhf(sample, means, method="ML", mse="none")
    np.testing.assert_allclose(robust.table["est"], plain.table["est"], rtol=1e-8)
    for name in ("sigma2_u", "sigma2_e"):
        assert robust.variance[name] == pytest.approx(plain.variance[name], rel=1e-7)
    assert "0 of 90" in robust.notes[0]


def test_an_outlier_moves_the_plain_predictor_and_not_the_robust_one() -> None:
    y, X, area = _world()
    wild = y.copy()
    wild[0] += 100
    means_X = np.column_stack([np.ones(15), np.full(15, 100.0)])
    samples = [UnitSample.from_arrays(v, X, area) for v in (y, wild)]
    means = AreaMeans(samples[0].geo, means_X)
    plain = [bhf(s, means).table["est"].to_numpy() for s in samples]
    robust = [robust_bhf(s, means).table["est"].to_numpy() for s in samples]
    assert np.abs(plain[1] - plain[0]).max() > 2
    assert np.abs(robust[1] - robust[0]).max() < 0.6


def test_reblup_balances_unit_and_area_errors() -> None:
    rng = np.random.default_rng(0)
    area = np.repeat(np.arange(4), 5)
    e = 3 * rng.normal(size=20)
    s2u, s2e, k = 2.0, 1.5, 1.345
    u = reblup_effects(e, area, 4, (s2u, s2e), k)
    pull = np.bincount(area, np.clip((e - u[area]) / np.sqrt(s2e), -k, k)) / np.sqrt(s2e)
    np.testing.assert_allclose(pull, np.clip(u / np.sqrt(s2u), -k, k) / np.sqrt(s2u), atol=1e-12)
    # without truncation it is the BLUP
    wide = reblup_effects(e, area, 4, (s2u, s2e), 1e6)
    gamma = s2u / (s2u + s2e / 5)
    np.testing.assert_allclose(wide, gamma * np.bincount(area, e) / 5, atol=1e-12)


def test_bootstrap_mse_is_repeatable_and_near_the_plain_one_on_clean_data() -> None:
    y, X, area = _world()
    sample = UnitSample.from_arrays(y, X, area)
    means = AreaMeans(sample.geo, np.column_stack([np.ones(15), np.full(15, 100.0)]))
    one = robust_bhf(sample, means, k=2.0, B=40, seed=1).table["mse"]
    two = robust_bhf(sample, means, k=2.0, B=40, seed=1).table["mse"]
    assert one.tolist() == two.tolist()
    plain = bhf(sample, means).table["mse"]
    # k = 2 costs little efficiency; 40 replicates x 15 areas: 22 % / sqrt(15) x 4, and shared parts
    assert float((one / plain).mean()) == pytest.approx(1.0, abs=0.35)


def test_bad_arguments_are_refused() -> None:
    y, X, area = _world()
    means = AreaMeans(tuple(str(i) for i in range(15)), np.ones((15, 2)))
    with pytest.raises(InputError, match="positive"):
        robust_bhf(UnitSample.from_arrays(y, X, area), means, k=0.0)
    with pytest.raises(InputError, match="no precision"):
        robust_bhf(UnitSample.from_arrays(y, X, area, precision=np.ones(90)), means)
