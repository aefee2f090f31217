"""From survey cells to rows of a model: codes, effective counts, mode equalised, national rate.

Effective counts: within a wave, n*_c = w_c (sum n / sum w) / deff and y*_c = n*_c (wy_c / w_c),
deff being that of the indicator's own rate (variance of the weighted mean over that of a simple
random sample), never below 1. Non-integer by nature.

References
----------
Kish 1965; Chen, Wakefield & Lumley 2014, doi:10.1016/j.sste.2014.07.002 (effective counts);
Hájek 1971 (weighted mean).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.types import SurveyCells
from inegnum.errors import InputError
from inegnum.estimators.calibration import rake
from inegnum.estimators.spec import FACTORS, AreaEffects

__all__ = ["DirectRate", "Rows", "direct_rate", "encode", "equalise_phone", "evidence_rows"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Ages with enough phone interviews in every region to stand alone.
_OLDER: Final = ("60-69", "70+")


@dataclass(frozen=True, slots=True)
class Rows:
    """Distinct rows of a model.

    Attributes
    ----------
    codes : mapping of str to ndarray of shape (R,)
        Level of each factor and of ``wave``; -1 where the factor has no effect.
    y, n : ndarray of shape (R,)
        Counts the likelihood uses.
    w : ndarray of shape (R,)
        Survey weight of the row, as the survey publishes it.
    waves : tuple of int
        What the codes of ``wave`` mean.
    communes : tuple of str
        What the codes of ``commune`` mean; empty when places are not used.
    """

    codes: Mapping[str, Ints]
    y: Floats
    n: Floats
    w: Floats
    waves: tuple[int, ...]
    communes: tuple[str, ...] = ()

    def digest(self) -> bytes:
        """Return a fingerprint of codes and counts: equal for the same rows only."""
        found = hashlib.blake2b()
        for values in (*(self.codes[name] for name in sorted(self.codes)), self.y, self.n, self.w):
            found.update(values.tobytes())
        return found.digest()


@dataclass(frozen=True, slots=True)
class DirectRate:
    """A weighted rate and its design-based standard error.

    Attributes
    ----------
    rate, se, deff : float
        Deff is the variance over p(1 - p) / n.
    n : float
        Respondents.
    """

    rate: float
    se: float
    deff: float
    n: float


def direct_rate(table: pd.DataFrame) -> DirectRate:
    """Return the Hájek rate of survey cells with its linearised standard error.

    Parameters
    ----------
    table : DataFrame
        Columns ``n, w, wy, w2, w2y``.
    """
    n, w, wy, w2, w2y = (float(table[c].sum()) for c in ("n", "w", "wy", "w2", "w2y"))
    if n < 2 or w <= 0:
        raise InputError("a rate needs two respondents or more", where="cells", got=n)
    p = wy / w
    # sum w^2 (y - p)^2, from sums of cells because y is 0 or 1.
    squares = w2y * (1 - 2 * p) + p**2 * w2
    variance = squares / w**2 * n / (n - 1)
    simple = p * (1 - p) / n
    return DirectRate(p, float(np.sqrt(variance)), variance / simple if simple > 0 else 1.0, n)


def encode(table: pd.DataFrame) -> dict[str, Ints]:
    """Return the level of each model factor, row by row; -1 where the factor says nothing.

    The census ages 12-14 and 15-17 are the survey's one class 12-17.
    """
    codes = {}
    for factor, levels in FACTORS.items():
        values = table[factor]
        if factor == "age":
            values = values.replace({"12-14": "12-17", "15-17": "12-17"})
        silent = {"minor", "student"} if factor == "occupation" else {"minor", ""}
        lookup = {level: i for i, level in enumerate(levels)} | dict.fromkeys(
            silent - {*levels}, -1
        )
        # Each level is looked up once, however many rows carry it.
        seen, levels_seen = pd.factorize(values)
        unknown = [level for level in levels_seen if level not in lookup]
        if unknown or (seen < 0).any():
            raise InputError(
                f"unknown level of {factor}",
                where="survey cells",
                got=", ".join(map(repr, [*unknown, *values[seen < 0].unique()][:5])),
                expected=", ".join(levels),
            )
        places = np.array([lookup[level] for level in levels_seen], dtype=np.int64)
        codes[factor] = places[seen]
    return codes


def evidence_rows(
    cells: SurveyCells,
    *,
    counts: Literal["effective", "unweighted"],
    weights: Floats | None = None,
    area: AreaEffects | None = None,
) -> Rows:
    """Collapse survey cells to the distinct rows a model sees.

    Parameters
    ----------
    cells : SurveyCells
    counts : {"effective", "unweighted"}
    weights : ndarray of shape (rows of the table,), optional
        Survey weights before any equalisation, kept as `Rows.w`.
    area : AreaEffects, optional
        Asks for the communes of cells that have a column ``geo`` (``""`` where it is not known).
    """
    table = cells.table
    waves = tuple(sorted(int(w) for w in table["wave"].unique()))
    codes = encode(table)
    codes["wave"] = np.searchsorted(waves, table["wave"].to_numpy()).astype(np.int64)
    communes: tuple[str, ...] = ()
    if area is not None and "geo" in table.columns:
        communes, codes["commune"] = _communes(table["geo"], area)
    n, y = (table[c].to_numpy(dtype=np.float64) for c in ("n", "y"))
    if counts == "effective":
        n, y = _effective(table, codes["wave"], waves)
    radix = {name: len(levels) + 1 for name, levels in FACTORS.items()} | {"wave": len(waves) + 1}
    if communes:
        radix["commune"] = len(communes) + 1
    key = np.zeros(len(table), dtype=np.int64)
    for name, base in radix.items():
        key = key * base + codes[name] + 1
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    w = table["w"].to_numpy(dtype=np.float64) if weights is None else weights
    y, n, w = (np.bincount(inverse, values) for values in (y, n, w))
    levels = {name: code[first] for name, code in codes.items()}
    return Rows(levels, np.minimum(y, n), n, w, waves, communes)


def _communes(geo: pd.Series, area: AreaEffects) -> tuple[tuple[str, ...], Ints]:
    """Return the communes that have an effect and the code of each row, -1 where unknown."""
    found = sorted(set(geo.astype(str)) - {""})
    communes = area.communes or tuple(found)
    absent = [code for code in found if code not in communes]
    if absent:
        raise InputError(
            "respondents live in communes without an effect",
            where="area, communes",
            got=", ".join(absent[:5]),
            expected=f"among {len(communes)} communes",
            hint="name every commune of the survey, or none: they are then those of the survey",
        )
    lookup = {code: i for i, code in enumerate(communes)} | {"": -1}
    return communes, np.asarray(geo.astype(str).map(lookup), dtype=np.int64)


def _effective(table: pd.DataFrame, wave: Ints, waves: tuple[int, ...]) -> tuple[Floats, Floats]:
    w = table["w"].to_numpy(dtype=np.float64)
    n = np.empty(len(table))
    for k in range(len(waves)):
        at = wave == k
        deff = max(1.0, direct_rate(table[at]).deff)
        n[at] = w[at] * table["n"].to_numpy()[at].sum() / w[at].sum() / deff
    share = np.divide(table["wy"].to_numpy(dtype=np.float64), w, out=np.zeros_like(w), where=w > 0)
    return n, n * share


def equalise_phone(cells: SurveyCells) -> SurveyCells:
    """Reweight so that phone interviews weigh the same in every place, within wave and age.

    Places are urban sizes, within each age, and regions, within broad ages (a region may hold three
    phone interviews under 60). Both are raked at once; every place keeps its weight, and every wave
    and age its share of phone interviews, so that national rates by age stay where they are.
    A place that holds one mode only is left as it is: there is nothing to draw the other from.

    Raises
    ------
    CalibrationError
        No weights give every place its share.
    """
    phone = cells.table["mode"].eq("phone").to_numpy()
    waves = cells.table.loc[phone, "wave"].unique()
    asked = (cells.table["wave"].isin(waves) & (cells.table["w"] > 0)).to_numpy()
    table, by_phone = cells.table[asked], phone[asked]
    broad = table["age"].where(table["age"].isin(_OLDER), "younger")
    places = {"urban": _even(table, table["age"], "urban", by_phone)}
    if table["region"].ne("").any():
        places["region"] = _even(table, broad, "region", by_phone)
    factor = np.ones(len(cells.table))
    if len(table):
        w = table["w"].to_numpy(dtype=np.float64)
        data = {name: codes for name, (codes, _) in places.items()}
        margins = {name: totals for name, (_, totals) in places.items()}
        factor[asked] = rake(data, margins, weights=w).weights / w
    columns = {
        name: cells.table[name].to_numpy(dtype=np.float64) * factor**power
        for name, power in (("n", 1), ("y", 1), ("w", 1), ("wy", 1), ("w2", 2), ("w2y", 2))
    }
    return SurveyCells(cells.table.assign(**columns), cells.indicator, cells.source)


def _even(
    table: pd.DataFrame, age: pd.Series, place: str, phone: npt.NDArray[np.bool_]
) -> tuple[Ints, dict[int, float]]:
    """Return the place and mode of each row as one code, and the even weight of each code.

    Places with both modes share the phone interviews of their wave and age in proportion to their
    weight; that share is taken among them, so that no phone interview is lost to the others.
    """
    of_age = table.groupby([table["wave"], age]).ngroup()
    here = table.groupby([table["wave"], age, table[place]]).ngroup().to_numpy()
    w = table["w"].to_numpy(dtype=np.float64)
    size, by_phone = np.bincount(here, w), np.bincount(here, w * phone)
    stratum = np.zeros(len(size), dtype=np.int64)
    stratum[here] = of_age
    mixed = (by_phone > 0) & (by_phone < size)
    share = np.divide(
        np.bincount(stratum, mixed * by_phone),
        np.bincount(stratum, mixed * size),
        out=np.zeros(stratum.max(initial=-1) + 1),
        where=np.bincount(stratum, mixed * size) > 0,
    )
    even = np.where(mixed, share[stratum] * size, by_phone)
    totals = {2 * k: size[k] - even[k] for k in range(len(size))}
    totals |= {2 * k + 1: even[k] for k in range(len(size))}
    codes = np.asarray(2 * here + phone, dtype=np.int64)
    return codes, {k: float(totals[k]) for k in np.unique(codes).tolist()}
