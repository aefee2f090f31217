"""Where the golden references and source files stand.

They live beside the repository (``../shared``), or where ``INEGNUM_SHARED`` says. Tests that need
them carry the marker ``shared``; without the folder `conftest.py` reports them as deselected, by
name, and never counts them as passed.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def shared_root() -> Path:
    """Return the folder of references, which may not exist."""
    return Path(os.environ.get("INEGNUM_SHARED", ROOT.parent / "shared"))


def shared(*parts: str) -> Path:
    """Return the path of one shared file, failing plainly when it is absent."""
    path = shared_root().joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is needed by this test: mark it `shared`, or set INEGNUM_SHARED"
        )
    return path
