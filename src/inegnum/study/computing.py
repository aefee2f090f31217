"""The section of a study that says how a wide territory is computed and kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from inegnum.errors import StudyError

__all__ = ["Scale"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How a wide territory is computed and kept; figures do not depend on the first three.

    Attributes
    ----------
    partitions : int
        Pieces of work handed out; each is one department or more, whole.
    workers : int
        Processes; 0 for as many as there are processors.
    scheduler : str
        Nothing for processes of this machine, ``"local"`` for a Dask cluster on it, or the address
        of a Dask scheduler (``"tcp://host:8786"``).
    draws : tuple of {"france", "region", "department", "epci"}
        Levels whose joint draws are written; those of a commune are recomputed from the seed.
    communes : tuple of {"parquet", "csv", "csv-fr"}
        Formats of the tables of communes, a file a department: ``csv-fr`` is what French Excel
        opens.
    """

    partitions: int = 96
    workers: int = 0
    scheduler: str = ""
    draws: tuple[Literal["france", "region", "department", "epci"], ...] = (
        "france",
        "region",
        "department",
        "epci",
    )
    communes: tuple[Literal["parquet", "csv", "csv-fr"], ...] = ("parquet",)

    def __post_init__(self) -> None:
        if not self.communes:
            raise StudyError(
                "tables of communes have a format",
                where="scale.communes",
                got="none",
                expected="one or more of parquet, csv, csv-fr",
            )
        for name, low in (("partitions", 1), ("workers", 0)):
            if not low <= getattr(self, name) <= 10_000:
                raise StudyError(
                    "a number of pieces or processes is out of range",
                    where=f"scale.{name}",
                    got=getattr(self, name),
                    expected=f"{low} to 10000",
                )
        if self.scheduler not in ("", "local") and "://" not in self.scheduler:
            raise StudyError(
                "a scheduler is named by its address",
                where="scale.scheduler",
                got=self.scheduler,
                expected='"", "local", or an address such as "tcp://host:8786"',
            )

    def on(self, scheduler: str | None, workers: int | None) -> Scale:
        """Return the same work elsewhere; None keeps what the study says."""
        return replace(
            self,
            scheduler=self.scheduler if scheduler is None else scheduler,
            workers=self.workers if workers is None else workers,
        )
