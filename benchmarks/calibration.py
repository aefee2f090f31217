"""Calibration side by side with its peers: same input, one run, medians of CPU time.

    python benchmarks/calibration.py [--quick] [--only NAME] [--plot docs/images/FILE.svg]

Each line reads ``NAME ratio=... target=... ok|short``: how many times faster than the peer, or, for
lines that end in ``_floor``, how many times the bare cost. A peer that is not installed (see
requirements.txt) is said to be missing, never counted as beaten. Margins are met to 1e-10 here,
to whatever the peer reaches there (printed).
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import io
import os
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from inegnum.estimators import direct
from inegnum.estimators.calibration import Logit, calibrate, rake
from inegnum.estimators.design import survey_design
from inegnum.estimators.replication import recalibrate, replicate

LEVELS = {"region": 10, "age": 8, "diploma": 5, "occupation": 8}
POPULATION = 50_000_000
TOLERANCE = 1e-10
Totals = dict[str, dict[object, float]]


def cpu(function: Callable[[], object], repeats: int) -> float:
    """Return the median CPU time in milliseconds, after one call that warms up."""
    function()
    times = []
    for _ in range(repeats):
        gc.collect()
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return float(np.median(times)) * 1e3


def side_by_side(
    ours: Callable[[], object], theirs: Callable[[], object] | None, repeats: int
) -> tuple[float, float]:
    """Return medians of both in milliseconds, in turns of three calls each.

    Turns, so that a busy machine slows both; three calls, so that neither is timed only on the
    caches the other has just filled.
    """
    functions = [f for f in (ours, theirs) if f is not None]
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(repeats):
        for function, taken in zip(functions, times, strict=True):
            gc.collect()
            for _ in range(3):
                start = time.process_time()
                with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    function()
                taken.append((time.process_time() - start) * 1e3)
    medians = [float(np.median(taken)) for taken in times]
    return medians[0], medians[1] if len(medians) > 1 else float("nan")


def population(seed: int = 20260101) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cells, their population shares and their chances in the sample."""
    rng = np.random.default_rng(seed)
    sizes = list(LEVELS.values())
    cells = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), -1).reshape(-1, 4)

    def shares(spread: float, noise: float) -> np.ndarray:
        effects = [rng.normal(0, spread, k)[cells[:, j]] for j, k in enumerate(sizes)]
        weight = np.exp(np.sum(effects, axis=0) + rng.normal(0, noise, len(cells)))
        return weight / weight.sum()

    truth = shares(0.5, 0.3)
    response = truth * shares(0.35, 0.25)
    return cells, truth, response / response.sum()


def draw(n: int) -> tuple[pd.DataFrame, Totals]:
    """Return a sample of n and the margins of its population."""
    cells, truth, chance = population()
    rng = np.random.default_rng(1000 + n)
    at = rng.choice(len(chance), n, p=chance)
    frame = pd.DataFrame({v: cells[at, j] for j, v in enumerate(LEVELS)})
    frame["d"] = POPULATION / n
    frame["skewed"] = np.exp(rng.normal(0, 0.6, n))
    frame["skewed"] *= POPULATION / frame["skewed"].sum()
    frame["y"] = (rng.random(n) < 0.2 + 0.05 * frame["age"]).astype(float)
    return frame, _totals(cells, truth * POPULATION)


def hard(n: int) -> tuple[pd.DataFrame, Totals]:
    """Return a sample whose four margins nearly repeat each other: the slow case of fitting."""
    rng = np.random.default_rng(77)
    base = rng.integers(0, 8, n)

    def copy(flipped: float, size: int) -> np.ndarray:
        return np.where(rng.random(n) < flipped, rng.integers(0, size, n), base % size)

    codes = np.column_stack([copy(0.02, 10), base, copy(0.03, 5), copy(0.02, 8)])
    weight = np.exp(0.4 * rng.normal(size=8))[base]
    for j, size in ((0, 10), (2, 5), (3, 8)):
        weight = weight * np.exp(0.3 * rng.normal(size=size))[codes[:, j]]
    frame = pd.DataFrame(codes, columns=list(LEVELS)).assign(d=POPULATION / n)
    return frame, _totals(codes, weight * POPULATION / weight.sum())


def _totals(codes: np.ndarray, weight: np.ndarray) -> Totals:
    return {
        v: dict(enumerate(np.bincount(codes[:, j], weight, k).tolist()))
        for j, (v, k) in enumerate(LEVELS.items())
    }


def proportions_of(totals: Totals) -> Totals:
    return {v: {k: t / POPULATION for k, t in by.items()} for v, by in totals.items()}


def largest_miss(frame: pd.DataFrame, totals: Totals, weights: object) -> float:
    w = np.asarray(weights, dtype=float)
    w = w * POPULATION / w.sum()
    misses = [
        abs(w[(frame[v] == k).to_numpy()].sum() / t - 1)
        for v, by in totals.items()
        for k, t in by.items()
    ]
    return max(misses)


def peer(name: str) -> object | None:
    """Return a peer's module, or None when it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def say(name: str, ratio: float, target: float, detail: str, *, at_most: bool = False) -> None:
    if not np.isfinite(ratio):
        verdict = "not measured"
    else:
        verdict = "ok" if (ratio <= target if at_most else ratio >= target) else "short"
    sys.stdout.write(f"{name} ratio={ratio:.2f} target={target:g} {verdict} | {detail}\n")
    sys.stdout.flush()


def versus(
    name: str,
    target: float,
    ours: Callable[[], object],
    theirs: Callable[[], object] | None,
    miss: Callable[[object], float],
    repeats: int,
) -> None:
    """Time both and print the line of one comparison."""
    if theirs is None:
        mine, _ = side_by_side(ours, None, repeats)
        say(name, float("nan"), target, f"ours {mine:.1f} ms, the peer is not installed")
        return
    mine, their = side_by_side(ours, theirs, repeats)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        off = miss(theirs())
    detail = f"ours {mine:.1f} ms, peer {their:.1f} ms (its largest miss {off:.0e})"
    say(name, their / mine, target, detail)


def raking(name: str, n: int, target: float, repeats: int) -> None:
    frame, totals = draw(n)
    rimpy, polars = peer("rimpy"), peer("polars")
    theirs = None
    if rimpy is not None and polars is not None:
        table, shares = polars.from_pandas(frame[list(LEVELS)]), proportions_of(totals)

        def theirs() -> object:
            out = rimpy.rake(table, shares, convergence_threshold=TOLERANCE)
            return out["weight"].to_numpy()

    ours = lambda: rake(frame, totals, weights="d")  # noqa: E731
    versus(name, target, ours, theirs, lambda w: largest_miss(frame, totals, w), repeats)


def near_collinear(repeats: int) -> None:
    frame, totals = hard(100_000)
    leafblower = peer("leafblower")
    theirs = None
    if leafblower is not None:

        def theirs() -> object:
            return leafblower.harvest(
                frame[list(LEVELS)],
                proportions_of(totals),
                method="raking",
                max_weight=1e6,
                attach_weights=False,
            )["weights"]

    ours = lambda: rake(frame, totals, weights="d")  # noqa: E731
    miss = lambda w: largest_miss(frame, totals, w)  # noqa: E731
    versus("hard_100k_vs_leafblower", 10, ours, theirs, miss, repeats)


def linear(repeats: int) -> None:
    frame, totals = draw(100_000)
    svy, polars = peer("svy"), peer("polars")
    theirs = None
    if svy is not None and polars is not None:
        sample = svy.Sample(
            polars.from_pandas(frame[[*LEVELS, "skewed"]]), svy.Design(wgt="skewed")
        )
        controls = {svy.Cat(v): totals[v] for v in LEVELS}

        def theirs() -> object:
            return sample.weighting.calibrate(controls=controls).data["calib_wgt"].to_numpy()

    ours = lambda: calibrate(frame, totals, weights="skewed", distance="linear")  # noqa: E731
    miss = lambda w: largest_miss(frame, totals, w)  # noqa: E731
    versus("linear_100k_vs_svy", 50, ours, theirs, miss, repeats)


def bounded(repeats: int) -> None:
    frame, totals = draw(100_000)
    leafblower = peer("leafblower")
    theirs = None
    if leafblower is not None:

        def theirs() -> object:
            return leafblower.harvest(
                frame[list(LEVELS)],
                proportions_of(totals),
                method="logit",
                min_weight=0.1,
                max_weight=10.0,
                attach_weights=False,
                convergence={"absolute": 1e-9},
            )["weights"]

    bounds = Logit(0.1, 10.0)
    ours = lambda: calibrate(frame, totals, weights="d", distance=bounds)  # noqa: E731
    miss = lambda w: largest_miss(frame, totals, w)  # noqa: E731
    versus("logit_100k_vs_leafblower", 7, ours, theirs, miss, repeats)


def replicates(repeats: int) -> None:
    frame, totals = draw(10_000)
    svy, polars = peer("svy"), peer("polars")
    theirs = None
    if svy is not None and polars is not None:
        table = polars.from_pandas(frame[[*LEVELS, "d"]].assign(psu=np.arange(len(frame))))
        sample = svy.Sample(table, svy.Design(wgt="d", psu="psu")).weighting.create_bs_wgts(
            n_reps=200, rstate=1
        )

        def theirs() -> object:
            out = sample.weighting.rake(controls=totals, tol=TOLERANCE, max_iter=1000)
            return out.data["rk_wgt"].to_numpy()

    fit = rake(frame, totals, weights="d")
    plain = replicate(survey_design(frame, weights="d"), "bootstrap", replicates=200, seed=1)
    ours = lambda: recalibrate(plain, fit)  # noqa: E731
    miss = lambda w: largest_miss(frame, totals, w)  # noqa: E731
    versus("replicates_200x10k_vs_svy", 7, ours, theirs, miss, repeats)


def domains(repeats: int) -> None:
    """Means with calibration-aware standard errors for 1,000 domains of 100,000 rows."""
    frame, totals = draw(100_000)
    frame["domain"] = np.random.default_rng(5).integers(0, 1000, len(frame))
    design = survey_design(frame, weights=rake(frame, totals, weights="skewed"))
    took = cpu(lambda: direct.mean(design, "y", by="domain"), repeats)
    detail = f"{took:.0f} ms of CPU for 1,000 domains; seconds against a limit of 0.1"
    say("domains_1000_seconds", took / 1e3, 0.1, detail, at_most=True)


def floor(n: int, repeats: int) -> None:
    """Compare with what cannot be avoided: reading the codes once and writing the weights."""
    frame, totals = draw(n)
    codes = [frame[v].to_numpy() for v in LEVELS]
    d = frame["d"].to_numpy()
    table = np.random.default_rng(0).random(1 << 13)

    def bare() -> object:
        out = np.empty(n)
        key = np.empty(32_768, dtype=np.intp)
        for start in range(0, n, 32_768):
            at = slice(start, min(start + 32_768, n))
            k = key[: at.stop - start]
            k[:] = codes[0][at]
            for code, bits in zip(codes[1:], (3, 3, 3), strict=True):
                np.left_shift(k, bits, out=k)
                np.bitwise_or(k, code[at], out=k)
            np.take(table, k, out=out[at], mode="clip")
            np.multiply(out[at], d[at], out=out[at])
        return out

    mine, least = side_by_side(lambda: rake(frame, totals, weights="d"), bare, repeats)
    say(f"rake_{n}_floor", mine / least, 2, f"{mine:.1f} ms, bare {least:.1f} ms", at_most=True)


def as_text(frame: pd.DataFrame, totals: Totals) -> tuple[pd.DataFrame, Totals]:
    text = frame.assign(**{v: frame[v].map("level {}".format) for v in LEVELS})
    return text, {v: {f"level {k}": t for k, t in by.items()} for v, by in totals.items()}


def strings(repeats: int) -> None:
    """Report what coding text costs: once, on the way in."""
    frame, totals = draw(1_000_000)
    text, named = as_text(frame, totals)
    coded, plain = (
        cpu(lambda f=f, m=m: rake(f, m, weights="d"), repeats)
        for f, m in ((frame, totals), (text, named))
    )
    sys.stdout.write(f"strings_1m codes {coded:.0f} ms, text {plain:.0f} ms\n")


def growth(sizes: list[int], repeats: int, target: Path | None) -> None:
    """Report time by row and memory beyond input and output as n grows; draw them if asked."""
    taken: dict[str, list[tuple[int, float]]] = {"inegnum, codes": [], "inegnum, text": []}
    extra = []
    for n in sizes:
        frame, totals = draw(n)
        few = repeats if n < 5_000_000 else min(repeats, 3)
        took = cpu(lambda f=frame, t=totals: rake(f, t, weights="d"), few)
        taken["inegnum, codes"].append((n, took))
        tracemalloc.start()
        fit = rake(frame, totals, weights="d")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        extra.append((peak - fit.weights.nbytes) / 1e6)
        sys.stdout.write(
            f"growth n={n} {took:.1f} ms, {took * 1e6 / n:.1f} ns a row, "
            f"{extra[-1]:.1f} MB beyond the weights\n"
        )
        if target is not None and n <= 1_000_000:
            text, named = as_text(frame, totals)
            took = cpu(lambda f=text, t=named: rake(f, t, weights="d"), 3)
            taken["inegnum, text"].append((n, took))
            rimpy, polars = peer("rimpy"), peer("polars")
            if rimpy is not None and polars is not None:
                table, shares = polars.from_pandas(frame[list(LEVELS)]), proportions_of(totals)
                took = cpu(lambda r=rimpy, f=table, s=shares: r.rake(f, s), 3)
                taken.setdefault("rimpy", []).append((n, took))
    codes = taken["inegnum, codes"]
    by_row = [took / n for n, took in codes[-2:]]
    detail = f"time a row at {codes[-1][0]:,} over that at {codes[-2][0]:,}"
    say("growth_linear", by_row[1] / by_row[0], 1.1, detail, at_most=True)
    detail = f"megabytes beyond the weights, at most, {sizes[0]:,} to {sizes[-1]:,} rows"
    say("growth_memory_mb", max(extra), 4, detail, at_most=True)
    if target is not None:
        plot(taken, target)


def plot(taken: dict[str, list[tuple[int, float]]], target: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "inegnum"
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5))
    for name, points in taken.items():
        style = "-" if name.startswith("inegnum") else "--"
        axis.plot(*zip(*points, strict=True), style, marker="o", markersize=4, label=name)
    axis.set(xscale="log", yscale="log", xlabel="rows", ylabel="CPU milliseconds, median")
    axis.grid(visible=True, which="both", alpha=0.3)
    axis.legend(fontsize=8)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None}, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, smaller sizes")
    parser.add_argument("--plot", type=Path, default=None, help="draw time against rows here")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    repeats = 3 if options.quick else 9
    large = [10_000, 100_000, 1_000_000] + ([] if options.quick else [10_000_000])
    cases: dict[str, Callable[[], None]] = {
        "rake_1m": lambda: raking("rake_1m_vs_rimpy", 1_000_000, 10, repeats),
        "rake_5m": lambda: raking("rake_5m_vs_rimpy", 5_000_000, 20, min(repeats, 5)),
        "hard": lambda: near_collinear(repeats),
        "linear": lambda: linear(repeats),
        "logit": lambda: bounded(repeats),
        "replicates": lambda: replicates(repeats),
        "domains": lambda: domains(repeats),
        "floor": lambda: [floor(n, repeats) for n in (1_000_000, 5_000_000)],
        "strings": lambda: strings(1 if options.quick else 3),
        "growth": lambda: growth(large, repeats, options.plot),
    }
    for name, case in cases.items():
        if options.only in name:
            case()


if __name__ == "__main__":
    main()
