"""The registry of indicators: what each one means and how it is read from the answers.

The registry is ``indicators.toml`` beside this file, parsed strictly. An indicator is a yes/no
characteristic; its measures say, wave by wave, which answers count as yes, as no, or leave the
respondent out. Breaks (mode of interview, wording, list of answers) are data too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from inegnum.data.strict import into, read_toml
from inegnum.data.types import Indicator
from inegnum.errors import InputError, nearest

__all__ = ["Break", "Definition", "Measure", "breaks", "definition", "definitions", "indicator"]


@dataclass(frozen=True, slots=True)
class Measure:
    """How the answer is read in some waves.

    Attributes
    ----------
    waves : tuple of int
        Waves that asked the question this way.
    variable : str
        Column of the producer's file.
    yes, no, missing : tuple of str
        Answers that count as yes, as no, or leave the respondent out; ``""`` is not asked.
    also : tuple of str
        Further columns that must all be in `yes` too.
    asked : str
        Column that decided whether the question was asked.
    asked_missing : tuple of str
        Answers of `asked` that leave the respondent out.
    """

    waves: tuple[int, ...]
    variable: str
    yes: tuple[str, ...]
    no: tuple[str, ...]
    missing: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    asked: str = ""
    asked_missing: tuple[str, ...] = ()

    def columns(self) -> tuple[str, ...]:
        """Return every column the measure reads."""
        return (self.variable, *self.also, *((self.asked,) if self.asked else ()))


@dataclass(frozen=True, slots=True)
class Break:
    """Two waves between which a difference is not a change.

    Attributes
    ----------
    before, after : int
        Last wave before the break and first wave after it.
    indicators : tuple of str
        Codes concerned; empty when all are.
    en, fr : str
        What changed.
    """

    before: int
    after: int
    indicators: tuple[str, ...]
    en: str
    fr: str


@dataclass(frozen=True, slots=True)
class Definition:
    """An indicator and its measures."""

    indicator: Indicator
    measures: tuple[Measure, ...]

    @property
    def waves(self) -> tuple[int, ...]:
        """Waves where the indicator exists, in order."""
        return tuple(sorted(wave for measure in self.measures for wave in measure.waves))

    def measure(self, wave: int) -> Measure:
        """Return how `wave` asked the question.

        Raises
        ------
        InputError
            The wave did not ask it.
        """
        for measure in self.measures:
            if wave in measure.waves:
                return measure
        raise InputError(
            "the question was not asked in this wave",
            where=self.indicator.code,
            got=wave,
            expected=f"one of {', '.join(map(str, self.waves))}",
        )


@cache
def _registry() -> tuple[tuple[Definition, ...], tuple[Break, ...]]:
    """Parse the registry: the keys of an entry are those of `Indicator`, and its measures."""
    file = "indicators.toml"
    raw = read_toml(files("inegnum.data").joinpath(file).read_bytes(), where=file)
    known = []
    for i, entry in enumerate(raw["indicators"]):
        where = f"{file}, indicators[{i}]"
        measures = [into(Measure, m, where=f"{where}, measures") for m in entry.pop("measures")]
        known.append(Definition(into(Indicator, entry, where=where), tuple(measures)))
    breaks = tuple(
        into(Break, b, where=f"{file}, breaks[{i}]") for i, b in enumerate(raw["breaks"])
    )
    return tuple(known), breaks


def definitions() -> tuple[Definition, ...]:
    """Return every indicator of the registry, family by family.

    Examples
    --------
    >>> {d.indicator.family for d in definitions()} == {"uses", "ease", "equipment", "connection"}
    True
    """
    return _registry()[0]


def definition(code: str) -> Definition:
    """Return one indicator with its measures.

    Raises
    ------
    InputError
        No indicator has this code.

    Examples
    --------
    >>> definition("smartphone").waves
    (2016, 2017, 2018, 2019, 2020, 2022)
    """
    for known in definitions():
        if known.indicator.code == code:
            return known
    codes = [known.indicator.code for known in definitions()]
    raise InputError("no indicator has this code", got=code, hint=nearest(code, codes))


def indicator(code: str) -> Indicator:
    """Return one indicator.

    Examples
    --------
    >>> indicator("smartphone").fr
    "Disposent d'un smartphone"
    """
    return definition(code).indicator


def breaks(code: str, first: int, last: int) -> tuple[Break, ...]:
    """Return the breaks that a comparison of two waves would cross.

    Examples
    --------
    >>> [b.after for b in breaks("computer_home", 2019, 2022)]
    [2020, 2020, 2022]
    >>> breaks("smartphone", 2020, 2022)
    ()
    """
    definition(code)
    first, last = min(first, last), max(first, last)
    return tuple(
        known
        for known in _registry()[1]
        if first <= known.before
        and known.after <= last
        and (not known.indicators or code in known.indicators)
    )
