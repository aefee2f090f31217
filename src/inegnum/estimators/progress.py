"""A progress bar for loops that turn out to be long."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Final

__all__ = ["counted"]

PATIENCE: Final = 2.0  # seconds without a bar


def counted(total: int, label: str, *, patience: float = PATIENCE) -> Iterator[int]:
    """Yield 0, 1, ..., total - 1; a bar appears on stderr once `patience` seconds have passed.

    Examples
    --------
    >>> list(counted(3, "replicates"))
    [0, 1, 2]
    """
    start, bar, task = monotonic(), None, None
    try:
        for b in range(total):
            if bar is None and monotonic() - start >= patience:
                from rich.console import Console
                from rich.progress import Progress

                bar = Progress(console=Console(stderr=True))
                task = bar.add_task(label, total=total)
                bar.start()
            if bar is not None and task is not None:
                bar.update(task, completed=b)
            yield b
        if bar is not None and task is not None:
            bar.update(task, completed=total)
    finally:
        if bar is not None:
            bar.stop()
