"""Three readings of the urban gradient, for one indicator.

Telephone interviews, aimed at people far from digital, weigh more in rural communes than in large
agglomerations: the gradient of the last waves mixes place and mode. Pooled: as estimated, wave
deviations shrunk, prior from the earlier face-to-face waves. Held: personal effects of the pooled
fit, gradient of the earlier waves (a cut: the last wave does not correct it). Equalised: refitted
once phone interviews weigh the same in every urban size and region, within wave and age;
overcorrects as far as people there are really farther from digital.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.types import SurveyCells
from inegnum.errors import CalibrationError, InputError
from inegnum.estimators.engine import Drawn, Estimated, estimate
from inegnum.estimators.evidence import Rows, equalise_phone, evidence_rows
from inegnum.estimators.recent import Recent
from inegnum.estimators.spec import ModelSpec
from inegnum.estimators.terms import Coefficients, GradientPrior, blocks, coefficients
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import build_design

__all__ = ["READINGS", "Reading", "Readings", "pooled_waves"]

Floats = npt.NDArray[np.float64]
Reading = Literal["pooled", "held", "equalised"]
# Most variants of a fit take the urban gradient from the same earlier waves.
_GRADIENTS: Final[Recent[GradientPrior]] = Recent(4)
READINGS: Final[tuple[Reading, ...]] = ("pooled", "held", "equalised")


def pooled_waves(
    spec: ModelSpec, survey: SurveyCells, notes: list[str]
) -> tuple[SurveyCells, int, int]:
    """Return the cells of the waves pooled, the wave predicted and the year of the anchor."""
    found = {int(wave) for wave in survey.table["wave"].unique()}
    waves = [wave for wave in spec.waves if wave in found]
    if not waves:
        raise InputError(
            "no wave of the model measures this indicator",
            where=survey.indicator.code,
            got=f"waves {sorted(found)}",
            expected=f"one of {spec.waves}",
        )
    wave = max((w for w in waves if w <= spec.year), default=max(waves))
    year = spec.year if spec.year in found else wave
    if year != spec.year:
        notes.append(f"rates are about {year}: the indicator was not measured in {spec.year}")
    absent = [wave for wave in spec.waves if wave not in found]
    if absent:
        notes.append(f"not measured in {', '.join(map(str, absent))}: {waves} used")
    return survey.waves(*waves), wave, year


class Readings:
    """The three readings of the urban gradient, each fitted when first drawn."""

    def __init__(
        self,
        spec: ModelSpec,
        survey: SurveyCells,
        pooled: SurveyCells,
        wave: int,
        rng: np.random.Generator,
    ) -> None:
        self.spec, self.survey, self.pooled, self.wave, self.rng = spec, survey, pooled, wave, rng
        found = {int(w) for w in survey.table["wave"].unique()}
        self.history = tuple(w for w in spec.history if w in found and w < wave)
        self.earlier = tuple(sorted(w for w in {*self.history, *spec.waves} & found if w < wave))
        self.urban = any(t.factors == "urban" for t in spec.terms)
        self.gradient = self._gradient(self.history)
        self.fitted: dict[bool, Estimated] = {}

    def weights(self, notes: list[str]) -> tuple[float, float, float]:
        """Return the share of each reading, giving to the pooled one what another cannot take."""
        mode = self.spec.mode
        held, equalised = mode.held, mode.equalised
        if held and not (self.urban and self.earlier):
            notes.append("no earlier wave to hold the urban gradient at: that reading is pooled")
            held = 0.0
        if equalised and not self.pooled.table["mode"].eq("phone").any():
            notes.append("no phone interview to equalise: that reading is pooled")
            equalised = 0.0
        if equalised and self._evened is None:
            notes.append("phone interviews cannot be made even over places: that reading is pooled")
            equalised = 0.0
        return 1 - held - equalised, held, equalised

    def draw(
        self, reading: Reading, S: int, others: Sequence[int] = ()
    ) -> tuple[Drawn, tuple[Coefficients, ...]]:
        """Return S draws of the effects under one reading, and their coefficients.

        Coefficients are those of the wave predicted, then of `others`.
        """
        found = self._estimated(reading == "equalised").draw(S, self.rng)
        waves = (self.wave, *others)
        parts = [coefficients(found.effects, self.spec, found.rows, wave=wave) for wave in waves]
        if reading == "held":
            gradient = self._gradient(self.earlier)
            if gradient is None:
                raise InputError("no earlier wave to hold the gradient at", where="mode, held")
            slope = gradient.draw(S, self.rng)
            parts = [
                replace(part, urban=self._levelled(slope, part, found.rows, wave))
                for part, wave in zip(parts, waves, strict=True)
            ]
        return found, tuple(parts)

    def judged(self) -> pd.DataFrame:
        """Return the fast engine's judgement on the survey's own rates, by reading."""
        tables = [
            found.weighed.table.assign(reading="equalised" if equalised else "pooled")
            for equalised, found in self.fitted.items()
            if found.weighed is not None
        ]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def switched(self) -> tuple[str, ...]:
        """Return why NUTS stood in for the fast engine, if it did."""
        return tuple(found.switched for found in self.fitted.values() if found.switched)

    def _estimated(self, equalised: bool) -> Estimated:
        """Fit once with the cells as they are (pooled, held) and once equalised."""
        if equalised not in self.fitted:
            cells = self.pooled
            if equalised:
                if self._evened is None:
                    raise InputError(
                        "phone interviews cannot be made even", where="mode, equalised"
                    )
                cells = self._evened
            weights = self.pooled.table["w"].to_numpy(dtype=np.float64)
            rows = evidence_rows(
                cells, counts=self.spec.counts, weights=weights, area=self.spec.area
            )
            self.fitted[equalised] = estimate(self.spec, rows, rng=self.rng, gradient=self.gradient)
        return self.fitted[equalised]

    @cached_property
    def _evened(self) -> SurveyCells | None:
        """Return the pooled cells with phone interviews made even, if weights can do it."""
        try:
            return equalise_phone(self.pooled)
        except CalibrationError:
            return None

    def _levelled(self, urban: Floats, part: Coefficients, rows: Rows, wave: int) -> Floats:
        """Give a foreign gradient the mean level of the fit's own: only its slope is taken."""
        at = rows.codes["wave"] == rows.waves.index(wave)
        share = np.bincount(rows.codes["urban"][at], rows.w[at], part.urban.shape[1])
        return np.asarray(urban + ((part.urban - urban) @ (share / share.sum()))[:, None])

    def _gradient(self, waves: tuple[int, ...]) -> GradientPrior | None:
        """Return the urban gradient of some waves, estimated by the same model without region."""
        if not waves or not self.urban:
            return None
        spec = replace(self.spec, terms=self.spec.without("region"))
        rows = evidence_rows(self.survey.waves(*waves), counts=spec.counts)
        inputs = (spec.terms, spec.intercept, spec.area, rows.waves, rows.digest())
        return _GRADIENTS.get(inputs, self.rng, lambda: _gradient_prior(spec, rows, self.rng))


def _gradient_prior(spec: ModelSpec, rows: Rows, rng: np.random.Generator) -> GradientPrior:
    design = build_design(rows.y, rows.n, blocks(spec, rows))
    # A mean and a covariance are all that is kept: the plain nested Laplace is enough.
    posterior = integrate(design, rng=rng, points=16, correct=False)
    place = design.slices[[term.name for term in design.terms].index("urban")]
    mean, covariance = posterior.mean()[place], posterior.covariance()[place, place]
    # The level of a gradient belongs to the intercept: contrasts only, and a small variance of
    # the level to keep the prior proper.
    contrast = np.eye(len(mean)) - 1 / len(mean)
    return GradientPrior(contrast @ mean, contrast @ covariance @ contrast + 0.01, rows.waves)
