"""Need beside supply: people concerned, places that help, and how far the nearest is.

Model: none. Distances are great-circle distances from a point inside the commune, not journeys.
Assumptions: a list of places is taken as it is; its size is known without error, so the interval of
people per place is that of the people.
Limits: a list is not a census of places, a place is not an opening hour, and a record that nobody
has updated for two years may describe a place that closed: such records are flagged, never dropped.

Places are read from the national standard (schéma des lieux de médiation numérique 1.0.2), so that
any territory's file works, or from the package's own table for Gironde.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import pandas as pd

from inegnum.errors import InputError, nearest
from inegnum.release.geo import great_circle_km

__all__ = ["Nearby", "Place", "Supply", "nearest_places", "read_places", "reference_supply"]

# Columns the national standard requires and the ones used here; the others may be absent.
REQUIRED: Final = ("id", "nom", "commune", "code_postal", "adresse", "date_maj")
USED: Final = ("code_insee", "latitude", "longitude", "typologie", "services")
STALE_YEARS: Final = 2


@dataclass(frozen=True, slots=True)
class Place:
    """A place of digital mediation.

    Attributes
    ----------
    name, kind, address : str
        As the producer writes them.
    geo, commune : str
        Commune, by code (empty when the producer gives none) and by name.
    latitude, longitude : float or None
        WGS 84.
    services : tuple of str
        What is offered.
    updated : date
        Last update of the record.
    """

    name: str
    kind: str
    geo: str
    commune: str
    address: str
    latitude: float | None
    longitude: float | None
    services: tuple[str, ...]
    updated: date

    def stale(self, as_of: date) -> bool:
        """Say whether the record is more than two years old on a date."""
        return (as_of - self.updated).days > STALE_YEARS * 365.25


@dataclass(frozen=True, slots=True)
class Supply:
    """Places, and counsellors by commune where they are known.

    Attributes
    ----------
    places : tuple of Place
        In the order of the file.
    counsellors : dict
        Posts by commune code; a commune that is absent hosts none. Empty when not known at all.
    source : str
        Producer, title and vintage, for the reader.
    """

    places: tuple[Place, ...]
    counsellors: dict[str, int]
    source: str

    def within(self, geo: str) -> tuple[Place, ...]:
        """Return the places of one commune."""
        return tuple(place for place in self.places if place.geo == geo)


@dataclass(frozen=True, slots=True)
class Nearby:
    """A place and its distance."""

    place: Place
    km: float


def nearest_places(
    places: Sequence[Place], longitude: float, latitude: float, *, count: int
) -> tuple[Nearby, ...]:
    """Return the nearest places that have coordinates, nearest first.

    Parameters
    ----------
    places : sequence of Place
        Candidates.
    longitude, latitude : float
        Point of departure, in degrees; nothing is near a point that is not known (NaN).
    count : int
        How many at most.
    """
    if math.isnan(longitude) or math.isnan(latitude):
        return ()
    located = [
        Nearby(place, great_circle_km(longitude, latitude, place.longitude, place.latitude))
        for place in places
        if place.longitude is not None and place.latitude is not None
    ]
    return tuple(sorted(located, key=lambda near: (near.km, near.place.name))[:count])


def read_places(path: Path, *, source: str) -> Supply:
    """Read a file of the national standard of places of digital mediation.

    Parameters
    ----------
    path : Path
        CSV in UTF-8, separated by commas.
    source : str
        Producer, title and vintage, shown under every figure drawn from it.

    Raises
    ------
    InputError
        A required column is absent, or a row has no readable date, or coordinates out of the world.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column in REQUIRED:
        if column not in table.columns:
            raise InputError(
                "a required column of the national standard is absent",
                where=f"{path.name}, {column}",
                got=", ".join(table.columns),
                expected=", ".join(REQUIRED),
                hint=nearest(column, table.columns),
            )
    for column in USED:
        if column not in table.columns:
            table[column] = ""
    rows = table.to_dict("records")
    places = tuple(
        Place(
            name=row["nom"],
            kind=row["typologie"].replace("|", ", "),
            geo=row["code_insee"],
            commune=row["commune"],
            address=f"{row['adresse']}, {row['code_postal']} {row['commune']}",
            latitude=_degrees(row["latitude"], 90, f"{path.name}, row {at}, latitude"),
            longitude=_degrees(row["longitude"], 180, f"{path.name}, row {at}, longitude"),
            services=tuple(part for part in row["services"].split("|") if part),
            updated=_day(row["date_maj"], f"{path.name}, row {at}, date_maj"),
        )
        # Rows are counted as a spreadsheet does: the head is row 1.
        for at, row in enumerate(rows, start=2)
    )
    return Supply(places, {}, source)


def reference_supply(geos: Sequence[str]) -> Supply | None:
    """Return the package's own places if it knows any in these communes.

    Places of neighbouring communes are kept: the nearest place may stand across the border.
    """
    from inegnum.data.catalogue import table

    places, source = table("mediation_places")
    if not set(places["geo"]) & set(geos):
        return None
    advisers, advisers_source = table("digital_advisers")
    hired = advisers.groupby("geo")["hired"].sum()
    made = tuple(
        Place(
            name=str(row["name"]),
            kind=str(row["kind"]),
            geo=str(row["geo"]),
            commune=str(row["commune"]),
            address=str(row["address"]),
            latitude=float(row["latitude"]),
            longitude=float(row["longitude"]),
            services=tuple(
                part.strip() for part in str(row["services"] or "").split("/") if part.strip()
            ),
            updated=_day(str(row["updated"]), f"mediation_places, {row['name']}"),
        )
        for row in places.fillna("").to_dict("records")
    )
    counsellors = {str(geo): int(count) for geo, count in hired.items() if count > 0}
    said = "; ".join(f"{s.producer}, {s.title} ({s.vintage})" for s in (source, advisers_source))
    return Supply(made, counsellors, said)


def _degrees(text: str, limit: float, where: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise InputError("a coordinate is not a number", where=where, got=text) from error
    if not -limit <= value <= limit:
        raise InputError(
            "a coordinate is out of the world",
            where=where,
            got=value,
            expected=f"degrees between {-limit} and {limit}",
            hint="latitude and longitude may be swapped, or in metres",
        )
    return value


def _day(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise InputError(
            "a date of last update cannot be read",
            where=where,
            got=text or "nothing",
            expected="a date such as 2024-03-31",
            hint="the national standard requires it: an undated record cannot be trusted",
        ) from error
