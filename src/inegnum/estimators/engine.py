"""One posterior, whatever the engine: rows and a specification in, draws of the effects out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from inegnum.errors import InputError
from inegnum.estimators.evidence import Rows
from inegnum.estimators.reliability import Weighed, require_reliable, weigh
from inegnum.estimators.spec import ModelSpec
from inegnum.estimators.terms import GradientPrior, blocks
from inegnum.numerics.inversion import Inverted
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Design, build_design

if TYPE_CHECKING:
    from xarray import DataTree

__all__ = ["Drawn", "Estimated", "estimate", "sampled"]

Floats = npt.NDArray[np.float64]


class EffectsPosterior(Protocol):
    """What both engines give."""

    def draw(self, S: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return effects (S, P) and sds (S, T)."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """Posterior of the effects of a model given its rows.

    Attributes
    ----------
    rows : Rows
    design : Design
    posterior : EffectsPosterior
    weighed : Weighed, optional
        Draws held against the exact posterior (laplace), with the judgement on each rate.
    switched : str
        Why NUTS was used where the specification asked for the fast engine; empty when it was not.
    """

    rows: Rows
    design: Design
    posterior: EffectsPosterior
    weighed: Weighed | None = None
    switched: str = ""

    def draw(self, S: int, rng: np.random.Generator) -> Drawn:
        """Return S joint draws."""
        effects, sds = self.posterior.draw(S, rng)
        return Drawn(self.rows, self.design, effects, sds)

    def to_datatree(self, *, draws: int = 1000, seed: int = 0) -> DataTree:
        """Return the posterior as what ArviZ reads: ``az.summary``, ``az.loo``, ``az.compare``.

        Groups: ``posterior`` (effects by term, sds), ``log_likelihood`` and ``observed_data`` by
        row, ``constant_data`` (effective counts and the level of each factor), and, when sampled,
        ``sample_stats``. See `datatree.to_datatree` for what leave-one-out means here.

        Raises
        ------
        MissingDependencyError
            ArviZ is not installed.
        """
        from inegnum.estimators.datatree import to_datatree

        return to_datatree(self, draws=draws, seed=seed)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Draws of the effects of a model given its rows.

    Attributes
    ----------
    rows : Rows
    design : Design
    effects : ndarray of shape (S, P)
    sds : ndarray of shape (S, T)
    """

    rows: Rows
    design: Design
    effects: Floats
    sds: Floats

    def logits(self) -> Floats:
        """Return the linear predictor of each row, shape (S, R)."""
        return np.asarray(self.design.maps.predictor(self.effects.T).T + self.design.offset)

    def block(self, name: str) -> Floats:
        """Return the draws of one block of effects, shape (S, K)."""
        names = [term.name for term in self.design.terms]
        if name not in names:
            raise InputError("no such block of effects", got=name, expected=", ".join(names))
        return np.asarray(self.effects[:, self.design.slices[names.index(name)]])

    def national_rate(self, wave: int) -> tuple[float, Floats]:
        """Return the rate of a wave on the survey's own weights, and its deviation by draw.

        Returns
        -------
        float
            At the mean of the effects.
        ndarray of shape (S,)
            Deviation of each draw, in logits, linearised around that mean: the rate moves by less
            than a point, where the logistic curve is straight.
        """
        at = self.rows.codes["wave"] == self.rows.waves.index(wave)
        centre = self.effects.mean(axis=0)
        p = expit(self.design.eta(centre))
        weight = np.where(at, self.rows.w, 0.0)
        weight /= weight.sum()
        rate = float(weight @ p)
        slope = self.design.maps.scores(weight * p * (1 - p)) / (rate * (1 - rate))
        return rate, np.asarray((self.effects - centre) @ slope)

    def summary(self) -> pd.DataFrame:
        """Return sds and spatial shares: ``term, prior_scale, mean, lower, upper`` (95 %).

        A share is named ``<term>, spatial share`` and has no prior scale.
        """
        terms = self.design.terms
        mixed = {self.design.share_at(k): t for k, t in enumerate(terms) if t.mixing is not None}
        learned = [*(k for k, term in enumerate(terms) if term.learned), *mixed]
        scales = [*(term.scale for term in terms if term.learned), *(np.nan for _ in mixed)]
        names = [*(t.name for t in terms if t.learned)]
        names += [f"{t.name}, spatial share" for t in mixed.values()]
        lower, upper = np.quantile(self.sds[:, learned], [0.025, 0.975], axis=0)
        return pd.DataFrame(
            {
                "term": names,
                "prior_scale": scales,
                "mean": self.sds[:, learned].mean(axis=0),
                "lower": lower,
                "upper": upper,
            }
        )


def estimate(
    spec: ModelSpec,
    rows: Rows,
    *,
    rng: np.random.Generator,
    gradient: GradientPrior | None = None,
) -> Estimated:
    """Return the posterior of the effects by the engine the specification names.

    Raises
    ------
    ConvergenceError
        The engine's own criteria are not met; with ``on_khat = "error"``, a rate of the survey that
        the fast engine does not represent.
    """
    design = build_design(rows.y, rows.n, blocks(spec, rows, gradient=gradient))
    if spec.engine == "nuts":
        return Estimated(rows, design, sampled(design, spec, rng))
    posterior = integrate(design, rng=rng, points=spec.points)
    # A generator of its own: judging changes no draw that is published.
    weighed = weigh(posterior, rows, rng.spawn(1)[0])
    if spec.on_khat == "error" or weighed.table["reliable"].all():
        require_reliable(weighed.table, where="effects of the model")
        return Estimated(rows, design, posterior, weighed)
    failed = weighed.table[~weighed.table["reliable"]]
    worst = failed.sort_values("khat").iloc[-1]
    switched = (
        f"the fast engine does not represent {len(failed)} of {len(weighed.table)} rates"
        f" (k-hat {worst['khat']:.2f} for {worst['rate']}): sampled by NUTS instead"
    )
    return Estimated(rows, design, sampled(design, spec, rng), weighed, switched)


def sampled(
    design: Design,
    spec: ModelSpec,
    rng: np.random.Generator,
    *,
    inverted: Inverted | None = None,
) -> EffectsPosterior:
    """Return the posterior by NUTS, chains as long as the specification says.

    Parameters
    ----------
    inverted : Inverted, optional
        Published rates in the place of the counts of the rows (margins only).
    """
    from inegnum.estimators.nuts import sample

    how = spec.sampler
    return sample(
        design,
        rng=rng,
        draws=how.draws,
        tune=how.tune,
        target_accept=how.target_accept,
        inverted=inverted,
    )
