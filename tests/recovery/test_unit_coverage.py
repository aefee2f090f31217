"""Do nominal 95 % intervals of the unit-level estimators cover 95 %? Simulation with known truth.

Each world draws areas, respondents and the true mean (or indicator) of every area; coverage is the
share of areas and replicates whose truth lies in the interval. `python
tests/recovery/test_unit_coverage.py` prints the table of docs/coming-from-sae-unit.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from inegnum.estimators.result import AreaEstimates
from inegnum.estimators.unit.bayes import bayes_bhf
from inegnum.estimators.unit.bhf import bhf
from inegnum.estimators.unit.ebp import EbpOptions, ebp
from inegnum.estimators.unit.inputs import AreaMeans, Census, UnitSample
from inegnum.estimators.unit.pseudo import pseudo_eblup
from inegnum.estimators.unit.robust import robust_bhf
from inegnum.numerics.indicators import evaluate

pytestmark = pytest.mark.slow
Fit = Callable[[UnitSample, AreaMeans, int], AreaEstimates]


@dataclass(frozen=True)
class World:
    """A way to draw areas and respondents.

    `size` holds the least and the greatest number of respondents of an area; two areas have none.
    """

    m: int = 40
    size: tuple[int, int] = (2, 8)
    sigma_u: float = 0.6
    errors: str = "normal"
    weighted: bool = False

    def draw(self, rng: np.random.Generator) -> tuple[UnitSample, AreaMeans, np.ndarray]:
        n = rng.integers(self.size[0], self.size[1] + 1, self.m)
        area = np.repeat(np.arange(self.m), n)
        u = self.sigma_u * rng.standard_normal(self.m + 2)
        X = np.column_stack([np.ones(len(area)), rng.standard_normal(len(area))])
        e = rng.standard_normal(len(area))
        if self.errors == "t4":
            e = rng.standard_t(4, len(area)) / np.sqrt(2)
        if self.errors == "outliers":
            e = np.where(rng.random(len(area)) < 0.05, 8.0 * e, e)
        y = X @ [2.0, 1.0] + u[area] + e
        w = rng.uniform(10, 60, len(area)) if self.weighted else None
        codes = [f"{i:03d}" for i in range(self.m + 2)]
        sample = UnitSample.from_arrays(y, X, np.array(codes)[area], weights=w)
        Xbar = np.column_stack([np.ones(self.m + 2), 0.3 * rng.standard_normal(self.m + 2)])
        return sample, AreaMeans(tuple(codes), Xbar), Xbar @ [2.0, 1.0] + u


def coverage(world: World, fit: Fit, R: int, seed: int) -> tuple[float, float, float]:
    """Return coverage of sampled areas, of areas without sample, and mean width over 2 x 1.96."""
    rng = np.random.default_rng(seed)
    inside, outside, width = [], [], []
    for r in range(R):
        sample, means, truth = world.draw(rng)
        table = fit(sample, means, r).table
        hit = (table["lower"] <= truth) & (truth <= table["upper"])
        inside.append(hit[:-2].mean())
        outside.append(hit[-2:].mean())
        width.append(float((table["upper"] - table["lower"])[:-2].mean()) / 3.92)
    return float(np.mean(inside)), float(np.mean(outside)), float(np.mean(width))


def _analytic(sample: UnitSample, means: AreaMeans, r: int) -> AreaEstimates:
    return bhf(sample, means)


def _analytic_ml(sample: UnitSample, means: AreaMeans, r: int) -> AreaEstimates:
    return bhf(sample, means, method="ML")


def _bootstrap(sample: UnitSample, means: AreaMeans, r: int) -> AreaEstimates:
    return bhf(sample, means, mse="bootstrap", B=100, seed=r)


def _bayes(sample: UnitSample, means: AreaMeans, r: int) -> AreaEstimates:
    return bayes_bhf(sample, means)


def _pseudo(sample: UnitSample, means: AreaMeans, r: int) -> AreaEstimates:
    return pseudo_eblup(sample, means)


def _robust(sample: UnitSample, means: AreaMeans, r: int) -> AreaEstimates:
    return robust_bhf(sample, means, B=50, seed=r)


@dataclass(frozen=True)
class Incomes:
    """A log-normal world of 25 areas of 120 units, two areas without respondents."""

    spread: float = 0.45

    def draw(self, rng: np.random.Generator) -> tuple[UnitSample, Census, dict[str, np.ndarray]]:
        m, N = 25, 120
        area = np.repeat(np.arange(m), N)
        x = rng.standard_normal(m * N)
        noise = self.spread * rng.standard_normal(m * N)
        y = np.exp(2 + 0.4 * x + 0.2 * rng.standard_normal(m)[area] + noise)
        X = np.column_stack([np.ones(m * N), x])
        drawn = np.sort(rng.choice(np.flatnonzero(area < m - 2), 200, replace=False))
        codes = [f"{i:02d}" for i in range(m)]
        sample = UnitSample.from_arrays(y[drawn], X[drawn], np.array(codes)[area[drawn]])
        census = Census(tuple(codes), area, X, np.ones(m * N))
        rows = y.reshape(m, N)
        figures = evaluate(rows, np.ones(N), INDICATORS, LINE, interpolate=True)
        return sample, census, dict(zip(INDICATORS, figures, strict=True))


INDICATORS = ("mean", "head_count", "poverty_gap", "gini", "median")
LINE = 5.0


def ebp_coverage(
    transformation: str, bootstrap: str, R: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Return coverage of areas with and without respondents, by indicator."""
    rng = np.random.default_rng(seed)
    options = {"L": 40, "B": 60, "bootstrap": bootstrap, "progress": False}
    hits: dict[str, list[np.ndarray]] = {name: [] for name in INDICATORS}
    for r in range(R):
        sample, census, truth = Incomes().draw(rng)
        result = ebp(
            sample,
            census,
            transformation=transformation,
            indicators=INDICATORS,
            threshold=LINE,
            options=EbpOptions(seed=r, **options),  # type: ignore[arg-type]
        )
        for name in INDICATORS:
            table = result[name].table
            hits[name].append(
                ((table["lower"] <= truth[name]) & (truth[name] <= table["upper"])).to_numpy()
            )
    return {
        name: (float(np.mean([h[:-2] for h in v])), float(np.mean([h[-2:] for h in v])))
        for name, v in hits.items()
    }


# World, estimator, replicates, bounds of the coverage of areas with and without respondents. With R
# replicates of 40 areas the error of the first is about .22 / sqrt(40 R) and more where areas share
# a bad fit (.3 point at R = 300), of the second .3 / sqrt(2 R) (1.2 points). Bounds state what the
# method does, good or bad, four errors on each side: a method that gets worse, or better, shows.
Bounds = tuple[float, float]
CASES: dict[str, tuple[World, Fit, int, Bounds, Bounds]] = {
    "EBLUP, REML, analytic MSE": (World(), _analytic, 300, (0.933, 0.957), (0.86, 0.95)),
    "EBLUP, ML, analytic MSE": (World(), _analytic_ml, 300, (0.933, 0.957), (0.86, 0.95)),
    "EBLUP, REML, bootstrap MSE (B = 100)": (
        World(), _bootstrap, 150, (0.927, 0.960), (0.86, 0.98),
    ),
    "8 areas, analytic MSE": (World(m=8), _analytic, 600, (0.930, 0.970), (0.80, 0.89)),
    "8 areas, bootstrap MSE": (World(m=8), _bootstrap, 200, (0.86, 0.94), (0.73, 0.89)),
    "8 areas, Bayesian": (World(m=8), _bayes, 300, (0.93, 0.97), (0.92, 0.985)),
    "Bayesian": (World(), _bayes, 100, (0.93, 0.97), (0.89, 1.0)),
    "little area variance, Bayesian": (
        World(sigma_u=0.15), _bayes, 100, (0.955, 0.995), (0.93, 1.0),
    ),
    "little area variance, analytic MSE": (
        World(sigma_u=0.15), _analytic, 300, (0.955, 0.985), (0.76, 0.87),
    ),
    "little area variance, bootstrap MSE": (
        World(sigma_u=0.15), _bootstrap, 150, (0.84, 0.94), (0.74, 0.89),
    ),
    "no area variance, analytic MSE": (
        World(sigma_u=0.0), _analytic, 300, (0.99, 1.0), (0.93, 1.0),
    ),
    "t errors (4 df), analytic MSE": (
        World(errors="t4"), _analytic, 300, (0.93, 0.958), (0.86, 0.96),
    ),
    "5 % outliers, EBLUP": (World(errors="outliers"), _analytic, 200, (0.90, 0.95), (0.74, 0.90)),
    "5 % outliers, robust, bootstrap MSE (B = 50)": (
        World(errors="outliers"), _robust, 25, (0.84, 0.93), (0.75, 1.0),
    ),
    "no outlier, robust, bootstrap MSE (B = 50)": (
        World(), _robust, 25, (0.91, 0.975), (0.85, 1.0),
    ),
    "pseudo-EBLUP, weights 10 to 60": (
        World(weighted=True), _pseudo, 300, (0.933, 0.957), (0.84, 0.94),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_coverage_of_area_means(name: str) -> None:
    world, fit, R, inside, outside = CASES[name]
    sampled, unsampled, _ = coverage(world, fit, R, seed=1)
    assert inside[0] <= sampled <= inside[1]
    assert outside[0] <= unsampled <= outside[1]


@pytest.mark.parametrize(
    ("transformation", "bootstrap"),
    [("log", "parametric"), ("box-cox", "parametric"), ("log", "wild")],
)
def test_coverage_of_indicators(transformation: str, bootstrap: str) -> None:
    # 25 replicates of 23 areas: .22 / sqrt(575) = 0.9 point, 50 areas without sample: 3 points;
    # an MSE of 60 replicates costs about half a point. Five indicators: four errors.
    for name, (sampled, unsampled) in ebp_coverage(transformation, bootstrap, 25, 1).items():
        assert 0.905 <= sampled <= 0.985, name
        assert 0.82 <= unsampled <= 1.0, name


def main() -> None:
    """Print the table of the documentation."""
    rows = ["| situation | sampled areas | areas without sample | se |", "|---|---|---|---|"]
    for name, (world, fit, R, *_) in CASES.items():
        sampled, unsampled, width = coverage(world, fit, R, seed=1)
        rows.append(f"| {name} | {sampled:.1%} | {unsampled:.1%} | {width:.2f} |")
    for family, kind in (("log", "parametric"), ("box-cox", "parametric"), ("log", "wild")):
        for name, (sampled, unsampled) in ebp_coverage(family, kind, 25, 1).items():
            rows.append(f"| EBP {name}, {family}, {kind} | {sampled:.1%} | {unsampled:.1%} | |")
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
