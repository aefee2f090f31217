"""Tables of published rates: what they hold, and how a survey would have published them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.codebook import profiles
from inegnum.data.types import Frame, Indicator, SurveyCells
from inegnum.errors import InputError
from inegnum.estimators.evidence import DirectRate, direct_rate, encode
from inegnum.estimators.spec import FACTORS
from inegnum.provenance import Source

__all__ = ["RateTable", "composition_of", "margins_of"]

Floats = npt.NDArray[np.float64]
# Respondents below which a rate of a crossed group is not published.
FEWEST = 30


@dataclass(frozen=True, slots=True)
class RateTable:
    """Published rates of one survey.

    Attributes
    ----------
    table : DataFrame
        Columns ``rate``, ``n`` (missing where not published) and any of the model's factors: a
        level, several joined by ``|``, or ``""`` for everybody. The row with no level is the total.
    indicator : Indicator
    source : Source
        Of role ``fit``.
    year : int
    rounding : float
        Unit the rates were rounded to: 0.01 for whole percentages, 0 for none.
    deff : float
        Design effect of the survey.
    assumed_n : float, optional
        Respondents in all, when the publication does not say: an input, labelled as such.
    offset_sd : float
        Prior sd of the difference between this source and the first one, in rate.
    """

    table: pd.DataFrame
    indicator: Indicator
    source: Source
    year: int
    rounding: float = 0.01
    deff: float = 1.5
    assumed_n: float | None = None
    offset_sd: float = 0.0

    def __post_init__(self) -> None:
        t = self.table
        unknown = set(t.columns) - {"rate", "n", *FACTORS}
        if unknown or not {"rate", "n"} <= set(t.columns):
            raise InputError(
                "a rate table has unexpected columns",
                where=self.source.name,
                got=", ".join(map(str, t.columns)),
                expected=f"rate, n and any of {', '.join(FACTORS)}",
            )
        if not ((t["rate"] > 0) & (t["rate"] < 1)).all():
            raise InputError(
                "published rates must lie strictly between 0 and 1",
                where=self.source.name,
                got=t.loc[~((t["rate"] > 0) & (t["rate"] < 1)), "rate"].tolist()[:5],
                hint="rates are proportions: 15.4 % is 0.154",
            )
        if self.is_total().sum() != 1:
            raise InputError(
                "a rate table needs one total: the row with no level",
                where=self.source.name,
                got=f"{int(self.is_total().sum())} of them",
            )
        if t["n"].isna().any() and self.assumed_n is None:
            raise InputError(
                "the publication gives no number of respondents",
                where=self.source.name,
                expected="column n, or assumed_n",
                hint="give assumed_n: it is printed as an assumption with every result",
            )

    def is_total(self) -> npt.NDArray[np.bool_]:
        """Return which row has no level, shape (G,)."""
        factors = [c for c in FACTORS if c in self.table.columns]
        filled = self.table[factors].fillna("").astype(str)
        return np.asarray((filled == "").all(axis=1))

    def total(self) -> DirectRate:
        """Return the published total, with its sampling error."""
        row = self.table[self.is_total()].iloc[0]
        rate = float(row["rate"])
        n = float(self.assumed_n if np.isnan(row["n"]) and self.assumed_n else row["n"])
        variance = self.deff * rate * (1 - rate) / n + (self.rounding / 2) ** 2 / 3
        return DirectRate(rate, float(np.sqrt(variance)), self.deff, n)

    def masks(self, codes: dict[str, npt.NDArray[np.int64]]) -> Floats:
        """Return which cells belong to each row's group, shape (G, R)."""
        R = len(next(iter(codes.values())))
        out = np.ones((len(self.table), R))
        for factor in FACTORS:
            if factor not in self.table.columns:
                continue
            for g, text in enumerate(self.table[factor].fillna("").astype(str)):
                if not text:
                    continue
                wanted = [_level(factor, part, self.source.name) for part in text.split("|")]
                out[g] *= np.isin(codes[factor], wanted)
        return out


def _level(factor: str, level: str, where: str) -> int:
    if level not in FACTORS[factor]:
        raise InputError(
            f"unknown level of {factor}",
            where=where,
            got=level,
            expected=", ".join(FACTORS[factor]),
        )
    return FACTORS[factor].index(level)


def margins_of(survey: SurveyCells, factors: Sequence[str], *, rounding: float = 0.0) -> RateTable:
    """Publish a survey's rates by group: what is left when its microdata are hidden.

    Parameters
    ----------
    survey : SurveyCells
        One wave.
    factors : sequence of str
        Factors tabulated besides the total, each on its own or two crossed (``"age:diploma"``);
        crossed groups of fewer than thirty respondents are not published.
    rounding : float
        Unit the rates are rounded to, 0.01 for whole percentages; a rate that would round to 0 or 1
        is not published.
    """
    t = survey.table
    whole = direct_rate(t)
    parts: list[dict[str, str | float]] = [{"rate": whole.rate, "n": whole.n}]
    levels = encode(t)
    for group in factors:
        names = group.split(":")
        for where, at in _groups(names, levels):
            yes, w, n = (float(t.loc[at, column].sum()) for column in ("wy", "w", "n"))
            rate = yes / w if w > 0 else 0.0
            rate = round(rate / rounding) * rounding if rounding else rate
            if 0 < rate < 1 and (len(names) == 1 or n >= FEWEST):
                parts.append({**where, "rate": rate, "n": n})
    table = pd.DataFrame(parts)
    year = int(t["wave"].max())
    deff = max(1.0, whole.deff)
    return RateTable(table, survey.indicator, survey.source, year, rounding=rounding, deff=deff)


def _groups(
    names: Sequence[str], levels: dict[str, npt.NDArray[np.int64]]
) -> Iterator[tuple[dict[str, str], npt.NDArray[np.bool_]]]:
    """Yield every combination of levels of some factors, and whose rows are in it."""
    for codes in product(*(range(len(FACTORS[name])) for name in names)):
        pairs = list(zip(names, codes, strict=True))
        at = np.logical_and.reduce([levels[name] == code for name, code in pairs])
        yield {name: FACTORS[name][code] for name, code in pairs}, at


def composition_of(survey: SurveyCells) -> Frame:
    """Return whom a survey's weights stand for, by region and urban size, as a frame.

    12-17 is one class in the survey; half goes to each of the census's two, which have one effect.
    """
    table = survey.table[survey.table["region"] != ""]
    who = profiles()
    place = {row: k for k, row in enumerate(who.itertuples(index=False, name=None))}
    strata = sorted(set(zip(table["region"], table["urban"], strict=True)))
    at = {stratum: k for k, stratum in enumerate(strata)}
    N = np.zeros((len(strata), len(who)))
    keys = ["region", "urban", "age", "sex", "diploma", "occupation", "w"]
    for region, urban, age, *rest, w in table[keys].itertuples(index=False, name=None):
        known = ("12-14", "15-17") if age == "12-17" else (age,)
        for one in known:
            N[at[region, urban], place[(one, *rest)]] += float(w) / len(known)
    areas = pd.DataFrame(strata, columns=["region", "urban"])
    geo = areas["region"] + "-" + areas["urban"]
    areas = areas.assign(geo=geo, level="stratum", name=geo, tier="survey", epci="")
    return Frame(areas, N, (survey.source,), int(table["wave"].max()))
