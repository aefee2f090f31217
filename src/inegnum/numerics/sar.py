"""Fay-Herriot with simultaneously autoregressive area effects.

Model
    y = X beta + v + e,  (I - rho W) v = u,  u ~ N(0, s I),  e ~ N(0, diag(D)).
    With B = (I - rho W)'(I - rho W), the covariance of v is s B^-1, dense; its precision is sparse.
    Everything is therefore written with M = B + s D^-1 and Z = M^-1:

        V^-1 = D^-1 Z B      log|V| = log|M| - log|B| + log|D|      cov(v | y) = s Z
        B^-1 V^-1 = Z D^-1   B^-1 D^-1 Z = (B^-1 - Z) / s

    and an area without direct estimate simply has D^-1 = 0: no other formula changes.

Cost
    An evaluation of likelihood and exact gradient is O(m b^2), b the bandwidth of B (about sqrt(m)
    for a map). The final MSE needs Z and B^-1 whole: O(m^2 b).

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
from scipy.sparse.csgraph import breadth_first_order, connected_components

from inegnum.errors import ConvergenceError
from inegnum.numerics.block_tridiagonal import Blocks, Factor, Layout, factorise

__all__ = ["RHO_LIMIT", "SarFit", "fit_sar"]

Floats = npt.NDArray[np.float64]
RHO_LIMIT = 0.999  # as R sae; at 1 the process of a row-standardised W has no finite variance


@dataclass(frozen=True, slots=True)
class _Determinant:
    """log|B| and its slope in rho.

    When W is similar to a symmetric matrix S (a row-standardised symmetric proximity is),
    log|B| = 2 log|I - rho S|, whose pattern is that of the graph itself: blocks half as wide.
    """

    one: Blocks
    S: Blocks

    @classmethod
    def of(cls, W: Any) -> _Determinant | None:
        scale = _symmetriser(W)
        if scale is None:
            return None
        S = sparse.csr_array(sparse.diags_array(scale) @ W @ sparse.diags_array(1 / scale))
        S = 0.5 * (S + S.T)
        one = sparse.eye_array(W.shape[0], format="csr")
        layout = Layout.of(abs(S) + one)
        return cls(layout.blocks(one), layout.blocks(S))

    def at(self, rho: float) -> tuple[float, float]:
        factor = factorise(self.one.plus(self.S, -rho))
        return 2 * factor.logdet, -2 * factor.inverse_blocks().inner(self.S)


def _symmetriser(W: Any) -> Floats | None:
    """Return c such that ``diag(c) W diag(1 / c)`` is symmetric, or nothing when there is none."""
    m = W.shape[0]
    pattern = (abs(W) + abs(W).T).tocsr()
    log_c = np.zeros(m)
    _, component = connected_components(pattern, directed=False)
    for root in np.unique(component, return_index=True)[1]:
        order, parent = breadth_first_order(pattern, int(root), directed=False)
        child = order[1:]
        above = parent[child]
        forth, back = np.asarray(W[above, child]).ravel(), np.asarray(W[child, above]).ravel()
        if (forth <= 0).any() or (back <= 0).any():
            return None
        step = 0.5 * np.log(forth / back)
        for v, u, change in zip(child.tolist(), above.tolist(), step.tolist(), strict=True):
            log_c[v] = log_c[u] + change
    c = np.exp(log_c)
    S = sparse.csr_array(sparse.diags_array(c) @ W @ sparse.diags_array(1 / c))
    gap = abs(S - S.T).max() if S.nnz else 0.0
    # Weights come with at least seven digits; a matrix that is not of this kind is off by 1e-1.
    return c if gap <= 1e-7 else None


@dataclass(frozen=True, slots=True)
class Graph:
    """W cut once: B = I - rho (W + W') + rho^2 W'W in blocks and as sparse matrices."""

    layout: Layout
    sums: Any  # W + W', ordered
    gram: Any  # W'W, ordered
    blocks: tuple[Blocks, Blocks, Blocks]  # identity, W + W', W'W
    determinant: _Determinant | None

    @classmethod
    def of(cls, W: Any) -> Graph:
        m = W.shape[0]
        sums, gram, one = W + W.T, W.T @ W, sparse.eye_array(m, format="csr")
        layout = Layout.of(abs(sums) + abs(gram) + one)
        at = layout.order
        cut = (layout.blocks(one), layout.blocks(sums), layout.blocks(gram))
        ordered = [x.tocsr()[at][:, at].tocsr() for x in (sums, gram)]
        return cls(layout, ordered[0], ordered[1], cut, _Determinant.of(W))

    def log_det_B(self, rho: float) -> tuple[float, float]:  # noqa: N802
        """log|B| and its slope in rho."""
        if self.determinant is not None:
            return self.determinant.at(rho)
        factor = factorise(self.B(rho))
        return factor.logdet, factor.inverse_blocks().inner(self.slope(rho))

    def B(self, rho: float) -> Blocks:  # noqa: N802 - the paper's letter
        one, sums, gram = self.blocks
        return one.plus(sums, -rho).plus(gram, rho * rho)

    def slope(self, rho: float) -> Blocks:
        _, sums, gram = self.blocks
        return Blocks(
            tuple(2 * rho * g - s for g, s in zip(gram.diagonal, sums.diagonal, strict=True)),
            tuple(2 * rho * g - s for g, s in zip(gram.lower, sums.lower, strict=True)),
        )

    def slope_matrix(self, rho: float) -> Any:
        return 2 * rho * self.gram - self.sums

    def times_B(self, rho: float, x: Floats) -> Floats:  # noqa: N802
        return np.asarray(x - rho * (self.sums @ x) + rho**2 * (self.gram @ x))

    def times_slope(self, rho: float, x: Floats) -> Floats:
        return np.asarray(2 * rho * (self.gram @ x) - self.sums @ x)


@dataclass(frozen=True, slots=True)
class Point:
    """Likelihood and gradient at (s, rho)."""

    value: float
    gradient: Floats
    M: Factor
    beta: Floats
    cov_beta: Floats
    T: Floats  # Z D^-1 X
    t: Floats  # Z D^-1 (y - X beta)
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


def _evaluate(
    theta: Floats, y: Floats, X: Floats, dinv: Floats, graph: Graph, *, restricted: bool
) -> Point:
    """Likelihood (restricted or profile) and its exact gradient; arrays in the layout's order."""
    s, rho = float(theta[0]), float(theta[1])
    B, slope = graph.B(rho), graph.slope(rho)
    logB, slope_logB = graph.log_det_B(rho)
    fM = factorise(B.plus_diagonal(s * dinv))
    Z = fM.inverse_blocks()
    T = fM.solve(dinv[:, None] * X)
    information = T.T @ graph.times_B(rho, X)
    cov = np.linalg.inv(0.5 * (information + information.T))
    beta = cov @ (T.T @ graph.times_B(rho, np.nan_to_num(y)))
    r = np.where(dinv > 0, y - X @ beta, 0.0)
    t = fM.solve(dinv * r)
    BT, BdT = graph.times_B(rho, T), graph.times_slope(rho, T)
    tBt, tBdt = float(t @ graph.times_B(rho, t)), float(t @ graph.times_slope(rho, t))
    logD = -float(np.log(dinv[dinv > 0]).sum())
    logV = fM.logdet - logB + logD
    # r' V^-1 r = r' D^-1 (r - s t)
    quadratic = float((dinv * r) @ (r - s * t))
    trace_Z = float(np.concatenate([np.diag(b) for b in Z.diagonal]) @ dinv)
    trace = np.array([trace_Z, Z.inner(slope) - slope_logB])
    value = -0.5 * (logV + quadratic)
    loglik = value - 0.5 * float((dinv > 0).sum()) * float(np.log(2 * np.pi))
    if restricted:
        value += 0.5 * float(np.linalg.slogdet(cov)[1])
        trace -= np.array([np.sum(cov * (T.T @ BT)), -s * np.sum(cov * (T.T @ BdT))])
    gradient = 0.5 * (np.array([tBt, -s * tBdt]) - trace)
    return Point(value, gradient, fM, beta, cov, T, t, loglik)


def _newton(evaluate: Any, theta: Floats, scale: Floats, point: Point) -> tuple[Floats, Point, int]:
    """Finish with Newton steps on the exact gradient, its differences giving the Hessian once.

    The point is close: a Hessian good to 1e-4 gains about four digits a step.
    """
    H, used = np.empty((2, 2)), 2
    for j in range(2):
        step = np.zeros(2)
        step[j] = 1e-5 * scale[j]
        H[j] = (evaluate(theta + step).gradient - point.gradient) / step[j]
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
        theta, point, used = new, evaluate(new), used + 1
        # 1e-9 of the scale: what is left is at least ten times smaller.
        if (np.abs(move) <= 1e-9 * scale).all():
            return theta, point, used
    raise ConvergenceError(
        "the spatial model did not converge", got=f"last step {move} after 30 Newton steps"
    )


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
    ordered = (np.where(np.isnan(y), 0.0, y)[at], X[at], dinv, graph)

    def evaluate(theta: Floats) -> Point:
        return _evaluate(theta, *ordered, restricted=restricted)

    scale = np.array([start, 1.0])
    count = 0

    def negative(z: Floats) -> tuple[float, Floats]:
        nonlocal count
        count += 1
        point = evaluate(z * scale)
        return -point.value, -point.gradient * scale

    first = min((0.0, 0.5, -0.5), key=lambda rho: negative(np.array([1.0, rho]))[0])
    found = optimize.minimize(
        negative,
        np.array([1.0, first]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None), (-RHO_LIMIT, RHO_LIMIT)],
        options={"maxiter": 200, "ftol": 1e-11, "gtol": 1e-4},
    )
    theta = found.x * scale
    point = evaluate(theta)
    boundary = (
        "sigma2" if theta[0] <= 1e-8 * start else "rho" if abs(theta[1]) >= RHO_LIMIT - 1e-9 else ""
    )
    if not boundary:
        spread = np.array([theta[0], 1 - abs(theta[1])])
        theta, point, used = _newton(evaluate, theta, spread, point)
        count += used
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
        count,
        graph,
        point,
    )
