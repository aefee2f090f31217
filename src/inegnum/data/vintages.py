"""Geographic vintages: follow communes through mergers, splits and new codes.

Census, survey and map are drawn on the communes of different years. A join of two vintages is made
only through events, explicitly: a merged commune is summed, a split one is refused (nothing says
who lives where), an event whose successor is not known is refused.

INSEE's event file (``v_mvt_commune_YYYY.csv``) is read by `read_events`; without it the package
knows the events between 2023 and 2025 that its own tables tell (`shipped_events`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from inegnum.data import catalogue
from inegnum.data.importers.reading import open_raw
from inegnum.errors import InputError
from inegnum.provenance import Source

__all__ = [
    "EVENTS",
    "Event",
    "follow",
    "known_events",
    "read_events",
    "require_same_vintage",
    "shipped_events",
    "to_vintage",
]

EVENTS: Final = "commune_events"
FIRST_EVENT, LAST_EVENT = 2023, 2025
# INSEE's kinds of event that change which code holds some territory.
_KINDS: Final = {
    "20": "created",
    "21": "restored",
    "30": "merged",
    "31": "merged",
    "32": "merged",
    "33": "merged",
    "41": "renumbered",
    "50": "renumbered",
}
_CITIES: Final = (("751", "75056"), ("132", "13055"), ("6938", "69123"))
_COLUMNS = ("MOD", "DATE_EFF", "TYPECOM_AV", "COM_AV", "TYPECOM_AP", "COM_AP")


@dataclass(frozen=True, slots=True)
class Event:
    """Part or all of a commune passes to another code.

    Attributes
    ----------
    before, after : str
        Codes; `after` is empty when the successor is not known.
    year : int
        First vintage (1 January) where it holds.
    epci : str
        Intercommunality of `before`, empty when not told: where to look for an unknown successor.
    """

    before: str
    after: str
    year: int
    epci: str = ""


def shipped_events() -> tuple[Event, ...]:
    """Return the events between 2023 and 2025 that come with the package.

    Examples
    --------
    >>> Event("69152", "69149", 2024, "200046977") in shipped_events()
    True
    """
    table, _ = catalogue.table(EVENTS)
    known = table[table["before"] != ""]
    columns = (known[column].tolist() for column in ("before", "after", "year", "epci_before"))
    return tuple(Event(*row) for row in zip(*columns, strict=True))


def read_events(path: Path) -> tuple[Event, ...]:
    """Read INSEE's file of events of communes.

    Raises
    ------
    InputError
        The columns are not those of the file, or a date is not one.
    """
    raw = open_raw(path)
    absent = [column for column in _COLUMNS if column not in raw.table.columns]
    if absent:
        raise InputError(
            "this is not INSEE's file of events",
            where=raw.file,
            got=", ".join(raw.table.columns[:6]),
            expected=", ".join(_COLUMNS),
            hint="v_mvt_commune_YYYY.csv, or `inegnum fetch commune_events_2025`",
        )
    events = set()
    columns = (raw.table[column].str.strip().tolist() for column in _COLUMNS)
    for i, row in enumerate(zip(*columns, strict=True)):
        kind, date, was, before, now, after = row
        if not (was == now == "COM" and kind in _KINDS):
            continue
        found = re.fullmatch(r"(\d{4})-(\d{2})-(\d{2})", date)
        if not found:
            raise InputError("a date is not one", where=raw.at(i, "DATE_EFF"), got=repr(date))
        # An event of 1 January is in that year's vintage; a later one in the next.
        year = int(found[1]) + (found[2] + found[3] != "0101")
        events.add(Event(before, after, year))
    moved = {event.before for event in events if event.before != event.after}
    kept = (event for event in events if event.before in moved)
    return tuple(sorted(kept, key=lambda event: (event.year, event.before, event.after)))


def known_events(
    since: int, until: int, events: Sequence[Event] | None = None, *, where: str
) -> tuple[Event, ...]:
    """Return the events between two vintages: those given, or the package's own.

    Raises
    ------
    InputError
        None are given and the package's do not reach that far.
    """
    if events is not None:
        return tuple(events)
    if since < FIRST_EVENT or until > LAST_EVENT:
        raise InputError(
            f"the package knows events from {FIRST_EVENT} to {LAST_EVENT}",
            where=where,
            got=f"communes of {since} to be followed to {until}",
            hint="give INSEE's file of events: frame.events in a study, read_events in Python; "
            "`inegnum fetch commune_events_2025`",
        )
    return shipped_events()


def follow(
    codes: Iterable[str],
    *,
    since: int,
    until: int,
    events: Sequence[Event],
    unknown: Literal["refuse", "keep"] = "refuse",
) -> dict[str, tuple[str, ...]]:
    """Return the codes that hold, in vintage `until`, what each code held in vintage `since`.

    Several when a commune split; ``""`` for a successor that is not known, when `unknown` keeps it.

    Raises
    ------
    InputError
        Time runs backwards, or the successor of a code is not known.

    Examples
    --------
    >>> follow(["69152"], since=2023, until=2025, events=shipped_events())
    {'69152': ('69149',)}
    """
    if since > until:
        raise InputError(
            "codes are followed forward in time",
            where="follow",
            got=f"from {since} to {until}",
            hint="a merged commune cannot be taken apart: bring the older table forward",
        )
    steps: dict[int, dict[str, list[str]]] = {}
    for event in events:
        if since < event.year <= until:
            steps.setdefault(event.year, {}).setdefault(event.before, []).append(event.after)
    return {code: _held(code, steps, unknown) for code in codes}


def _held(code: str, steps: dict[int, dict[str, list[str]]], unknown: str) -> tuple[str, ...]:
    held = [code]
    for year in sorted(steps):
        held = [after for before in held for after in steps[year].get(before, [before])]
        if "" in held and unknown == "refuse":
            raise InputError(
                "the successor of a commune is not known",
                where=f"{code}, gone by {year}",
                hint="give INSEE's file of events: `inegnum fetch commune_events_2025`",
            )
    return tuple(dict.fromkeys(held))


def to_vintage(
    table: pd.DataFrame,
    *,
    counts: Sequence[str],
    since: int,
    until: int,
    events: Sequence[Event] | None = None,
) -> pd.DataFrame:
    """Bring counts by commune from one vintage to a later one.

    Arrondissements of Paris, Lyon and Marseille become their commune.

    Parameters
    ----------
    table : DataFrame
        Column ``geo`` and the counts; a missing count makes its sum missing.
    counts : sequence of str
        Columns to sum. Rates cannot be summed: bring their numerator and denominator.
    since, until : int
        Vintages (1 January).
    events : sequence of Event, optional
        `shipped_events` unless given.

    Returns
    -------
    DataFrame
        ``geo`` (sorted) and the counts.

    Raises
    ------
    InputError
        A commune split, a successor is unknown, the shipped events do not go that far back, or a
        city stands both whole and by arrondissement.
    """
    events = known_events(since, until, events, where="to_vintage")
    absent = [column for column in ("geo", *counts) if column not in table.columns]
    if absent:
        raise InputError("the table lacks columns", where="to_vintage", expected=", ".join(absent))
    geo = table["geo"].map(_whole_city)
    _not_twice(set(table["geo"]), set(geo))
    held = follow(geo.unique(), since=since, until=until, events=events)
    split = sorted(code for code, after in held.items() if len(after) > 1)
    if split:
        raise InputError(
            "a commune split between the two vintages",
            where="to_vintage",
            got="; ".join(f"{code} into {', '.join(held[code])}" for code in split[:5]),
            expected="communes that are whole in the later vintage",
            hint="nothing says who lives where: leave it out, or bring its parts yourself",
        )
    moved = geo.map({code: after[0] for code, after in held.items()})
    sums = table[list(counts)].groupby(moved).sum(skipna=False)
    return sums.rename_axis("geo").reset_index()


def _whole_city(code: str) -> str:
    return next((city for start, city in _CITIES if code.startswith(start) and code != city), code)


def _not_twice(given: Collection[str], whole: Collection[str]) -> None:
    for start, city in _CITIES:
        if city in given and any(c.startswith(start) and c != city for c in given):
            raise InputError(
                "a city stands both whole and by arrondissement",
                where="to_vintage",
                got=city,
                expected=f"one of the two, so that {len(whole)} communes are counted once",
            )


def require_same_vintage(a: Source, b: Source, *, where: str) -> None:
    """Refuse to join two tables whose communes are those of different years.

    A source without geography joins anything.
    """
    years = [re.findall(r"\b(?:19|20)\d{2}\b", source.geo_vintage) for source in (a, b)]
    if not all(years) or years[0][-1] == years[1][-1]:
        return
    raise InputError(
        "two geographic vintages meet",
        where=where,
        got=f"{a.name} ({a.geo_vintage}) and {b.name} ({b.geo_vintage})",
        expected="communes of the same year on both sides",
        hint="bring the older table forward with to_vintage",
    )
