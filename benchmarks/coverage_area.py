"""Coverage of nominal 95 % intervals of the area-level estimators, by simulation.

    python benchmarks/coverage_area.py            # writes the table of docs/coverage-area.md

Each case draws truth and data from a known model, fits, and counts how often the interval holds
the truth, over areas and replicates. The Monte-Carlo error is that of replicates (areas of one
replicate share a fit). Cases outside an estimator's assumptions are kept on purpose.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import expit

from inegnum.estimators.area import (
    AreaData,
    Transform,
    bayes_fay_herriot,
    bym2_fay_herriot,
    composition_fay_herriot,
    fay_herriot,
    measurement_error_fay_herriot,
    multivariate_fay_herriot,
    rate_fay_herriot,
    robust_fay_herriot,
    row_standardise,
    space_time_fay_herriot,
    spatial_fay_herriot,
)
from inegnum.estimators.composite import composite
from inegnum.estimators.result import AreaEstimates, area_table
from inegnum.numerics.bym2 import bym2_mixing

Floats = npt.NDArray[np.float64]
Drawn = tuple[AreaEstimates, Floats]
TABLE = Path(__file__).resolve().parents[1] / "docs" / "coverage-area.md"


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    draw: Callable[[np.random.Generator], Drawn]
    low: float  # the test's bounds: what the case was measured to give, within its error
    high: float
    remark: str = ""
    only: str = ""  # restrict to areas of this basis
    most: int = 300  # replicates of the table: fewer where a fit takes a second


def base(
    rng: np.random.Generator, m: int, *, sigma: float = 0.3, effect: str = "normal"
) -> tuple[AreaData, Floats]:
    X = np.column_stack([np.ones(m), rng.normal(size=m)])
    D = np.resize([0.03, 0.06, 0.1, 0.2, 0.4], m)
    u = rng.normal(0, sigma, m) if effect == "normal" else rng.standard_t(3, m) * sigma / 3**0.5
    theta = X @ [1.0, 0.5] + u
    return AreaData(theta + rng.normal(size=m) * np.sqrt(D), X, D), theta


def plain(m: int, sigma: float = 0.3, effect: str = "normal", **options: object):
    def draw(rng: np.random.Generator) -> Drawn:
        data, theta = base(rng, m, sigma=sigma, effect=effect)
        return fay_herriot(data, **options), theta  # type: ignore[arg-type]

    return draw


def outside(rng: np.random.Generator) -> Drawn:
    data, theta = base(rng, 60)
    y = data.y.copy()
    y[:12] = np.nan
    return fay_herriot(AreaData(y, data.X, data.D)), theta


def rates(link: str, back: str) -> Callable[[np.random.Generator], Drawn]:
    def draw(rng: np.random.Generator) -> Drawn:
        m, n = 60, 80
        x = rng.normal(size=m)
        theta = expit(1.0 + 0.4 * x + rng.normal(0, 0.3, m))
        p = np.clip(rng.binomial(n, theta), 1, n - 1) / n
        data = AreaData(p, np.column_stack([np.ones(m), x]), p * (1 - p) / n)
        sizes = np.full(m, float(n)) if link == "arcsin" else np.empty(0)
        return fay_herriot(data, transform=Transform(link, back, sizes)), theta  # type: ignore[arg-type]

    return draw


def grid(side: int) -> sparse.csr_array:
    line = sparse.diags_array([np.ones(side - 1)] * 2, offsets=[-1, 1])
    one = sparse.eye_array(side)
    return row_standardise(sparse.kron(line, one) + sparse.kron(one, line))


W = grid(9)
A = np.eye(81) - 0.7 * W.toarray()


def spatial(rng: np.random.Generator) -> Drawn:
    X = np.column_stack([np.ones(81), rng.normal(size=81)])
    D = np.resize([0.03, 0.06, 0.1, 0.2, 0.4], 81)
    theta = X @ [1.0, 0.5] + np.linalg.solve(A, rng.normal(0, 0.3, 81))
    data = AreaData(theta + rng.normal(size=81) * np.sqrt(D), X, D)
    return spatial_fay_herriot(data, W, mse="analytic"), theta


def bayes(m: int, sigma: float) -> Callable[[np.random.Generator], Drawn]:
    def draw(rng: np.random.Generator) -> Drawn:
        data, theta = base(rng, m, sigma=sigma)
        return bayes_fay_herriot(data), theta

    return draw


def neighbours(phi: float) -> Callable[[np.random.Generator], Drawn]:
    side = 7
    line = np.eye(side, k=1) + np.eye(side, k=-1)
    contiguity = np.kron(line, np.eye(side)) + np.kron(np.eye(side), line)
    mixing = bym2_mixing(contiguity)

    def draw(rng: np.random.Generator) -> Drawn:
        m = side * side
        X = np.column_stack([np.ones(m), rng.normal(size=m)])
        D = np.resize([0.03, 0.06, 0.1, 0.2, 0.4], m)
        b = 0.3 * mixing.vectors @ (np.sqrt(mixing.variances(phi)) * rng.normal(size=m))
        theta = X @ [1.0, 0.5] + b
        y = theta + rng.normal(size=m) * np.sqrt(D)
        y[::10] = np.nan
        return bym2_fay_herriot(AreaData(y, X, D), contiguity), theta

    return draw


def small_rates(likelihood: str, n: int, level: float) -> Callable[[np.random.Generator], Drawn]:
    def draw(rng: np.random.Generator) -> Drawn:
        m = 40
        x = rng.normal(size=m)
        theta = expit(level + 0.4 * x + rng.normal(0, 0.3, m))
        y = rng.binomial(n, theta) / n
        X = np.column_stack([np.ones(m), x])
        if likelihood == "beta":
            y = rng.beta(theta * (n - 1), (1 - theta) * (n - 1))
            data = AreaData(y, X, theta * (1 - theta) / n)
            return rate_fay_herriot(data, likelihood="beta"), theta
        data = AreaData(y, X, np.full(m, 0.25 / n))
        return rate_fay_herriot(data, n_eff=np.full(m, float(n))), theta

    return draw


def shares(rng: np.random.Generator) -> Drawn:
    m, n = 60, 200
    x = rng.normal(size=m)
    u = rng.multivariate_normal([0, 0], 0.06 * np.array([[1, 0.5], [0.5, 1]]), m)
    eta = np.column_stack([1.0 + 0.3 * x, 0.5 - 0.2 * x]) + u
    theta = np.exp(np.column_stack([eta, np.zeros(m)]))
    theta /= theta.sum(axis=1, keepdims=True)
    z = np.array([rng.multinomial(n, t) for t in theta]) / n
    V = (np.einsum("mi,ij->mij", z, np.eye(3)) - np.einsum("mi,mj->mij", z, z))[:, :2, :2] / n
    X = np.column_stack([np.ones(m), x])
    data = [AreaData(z[:, k], X, V[:, k, k].copy()) for k in range(2)]
    return composition_fay_herriot(data, V, names=["a", "b", "c"])["a"], theta[:, 0]


def contaminated(robust: bool) -> Callable[[np.random.Generator], Drawn]:
    def draw(rng: np.random.Generator) -> Drawn:
        data, theta = base(rng, 60)
        y = data.y.copy()
        y[::12] += 5 * np.sqrt(data.D[::12])
        odd = AreaData(y, data.X, data.D)
        est = robust_fay_herriot(odd) if robust else fay_herriot(odd)
        keep = np.ones(60, bool)
        keep[::12] = False
        return est, np.where(keep, theta, np.nan)

    return draw


def noisy_covariate(model: bool) -> Callable[[np.random.Generator], Drawn]:
    def draw(rng: np.random.Generator) -> Drawn:
        data, theta = base(rng, 80)
        C = np.zeros((80, 2, 2))
        C[:, 1, 1] = np.resize([0.05, 0.8], 80)
        X = data.X.copy()
        X[:, 1] += rng.normal(size=80) * np.sqrt(C[:, 1, 1])
        seen = AreaData(data.y, X, data.D)
        return (measurement_error_fay_herriot(seen, C) if model else fay_herriot(seen)), theta

    return draw


def over_time(rng: np.random.Generator) -> Drawn:
    m, T = 30, 3
    areas = np.repeat(np.array([f"a{i}" for i in range(m)], dtype=object), T)
    X = np.column_stack([np.ones(m * T), rng.normal(size=m * T)])
    D = np.resize([0.05, 0.1, 0.2], m * T)
    u = np.repeat(rng.normal(0, 0.4, m), T) + rng.normal(0, 0.2, m * T)
    theta = X @ [1.0, 0.5] + u
    data = AreaData(theta + rng.normal(size=m * T) * np.sqrt(D), X, D)
    periods = np.tile(np.arange(T, dtype=float), m)
    return space_time_fay_herriot(data, areas, periods=periods, model="S"), theta


def two(rng: np.random.Generator) -> Drawn:
    m = 60
    X = np.column_stack([np.ones(m), rng.normal(size=m)])
    u = rng.multivariate_normal([0, 0], 0.09 * np.array([[1, 0.7], [0.7, 1]]), m)
    V = np.resize([0.05, 0.1, 0.2], m)[:, None, None] * np.array([[1.0, 0.3], [0.3, 1.0]])
    e = np.einsum("kij,kj->ki", np.linalg.cholesky(V), rng.normal(size=(m, 2)))
    theta = X @ np.array([[1.0, 2.0], [0.5, -0.5]]) + u
    data = [AreaData((theta + e)[:, k], X, V[:, k, k]) for k in range(2)]
    return multivariate_fay_herriot(data, V, names=["a", "b"])["a"], theta[:, 0]


def mixed(rng: np.random.Generator) -> Drawn:
    data, theta = base(rng, 60)
    fixed = data.X @ [1.0, 0.5]
    import pandas as pd

    synthetic = AreaEstimates(area_table(data.geo, fixed), pd.DataFrame(), {}, "synthetic")
    return composite(data, synthetic), theta


CASES = (
    Case("Fay-Herriot REML, 100 areas", plain(100), 0.93, 0.96),
    Case("Fay-Herriot REML, 15 areas", plain(15), 0.90, 0.99, "few areas"),
    Case("Fay-Herriot REML, 8 areas", plain(8), 0.88, 0.97, "few areas"),
    Case("Fay-Herriot adjusted (amrl), 8 areas", plain(8, method="amrl"), 0.93, 0.99),
    Case(
        "Fay-Herriot amrl, bootstrap interval, 8 areas",
        plain(8, method="amrl", mse="bootstrap", interval="bootstrap", replicates=400),
        0.91,
        0.98,
        most=80,
    ),
    Case("Bayesian, 8 areas", bayes(8, 0.3), 0.92, 0.98, most=200),
    Case("Fay-Herriot ML, 100 areas", plain(100, method="ml"), 0.93, 0.96),
    Case("Fay-Herriot moments, 100 areas", plain(100, method="fh"), 0.93, 0.97),
    Case(
        "Fay-Herriot REML, variance near zero",
        plain(30, 0.05),
        0.96,
        1.0,
        "too wide: 2 g3 dominates",
    ),
    Case(
        "Fay-Herriot adjusted (amrl), variance near zero", plain(30, 0.05, method="amrl"), 0.96, 1.0
    ),
    Case("Fay-Herriot REML, t(3) effects", plain(100, effect="t"), 0.92, 0.96, "not normal"),
    Case("Fay-Herriot jackknife, 30 areas", plain(30, mse="jackknife"), 0.90, 0.97),
    Case("Fay-Herriot bootstrap, 30 areas", plain(30, mse="bootstrap", replicates=100), 0.90, 0.96),
    Case("Areas without direct estimate", outside, 0.91, 0.97, only="synthetic"),
    Case("Logit, corrected, n = 80", rates("logit", "corrected"), 0.92, 0.96),
    Case("Arcsine, corrected, n = 80", rates("arcsin", "corrected"), 0.92, 0.96),
    Case("Bayesian, 100 areas", bayes(100, 0.3), 0.93, 0.97, most=100),
    Case("Bayesian, variance near zero", bayes(30, 0.05), 0.97, 1.0, most=100),
    Case("Bayesian, 15 areas", bayes(15, 0.3), 0.92, 0.98, most=200),
    Case("BYM2, spatial effects, 49 areas", neighbours(0.9), 0.92, 0.98, most=40),
    Case(
        "BYM2, the same, areas without direct estimate",
        neighbours(0.9),
        0.88,
        0.99,
        only="synthetic",
        most=40,
    ),
    Case("BYM2, independent effects, 49 areas", neighbours(0.0), 0.92, 0.98, most=40),
    Case("Rates, binomial, n = 25, 8 %", small_rates("binomial", 25, -2.5), 0.92, 0.98, most=60),
    Case("Rates, binomial, n = 80, 73 %", small_rates("binomial", 80, 1.0), 0.92, 0.98, most=60),
    Case("Rates, beta, n = 40, 15 %", small_rates("beta", 40, -1.7), 0.91, 0.98, most=100),
    Case("Shares of three categories, n = 200", shares, 0.91, 0.97, most=100),
    Case("Spatial REML, rho 0.7, 81 areas", spatial, 0.92, 0.97),
    Case("Robust, 8 % of areas off by 5 se", contaminated(True), 0.92, 0.99, "other areas"),
    Case("Fay-Herriot, same contamination", contaminated(False), 0.92, 0.99, "other areas"),
    Case("Covariate with error, modelled", noisy_covariate(True), 0.91, 0.97),
    Case(
        "Covariate with error, ignored",
        noisy_covariate(False),
        0.85,
        0.96,
        "its error ends in the area variance",
    ),
    Case("Space-time, 30 areas x 3", over_time, 0.92, 0.96),
    Case("Two responses, full", two, 0.92, 0.96),
    Case("Composite, common MSE", mixed, 0.83, 0.90, "one MSE for all, often near zero"),
)


def coverage(case: Case, replicates: int, seed: int) -> tuple[float, float, float]:
    """Coverage, its Monte-Carlo error, and mean half-width."""
    shares, widths = [], []
    for b in range(replicates):
        est, truth = case.draw(np.random.default_rng([seed, b]))
        t = est.table
        used = np.isfinite(truth) & ((t["basis"] == case.only).to_numpy() if case.only else True)
        inside = (t["lower"] <= truth) & (truth <= t["upper"])
        shares.append(float(inside[used].mean()))
        widths.append(float((t["upper"] - t["lower"])[used].mean()) / 2)
    error = float(np.std(shares, ddof=1)) / np.sqrt(replicates)
    return float(np.mean(shares)), error, float(np.mean(widths))


def main(replicates: int = 300) -> None:
    rows = [
        "# Coverage of nominal 95 % intervals, area-level estimators",
        "",
        f"Up to {replicates} replicates a case (fewer where a fit takes a second: the error says "
        "it), `python benchmarks/coverage_area.py`. Sampling variances "
        "run from 0.03 to 0.4 and area effects have sd 0.3 unless the name says otherwise.",
        "",
        "| case | coverage | Monte-Carlo error | mean half-width | |",
        "|---|---|---|---|---|",
    ]
    for case in CASES:
        found, error, width = coverage(case, min(replicates, case.most), 2024)
        numbers = f"{100 * found:.1f} % | {100 * error:.1f} | {width:.3f}"
        row = f"| {case.name} | {numbers} | {case.remark} |"
        sys.stderr.write(row + "\n")
        rows.append(row)
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
