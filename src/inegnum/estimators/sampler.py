"""How long the chains of NUTS run."""

from __future__ import annotations

from dataclasses import dataclass

from inegnum.errors import StudyError

__all__ = ["Sampler"]


@dataclass(frozen=True, slots=True)
class Sampler:
    """How long NUTS runs, in each of its four chains.

    Attributes
    ----------
    draws, tune : int
        Kept and warm-up iterations of a chain.
    target_accept : float
        Acceptance the steps are tuned to: nearer 1 means shorter steps and fewer divergences.

    Examples
    --------
    >>> import inegnum as ing
    >>> ing.ModelSpec(engine="nuts", sampler=Sampler(target_accept=0.99)).sampler.draws
    1000
    """

    draws: int = 1000
    tune: int = 1000
    target_accept: float = 0.95

    def __post_init__(self) -> None:
        for name in ("draws", "tune"):
            if not 100 <= getattr(self, name) <= 100_000:
                raise StudyError(
                    "too short or too long a chain",
                    where=f"sampler.{name}",
                    got=getattr(self, name),
                )
        if not 0.5 <= self.target_accept < 1:
            raise StudyError(
                "an acceptance that chains cannot be tuned to",
                where="sampler.target_accept",
                got=self.target_accept,
                expected="from 0.5 to less than 1",
            )
