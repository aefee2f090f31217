"""What the terminal shows: the catalogue, one record, findings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from inegnum.data import catalogue
from inegnum.data.catalogue import Finding
from inegnum.data.indicators import definitions
from inegnum.release.diff import Difference
from inegnum.release.text import Language, phrases
from inegnum.review.verdict import Status, Verdict, worst

__all__ = [
    "show_catalogue",
    "show_difference",
    "show_findings",
    "show_indicators",
    "show_record",
    "show_verdicts",
]


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


def show_indicators(language: Language) -> None:
    """Print the registry: code, family, label, wording, universe, denominator and waves."""
    words = phrases(language)
    table = Table(box=None, pad_edge=False)
    for heading in ("code", "family", "label", "wording", "universe", "denominator", "waves"):
        table.add_column(heading, overflow="fold")
    for known in definitions():
        one = known.indicator
        french = language == "fr"
        table.add_row(
            one.code,
            words[f"family.{one.family}"],
            one.fr if french else one.en,
            words.wording(one.wording),
            one.universe,
            one.denominator_fr if french else one.denominator_en,
            ", ".join(map(str, known.waves)),
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


def show_verdicts(verdicts: Sequence[Verdict]) -> Status:
    """Print one line a check and return the most severe status."""
    table = Table("check", "status", "found", "limit", "", box=None, pad_edge=False)
    for one in verdicts:
        table.add_row(
            one.check, one.status, f"{one.found:.3g}", f"{one.limit:.3g}", one.sentence_en
        )
    _console().print(table)
    return worst(verdicts)


def show_difference(difference: Difference) -> None:
    """Print the causes of a revision, then the figures that moved beyond Monte-Carlo error."""
    console = _console()
    for cause in difference.causes:
        console.print(f"{cause.kind}: {cause.what}: {cause.old} -> {cause.new}")
    if difference.causes:
        console.print(f"revisions come from: {difference.attribution}")
    else:
        console.print("same study, inputs, versions and seed")
    moved = difference.table[difference.table["beyond_monte_carlo"].fillna(value=False)]
    other = difference.table[difference.table["status"] != "both"]
    table = Table("figure", "old", "new", "change", "Prob(change)", box=None, pad_edge=False)
    for row in moved.to_dict("records"):
        table.add_row(
            f"{row['indicator']}, {row['name']}",
            f"{100 * row['old_est']:.0f}",
            f"{100 * row['new_est']:.0f}",
            f"{100 * row['change']:+.1f} ({100 * row['lower']:+.1f} to {100 * row['upper']:+.1f})",
            f"{row['p_change']:.2f}",
        )
    console.print(f"{len(moved)} of {len(difference.table)} figures moved beyond Monte-Carlo error")
    if len(moved):
        console.print(table)
    for status, rows in other.groupby("status"):
        console.print(f"{status}: {len(rows)} figures")


def show_findings(findings: Sequence[Finding]) -> None:
    """Print what is wrong with the reference data, one line a finding."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for finding in findings:
        parts = [f"{finding.name}: {finding.problem}"]
        parts += [f"got {finding.got}"] if finding.got else []
        parts += [f"expected {finding.expected}"] if finding.expected else []
        console.print("; ".join(parts))
