"""The change log of a site: what moved since the release before, how surely, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from inegnum.release.diff import Difference, compare_releases
from inegnum.release.read import Release, read_release
from inegnum.release.text import Phrases

__all__ = ["change_rows", "withdrawn_rows"]

NOTHING: dict[str, Any] = {"rows": None, "causes": [], "count": "", "communes_moved": []}


def change_rows(previous: Path | None, release: Path, words: Phrases) -> dict[str, Any]:
    """Return what changed, in words.

    Returns
    -------
    dict
        ``rows``: figures of the whole territory before and after (None for a first release);
        ``communes_moved``: the same of those of the communes that moved beyond Monte-Carlo error;
        ``count``: how many moved; ``causes``: what differs between the two manifests;
        ``withdrawn``: figures the release withdraws.
    """
    after = read_release(release)
    withdrawn = withdrawn_rows(after, words)
    if previous is None:
        return NOTHING | {"withdrawn": withdrawn}
    found = compare_releases(previous, release, language=words.language)
    before = read_release(previous)
    table = found.table
    order = {code: at for at, code in enumerate(after.indicators)}
    table = table.sort_values("indicator", key=lambda s: s.map(order), kind="stable")
    whole = table[table["geo"] == after.territory.code]
    moved = table["beyond_monte_carlo"].fillna(value=False).astype(bool)
    communes = table[moved & (table["level"] == "commune")]
    return {
        "rows": [_row(row, after, words) for row in whole.to_dict("records")],
        "communes_moved": [
            (str(row["name"]), *_row(row, after, words)) for row in communes.to_dict("records")
        ],
        "count": _count(table, int(moved.sum()), words),
        "causes": _causes(found, before, after, words),
        "withdrawn": withdrawn,
    }


def withdrawn_rows(release: Release, words: Phrases) -> list[tuple[str, ...]]:
    """Return the figures a release withdraws: indicator, area, day, reason."""
    table = release.estimates
    names = {"*": words["changes.withdrawn_all"]} | dict(
        zip(table["geo"], table["name"], strict=True)
    )
    return [
        (
            words.short(code := str(one["indicator"]), _label(release, code, words)),
            names[str(one["geo"])],
            str(one["date"]),
            words.typeset(str(one[f"reason_{words.language}"])),
        )
        for one in release.manifest.get("retractions", [])
    ]


def _label(release: Release, code: str, words: Phrases) -> str:
    note = release.indicators.get(code)
    return note.label(words.language) if note else code


def _row(row: Mapping[Any, Any], after: Release, words: Phrases) -> tuple[str, ...]:
    code = str(row["indicator"])
    old, new = row["old_est"], row["new_est"]
    change, chance = "", words[f"changes.{row['status']}"]
    if row["status"] == "both" and old == new:
        change, chance = "0", words["changes.same"]
    elif row["status"] == "both":
        change = words.short_gap(row["change"], row["lower"], row["upper"])
        chance = words.short_chances(row["p_change"])
    elif row["status"] == "masked" and pd.isna(old) and pd.isna(new):
        chance = words["changes.masked_both"]
    return (
        words.short(code, _label(after, code, words)),
        "" if pd.isna(old) else words.hundred(old),
        "" if pd.isna(new) else words.hundred(new),
        change,
        chance,
    )


def _count(table: pd.DataFrame, moved: int, words: Phrases) -> str:
    total = int((table["status"] == "both").sum())
    key = "changes.count" if moved else "changes.count_none"
    return words[key].format(moved=words.integer(moved), total=words.integer(total))


def _causes(
    found: Difference, before: Release, after: Release, words: Phrases
) -> list[tuple[str, ...]]:
    """Name what differs; a table goes by its title."""
    titles = {
        str(entry["name"]): words.told(str(entry["title"]))
        for release in (before, after)
        for entry in release.manifest["inputs"]
    }
    return [
        (
            words[f"changes.{cause.kind}"],
            titles.get(cause.what, cause.what) if cause.kind == "data" else cause.what,
            words.told(cause.old),
            words.told(cause.new),
        )
        for cause in found.causes
    ]
