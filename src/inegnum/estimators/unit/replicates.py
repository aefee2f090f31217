"""Run independent replicates on several threads, with a progress bar on standard error.

Each task has its own seed, so that results do not depend on the number of workers. Threads are
enough: the work is numpy's, which lets go of the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

__all__ = ["run_replicates"]

Floats = npt.NDArray[np.float64]


def run_replicates(
    task: Callable[[np.random.Generator], Floats],
    seeds: Sequence[np.random.SeedSequence],
    *,
    workers: int = 1,
    label: str = "",
) -> Iterator[Floats]:
    """Yield the result of each replicate, in order.

    Parameters
    ----------
    task : callable
        From a generator to a result.
    seeds : sequence of SeedSequence
        One a replicate.
    workers : int
        Threads.
    label : str
        Words beside the progress bar; no bar when empty.
    """
    from rich.console import Console
    from rich.progress import track

    def one(seed: np.random.SeedSequence) -> Floats:
        # the fastest of numpy's generators: simulation is a third of the work
        return task(np.random.Generator(np.random.SFC64(seed)))

    console = Console(stderr=True)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        results = pool.map(one, seeds) if workers > 1 else map(one, seeds)
        yield from track(
            results,
            description=label,
            total=len(seeds),
            console=console,
            transient=True,
            disable=not label or not console.is_terminal,
        )
