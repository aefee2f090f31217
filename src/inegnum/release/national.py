"""The page of a wide territory: France, its regions and departments, and what could not be shown.

Model: none; the page repeats the table of levels in words and one table an indicator.
Limits: no map (the package has no outline of France) and no list of communes: they are in the
folder, by department.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from inegnum.release.pages import asset, environment
from inegnum.release.text import Phrases, phrases

__all__ = ["build_national"]


@dataclass(frozen=True, slots=True)
class Line:
    """One area in the table of an indicator, already in words."""

    name: str
    rate: str
    interval: str
    grade: str
    people: str


@dataclass(frozen=True, slots=True)
class Section:
    """One indicator."""

    label: str
    sentence: str
    regions: tuple[Line, ...]
    departments: tuple[Line, ...]
    levels: tuple[tuple[str, ...], ...]
    communes: tuple[tuple[str, ...], ...]


def build_national(
    folder: Path, estimates: pd.DataFrame, shown: pd.DataFrame, *, language: str, out: Path
) -> Path:
    """Write the page of a wide release.

    Parameters
    ----------
    folder : Path
        Release folder, its manifest written.
    estimates : DataFrame
        Rows of France, regions, departments and intercommunalities.
    shown : DataFrame
        ``level, indicator, tier, class, areas, persons``.
    language : {"fr", "en"}
    out : Path
    """
    from markupsafe import Markup

    words = phrases(language)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    study = manifest["study"]
    sections = [
        _section(code, note[f"label_{language}"], estimates, shown, words)
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
    out.write_text(html, "utf-8")
    return out


def _section(
    code: str, label: str, estimates: pd.DataFrame, shown: pd.DataFrame, words: Phrases
) -> Section:
    rows = estimates[estimates["indicator"] == code]
    france = rows[rows["level"] == "france"].iloc[0]
    counted = shown[shown["indicator"] == code]
    return Section(
        label,
        words.rate_sentence(
            str(france["universe"]), float(france["est"]), (france["lower"], france["upper"])
        ),
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
    )


def _at(rows: pd.DataFrame, level: str) -> list[pd.Series]:
    kept = rows[rows["level"] == level].sort_values("geo")
    return [row for _, row in kept.iterrows()]


def _line(row: pd.Series, words: Phrases) -> Line:
    named = str(row["name"]) if row["name"] != row["geo"] else f"{row['geo']}"
    if row["class"] == "D":
        return Line(named, words["table.masked"], "", words["class.D"], "")
    return Line(
        named,
        words.hundred(float(row["est"])),
        words.interval(float(row["lower"]), float(row["upper"])),
        words[f"class.{row['class']}"],
        words.people(float(row["people"])),
    )


def _counts(part: pd.DataFrame, name: str, words: Phrases) -> tuple[str, ...]:
    """Return areas in all, by class, and the share of persons who live where a figure is shown."""
    by_class = part.groupby("class")["areas"].sum()
    seen = part.loc[part["class"] != "D", "persons"].sum() / max(part["persons"].sum(), 1.0)
    classes = (words.integer(float(by_class.get(grade, 0))) for grade in "ABCD")
    return (name, words.integer(float(part["areas"].sum())), *classes, words.percent(float(seen)))
