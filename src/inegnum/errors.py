"""One tree of exceptions and one of warnings.

Every message answers five questions in the same order: what is wrong, where, what was found, what
was expected, and what to do. Callers read the parts as attributes; people read the sentence.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BenchmarkError",
    "CalibrationError",
    "ConvergenceError",
    "FetchError",
    "FrameError",
    "InegnumError",
    "InegnumWarning",
    "InputError",
    "IsolationError",
    "MarginError",
    "MissingDependencyError",
    "ProvenanceError",
    "PublicationError",
    "StudyError",
    "UniverseError",
    "nearest",
]


class InegnumError(Exception):
    """Base of every error the library raises on purpose.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence without a final stop.
    where : str
        File, table, column, row, area or parameter concerned.
    got, expected : object
        What was found and what would have been accepted.
    hint : str
        What to do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        got: object = None,
        expected: object = None,
        hint: str = "",
    ) -> None:
        self.what = what
        self.where = where
        self.got = got
        self.expected = expected
        self.hint = hint
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """Return the whole message, one part a line."""
        parts = [self.what]
        if self.where:
            parts.append(f"  where: {self.where}")
        if self.got is not None:
            parts.append(f"  got: {self.got}")
        if self.expected is not None:
            parts.append(f"  expected: {self.expected}")
        if self.hint:
            parts.append(f"  what to do: {self.hint}")
        return "\n".join(parts)


class InputError(InegnumError, ValueError):
    """A value, column or row that cannot be used."""


class StudyError(InputError):
    """A study file that cannot be read or asks for what cannot be had."""


class MarginError(InputError):
    """Margins that contradict each other or the data they are applied to."""


class UniverseError(InputError):
    """Figures of different universes (12+, 15+, 18+) brought together."""


class FrameError(InputError):
    """A poststratification frame that cannot be built or used."""


class ProvenanceError(InegnumError):
    """A file that is not what its record says, or a source without a record."""


class FetchError(InegnumError, OSError):
    """A file that could not be downloaded."""


class IsolationError(ProvenanceError):
    """A source kept for validation was about to enter a fit."""


class CalibrationError(InegnumError, ArithmeticError):
    """Calibration that does not meet every margin."""


class ConvergenceError(InegnumError, ArithmeticError):
    """An iterative method that did not reach its own criterion."""


class BenchmarkError(InegnumError, ArithmeticError):
    """A benchmark that cannot or must not be applied."""


class PublicationError(InegnumError):
    """A figure that must not leave the library as it stands."""


class MissingDependencyError(InegnumError, ImportError):
    """An optional package is needed for what was asked."""


class InegnumWarning(UserWarning):
    """Base of every warning the library emits on purpose."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return a hint that names the closest allowed spellings of `name`.

    Examples
    --------
    >>> nearest("smartfone", ["smartphone", "tablet"])
    'did you mean smartphone?'
    """
    names = list(allowed)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"use one of: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
