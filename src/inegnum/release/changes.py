"""The change log of a site: what moved since the release before, how surely, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from inegnum.release.diff import Difference, compare_releases
from inegnum.release.read import Release, read_release
from inegnum.release.text import Phrases

__all__ = ["change_rows"]

NOTHING: dict[str, Any] = {"rows": None, "causes": [], "count": "", "communes_moved": []}


def change_rows(previous: Path | None, release: Path, words: Phrases) -> dict[str, Any]:
    """Return what changed, in words.

    Returns
    -------
    dict
        ``rows``: figures of the whole territory before and after (None for a first release);
        ``communes_moved``: the same of those of the communes that moved beyond Monte-Carlo error;
        ``count``: how many moved; ``causes``: what differs between the two manifests.
    """
    if previous is None:
        return NOTHING
    found = compare_releases(previous, release)
    before, after = read_release(previous), read_release(release)
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
    }


def _row(row: Mapping[Any, Any], after: Release, words: Phrases) -> tuple[str, ...]:
    code = str(row["indicator"])
    note = after.indicators.get(code)
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
        words.short(code, note.label(words.language) if note else code),
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
