"""Speed of the unit-level estimators, side by side with Python peers in one run.

    python benchmarks/sae_unit.py --quick           NAME ratio=... target=... ok|short
    python benchmarks/sae_unit.py                   the same with more repetitions, and figures
    python benchmarks/sae_unit.py --plot cost.svg   cost against n and m on log-log axes

A ratio is (time allowed, or time of the peer) / (our time); `ok` means it reaches its target. Times
are CPU seconds of one process, medians after one warm-up. The EBP uses two threads: its time is the
wall clock, or the CPU time shared by two cores when other programs hold the machine, whichever is
less. R figures are those measured beside this project (R 4.2.2, sae 1.3, emdi 2.2.2, two shared
cores).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from inegnum.estimators.unit.bhf import bhf
from inegnum.estimators.unit.ebp import EbpOptions, ebp
from inegnum.estimators.unit.inputs import AreaMeans, Census, UnitSample
from inegnum.numerics.indicators import NAMES

R_BOOTSTRAP, R_EBLUP, R_EBP = 15.6, 0.064, 94.0
BHF_ALLOWED, EBP_ALLOWED = 0.020, 9.0
World = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def world(n: int, m: int, seed: int = 1) -> World:
    """Response, covariates with constant, areas, population means and sizes."""
    rng = np.random.default_rng(seed)
    area = np.concatenate([np.arange(m), rng.integers(0, m, n - m)])
    # columns contiguous, as they come out of a data frame
    X = np.asfortranarray(np.column_stack([np.ones(n), rng.normal(size=(n, 3))]))
    y = X @ [10.0, 1.0, -0.5, 0.3] + 0.8 * rng.normal(size=m)[area] + 2 * rng.normal(size=n)
    Xbar = np.column_stack([np.ones(m), 0.2 * rng.normal(size=(m, 3))])
    return y, X, area, Xbar, np.bincount(area, minlength=m) * 40.0


def cpu(task: Callable[[], object], runs: int) -> float:
    """Return the median CPU time of `runs` calls after one warm-up."""
    task()
    times = []
    for _ in range(runs):
        start = time.process_time()
        task()
        times.append(time.process_time() - start)
    return statistics.median(times)


def on_two_cores(task: Callable[[], object], runs: int) -> float:
    """Return the median time of `runs` calls on two cores (see above)."""
    times = []
    for _ in range(runs):
        start, spent = time.perf_counter(), time.process_time()
        task()
        times.append(min(time.perf_counter() - start, (time.process_time() - spent) / 2))
    return statistics.median(times)


def ours(data: World, **arguments: object) -> Callable[[], object]:
    y, X, area, Xbar, N = data
    geo = tuple(f"{i:06d}" for i in range(len(N)))
    codes = area.astype(np.int64)

    def task() -> object:
        sample = UnitSample(y, X, codes, geo, ("1", "a", "b", "c"))
        return bhf(sample, AreaMeans(geo, Xbar, N), **arguments)  # type: ignore[arg-type]

    return task


def austria_like(seed: int = 1) -> tuple[UnitSample, Census]:
    """Return the shape of the emdi example: 1,945 of 25,000 households, 94 areas, 14 covariates."""
    rng = np.random.default_rng(seed)
    R, n, A, p = 25_000, 1_945, 94, 14
    area = np.sort(np.concatenate([np.repeat(np.arange(A), 5), rng.integers(0, A, R - 5 * A)]))
    X = np.column_stack([np.ones(R), rng.gamma(1.0, 1.0, size=(R, p))])
    t = X @ np.concatenate([[100.0], np.full(p, 4.0)]) + 6 * rng.normal(size=A)[area]
    y = (0.6 * np.maximum(t + 12 * rng.normal(size=R), 1.0) + 1) ** (1 / 0.6)
    at = np.sort(rng.choice(np.flatnonzero(area < 70), n, replace=False))
    labels = [f"{i:02d}" for i in range(A)]
    names = tuple(f"x{j}" for j in range(p + 1))
    sample = UnitSample.from_arrays(y[at], X[at], np.array(labels)[area[at]], names=names)
    return sample, Census(tuple(labels), area, X, np.ones(R))


def statsmodels_fit(data: World) -> Callable[[], object]:
    import statsmodels.api as sm

    y, X, area, *_ = data
    return lambda: sm.MixedLM(y, X, area).fit(reml=True)


def samplics_eblup(data: World) -> Callable[[], object]:
    from samplics.sae import EblupUnitModel
    from samplics.utils.types import FitMethod

    y, X, area, Xbar, N = data

    def task() -> object:
        model = EblupUnitModel(method=FitMethod.reml)
        model.fit(y, X[:, 1:], area)
        model.predict(Xbar[:, 1:], np.arange(len(N)), N)
        return model.area_mse

    return task


def svy_eblup(data: World) -> Callable[[], object]:
    import polars as pl
    from svy_sae.models import UnitLevel

    y, X, area, Xbar, N = data
    names = ["x1", "x2", "x3"]
    sample = pl.DataFrame({"y": y, "area": area, **dict(zip(names, X[:, 1:].T, strict=True))})
    means = pl.DataFrame(
        {"area": np.arange(len(N)), "N": N, **dict(zip(names, Xbar[:, 1:].T, strict=True))}
    )

    def task() -> object:
        model = UnitLevel(sample)
        return model.eblup(
            y="y", x=names, area="area", pop_data=means, pop_size="N", mse="analytical", tol=1e-8
        ).to_polars("predictions")

    return task


PEERS = {"svy-sae": svy_eblup, "samplics": samplics_eblup, "statsmodels": statsmodels_fit}


def claims(quick: bool) -> Iterator[tuple[str, float, float, str]]:
    """Yield name, ratio, target and a note."""
    runs = 5 if quick else 15
    large, small = world(200_000, 2_000), world(5_000, 100)
    fit = cpu(ours(large), runs)
    yield "bhf_200k", BHF_ALLOWED / fit, 1.0, f"{1e3 * fit:.1f} ms against {1e3 * BHF_ALLOWED:.0f}"
    fit_small = cpu(ours(small), runs)
    yield "bhf_5k_vs_R", R_EBLUP / fit_small, 1.0, f"{1e3 * fit_small:.1f} ms, R sae 64 ms"
    boot = cpu(ours(small, mse="bootstrap", B=200), runs)
    yield "bhf_bootstrap_B200", R_BOOTSTRAP / boot, 20.0, f"{1e3 * boot:.0f} ms, R sae 15.6 s"
    sample, census = austria_like()
    options = EbpOptions(L=50, B=50, workers=2, progress=False)
    seconds = on_two_cores(
        lambda: ebp(sample, census, indicators=NAMES, threshold=10_000.0, options=options),
        1 if quick else 3,
    )
    yield "ebp_L50_B50", EBP_ALLOWED / seconds, 1.0, f"{seconds:.1f} s, R emdi {R_EBP:.0f} s"
    for name, make in PEERS.items():
        for size, data, mine in (("5k", small, fit_small), ("200k", large, fit)):
            if quick and size == "200k":
                continue
            with contextlib.redirect_stdout(io.StringIO()):
                try:
                    peer = cpu(make(data), 1 if quick else 3)
                except ImportError:
                    print(f"# {name} is not installed: left out", file=sys.stderr)
                    break
            yield f"bhf_{size}_vs_{name}", peer / mine, 1.0, f"{peer:.2f} s CPU"


def grid() -> pd.DataFrame:
    """Return CPU seconds of fit and MSE against n and m."""
    rows = []
    for n in (1_000, 10_000, 100_000, 1_000_000):
        for m in (30, 300, 3_000, 30_000):
            if m * 5 > n:
                continue
            data = world(n, m)
            rows.append({"n": n, "m": m, "seconds": cpu(ours(data), 3)})
            print(f"# n={n} m={m} {1e3 * rows[-1]['seconds']:.1f} ms", file=sys.stderr)
    return pd.DataFrame(rows)


def plot(table: pd.DataFrame, path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "inegnum"
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 4))
    for m, part in table.groupby("m"):
        axis.loglog(part["n"], part["seconds"], marker="o", label=f"{m:,} areas")
    axis.set_xlabel("respondents")
    axis.set_ylabel("CPU seconds, fit and analytic MSE")
    axis.legend()
    axis.grid(visible=True, which="both", alpha=0.3)
    figure.tight_layout()
    # An SVG without date or random identifiers: the same figures draw the same bytes.
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, small peers only")
    parser.add_argument("--plot", metavar="FILE", help="draw cost against n and m instead")
    arguments = parser.parse_args()
    if arguments.plot:
        plot(grid(), arguments.plot)
        return
    for name, ratio, target, note in claims(arguments.quick):
        status = "ok" if ratio >= target else "short"
        print(f"{name} ratio={ratio:.2f} target={target:g} {status}", flush=True)
        if not arguments.quick:
            print(f"#   {note}", flush=True)


if __name__ == "__main__":
    main()
