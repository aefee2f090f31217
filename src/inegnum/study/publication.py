"""What a study says of publication: intervals, classes, and what is computed beside the figures."""

from __future__ import annotations

from dataclasses import dataclass

from inegnum.errors import StudyError, nearest
from inegnum.estimates.quality import QualityLimits

__all__ = ["Change", "Publication"]


@dataclass(frozen=True, slots=True)
class Change:
    """An earlier year the figures are compared with: table ``change.csv``.

    Attributes
    ----------
    since : int
        A wave of the survey before the study's year.
    indicators : tuple of str
        Those compared; without it all that can be, the others being listed with the reason.
    across_breaks : bool
        Whether to print differences across a break of mode or wording, labelled as no change.
    """

    since: int
    indicators: tuple[str, ...] = ()
    across_breaks: bool = False

    def require_of(self, year: int, indicators: tuple[str, ...]) -> None:
        """Refuse a comparison that is not of the study.

        Raises
        ------
        StudyError
            The year is not an earlier one, or an indicator is not in the study.
        """
        if self.since >= year:
            raise StudyError(
                "a change is since an earlier year",
                where="change.since",
                got=self.since,
                expected=f"a wave before {year}",
            )
        absent = [code for code in self.indicators if code not in indicators]
        if absent or len(set(self.indicators)) < len(self.indicators):
            raise StudyError(
                "indicators compared are among those of the study, each once",
                where="change.indicators",
                got=", ".join(absent or self.indicators),
                hint=nearest(absent[0], indicators) if absent else "",
            )


@dataclass(frozen=True, slots=True)
class Publication:
    """How figures are shown, and what is computed beside them.

    Attributes
    ----------
    prob : float
        Mass of the printed intervals.
    half_width, relative : tuple of 3 floats
        Upper limits of classes A, B, C.
    min_persons : float
        Areas below are masked.
    variants : bool
        Whether every variant of the model is run and shown.
    """

    prob: float = 0.95
    half_width: tuple[float, ...] = (0.03, 0.06, 0.10)
    relative: tuple[float, ...] = (0.35, 0.70, 1.20)
    min_persons: float = 200.0
    variants: bool = True

    def __post_init__(self) -> None:
        if not 0.5 <= self.prob < 1:
            raise StudyError(
                "an interval needs a mass", where="quality.prob", got=self.prob, expected="0.5 to 1"
            )
        self.limits()

    def limits(self) -> QualityLimits:
        """Return the limits as the estimates stage takes them."""
        a, r = self.half_width, self.relative
        if len(a) != 3 or len(r) != 3:
            raise StudyError(
                "classes A, B and C have a limit each", where="quality", got=[a, r], expected="3"
            )
        return QualityLimits((a[0], a[1], a[2]), (r[0], r[1], r[2]), self.min_persons)
