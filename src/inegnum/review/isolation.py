"""No figure kept for validation enters a fit, proved by hashes.

A manifest lists every input of a release with its role and hash. Three ways to cheat are caught:
an input declared ``validate``; an input whose declared role is not the one of its record; a
validation table renamed or relabelled, because its bytes keep their hash. A table copied by hand
into another file is not caught by hashes: a fit also refuses by role (`require_role`), and the
transformation of every source is on record for a reader to judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from inegnum.errors import InputError
from inegnum.provenance import Source
from inegnum.review.verdict import Verdict

__all__ = ["breaches", "isolation"]


_OTHER_BYTES: Final = ": not the bytes on record"


def breaches(inputs: Sequence[Mapping[str, Any]], known: Iterable[Source]) -> list[str]:
    """List the inputs of a fit that must not be there, each with the reason.

    Parameters
    ----------
    inputs : sequence of mapping
        Inputs of a manifest: at least ``name, role, sha256``.
    known : iterable of Source
        Every table on record, the ones kept for validation included.

    Raises
    ------
    InputError
        An input lacks its name, role or hash: nothing can be proved about it.

    Examples
    --------
    >>> breaches([{"name": "figures", "role": "validate", "sha256": "ab"}], [])
    ['figures: declared for validation']
    """
    records = list(known)
    by_name = {source.name: source for source in records}
    kept = {source.sha256: source.name for source in records if source.role == "validate"}
    found = []
    for entry in inputs:
        for key in ("name", "role", "sha256"):
            if not entry.get(key):
                raise InputError(
                    "an input of the manifest cannot be traced",
                    where=str(entry.get("name", "?")),
                    expected="name, role and sha256",
                    hint=f"add {key}",
                )
        name, role, digest = entry["name"], entry["role"], entry["sha256"]
        if role == "validate":
            found.append(f"{name}: declared for validation")
        elif digest in kept:
            found.append(f"{name}: same bytes as {kept[digest]}, kept for validation")
        elif name in by_name and by_name[name].role != role:
            found.append(f"{name}: role {role} here, {by_name[name].role} on record")
        elif name in by_name and by_name[name].sha256 != digest:
            found.append(f"{name}{_OTHER_BYTES}")
    return found


def isolation(inputs: Sequence[Mapping[str, Any]], known: Iterable[Source]) -> Verdict:
    """Judge whether validation and evidence are kept apart."""
    found = breaches(inputs, known)
    count = len(inputs)
    if not inputs:
        return Verdict(
            "isolation",
            "fail",
            0.0,
            1.0,
            "The manifest lists no input: nothing can be proved.",
            "Le manifeste ne liste aucune entrée : rien ne peut être prouvé.",
        )
    if found and all(one.endswith(_OTHER_BYTES) for one in found):
        # An older release made with an older table: nothing of validation, but no proof either.
        listed = ", ".join(one.removesuffix(_OTHER_BYTES) for one in found)
        return Verdict(
            "isolation",
            "warn",
            float(len(found)),
            0.0,
            f"{len(found)} of {count} inputs are not the tables of this version: {listed}.",
            f"{len(found)} entrées sur {count} ne sont pas les tables de cette version : {listed}.",
        )
    if found:
        listed = "; ".join(found)
        return Verdict(
            "isolation",
            "fail",
            float(len(found)),
            0.0,
            f"{len(found)} of {count} inputs must not be in a fit: {listed}.",
            f"{len(found)} entrées sur {count} ne doivent pas servir à estimer : {listed}.",
        )
    return Verdict(
        "isolation",
        "pass",
        0.0,
        0.0,
        f"None of the {count} inputs is a table kept for validation, by role or by hash.",
        f"Aucune des {count} entrées n'est une table de validation, ni par rôle ni par empreinte.",
    )
