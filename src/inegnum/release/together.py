"""Families of indicators and changes since an earlier year, in words, for pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from inegnum.release.read import Release, sort_key
from inegnum.release.text import EN_DASH, Phrases
from inegnum.release.view import FAMILIES

__all__ = ["ChangeView", "FamilyView", "change_view", "family_view"]

Row = dict[Any, Any]


@dataclass(frozen=True, slots=True)
class FamilyView:
    """Families of a release.

    Attributes
    ----------
    sentences : tuple of str
        One a family, of the territory against France.
    heads : tuple of str
        Families and how many indicators each has.
    rows : tuple of tuple of str
        Commune, then how many indicators of each family it is less favoured on; in alphabetical
        order.
    """

    sentences: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ChangeView:
    """Changes of a release.

    Attributes
    ----------
    since, year : int
    sentence : str
        The indicator a page opens with, when it is compared.
    rows : tuple of tuple of str
        Indicator, rates of both years, difference and chances for the territory, then the
        difference for France and the same with the telephone share held; a warning or nothing.
    left : tuple of tuple of str
        Indicator and why it is not compared.
    """

    since: int
    year: int
    sentence: str
    rows: tuple[tuple[str, ...], ...]
    left: tuple[tuple[str, str], ...]


def family_view(release: Release, words: Phrases) -> FamilyView | None:
    """Return the families of a release, None when it has none."""
    table = release.families
    if table.empty:
        return None
    found = [family for family in FAMILIES if family in set(table["family"])]
    size = table.groupby("family")["indicators"].first()
    whole = _by(table[table["geo"] == release.territory.code], "family")
    sentences = [_family_sentence(whole[f], release, words) for f in found if f in whole]
    cells = {(row["geo"], row["family"]): row for row in table.to_dict("records")}
    communes = table[table["level"] == "commune"].drop_duplicates("geo")
    communes = communes.sort_values("name", key=lambda s: s.map(sort_key))
    return FamilyView(
        tuple(sentences),
        tuple(words["together.head"].format(family=words[f"family.{f}"], n=size[f]) for f in found),
        tuple(
            (str(name), *(_less(cells.get((geo, f)), words) for f in found))
            for geo, name in zip(communes["geo"], communes["name"], strict=True)
        ),
    )


def _by(table: pd.DataFrame, column: str) -> dict[str, Row]:
    return {str(row[column]): row for row in table.to_dict("records")}


def _family_sentence(row: Row, release: Release, words: Phrases) -> str:
    values = {
        "family": words[f"family.{row['family']}"],
        "n": int(row["indicators"]),
        "territory": release.territory.name,
        "chances": words.chances(float(row["p_less_favoured"])),
    }
    if row["class"] == "D":
        return words["together.family_masked"].format(**values)
    gap = words.gap(float(row["gap"]), float(row["lower"]), float(row["upper"]))
    return words["together.family"].format(gap=gap, **values)


def _less(row: Row | None, words: Phrases) -> str:
    """Write the interval of a count, then what is expected; nothing when masked."""
    if row is None or row["class"] == "D":
        return words["table.masked"]
    lower, upper = int(row["less_lower"]), int(row["less_upper"])
    span = str(lower) if lower == upper else f"{lower}{EN_DASH}{upper}"
    count = words.signed(float(row["less"])).lstrip("+")  # modelled figures carry no decimals
    return f"{span} ({count})"


def change_view(release: Release, words: Phrases, first: str) -> ChangeView | None:
    """Return the changes of a release, None when it has none; `first` opens the page."""
    table = release.change
    if table.empty:
        return None
    told = release.manifest["change"]
    whole = _by(table[table["geo"] == release.territory.code], "indicator")
    nation = _by(table[table["level"] == "france"], "indicator")
    codes = [code for code in release.indicators if code in whole]
    national = told["national"]
    rows = [
        _change_row(whole[code], nation[code], national.get(code), release, words) for code in codes
    ]
    left = [
        (_short(release, code, words), words.typeset(why[words.language]))
        for code, why in told["left_out"].items()
    ]
    said = _change_sentence(whole[first], release, words) if first in whole else ""
    year = int(table["year"].max())
    return ChangeView(int(told["since"]), year, said, tuple(rows), tuple(left))


def _short(release: Release, code: str, words: Phrases) -> str:
    return words.short(code, release.indicators[code].label(words.language))


def _change_row(
    here: Row,
    nation: Row,
    held: dict[str, float] | None,
    release: Release,
    words: Phrases,
) -> tuple[str, ...]:
    shown = here["class"] != "D"
    masked = words["table.masked"]
    return (
        _short(release, str(here["indicator"]), words),
        *(_rate(float(here[year]), str(here["class"]), words) for year in ("before", "after")),
        words.short_gap(here["change"], here["lower"], here["upper"]) if shown else masked,
        words.short_chances(float(here["p_up"])),
        words.short_gap(nation["change"], nation["lower"], nation["upper"])
        if nation["class"] != "D"
        else masked,
        words.points(held["telephone_held"]) if held else "",
        words.typeset(str(here[f"warning_{words.language}"])),
    )


def _rate(rate: float, grade: str, words: Phrases) -> str:
    """Write a rate as tables of areas do: in brackets in class C, not at all in class D."""
    if grade == "D":
        return words["table.masked"]
    return f"({words.hundred(rate)})" if grade == "C" else words.hundred(rate)


def _change_sentence(row: Row, release: Release, words: Phrases) -> str:
    if row["class"] == "D":
        return ""
    return words["together.change"].format(
        label=words.typeset(release.indicators[str(row["indicator"])].label(words.language)),
        since=row["since"],
        year=row["year"],
        before=words.hundred(float(row["before"])),
        after=words.hundred(float(row["after"])),
        universe=words.universe(str(row["universe"])),
        gap=words.gap(float(row["change"]), float(row["lower"]), float(row["upper"])),
        chances=words.chances(float(row["p_up"])),
    )
