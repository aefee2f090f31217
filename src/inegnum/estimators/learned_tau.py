"""How much areas differ beyond composition, learned where it can be seen.

Model
    For a quantity t, (log s_region, log s_metropolis, log s_commune)_t ~ N(m, O): m and O from
    census pseudo-targets, whose deviations are known commune by commune. The digital indicator is
    one more t, of which the survey's regions show s_region only: their marginal likelihood on a
    grid updates all three.
Assumptions
    A digital indicator is exchangeable with the pseudo-targets; what they share is mostly the
    ratio of a metropolis (1.4) and of a commune to a region. Given composition alone and given
    composition and context bracket what the model's own composition leaves.
Limits
    Seven census variables by year, two conditionings: O is loosely known and inflated by the
    predictive factor 1 + 1/T. Deviations of regions hold interview mode as well as place. Communes
    are taken at 15,000 persons.

References
----------
    Gelman 2006, doi:10.1214/06-BA117A (priors of group sds); METHODS of the documentation, tau.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.types import SurveyCells
from inegnum.errors import InputError
from inegnum.estimators.ecological import CategoryRates, learn
from inegnum.estimators.evidence import evidence_rows
from inegnum.estimators.pseudo_targets import TARGETS, areas_of, census, urban_classes
from inegnum.estimators.spec import ModelSpec, Tau
from inegnum.estimators.terms import blocks
from inegnum.numerics.laplace import GRID, Surrogate, integrate
from inegnum.numerics.latent import build_design

__all__ = [
    "census_components",
    "combined",
    "learned_tau",
    "region_likelihood",
    "resolved",
    "transfer",
]

Floats = npt.NDArray[np.float64]

TABLE: Final = "learned_tau"
LEVELS: Final = ("region", "metropolis", "commune")
_PERSONS: Final = 15_000.0
# An IRIS given its commune over a commune given its metropolis: extrapolated, as in `Tau`.
_IRIS: Final = 0.22 / 0.18


def census_components() -> pd.DataFrame:
    """Return the sds of deviations of census pseudo-targets: RP2012 and RP2018.

    Returns
    -------
    DataFrame
        ``year, target, given`` (``composition`` or ``context``: covariates of the commune besides),
        ``region, metropolis, commune`` in logits, at the restricted maximum likelihood.
    """
    rows: list[dict[str, object]] = []
    for year in (2012, 2018):
        table = census(year)
        for target in TARGETS:
            if year == 2012 and target.code == "retired":  # known in 2022 only
                continue
            full = areas_of(table, target)
            views = {"composition": replace(full, x=urban_classes(table)), "context": full}
            for given, areas in views.items():
                # The size of a survey plays no part in the deviations.
                found = learn(areas, CategoryRates(), n=1.0).variances
                commune = float(found.sd_area(np.array([_PERSONS / 5000]))[0])
                sds = dict(zip(LEVELS, (found.sd_region, found.sd_group, commune), strict=True))
                rows.append({"year": year, "target": target.code, "given": given, **sds})
    return pd.DataFrame(rows)


def transfer(components: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the law of the log sds of one more quantity: mean (3,) and covariance (3, 3).

    Years of a target are averaged first: they are one variable seen twice.
    """
    logs = components.assign(**{level: np.log(components[level]) for level in LEVELS})
    by_target = logs.groupby(["target", "given"])[list(LEVELS)].mean().to_numpy()
    T = len(by_target)
    if T < 4:
        raise InputError("too few pseudo-targets to learn from", got=T, expected="4 or more")
    return by_target.mean(axis=0), np.cov(by_target.T) * (1 + 1 / T)


def region_likelihood(spec: ModelSpec, survey: SurveyCells, *, rng: np.random.Generator) -> Floats:
    """Return the log-likelihood of the sd of regions on the grid `laplace.GRID`, shape (G,).

    Parameters
    ----------
    spec : ModelSpec
        Its terms hold ``region``; everything else of the model is integrated out.
    survey : SurveyCells
        Waves with a region (or any nine to thirteen large areas under its codes).

    Raises
    ------
    InputError
        No row has a region.
    """
    rows = evidence_rows(survey, counts=spec.counts)
    if (rows.codes["region"] < 0).all():
        raise InputError("the survey has no regions", where=survey.indicator.code)
    terms = tuple(
        replace(term, scale=1.0) if term.name == "region" else term for term in blocks(spec, rows)
    )
    design = build_design(rows.y, rows.n, terms)
    learned = [k for k, term in enumerate(terms) if term.learned]
    # The law of one sd given the others is exact under the expansion at the posterior mean; its
    # average over a chain of the others is the marginal posterior, free of the chain's noise in it.
    posterior = integrate(design, rng=rng, points=32, correct=False)
    surrogate = Surrogate.at(design, posterior.mean())
    chain = surrogate.sweeps(posterior.weights @ posterior.sds, 40, learned, rng)
    laws, _ = surrogate.marginals(chain, learned)
    law = laws[[terms[k].name for k in learned].index("region")]
    return np.asarray(np.log(np.maximum(law, 1e-300)) - (np.log(GRID) - 0.5 * GRID**2))


def combined(mean: Floats, covariance: Floats, log_likelihood: Floats) -> tuple[Floats, Floats]:
    """Return means and sds of the three log sds once the regions have spoken, shape (3,) each."""
    x = np.log(GRID)
    log_density = log_likelihood - 0.5 * (x - mean[0]) ** 2 / covariance[0, 0]
    mass = np.exp(log_density - log_density.max())
    mass /= mass.sum()
    centre = float(mass @ x)
    variance = float(mass @ (x - centre) ** 2)
    slope = covariance[:, 0] / covariance[0, 0]
    rest = np.diag(covariance) - slope * covariance[:, 0]
    return mean + slope * (centre - mean[0]), np.sqrt(rest + slope**2 * variance)


def learned_tau(indicator: str) -> Tau:
    """Return the prior of area deviations learned for one indicator.

    Raises
    ------
    InputError
        Nothing was learned for this indicator: the table holds those of the registry.

    Examples
    --------
    >>> 0.05 < learned_tau("smartphone").metro < 0.5
    True
    """
    table, source = catalogue.table(TABLE)
    row = table[table["indicator"] == indicator]
    if row.empty:
        raise InputError(
            "no deviation was learned for this indicator",
            where="tau",
            got=indicator,
            expected=", ".join(sorted(table["indicator"])),
            hint='state it: prior = "stated" and metro, commune',
        )
    one = row.iloc[0]
    return Tau(
        metro=float(one["metro"]),
        commune=float(one["commune"]),
        iris=round(float(one["commune"]) * _IRIS, 3),
        # One spread for all levels: the wider, so that neither is taken for better known.
        log_sd=float(max(one["log_sd_metro"], one["log_sd_commune"])),
        origin=f"{source.name}: census pseudo-targets ({one['prior_metro']:.2f} metropolis, "
        f"{one['prior_commune']:.2f} commune) updated by the regions of the survey on the same "
        f"indicator (sd {one['region']:.2f})",
    )


def resolved(tau: Tau, indicator: str) -> Tau:
    """Return a tau with its sds in it: as stated, or learned for this indicator when asked."""
    if tau.prior == "stated":
        return tau
    found = learned_tau(indicator)
    return replace(found, factor=tau.factor, structure=tau.structure, phi=tau.phi, prior="learned")
