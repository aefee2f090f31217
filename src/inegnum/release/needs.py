"""Need beside supply, one row a commune: people concerned, places, and the gap between the two.

Model: the gap of a commune is the number of places that would give it the territory's own ratio of
people concerned per place, less the places listed there. It is computed draw by draw, so that what
commune and territory share cancels out.
Assumptions: persons of the universe are known (their mean over frames); a list of places is taken
as it is. Limits: those of `inegnum.release.supply`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import numpy.typing as npt

from inegnum.release.cards import concerned
from inegnum.release.compare import LocalDraws
from inegnum.release.geo import Shape
from inegnum.release.read import Release
from inegnum.release.supply import Supply, nearest_places
from inegnum.release.text import Phrases

__all__ = ["place_gaps", "supply_rows"]


def place_gaps(
    need: npt.NDArray[np.float64],
    whole: npt.NDArray[np.float64],
    places: npt.NDArray[np.int64],
    *,
    total: int,
    prob: float,
) -> npt.NDArray[np.float64]:
    """Return places wanted at the average ratio less places listed: mean and bounds, (A, 3).

    Parameters
    ----------
    need : ndarray of shape (S, A)
        People concerned in each commune, joint draws.
    whole : ndarray of shape (S,)
        People concerned in the territory, same draws.
    places : ndarray of shape (A,)
        Places listed in each commune.
    total : int
        Places listed in the territory.
    prob : float
        Mass of the interval.

    Examples
    --------
    Twice the people need twice the places; of six, one is on the wrong side:

    >>> need = np.array([[200.0, 100.0]])
    >>> place_gaps(need, need.sum(axis=1), np.array([3, 3]), total=6, prob=0.9)[:, 0].tolist()
    [1.0, -1.0]
    """
    gap = need / whole[:, None] * total - places
    lower, upper = np.quantile(gap, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    return np.stack([gap.mean(axis=0), lower, upper], axis=1)


def supply_rows(
    release: Release,
    code: str,
    words: Phrases,
    *,
    supply: Supply,
    shapes: tuple[Shape, ...],
    local: Mapping[str, LocalDraws],
    as_of: date,
) -> list[dict[str, str]]:
    """Return need beside supply for one indicator, one row a commune, in words.

    `local` holds the joint draws of the indicator by level, ``commune`` and ``epci``.
    """
    note = release.indicators[code]
    at = {shape.geo: shape for shape in shapes}
    table = release.at("commune", code)
    gaps = _gaps(release, code, supply, local)
    rows = []
    for _, row in table.iterrows():
        geo = str(row["geo"])
        here = supply.within(geo)
        need = None if row["class"] == "D" else concerned(row, note)
        near = nearest_places(supply.places, at[geo].lon, at[geo].lat, count=1)
        rows.append(
            {
                "geo": geo,
                "name": str(row["name"]),
                "people": _range(need, 1, words),
                "places": str(len(here)),
                "stale": str(sum(place.stale(as_of) for place in here)),
                "per_place": _range(need, len(here), words),
                "gap": _gap(gaps.get(geo), words),
                "counsellors": str(supply.counsellors.get(geo, 0)) if supply.counsellors else "",
                "per_counsellor": _range(need, supply.counsellors.get(geo, 0), words),
                "nearest": words.kilometres(near[0].km) if near else "",
            }
        )
    return rows


def _gaps(
    release: Release, code: str, supply: Supply, local: Mapping[str, LocalDraws]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the gap of every released commune; none when the territory itself is masked."""
    communes, whole = local["commune"], local["epci"]
    if not communes.geos or release.territory.code not in whole.geos:
        return {}
    every = [str(geo) for geo in release.at("commune", code)["geo"]]
    persons = release.at("commune", code).set_index("geo")["N"]
    places = {geo: len(supply.within(geo)) for geo in every}

    N = persons.loc[list(communes.geos)].to_numpy(np.float64)
    here, all_ = communes.values, whole.values[:, whole.geos.index(release.territory.code)]
    if release.indicators[code].direction > 0:  # those concerned are those without
        here, all_ = 1 - here, 1 - all_
    found = place_gaps(
        here * N,
        all_ * float(persons.sum()),
        np.array([places[geo] for geo in communes.geos], dtype=np.int64),
        total=sum(places.values()),
        prob=release.prob,
    )
    return dict(zip(communes.geos, found, strict=True))


def _gap(gap: npt.NDArray[np.float64] | None, words: Phrases) -> str:
    if gap is None:
        return words["table.masked"]
    est, lower, upper = (words.signed(float(value)) for value in gap)
    return words["people.range"].format(people=est, lower=lower, upper=upper)


def _range(need: tuple[float, float, float] | None, supply: int, words: Phrases) -> str:
    if need is None:
        return words["table.masked"]
    if supply == 0:
        return words["supply.none"]
    people, lower, upper = (words.people(value / supply) for value in need)
    return words["people.range"].format(people=people, lower=lower, upper=upper)
