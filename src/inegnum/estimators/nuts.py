"""The same latent Gaussian logit, sampled by NUTS: slow, and as exact as its diagnostics say.

Model
    That of `numerics.latent`, potential y*eta - n*log(1 + e^eta); non-centred effects.
Method
    PyMC's graph compiled for nutpie where it is installed. Blocks of independent effects that reach
    every row are sampled as zero-sum contrasts (cheaper: the block's mean is the intercept's
    business); their means, and the intercept itself, are drawn afterwards from their exact
    conditional law given the sum of them all. The posterior is unchanged.
Limits
    R-hat above 1.01, fewer than 400 effective draws (bulk or tail) or a divergence is an error.

References
----------
    Hoffman & Gelman 2014, JMLR 15; Vehtari et al. 2021, doi:10.1214/20-BA1221 (R-hat, ESS).
    R: ``rstanarm::stan_glmer``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, MissingDependencyError
from inegnum.numerics.bym2 import Mixing
from inegnum.numerics.inversion import GroupRates
from inegnum.numerics.latent import Design, Term

if TYPE_CHECKING:
    from xarray import DataTree

__all__ = ["RHAT", "Sampled", "sample"]

Floats = npt.NDArray[np.float64]
RHAT: Final = 1.01
ESS: Final = 400.0
CHAINS: Final = 4


@dataclass(frozen=True, slots=True)
class Sampled:
    """Draws of a chain.

    Attributes
    ----------
    effects : ndarray of shape (chains * draws, P)
    sds : ndarray of shape (chains * draws, T)
    rhat : float
        Worst over parameters.
    ess : float
        Worst of bulk and tail over parameters.
    tree : DataTree
        What ArviZ reads.
    """

    effects: Floats
    sds: Floats
    rhat: float
    ess: float
    tree: DataTree

    def draw(self, S: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return S draws, without replacement as far as they go."""
        kept = len(self.effects)
        at = rng.permutation(kept) if kept >= S else rng.integers(0, kept, S)
        return self.effects[at[:S]], self.sds[at[:S]]


def sample(
    design: Design,
    *,
    rng: np.random.Generator,
    draws: int = 1000,
    tune: int = 1000,
    target_accept: float = 0.95,
    zero_sum: bool = True,
    groups: GroupRates | None = None,
    progress: bool = False,
) -> Sampled:
    """Sample the posterior of a design.

    Parameters
    ----------
    design : Design
    rng : numpy Generator
        Seeds the chains.
    draws, tune : int
        Per chain, of four.
    target_accept : float
        Acceptance the steps are tuned to; nearer 1 means shorter steps and fewer divergences.
    zero_sum : bool
        Sample contrasts where possible.
    groups : GroupRates, optional
        Published rates that stand for the counts of the rows (margins only).
    progress : bool
        Show a bar on standard error.

    Raises
    ------
    ConvergenceError
        The chains do not meet the limits; the message says what to change.
    MissingDependencyError
        PyMC is not installed.
    """
    try:
        import nutpie
        import pymc as pm
    except ImportError as error:
        raise MissingDependencyError(
            "engine 'nuts' needs PyMC and nutpie",
            expected="the extra `nuts`",
            hint="pip install 'inegnum[nuts]', or use engine 'laplace'",
        ) from error
    contrast = [zero_sum and _reaches_all(design, term) for term in design.terms]
    model = _model(pm, design, contrast, groups)
    compiled = nutpie.compile_pymc_model(model, backend="numba")
    tree = nutpie.sample(
        compiled,
        draws=draws,
        tune=tune,
        chains=CHAINS,
        cores=1,
        seed=int(rng.integers(2**31)),
        progress_bar=progress,
        target_accept=target_accept,
    )
    rhat, ess = _require_converged(tree)
    effects, sds = _collect(tree, design, contrast, rng)
    return Sampled(effects, sds, rhat, ess, tree)


def _reaches_all(design: Design, term: Term) -> bool:
    """Whether the mean of a block cannot be told from the intercept."""
    one = design.terms[0]
    has_intercept = one.size == 1 and bool((one.index == 0).all()) and one.value.size == 0
    independent = (
        term.mixing is None
        and term.covariance.size == 0
        and term.mean.size == 0
        and term.value.size == 0
    )
    return has_intercept and term.size > 2 and independent and bool((term.index >= 0).all())


def _model(pm: Any, design: Design, contrast: list[bool], groups: GroupRates | None = None) -> Any:
    import pytensor.tensor as pt

    with pm.Model() as model:
        eta: Any = design.offset
        sds = []
        for k, term in enumerate(design.terms):
            sd = pm.HalfNormal(f"sd_{k}", term.scale) if term.learned else term.scale
            sds.append(sd)
            share = _share(pm, k, term.mixing) if term.mixing is not None else None
            if k == 0 and any(contrast):
                continue  # its prior needs the sds of the contrasts
            eta = eta + _contribution(term, _effect(pm, k, term, sd, contrast[k], share))
        if any(contrast):
            # The intercept carries the means of the contrast blocks: its prior variance is theirs.
            variance = design.terms[0].scale ** 2 + sum(
                sd**2 / term.size
                for sd, term, has in zip(sds, design.terms, contrast, strict=True)
                if has
            )
            z = pm.Normal("z_0", 0.0, 1.0)
            eta = eta + pm.Deterministic("level", pt.sqrt(variance) * z)
        if groups is None:
            loglik = pt.sum(design.y * eta - design.n * pt.softplus(eta))
        else:
            gap = groups.r - pt.dot(groups.A, pt.sigmoid(eta))
            loglik = -0.5 * pt.dot(gap, pt.dot(groups.W, gap))
        pm.Potential("loglik", loglik)
    return model


def _share(pm: Any, k: int, mixing: Mixing) -> Any:
    """Return the spatial share of a block, under its prior."""
    import pytensor.tensor as pt

    share = pm.Uniform(f"share_{k}", 0.0, 1.0)
    if mixing.prior == "pc":
        # d^2 = sum [phi (v - 1) - log(1 + phi (v - 1))]; density rate exp(-rate d) |d'|. The sum
        # is a difference of near equals as phi goes to 0: below 1e-5 its first term is all of it.
        excess = mixing.values - 1
        inside = 1 + share * excess
        exact = pt.sum(share * excess - pt.log(inside))
        slope = pt.sum(excess - excess / inside)
        small = share < 1e-5
        square = pt.switch(small, 0.5 * share**2 * (excess**2).sum(), exact)
        twice = pt.switch(small, share * (excess**2).sum(), slope)
        distance = pt.sqrt(square)
        pm.Potential(f"prior_share_{k}", -mixing.rate * distance + pt.log(twice / distance))
    return share


def _effect(pm: Any, k: int, term: Term, sd: Any, contrast: bool, share: Any) -> Any:
    import pytensor.tensor as pt

    if contrast:
        z = pm.ZeroSumNormal(f"z_{k}", 1.0, shape=term.size)
    else:
        z = pm.Normal(f"z_{k}", 0.0, 1.0, shape=term.size)
    if term.covariance.size:
        values, vectors = np.linalg.eigh(term.covariance)
        z = (vectors * np.sqrt(np.maximum(values, 0.0))) @ z
    if term.mixing is not None:
        z = term.mixing.vectors @ (pt.sqrt(1 - share + share * term.mixing.values) * z)
    effect = sd * z + (term.mean if term.mean.size else 0.0)
    return pm.Deterministic(f"effect_{k}", effect)


def _contribution(term: Term, effect: Any) -> Any:
    import pytensor.tensor as pt

    # Level -1 points at an extra effect of zero.
    padded = pt.concatenate([effect, np.zeros(1)]) if (term.index < 0).any() else effect
    part = padded[np.where(term.index < 0, term.size, term.index)]
    return part * term.value if term.value.size else part


def _require_converged(tree: DataTree) -> tuple[float, float]:
    import arviz as az

    posterior = tree["posterior"].to_dataset()
    names = [v for v in map(str, posterior.data_vars) if v.startswith(("z_", "sd_", "share_"))]
    kept = posterior[names]
    rhat = _extreme(az.rhat(kept), max)
    ess = min(_extreme(az.ess(kept, method=m), min) for m in ("bulk", "tail"))
    divergences = int(tree["sample_stats"]["diverging"].sum())
    if divergences or rhat > RHAT or ess < ESS:
        raise ConvergenceError(
            "the chains did not converge",
            where=", ".join(names[:6]),
            got=f"R-hat {rhat:.3f}, {ess:.0f} effective draws, {divergences} divergences",
            expected=f"R-hat at most {RHAT}, at least {ESS:.0f} effective draws, no divergence",
            hint="divergences: raise target_accept or tighten the prior scales; else double draws",
        )
    return rhat, ess


def _extreme(statistic: Any, pick: Any) -> float:
    dataset = statistic.to_dataset() if hasattr(statistic, "to_dataset") else statistic
    return float(pick(float(pick(np.ravel(dataset[v].to_numpy()))) for v in dataset.data_vars))


def _collect(
    tree: DataTree, design: Design, contrast: list[bool], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return effects and sds, means of the contrast blocks put back."""
    posterior = tree["posterior"].to_dataset()

    def flat(name: str) -> Floats:
        values = posterior[name].to_numpy()
        return np.asarray(values.reshape(values.shape[0] * values.shape[1], -1), dtype=np.float64)

    S = posterior.sizes["chain"] * posterior.sizes["draw"]
    sds = np.empty((S, len(design.start())))
    effects = np.empty((S, design.size))
    for k, (term, place) in enumerate(zip(design.terms, design.slices, strict=True)):
        sds[:, k] = flat(f"sd_{k}")[:, 0] if term.learned else term.scale
        if term.mixing is not None:
            sds[:, design.share_at(k)] = flat(f"share_{k}")[:, 0]
        if k or not any(contrast):
            effects[:, place] = flat(f"effect_{k}")
    if any(contrast):
        moved = [k for k, has in enumerate(contrast) if has]
        # Given their sum, independent normals of variances v are x + v / sum(v) (sum - sum(x)).
        variances = [sds[:, 0] ** 2, *(sds[:, k] ** 2 / design.terms[k].size for k in moved)]
        v = np.stack(variances, axis=1)
        x = np.sqrt(v) * rng.standard_normal(v.shape)
        x += v / v.sum(axis=1, keepdims=True) * (flat("level") - x.sum(axis=1, keepdims=True))
        effects[:, 0] = x[:, 0]
        for j, k in enumerate(moved):
            effects[:, design.slices[k]] += x[:, j + 1, None]
    return effects, sds
