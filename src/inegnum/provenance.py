"""Where a table comes from, and proof that it is still the same table.

A `Source` travels with every number. Its `role` is the wall between evidence and judgement: a
source of role ``validate`` never enters a fit (`require_role`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from inegnum.errors import IsolationError, ProvenanceError

__all__ = ["Role", "Source", "read_checked", "require_role", "sha256_bytes", "sha256_file"]

Role = Literal["fit", "benchmark", "validate"]


@dataclass(frozen=True, slots=True)
class Source:
    """One table and what a reader must know before using it.

    Attributes
    ----------
    name : str
        Identifier in the catalogue.
    producer, title : str
        Who made it and what it is called.
    universe : str
        Who is counted (``"12+"``, ``"15+"``, ``"18+"``, ``"all"``, ``"households"``, ...).
    vintage : str
        Millésime of the figures.
    geo_vintage : str
        Millésime of the geographic codes (COG); empty when there is no geography.
    unit : str
        What one number counts.
    licence : str
        SPDX-like name, for instance ``"etalab-2.0"`` or ``"ODbL-1.0"``.
    address : str
        Where the producer publishes it.
    sha256 : str
        Hash of the shipped bytes.
    role : {"fit", "benchmark", "validate"}
        What the table may be used for.
    transformation : str
        What was done between the producer's file and this table.
    """

    name: str
    producer: str
    title: str
    universe: str
    vintage: str
    unit: str
    licence: str
    sha256: str
    role: Role
    geo_vintage: str = ""
    address: str = ""
    transformation: str = ""

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise ProvenanceError(
                "a source has an unknown role",
                where=self.name,
                got=self.role,
                expected=", ".join(get_args(Role)),
            )


def sha256_bytes(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of the file at `path`."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_checked(path: Path, sha256: str) -> bytes:
    """Read a file whole and refuse it unless its hash is the recorded one.

    Raises
    ------
    ProvenanceError
        The file is missing or its bytes changed since the record was written.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ProvenanceError(
            "a reference file is missing",
            where=str(path),
            expected=f"a file with sha256 {sha256[:12]}...",
            hint="reinstall the package, or run `inegnum data verify` to see what else is missing",
        ) from error
    found = sha256_bytes(data)
    if found != sha256:
        raise ProvenanceError(
            "a reference file is not the one that was recorded",
            where=str(path),
            got=f"sha256 {found[:12]}...",
            expected=f"sha256 {sha256[:12]}...",
            hint="restore the file; if the change is meant, rebuild the reference data",
        )
    return data


def require_role(sources: Iterable[Source], role: Role, *, where: str) -> None:
    """Refuse every source whose role is not `role`.

    Raises
    ------
    IsolationError
        A source of another role was offered, above all one kept for validation.
    """
    wrong = [source for source in sources if source.role != role]
    if wrong:
        raise IsolationError(
            "a source of the wrong role was offered",
            where=where,
            got=", ".join(f"{source.name} (role {source.role})" for source in wrong),
            expected=f"sources of role {role}",
            hint="figures kept for validation judge the estimates; they never enter them",
        )
