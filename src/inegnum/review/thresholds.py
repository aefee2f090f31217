"""Thresholds as data, and the one place where a figure is held to one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import pandas as pd

from inegnum.data.strict import into, read_toml
from inegnum.errors import InputError, nearest
from inegnum.review.scores import Clustered, clustered_share
from inegnum.review.verdict import Status, Verdict

__all__ = ["Threshold", "coverage_verdict", "judge", "judge_clustered", "thresholds"]

_INFINITE: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Threshold:
    """The range a figure must stay in, and why.

    Attributes
    ----------
    reason_en, reason_fr : str
        Why these bounds and not others.
    low, high : float
        Bounds, included; infinite when there is none.
    """

    reason_en: str
    reason_fr: str
    low: float = -_INFINITE
    high: float = _INFINITE

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise InputError("a threshold accepts nothing", got=(self.low, self.high))
        if self.low == -_INFINITE and self.high == _INFINITE:
            raise InputError("a threshold accepts everything", where=self.reason_en[:40])

    def range(self, digits: int = 2) -> str:
        """Return the accepted range in words of figures."""
        if self.low == -_INFINITE:
            return f"<= {self.high:.{digits}f}"
        if self.high == _INFINITE:
            return f">= {self.low:.{digits}f}"
        return f"{self.low:.{digits}f}-{self.high:.{digits}f}"

    def bound(self, found: float) -> float:
        """Return the bound nearest to `found`: the one it meets or misses."""
        return self.low if abs(found - self.low) <= abs(found - self.high) else self.high


@cache
def thresholds() -> dict[str, Threshold]:
    """Return every threshold shipped with the package, by name."""
    data = files("inegnum.review").joinpath("thresholds.toml").read_bytes()
    raw = read_toml(data, where="thresholds.toml")
    return {
        name: into(Threshold, row, where=f"thresholds.toml, {name}") for name, row in raw.items()
    }


def _threshold(name: str) -> Threshold:
    if name not in thresholds():
        raise InputError("no threshold has this name", got=name, hint=nearest(name, thresholds()))
    return thresholds()[name]


def judge(
    check: str, found: float, threshold: str, *, en: str, fr: str, miss: Status = "fail"
) -> Verdict:
    """Hold one figure to a threshold.

    Parameters
    ----------
    check : str
        Identifier of the check.
    found : float
        The figure; a missing one fails.
    threshold : str
        Name in ``thresholds.toml``.
    en, fr : str
        What the figure is, in both languages, without a final stop.
    miss : {"fail", "warn"}
        Status when the figure is outside.
    """
    limit = _threshold(threshold)
    status: Status = "pass" if limit.low <= found <= limit.high else miss
    tail = f"{found:.3f} ({limit.range()})"
    return _verdict(check, status, found, limit, (en, fr, tail))


def judge_clustered(
    check: str, found: Clustered, threshold: str, *, en: str, fr: str, miss: Status = "fail"
) -> Verdict:
    """Hold a share to a range: its bootstrap interval must meet the range.

    A share outside the range whose interval still meets it is not proof of failure; it passes, and
    the sentence shows both.
    """
    limit = _threshold(threshold)
    status: Status = "pass" if found.upper >= limit.low and found.lower <= limit.high else miss
    tail = f"{found.value:.3f} [{found.lower:.3f}, {found.upper:.3f}] ({limit.range()})"
    return _verdict(check, status, found.value, limit, (en, fr, tail))


def _verdict(
    check: str, status: Status, found: float, limit: Threshold, words: tuple[str, str, str]
) -> Verdict:
    """Say the same figures in both languages, with the French decimal comma."""
    en, fr, tail = words
    french = tail.replace(", ", " ; ").replace(".", ",").replace("<=", "≤").replace(">=", "≥")
    return Verdict(check, status, found, limit.bound(found), f"{en}: {tail}.", f"{fr} : {french}.")


def coverage_verdict(
    rows: pd.DataFrame, check: str, threshold: str, *, en: str, fr: str, miss: Status = "fail"
) -> Verdict:
    """Hold the 95 % coverage of scored areas to a range, with its bootstrap over clusters.

    Parameters
    ----------
    rows : DataFrame
        ``lower_95, upper_95, truth, cluster``, one row an area (and survey).
    """
    hits = (rows["lower_95"] <= rows["truth"]) & (rows["truth"] <= rows["upper_95"])
    share = clustered_share(hits.to_numpy(bool), rows["cluster"].to_numpy(object))
    return judge_clustered(check, share, threshold, en=en, fr=fr, miss=miss)
