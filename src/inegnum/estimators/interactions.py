"""Interactions that published rates do not show, learned from microdata of other waves.

Model
    Effects of age x diploma and age x sex are those of the other waves, with their posterior, plus
    a drift N(0, 0.1^2) logit between waves.
Assumptions
    How age and diploma combine changes less from wave to wave than the main effects, which the
    published rates give.
Limits
    A wave of another mode (before 2020) may combine them otherwise: it is named in the fit's notes.

References
----------
    Leemann & Wasserfallen 2017, doi:10.1111/ajps.12319; Gao et al. 2021, doi:10.1214/20-BA1223.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from inegnum.data.indicators import breaks, definition
from inegnum.data.types import SurveyCells
from inegnum.errors import InputError
from inegnum.estimators.evidence import evidence_rows
from inegnum.estimators.spec import ModelSpec
from inegnum.estimators.terms import blocks
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Term, build_design
from inegnum.provenance import Source

__all__ = ["LearnedBlocks", "comparable_waves", "learn_interactions"]

Floats = npt.NDArray[np.float64]
DRIFT: Final = 0.1


@dataclass(frozen=True, slots=True)
class LearnedBlocks:
    """Normal priors of some blocks of effects.

    Attributes
    ----------
    mean, covariance : mapping of str to ndarray of shape (K,) and (K, K)
        By term, for instance ``age:diploma``.
    waves : tuple of int
        Where they were learned.
    source : Source
    """

    mean: Mapping[str, Floats]
    covariance: Mapping[str, Floats]
    waves: tuple[int, ...]
    source: Source

    def apply(self, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        """Return the terms with these priors in place of their own."""
        return tuple(
            replace(
                term,
                learned=False,
                scale=1.0,
                mean=self.mean[term.name],
                covariance=self.covariance[term.name],
            )
            if term.name in self.mean
            else term
            for term in terms
        )

    def notes(self) -> tuple[str, ...]:
        """Return what a reader must know."""
        waves = ", ".join(map(str, self.waves))
        return (f"{', '.join(self.mean)} from the microdata of {self.source.name}, {waves}",)


def comparable_waves(code: str, wave: int) -> tuple[int, ...]:
    """Return the earlier waves that asked an indicator in the same words as `wave`.

    Examples
    --------
    >>> comparable_waves("smartphone", 2022)
    (2016, 2017, 2018, 2019, 2020)
    >>> comparable_waves("computer_home", 2022)  # another question in 2020, and before
    ()
    """
    return tuple(
        earlier
        for earlier in definition(code).waves
        if earlier < wave and not any(one.indicators for one in breaks(code, earlier, wave))
    )


def learn_interactions(
    spec: ModelSpec, survey: SurveyCells, *, seed: int, drift: float = DRIFT
) -> LearnedBlocks:
    """Return the personal interactions of the model as other waves have them.

    Parameters
    ----------
    spec : ModelSpec
    survey : SurveyCells
        Every wave given is used: leave out the one whose rates are published, and those that asked
        another question (`comparable_waves`).
    seed : int
    drift : float
        Sd (logit) of what may have changed since.

    Raises
    ------
    InputError
        The model has no personal interaction.
    """
    waves = tuple(sorted(int(wave) for wave in survey.table["wave"].unique()))
    spec = replace(spec, waves=waves, year=waves[-1], history=())
    rows = evidence_rows(survey, counts=spec.counts)
    with threadpool_limits(limits=1, user_api="blas"):
        design = build_design(rows.y, rows.n, blocks(spec, rows))
        rng = np.random.default_rng([seed, *waves])
        posterior = integrate(design, rng=rng, points=spec.points)
        mean, C = posterior.mean(), posterior.covariance()
    means, covariances = {}, {}
    for term, place in zip(design.terms, design.slices, strict=True):
        if ":" in term.name and not {"wave", "urban", "region"} & set(term.name.split(":")):
            means[term.name] = mean[place]
            covariances[term.name] = C[place, place] + drift**2 * np.eye(term.size)
    if not means:
        raise InputError("the model has no interaction to learn", where="terms")
    return LearnedBlocks(means, covariances, waves, survey.source)
