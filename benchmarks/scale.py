"""Cost of a wide territory: time against areas, draws and workers, memory, the kernel's floor.

Usage: python benchmarks/scale.py [--quick] [--plot FILE.svg]. One thread: set OMP_NUM_THREADS=1.

Figures are those of `inegnum run` (frames, poststratification, tables) on real communes, with a
synthetic posterior: the cost does not depend on it. CPU seconds of this process, medians; walls
for workers. One line a measure, one a claim: ``NAME ratio=... target=... ok|short``.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from inegnum.data.codebook import REGION, URBAN, profiles
from inegnum.data.indicators import indicator
from inegnum.estimates.quality import QualityLimits
from inegnum.estimators.blocks import Posterior
from inegnum.estimators.spec import Tau
from inegnum.estimators.terms import Coefficients
from inegnum.numerics.poststratify import poststratify
from inegnum.study.scale.executor import each
from inegnum.study.scale.partition import Job, Piece, compute, environment
from inegnum.study.scale.plan import blocks

Floats = npt.NDArray[np.float64]

CODES = ("internet_daily", "admin_difficulty", "smartphone", "fixed_internet")
FRANCE = 34_728
# Departments of one region, so that the tables they share are made once.
SMALL, MIDDLE, LARGE = ("90", "25"), ("58", "70"), ("90", "25", "58", "70", "39", "89", "21", "71")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def claim(name: str, ratio: float, target: float) -> None:
    say(f"{name} ratio={ratio:.2f} target={target:g} {'ok' if ratio <= target else 'short'}")


def cpu(work: Callable[[], Any], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def job(draws: int, frames: int, indicators: int = 4) -> Job:
    """Return a job of synthetic posteriors."""
    rng = np.random.default_rng(1)
    made = []
    for code in CODES[:indicators]:
        part = Coefficients(
            1.0 + rng.normal(size=(draws, len(profiles()))),
            0.3 * rng.normal(size=(draws, len(URBAN.levels))),
            0.2 * rng.normal(size=(draws, len(REGION.levels))),
        )
        made.append(Posterior(indicator(code), part, np.full(draws, 0.8), Tau(), 3))
    shifts = np.zeros((indicators, 1, draws))
    here = environment()
    how = (2022, frames, 5, "metropole", 0.95, QualityLimits(), here)
    return Job(tuple(made), shifts, "figures", *how)  # type: ignore[arg-type]


def communes(departments: tuple[str, ...]) -> int:
    return sum(len(block) for name in departments for block in blocks(name, 2022, "metropole"))


def against_areas(draws: int, frames: int, sizes: tuple[tuple[str, ...], ...]) -> list[float]:
    """Time whole departments; the region's tables are made beforehand, once."""
    one = job(draws, frames)
    compute(one, Piece(("90",)))
    each_area = []
    for departments in sizes:
        n = communes(departments)
        seconds = cpu(lambda: compute(one, Piece(departments)), 1)  # noqa: B023
        each_area.append(seconds / n)
        say(
            f"areas={n} draws={draws} frames={frames} cpu_s={seconds:.2f} "
            f"cpu_ms_per_area={1e3 * seconds / n:.2f} peak_gb={peak_gb():.2f}"
        )
    cells = len(profiles()) * draws * len(CODES)
    say(f"cost all in: {each_area[-1] / cells * 1e6:.4f} CPU s per million cell-draws")
    say(f"France, figures, from the slope: {each_area[-1] * FRANCE:.0f} CPU s")
    return each_area


def peak_of(draws: int, frames: int, departments: tuple[str, ...]) -> tuple[float]:
    compute(job(draws, frames), Piece(departments))
    return (peak_gb(),)


def memory(sizes: tuple[tuple[str, ...], ...], draws: int, frames: int) -> None:
    """Compare the peak of a process that computes few communes with one that computes many."""
    peaks = []
    for names in sizes:
        peaks.append(float(in_a_fresh_process(f"peak_of({draws}, {frames}, {names})")[0]))
        say(f"memory areas={communes(names)} peak_gb={peaks[-1]:.2f}")
    # Blocks are bounded: more of them may only leave more of the interpreter's own behind.
    claim("memory_of_many_over_few", peaks[-1] / peaks[0], 1.25)


def against_draws(frames: int, counts: tuple[int, ...]) -> list[float]:
    found = []
    for draws in counts:
        one = job(draws, frames)
        found.append(cpu(lambda: compute(one, Piece(("90",))), 1))  # noqa: B023
        say(f"draws={draws} areas={communes(('90',))} frames={frames} cpu_s={found[-1]:.2f}")
    return found


def in_a_fresh_process(call: str) -> list[str]:
    """Return the words a call of this file prints in a process that has computed nothing yet."""
    text = f"import sys; sys.path.insert(0, 'benchmarks'); import scale; print(*scale.{call})"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return done.stdout.split()


def spread(
    draws: int, frames: int, departments: tuple[str, ...], workers: int, scheduler: str
) -> tuple[float, str]:
    """Return the wall time of departments, start of processes included, and a hash of the bytes."""
    one, work = job(draws, frames), [Piece((name,)) for name in departments]
    start = time.perf_counter()
    files: dict[str, bytes] = {}
    for part in each(compute, one, work, workers=workers, scheduler=scheduler):
        files |= part
    wall = time.perf_counter() - start
    return wall, sha256(b"".join(files[name] for name in sorted(files))).hexdigest()


def against_workers(
    draws: int, frames: int, departments: tuple[str, ...], ways: tuple[tuple[int, str], ...]
) -> list[tuple[int, str, float]]:
    """Compare numbers of workers, each in a fresh process: none finds tables another made.

    Workers beyond the processors share them: on two, the curve ends at two.
    """
    walls, hashes = [], set()
    for workers, scheduler in ways:
        call = f"spread({draws}, {frames}, {departments}, {workers}, {scheduler!r})"
        wall, found = in_a_fresh_process(call)
        hashes.add(found)
        where = f"dask {scheduler}" if scheduler else "processes"
        walls.append((workers, where, float(wall)))
        say(f"workers={workers} {where} processors={os.cpu_count()} wall_s={walls[-1][2]:.1f}")
    say(f"same bytes whatever the workers: {len(hashes) == 1}")
    return walls


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def pass_once(odds: Floats, scale: Floats, N: Floats, out: Floats, divide: bool) -> None:
    """Read what poststratification reads, with one multiply-add and at most one division a cell."""
    tile = max(1, 32_768 // odds.shape[1])
    for first in range(0, N.shape[0], tile):
        for s in range(odds.shape[0]):
            o = odds[s]
            for a in range(first, min(N.shape[0], first + tile)):
                x, n, total = scale[s, a], N[a], 0.0
                if divide:
                    for c in range(o.shape[0]):
                        total += n[c] / (1.0 + o[c] * x)
                else:
                    for c in range(o.shape[0]):
                        total += n[c] * (1.0 + o[c] * x)
                out[s, a] = total


def floor(areas: int, cells: int, draws: int) -> None:
    """Compare poststratification with the bare arithmetic over the same arrays, in this run."""
    rng = np.random.default_rng(2)
    profile, area = rng.normal(size=(draws, cells)), 0.3 * rng.normal(size=(draws, areas))
    N = rng.gamma(1.0, size=(areas, cells))
    odds, scale, out = np.exp(-profile), np.exp(-area), np.empty((draws, areas))
    size = areas * cells * draws / 1e9
    work: dict[str, Callable[[], Any]] = {
        "poststratify": lambda: poststratify(profile, area, N),
        "one division a cell": lambda: pass_once(odds, scale, N, out, True),
        "no division": lambda: pass_once(odds, scale, N, out, False),
    }
    for run in work.values():
        run()  # compilation
    # In turn, so that a busy moment of the machine falls on all three.
    rounds = [[cpu(run, 1) for run in work.values()] for _ in range(5)]
    times = dict(zip(work, np.median(rounds, axis=0), strict=True))
    for name, seconds in times.items():
        say(f"{name}: {seconds / size:.3f} CPU ns per cell-draw ({areas} x {cells} x {draws})")
    claim("poststratify_over_one_division", times["poststratify"] / times["one division a cell"], 2)
    claim("poststratify_over_no_division", times["poststratify"] / times["no division"], 2)


def stress(areas: int, cells: int, draws: int, block: int = 256) -> None:
    """Summarise synthetic IRIS by blocks: nothing of all areas stands in memory but the result."""
    rng = np.random.default_rng(3)
    profile = rng.normal(size=(draws, cells))
    summary = np.empty((areas, 3))
    start = time.process_time()
    for first in range(0, areas, block):
        at = slice(first, min(first + block, areas))
        n = at.stop - first
        own = np.random.default_rng([3, first])
        N = own.gamma(0.5, 5.0, size=(n, cells))
        counts, persons = poststratify(profile, 0.35 * own.standard_normal((draws, n)), N)
        rates = counts / persons
        summary[at, 0] = rates.mean(axis=0)
        summary[at, 1:] = np.quantile(rates, [0.025, 0.975], axis=0).T
    seconds = time.process_time() - start
    size = areas * cells * draws
    say(
        f"stress {areas} x {cells} x {draws}: cpu_s={seconds:.1f} "
        f"cpu_ns_per_cell_draw={1e9 * seconds / size:.3f} peak_gb={peak_gb():.2f}"
    )


def plot(
    file: str,
    sizes: list[tuple[int, float]],
    draws: list[tuple[int, float]],
    walls: list[tuple[int, str, float]],
) -> None:
    """Draw both slopes, and the wall time by number of workers when it was measured."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams |= {"svg.hashsalt": "inegnum", "font.size": 9}
    panels = 3 if walls else 2
    figure, axes = plt.subplots(1, panels, figsize=(3.6 * panels, 2.8), layout="constrained")
    for axis, points, label in (
        (axes[0], sizes, "communes (1,000 draws, 50 frames)"),
        (axes[1], draws, "draws (101 communes, 50 frames)"),
    ):
        axis.plot(*zip(*points, strict=True), "o-", color="#12577a")
        axis.set(xlabel=label, ylabel="CPU s, 4 indicators", xlim=(0, None), ylim=(0, None))
        axis.spines[["top", "right"]].set_visible(False)
    for where, mark in (("processes", "o-"), ("dask local", "s--")) if walls else ():
        points = [(workers, wall) for workers, kind, wall in walls if kind == where]
        axes[2].plot(*zip(*points, strict=True), mark, label=where)
    if walls:
        axes[2].set(xlabel="workers", ylabel="wall s", xlim=(0, None), ylim=(0, None))
        axes[2].spines[["top", "right"]].set_visible(False)
        axes[2].legend(frameon=False)
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    quick = "--quick" in sys.argv
    draws, frames = (200, 10) if quick else (1000, 50)
    sizes = (("90",), SMALL) if quick else (SMALL, (*SMALL, *MIDDLE), LARGE)
    per_area = against_areas(draws, frames, sizes)
    # The first includes what a region costs once; the slope is what more communes cost.
    claim("cost_of_an_area_among_many_over_few", per_area[-1] / per_area[0], 1.25)
    counts = (100, 200) if quick else (250, 500, 1000, 2000)
    by_draws = against_draws(frames, counts)
    floor(500 if quick else 2000, 640, 100 if quick else 500)
    stress(*((1000, 640, 400) if quick else (50_000, 640, 4000)))
    memory((("90",), SMALL) if quick else (SMALL, LARGE), draws, frames)
    ways = ((1, ""), (2, "")) if quick else ((1, ""), (2, ""), (1, "local"), (2, "local"))
    walls = against_workers(draws, frames, SMALL if quick else LARGE, ways)
    if "--plot" in sys.argv:
        points = [(communes(d), a * communes(d)) for d, a in zip(sizes, per_area, strict=True)]
        plot(
            sys.argv[sys.argv.index("--plot") + 1],
            points,
            list(zip(counts, by_draws, strict=True)),
            [] if quick else walls,
        )


if __name__ == "__main__":
    main()
