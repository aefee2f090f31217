"""The command line: words in, one call to the library, exit code out.

Exit codes: 0 done, 1 a check failed, 2 something asked for cannot be done (one message says what,
where, got, expected, what to do), 130 interrupted.
"""

from __future__ import annotations

import sys
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
OutFolder = Annotated[Path, typer.Option("--out", help="Release folder to write.")]
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
    out: OutFolder,
    lang: Language = "fr",
    replace: Annotated[bool, typer.Option(help="Replace an earlier release.")] = False,
    excel_fr: Annotated[bool, typer.Option(help="Also write a CSV for French Excel.")] = False,
) -> None:
    """Estimate a study and write its release folder, whole or not at all."""
    from inegnum.study import run_to_folder

    typer.echo(run_to_folder(study, out, language=lang, replace=replace, excel_fr=excel_fr))


@data.command("list")
def data_list() -> None:
    """List the tables: name, role, universe, vintage, licence, producer and title."""
    from inegnum.release.console import show_catalogue

    show_catalogue()


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
