"""The difference of two releases as one page that stands alone."""

from __future__ import annotations

from pathlib import Path

from inegnum.errors import InputError
from inegnum.release.changes import change_rows
from inegnum.release.pages import asset, environment
from inegnum.release.read import read_release
from inegnum.release.text import Language, phrases

__all__ = ["write_difference"]


def write_difference(old: Path, new: Path, out: Path, *, language: Language = "fr") -> Path:
    """Write what changed between two releases, how surely and from which cause, and return `out`.

    Parameters
    ----------
    old, new : Path
        Release folders of one territory.
    out : Path
        HTML file; it needs no network and no other file.
    language : {"fr", "en"}

    Raises
    ------
    ProvenanceError, InputError
        As `compare_releases`, or the file cannot be written.
    """
    from markupsafe import Markup

    words = phrases(language)
    after = read_release(new)
    page = (
        environment()
        .get_template("diff.html.j2")
        .render(
            t=words,
            territory=after.territory.name,
            css=Markup(asset("style.css")),
            seed=words["method.seed"].format(
                seed=after.manifest["seed"],
                engine=after.manifest["engine"],
                version=after.manifest["inegnum"],
            ),
            **change_rows(old, new, words),
        )
    )
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(
            "the page cannot be written", where=str(out), got=error.strerror
        ) from error
    return out
