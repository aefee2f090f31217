"""One rung of the ladder: a question, its judgements and the tables they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from inegnum.review.verdict import Verdict

__all__ = ["Rung"]


@dataclass(frozen=True, slots=True)
class Rung:
    """Outcome of one rung.

    Attributes
    ----------
    number : int
        Place on the ladder.
    code : str
        Identifier.
    title_en, title_fr : str
        What is asked.
    verdicts : tuple of Verdict
    tables : mapping of str to DataFrame
        Figures behind the verdicts.
    notes_en, notes_fr : tuple of str
        What a reader must know before believing them.
    inputs : mapping of str to str
        Hash of each table read.
    """

    number: int
    code: str
    title_en: str
    title_fr: str
    verdicts: tuple[Verdict, ...]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    notes_en: tuple[str, ...] = ()
    notes_fr: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
