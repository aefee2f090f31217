"""The sheet of one commune: what is known, what is not, who lives there, where help is.

Model: none; words are chosen by fixed rules from the release's probabilities. A figure is said to
be probably above or below the metropolis beyond nine chances in ten, never on the estimate alone.
Limits: the actions are a catalogue linked by need and by composition, not an effect of anything.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final

from inegnum.release.cards import CardView, card_of, concerned, people_sentence
from inegnum.release.compare import LocalDraws, difference
from inegnum.release.geo import Shape
from inegnum.release.profile import HIGHLIGHTS, Profile, similar
from inegnum.release.read import Release
from inegnum.release.supply import Supply, nearest_places
from inegnum.release.text import Phrases, phrases

__all__ = ["Action", "PlaceLine", "Sheet", "Sheets", "actions", "supply_rows"]

SURE: Final = 0.9
PROBABLE: Final = 0.7
MORE_BY: Final = 0.02  # a group "weighs more" from two points of population on
FIGURES: Final = ("uses", "ease", "equipment")


@dataclass(frozen=True, slots=True)
class Action:
    """One entry of the catalogue of actions."""

    code: str
    when: tuple[str, ...]
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class PlaceLine:
    """A place of mediation, in words."""

    name: str
    address: str
    distance: str
    services: str
    updated: str
    stale: bool


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything the page of one commune says."""

    geo: str
    name: str
    figures: tuple[CardView, ...]
    needs: tuple[str, ...]
    known: tuple[str, ...]
    unknown: str
    masked: str
    groups: tuple[tuple[str, str, str], ...]
    alike: tuple[str, ...]
    places: tuple[PlaceLine, ...]
    actions: tuple[Action, ...]


@cache
def _catalogue() -> list[dict[str, Any]]:
    raw = files("inegnum.release").joinpath("actions.toml").read_text("utf-8")
    return list(tomllib.loads(raw)["actions"])


def actions(language: str) -> tuple[Action, ...]:
    """Return the catalogue of actions in one language."""
    words = phrases(language)
    return tuple(
        Action(
            code=str(entry["code"]),
            when=tuple(entry["when"]),
            title=words.typeset(str(entry[f"title_{language}"])),
            text=words.typeset(str(entry[f"text_{language}"])),
        )
        for entry in _catalogue()
    )


@dataclass(frozen=True, slots=True)
class Sheets:
    """What every sheet of a release shares.

    Attributes
    ----------
    release : Release
        The release.
    words : Phrases
        Language.
    local : dict
        Joint draws of the communes, by indicator.
    profiles : dict
        Composition of each commune.
    supply : Supply or None
        Places of mediation.
    as_of : date
        Day on which a record's age is judged.
    """

    release: Release
    words: Phrases
    local: Mapping[str, LocalDraws]
    profiles: dict[str, Profile]
    supply: Supply | None
    as_of: date

    def sheet(self, shape: Shape) -> Sheet:
        """Return the sheet of one commune."""
        rows = self.release.estimates
        mine = rows[(rows["geo"] == shape.geo) & (rows["level"] == "commune")]
        of = {str(row["indicator"]): row for _, row in mine.iterrows()}
        return Sheet(
            geo=shape.geo,
            name=shape.name,
            figures=tuple(card_of(self.release, of[c], self.words) for c in self._three(of)),
            needs=self._needs(of),
            known=self._known(of),
            unknown=self._listed(of, lambda row: self._unsure(row)),
            masked=self._listed(of, lambda row: row["class"] == "D"),
            groups=self._groups(shape.geo),
            alike=self._alike(shape.geo),
            places=self._places(shape),
            actions=self._actions(shape.geo, of),
        )

    def _three(self, of: Mapping[str, Any]) -> list[str]:
        """Return one indicator of each of the first three families: the same in every commune.

        The one released in the most communes, the first of the registry at equality: chosen for
        what can be said, never for what it says.
        """
        notes = self.release.indicators
        rows = self.release.estimates
        shown = rows[(rows["level"] == "commune") & (rows["class"] != "D")]["indicator"]
        released = shown.value_counts().to_dict()
        chosen = []
        for family in FIGURES:
            codes = [code for code in notes if notes[code].family == family and code in of]
            chosen += sorted(codes, key=lambda code: -released.get(code, 0))[:1]
        return chosen

    def _short(self, code: str) -> str:
        return self.words.short(code, self.release.indicators[code].label(self.words.language))

    def _needs(self, of: Mapping[str, Any]) -> tuple[str, ...]:
        """Return how many people are concerned, for every indicator that is released."""
        notes = self.release.indicators
        return tuple(
            people_sentence(row, notes[code], self.words)
            for code, row in of.items()
            if row["class"] != "D"
        )

    def _known(self, of: Mapping[str, Any]) -> tuple[str, ...]:
        lines = []
        for key, keep in (("sheet.above", _surely_above), ("sheet.below", _surely_below)):
            codes = [self._short(code) for code, row in of.items() if keep(row)]
            if codes:
                lines.append(self.words[key].format(list=", ".join(codes)))
        return tuple(lines)

    def _unsure(self, row: Any) -> bool:
        chance = float(row["p_above_metropolis"])
        sure = _surely_above(row) or _surely_below(row)
        return not sure and row["class"] != "D" and not math.isnan(chance)

    def _listed(self, of: Mapping[str, Any], keep: Any) -> str:
        return ", ".join(self._short(code) for code, row in of.items() if keep(row))

    def _groups(self, geo: str) -> tuple[tuple[str, str, str], ...]:
        profile = self.profiles.get(geo)
        if profile is None:
            return ()
        shares = [profile.share(*key) for key in HIGHLIGHTS]
        return tuple(
            (
                share.label(self.words),
                self.words.percent(share.here),
                self.words.percent(share.whole),
            )
            for share in shares
            if share is not None
        )

    def _alike(self, geo: str) -> tuple[str, ...]:
        rows = self.release.estimates
        names = dict(zip(rows["geo"].map(str), rows["name"].map(str), strict=True))
        lines = []
        for other in similar(self.profiles, geo, count=3):
            said = [self._contrast(code, geo, other) for code in self.local]
            shown = [line for line in said if line][:2]
            lines.append(
                self.words["sheet.alike"].format(
                    name=names[other],
                    contrasts=" ; ".join(shown) or self.words["sheet.no_contrast"],
                )
            )
        return tuple(lines)

    def _contrast(self, code: str, geo: str, other: str) -> str:
        gap = difference(self.local[code], geo, other, prob=self.release.prob)
        if gap is None:
            return ""
        return self.words["sheet.contrast"].format(
            label=self._short(code),
            gap=self.words.gap(gap.est, gap.lower, gap.upper),
            chances=self.words.chances(gap.p_above),
        )

    def _places(self, shape: Shape) -> tuple[PlaceLine, ...]:
        if self.supply is None:
            return ()
        near = nearest_places(self.supply.places, shape.lon, shape.lat, count=3)
        return tuple(
            PlaceLine(
                name=one.place.name,
                address=one.place.address,
                distance=self.words.kilometres(one.km),
                services=", ".join(one.place.services[:2]),
                updated=self.words["supply.updated"].format(year=one.place.updated.year),
                stale=one.place.stale(self.as_of),
            )
            for one in near
        )

    def _actions(self, geo: str, of: Mapping[str, Any]) -> tuple[Action, ...]:
        true = {"always"} | {f"need:{code}" for code, row in of.items() if self._far(code, row)}
        profile = self.profiles.get(geo)
        if profile is not None:
            true |= {
                f"share:{share.margin}:{share.level}"
                for share in profile.shares
                if share.here - share.whole >= MORE_BY
            }
        return tuple(action for action in actions(self.words.language) if true & set(action.when))

    def _far(self, code: str, row: Any) -> bool:
        chance = float(row["p_above_metropolis"])
        if math.isnan(chance):
            return False
        far = chance if self.release.indicators[code].direction < 0 else 1 - chance
        return far >= PROBABLE


def _surely_above(row: Any) -> bool:
    return float(row["p_above_metropolis"]) > SURE


def _surely_below(row: Any) -> bool:
    return float(row["p_above_metropolis"]) < 1 - SURE


def supply_rows(
    release: Release,
    code: str,
    words: Phrases,
    *,
    supply: Supply,
    shapes: tuple[Shape, ...],
    as_of: date,
) -> list[dict[str, str]]:
    """Return need beside supply for one indicator, one row a commune, in words."""
    note = release.indicators[code]
    at = {shape.geo: shape for shape in shapes}
    rows = []
    for _, row in release.at("commune", code).iterrows():
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
                "counsellors": str(supply.counsellors.get(geo, 0)) if supply.counsellors else "",
                "per_counsellor": _range(need, supply.counsellors.get(geo, 0), words),
                "nearest": words.kilometres(near[0].km) if near else "",
            }
        )
    return rows


def _range(need: tuple[float, float, float] | None, supply: int, words: Phrases) -> str:
    if need is None:
        return words["table.masked"]
    if supply == 0:
        return words["supply.none"]
    people, lower, upper = (words.people(value / supply) for value in need)
    return words["people.range"].format(people=people, lower=lower, upper=upper)
