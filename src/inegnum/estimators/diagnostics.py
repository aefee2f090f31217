"""What a reader must know of a multilevel fit before using it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

__all__ = ["Diagnostics"]


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """How a fit was had and how far it can be trusted.

    Attributes
    ----------
    engine : str
    khat : float
        Worst tail shape of the importance ratios over the survey's own rates; -inf when sampled.
    shift : float
        Mean logit shift of the anchor.
    drift : float
        The part of it that the survey's own composition would need too: a rate of another wave, or
        counts that are not weighted. The rest is the frame's, and is what the limit bears on.
    shift_limit : float
    notes : tuple of str
        What was left out or replaced, and why.
    sds : DataFrame
        ``reading, term, mean, lower, upper`` of the learned sds, prior scale alongside.
    reliability : DataFrame
        The fast engine judged on each rate of the survey, by reading (`reliability.judged_table`);
        empty when the posterior was sampled or is not that of survey rows.
    """

    engine: str
    khat: float
    shift: float
    drift: float
    shift_limit: float
    notes: tuple[str, ...]
    sds: pd.DataFrame
    reliability: pd.DataFrame = field(default_factory=pd.DataFrame)
