"""The validation ladder: rungs climbed in order, one machine-readable result.

Without a target, the method itself is put to the test on variables whose truth is known. With a
release, its figures are: what they were made from, how they compare with published ones, what
changed since the reference release.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal, get_args

import pandas as pd

from inegnum.errors import InputError, nearest
from inegnum.review.folds import Runner
from inegnum.review.rung import Rung
from inegnum.review.verdict import Status, Verdict, verdict_table, worst

__all__ = ["Ladder", "Level", "validate", "worsened"]

Level = Literal["quick", "full"]
_PACKAGES: Final = ("numpy", "scipy", "pandas")


@dataclass(frozen=True, slots=True)
class Ladder:
    """What was checked and found.

    Attributes
    ----------
    rungs : tuple of Rung
    level : {"quick", "full"}
    target : str
        What was validated: ``"method"``, or the name of a release.
    date : str
        Day of the run, ISO 8601.
    versions : mapping of str to str
    """

    rungs: tuple[Rung, ...]
    level: Level
    target: str
    date: str
    versions: Mapping[str, str]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Every verdict, rung after rung."""
        return tuple(v for rung in self.rungs for v in rung.verdicts)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by name."""
        return {name: table for rung in self.rungs for name, table in rung.tables.items()}

    @property
    def status(self) -> Status:
        """The most severe verdict."""
        return worst(self.verdicts)

    def to_json(self) -> str:
        """Return the whole result as JSON, missing numbers as null."""
        content = {
            "target": self.target,
            "level": self.level,
            "date": self.date,
            "versions": dict(self.versions),
            "status": self.status,
            "rungs": [_rung_record(rung) for rung in self.rungs],
        }
        return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def worsened(ladder: Ladder, stored: Path) -> tuple[Verdict, ...]:
    """Return the verdicts that are worse than in stored results, new checks that fail included.

    A failure that is on record stays on the page and does not stop continuous integration twice; a
    new one does.

    Parameters
    ----------
    ladder : Ladder
    stored : Path
        A ``validation.json`` of an earlier run of the same level.

    Raises
    ------
    InputError
        The stored results are of another level or target.
    """
    before = json.loads(stored.read_text(encoding="utf-8"))
    if (before["level"], before["target"]) != (ladder.level, ladder.target):
        raise InputError(
            "stored results are not of the same kind",
            where=str(stored),
            got=f"{before['target']}, {before['level']}",
            expected=f"{ladder.target}, {ladder.level}",
        )
    order = get_args(Status)
    known = {v["check"]: v["status"] for rung in before["rungs"] for v in rung["verdicts"]}
    return tuple(
        v
        for v in ladder.verdicts
        if order.index(v.status) > order.index(known.get(v.check, "warn"))
    )


def _rung_record(rung: Rung) -> dict[str, Any]:
    return {
        "number": rung.number,
        "code": rung.code,
        "title_en": rung.title_en,
        "title_fr": rung.title_fr,
        "notes_en": list(rung.notes_en),
        "notes_fr": list(rung.notes_fr),
        "inputs": dict(rung.inputs),
        "verdicts": _records(verdict_table(rung.verdicts)),
        "tables": {name: _records(table) for name, table in rung.tables.items()},
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as plain values; floats at six significant digits, missing ones as None."""
    return [
        {str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        return float(f"{value:.6g}")
    return value.item() if hasattr(value, "item") else value


def validate(
    target: Path | None = None,
    *,
    level: Level = "quick",
    out: Path | None = None,
    against: Path | None = None,
    only: tuple[int, ...] = (),
    workers: int | None = None,
) -> Ladder:
    """Climb the ladder.

    Parameters
    ----------
    target : Path, optional
        Folder of a release; without it the method itself is validated on known truth.
    level : {"quick", "full"}
        Quick takes minutes; full simulates more surveys and tries more rivals.
    out : Path, optional
        Folder for ``validation.json``, ``validation.html`` and ``validation.en.html``; finished
        folds are kept beside them, so that an interrupted run resumes.
    against : Path, optional
        Reference release whose figures the target's are compared with.
    only : tuple of int
        Rungs to climb (all by default).
    workers : int, optional
        Processes (as many as processors by default); results do not depend on it.

    Raises
    ------
    InputError
        Unknown level or rung, or a target that is not a release.

    Examples
    --------
    >>> ladder = validate(only=(7,), workers=1)  # isolation of the tables kept to judge by
    >>> {verdict.status for verdict in ladder.verdicts}
    {'pass'}
    """
    from inegnum.review.method import METHOD_RUNGS
    from inegnum.review.release_checks import RELEASE_RUNGS

    if level not in get_args(Level):
        raise InputError(
            "unknown level of validation", got=level, hint=nearest(level, get_args(Level))
        )
    ways = sorted(METHOD_RUNGS if target is None else RELEASE_RUNGS)
    unknown = [number for number in only if number not in ways]
    if unknown:
        raise InputError("no such rung here", got=unknown, expected=", ".join(map(str, ways)))
    runner = Runner(workers or os.cpu_count() or 1, None if out is None else out / ".folds")
    numbers = [number for number in ways if not only or number in only]
    if target is None:
        rungs = tuple(METHOD_RUNGS[number](runner, level) for number in numbers)
    else:
        rungs = tuple(RELEASE_RUNGS[number](target, against) for number in numbers)
    ladder = Ladder(
        rungs,
        level,
        "method" if target is None else target.name,
        datetime.now(UTC).date().isoformat(),
        {
            # By name: the package itself stands above this stage and imports it.
            "inegnum": str(import_module("inegnum").__version__),
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    )
    if out is not None:
        from inegnum.review.page import write_page

        out.mkdir(parents=True, exist_ok=True)
        (out / "validation.json").write_text(ladder.to_json(), encoding="utf-8")
        write_page(ladder, out / "validation.html")
        write_page(ladder, out / "validation.en.html", language="en")
    return ladder
