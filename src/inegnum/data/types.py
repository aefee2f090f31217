"""What passes from the data stage to the estimators: cells of a survey and a frame of persons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.codebook import Universe, ages_of, profiles
from inegnum.errors import FrameError, InputError
from inegnum.provenance import Source

__all__ = ["CELL_SUMS", "Frame", "Indicator", "SurveyCells"]

Family = Literal["uses", "ease", "equipment", "connection"]
CELL_SUMS: Final = ("n", "y", "w", "wy", "w2", "w2y")
CELL_KEYS: Final = (
    "wave",
    "age",
    "sex",
    "diploma",
    "occupation",
    "urban",
    "region",
    "mode",
)


@dataclass(frozen=True, slots=True)
class Indicator:
    """A yes/no characteristic of a person and everything needed to read its rate.

    Attributes
    ----------
    code : str
        Identifier, for instance ``"smartphone"``.
    family : {"uses", "ease", "equipment", "connection"}
        In the observatory's order of priority.
    en, fr : str
        Short labels.
    wording : str
        Question as asked, or ``"wording inferred: ..."``.
    universe : {"12+", "15+", "18+"}
        Who the rate is about.
    denominator_en, denominator_fr : str
        Who is counted in the denominator, non-users of internet included or not.
    direction : {1, -1}
        1 when a higher rate is closer to digital, -1 when it is farther.
    """

    code: str
    family: Family
    en: str
    fr: str
    wording: str
    universe: Universe
    denominator_en: str
    denominator_fr: str
    direction: Literal[1, -1]


@dataclass(frozen=True, slots=True)
class SurveyCells:
    """Evidence of one indicator, collapsed to cells.

    Attributes
    ----------
    table : DataFrame
        Keys ``wave, age, sex, diploma, occupation, urban, region, mode`` (age ``"12-17"`` for
        minors; region ``""`` where the wave does not give it) and sums ``n, y, w, wy, w2, w2y``:
        respondents, respondents with the characteristic, weights, weights of the latter, squared
        weights, squared weights of the latter.
    indicator : Indicator
        What is measured.
    source : Source
        Of role ``fit``.

    Examples
    --------
    >>> import inegnum as ing
    >>> survey = ing.load_survey("smartphone")
    >>> survey.indicator.universe, int(survey.waves(2022).table["n"].sum())
    ('12+', 4184)
    """

    table: pd.DataFrame
    indicator: Indicator
    source: Source

    def __post_init__(self) -> None:
        missing = [c for c in (*CELL_KEYS, *CELL_SUMS) if c not in self.table.columns]
        if missing:
            raise InputError(
                "survey cells lack columns",
                where=self.source.name,
                got=", ".join(map(str, self.table.columns)),
                expected=", ".join((*CELL_KEYS, *CELL_SUMS)),
                hint=f"add {', '.join(missing)}",
            )

    def waves(self, *waves: int) -> SurveyCells:
        """Keep these waves only."""
        found = set(self.table["wave"].unique())
        absent = [wave for wave in waves if wave not in found]
        if absent:
            raise InputError(
                "a wave has no respondents for this indicator",
                where=f"{self.source.name}, {self.indicator.code}",
                got=absent,
                expected=f"among {sorted(found)}",
            )
        kept = self.table[self.table["wave"].isin(waves)].reset_index(drop=True)
        return SurveyCells(kept, self.indicator, self.source)

    def rate(self) -> float:
        """Return the weighted rate over all cells (Hájek)."""
        return float(self.table["wy"].sum() / self.table["w"].sum())

    def deff(self) -> float:
        """Return Kish's design effect of unequal weighting, n sum(w^2) / (sum w)^2."""
        t = self.table
        return float(t["n"].sum() * t["w2"].sum() / t["w"].sum() ** 2)


@dataclass(frozen=True, slots=True)
class Frame:
    """Persons by area and profile: what rates are poststratified to.

    Attributes
    ----------
    areas : DataFrame of A rows
        At least ``geo`` (code as text), ``level``, ``name``, ``region``, ``urban``, ``tier``
        (F1 to F4, see METHODS of the documentation) and ``epci``.
    N : ndarray of shape (A, K)
        Persons of 12 and over, K profiles in the order of `codebook.profiles`.
    draws : ndarray of shape (F, A, K)
        Frames drawn from their own uncertainty; F = 0 when the frame is taken as known.
    sources : tuple of Source
        Margins and seeds it was built from.
    year : int
        Year the counts are scaled to.
    report : DataFrame
        Margin by margin: ``geo, margin, level, target, achieved, source, year``.

    Examples
    --------
    >>> import inegnum as ing
    >>> lormont = ing.build_frame(ing.load_areas(communes=["33249"]), year=2022)
    >>> lormont.areas["name"].tolist(), lormont.areas["tier"].tolist(), lormont.N.shape[0]
    (['Lormont'], ['F3'], 1)
    """

    areas: pd.DataFrame
    N: npt.NDArray[np.float64]
    sources: tuple[Source, ...]
    year: int
    draws: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0, 0)))
    report: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        shape = (len(self.areas), len(profiles()))
        if self.N.shape != shape:
            raise FrameError("frame counts have the wrong shape", got=self.N.shape, expected=shape)
        if not np.isfinite(self.N).all() or (self.N < 0).any():
            raise FrameError(
                "frame counts must be finite and not negative",
                where="N",
                got=f"{(~np.isfinite(self.N)).sum()} missing, {(self.N < 0).sum()} negative",
                hint="a suppressed cell is missing, never zero: build the frame without it",
            )
        if self.draws.size and self.draws.shape[1:] != shape:
            raise FrameError(
                "frame draws have the wrong shape", got=self.draws.shape, expected=("F", *shape)
            )
        needed = {"geo", "level", "name", "region", "urban", "tier", "epci"}
        if not needed <= set(self.areas.columns):
            raise FrameError(
                "the frame's areas lack columns",
                got=", ".join(self.areas.columns),
                expected=", ".join(sorted(needed)),
            )
        if self.areas["geo"].duplicated().any():
            raise FrameError(
                "an area stands twice in the frame",
                got=", ".join(self.areas.loc[self.areas["geo"].duplicated(), "geo"].head()),
            )

    def mask(self, universe: str) -> npt.NDArray[np.bool_]:
        """Return which profiles belong to `universe`, shape (K,)."""
        return np.asarray(profiles()["age"].isin(ages_of(universe)))

    def persons(self, universe: str) -> npt.NDArray[np.float64]:
        """Return persons of `universe` by area, shape (A,)."""
        return np.asarray(self.N[:, self.mask(universe)].sum(axis=1))

    def select(self, geos: list[str]) -> Frame:
        """Keep these areas, in this order."""
        index = {geo: i for i, geo in enumerate(self.areas["geo"])}
        unknown = [geo for geo in geos if geo not in index]
        if unknown:
            raise FrameError(
                "areas are not in the frame",
                got=", ".join(unknown),
                expected=f"among {len(index)} areas such as {', '.join(list(index)[:3])}",
            )
        at = [index[geo] for geo in geos]
        return Frame(
            self.areas.iloc[at].reset_index(drop=True),
            self.N[at],
            self.sources,
            self.year,
            self.draws[:, at] if self.draws.size else self.draws,
            self.report[self.report["geo"].isin(geos)] if len(self.report) else self.report,
        )
