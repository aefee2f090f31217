"""The observatory as a static site: pages, downloads and scripts that need no server.

``publish`` turns a release folder into a folder that any web host, or a USB stick, can hold. Pages
are rendered once per language; nothing is fetched when they are read. Figures of class D are in no
page, no script and no download.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from inegnum.errors import InputError
from inegnum.release.areas import area_block, area_names, level_outline
from inegnum.release.changes import change_rows
from inegnum.release.commune import Sheets
from inegnum.release.compare import LocalDraws, every_difference, local_draws
from inegnum.release.downloads import write_downloads
from inegnum.release.geo import Outline
from inegnum.release.graph import provenance_graph
from inegnum.release.groups import rows_by_area
from inegnum.release.needs import supply_rows
from inegnum.release.pages import (
    METRICS,
    asset,
    bubbles,
    cards_by_family,
    environment,
    lead_counts,
    opening,
)
from inegnum.release.profile import profiles_of
from inegnum.release.read import Release, read_release
from inegnum.release.report import Block, block, verdict_rows, verdict_summary
from inegnum.release.supply import Supply, reference_supply
from inegnum.release.text import Phrases, phrases
from inegnum.release.together import change_view, family_view
from inegnum.release.view import rate_and_interval

__all__ = ["PAGES", "publish"]

PAGES: Final = ("index", "iris", "compare", "supply", "data", "method", "glossary", "changes")
ASSETS: Final = ("style.css", "pages.js", "compare.js")


@dataclass(frozen=True, slots=True)
class Context:
    """What every page of one language shares."""

    release: Release
    words: Phrases
    languages: tuple[str, ...]
    outline: Outline
    iris: Outline | None
    blocks: tuple[Block, ...]
    local: dict[str, LocalDraws]
    whole: dict[str, LocalDraws]
    supply: Supply | None
    as_of: date
    downloads: tuple[tuple[str, str], ...]


def publish(
    release: Path,
    *,
    out: Path,
    languages: Sequence[str] = ("fr", "en"),
    supply: Supply | None = None,
    previous: Path | None = None,
    as_of: date | None = None,
) -> Path:
    """Write the observatory's site.

    Parameters
    ----------
    release : Path
        Folder written by ``inegnum run``.
    out : Path
        Folder to write; it must not exist, or be a site written before.
    languages : sequence of {"fr", "en"}
        The first one opens.
    supply : Supply, optional
        Places of mediation; the package's own when it knows the territory, none otherwise.
    previous : Path, optional
        The release before this one, for the change log.
    as_of : date, optional
        Day on which the age of a record of supply is judged; today by default.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ProvenanceError, PublicationError
        A folder is not a whole and unchanged release.
    InputError
        A language is unknown, or `out` holds something else than a site.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from tempfile import TemporaryDirectory
    >>> from inegnum.study.folder import find_study, run_to_folder
    >>> study = find_study("bordeaux-metropole-2022")
    >>> quick = replace(
    ...     study,
    ...     indicators=("smartphone",),
    ...     languages=("en",),
    ...     territory=replace(study.territory, epci=None, communes=("33063", "33249")),
    ...     frame=replace(study.frame, draws=2),
    ...     model=replace(study.model, draws=400, history=()),
    ...     quality=replace(study.quality, variants=False),
    ... )
    >>> with TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     _ = run_to_folder(quick, folder / "release", language="en")
    ...     site = publish(folder / "release", out=folder / "site", languages=("en",))
    ...     len(sorted(site.glob("en/communes/*.html")))
    2
    """
    every = tuple(phrases(language) for language in languages)
    _refuse_other_folder(out)
    read = read_release(release)
    chosen = supply if supply is not None else reference_supply(list(area_names(read)))
    draws = read.draws()
    local = {code: local_draws(draws, code) for code in read.indicators}
    whole = {code: local_draws(draws, code, "epci") for code in read.indicators}
    shapes = level_outline(read)
    below = level_outline(read, "iris") if area_names(read, "iris") else None
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".site-") as temporary:
        folder = Path(temporary) / "site"
        files = write_downloads(read, folder / "downloads")
        sizes = tuple((name, _size(folder / "downloads" / name)) for name in files)
        _write_assets(folder, read, local)
        for words in every:
            context = Context(
                release=read,
                words=words,
                languages=tuple(languages),
                outline=shapes,
                iris=below,
                blocks=_blocks(read, words),
                local=local,
                whole=whole,
                supply=chosen,
                as_of=as_of or date.today(),
                downloads=sizes,
            )
            _write_language(folder / words.language, context, change_rows(previous, release, words))
        _write_door(folder, languages[0], every[0])
        if out.exists():
            shutil.rmtree(out)
        shutil.move(folder, out)
    return out


def _refuse_other_folder(out: Path) -> None:
    if out.exists() and not (out / "assets" / "pages.js").is_file():
        raise InputError(
            "the folder to write holds something else than a site",
            where=str(out),
            expected="a folder that does not exist, or a site written before",
            hint="choose another folder: publishing replaces it whole",
        )


def _blocks(release: Release, words: Phrases) -> tuple[Block, ...]:
    codes = [one.code for _, cards in cards_by_family(release, words) for one in cards]
    return tuple(block(release, code, words) for code in codes)


def _size(path: Path) -> str:
    return f"{max(round(path.stat().st_size / 1024), 1)}"


def _write_assets(folder: Path, release: Release, local: dict[str, LocalDraws]) -> None:
    assets = folder / "assets"
    assets.mkdir()
    for name in ASSETS:
        (assets / name).write_text(asset(name), "utf-8")
    pairs = {
        code: {
            f"{a}|{b}": [round(v * 1000) for v in (gap.est, gap.lower, gap.upper, gap.p_above)]
            for (a, b), gap in every_difference(draws, prob=release.prob).items()
        }
        for code, draws in local.items()
    }
    text = json.dumps(pairs, separators=(",", ":"))
    (assets / "differences.js").write_text(f"window.INEGNUM_DIFFERENCES={text};\n", "utf-8")


def _write_door(folder: Path, language: str, words: Phrases) -> None:
    html = environment().get_template("door.html.j2").render(t=words, language=language)
    (folder / "index.html").write_text(html, "utf-8")


def _write_language(folder: Path, context: Context, changes: dict[str, Any]) -> None:
    (folder / "communes").mkdir(parents=True)
    engine = environment()
    shared = _shared(context)
    for page in PAGES:
        if page == "iris" and context.iris is None:
            continue
        given = _page(page, context, changes)
        html = engine.get_template(f"{page}.html.j2").render(
            **{**shared, **given}, page=page, root="../", here=""
        )
        (folder / f"{page}.html").write_text(html, "utf-8")
    sheets = Sheets(
        context.release,
        context.words,
        context.local,
        profiles_of(context.release.profiles),
        context.supply,
        context.as_of,
        rows_by_area(context.release.profiles),
    )
    template = engine.get_template("commune.html.j2")
    for shape in context.outline.shapes:
        html = template.render(
            **shared,
            sheet=sheets.sheet(shape),
            page=f"communes/{shape.geo}",
            root="../../",
            here="../",
        )
        (folder / "communes" / f"{shape.geo}.html").write_text(html, "utf-8")


def _shared(context: Context) -> dict[str, Any]:
    """Return what every template is given."""
    release, words = context.release, context.words
    families = cards_by_family(release, words)
    codes = [one.code for _, cards in families for one in cards]
    return {
        "t": words,
        "languages": context.languages,
        "pages": PAGES,
        "territory": release.territory.name,
        "title": words["page.title"].format(
            territory=release.territory.name, year=int(release.estimates["year"].max())
        ),
        "prob": round(release.prob * 100),
        "simulated": release.simulated,
        "families": families,
        "first": opening(codes),
        "outline": context.outline,
        "metrics": METRICS,
        "iris": {geo[:5] for geo in area_names(release, "iris")},
        "at": "",
        "blocks": context.blocks,
        "communes": sorted(context.blocks[0].view.areas, key=lambda area: area.name),
        "seed": words["method.seed"].format(
            seed=release.manifest["seed"],
            engine=release.manifest["engine"],
            version=release.manifest["inegnum"],
        ),
    }


def _page(page: str, context: Context, changes: dict[str, Any]) -> dict[str, Any]:
    """Return what one page needs beside what all share."""
    release, words = context.release, context.words
    if page == "index":
        codes = [block.view.code for block in context.blocks]
        return {
            "lead_counts": lead_counts(release, words),
            "levels": True,
            "links": "communes/",
            "grouped": family_view(release, words),
            "since": change_view(release, words, opening(codes)),
        }
    if page == "iris":
        return _iris(context)
    if page == "compare":
        return {"texts": _compare_texts(context)}
    if page == "supply":
        return _supply(context)
    if page == "data":
        return {
            "sources": release.manifest["inputs"],
            "graph": provenance_graph(
                release.manifest["inputs"], release.manifest["reference"], words
            ),
            "downloads": context.downloads,
        }
    if page == "method":
        return {
            "verdicts": verdict_rows(release, words),
            "verdict_summary": verdict_summary(release, words),
            "sources": release.manifest["inputs"],
            "notes": [(b.view, _left_out(release, b.view.code, words)) for b in context.blocks],
        }
    if page == "glossary":
        keys = [key for key in words if key.startswith("glossary.") and key.endswith(".term")]
        terms = [(words[key], words[key.replace(".term", ".text")]) for key in keys]
        return {"terms": sorted(terms, key=lambda pair: pair[0].lower())}
    return changes


def _iris(context: Context) -> dict[str, Any]:
    """Return the map page of neighbourhoods, masked ones drawn as masked."""
    release, words = context.release, context.words
    return {
        "outline": context.iris,
        "blocks": [area_block(release, b.view.code, words, "iris") for b in context.blocks],
        "lead_counts": lead_counts(release, words, "iris"),
        "levels": False,
        "links": "",
        "at": "_iris",
    }


def _left_out(release: Release, code: str, words: Phrases) -> str:
    """Say what the run left out of an indicator and why."""
    notes = release.manifest.get("indicator_notes", {}).get(code, [])
    return f"{words['list.separator']} ".join(words.told(note).rstrip(".") for note in notes)


def _compare_texts(context: Context) -> dict[str, Any]:
    """Return the words the comparison script needs, as data of the page."""
    release, words = context.release, context.words
    keys = ("difference", "unclear", "clear", "hidden", "same")
    chances = ("hardly", "almost", "one", "of_ten")
    rows = {
        code: {
            str(row["geo"]): rate_and_interval(row, words)
            for _, row in release.at("commune", code).iterrows()
        }
        for code in release.indicators
    }
    return {
        "phrases": {key: words[f"compare.{key}"] for key in keys}
        | {f"chances_{key}": words[f"chances.{key}"] for key in chances}
        | {"gap": words["gap.value"], "gap_one": words["gap.value_one"]},
        "indicators": [[b.view.code, b.view.label] for b in context.blocks],
        "rates": rows,
    }


def _supply(context: Context) -> dict[str, Any]:
    if context.supply is None:
        return {"supply": None}
    located = [p for p in context.supply.places if p.longitude is not None]
    spots = context.outline.spots(
        [(float(p.longitude or 0), float(p.latitude or 0)) for p in located]
    )
    drawn = [
        (x, y, place.name, place.stale(context.as_of))
        for (x, y), place in zip(spots, located, strict=True)
        if 4 <= x <= context.outline.width - 4 and 4 <= y <= context.outline.height - 4
    ]
    rows = {
        b.view.code: supply_rows(
            context.release,
            b.view.code,
            context.words,
            supply=context.supply,
            shapes=context.outline.shapes,
            local={"commune": context.local[b.view.code], "epci": context.whole[b.view.code]},
            as_of=context.as_of,
        )
        for b in context.blocks
    }
    return {
        "supply": context.supply,
        "drawn": drawn,
        "rows": rows,
        "radii": {b.view.code: bubbles(b.view.areas) for b in context.blocks},
        "as_of": context.as_of.isoformat(),
        "counted": bool(context.supply.counsellors),
    }
