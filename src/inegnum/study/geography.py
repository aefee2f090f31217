"""One geography a study: census, survey, shapes and imported files on the same communes.

What a study brings of another vintage is followed through events (`imports.brought_forward`) or
refused here. The package's own older tables join by code as rates, not counts; a commune of the
territory that changed since one of them is named in a check of the release. The package's events
reach from 2023 and its margins of 2018 stand on the communes of 2021: between the two, a population
that jumps from one year to the next gives a merger or a split away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from inegnum.data import catalogue
from inegnum.data.margins import FIRST_YEAR, LAST_YEAR
from inegnum.data.vintages import FIRST_EVENT, Event, known_events, require_same_vintage
from inegnum.errors import InputError
from inegnum.provenance import Source

__all__ = ["changed_since", "changed_since_margins", "same_geography"]

# Rates of communes come from it; counts are brought to the year by newer tables.
OLDEST_RATES: Final = "census_2018"

# Log of a year's growth, and of that growth over the commune's usual one. Mergers into communes of
# 2,000 inhabitants that the package knows reach from 0.125 up; beside them five communes of France
# pass 0.12, two of which did merge (Culoz-Béon, L'Aiguillon-la-Presqu'île).
_JUMP: Final = 0.12


def same_geography(
    given: Iterable[Source], communes: Sequence[str], *, events: Sequence[Event] | None = None
) -> None:
    """Refuse files of another vintage than the package's communes.

    A file of an older year passes when events say that none of the territory's communes changed.

    Parameters
    ----------
    given : iterable of Source
        Files the study names.
    communes : sequence of str
        Of the territory.
    events : sequence of Event, optional
        Of the study; the package's own reach from 2023.

    Raises
    ------
    InputError
        Two vintages meet and a commune changed between them, or nothing says whether it did.
    """
    reference = catalogue.source("communes")
    until = _year(reference)
    for source in given:
        since = _year(source)
        if since and since != until:
            changed = changed_since(since, communes, events=events, where=source.name)
            if not changed:
                source = replace(source, geo_vintage=reference.geo_vintage)
            else:
                raise InputError(
                    "communes of the territory changed between two vintages",
                    where=f"{source.name} ({source.geo_vintage}), {reference.geo_vintage}",
                    got="; ".join(changed[:5]),
                    expected="the communes of one year on both sides",
                    hint="give the file of the newer communes",
                )
        require_same_vintage(source, reference, where=source.name)


def changed_since(
    since: int, communes: Sequence[str], *, events: Sequence[Event] | None = None, where: str
) -> list[str]:
    """Return what happened to these communes since a year, in words.

    Raises
    ------
    InputError
        The year is later than the package's communes, or earlier than the events known.
    """
    until = _year(catalogue.source("communes"))
    if since > until:
        raise InputError(
            "a file stands on communes later than the package's",
            where=where,
            got=f"communes of {since}",
            expected=f"communes of {until} at the latest",
        )
    known = known_events(since, until, events, where=where)
    mine = set(communes)
    return [
        f"{event.before} into {event.after or 'an unknown commune'} in {event.year}"
        for event in known
        if since < event.year <= until and event.before != event.after and mine & {event.after}
    ]


def changed_since_margins(
    communes: Sequence[str], *, events: Sequence[Event] | None = None
) -> list[str]:
    """Return what happened to these communes since the package's margins of 2018, in words.

    Events tell from 2023, or from the margins on when INSEE's file is given; without it, communes
    whose population jumps are named too.
    """
    since = FIRST_EVENT if events is None else _year(catalogue.source(OLDEST_RATES))
    told = changed_since(since, communes, events=events, where="geography")
    if events is not None:
        return told
    named = " ".join(told)
    return told + [text for code, text in _jumps(communes).items() if code not in named]


def _jumps(communes: Sequence[str]) -> dict[str, str]:
    """Return the communes with margins of 2018 whose population jumps in one year."""
    table, _ = catalogue.table("communes")
    old, _ = catalogue.table(OLDEST_RATES)
    years = range(FIRST_YEAR, LAST_YEAR + 1)
    columns = [f"population_{year}" for year in years]
    here = table[table["geo"].isin(list(communes)) & table["geo"].isin(old["geo"])]
    here = here.dropna(subset=columns)
    growth = np.diff(np.log(here[columns].to_numpy(float)), axis=1)
    beside = growth - np.median(growth, axis=1, keepdims=True)
    largest = np.abs(beside).argmax(axis=1)
    rows = np.arange(len(here))
    jumps = np.minimum(np.abs(beside), np.abs(growth))[rows, largest] > _JUMP
    return {
        str(geo): f"{geo}: population {np.expm1(growth[row, at]):+.0%} in {years[at + 1]}"
        for row, at, geo in zip(rows[jumps], largest[jumps], here["geo"][jumps], strict=True)
    }


def _year(source: Source) -> int:
    words = source.geo_vintage.split()
    return int(words[-1]) if words and words[0] == "COG" and words[-1].isdigit() else 0
