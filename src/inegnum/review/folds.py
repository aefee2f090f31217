"""Run independent pieces of a check in parallel, keep what is finished, give the same result.

A fold is a call of a module-level function with plain arguments that returns a table. Each fold
seeds itself, so the result depends neither on the number of workers nor on the order. Finished
folds are kept under a key made of the package's own code, the hashes of the inputs and the
arguments: a run that was interrupted resumes, a changed input or line of code starts afresh.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from inegnum.provenance import sha256_bytes

__all__ = ["Runner", "code_hash"]


@cache
def code_hash() -> str:
    """Return the hash of every source file of the package."""
    root = Path(str(files("inegnum")))
    parts = [
        path.relative_to(root).as_posix().encode() + path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.suffix in (".py", ".toml")
    ]
    return sha256_bytes(b"\0".join(parts))


@dataclass(frozen=True, slots=True)
class Runner:
    """How folds are run.

    Attributes
    ----------
    workers : int
        Processes; 1 runs in this one.
    kept : Path, optional
        Folder of finished folds; none are kept without it.
    quiet : bool
        Show no progress.
    """

    workers: int = 1
    kept: Path | None = None
    quiet: bool = False

    def run(
        self,
        name: str,
        function: Callable[..., pd.DataFrame],
        tasks: Sequence[tuple[object, ...]],
        *,
        inputs: str = "",
    ) -> pd.DataFrame:
        """Return the tables of all folds, one under the other, in the order of `tasks`.

        Parameters
        ----------
        name : str
            What is run, shown and part of the key.
        function : callable
            Defined at module level; takes one task's values.
        tasks : sequence of tuple
            Arguments whose ``repr`` says everything about them.
        inputs : str
            Hashes of the data the function reads.
        """
        from rich.console import Console
        from rich.progress import Progress

        paths = [self._path(name, task, inputs) for task in tasks]
        done = {i: pd.read_parquet(p) for i, p in enumerate(paths) if p is not None and p.exists()}
        waiting = [i for i in range(len(tasks)) if i not in done]
        with Progress(console=Console(stderr=True), disable=self.quiet, transient=True) as bar:
            row = bar.add_task(name, total=len(tasks), completed=len(done))

            def finish(i: int, table: pd.DataFrame) -> None:
                done[i] = table
                _keep(table, paths[i])
                bar.advance(row)

            if self.workers == 1 or len(waiting) < 2:
                for i in waiting:
                    finish(i, function(*tasks[i]))
            else:
                self._spread(function, {i: tasks[i] for i in waiting}, finish)
        return pd.concat([done[i] for i in range(len(tasks))], ignore_index=True)

    def _spread(
        self,
        function: Callable[..., pd.DataFrame],
        tasks: dict[int, tuple[object, ...]],
        finish: Callable[[int, pd.DataFrame], None],
    ) -> None:
        """Run tasks in fresh processes, one thread each."""
        # Workers read these when they start: more threads would fight for the same cores, and the
        # order of floating-point sums must not depend on their number.
        before = {name: os.environ.get(name) for name in _THREADS}
        os.environ.update(dict.fromkeys(_THREADS, "1"))
        try:
            with ProcessPoolExecutor(self.workers, mp_context=get_context("spawn")) as pool:
                futures = {pool.submit(function, *task): i for i, task in tasks.items()}
                for future in as_completed(futures):
                    finish(futures[future], future.result())
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def _path(self, name: str, task: tuple[object, ...], inputs: str) -> Path | None:
        if self.kept is None:
            return None
        key = sha256_bytes("\0".join([code_hash(), inputs, name, repr(task)]).encode())
        return self.kept / f"{name}-{key[:24]}.parquet"


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def _keep(table: pd.DataFrame, path: Path | None) -> None:
    """Write a finished fold whole or not at all."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    table.to_parquet(partial)
    partial.replace(path)
