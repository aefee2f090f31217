"""How the deviations of the indicators of a family go together, learned on regions.

Model
    Deviations of region i, given composition: m_i ~ N(u_i, V_i), u_i ~ N(0, D), the covariance D
    under Huang and Wand's prior (`numerics.correlated`). m_i and its error come from a fit of each
    indicator in which regions are free (prior sd 1 logit); errors of two indicators on the same
    respondents have the correlation of their answers given age and diploma.
Assumptions
    Metropolises and communes deviate on several indicators as regions do.
Limits
    Twelve regions: a correlation is known to +-0.5. What is drawn carries that.

References
----------
    Huang & Wand 2013, doi:10.1214/13-BA815.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from inegnum.data import catalogue
from inegnum.data.types import SurveyCells
from inegnum.errors import InputError
from inegnum.estimators.evidence import evidence_rows
from inegnum.estimators.spec import ModelSpec
from inegnum.estimators.terms import blocks
from inegnum.numerics.correlated import CorrelatedEffects, correlated_effects
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import build_design

__all__ = ["answer_correlation", "family_effects", "free_regions"]

Floats = npt.NDArray[np.float64]


def answer_correlation(codes: Sequence[str]) -> Floats:
    """Return the correlation of answers of one person given age and diploma, shape (J, J).

    Raises
    ------
    InputError
        An indicator is not in the table.
    """
    table, _ = catalogue.table("answer_correlation")
    pairs = table.set_index(["first", "second"])["correlation"].to_dict()
    R = np.eye(len(codes))
    for i, one in enumerate(codes):
        for j, other in enumerate(codes[:i]):
            found = pairs.get((one, other), pairs.get((other, one)))
            if found is None:
                raise InputError("no correlation of answers is known", got=f"{one}, {other}")
            R[i, j] = R[j, i] = found
    return R


def free_regions(
    spec: ModelSpec, survey: SurveyCells, *, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the deviations of regions as the survey alone has them, and their errors, (13,) each.

    Regions have a fixed prior sd of 1 logit, which weighs next to nothing; deviations are centred.

    Raises
    ------
    InputError
        The model or the waves have no region.
    """
    rows = evidence_rows(survey, counts=spec.counts)
    terms = [
        replace(t, learned=False, scale=1.0) if t.name == "region" else t
        for t in blocks(spec, rows)
    ]
    if "region" not in [t.name for t in terms]:
        raise InputError(
            "correlations of a family are learned on regions",
            where=survey.indicator.code,
            got="a model without region, or waves that do not tell it",
            expected="a term region and waves 2020 or 2022",
            hint="leave families out of this study",
        )
    design = build_design(rows.y, rows.n, terms)
    place = design.slices[[t.name for t in terms].index("region")]
    posterior = integrate(design, rng=rng, points=32, correct=False)
    mean, C = posterior.mean()[place], posterior.covariance()[place, place]
    # Regions are centred on their own precision: one of eight respondents must not set the level.
    weight = 1 / np.diag(C)
    centre = np.eye(len(mean)) - weight / weight.sum()
    return centre @ mean, np.asarray(np.diag(centre @ C @ centre.T))


def family_effects(
    spec: ModelSpec, surveys: Sequence[SurveyCells], *, seed: int, draws: int | None = None
) -> CorrelatedEffects:
    """Return draws of regional deviations of several indicators and of their covariance.

    Parameters
    ----------
    spec : ModelSpec
        Its waves must have regions (2020, 2022).
    surveys : sequence of J SurveyCells
    seed : int
    draws : int, optional
        The spec's unless given.
    """
    rng = np.random.default_rng([seed, len(surveys)])
    means, variances = [], []
    with threadpool_limits(limits=1, user_api="blas"):
        for survey in surveys:
            found = {int(wave) for wave in survey.table["wave"].unique()}
            waves = tuple(wave for wave in spec.waves if wave in found)
            one = replace(spec, waves=waves, history=(), year=max(waves))
            m, v = free_regions(one, survey.waves(*waves), rng=rng)
            means.append(m)
            variances.append(v)
        sd = np.sqrt(np.stack(variances, axis=1))
        R = answer_correlation([survey.indicator.code for survey in surveys])
        V = sd[:, :, None] * R * sd[:, None, :]
        (region,) = (term for term in spec.terms if term.factors == "region")
        scale = np.full(len(surveys), region.scale)
        return correlated_effects(
            np.stack(means, axis=1), V, scale=scale, rng=rng, draws=draws or spec.draws
        )
