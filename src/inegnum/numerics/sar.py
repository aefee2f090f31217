"""Fay-Herriot with simultaneously autoregressive area effects.

Model
    y = X beta + v + e,  (I - rho W) v = u,  u ~ N(0, s I),  e ~ N(0, diag(D)).
    With B = (I - rho W)'(I - rho W), the covariance of v is s B^-1, dense; its precision is sparse.
    Everything is therefore written with M = B + s D^-1 and Z = M^-1:

        V^-1 = D^-1 Z B      log|V| = log|M| - log|B| + log|D|      cov(v | y) = s Z
        B^-1 V^-1 = Z D^-1   B^-1 D^-1 Z = (B^-1 - Z) / s

    and an area without direct estimate simply has D^-1 = 0: no other formula changes.

Cost
    An evaluation of likelihood, exact gradient and average information (Gilmour et al. 1995: the
    mean of observed and expected information, free of traces) is O(m b^2), b the bandwidth of B
    (about sqrt(m) for a map); six to eight reach the maximum. The final MSE needs Z and B^-1 whole:
    O(m^2 b).

Assumptions, limits
    W is row-standardised; |rho| < 1. When s = 0, rho is not identified.

References
----------
    Pratesi and Salvati (2008) doi:10.1007/s10260-007-0061-9; Singh, Shukla and Kundu (2005), Survey
    Methodology 31; Molina, Salvati and Pratesi (2009) doi:10.1007/s00180-008-0138-4.

Must match R ``sae::eblupSFH`` and ``sae::mseSFH``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, sparse

from inegnum.errors import ConvergenceError
from inegnum.numerics.block_tridiagonal import Factor, factorise
from inegnum.numerics.sar_graph import Graph

__all__ = ["RHO_LIMIT", "SarFit", "fit_sar"]

Floats = npt.NDArray[np.float64]
RHO_LIMIT = 0.999  # as R sae; at 1 the process of a row-standardised W has no finite variance


@dataclass(frozen=True, slots=True)
class _Solved:
    """Generalised least squares at (s, rho); arrays in the layout's order."""

    M: Factor
    beta: Floats
    cov_beta: Floats
    T: Floats  # Z D^-1 X
    t: Floats  # Z D^-1 (y - X beta)
    loglik: float
    value: float  # what is maximised: restricted or profile log-likelihood

    @classmethod
    def at(cls, theta: Floats, evidence: _Evidence, log_det_B: float) -> _Solved:
        s, rho = float(theta[0]), float(theta[1])
        y, X, dinv, graph = evidence.y, evidence.X, evidence.dinv, evidence.graph
        M = factorise(graph.B(rho).plus_diagonal(s * dinv))
        T = M.solve(dinv[:, None] * X)
        information = T.T @ graph.times_B(rho, X)
        cov = np.linalg.inv(0.5 * (information + information.T))
        beta = cov @ (T.T @ graph.times_B(rho, y))
        r = np.where(dinv > 0, y - X @ beta, 0.0)
        t = M.solve(dinv * r)
        logV = M.logdet - log_det_B - float(np.log(dinv[dinv > 0]).sum())
        # r' V^-1 r = r' D^-1 (r - s t)
        value = -0.5 * (logV + float((dinv * r) @ (r - s * t)))
        loglik = value - 0.5 * float((dinv > 0).sum()) * float(np.log(2 * np.pi))
        if evidence.restricted:
            value += 0.5 * float(np.linalg.slogdet(cov)[1])
        return cls(M, beta, cov, T, t, loglik, value)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """Arrays in the layout's order; dinv and y are zero where an area has no direct estimate."""

    y: Floats
    X: Floats
    dinv: Floats
    graph: Graph
    restricted: bool

    def value(self, theta: Floats) -> float:
        """Log-likelihood alone, at a fraction of the cost of its gradient."""
        return _Solved.at(theta, self, self.graph.log_det_B(float(theta[1]))).value

    def point(self, theta: Floats) -> Point:
        return _evaluate(theta, self)


@dataclass(frozen=True, slots=True)
class Point:
    """Likelihood, gradient and average information at (s, rho)."""

    value: float
    gradient: Floats
    information: Floats
    M: Factor
    beta: Floats
    cov_beta: Floats
    T: Floats
    t: Floats
    loglik: float


@dataclass(frozen=True, slots=True)
class SarFit:
    """Fitted spatial model, in the original order of areas.

    Attributes
    ----------
    sigma2, rho : float
    beta : ndarray of shape (p,)
    cov_beta : ndarray of shape (p, p)
    effects : ndarray of shape (m,)
        Predicted area effects.
    loglik : float
        Log-likelihood (not restricted).
    boundary : str
        ``""``, ``"sigma2"`` (zero) or ``"rho"`` (at `RHO_LIMIT`).
    restricted : bool
    evaluations : int
    graph : Graph
        Proximity in the layout's order.
    point : Point
        Factor and products at the estimate, in that order.
    """

    sigma2: float
    rho: float
    beta: Floats
    cov_beta: Floats
    effects: Floats
    loglik: float
    boundary: str
    restricted: bool
    evaluations: int
    graph: Graph
    point: Point


def _evaluate(theta: Floats, evidence: _Evidence) -> Point:
    """Likelihood (restricted or profile), its exact gradient and average information."""
    s, rho = float(theta[0]), float(theta[1])
    dinv, graph = evidence.dinv, evidence.graph
    slope = graph.slope(rho)
    logB, slope_logB, solve_B = graph.determinant_of_B(rho)
    now = _Solved.at(theta, evidence, logB)
    Z = now.M.inverse_blocks()
    T, t, cov = now.T, now.t, now.cov_beta
    TBt = np.column_stack([graph.times_B(rho, T), graph.times_B(rho, t)])
    TdBt = np.column_stack([graph.times_slope(rho, T), graph.times_slope(rho, t)])
    p = T.shape[1]
    trace_Z = float(np.concatenate([np.diag(b) for b in Z.diagonal]) @ dinv)
    trace = np.array([trace_Z, Z.inner(slope) - slope_logB])
    if evidence.restricted:
        BT, BdT = TBt[:, :p], TdBt[:, :p]
        trace -= np.array([np.sum(cov * (T.T @ BT)), -s * np.sum(cov * (T.T @ BdT))])
    # V_1 = dV/ds and V_2 = dV/drho meet P y as V_1 P y = t, V_2 P y = -s B^-1 dB t.
    u = TdBt[:, p]
    first, second = (now.M.solve(np.column_stack([TBt[:, p], u]))).T
    gradient = 0.5 * (np.array([float(t @ TBt[:, p]), -s * float(t @ u)]) - trace)
    cross = -s * float(t @ (dinv * second))
    J = np.array(
        [[float(t @ (dinv * first)), cross], [cross, s * float(u @ (solve_B(u) - second))]]
    )
    K = np.column_stack([T.T @ TBt[:, p], -s * (T.T @ u)])
    information = 0.5 * (J - K.T @ cov @ K)
    return Point(now.value, gradient, information, now.M, now.beta, cov, T, t, now.loglik)


def _climb(evidence: _Evidence, theta: Floats, scale: Floats) -> tuple[Floats, Point, int] | None:
    """Average-information steps, then secant corrections; nothing when a bound comes near.

    Average information is right to O(m^-1/2): each of its steps gains one digit, and a rank-one
    correction from the gradients makes the last ones superlinear.
    """
    point, H = evidence.point(theta), np.empty((2, 2))
    H[:] = point.information
    for used in range(1, 25):
        if np.linalg.det(H) <= 0 or H[0, 0] <= 0:
            return None
        move = np.linalg.solve(H, point.gradient)
        room = 0.5 * (RHO_LIMIT - abs(theta[1]))
        length = min(1.0, 0.8 * theta[0] / max(-move[0], 1e-300), room / max(abs(move[1]), 1e-300))
        new = theta + length * move
        if new[0] < 1e-4 * scale[0] or abs(new[1]) > 0.98:
            return None
        after = evidence.point(new)
        # Rounding of the value is about 1e-13 of it; a step that loses more went too far.
        while after.value < point.value - 1e-11 * abs(point.value) and length > 1e-3:
            length *= 0.5
            new = theta + length * move
            after, used = evidence.point(new), used + 1
        step = new - theta
        # 1e-9 of the scale: what is left is at least ten times smaller.
        if length == 1.0 and (np.abs(step) <= 1e-9 * scale).all():
            return new, after, used + 1
        gap = (point.gradient - after.gradient) - H @ step
        close = float(gap @ step)
        if (np.abs(step) < 0.2 * scale).all() and abs(close) > 1e-8 * float(step @ H @ step):
            H = H + np.outer(gap, gap) / close
        else:
            H = after.information.copy()
        theta, point = new, after
    return None


def _newton(
    evidence: _Evidence, theta: Floats, scale: Floats, point: Point
) -> tuple[Floats, Point, int]:
    """Finish with Newton steps on the exact gradient, its differences giving the Hessian once.

    The point is close: a Hessian good to 1e-4 gains about four digits a step.
    """
    H, used = np.empty((2, 2)), 2
    for j in range(2):
        step = np.zeros(2)
        step[j] = 1e-5 * scale[j]
        H[j] = (evidence.point(theta + step).gradient - point.gradient) / step[j]
    H = 0.5 * (H + H.T)
    for _ in range(30):
        move = -np.linalg.solve(H, point.gradient)
        new = theta + move
        if new[0] <= 0 or abs(new[1]) >= RHO_LIMIT or (np.abs(move) > 0.3 * scale).any():
            raise ConvergenceError(
                "the spatial model did not converge",
                got=f"a Newton step to sigma2 {new[0]:.4g}, rho {new[1]:.4g} from "
                f"{theta[0]:.4g}, {theta[1]:.4g}",
                hint="the likelihood is nearly flat: there may be no spatial pattern to estimate",
            )
        theta, point, used = new, evidence.point(new), used + 1
        # 1e-9 of the scale: what is left is at least ten times smaller.
        if (np.abs(move) <= 1e-9 * scale).all():
            return theta, point, used
    raise ConvergenceError(
        "the spatial model did not converge", got=f"last step {move} after 30 Newton steps"
    )


def _bounded(evidence: _Evidence, start: float, first: float) -> tuple[Floats, Point, int, str]:
    """Search with bounds, slower, for likelihoods whose maximum is at or near one."""
    scale = np.array([start, 1.0])
    count = 0

    def negative(z: Floats) -> tuple[float, Floats]:
        nonlocal count
        count += 1
        point = evidence.point(z * scale)
        return -point.value, -point.gradient * scale

    found = optimize.minimize(
        negative,
        np.array([1.0, first]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None), (-RHO_LIMIT, RHO_LIMIT)],
        options={"maxiter": 200, "ftol": 1e-11, "gtol": 1e-4},
    )
    theta = found.x * scale
    point = evidence.point(theta)
    boundary = (
        "sigma2" if theta[0] <= 1e-8 * start else "rho" if abs(theta[1]) >= RHO_LIMIT - 1e-9 else ""
    )
    if not boundary:
        spread = np.array([theta[0], 1 - abs(theta[1])])
        theta, point, used = _newton(evidence, theta, spread, point)
        count += used
    return theta, point, count, boundary


def fit_sar(
    y: Floats, X: Floats, D: Floats, W: Any, *, restricted: bool = True, start: float = 1.0
) -> SarFit:
    """Estimate variance, correlation and coefficients by REML or ML.

    Parameters
    ----------
    y, D : ndarray of shape (m,)
        Direct estimates and sampling variances; both missing where an area has none.
    X : ndarray of shape (m, p)
    W : sparse array of shape (m, m)
        Row-standardised proximity.
    start : float
        Area variance to start from (Fay-Herriot's, when it is not zero).

    Raises
    ------
    ConvergenceError
        The likelihood is too flat, or refinement did not reach its tolerance.
    """
    graph = Graph.of(sparse.csr_array(W))
    at = graph.layout.order
    dinv = np.where(np.isnan(y), 0.0, 1 / np.where(np.isnan(D), 1.0, D))[at]
    evidence = _Evidence(np.where(np.isnan(y), 0.0, y)[at], X[at], dinv, graph, restricted)
    rhos = (0.0, 0.5, -0.5)
    first = max(rhos, key=lambda rho: evidence.value(np.array([start, rho])))
    found = _climb(evidence, np.array([start, first]), np.array([start, 1.0]))
    boundary = ""
    if found is None:
        theta, point, count, boundary = _bounded(evidence, start, first)
    else:
        theta, point, count = found
    effects = np.empty(len(y))
    effects[at] = theta[0] * point.t
    return SarFit(
        float(theta[0]),
        float(theta[1]),
        point.beta,
        point.cov_beta,
        effects,
        point.loglik,
        boundary,
        restricted,
        count + len(rhos),
        graph,
        point,
    )
