"""One page, one file, no connection: what a release says, and what it must not be made to say.

Model: none; the page repeats the figures of a release folder in words, maps and charts.
Assumptions: the folder is whole and unchanged (`read_release` refuses it otherwise).
Limits: communes only; figures of class D are not in the page at all, not even hidden in it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from inegnum.errors import InputError
from inegnum.release.areas import area_block, level_outline
from inegnum.release.cards import CardView, card, nation_rate
from inegnum.release.changes import withdrawn_rows
from inegnum.release.charts import Band, dots, stairs
from inegnum.release.national import build_national
from inegnum.release.opened import is_wide, manifest_of
from inegnum.release.pages import (
    METRICS,
    asset,
    cards_by_family,
    environment,
    lead_counts,
    opening,
)
from inegnum.release.read import Release, read_release
from inegnum.release.text import Phrases, phrases
from inegnum.release.together import change_view, family_view
from inegnum.release.view import IndicatorView, ReferenceView, reference_views

__all__ = ["Block", "block", "build_report", "verdict_rows", "verdict_summary"]


@dataclass(frozen=True, slots=True)
class Block:
    """Everything the page draws for one indicator."""

    view: IndicatorView
    card: CardView
    radii: dict[str, float]
    dots: str
    stairs: str
    stairs_rows: tuple[tuple[str, ...], ...]
    variants: str
    variants_rows: tuple[tuple[str, ...], ...]
    spread: str
    references: tuple[ReferenceView, ...]
    tau: str
    tau_origin: str


def build_report(release: Path, *, language: str, out: Path) -> Path:
    """Write the report of a release folder as one HTML file.

    Parameters
    ----------
    release : Path
        Folder written by ``inegnum run``.
    language : {"fr", "en"}
        Language of the page.
    out : Path
        File to write; its folder must exist.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ProvenanceError, PublicationError
        The folder is not a whole and unchanged release.
    InputError
        There is no text in this language, or the file cannot be written.
    """
    words = phrases(language)
    if not out.parent.is_dir():
        raise InputError(
            "the page cannot be written",
            where=str(out),
            got="its folder does not exist",
            hint="give a file name in a folder that exists and can be written",
        )
    if is_wide(manifest_of(release)):
        return build_national(release, language=language, out=out)
    html = render(read_release(release), words)
    partial = out.with_name(out.name + ".part")
    try:
        partial.write_text(html, "utf-8")
        partial.replace(out)
    except OSError as error:
        raise InputError(
            "the page cannot be written",
            where=str(out),
            got=error.strerror,
            hint="give a file name in a folder that exists and can be written",
        ) from error
    return out


def render(release: Release, words: Phrases) -> str:
    """Return the page's HTML."""
    from markupsafe import Markup

    families = cards_by_family(release, words)
    codes = [one.code for _, cards in families for one in cards]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            t=words,
            title=words["page.title"].format(territory=release.territory.name, year=_year(release)),
            territory=release.territory.name,
            prob=round(release.prob * 100),
            simulated=release.simulated,
            lead_counts=lead_counts(release, words),
            families=families,
            first=opening(codes),
            blocks=[block(release, code, words) for code in codes],
            outline=level_outline(release),
            grouped=family_view(release, words),
            since=change_view(release, words, opening(codes)),
            withdrawn=withdrawn_rows(release, words),
            verdicts=verdict_rows(release, words),
            verdict_summary=verdict_summary(release, words),
            sources=release.manifest["inputs"],
            seed=words["method.seed"].format(
                seed=release.manifest["seed"],
                engine=release.manifest["engine"],
                version=release.manifest["inegnum"],
            ),
            css=Markup(asset("style.css")),
            js=Markup(asset("pages.js")),
            levels=False,
            at="",
            metrics=METRICS,
            iris=(),
            links="",
        )
    )


def block(release: Release, code: str, words: Phrases) -> Block:
    """Return everything one indicator needs."""
    areas = area_block(release, code, words)
    nation = nation_rate(release, code)
    steps = _steps(release, code, words)
    references = reference_views(release, code, words)
    variants = _variants(release, code, words)
    return Block(
        view=areas.view,
        card=card(release, code, words),
        radii=areas.radii,
        dots=areas.dots,
        stairs="" if steps.empty else stairs(steps),
        stairs_rows=tuple(map(tuple, steps[["name", "rate", "text", "span"]].to_numpy().tolist())),
        variants=dots(variants, Band(None, None, nation), hidden=words["table.masked"]),
        variants_rows=_variants_rows(variants, words),
        spread=_spread(variants, words),
        references=references,
        tau=_tau(release, code, words),
        tau_origin=_tau_origin(release, code, words),
    )


def _year(release: Release) -> int:
    return int(release.estimates["year"].max())


def _steps(release: Release, code: str, words: Phrases) -> pd.DataFrame:
    table = release.decomposition
    rows = table[table["indicator"] == code].reset_index(drop=True)
    start = (rows["est"] - rows["delta"]).where(rows["step"] != "france", rows["est"])
    return pd.DataFrame(
        {
            "name": [words[f"step.{step}"] for step in rows["step"]],
            "start": start.astype(float),
            "end": rows["est"].astype(float),
            "rate": [words.hundred(v) for v in rows["est"]],
            "text": [
                words.hundred(est) if step == "france" else words.points(delta)
                for step, est, delta in zip(rows["step"], rows["est"], rows["delta"], strict=True)
            ],
            "span": [
                ""
                if step == "france"
                else words["why.span"].format(lower=words.points(lo), upper=words.points(up))
                for step, lo, up in zip(rows["step"], rows["lower"], rows["upper"], strict=True)
            ],
        }
    )


def _variants(release: Release, code: str, words: Phrases) -> pd.DataFrame:
    """Return the published result, its variants, then figures published elsewhere."""
    whole = release.whole(code)
    hidden = whole["class"] == "D"
    first = {
        "name": words["sensitivity.published"],
        **{key: float(whole[key]) for key in ("est", "lower", "upper")},
        "kind": "hidden" if hidden else "solid",
    }
    table = release.variants
    rows = table[table["indicator"] == code]
    label = f"label_{words.language}"
    # A masked territory's variants would give away what the mask withholds.
    others = [
        {"name": row[label], "est": row["est"], "lower": row["lower"], "upper": row["upper"]}
        | {"kind": "hidden" if hidden else "hollow"}
        for _, row in rows.iterrows()
    ]
    elsewhere: list[dict[str, Any]] = [
        {
            "name": words["sensitivity.elsewhere"].format(year=entry["year"]),
            "est": float(entry["value"]),
            "lower": None,
            "upper": None,
            "kind": "diamond",
        }
        for entry in release.manifest["reference"]
        if entry["indicator"] == code
    ]
    frame = pd.DataFrame([first, *others, *elsewhere])
    frame.loc[frame["kind"] == "hidden", ["est", "lower", "upper"]] = float("nan")
    return frame


def _variants_rows(variants: pd.DataFrame, words: Phrases) -> tuple[tuple[str, ...], ...]:
    rows: list[tuple[str, ...]] = []
    for row in variants.to_dict("records"):
        if row["kind"] == "hidden":
            rows.append((str(row["name"]), words["table.masked"], ""))
        else:
            bare = row["kind"] == "diamond"
            interval = "" if bare else words.interval(float(row["lower"]), float(row["upper"]))
            rows.append((str(row["name"]), words.hundred(float(row["est"])), interval))
    return tuple(rows)


def _spread(variants: pd.DataFrame, words: Phrases) -> str:
    ours = variants[variants["kind"].isin(["solid", "hollow"])]["est"]
    if ours.empty:
        return ""
    return words["sensitivity.spread"].format(
        low=words.hundred(float(ours.min())), high=words.hundred(float(ours.max()))
    )


def _tau(release: Release, code: str, words: Phrases) -> str:
    entry = release.manifest["tau"].get(code)
    if entry is None:
        return ""
    return words["sensitivity.tau_text"].format(
        prior=entry[f"prior_{words.language}"],
        median=words.decimal(entry["posterior_median"]),
        lower=words.decimal(entry["lower"]),
        upper=words.decimal(entry["upper"]),
    )


def _tau_origin(release: Release, code: str, words: Phrases) -> str:
    origin = str(release.manifest["tau"].get(code, {}).get("origin", ""))
    return words["method.tau_origin"].format(origin=words.told(origin)) if origin else ""


def _subject(release: Release, check: str, words: Phrases) -> str:
    """Name the indicator a check is about, when it is about one (``anchor:smartphone``)."""
    code = check.partition(":")[2]
    if code not in release.indicators:
        return ""
    label = words.short(code, release.indicators[code].label(words.language))
    return words["verdict.subject"].format(label=label)


def verdict_rows(release: Release, words: Phrases) -> list[dict[str, str]]:
    """Return the verdicts in words."""
    return [
        {
            "sentence": _subject(release, str(entry["check"]), words)
            + words.typeset(str(entry[f"sentence_{words.language}"])),
            "status": str(entry["status"]),
            "found": words.scalar(entry["found"]),
            "limit": words.scalar(entry["limit"]),
        }
        for entry in release.manifest["verdicts"]
    ]


def verdict_summary(release: Release, words: Phrases) -> str:
    """Say how many checks hold, are to be watched, or fail."""
    found = Counter(str(entry["status"]) for entry in release.manifest["verdicts"])
    return words["verdict.summary"].format(
        pass_=found["pass"], warn=found["warn"], fail=found["fail"]
    )
