"""Speed of area-level estimators, side by side with PyPI peers, CPU medians.

    python benchmarks/sae.py [--peers] [--quick]

Inputs are drawn here from fixed seeds. Peers (svy-sae, samplics, saepy) run when they are installed
in the same environment (benchmarks/requirements.txt); one that is absent is listed as absent. R
figures were measured apart (R 4.2.2, sae 1.3, emdi 2.2.2) and stand beside, marked R.
Each claim ends in a line NAME ratio=... target=... ok|short: time allowed, or time of a peer or of
R, over ours. Without --quick, writes benchmarks/sae.csv and, with matplotlib,
docs/images/sae-scaling.svg.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gc
import importlib.util
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.spatial import Delaunay

from inegnum.estimators.area import AreaData, fay_herriot, row_standardise, spatial_fay_herriot
from inegnum.numerics.reml import fit_fay_herriot, mse_terms

HERE = Path(__file__).resolve().parent
R_FIGURES = (
    ("sae::mseFH (R)", 100, 0.005),
    ("sae::mseFH (R)", 1000, 0.2),
    ("sae::mseFH (R)", 5000, 31.0),
    ("emdi::fh (R)", 100, 0.027),
    ("emdi::fh (R)", 1000, 3.6),
    ("sae::eblupSFH (R)", 500, 0.7),
    ("sae::mseSFH (R)", 500, 1.0),
)


def areas(m: int) -> pd.DataFrame:
    rng = np.random.default_rng(7000 + m)
    X = rng.normal(size=(m, 4))
    n = np.clip(rng.lognormal(3.2, 0.9, m), 4, 2000).astype(int)
    psi = 0.16 * 1.6 / n * np.exp(rng.normal(0, 0.15, m))
    theta = 0.18 + X @ [0.03, -0.02, 0.015, 0.01] + rng.normal(0, 0.05, m)
    y = theta + rng.normal(0, np.sqrt(psi))
    names = {f"x{j + 1}": X[:, j] for j in range(4)}
    return pd.DataFrame({"area": [str(i) for i in range(m)], "y": y, "psi": psi, **names})


def neighbours(m: int) -> sparse.csr_array:
    """Contiguity of m random points (Delaunay), row-standardised."""
    corners = Delaunay(np.random.default_rng(m).uniform(size=(m, 2))).simplices
    i, j = corners[:, [0, 1, 2]].ravel(), corners[:, [1, 2, 0]].ravel()
    C = sparse.coo_array((np.ones(len(i)), (i, j)), (m, m)).tocsr()
    return row_standardise(((C + C.T) > 0).astype(float))


def spatial_areas(m: int, W: sparse.csr_array) -> AreaData:
    rng = np.random.default_rng(8000 + m)
    X = np.column_stack([np.ones(m), rng.normal(size=m)])
    D = rng.uniform(0.5, 1.5, m)
    v = sparse.linalg.spsolve(sparse.csc_array(sparse.eye_array(m) - 0.6 * W), rng.normal(size=m))
    return AreaData(X @ [1.0, 2.0] + v + rng.normal(size=m) * np.sqrt(D), X, D)


def timed(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median CPU time and first-call CPU time, seconds."""
    values = []
    for _ in range(repeats + 1):
        gc.collect()
        start = time.process_time()
        run()
        values.append(time.process_time() - start)
    return float(np.median(values[1:])) if repeats else values[0], values[0]


def ours(t: pd.DataFrame) -> dict[str, Callable[[], object]]:
    X = np.column_stack([np.ones(len(t)), t[["x1", "x2", "x3", "x4"]]])
    y, D = t["y"].to_numpy(), t["psi"].to_numpy()
    data = AreaData(y, X, D, t["area"].to_numpy(object))
    return {
        "inegnum numerics: fit + MSE": lambda: mse_terms(fit_fay_herriot(y, X, D), X, D).mse(),
        "inegnum fay_herriot: whole result": lambda: fay_herriot(data),
        "inegnum from formula": lambda: fay_herriot(
            AreaData.from_formula("y ~ x1 + x2 + x3 + x4", t, variance="psi", geo="area")
        ),
    }


def peers(t: pd.DataFrame) -> dict[str, tuple[int, Callable[[], object]]]:
    """Name -> (largest m worth waiting for, call)."""
    found: dict[str, tuple[int, Callable[[], object]]] = {}
    if importlib.util.find_spec("samplics"):
        from samplics.sae import EblupAreaModel
        from samplics.utils.types import FitMethod

        X, area = t[["x1", "x2", "x3", "x4"]].to_numpy(), t["area"].to_numpy()

        def run_samplics() -> None:
            model = EblupAreaModel(method=FitMethod.reml)
            sd = np.sqrt(t["psi"].to_numpy())
            model.fit(
                yhat=t["y"].to_numpy(), X=X, area=area, error_std=sd, intercept=True, tol=1e-8
            )
            model.predict(X=X, area=area)

        found["samplics"] = (1000, run_samplics)
    if importlib.util.find_spec("saePy"):
        from saePy.mseFH import mseFH

        found["saepy"] = (
            1000,
            lambda: mseFH("y ~ x1+x2+x3+x4", "psi", PRECISION=1e-8, data=t),
        )
    if importlib.util.find_spec("svy_sae"):
        import polars as pl
        from svy_sae.models import AreaLevel

        frame = pl.from_pandas(t)
        names = ["x1", "x2", "x3", "x4"]
        found["svy-sae"] = (
            20_000,
            lambda: AreaLevel(frame).fh(
                y="y", x=names, variance="psi", area="area", method="reml", tol=1e-8
            ),
        )
    return found


# Name, ours, areas, seconds allowed (or those of R), ratio asked for.
CLAIMS = (
    ("fh_1000_fit_and_mse", "inegnum numerics: fit + MSE", 1000, 0.003, 1.0),
    ("fh_1000_whole_result", "inegnum fay_herriot: whole result", 1000, 0.003, 1.0),
    ("fh_20000_fit_and_mse", "inegnum numerics: fit + MSE", 20_000, 0.013, 1.0),
    ("fh_20000_whole_result", "inegnum fay_herriot: whole result", 20_000, 0.013, 1.0),
    ("sar_500_vs_R", "inegnum spatial: fit + MSE", 500, 1.0, 10.0),
    ("sar_2000", "inegnum spatial: fit + MSE", 2000, 2.0, 1.0),
)
PEERS = ("samplics", "saepy", "svy-sae")


def claims(rows: list[tuple[str, int, float, float]]) -> list[str]:
    """Say what holds: targets of this machine, and each peer at its largest size."""
    median = {(name, m): seconds for name, m, seconds, _ in rows}
    wanted = [c for c in CLAIMS if (c[1], c[2]) in median]
    for peer in PEERS:
        sizes = [m for name, m in median if name == peer]
        if sizes:
            m = max(sizes)
            name = f"fh_{m}_vs_{peer}"
            wanted.append((name, "inegnum fay_herriot: whole result", m, median[peer, m], 10.0))
    lines = []
    for name, method, m, allowed, target in wanted:
        ratio = allowed / median[method, m]
        verdict = "ok" if ratio >= target else "short"
        lines.append(f"{name} ratio={ratio:.2f} target={target:g} {verdict}")
    return lines


def plot(rows: list[tuple[str, int, float, float]]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "inegnum"
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5))
    for name in dict.fromkeys(r[0] for r in rows):
        points = [(r[1], r[2]) for r in rows if r[0] == name]
        style = "--" if name.endswith("(R)") else "-"
        axis.plot(*zip(*points, strict=True), style, marker="o", markersize=4, label=name)
    axis.set(xscale="log", yscale="log", xlabel="areas", ylabel="CPU seconds, median")
    axis.grid(visible=True, which="both", alpha=0.3)
    axis.legend(fontsize=7)
    target = HERE.parent / "docs" / "images" / "sae-scaling.svg"
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None}, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="run installed peers as well")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and sizes")
    options = parser.parse_args()
    rows: list[tuple[str, int, float, float]] = []

    def note(name: str, m: int, run: Callable[[], object], repeats: int) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            median, first = timed(run, repeats)
        rows.append((name, m, median, first))
        sys.stdout.write(f"{name:38s} m={m:6d} {1e3 * median:10.2f} ms (first {first:.2f} s)\n")
        sys.stdout.flush()

    sizes = (100, 1000, 20_000) if options.quick else (100, 300, 1000, 5000, 20_000, 100_000)
    for m in sizes:
        t = areas(m)
        for name, run in ours(t).items():
            note(name, m, run, 5 if options.quick else 15)
        if options.peers:
            for name, (largest, run) in peers(t).items():
                if m <= largest:
                    note(name, m, run, 1 if m > 500 and name != "svy-sae" else 3)
    for m in (100, 500, 2000):
        W = neighbours(m)
        data = spatial_areas(m, W)
        note(
            "inegnum spatial: fit", m, lambda d=data, w=W: spatial_fay_herriot(d, w, mse="none"), 3
        )
        note("inegnum spatial: fit + MSE", m, lambda d=data, w=W: spatial_fay_herriot(d, w), 3)
    if options.peers:
        absent = {"samplics": "samplics", "saePy": "saepy", "svy_sae": "svy-sae"}
        gone = [n for module, n in absent.items() if not importlib.util.find_spec(module)]
        sys.stdout.write(f"absent peers: {', '.join(gone) or 'none'}\n")
    sys.stdout.write("\n".join(claims(rows)) + "\n")
    if options.quick:
        return
    rows += [(name, m, seconds, seconds) for name, m, seconds in R_FIGURES]
    with (HERE / "sae.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["method", "areas", "cpu_median_s", "first_call_s"])
        writer.writerows([(n, m, f"{a:.6f}", f"{b:.6f}") for n, m, a, b in rows])
    if importlib.util.find_spec("matplotlib"):
        plot(rows)


if __name__ == "__main__":
    main()
