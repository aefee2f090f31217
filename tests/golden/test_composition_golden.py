"""Composition of shares against R sae.prop 0.1.2.

Its scoring stops as soon as ONE component stops moving (`all(eps > PRECISION)` keeps it going): on
the example the first correlation is clipped at -1 twice, and two iterations are taken for
convergence. The test redoes these two iterations, recovers every published plug-in estimate to
rounding with our log ratios and covariances, then shows that our variance has a higher
restricted likelihood.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from area_cases import case, table
from inegnum.estimators.area import AreaData, composition_fay_herriot, fay_herriot
from inegnum.estimators.area.composition import _shares, _to_ratios

pytestmark = pytest.mark.shared

PAIRS = ((0, 1), (0, 2), (1, 2))
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def evidence() -> tuple[list[AreaData], np.ndarray]:
    t = table("saeprop_datasaem")
    t = t.assign(geo=[str(i) for i in range(len(t))])
    data = [
        AreaData.from_formula(f"Y{k} ~ X{k}", t, variance=f"v{k}", geo="geo") for k in (1, 2, 3)
    ]
    V = np.empty((len(t), 3, 3))
    for i in range(3):
        V[:, i, i] = t[f"v{i + 1}"]
    for i, j in PAIRS:
        V[:, i, j] = V[:, j, i] = t[f"v{i + 1}{j + 1}"]
    return data, V


def on_ratios(data: list[AreaData], V: np.ndarray) -> Arrays:
    """Log ratios (m, 3), block covariates (m, 3, 6), sampling covariances at equal shares."""
    ratios, covariances = _to_ratios(np.column_stack([d.y for d in data]), V, "equal")
    X = np.zeros((len(ratios), 3, 6))
    for k, d in enumerate(data):
        X[:, k, 2 * k : 2 * k + 2] = d.X
    return ratios, X, covariances


def covariance(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of variances and correlations, and its slopes."""
    C = np.eye(3)
    for (i, j), rho in zip(PAIRS, theta[3:], strict=True):
        C[i, j] = C[j, i] = rho
    sd = np.sqrt(np.outer(theta[:3], theta[:3]))
    G, slopes = C * sd, np.zeros((6, 3, 3))
    for i in range(3):
        slopes[i, i] = slopes[i, :, i] = G[i] / (2 * theta[i])
        slopes[i, i, i] *= 2
    for k, (i, j) in enumerate(PAIRS):
        slopes[3 + k, i, j] = slopes[3 + k, j, i] = sd[i, j]
    return G, slopes


def as_sae_prop(at: Arrays, start: np.ndarray) -> np.ndarray:
    """Two of its scoring steps, then its repair of a covariance that is not positive definite."""
    y, X, R = at
    m, theta = len(y), start
    for _ in range(2):
        G, slopes = covariance(theta)
        V = np.zeros((3 * m, 3 * m))
        for k in range(m):
            V[3 * k : 3 * k + 3, 3 * k : 3 * k + 3] = G + R[k]
        Vi, flat = np.linalg.inv(V), X.reshape(3 * m, -1)
        P = Vi - Vi @ flat @ np.linalg.solve(flat.T @ Vi @ flat, flat.T @ Vi)
        Py = P @ y.ravel()
        parts = [np.kron(np.eye(m), s) for s in slopes]
        PD = [P @ part for part in parts]
        score = [0.5 * (Py @ d @ Py - np.trace(a)) for a, d in zip(PD, parts, strict=True)]
        information = np.array([[0.5 * np.sum(a * b.T) for b in PD] for a in PD])
        theta = theta + np.linalg.solve(information, score)
        theta = np.append(np.maximum(theta[:3], 1e-4), np.clip(theta[3:], -1, 1))
    assert theta[3] == -1
    G, _ = covariance(theta)
    values, U = np.linalg.eigh(G)
    least = 6 * np.abs(values).max() * np.finfo(float).eps
    return G + (U * np.maximum(0, least - values)) @ U.T


def predicted(G: np.ndarray, at: Arrays) -> tuple[np.ndarray, np.ndarray, float]:
    """EBLUP of the log ratios, their posterior covariance, restricted log-likelihood."""
    y, X, R = at
    V = G + R
    Vi = np.linalg.inv(V)
    H = np.einsum("mia,mij,mjb->ab", X, Vi, X)
    beta = np.linalg.solve(H, np.einsum("mia,mij,mj->a", X, Vi, y))
    r = y - X @ beta
    loglik = -0.5 * (
        np.linalg.slogdet(V)[1].sum() + np.linalg.slogdet(H)[1] + np.einsum("mi,mij,mj->", r, Vi, r)
    )
    return X @ beta + np.einsum("ij,mjk,mk->mi", G, Vi, r), G - G @ Vi @ G, float(loglik)


def test_multinomial_as_sae_prop_at_its_variance() -> None:
    name = "saeprop_multinomial"
    data, V = evidence()
    at = on_ratios(data, V)
    start = np.append(np.full(3, np.median(V[:, 0, 0])), [
        np.corrcoef(at[0].T)[i, j] for i, j in PAIRS
    ])  # fmt: skip
    theirs = as_sae_prop(at, start)
    ratios, posterior, height = predicted(theirs, at)
    expected = case(name, "mprop")
    plug_in = softmax(np.column_stack([ratios, np.zeros(len(ratios))]), axis=1)[:, :3]
    np.testing.assert_allclose(plug_in, expected[["PC.Y1", "PC.Y2", "PC.Y3"]], rtol=1e-11)
    # Its mean shares weigh 2 x 1,000 draws of the prior by the likelihood.
    z = np.random.default_rng(1).standard_normal((4000, 3))
    ours = _shares(ratios, posterior, z).mean(axis=0)[:, :3]
    found = expected[["EBP.Y1", "EBP.Y2", "EBP.Y3"]].to_numpy()
    error = importance_error(theirs, at)
    # 90 numbers: the largest of as many normal errors passes 4 once in two hundred.
    assert (np.abs(ours - found) / error).max() < 4.5

    est = composition_fay_herriot(data, V, names=["Y1", "Y2", "Y3", "rest"], at="equal")
    chol = np.zeros((3, 3))
    for key, value in est["Y1"].variance.items():
        chol[int(key[-2]) - 1, int(key[-1]) - 1] = value
    ours_G = chol @ chol.T
    assert predicted(ours_G + 1e-12 * np.eye(3), at)[2] > height + 0.2
    total = sum(e.table["est"] for e in est.values())
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)


def importance_error(G: np.ndarray, at: Arrays) -> np.ndarray:
    """Monte-Carlo sd of the reference's estimator, from 40 runs of it, shape (m, 3)."""
    y, X, R = at
    Vi = np.linalg.inv(G + R)
    H = np.einsum("mia,mij,mjb->ab", X, Vi, X)
    fixed = X @ np.linalg.solve(H, np.einsum("mia,mij,mj->a", X, Vi, y))
    root = np.linalg.cholesky(G + 1e-9 * np.eye(3))
    inverse, rng, runs = np.linalg.inv(R), np.random.default_rng(5), []
    for _ in range(40):
        half = rng.standard_normal((1000, len(y), 3)) @ root.T
        u = np.concatenate([half, -half])
        gap = y - fixed - u
        weight = np.exp(-0.5 * np.einsum("smi,mij,smj->sm", gap, inverse, gap))
        eta = np.concatenate([fixed + u, np.zeros((*u.shape[:2], 1))], axis=2)
        share = softmax(eta, axis=2)[:, :, :3]
        runs.append((weight[:, :, None] * share).sum(axis=0) / weight.sum(axis=0)[:, None])
    return np.std(runs, axis=0, ddof=1)


def test_one_proportion_as_sae_prop() -> None:
    """Two categories are a Fay-Herriot model of the logit: its own stopping rule is 1e-4."""
    t = table("saeprop_datasaeu")
    t = t.assign(geo=[str(i) for i in range(len(t))])
    data = AreaData.from_formula("y ~ x1 + x2", t, variance="vardir", geo="geo")
    # At equal shares of two categories the slope of the logit is 4 whatever the rate.
    on_scale = AreaData(np.log(data.y / (1 - data.y)), data.X, 16 * data.D)
    est = fay_herriot(on_scale, mse="none")
    expected = case("saeprop_multinomial", "uprop")
    plug_in = 1 / (1 + np.exp(-est.table["est"]))
    np.testing.assert_allclose(plug_in, expected["PC"], rtol=2e-4)
