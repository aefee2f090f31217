"""Files of finished departments: each whole or not there, so that a run starts again where it was.

A file is written beside its place, flushed, then moved; its hash follows in a file of its own. A
file without its hash, or with another one, is as good as absent.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from inegnum.errors import ProvenanceError
from inegnum.provenance import sha256_bytes

__all__ = ["Store"]


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of parts.

    Attributes
    ----------
    folder : Path
        Made when the first part is kept.
    """

    folder: Path

    def keep(self, name: str, data: bytes) -> None:
        """Write a part, then its hash."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._put(name, data)
        self._put(f"{name}.sha256", sha256_bytes(data).encode())

    def get(self, name: str) -> bytes | None:
        """Return a part, or None when it is absent, torn or changed."""
        path = self.folder / name
        try:
            data, sealed = path.read_bytes(), self._seal(name).read_text()
        except FileNotFoundError:
            return None
        return data if sha256_bytes(data) == sealed else None

    def known(self, name: str) -> bytes:
        """Return a part that must be there.

        Raises
        ------
        ProvenanceError
            It is not, or is not what was kept.
        """
        data = self.get(name)
        if data is None:
            raise ProvenanceError(
                "a part of the run has gone or changed since it was computed",
                where=str(self.folder / name),
                hint="run the study again: what is missing is computed",
            )
        return data

    def has(self, *names: str) -> bool:
        """Return whether every part is there and unchanged."""
        return all(self.get(name) is not None for name in names)

    def _seal(self, name: str) -> Path:
        return self.folder / f"{name}.sha256"

    def _put(self, name: str, data: bytes) -> None:
        beside = self.folder / f".{name}.{os.getpid()}.part"
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.folder / name)
