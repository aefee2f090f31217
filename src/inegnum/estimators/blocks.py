"""Rates of any block of areas from one posterior: a pure function of the posterior and the block.

Model
    That of `multilevel`: coefficients, region effects included, are the same draws everywhere;
    the deviation of an intercommunality and that of a commune are drawn from generators keyed by
    their codes. A block can thus be computed anywhere, in any order, or again years later, and an
    intercommunality that lies in two blocks has one deviation.
Assumptions
    Areas of a block stand in one call to `poststratify`, so the same block gives the same bytes.
Limits
    Not the same draws as `Fit.predict`, whose deviations come from one generator in the order of
    the areas: equal in distribution. The recentring is taken by region and urban size, where
    `Fit.predict` takes it at the mean of its areas.

References
----------
    As `multilevel`; keyed generators: Salmon et al. 2011, doi:10.1145/2063384.2063405 (streams
    named by what they are for).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data.types import Frame, Indicator
from inegnum.errors import PublicationError, StudyError
from inegnum.estimators.deviations import geographic_codes, require_persons
from inegnum.estimators.multilevel import Fit
from inegnum.estimators.spec import Tau
from inegnum.estimators.terms import Coefficients
from inegnum.numerics.poststratify import poststratify, recentring

__all__ = ["Posterior", "block_counts", "posterior_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Posterior:
    """Draws of one indicator, anchored, that need nothing else to give the rate of an area.

    Attributes
    ----------
    indicator : Indicator
    coefficients : Coefficients
        S draws, the anchor's shift included.
    national : ndarray of shape (S,)
        National rate each draw was anchored to.
    tau : Tau
        Prior of the sd of deviations.
    seed : int
        Of deviations.
    """

    indicator: Indicator
    coefficients: Coefficients
    national: Floats
    tau: Tau
    seed: int

    def __len__(self) -> int:
        return len(self.national)

    def sds(self) -> tuple[Floats, Floats]:
        """Return the sds of deviations of intercommunalities and of communes, (S,) each."""
        normal = self._generator("sd", "").standard_normal((2, len(self)))
        scale = self.tau.factor * np.exp(self.tau.log_sd * normal)
        return self.tau.metro * scale[0], self.tau.commune * scale[1]

    def standard(self, level: str, codes: pd.Series) -> Floats:
        """Return the standard normal draws of areas, (S, A); equal codes have equal draws."""
        at, found = pd.factorize(codes)
        drawn = [self._generator(level, str(code)).standard_normal(len(self)) for code in found]
        return np.stack(drawn, axis=1)[:, at]

    def _generator(self, purpose: str, code: str) -> np.random.Generator:
        # The code enters whole: two codes never share a generator.
        name = zlib.crc32(f"{purpose} {self.indicator.code}".encode())
        return np.random.default_rng([self.seed, name, int.from_bytes(code.encode())])


def posterior_of(fit: Fit, *, seed: int) -> Posterior:
    """Return what a fit says of any area.

    Raises
    ------
    PublicationError
        The fit rests on a single national total, which says nothing of areas.
    StudyError
        Deviations are tied between neighbours, or informed by respondents of known communes: no
        commune can then be computed apart from the others.
    """
    if fit.spec.tau.structure != "iid" or fit.coefficients.communes:
        raise StudyError(
            "communes whose deviations are tied together cannot be computed apart",
            where=fit.indicator.code,
            got="model.tau.structure or model.area",
            expected='independent deviations: structure = "iid", no area effects',
            hint="such a model serves one territory: an EPCI, a department, communes",
        )
    if fit.tier == "T3":
        raise PublicationError(
            "a single national total says nothing of sub-areas",
            where=fit.indicator.code,
            expected="an indicator with respondents or rates by group",
        )
    return Posterior(fit.indicator, fit.anchored(), fit.national, fit.spec.tau, seed)


def block_counts(posterior: Posterior, frame: Frame, shifts: Floats) -> tuple[Floats, Floats]:
    """Return persons with the characteristic, and persons, for a block of communes.

    Parameters
    ----------
    posterior : Posterior
        Of S draws.
    frame : Frame
        A communes; draw s uses frame draw s modulo their number.
    shifts : ndarray of shape (Q, S)
        Logit shifts, of the same draws, to evaluate at.

    Returns
    -------
    counts : ndarray of shape (Q, S, A)
    persons : ndarray of shape (S, A)

    Raises
    ------
    UniverseError, FrameError
        The frame does not cover the universe, or an area has nobody of it.
    """
    require_persons(frame, posterior.indicator.universe)
    mask = frame.mask(posterior.indicator.universe)
    S, areas, part = len(posterior), frame.areas, posterior.coefficients
    N = frame.draws[:, :, mask] if frame.draws.size else frame.N[None, :, mask]
    which = np.arange(S, dtype=np.int64) % len(N)
    metro, commune = posterior.sds()
    deviation = metro[:, None] * posterior.standard("metro", areas["epci"])
    deviation += commune[:, None] * posterior.standard("commune", areas["geo"])
    counts = np.empty((len(shifts), *deviation.shape))
    strata = geographic_codes(frame, "region") * part.urban.shape[1]
    strata += geographic_codes(frame, "urban")
    for stratum in np.unique(strata):
        at = np.flatnonzero(strata == stratum)
        region, urban = divmod(int(stratum), part.urban.shape[1])
        level = (part.region[:, region] + part.urban[:, urban])[:, None]
        profile = part.profile[:, mask]
        profile = profile + recentring(profile + level, metro**2 + commune**2)
        own = np.ascontiguousarray(N[:, at])
        for q, shift in enumerate(shifts):
            area = level + shift[:, None] + deviation[:, at]
            counts[q][:, at], _ = poststratify(profile, area, own, frame=which)
    return counts, N.sum(axis=2)[which]
