"""The command line: words in, one call to the library, exit code out.

Exit codes: 0 done, 1 a check failed, 2 something asked for cannot be done (one message says what,
where, got, expected, what to do), 130 interrupted.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from inegnum import __version__
from inegnum.errors import InegnumError

app = typer.Typer(
    name="inegnum",
    help="Local statistics on digital inequality, with honest uncertainty.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="The shipped reference data: catalogue, records, hashes.")
app.add_typer(data, name="data", no_args_is_help=True)

StudyPath = Annotated[
    Path, typer.Argument(help="A study file (TOML), or the name of a shipped study.")
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Release folder to write.", show_default="releases/NAME of the study"
    ),
]
Language = Annotated[Literal["fr", "en"], typer.Option("--lang", help="fr or en.")]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"inegnum {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Local statistics on digital inequality, with honest uncertainty."""


@app.command("run")
def run_command(
    study: StudyPath,
    out: OutFolder = None,
    lang: Language = "fr",
    replace: Annotated[bool, typer.Option(help="Replace an earlier release.")] = False,
    excel_fr: Annotated[bool, typer.Option(help="Also write a CSV for French Excel.")] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Dask scheduler for regions or all of France: an address, or local."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes for regions or all of France.")
    ] = None,
) -> None:
    """Estimate a study, write its release folder.

    The folder is written whole or not at all.
    """
    from inegnum.study import find_study, run_to_folder

    found = find_study(study)
    folder = out or Path("releases") / found.name
    said = run_to_folder(
        found,
        folder,
        language=lang,
        replace=replace,
        excel_fr=excel_fr,
        scheduler=scheduler,
        workers=workers,
    )
    typer.echo(said)
    typer.echo(folder / "report.html")


@app.command("new")
def new_command(
    epci: Annotated[str, typer.Option(help="EPCI code, for instance 243500139.")] = "",
    department: Annotated[str, typer.Option(help="Department code, for instance 33.")] = "",
    communes: Annotated[
        list[str] | None,
        typer.Option(
            help="Commune codes, comma-separated or repeated: 33063,33249.", metavar="CODES"
        ),
    ] = None,
    year: Annotated[
        int, typer.Option(help="Year the figures are about: one of the municipal populations.")
    ] = 2022,
    out: Annotated[Path, typer.Option("--out", help="Study file to write.")] = Path("study.toml"),
) -> None:
    """Write a commented study file for a territory."""
    from inegnum.study.new import new_study

    listed = [code.strip() for text in communes or [] for code in text.split(",")]
    if [bool(epci), bool(department), bool(listed)].count(True) != 1:
        raise typer.BadParameter("give one of --epci, --department and --communes")
    kind: Literal["epci", "department", "communes"]
    kind = "epci" if epci else "department" if department else "communes"
    path = new_study(listed or epci or department, kind=kind, year=year, out=out)
    typer.echo(f"{path}: run it with `inegnum run {path}`")


@app.command("report")
def report_command(
    release: Annotated[Path, typer.Argument(help="A release folder.")],
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")] = Path("report.html"),
    lang: Language = "fr",
) -> None:
    """Write the page of a release again, in either language."""
    from inegnum.release.report import build_report

    typer.echo(build_report(release, language=lang, out=out))


@app.command("publish")
def publish_command(
    release: Annotated[Path, typer.Argument(help="A release folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the site.")] = Path("site"),
    previous: Annotated[
        Path | None, typer.Option(help="The release before, for the change log.")
    ] = None,
    places: Annotated[
        Path | None, typer.Option(help="Mediation places, in the national schema.")
    ] = None,
    places_source: Annotated[str, typer.Option(help="Who publishes them.")] = "",
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Day on which stale places are judged.", metavar="YYYY-MM-DD"
        ),
    ] = None,
) -> None:
    """Make a static site of a release.

    It needs no server; it is in French and English.
    """
    from inegnum.release.site import publish
    from inegnum.release.supply import read_places

    if bool(places) != bool(places_source):
        raise typer.BadParameter("give --places and --places-source together, or neither")
    supply = None if places is None else read_places(places, source=places_source)
    day = None if as_of is None else as_of.date()
    site = publish(release, out=out, supply=supply, previous=previous, as_of=day)
    typer.echo(site / "index.html")


@app.command("diff")
def diff_command(
    old: Annotated[Path, typer.Argument(help="An earlier release folder.")],
    new: Annotated[Path, typer.Argument(help="A later release folder.")],
    out: Annotated[Path | None, typer.Option("--out", help="CSV file to write.")] = None,
    html: Annotated[Path | None, typer.Option(help="Page to write, whole in one file.")] = None,
    lang: Language = "fr",
) -> None:
    """Say what changed between two releases.

    How surely, and whether data, model, software or a retraction is the cause.
    """
    from inegnum.release.console import show_difference
    from inegnum.release.diff import compare_releases

    difference = compare_releases(old, new, language=lang)
    show_difference(difference)
    if out is not None:
        difference.table.to_csv(out, index=False, lineterminator="\n")
    if html is not None:
        from inegnum.release.diff_page import write_difference

        typer.echo(write_difference(old, new, html, language=lang))


@app.command("rerun")
def rerun_command(
    manifest: Annotated[Path, typer.Argument(help="A release folder, or its manifest.json.")],
    files: Annotated[
        Path, typer.Option(help="Folder of the files the study names: imports, events, shapes.")
    ] = Path(),
) -> None:
    """Run a release again and compare the bytes.

    Exit code 1 when an input or a byte differs; what differs is named.
    """
    from inegnum.study.rerun import rerun

    findings = rerun(manifest, files=files)
    for finding in findings:
        typer.echo(finding, err=True)
    if findings:
        raise typer.Exit(1)
    typer.echo("the same bytes")


@app.command("validate")
def validate_command(
    release: Annotated[
        Path | None, typer.Argument(help="A release folder; the method itself without one.")
    ] = None,
    level: Annotated[Literal["quick", "full"], typer.Option(help="quick or full.")] = "quick",
    out: Annotated[Path, typer.Option("--out", help="Folder of the results.")] = Path("validation"),
    against: Annotated[
        Path | None, typer.Option(help="A reference release whose figures must not move unsaid.")
    ] = None,
) -> None:
    """Put estimates to the test of known truth.

    Exit code 1 when a check fails.
    """
    from inegnum.release.console import show_verdicts
    from inegnum.review.ladder import validate

    ladder = validate(release, level=level, out=out, against=against)
    if show_verdicts(ladder.verdicts) == "fail":
        raise typer.Exit(1)


@app.command("fetch")
def fetch_command(
    source: Annotated[str, typer.Argument(help="A name from the list of addresses.")],
    folder: Annotated[Path, typer.Option("--to", help="Folder to download into.")] = Path(),
    accept_change: Annotated[bool, typer.Option(help="Accept a file that changed.")] = False,
) -> None:
    """Download an official file, locked by its hash."""
    from inegnum.data.fetch import fetch

    found = fetch(source, folder, accept_change=accept_change)
    state = "downloaded" if found.downloaded else "already there, unchanged"
    typer.echo(f"{found.path}: {state}, sha256 {found.sha256}")


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="An official file as downloaded.")],
    out: Annotated[Path, typer.Option("--out", help="Tidy CSV file to write.")],
    year: Annotated[
        int | None, typer.Option(help="Millésime, when the file does not carry it.")
    ] = None,
    department: Annotated[
        list[str] | None,
        typer.Option(help="Department to keep of a detail file; may be repeated.", metavar="CODE"),
    ] = None,
) -> None:
    """Read an official file into tidy rows.

    Census bases, detailed tables and detail file, Filosofi, Baromètre: as downloaded.
    """
    from inegnum.data.importers import read_file
    from inegnum.data.imports import write_import

    found = read_file(file, year=year, departments=tuple(department or ()))
    record = write_import(found, out)
    typer.echo(f"{out}: {found.kind} {found.year}, {len(found.table):,} rows from {found.file}")
    typer.echo(f"{record}: what it was read from; keep both, a study names the first")
    for note in found.notes:
        typer.echo(f"note: {note}")


@data.command("list")
def data_list() -> None:
    """List the tables.

    Name, role, universe, vintage, licence, producer and title.
    """
    from inegnum.release.console import show_catalogue

    show_catalogue()


@data.command("indicators")
def data_indicators(lang: Language = "fr") -> None:
    """List the indicators.

    Code, family, label, wording, universe, denominator and waves.
    """
    from inegnum.release.console import show_indicators

    show_indicators(lang)


@data.command("show")
def data_show(name: Annotated[str, typer.Argument(help="A name from `data list`.")]) -> None:
    """Print the record of one table and its first rows."""
    from inegnum.release.console import show_record

    show_record(name)


@data.command("verify")
def data_verify() -> None:
    """Check the hash of every shipped table."""
    from inegnum.data import catalogue
    from inegnum.release.console import show_findings

    findings = catalogue.verify()
    if findings:
        show_findings(findings)
        raise typer.Exit(2)
    typer.echo(f"{len(catalogue.names())} tables are what their records say")


def main() -> None:
    """Run the command line; errors of the library become one message and exit code 2."""
    try:
        app()
    except InegnumError as error:
        typer.echo(f"inegnum: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("inegnum: interrupted; nothing was written", err=True)
        sys.exit(130)
