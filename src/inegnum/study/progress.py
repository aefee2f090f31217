"""Progress on the terminal, or nowhere: never in the way of the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

__all__ = ["Progress"]

_LABELS: Final = {
    "fr": {
        "frames": "cadres censitaires",
        "indicators": "indicateurs",
        "families": "familles",
        "fits": "modèles",
        "sums": "sommes par département",
        "figures": "chiffres par département",
        "report": "rapport",
    },
    "en": {
        "frames": "census frames",
        "indicators": "indicators",
        "families": "families",
        "fits": "models",
        "sums": "sums by department",
        "figures": "figures by department",
        "report": "report",
    },
}


@dataclass(frozen=True, slots=True)
class Progress:
    """Bars by stage, on stderr."""

    language: str = "en"
    bar: Bar | None = None

    @classmethod
    def silent(cls) -> Progress:
        """Return a progress that shows nothing."""
        return cls()

    @classmethod
    @contextmanager
    def shown(cls, language: str) -> Iterator[Progress]:
        """Show bars on stderr while the block runs."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description:<32}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Bar(*columns, console=Console(stderr=True)) as bar:
            yield cls(language, bar)

    def over[T](self, stage: str, items: Iterable[T], total: int) -> Iterator[T]:
        """Yield `items`, `total` of them, moving the bar of `stage`."""
        if self.bar is None:
            yield from items
            return
        task = self.bar.add_task(self._label(stage), total=total)
        for item in items:
            yield item
            self.bar.advance(task)

    @contextmanager
    def step(self, stage: str) -> Iterator[None]:
        """Show a stage of one step."""
        for _ in self.over(stage, [None], 1):
            yield

    def _label(self, stage: str) -> str:
        return _LABELS[self.language][stage]
