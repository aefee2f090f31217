"""What the terminal shows: the catalogue, one record, findings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from inegnum.data import catalogue
from inegnum.data.catalogue import Finding

__all__ = ["show_catalogue", "show_findings", "show_record"]


def _console() -> Console:
    # A pipe gets whole lines, a terminal its own width.
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


def show_catalogue() -> None:
    """Print one line a table: name, role, universe, vintage, licence, producer and title."""
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "role", "universe", "vintage", "licence", "producer", "title"):
        table.add_column(heading, overflow="fold")
    for source in catalogue.sources():
        table.add_row(
            source.name,
            source.role,
            source.universe,
            source.vintage,
            source.licence,
            source.producer,
            source.title,
        )
    _console().print(table)


def show_record(name: str) -> None:
    """Print the record of one table, its caveats, its columns and its first rows."""
    record = catalogue.record(name)
    source = record.source
    console = _console()
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for label, value in (
        ("name", source.name),
        ("title", source.title),
        ("producer", source.producer),
        ("address", source.address),
        ("licence", source.licence),
        ("role", source.role),
        ("universe", source.universe),
        ("unit", source.unit),
        ("vintage", source.vintage),
        ("geography", source.geo_vintage or "none"),
        ("rows", f"{record.rows:,}"),
        ("sha256", source.sha256),
        ("transformation", source.transformation),
    ):
        facts.add_row(label, value)
    console.print(facts)
    for caveat in record.caveats_en:
        console.print(f"caveat: {caveat}")
    columns = Table("column", "type", "meaning", box=None, pad_edge=False)
    for column in record.columns:
        columns.add_row(column.name, column.kind, column.en)
    console.print()
    console.print(columns)
    if not record.file.endswith(".geojson"):
        head, _ = catalogue.table(name)
        console.print()
        console.print(head.head(5).to_string(index=False), soft_wrap=True)


def show_findings(findings: Sequence[Finding]) -> None:
    """Print what is wrong with the reference data, one line a finding."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for finding in findings:
        parts = [f"{finding.name}: {finding.problem}"]
        parts += [f"got {finding.got}"] if finding.got else []
        parts += [f"expected {finding.expected}"] if finding.expected else []
        console.print("; ".join(parts))
