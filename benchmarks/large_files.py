"""Calibration of Parquet files larger than memory: time, memory and margins as files grow.

    python benchmarks/large_files.py [--quick] [--folder DIR] [--rows N ...]

Files hold four variables (two as text), a weight, a numeric answer and an identifier. Margins are
counts; then counts and the total of the answer, with one weight for every household of two rows,
which takes one reading a step. Each size runs in a process of its own, whose peak memory is read
when it ends. The floor is what cannot be
avoided: the same batches read and written by pyarrow, without arithmetic. Lines end in ``ok`` or
``short``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# Threads would spread CPU time over cores without lowering it.
pa.set_cpu_count(1)
pa.set_io_thread_count(1)

SIZES = {"region": 13, "age": 8, "diploma": 5, "occupation": 8}
TEXT = ("region", "occupation")
POPULATION = 50_000_000
BATCH = 500_000


def names(variable: str) -> list[object]:
    size = SIZES[variable]
    return [f"{variable} {k:02d}" for k in range(size)] if variable in TEXT else list(range(size))


def totals() -> dict[str, dict[object, float]]:
    rng = np.random.default_rng(3)
    return {
        v: dict(zip(names(v), (POPULATION * rng.dirichlet(np.full(k, 8.0))).tolist(), strict=True))
        for v, k in SIZES.items()
    }


def make(path: Path, rows: int) -> None:
    rng = np.random.default_rng(rows)
    writer = None
    for start in range(0, rows, BATCH):
        n = min(BATCH, rows - start)
        columns: dict[str, object] = {"id": np.arange(start, start + n)}
        for v, k in SIZES.items():
            codes = rng.integers(0, k, n)
            columns[v] = np.array(names(v))[codes] if v in TEXT else codes.astype(np.int8)
        columns["home"] = np.arange(start, start + n) // 2
        columns["d"] = np.repeat(np.exp(rng.normal(0, 0.5, (n + 1) // 2)), 2)[:n]
        columns["answer"] = rng.normal(0, 1, n)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def floor(source: Path, out: Path) -> dict[str, float]:
    """Read the margins' columns, then read and write everything: no arithmetic."""
    start = time.process_time()
    reader = pq.ParquetFile(source, pre_buffer=False)
    for _ in reader.iter_batches(BATCH, columns=[*SIZES, "d"]):
        pass
    with pq.ParquetWriter(out, reader.schema_arrow.append(pa.field("weight", pa.float64()))) as w:
        for batch in reader.iter_batches(BATCH):
            w.write_batch(
                pa.RecordBatch.from_arrays([*batch.columns, batch.column("d")], schema=w.schema)
            )
    return {"cpu": time.process_time() - start}


def calibrated(source: Path, out: Path) -> dict[str, float]:
    from inegnum.estimators.calibration.parquet import calibrate_parquet

    start = time.process_time()
    fit = calibrate_parquet(source, totals(), out, weights="d", rows=BATCH, replace=True)
    taken = time.process_time() - start
    miss = max(abs(t["reached"] / t["asked"] - 1) for t in fit.record["totals"])
    return {"cpu": taken, "miss": miss}


def streamed(source: Path, out: Path) -> dict[str, float]:
    """Counts, a numeric total and one weight per household: `id` is that of a pair of rows."""
    from inegnum.estimators.calibration.parquet import calibrate_parquet

    start = time.process_time()
    margins = totals() | {"answer": 0.01 * POPULATION}
    fit = calibrate_parquet(
        source, margins, out, weights="d", household="home", rows=BATCH, replace=True
    )
    taken = time.process_time() - start
    miss = max(abs(t["reached"] / t["asked"] - 1) for t in fit.record["totals"])
    return {"cpu": taken, "miss": miss, "steps": fit.calibration.steps}


def apart(what: str, source: Path, out: Path) -> dict[str, float]:
    """Run one measure in a process of its own and return it with its peak memory."""
    command = [sys.executable, __file__, "--measure", what, str(source), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def say(name: str, ratio: float, target: float, detail: str) -> None:
    verdict = "ok" if ratio <= target else "short"
    sys.stdout.write(f"{name} ratio={ratio:.2f} target={target:g} {verdict} | {detail}\n")
    sys.stdout.flush()


def run(sizes: list[int], folder: Path) -> None:
    taken: list[dict[str, float]] = []
    for rows in sizes:
        source, out = folder / f"people-{rows}.parquet", folder / "weighted.parquet"
        make(source, rows)
        mine, least = apart("calibrated", source, out), apart("floor", source, out)
        kept_apart = apart("streamed", source, out)
        source.unlink()
        out.unlink()
        taken.append(mine)
        sys.stdout.write(
            f"large n={rows} {mine['cpu']:.2f} s of CPU, {mine['cpu'] * 1e9 / rows:.0f} ns a row, "
            f"peak {mine['peak']:.0f} MB (reading and writing alone {least['cpu']:.2f} s, "
            f"{least['peak']:.0f} MB)\n"
        )
        say(f"large_{rows}_miss", mine["miss"] / 1e-10, 1, f"largest miss {mine['miss']:.0e}")
        say(f"large_{rows}_floor", mine["cpu"] / least["cpu"], 2, "times reading and writing")
        sys.stdout.write(
            f"streamed n={rows} {kept_apart['cpu']:.1f} s of CPU, {kept_apart['steps']} steps, "
            f"peak {kept_apart['peak']:.0f} MB\n"
        )
        miss = kept_apart["miss"]
        say(f"streamed_{rows}_miss", miss / 1e-10, 1, f"largest miss {miss:.0e}")
        peak = kept_apart["peak"] / mine["peak"]
        say(f"streamed_{rows}_memory", peak, 2, "times the memory of counts alone")
    first, last = taken[0], taken[-1]
    slope = (last["cpu"] - first["cpu"]) / (sizes[-1] - sizes[0])
    growth = last["cpu"] / sizes[-1] / (first["cpu"] / sizes[0])
    say("large_linear", growth, 1.2, f"time a row at {sizes[-1]:,} over that at {sizes[0]:,}")
    more = (last["peak"] - first["peak"]) / (sizes[-1] - sizes[0]) * 1e6
    say("large_memory", last["peak"] / first["peak"], 1.2, f"{more:.2f} MB a million rows more")
    at = 100_000_000
    sys.stdout.write(
        f"large_100m from these slopes: {first['cpu'] + slope * (at - sizes[0]):.0f} s of CPU, "
        f"{last['peak'] + max(more, 0) * (at - sizes[-1]) / 1e6:.0f} MB\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 3 million rows, not 20")
    parser.add_argument("--folder", type=Path, default=None, help="where files are made")
    parser.add_argument("--rows", type=int, nargs="+", default=None)
    parser.add_argument("--measure", nargs=3, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, source, out = options.measure
        found = {"calibrated": calibrated, "floor": floor, "streamed": streamed}[what](
            Path(source), Path(out)
        )
        found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(json.dumps(found))
        return
    sizes = options.rows or ([1_000_000, 3_000_000] if options.quick else [5_000_000, 20_000_000])
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        run(sizes, Path(folder))


if __name__ == "__main__":
    main()
