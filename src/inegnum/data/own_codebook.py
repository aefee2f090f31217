"""The codebook of a territory's own survey: which column and level is what.

::

    year = 2023
    mode = "phone"
    weight = "POIDS"              # leave out: every respondent weighs 1
    geo = "INSEE"                 # commune or IRIS codes; leave out if there are none

    [source]                      # as in every record of the package
    name = "enquete-2023"
    producer = "Bordeaux Métropole"
    title = "Enquête 2023"
    universe = "18+"
    vintage = "2023"
    unit = "respondents and weights"
    licence = ""
    sha256 = ""                   # empty: taken from the file
    role = "fit"

    [[axes]]
    axis = "age"
    column = "AGE"
    years = true                  # ages in years; else levels, as for sex
    [[axes]]
    axis = "sex"
    column = "SEXE"
    levels = ["1 = men", "2 = women"]
    left_out = ["9"]              # respondents to leave out, said aloud in the mapping

    [[answers]]
    indicator = "smartphone"      # of the registry: the same question, or another code is needed
    column = "Q12"
    yes = ["1"]
    no = ["2"]
    missing = ["8", "9"]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from inegnum.data.codebook import AXES
from inegnum.data.indicators import indicator
from inegnum.data.strict import into, read_toml
from inegnum.errors import InputError, UniverseError, nearest
from inegnum.provenance import Source

__all__ = ["BANDS", "FROM_FILE", "YOUNGEST", "Answer", "AxisMap", "Codebook", "read_codebook"]

# Axes a survey may carry; wave and mode are those of the whole survey.
FROM_FILE: Final = ("age", "sex", "diploma", "occupation", "urban", "region")
YOUNGEST: Final = {"12+": 12, "15+": 15, "18+": 18}
BANDS: Final = {"12-17": 12, "18-24": 18, "25-39": 25, "40-59": 40, "60-69": 60, "70+": 70}


@dataclass(frozen=True, slots=True)
class AxisMap:
    """How one column gives one axis of the package.

    Attributes
    ----------
    axis : str
        ``age, sex, diploma, occupation, urban`` or ``region``.
    column : str
        Column of the file.
    levels : tuple of str
        ``"value = level"``, one per level of the file.
    left_out : tuple of str
        Values whose respondents are left out.
    years : bool
        Whether the column holds ages in years.
    """

    axis: str
    column: str
    levels: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    years: bool = False

    def becomes(self) -> dict[str, str]:
        """Return level of the package by value of the file.

        Raises
        ------
        InputError
            An entry is not ``"value = level"`` with a level of the package.
        """
        allowed = [*BANDS] if self.axis == "age" else list(AXES[self.axis].levels)
        out = {}
        for entry in self.levels:
            value, separator, level = (part.strip() for part in entry.partition("="))
            if not separator or level not in allowed:
                raise InputError(
                    "a level is not one of the package's",
                    where=f"axis {self.axis}",
                    got=entry,
                    expected=f"value = {' | '.join(allowed)}",
                    hint=nearest(level, allowed),
                )
            out[value] = level
        return out


@dataclass(frozen=True, slots=True)
class Answer:
    """How one column gives one indicator."""

    indicator: str
    column: str
    yes: tuple[str, ...]
    no: tuple[str, ...]
    missing: tuple[str, ...] = ()

    def levels(self) -> dict[str, float]:
        """Return 1, 0 or NaN by value of the file."""
        return {
            **dict.fromkeys(self.yes, 1.0),
            **dict.fromkeys(self.no, 0.0),
            **dict.fromkeys(self.missing, float("nan")),
        }


@dataclass(frozen=True, slots=True)
class Codebook:
    """What the columns of the survey mean."""

    source: Source
    year: int
    axes: tuple[AxisMap, ...]
    answers: tuple[Answer, ...]
    mode: Literal["face_to_face", "web", "phone"]
    weight: str = ""
    geo: str = ""


def read_codebook(path: Path) -> Codebook:
    """Read a codebook and check that it can mean something.

    Raises
    ------
    InputError
        A key, an axis or a level is unknown.
    UniverseError
        The survey does not reach the universe of one of its indicators.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            "the codebook cannot be read", where=str(path), got=error.strerror
        ) from error
    book = into(Codebook, read_toml(data, where=path.name), where=path.name)
    for axis in book.axes:
        if axis.axis not in FROM_FILE:
            raise InputError(
                "unknown axis", where=path.name, got=axis.axis, hint=nearest(axis.axis, FROM_FILE)
            )
        if axis.years == bool(axis.levels):
            raise InputError(
                "an axis has either levels or ages in years",
                where=f"{path.name}, {axis.axis}",
                expected='levels = ["value = level", ...] or years = true',
            )
        axis.becomes()
    if book.source.universe not in YOUNGEST:
        raise UniverseError(
            "unknown universe",
            where=path.name,
            got=book.source.universe,
            expected=", ".join(YOUNGEST),
        )
    aged = any(axis.axis == "age" for axis in book.axes)
    for answer in book.answers:
        known = indicator(answer.indicator)
        if not aged and known.universe != book.source.universe:
            raise UniverseError(
                "the survey has no age to tell the universe of the indicator",
                where=f"{path.name}, {answer.indicator}",
                got=f"survey {book.source.universe}, indicator {known.universe}",
            )
        # A survey of adults says nothing of minors: its rate is that of another population.
        if YOUNGEST[known.universe] < YOUNGEST[book.source.universe]:
            raise UniverseError(
                "the survey does not reach the universe of the indicator",
                where=f"{path.name}, {answer.indicator}",
                got=f"survey {book.source.universe}, indicator {known.universe}",
                hint="a rate of adults is not one of people of 12 and over",
            )
    return book
