"""Multilevel regression and poststratification of a yes/no indicator.

Model
    logit p = intercept + wave + age (random walk) + sex + diploma + occupation + urban size +
    region + age:diploma + age:sex + wave:age + wave:diploma + wave:urban + wave:region, on
    effective counts; area i adds delta_metropolis(i) + u_i, drawn from priors learned elsewhere;
    per draw, one logit shift makes the national frame reproduce the national rate, itself drawn
    with the coefficients.
Assumptions
    Composition works alike everywhere up to the area deviations; the frame counts the same
    categories as the survey up to a shift of level.
Limits
    Place is confounded with interview mode in the last waves: three readings share the draws
    (`ModeReadings`). The anchor fixes the level, not the slopes. Quota and online
    selection are a label, not part of the interval.

References
----------
    Gelman & Little 1997; Park, Gelman & Bafumi 2004, doi:10.1093/pan/mph024; Gao et al. 2021,
    doi:10.1214/20-BA1223 (structured priors); Rosenman, McCartan & Olivella 2023,
    doi:10.1017/pan.2022.31 (logit shift). R: ``rstanarm::stan_glmer`` + ``posterior_epred``.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit
from threadpoolctl import threadpool_limits

from inegnum.data.types import Frame, Indicator, SurveyCells
from inegnum.draws import Draws
from inegnum.errors import InputError, PublicationError
from inegnum.estimators.anchor import anchor_shift
from inegnum.estimators.deviations import (
    Noise,
    area_deviations,
    geographic_codes,
    require_persons,
    with_groups,
)
from inegnum.estimators.diagnostics import Diagnostics
from inegnum.estimators.engine import Estimated
from inegnum.estimators.evidence import DirectRate
from inegnum.estimators.learned_tau import resolved
from inegnum.estimators.reliability import judge_areas, require_reliable
from inegnum.estimators.spec import COMPONENTS, Component, ModelSpec
from inegnum.estimators.terms import Coefficients
from inegnum.estimators.waves import draw_waves
from inegnum.numerics.poststratify import poststratify, recentring
from inegnum.provenance import Source, require_role

if TYPE_CHECKING:
    from xarray import DataTree

__all__ = ["Fit", "fit", "fit_waves"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fit:
    """Draws of the coefficients of one indicator, anchored, ready for any frame.

    Attributes
    ----------
    spec : ModelSpec
    indicator : Indicator
    year : int
        Wave the rates are about.
    coefficients : Coefficients
        S draws.
    reading : ndarray of shape (S,)
        Which of `READINGS` each draw follows.
    national : ndarray of shape (S,)
        National rate each draw was anchored to.
    shift : ndarray of shape (S,)
        Logit shift of each draw, the national frame taken as known.
    shift_drawn : ndarray of shape (S,)
        The same with draw s anchored on national frame draw s modulo their number, so that errors
        common to both frames cancel; equal to `shift` when the national frame has no draws.
    direct : DirectRate
        National rate of the survey.
    diagnostics : Diagnostics
    sources : tuple of Source
    tier : {"T1", "T2", "T3"}
        Evidence: microdata, published rates by group, or a single total. T3 gives whole territories
        only.
    evidence : tuple of Estimated
        Posteriors of the effects the draws come from, cells as collected first, then with phone
        interviews equalised; `logits` holds the rate of each area against them.

    Examples
    --------
    >>> import inegnum as ing
    >>> france, survey = ing.national_frame(year=2022), ing.load_survey("smartphone")
    >>> fit = ing.fit(ing.ModelSpec(draws=400), survey, national=france, seed=1)
    >>> frame = ing.build_frame(ing.load_areas(communes=["33249", "33063"]), year=2022)
    >>> fit.predict(frame, seed=1).values.shape  # two communes and the EPCI they belong to
    (400, 3)
    """

    spec: ModelSpec
    indicator: Indicator
    year: int
    coefficients: Coefficients
    reading: Ints
    national: Floats
    shift: Floats
    shift_drawn: Floats
    direct: DirectRate
    diagnostics: Diagnostics
    sources: tuple[Source, ...]
    tier: Literal["T1", "T2", "T3"] = "T1"
    evidence: tuple[Estimated, ...] = ()

    def predict(
        self,
        frame: Frame,
        *,
        seed: int,
        components: Collection[Component] = COMPONENTS,
        groups: str | Sequence[str] | None = "epci",
        noise: Noise | None = None,
    ) -> Draws:
        """Return joint draws of the rate of every area of `frame`, and of their groups.

        Parameters
        ----------
        frame : Frame
            Areas by profiles; areas that gave no respondent get a deviation drawn, not zero.
        seed : int
            Of area deviations and frame draws.
        components : collection of {"sampling", "frame", "transport", "mode", "anchor"}
            Sources of uncertainty kept; the others are held at their centre.
        groups : str or sequence of str, optional
            Columns of the areas; each of their values is one more item, the sum of its areas in
            every draw.
        noise : callable, optional
            What becomes of the standard normals of the deviations (`deviations.Noise`).

        Returns
        -------
        Draws
            Items: ``geo, level, indicator, universe, persons``.
        """
        counts, persons, items = self._joint(frame, seed, components, groups, noise)
        return Draws(counts / persons, items)

    def predict_counts(
        self,
        frame: Frame,
        *,
        seed: int,
        components: Collection[Component] = COMPONENTS,
        groups: str | Sequence[str] | None = "epci",
        noise: Noise | None = None,
    ) -> Draws:
        """Return joint draws of the persons with the characteristic, as `predict` does of rates."""
        counts, _, items = self._joint(frame, seed, components, groups, noise)
        return Draws(counts, items)

    def _joint(
        self,
        frame: Frame,
        seed: int,
        components: Collection[Component],
        groups: str | Sequence[str] | None,
        noise: Noise | None,
    ) -> tuple[Floats, Floats, pd.DataFrame]:
        unknown = set(components) - set(COMPONENTS)
        if unknown:
            raise InputError(
                "unknown component of uncertainty",
                got=", ".join(sorted(unknown)),
                expected=", ".join(COMPONENTS),
            )
        profile, area, N, which = self.logits(frame, seed=seed, components=components, noise=noise)
        counts, persons = poststratify(profile, area, N, frame=which)
        counts, persons, items = with_groups(counts, persons, frame, groups, self.indicator)
        if self.tier != "T3":
            return counts, persons, items
        whole = np.arange(len(frame.areas), len(items))
        if len(whole) == 0:
            raise PublicationError(
                "a single national total says nothing of sub-areas",
                where=self.indicator.code,
                expected="groups: the territory as a whole",
                hint="an order of magnitude for the territory is all there is: nothing to map",
            )
        return counts[:, whole], persons[:, whole], items.iloc[whole].reset_index(drop=True)

    def logits(
        self,
        frame: Frame,
        *,
        seed: int,
        components: Collection[Component] = COMPONENTS,
        noise: Noise | None = None,
    ) -> tuple[Floats, Floats, Floats, Ints | None]:
        """Return what `poststratify` takes: the draws `predict` sums over profiles and areas.

        A `noise` takes the standard normals of the area deviations in hand (`deviations.Noise`).

        Returns
        -------
        profile : ndarray of shape (S, K)
            Logit of each profile of the universe, in the order of `codebook.profiles`.
        area : ndarray of shape (S, A)
            Logit part of each area, deviation included.
        N : ndarray of shape (A, K), or (F, A, K)
            Persons; several frames when they are drawn.
        which : ndarray of shape (S,), or None
            Frame of each draw.

        Raises
        ------
        ConvergenceError
            The fast engine does not represent the rate of an area (k-hat, `reliability`).
        """
        mask = frame.mask(self.indicator.universe)
        require_persons(frame, self.indicator.universe)
        drawn = "frame" in components and frame.draws.size > 0
        part = self._parts(components, drawn)
        rng = _generator(seed, "predict", self.indicator)
        S = len(part.profile)
        area = part.urban[:, geographic_codes(frame, "urban")]
        area = area + part.region[:, geographic_codes(frame, "region")]
        deviation, variance = area_deviations(
            frame, part, self.spec, rng, transport="transport" in components, noise=noise
        )
        N, which = frame.N[:, mask], None
        if drawn:
            N, which = frame.draws[:, :, mask], np.arange(S, dtype=np.int64) % len(frame.draws)
        if set(components) == set(COMPONENTS):
            require_reliable(self.reliability(frame), where=f"areas, {self.indicator.code}")
        profile = part.profile[:, mask]
        # Evaluated at the areas' mean logit: they differ by less than the correction can see.
        shared = variance.min(axis=1)
        more = variance - shared[:, None]
        if more.any():  # IRIS beside communes: what they vary more, at their own mean logit
            typical = profile @ (frame.N[:, mask] / frame.N[:, mask].sum(axis=1, keepdims=True)).T
            deviation = deviation + recentring(typical + area, more)
        profile = profile + recentring(profile + area.mean(axis=1, keepdims=True), shared)
        return profile, area + deviation, N, which

    def reliability(self, frame: Frame) -> pd.DataFrame:
        """Return the fast engine's judgement on the rate of each area of `frame`.

        Returns
        -------
        DataFrame
            ``rate, khat, share, shift, reliable`` (`reliability.judged_table`), areas in the order
            of the frame, once by posterior; empty when there is nothing to judge.
        """
        return judge_areas(
            self.evidence, self.spec, frame, self.indicator, float(self.shift.mean())
        )

    def to_datatree(self, *, draws: int = 1000, seed: int = 0) -> DataTree:
        """Return the posterior of the effects, cells as collected, as an ArviZ DataTree.

        ``az.summary``, ``az.loo`` and the rest read it, whichever the engine (`datatree`).
        """
        if not self.evidence:
            raise InputError(
                "this fit carries no posterior of effects", where=f"{self.indicator.code}, evidence"
            )
        return self.evidence[0].to_datatree(draws=draws, seed=seed)

    def anchored(self) -> Coefficients:
        """Return every draw's coefficients, its shift to the national rate included."""
        return self._parts(COMPONENTS, drawn=True)

    def _parts(self, components: Collection[Component], drawn: bool) -> Coefficients:
        """Return coefficients, shift included, with the switched-off components held."""
        c, shift = self.coefficients, self.shift_drawn if drawn else self.shift
        keep = np.arange(len(shift))
        if "mode" not in components:
            pooled = np.flatnonzero(self.reading == 0)
            if len(pooled) == 0:
                raise InputError("no draw follows the pooled reading", where="mode")
            keep = np.resize(pooled, len(shift))
        part, shift = c.take(keep), shift[keep]
        # To first order in the shift, the level of a draw moves as its national rate does.
        level = logit(self.national[keep]) - logit(self.direct.rate)
        shift = shift - level
        if "sampling" not in components:
            part = part.held(self.reading[keep])
            for r in np.unique(self.reading[keep]):
                at = self.reading[keep] == r
                shift[at] = shift[at].mean()
        if "anchor" in components:
            shift = shift + level
        return replace(part, profile=part.profile + shift[:, None])


def fit(spec: ModelSpec, survey: SurveyCells, *, national: Frame, seed: int) -> Fit:
    """Fit the model of one indicator and anchor it to the national rate.

    Parameters
    ----------
    spec : ModelSpec
    survey : SurveyCells
        Cells of one indicator, waves not asked for are ignored.
    national : Frame
        Persons of France by urban size (and region), in the same profiles.
    seed : int

    Raises
    ------
    IsolationError
        A source kept for validation was offered.
    BenchmarkError
        The anchor needs more than its limit.
    ConvergenceError
        The engine did not converge.

    Examples
    --------
    >>> import inegnum as ing
    >>> france = ing.national_frame(year=2022)
    >>> survey = ing.load_survey("smartphone")
    >>> found = ing.fit(ing.ModelSpec(draws=400), survey, national=france, seed=1)
    >>> round(found.direct.rate, 3), round(float(found.national.mean()), 2)
    (0.872, 0.87)
    """
    require_role([survey.source], "fit", where=f"fit of {survey.indicator.code}")
    # Matrices of a hundred rows: more threads than one only wait for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        return fit_waves(spec, survey, national, {}, seed)[0]


def fit_waves(
    spec: ModelSpec, survey: SurveyCells, national: Frame, others: Mapping[int, Frame], seed: int
) -> tuple[Fit, ...]:
    """Return the fit of the specification's year, then of other waves pooled in it.

    Draws of all go together; the first is the same whatever the others. `others` gives the national
    frame each wave is anchored on.
    """
    rng = _generator(seed, "fit", survey.indicator)
    spec = replace(spec, tau=resolved(spec.tau, survey.indicator.code))
    drawn = draw_waves(spec, survey, rng, tuple(others))
    judged, switched = drawn.readings.judged(), drawn.readings.switched()
    out: list[Fit] = []
    for wave, frame in zip(drawn.waves, (national, *others.values()), strict=True):
        goal = (wave.target, wave.drift)
        shift, shift_drawn = anchor_shift(spec, wave.coefficients, frame, survey.indicator, goal)
        diagnostics = Diagnostics(
            "nuts" if switched else spec.engine,
            float(judged["khat"].max()) if len(judged) else -np.inf,
            float(shift.mean()),
            wave.drift,
            spec.anchor.limit,
            (*drawn.notes, *switched),
            drawn.sds,
            judged,
        )
        out.append(
            Fit(
                replace(spec, year=wave.year) if out else spec,
                survey.indicator,
                wave.year,
                wave.coefficients,
                drawn.reading,
                wave.target,
                shift,
                shift_drawn,
                wave.direct,
                diagnostics,
                (survey.source, *frame.sources),
                evidence=tuple(drawn.readings.fitted.values()),
            )
        )
    return tuple(out)


def _generator(seed: int, purpose: str, indicator: Indicator) -> np.random.Generator:
    """Return a generator of its own for each purpose and indicator.

    With the bare seed every indicator would meet the same area deviations.
    """
    return np.random.default_rng([seed, zlib.crc32(f"{purpose} {indicator.code}".encode())])
