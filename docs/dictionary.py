"""The data dictionary page, written from the registries so that it cannot lag behind them."""

from __future__ import annotations

from pathlib import Path

from inegnum.data import catalogue
from inegnum.data.codebook import AXES
from inegnum.data.indicators import definitions
from inegnum.estimates.change import CHANGE_COLUMNS
from inegnum.estimates.families import FAMILY_COLUMNS
from inegnum.estimates.profiles import COLUMNS
from inegnum.release.downloads import FIELDS, GROUP_FIELDS, MEANINGS

HEAD = """# Data dictionary

Written when the documentation is built, from the indicator registry, the codebook and the records
of the reference tables.
"""


def _row(*cells: object) -> str:
    return (
        "| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ") for cell in cells) + " |"
    )


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    return [_row(*head), _row(*["---"] * len(head)), *[_row(*row) for row in rows], ""]


def write_dictionary(path: Path) -> None:
    """Write the page."""
    lines = [HEAD, "## Columns of a release (`estimates.csv`)", ""]
    lines += _table(("column", "what it holds"), [(f"`{k}`", v) for k, v in FIELDS.items()])
    lines += ["## Columns of the groups of residents (`profiles.csv`)", ""]
    meanings = {**FIELDS, **GROUP_FIELDS}
    lines += _table(("column", "what it holds"), [(f"`{k}`", meanings[k]) for k in COLUMNS])
    for name, columns in (("change.csv", CHANGE_COLUMNS), ("families.csv", FAMILY_COLUMNS)):
        lines += [f"## Columns of `{name}`", ""]
        held = MEANINGS[name]
        lines += _table(("column", "what it holds"), [(f"`{k}`", held[k]) for k in columns])
    lines += ["## Indicators", ""]
    entries = [entry.indicator for entry in definitions()]
    lines += _table(
        ("code", "family", "label", "universe", "in the denominator", "direction"),
        [
            (f"`{i.code}`", i.family, i.en, i.universe, i.denominator_en, f"{i.direction:+d}")
            for i in entries
        ],
    )
    lines += ["## Codebook", ""]
    for axis in AXES.values():
        lines += [f"### {axis.name}", ""]
        rows: list[tuple[object, ...]] = [
            (f"`{level}`", en, fr)
            for level, en, fr in zip(axis.levels, axis.en, axis.fr, strict=True)
        ]
        lines += _table(("level", "English", "French"), rows)
    lines += ["## Reference tables", ""]
    for name in catalogue.names():
        lines += _record(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _record(name: str) -> list[str]:
    record = catalogue.record(name)
    source = record.source
    lines = [f"### {name}", "", f"{source.producer}, *{source.title}* ({source.vintage}).", ""]
    lines += _table(
        ("universe", "unit", "licence", "role"),
        [(source.universe, source.unit, source.licence, source.role)],
    )
    lines += [f"- {caveat}" for caveat in record.caveats_en]
    lines += [""]
    if record.columns:
        rows: list[tuple[object, ...]] = [(f"`{c.name}`", c.kind, c.en) for c in record.columns]
        lines += _table(("column", "type", "what it holds"), rows)
    return lines
