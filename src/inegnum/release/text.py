"""Words and numbers of every page, in French and English, from one catalogue.

A phrase is looked up by a dotted key (``phrases("fr")["card.gap"]``) and filled with `str.format`.
Both languages hold exactly the same keys and the same slots. Numbers follow the publication rules:
modelled values carry no decimals, rates are said per hundred people, counts keep two significant
digits.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, get_args

from inegnum.errors import InputError, nearest

__all__ = ["Language", "Phrases", "phrases"]

Language = Literal["fr", "en"]
NBSP: Final = "\u00a0"
NARROW: Final = "\u202f"
MINUS: Final = "\u2212"
EN_DASH: Final = "\u2013"
NUMBER: Final = r"\b\d{4}\b|\b\d+\.\d+\b"  # what varies in an expression of a record


@dataclass(frozen=True, slots=True)
class Phrases(Mapping[str, str]):
    """The catalogue of one language and its way of writing numbers.

    Attributes
    ----------
    language : {"fr", "en"}
        Language of the phrases.
    entries : dict
        Dotted key to phrase; slots are written ``{name}``.
    expressions : dict
        What records and manifests say in the other language, to what it is in this one.
    """

    language: Language
    entries: dict[str, str]
    expressions: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, key: str) -> str:
        if key not in self.entries:
            raise InputError(
                "no phrase has this key",
                where=f"text catalogue, {self.language}",
                got=key,
                hint=nearest(key, self.entries),
            )
        return self.entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def integer(self, value: float) -> str:
        """Write a whole number with the language's thousands separator.

        Examples
        --------
        >>> phrases("en").integer(12345.4)
        '12,345'
        """
        text = f"{round(value):,}"
        return text.replace(",", NARROW) if self.language == "fr" else text

    def people(self, count: float) -> str:
        """Write a modelled count of persons: two significant digits, never fewer than tens.

        Examples
        --------
        >>> phrases("en").people(23_456.0)
        '23,000'
        """
        if count < 5:
            return self["number.fewer_than"].format(value=10)
        digits = math.floor(math.log10(count)) + 1
        step = 10 ** max(digits - 2, 1)
        return self.integer(round(count / step) * step)

    def hundred(self, rate: float) -> str:
        """Write a rate as a number of people per hundred, without decimals.

        Examples
        --------
        >>> phrases("en").hundred(0.926)
        '93'
        """
        if 0 < rate < 0.005:
            return self["number.fewer_than"].format(value=1)
        if 0.995 < rate < 1:
            return self["number.more_than"].format(value=99)
        return str(math.floor(rate * 100 + 0.5))

    def interval(self, lower: float, upper: float) -> str:
        """Write an interval of rates, per hundred.

        Examples
        --------
        >>> phrases("en").interval(0.901, 0.954)
        '90–95'
        """
        return f"{_whole(lower)}{EN_DASH}{_whole(upper)}"

    def decimal(self, value: float, digits: int = 2) -> str:
        """Write a number that is no rate (a standard deviation, a threshold).

        Examples
        --------
        >>> phrases("fr").decimal(0.2)
        '0,20'
        """
        text = f"{value:.{digits}f}"
        return text.replace(".", ",") if self.language == "fr" else text

    def kilometres(self, km: float) -> str:
        """Write a distance: metres under a kilometre, else one decimal.

        Examples
        --------
        >>> phrases("en").kilometres(0.342).split()  # the space does not break
        ['350', 'm']
        """
        if km < 0.95:
            return f"{max(round(km * 20) * 50, 50)}{NBSP}m"
        return f"{self.decimal(km, 1)}{NBSP}km"

    def scalar(self, value: object) -> str:
        """Write what a check found: numbers in the language's way, the rest as it is."""
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return str(value)
        if float(value).is_integer():
            return self.integer(value)
        text = f"{value:.3g}"
        return text.replace(".", ",") if self.language == "fr" else text

    def percent(self, rate: float) -> str:
        """Write a rate with its sign, as on an axis."""
        return f"{_whole(rate)}{NBSP}%" if self.language == "fr" else f"{_whole(rate)}%"

    def points(self, difference: float) -> str:
        """Write a signed difference of rates in points, without unit.

        Examples
        --------
        >>> phrases("en").points(0.061)
        '+6'
        """
        return self.signed(difference * 100)

    def signed(self, value: float) -> str:
        """Write a whole number with its sign.

        Examples
        --------
        >>> phrases("en").signed(0.4), phrases("en").signed(2.5)
        ('0', '+3')
        """
        whole = math.floor(abs(value) + 0.5)
        return f"{'+' if value > 0 else MINUS}{whole}" if whole else "0"

    def gap(self, difference: float, lower: float, upper: float) -> str:
        """Write a difference and its interval: ``+6 points (+2 to +9)``."""
        plural = "gap.value_one" if _whole(abs(difference)) in ("0", "1") else "gap.value"
        return self[plural].format(
            gap=self.points(difference), lower=self.points(lower), upper=self.points(upper)
        )

    def short_gap(self, difference: float, lower: float, upper: float) -> str:
        """Write a difference and its interval for a table whose head says "points".

        Examples
        --------
        >>> phrases("en").short_gap(0.061, 0.02, 0.09)
        '+6 (+2 to +9)'
        """
        return self["people.range"].format(
            people=self.points(difference), lower=self.points(lower), upper=self.points(upper)
        )

    def short_chances(self, probability: float) -> str:
        """Write a probability in chances for a table."""
        return self.chances(probability, "short_chances")

    def chances(self, probability: float, manner: str = "chances") -> str:
        """Say a probability in chances: out of ten, or out of twenty near the ends."""
        if probability < 0.05:
            return self[f"{manner}.hardly"]
        if probability > 0.95:
            return self[f"{manner}.almost"]
        tenths = min(max(math.floor(probability * 10 + 0.5), 1), 9)
        return self[f"{manner}.{'one' if tenths == 1 else 'of_ten'}"].format(tenths=tenths)

    def typeset(self, text: str) -> str:
        """Give a sentence of the manifest the typography of the language, minus signs included."""
        signed = re.sub(r"(?<![\w-])-(?=\d)", MINUS, text)
        return french_spaces(signed) if self.language == "fr" else signed

    def wording(self, text: str) -> str:
        """Say a question's wording; one the producer does not give is said to be inferred.

        Questions are in French in both languages: they were asked in French. What a record adds in
        brackets (which answers count) is said in the language.
        """
        rest = text.removeprefix("wording inferred").lstrip(": ")
        inferred = rest != text
        head, _, added = rest.rpartition(" (")
        if (inner := added.removesuffix(")")) in self.expressions:
            rest = f"{head} ({self.expressions[inner]})"
        said = french_spaces(self.expressions.get(rest, rest))
        return said if not inferred else self["method.inferred"].format(wording=said)

    def told(self, text: str) -> str:
        """Return an expression of a record or a manifest in the language, or as it stands.

        Years and decimals may stand in an expression: it is looked up with ``#`` for each.
        """
        if text in self.expressions:
            return self.typeset(self.expressions[text])
        year, _, rest = text.partition(": ")
        if year.isdigit() and rest in self.expressions:
            return self.typeset(f"{year}{' :' if self.language == 'fr' else ':'} {self.told(rest)}")
        numbers = iter(re.findall(NUMBER, text))
        pattern = self.expressions.get(re.sub(NUMBER, "#", text), text)
        return self.typeset(re.sub("#", lambda _: self.scalar_text(next(numbers)), pattern))

    def scalar_text(self, number: str) -> str:
        """Write a number of a record with the language's decimal sign."""
        return number.replace(".", ",") if self.language == "fr" else number

    def producer(self, text: str) -> str:
        """Return the short name of a producer: its acronym when the name ends with one.

        Examples
        --------
        >>> phrases("en").producer("Institut national de la statistique (INSEE)")
        'INSEE'
        """
        found = re.search(r"\(([A-ZÉ]{2,})\)$", text)
        return found[1] if found else self.told(text)

    def universe(self, code: str) -> str:
        """Name the people of a universe, for instance ``people aged 12 and over``."""
        return self[f"universe.{code.rstrip('+')}"]

    def rate_sentence(self, code: str, rate: float, interval: tuple[float, float] | None) -> str:
        """Say a rate in natural frequencies: ``about 93 people aged 12 and over in 100 (90-95)``.

        Parameters
        ----------
        code : str
            Universe: ``"12+"``, ``"15+"`` or ``"18+"``.
        rate : float
            Proportion.
        interval : tuple of float or None
            Bounds; none for a figure taken as it is published.
        """
        said = self["rate.sentence"].format(rate=self.hundred(rate), universe=self.universe(code))
        return said if interval is None else f"{said} ({self.interval(*interval)})"

    def short(self, indicator: str, label: str) -> str:
        """Return the short name of an indicator, or its label when none is written."""
        return self.entries.get(f"short.{indicator}", label)

    def predicate(self, indicator: str, *, without: bool = False) -> str:
        """Return the verb phrase of an indicator, or an empty string when none is written."""
        return self.entries.get(f"{'without' if without else 'predicate'}.{indicator}", "")


def _whole(rate: float) -> str:
    return str(math.floor(rate * 100 + 0.5))


def _flatten(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def french_spaces(text: str) -> str:
    r"""Put the no-break spaces French typography asks for before ``; : ! ? % »`` and after ``«``.

    Straight apostrophes are curled as well.

    Examples
    --------
    >>> ascii(french_spaces("93 %"))
    "'93\\xa0%'"
    """
    text = re.sub(r"(?<=\d) (?=\d{3}\b)", NARROW, text)  # thousands
    for sign in (":", "%", "»", "€"):
        text = text.replace(f" {sign}", f"{NBSP}{sign}")
    for sign in (";", "!", "?"):
        text = text.replace(f" {sign}", f"{NARROW}{sign}")
    return text.replace("« ", f"«{NBSP}").replace("'", "\u2019")


@cache
def phrases(language: str) -> Phrases:
    """Return the phrases of a language.

    Parameters
    ----------
    language : {"fr", "en"}
        Anything else is refused.

    Raises
    ------
    InputError
        The language has no catalogue.

    Examples
    --------
    >>> phrases("en").rate_sentence("12+", 0.926, (0.901, 0.954))
    'about 93 people aged 12 and over in 100 (90–95)'
    """
    if language not in get_args(Language):
        raise InputError(
            "there is no text in this language",
            where="language",
            got=language,
            expected=", ".join(get_args(Language)),
        )
    entries = dict(_flatten(_toml(language)))
    if language == "fr":
        entries = {key: french_spaces(value) for key, value in entries.items()}
    return Phrases("fr" if language == "fr" else "en", entries, dict(_toml("told")[language]))


def _toml(name: str) -> dict[str, Any]:
    raw = files("inegnum.release").joinpath("text", f"{name}.toml").read_text("utf-8")
    return tomllib.loads(raw)
