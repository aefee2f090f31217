"""Compare a fresh build of the reference data with the committed one."""

from __future__ import annotations

from pathlib import Path


def differences(fresh: Path, committed: Path, *, partial: bool = False) -> list[str]:
    """Return one sentence per file that differs, is missing or is left over."""
    built = {p.name: p.read_bytes() for p in fresh.iterdir() if p.is_file()}
    kept = {p.name: p.read_bytes() for p in committed.iterdir() if p.is_file()}
    found = [f"{name}: built but not committed" for name in sorted(built.keys() - kept.keys())]
    if not partial:
        found += [
            f"{name}: committed but not built any more"
            for name in sorted(kept.keys() - built.keys())
        ]
    found += [
        f"{name}: the committed bytes are not those the sources give"
        for name in sorted(built.keys() & kept.keys())
        if built[name] != kept[name]
    ]
    return found
