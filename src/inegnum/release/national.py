"""The page of a wide territory: France, its regions and departments, and what could not be shown.

Model: none; the page repeats the table of levels in words, one table an indicator and, where the
study gives shapes, one map of the level that is drawn.
Limits: no list of communes: they are in the folder, by department.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from inegnum.data import catalogue
from inegnum.errors import InputError
from inegnum.release.geo import Outline, outline
from inegnum.release.pages import asset, environment
from inegnum.release.read_wide import WideRelease, read_wide
from inegnum.release.text import Phrases, phrases
from inegnum.release.view import LegendKey, rate_breaks, rate_colour, rate_legend

__all__ = ["build_national", "write_national"]


@dataclass(frozen=True, slots=True)
class Line:
    """One area in the table of an indicator, already in words."""

    name: str
    rate: str
    interval: str
    grade: str
    people: str
    gap: str


@dataclass(frozen=True, slots=True)
class Spot:
    """One area on the map: its colour, its pattern (class C or D), what it says."""

    geo: str
    colour: str
    grade: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """One indicator."""

    label: str
    sentence: str
    regions: tuple[Line, ...]
    departments: tuple[Line, ...]
    levels: tuple[tuple[str, ...], ...]
    communes: tuple[tuple[str, ...], ...]
    spots: tuple[Spot, ...]
    legend: tuple[LegendKey, ...]


def build_national(folder: Path, *, language: str, out: Path) -> Path:
    """Write the page of a wide release again, from its folder.

    Raises
    ------
    ProvenanceError
        The folder is not a whole and unchanged release.
    InputError
        The file cannot be written.
    """
    return write_national(read_wide(folder), language=language, out=out)


def write_national(release: WideRelease, *, language: str, out: Path) -> Path:
    """Write the page of a wide release.

    Parameters
    ----------
    release : WideRelease
    language : {"fr", "en"}
    out : Path
    """
    from markupsafe import Markup

    words = phrases(language)
    manifest = release.manifest
    study, level = manifest["study"], manifest["scale"].get("drawn_level", "")
    sections = [
        _section(code, note[f"label_{language}"], release, words)
        for code, note in manifest["indicators"].items()
    ]
    html = (
        environment()
        .get_template("national.html.j2")
        .render(
            t=words,
            title=study[f"title_{language}"],
            prob=round(100 * study["quality"]["prob"]),
            communes=words.integer(manifest["territory"]["n_areas"]),
            draws=words.integer(manifest["scale"]["draws"]),
            anchored=manifest["territory"]["level"] == "france",
            sections=sections,
            outline=_outline(release, level),
            drawn=words[f"level.{level}"] if level else "",
            withdrawn=_withdrawn(release, words),
            sources=manifest["inputs"],
            verdicts=[
                (verdict["status"], verdict[f"sentence_{language}"])
                for verdict in manifest["verdicts"]
            ],
            seed=words["method.seed"].format(
                seed=manifest["seed"], engine=manifest["engine"], version=manifest["inegnum"]
            ),
            css=Markup(asset("style.css")),
        )
    )
    try:
        out.write_text(html, "utf-8")
    except OSError as error:
        raise InputError(
            "the page cannot be written", where=str(out), got=error.strerror
        ) from error
    return out


def _outline(release: WideRelease, level: str) -> Outline:
    table = release.estimates
    rows = table[table["level"] == level] if release.geometry else table[:0]
    return outline(release.geometry, dict(zip(rows["geo"], rows["name"], strict=True)))


def _withdrawn(release: WideRelease, words: Phrases) -> list[tuple[str, ...]]:
    """Return what is withdrawn: indicator, area, day, reason."""
    table, communes = release.estimates, catalogue.table("communes")[0]
    pairs = table[["level", "geo", "name"]].itertuples(index=False, name=None)
    names = {(str(level), str(geo)): str(name) for level, geo, name in pairs}
    names |= {
        ("commune", geo): name for geo, name in zip(communes["geo"], communes["name"], strict=True)
    }

    def named(one: Mapping[str, Any]) -> str:
        levels = [one["level"]] if one["level"] else ["region", "department", "epci", "commune"]
        found = [names[level, one["geo"]] for level in levels if (level, one["geo"]) in names]
        return found[0] if found else words["changes.withdrawn_all"]

    return [
        (
            str(release.manifest["indicators"][one["indicator"]][f"label_{words.language}"]),
            named(one),
            str(one["date"]),
            words.typeset(str(one[f"reason_{words.language}"])),
        )
        for one in release.manifest.get("retractions", [])
    ]


def _section(code: str, label: str, release: WideRelease, words: Phrases) -> Section:
    rows = release.estimates[release.estimates["indicator"] == code]
    france = rows[rows["level"] == "france"].iloc[0]
    counted = release.shown[release.shown["indicator"] == code]
    level = release.manifest["scale"].get("drawn_level", "")
    edges = rate_breaks(rows.loc[rows["level"] == level, "est"].dropna().tolist())
    said = words["table.masked"]
    if france["class"] != "D":
        bounds = (float(france["lower"]), float(france["upper"]))
        said = words.rate_sentence(str(france["universe"]), float(france["est"]), bounds)
    return Section(
        label,
        f"France{words['wide.colon']} {said}",
        tuple(_line(row, words) for row in _at(rows, "region")),
        tuple(_line(row, words) for row in _at(rows, "department")),
        tuple(
            _counts(counted[counted["level"] == level], words[f"level.{level}"], words)
            for level in ("region", "department", "epci", "commune")
        ),
        tuple(
            _counts(part, words[f"wide.tier_{tier}"], words)
            for tier, part in counted[counted["level"] == "commune"].groupby("tier")
        ),
        tuple(_spot(row, edges, words) for row in _at(rows, level)),
        rate_legend(edges, words),
    )


def _spot(row: pd.Series, edges: list[float], words: Phrases) -> Spot:
    line = _line(row, words)
    if row["class"] == "D":
        said = f"{line.name}{words['wide.colon']} {words['table.masked']}"
        return Spot(str(row["geo"]), "none", "D", said)
    said = f"{line.name}{words['wide.colon']} {line.rate} ({line.interval})"
    return Spot(str(row["geo"]), rate_colour(float(row["est"]), edges), str(row["class"]), said)


def _at(rows: pd.DataFrame, level: str) -> list[pd.Series]:
    kept = rows[rows["level"] == level].sort_values("geo")
    return [row for _, row in kept.iterrows()]


def _line(row: pd.Series, words: Phrases) -> Line:
    named = str(row["name"]) if row["name"] != row["geo"] else f"{row['geo']}"
    if row["class"] == "D":
        return Line(named, words["table.masked"], "", words["class.D"], "", "")
    return Line(
        named,
        words.hundred(float(row["est"])),
        words.interval(float(row["lower"]), float(row["upper"])),
        words[f"class.{row['class']}"],
        words.people(float(row["people"])),
        words.short_gap(*(float(row[k]) for k in ("gap_france", "gap_lower", "gap_upper"))),
    )


def _counts(part: pd.DataFrame, name: str, words: Phrases) -> tuple[str, ...]:
    """Return areas in all, by class, and the share of persons who live where a figure is shown."""
    by_class = part.groupby("class")["areas"].sum()
    seen = part.loc[part["class"] != "D", "persons"].sum() / max(part["persons"].sum(), 1.0)
    classes = (words.integer(float(by_class.get(grade, 0))) for grade in "ABCD")
    return (name, words.integer(float(part["areas"].sum())), *classes, words.percent(float(seen)))
