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

from inegnum.release.cards import CardView, card_of, people_sentence
from inegnum.release.compare import LocalDraws, difference
from inegnum.release.geo import Shape
from inegnum.release.groups import GroupTable, Rows, group_tables
from inegnum.release.pages import opening
from inegnum.release.profile import Profile, similar
from inegnum.release.read import Release
from inegnum.release.supply import Place, Supply, nearest_places
from inegnum.release.text import Phrases, phrases
from inegnum.release.view import FAMILIES

__all__ = ["Action", "AlikeLine", "PlaceLine", "Sheet", "Sheets", "actions"]

SURE: Final = 0.9
PROBABLE: Final = 0.7
MORE_BY: Final = 0.02  # a group "weighs more" from two points of population on
FIGURES: Final = 3
PLACES: Final = 3


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
class AlikeLine:
    """A commune of like composition and, figure by figure, the difference with it."""

    geo: str
    name: str
    gaps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything the page of one commune says.

    Attributes
    ----------
    figures : tuple of CardView
        Three figures, the same in every commune.
    needs, known : tuple of str
        People concerned; what sets the commune apart, surely.
    unknown, masked : str
        Indicators nothing can be said of, or that are not released.
    together : tuple of str
        For the latter, the rate of all communes whose figure is not released, as one.
    groups : tuple of GroupTable
        Rates by age, diploma and occupation, that of the first figures first.
    alike, places : tuples
    actions : tuple
        Actions and why each is listed.
    """

    geo: str
    name: str
    figures: tuple[CardView, ...]
    needs: tuple[str, ...]
    known: tuple[str, ...]
    unknown: str
    masked: str
    together: tuple[str, ...]
    groups: tuple[GroupTable, ...]
    alike: tuple[AlikeLine, ...]
    places: tuple[PlaceLine, ...]
    actions: tuple[tuple[Action, str], ...]


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
    groups : dict
        Rows of ``profiles.csv`` by area and indicator.
    """

    release: Release
    words: Phrases
    local: Mapping[str, LocalDraws]
    profiles: dict[str, Profile]
    supply: Supply | None
    as_of: date
    groups: Mapping[str, Mapping[str, Rows]]

    def sheet(self, shape: Shape) -> Sheet:
        """Return the sheet of one commune."""
        rows = self.release.estimates
        mine = rows[(rows["geo"] == shape.geo) & (rows["level"] == "commune")]
        of = {str(row["indicator"]): row for _, row in mine.iterrows()}
        return Sheet(
            geo=shape.geo,
            name=shape.name,
            figures=tuple(card_of(self.release, of[c], self.words) for c in self.figures()),
            needs=self._needs(of),
            known=self._known(of),
            unknown=self._listed(of, lambda row: self._unsure(row)),
            masked=self._listed(of, lambda row: row["class"] == "D"),
            together=self._together(shape.geo),
            groups=self._groups(shape.geo),
            alike=self._alike(shape.geo),
            places=self._places(shape),
            actions=self._actions(shape.geo, of),
        )

    def figures(self) -> list[str]:
        """Return three indicators, each of another family: the same in every commune.

        Of each family the one released in the most communes (the first of the registry at
        equality), and of those the three most released: chosen for what can be said, never for
        what it says.
        """
        notes = self.release.indicators
        rows = self.release.estimates
        shown = rows[(rows["level"] == "commune") & (rows["class"] != "D")]["indicator"]
        released = shown.value_counts().to_dict()
        chosen: list[str] = []
        for family in FAMILIES:
            codes = [code for code in notes if notes[code].family == family]
            chosen += sorted(codes, key=lambda code: -released.get(code, 0))[:1]
        kept = sorted(chosen, key=lambda code: -released.get(code, 0))[:FIGURES]
        return [code for code in chosen if code in kept]

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

    def _together(self, geo: str) -> tuple[str, ...]:
        """Return the rate of the masked communes as one, for each indicator masked here."""
        lines = []
        for _, row in self.release.merged.iterrows():
            members = str(row["members"]).split()
            if row["level"] != "commune" or row["class"] == "D" or geo not in members:
                continue
            bounds = (float(row["lower"]), float(row["upper"]))
            rate = self.words.rate_sentence(str(row["universe"]), float(row["est"]), bounds)
            code = str(row["indicator"])
            said = self.words["sheet.together"].format(
                label=self._short(code), count=len(members), rate=rate
            )
            lines.append(said)
        return tuple(lines)

    def _listed(self, of: Mapping[str, Any], keep: Any) -> str:
        return ", ".join(self._short(code) for code, row in of.items() if keep(row))

    def _groups(self, geo: str) -> tuple[GroupTable, ...]:
        tables = group_tables(self.release, self.groups, geo, self.words)
        first = opening(list(self.release.indicators))
        return tuple(sorted(tables, key=lambda table: table.code != first))

    def _alike(self, geo: str) -> tuple[AlikeLine, ...]:
        rows = self.release.estimates
        names = dict(zip(rows["geo"].map(str), rows["name"].map(str), strict=True))
        return tuple(
            AlikeLine(
                other,
                names[other],
                tuple(self._contrast(code, geo, other) for code in self.figures()),
            )
            for other in similar(self.profiles, geo, count=3)
        )

    def _contrast(self, code: str, geo: str, other: str) -> str:
        gap = difference(self.local[code], geo, other, prob=self.release.prob)
        if gap is None:
            return self.words["sheet.no_contrast"]
        said = self.words.short_gap(gap.est, gap.lower, gap.upper)
        sure = "not_established" if gap.lower <= 0 <= gap.upper else "established"
        return f"{said}, {self.words[f'sheet.{sure}']}"

    def _places(self, shape: Shape) -> tuple[PlaceLine, ...]:
        if self.supply is None:
            return ()
        near = nearest_places(self.supply.places, shape.lon, shape.lat, count=PLACES)
        if math.isnan(shape.lon):  # no map, no distance: those of the commune
            inside = self.supply.within(shape.geo)[:PLACES]
            return tuple(self._place(place, self.words["supply.nowhere"]) for place in inside)
        return tuple(self._place(one.place, self.words.kilometres(one.km)) for one in near)

    def _place(self, place: Place, distance: str) -> PlaceLine:
        return PlaceLine(
            name=place.name,
            address=place.address,
            distance=distance,
            services=", ".join(place.services[:2]),
            updated=self.words["supply.updated"].format(year=place.updated.year),
            stale=place.stale(self.as_of),
        )

    def _actions(self, geo: str, of: Mapping[str, Any]) -> tuple[tuple[Action, str], ...]:
        reasons = self._reasons(geo, of)
        found = []
        for action in actions(self.words.language):
            hits = [reasons[when] for when in action.when if when in reasons]
            if hits:
                needs = [said for kind, said in hits if kind == "need"]
                others = [said for kind, said in hits if kind != "need"]
                if needs:
                    text = self.words["sheet.because_need"].format(list=", ".join(needs))
                    others.insert(0, text)
                found.append((action, self._because(others)))
        return tuple(found)

    def _because(self, reasons: list[str]) -> str:
        said = f"{self.words['list.separator']} ".join(filter(None, reasons))
        return self.words["sheet.because"].format(reason=said) if said else ""

    def _reasons(self, geo: str, of: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """Return the conditions that hold in a commune: their kind, and how they are said."""
        found = {"always": ("always", "")}
        for code, row in of.items():
            if self._far(code, row):
                found[f"need:{code}"] = ("need", self._short(code))
        profile = self.profiles.get(geo)
        for share in profile.shares if profile is not None else ():
            if share.here - share.whole >= MORE_BY:
                said = self.words["sheet.because_share"].format(
                    group=share.label(self.words),
                    here=self.words.percent(share.here),
                    whole=self.words.percent(share.whole),
                )
                found[f"share:{share.margin}:{share.level}"] = ("share", said)
        return found

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
