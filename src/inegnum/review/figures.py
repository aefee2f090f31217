"""Rung 8: no published figure moves by more than its Monte-Carlo error without a word.

A stored release is the reference. An estimate of S draws with posterior sd s is known to
s / sqrt(S), a 2.5 % bound to about 2.7 times that; two independent runs differ by sqrt(2) times as
much. A change beyond `LIMIT` of these errors, a figure that appears, disappears or changes class is
listed, and fails until a note of the release explains it.

``release_notes.toml``, in the new release, explains changes against one reference, by its hash::

    reference = "sha256 of the reference's estimates.csv"

    [[explained]]
    indicator = "smartphone"     # "*" for all
    level = "commune"            # "*" for all
    reason_en = "Census margins of 2019 instead of 2018."
    reason_fr = "Marges du recensement 2019 au lieu de 2018."

References
----------
Serfling 1980, doi:10.1002/9780470316481, section 2.3.3 (error of a sample quantile).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from inegnum.data.strict import into, read_toml
from inegnum.errors import InputError
from inegnum.provenance import sha256_file
from inegnum.review.release_files import draws_of, estimates_of
from inegnum.review.rung import Rung
from inegnum.review.verdict import Verdict

__all__ = ["Notes", "changes", "figures_rung", "notes_of"]

# Some hundreds of figures are compared: four standard errors are passed by chance once in 16,000.
LIMIT: Final = 4.0
# sqrt(p (1 - p)) / phi(z_p) at p = 0.025: error of a bound, in standard errors of the mean.
_BOUND: Final = float(np.sqrt(0.025 * 0.975) / (np.exp(-(1.959964**2) / 2) / np.sqrt(2 * np.pi)))
_KEY: Final = ["level", "geo", "indicator"]


@dataclass(frozen=True, slots=True)
class Explained:
    """One explained set of changes."""

    indicator: str
    level: str
    reason_en: str
    reason_fr: str


@dataclass(frozen=True, slots=True)
class Notes:
    """Explanations of one release against one reference."""

    reference: str = ""
    explained: tuple[Explained, ...] = ()


def notes_of(release: Path, reference: Path) -> Notes:
    """Read the notes of a release, empty when there are none or for another reference.

    Raises
    ------
    InputError
        The notes cannot be read, or an explanation is empty.
    """
    path = release / "release_notes.toml"
    if not path.is_file():
        return Notes()
    notes = into(Notes, read_toml(path.read_bytes(), where=path.name), where=path.name)
    for one in notes.explained:
        if min(len(one.reason_en), len(one.reason_fr)) < 10:
            raise InputError(
                "an explanation says nothing", where=f"{path.name}, {one.indicator}, {one.level}"
            )
    same = notes.reference == sha256_file(reference / "estimates.csv")
    return notes if same else Notes()


def changes(new: pd.DataFrame, old: pd.DataFrame, draws: tuple[int, int]) -> pd.DataFrame:
    """List the figures that moved by more than Monte-Carlo error.

    Parameters
    ----------
    new, old : DataFrame
        Tables of two releases.
    draws : tuple of int
        Draws of the new and of the old one.

    Returns
    -------
    DataFrame
        ``level, geo, indicator, figure, old, new, errors``: `figure` is ``est``, ``lower``,
        ``upper`` or ``class`` (with ``errors`` infinite, as for a figure that came or went).
    """
    both = new.merge(old, on=_KEY, how="outer", suffixes=("_new", "_old"), validate="1:1")
    scale = np.hypot(
        both["se_new"].to_numpy(np.float64) / draws[0] ** 0.5,
        both["se_old"].to_numpy(np.float64) / draws[1] ** 0.5,
    )
    found = []
    for figure, factor in (("est", 1.0), ("lower", _BOUND), ("upper", _BOUND)):
        a = both[f"{figure}_new"].to_numpy(np.float64)
        b = both[f"{figure}_old"].to_numpy(np.float64)
        came = np.isnan(a) != np.isnan(b)
        # Tables carry the figures to about six digits.
        errors = np.abs(a - b) / np.maximum(factor * scale, 1e-6)
        moved = came | (errors > LIMIT)
        rows = both.loc[moved, _KEY].assign(
            figure=figure,
            old=b[moved],
            new=a[moved],
            errors=np.nan_to_num(errors[moved], nan=np.inf),
        )
        found.append(rows)
    # A class at its limit may flip with the bounds: only a jump of two classes is a change.
    jump = both["class_new"].map(_rank) - both["class_old"].map(_rank)
    far = jump.isna() | (jump.abs() > 1)
    found.append(both.loc[far, _KEY].assign(figure="class", old=np.nan, new=np.nan, errors=np.inf))
    listed: pd.DataFrame = pd.concat(found, ignore_index=True)
    return listed


_RANK: Final = {"A": 0.0, "B": 1.0, "C": 2.0, "D": 3.0}


def _rank(letter: object) -> float:
    """Return the rank of a class; missing when there is none."""
    return _RANK.get(str(letter), float("nan"))


def figures_rung(release: Path, against: Path | None) -> Rung:
    """Climb rung 8: compare a release with the reference one."""
    title_en = "Stability: has any published figure moved since the reference release?"
    title_fr = "Stabilité : un chiffre publié a-t-il bougé depuis la publication de référence ?"
    if against is None:
        verdict = Verdict(
            "figures/reference",
            "warn",
            0.0,
            1.0,
            "No reference release was given: changes are not watched.",
            "Aucune publication de référence n'est donnée : les changements ne sont pas suivis.",
        )
        return Rung(8, "figures", title_en, title_fr, (verdict,))
    table = changes(
        estimates_of(release), estimates_of(against), (draws_of(release), draws_of(against))
    )
    notes = notes_of(release, against)
    table["explained"] = [
        any(
            one.indicator in ("*", row["indicator"]) and one.level in ("*", row["level"])
            for one in notes.explained
        )
        for row in table.to_dict("records")
    ]
    count = int((~table["explained"].astype(bool)).sum()) if len(table) else 0
    found = Verdict(
        "figures/changes",
        "fail" if count else "pass",
        float(count),
        0.0,
        f"{count} figures moved by more than Monte-Carlo error without an explanation "
        f"({len(table)} moved in all).",
        f"{count} chiffres ont bougé au-delà de l'erreur de Monte-Carlo sans explication "
        f"({len(table)} ont bougé en tout).",
    )
    return Rung(
        8,
        "figures",
        title_en,
        title_fr,
        (found,),
        {"figures": table},
        inputs={"reference": sha256_file(against / "estimates.csv")},
    )
