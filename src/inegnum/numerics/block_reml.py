"""Restricted maximum likelihood for independent blocks with any covariance.

Model
    y_k = X_k beta + u_k + e_k, blocks k = 1..K of n rows, u_k ~ N(0, G_k(theta)), e_k ~ N(0, R_k),
    R known; V = G + R. One block is a general linear mixed model, many are independent areas with
    several responses.

Estimation by Fisher scoring with halved steps, then Newton's method on differences of the exact
score, which scoring approaches slowly when information expected and observed differ. A component
at its bound whose score points outwards is held there. Convergence means a step under 1e-9 of each
component's standard error.

The MSE of the predictor x beta + u is g1 + g2 + 2 g3 (Prasad and Rao 1990; Das, Jiang and Rao
2004), second-order unbiased for REML.

References
----------
    Das, Jiang and Rao (2004) doi:10.1214/009053604000000201; Rao and Molina (2015)
    doi:10.1002/9781118735855, sections 5.2-5.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

from inegnum.errors import ConvergenceError

__all__ = ["BlockFit", "block_mse", "expected_information", "fit_blocks"]

Floats = npt.NDArray[np.float64]
# theta -> G (K, n, n) and its derivatives (q, K, n, n)
Covariance = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True)
class BlockFit:
    """Fitted model.

    Attributes
    ----------
    theta : ndarray of shape (q,)
    information : ndarray of shape (q, q)
        Expected, of the restricted likelihood.
    beta : ndarray of shape (p,)
    cov_beta : ndarray of shape (p, p)
    effects : ndarray of shape (K, n)
        Predicted u.
    loglik : float
        Log-likelihood (not restricted).
    at_bound : ndarray of shape (q,)
        Components at a bound, or that nothing identifies there.
    iterations : int
    """

    theta: Floats
    information: Floats
    beta: Floats
    cov_beta: Floats
    effects: Floats
    loglik: float
    at_bound: npt.NDArray[np.bool_]
    iterations: int


@dataclass(frozen=True, slots=True)
class _State:
    value: float
    score: Floats
    information: Floats
    beta: Floats
    cov: Floats
    Py: Floats  # (K, n): V^-1 (y - X beta)
    Vi: Floats
    loglik: float


def _state(theta: Floats, y: Floats, X: Floats, R: Floats, covariance: Covariance) -> _State:
    G, dG = covariance(theta)
    V = G + R
    Vi = np.linalg.inv(V)
    ViX = Vi @ X
    Q = np.linalg.inv(np.einsum("kni,knj->ij", X, ViX))
    beta = Q @ np.einsum("kni,kn->i", ViX, y)
    r = y - X @ beta
    Py = np.einsum("kij,kj->ki", Vi, r)
    logV = float(np.linalg.slogdet(V)[1].sum())
    profile = -0.5 * (logV + float(np.einsum("kn,kn->", r, Py)))
    value = profile + 0.5 * float(np.linalg.slogdet(Q)[1])
    # tr(P Va P Vb) = tr(Vi Va Vi Vb) - 2 tr(Q X'Vi Va Vi Vb Vi X) + tr(Q Ma Q Mb)
    S = Vi @ dG  # (q, K, n, n)
    U = dG @ ViX  # (q, K, n, p)
    M = np.einsum("kni,aknj->aij", ViX, U)
    QM = Q @ M
    trace = np.einsum("aknn->a", S) - np.einsum("aii->a", QM)
    quadratic = np.einsum("ki,akij,kj->a", Py, dG, Py)
    first = np.einsum("akij,bkji->ab", S, S, optimize=True)
    second = np.einsum("akni,knm,bkmj,ij->ab", U, Vi, U, Q, optimize=True)
    third = np.einsum("aij,bji->ab", QM, QM)
    loglik = profile - 0.5 * y.size * float(np.log(2 * np.pi))
    information = 0.5 * (first - second - second.T + third)
    return _State(value, 0.5 * (quadratic - trace), information, beta, Q, Py, Vi, loglik)


def _curvature(
    theta: Floats,
    state: _State,
    evaluate: Callable[[Floats], _State],
    bounds: tuple[Floats, Floats],
) -> Floats:
    """Observed information from one-sided differences of the score, shape (q, q)."""
    scale = 1 / np.sqrt(np.maximum(np.diag(state.information), np.finfo(float).tiny))
    low, high = bounds
    H = np.empty_like(state.information)
    for a in range(len(theta)):
        step = np.zeros_like(theta)
        step[a] = min(1e-5 * scale[a], 1e-4 * (high[a] - low[a]))
        if theta[a] + step[a] > high[a]:
            step[a] = -step[a]
        H[a] = (state.score - evaluate(theta + step).score) / step[a]
    return np.asarray(0.5 * (H + H.T))


def fit_blocks(
    y: Floats,
    X: Floats,
    R: Floats,
    covariance: Covariance,
    *,
    start: Floats,
    bounds: tuple[Floats, Floats],
) -> BlockFit:
    """Estimate theta and beta by REML.

    Parameters
    ----------
    y : ndarray of shape (K, n)
    X : ndarray of shape (K, n, p)
    R : ndarray of shape (K, n, n)
        Sampling covariances.
    covariance : callable
        ``theta -> (G, dG)``, shapes (K, n, n) and (q, K, n, n).
    start : ndarray of shape (q,)
    bounds : pair of ndarray of shape (q,)
        Lower and upper.

    Raises
    ------
    ConvergenceError
        The likelihood still rises where steps no longer move.
    """

    def evaluate(at: Floats) -> _State:
        return _state(at, y, X, R, covariance)

    theta = np.clip(start, *bounds)
    state = evaluate(theta)
    for iteration in range(1, 61):
        step = _step(theta, state, evaluate, bounds, observed=iteration > 10)
        new, trial = _walk(theta, state, step, evaluate, bounds)
        moved = np.abs(new - theta)
        theta, state = new, trial
        # Scale of a component: its own standard error, which does not depend on its unit.
        if (moved <= 1e-9 * _scale(state)).all():
            return _fitted(theta, state, covariance, bounds, iteration)
    return _along_ridge(theta, state, evaluate, covariance, bounds)


def _scale(state: _State) -> Floats:
    return np.asarray(1 / np.sqrt(np.maximum(np.diag(state.information), np.finfo(float).tiny)))


def _held(theta: Floats, state: _State, bounds: tuple[Floats, Floats]) -> npt.NDArray[np.bool_]:
    """Components at a bound that the score presses against, or that nothing identifies."""
    low, high = bounds
    pressed = ((theta <= low) & (state.score <= 0)) | ((theta >= high) & (state.score >= 0))
    # A correlation of effects without variance changes nothing: it stays where it is.
    return np.asarray(pressed | (np.diag(state.information) <= 0))


def _step(
    theta: Floats,
    state: _State,
    evaluate: Callable[[Floats], _State],
    bounds: tuple[Floats, Floats],
    *,
    observed: bool,
) -> Floats:
    free = ~_held(theta, state, bounds)
    step = np.zeros_like(theta)
    if free.any():
        at = np.ix_(free, free)
        curvature = state.information
        if observed:
            H = _curvature(theta, state, evaluate, bounds)
            curvature = H if np.linalg.eigvalsh(H[at]).min() > 0 else curvature
        try:
            step[free] = np.linalg.solve(curvature[at], state.score[free])
        except np.linalg.LinAlgError as error:
            raise ConvergenceError(
                "variance components cannot be told apart",
                got=f"a singular information at {theta.tolist()}",
                hint="drop a component: the data hold no repetition that separates them",
            ) from error
    return step


def _walk(
    theta: Floats,
    state: _State,
    step: Floats,
    evaluate: Callable[[Floats], _State],
    bounds: tuple[Floats, Floats],
) -> tuple[Floats, _State]:
    """Halve the step until the likelihood does not fall."""
    size = 1.0
    while size > 1e-10:
        new = np.clip(theta + size * step, *bounds)
        if (new == theta).all():
            break
        trial = evaluate(new)
        # Rounding of the likelihood: 1e-10 of its size is as good as equal.
        if trial.value >= state.value - 1e-10 * abs(state.value):
            return new, trial
        size /= 2
    return theta, state


def _along_ridge(
    theta: Floats,
    state: _State,
    evaluate: Callable[[Floats], _State],
    covariance: Covariance,
    bounds: tuple[Floats, Floats],
) -> BlockFit:
    """Follow a curved ridge (variance to zero as a correlation goes to one) by quasi-Newton steps.

    Accepted when the next step could gain less than 0.005 of log-likelihood, a tenth of a standard
    error in any direction.
    """
    scale = _scale(state)

    def negative(z: Floats) -> tuple[float, Floats]:
        there = evaluate(np.clip(z * scale, *bounds))
        return -there.value, -there.score * scale

    limits = list(zip(bounds[0] / scale, bounds[1] / scale, strict=True))
    found = optimize.minimize(
        negative,
        theta / scale,
        jac=True,
        method="L-BFGS-B",
        bounds=limits,
        options={"maxiter": 500},
    )
    theta = np.clip(found.x * scale, *bounds)
    state = evaluate(theta)
    free = ~_held(theta, state, bounds)
    at = np.ix_(free, free)
    gain = 0.5 * float(
        state.score[free] @ np.linalg.solve(state.information[at], state.score[free])
    )
    if gain > 0.005:
        raise ConvergenceError(
            "variance components did not converge",
            got=f"{theta.tolist()}, a further gain of {gain:.2g} in log-likelihood",
            hint="the likelihood is nearly flat in one of them: use a simpler model",
        )
    return _fitted(theta, state, covariance, bounds, 60 + int(found.nit))


def _fitted(
    theta: Floats,
    state: _State,
    covariance: Covariance,
    bounds: tuple[Floats, Floats],
    iterations: int,
) -> BlockFit:
    G, _ = covariance(theta)
    effects = np.einsum("kij,kj->ki", G, state.Py)
    bound = (theta <= bounds[0]) | (theta >= bounds[1]) | (np.diag(state.information) <= 0)
    return BlockFit(
        theta,
        state.information,
        state.beta,
        state.cov,
        effects,
        state.loglik,
        bound,
        iterations,
    )


def expected_information(
    theta: Floats, y: Floats, X: Floats, R: Floats, covariance: Covariance
) -> Floats:
    """Return the information of the restricted likelihood at `theta`, shape (q, q)."""
    return _state(theta, y, X, R, covariance).information


def block_mse(fit: BlockFit, X: Floats, R: Floats, covariance: Covariance) -> tuple[Floats, Floats]:
    """MSE of ``X beta + u``, shape (K, n), and covariance of u given the data, (K, n, n).

    Components at a bound are taken as known there.
    """
    G, dG = covariance(fit.theta)
    Vi = np.linalg.inv(G + R)
    b = G @ Vi
    g1 = G - b @ G
    d = X - b @ X
    g2 = np.einsum("kni,ij,knj->kn", d, fit.cov_beta, d, optimize=True)
    free = ~fit.at_bound
    g3 = np.zeros_like(g2)
    if free.any():
        J = np.linalg.inv(fit.information[np.ix_(free, free)])
        L = (np.eye(b.shape[1]) - b) @ dG[free] @ Vi
        g3 = np.einsum("aknm,kmj,bknj,ab->kn", L, G + R, L, J, optimize=True)
    return np.einsum("knn->kn", g1) + g2 + 2 * g3, g1
