"""The change log of a site: what moved since the release before, how surely, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inegnum.release.diff import compare_releases
from inegnum.release.read import read_release
from inegnum.release.text import Phrases

__all__ = ["change_rows"]


def change_rows(previous: Path, release: Path, words: Phrases) -> dict[str, Any]:
    """Return the figures of the whole territory before and after, and the causes, in words."""
    found = compare_releases(previous, release)
    after = read_release(release)
    table = found.table[found.table["geo"] == after.territory.code]
    rows = []
    for row in table.to_dict("records"):
        code = str(row["indicator"])
        note = after.indicators.get(code)
        both = row["status"] == "both"
        rows.append(
            (
                words.short(code, note.label(words.language) if note else code),
                "" if row["old_est"] != row["old_est"] else words.hundred(row["old_est"]),
                "" if row["new_est"] != row["new_est"] else words.hundred(row["new_est"]),
                words.short_gap(row["change"], row["lower"], row["upper"]) if both else "",
                words.short_chances(row["p_change"]) if both else words[f"changes.{row['status']}"],
            )
        )
    causes = [
        (words[f"changes.{cause.kind}"], cause.what, cause.old, cause.new) for cause in found.causes
    ]
    return {"rows": rows, "causes": causes}
