"""Find and read the producers' files."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]


def shared_data() -> Path:
    """Return the folder of producers' files (``INEGNUM_SHARED``, or beside the repository)."""
    root = Path(os.environ.get("INEGNUM_SHARED", ROOT.parent / "shared")) / "data"
    if not root.is_dir():
        raise SystemExit(f"{root} does not exist: set INEGNUM_SHARED to the folder of source files")
    return root


def read_text(shared: Path, name: str, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Read a CSV as text, with nothing interpreted (codes keep their zeros)."""
    wanted = list(columns) if columns else None
    return pd.read_csv(shared / name, dtype=str, keep_default_na=False, usecols=wanted)


def plain(name: str) -> str:
    """Return a name without accents, case, hyphens or apostrophes, to compare spellings."""
    letters = unicodedata.normalize("NFKD", name.replace("œ", "oe"))
    kept = "".join(c for c in letters if not unicodedata.combining(c))
    return " ".join(kept.lower().replace("-", " ").replace("'", " ").replace("’", " ").split())
