"""One judgement: what was checked, what was found, what would have been accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd

from inegnum.errors import InputError

__all__ = ["Status", "Verdict", "verdict_table", "worst"]

Status = Literal["pass", "warn", "fail"]
_ORDER: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one check.

    Attributes
    ----------
    check : str
        Identifier, for instance ``"over-shrinkage"``.
    status : {"pass", "warn", "fail"}
        A failed check stops a release; a warning is printed with the figure.
    found, limit : float
        The statistic and the bound it was held to.
    sentence_en, sentence_fr : str
        The same judgement for a reader, in both languages.
    """

    check: str
    status: Status
    found: float
    limit: float
    sentence_en: str
    sentence_fr: str

    def __post_init__(self) -> None:
        if self.status not in _ORDER:
            raise InputError(
                "a verdict has an unknown status",
                where=self.check,
                got=self.status,
                expected=", ".join(_ORDER),
            )


def worst(verdicts: Iterable[Verdict]) -> Status:
    """Return the most severe status; ``"pass"`` when there is nothing to judge.

    Examples
    --------
    >>> worst([Verdict("a", "pass", 0, 1, "", ""), Verdict("b", "warn", 2, 1, "", "")])
    'warn'
    """
    return max((v.status for v in verdicts), key=_ORDER.index, default="pass")


def verdict_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Return one row per verdict, columns as the attributes of `Verdict`."""
    names = ["check", "status", "found", "limit", "sentence_en", "sentence_fr"]
    return pd.DataFrame([[getattr(v, n) for n in names] for v in verdicts], columns=names)
