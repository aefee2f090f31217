"""The same latent Gaussian logit, sampled by NUTS: slow, and as exact as its diagnostics say.

Model
    That of `numerics.latent`, potential y*eta - n*log(1 + e^eta), or of published group rates;
    non-centred effects, sds on the log scale, spatial shares on the scale of their prior.
Method
    PyMC's graph compiled for nutpie. The sampler walks in coordinates whitened by the covariance of
    the fast engine's posterior, where steps are long and directions alike: several times fewer
    gradients an effective draw. The target is the exact posterior whatever the coordinates; where
    the fast engine gives none, they are the non-centred effects themselves.
Limits
    R-hat above 1.01, fewer than 400 effective draws (bulk or tail) or a divergence is an error.

References
----------
    Hoffman & Gelman 2014, JMLR 15; Vehtari et al. 2021, doi:10.1214/20-BA1221 (R-hat, ESS);
    Hoffman et al. 2019, arXiv:1903.03704 (posterior warped before sampling).
    R: ``rstanarm::stan_glmer``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from inegnum.errors import ConvergenceError, MissingDependencyError
from inegnum.numerics.bym2 import NULL, Mixing
from inegnum.numerics.inversion import Inverted
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Design, Term

if TYPE_CHECKING:
    from xarray import DataTree

__all__ = ["RHAT", "Sampled", "collect", "compiled", "sample", "walk"]

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
    inverted: Inverted | None = None,
    progress: bool | None = None,
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
    inverted : Inverted, optional
        Published rates that stand for the counts of the rows (margins only), with their fast
        posterior.
    progress : bool, optional
        Show a bar on standard error; unless given, when that is a terminal.

    Raises
    ------
    ConvergenceError
        The chains do not meet the limits; the message says what to change.
    MissingDependencyError
        PyMC is not installed.
    """
    tree = walk(
        compiled(design, inverted=inverted, rng=rng),
        draws=draws,
        tune=tune,
        seed=int(rng.integers(2**31)),
        target_accept=target_accept,
        progress=progress,
    )
    rhat, ess = _require_converged(tree)
    effects, sds = collect(tree, design)
    return Sampled(effects, sds, rhat, ess, tree)


def compiled(design: Design, *, rng: np.random.Generator, inverted: Inverted | None = None) -> Any:
    """Return the model of a design, whitened and compiled for nutpie."""
    try:
        import nutpie
        import pymc as pm
    except ImportError as error:
        raise MissingDependencyError(
            "engine 'nuts' needs PyMC and nutpie",
            expected="the extra `nuts`",
            hint="pip install 'inegnum[nuts]', or use engine 'laplace'",
        ) from error
    model = _model(pm, design, inverted, _guide(design, inverted, rng))
    return nutpie.compile_pymc_model(model, backend="numba")


def walk(
    model: Any,
    *,
    draws: int,
    tune: int,
    seed: int,
    target_accept: float = 0.95,
    progress: bool | None = None,
) -> DataTree:
    """Run four chains of a compiled model, one after the other; nothing is judged."""
    import nutpie

    if progress is None:
        progress = sys.stderr.isatty()
    found: DataTree = nutpie.sample(
        model,
        draws=draws,
        tune=tune,
        chains=CHAINS,
        cores=1,
        seed=seed,
        progress_bar=progress,
        target_accept=target_accept,
    )
    return found


def _places(design: Design) -> tuple[dict[int, int], dict[int, int], int]:
    """Return where log sds and logit shares stand after the effects, by term, and how many."""
    learned = [k for k, term in enumerate(design.terms) if term.learned]
    mixed = [k for k, term in enumerate(design.terms) if term.mixing is not None]
    sds = {k: design.size + j for j, k in enumerate(learned)}
    shares = {k: design.size + len(learned) + j for j, k in enumerate(mixed)}
    return sds, shares, design.size + len(learned) + len(mixed)


def _guide(
    design: Design, inverted: Inverted | None, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return centre (D,) and scale (D, D) of the coordinates, from the fast engine if it can."""
    sds, shares, D = _places(design)
    try:
        posterior = inverted or integrate(design, rng=rng.spawn(1)[0])
    except ConvergenceError:  # where it fails is where NUTS is for: plain coordinates
        return np.zeros(D), np.eye(D)
    effects, found = posterior.draw(40 * D, rng.spawn(1)[0])
    x = np.empty((len(effects), D))
    for k, (term, place) in enumerate(zip(design.terms, design.slices, strict=True)):
        z = (effects[:, place] - (term.mean if term.mean.size else 0.0)) / found[:, k, None]
        if term.covariance.size:
            values, vectors = np.linalg.eigh(term.covariance)
            z = (z @ vectors) / np.sqrt(np.maximum(values, 1e-12))
        if term.mixing is not None:
            phi = found[:, design.share_at(k)]
            x[:, shares[k]] = _share_position(phi, term.mixing)
            z = (z @ term.mixing.vectors) / np.sqrt(
                1 - phi[:, None] + phi[:, None] * term.mixing.values
            )
        x[:, place] = z
        if term.learned:
            x[:, sds[k]] = np.log(found[:, k] / term.scale)
    return x.mean(axis=0), np.linalg.cholesky(np.cov(x.T))


def _model(pm: Any, design: Design, inverted: Inverted | None, guide: tuple[Floats, Floats]) -> Any:
    import pytensor.tensor as pt

    centre, scale = guide
    at_sd, at_share, D = _places(design)
    with pm.Model() as model:
        x = centre + pt.dot(scale, pm.Flat("x", shape=D))
        eta: Any = design.offset
        prior = -0.5 * pt.sum(x[: design.size] ** 2)
        for k, (term, place) in enumerate(zip(design.terms, design.slices, strict=True)):
            sd: Any = term.scale
            if term.learned:
                sd = pm.Deterministic(f"sd_{k}", term.scale * pt.exp(x[at_sd[k]]))
                # Half-normal, and the Jacobian of its logarithm.
                prior += x[at_sd[k]] - 0.5 * (sd / term.scale) ** 2
            z = x[place]
            if term.mixing is not None:
                share, rest, height = _share(x[at_share[k]], term.mixing)
                pm.Deterministic(f"share_{k}", share)
                prior += height
                z = term.mixing.vectors @ (pt.sqrt(rest + share * term.mixing.values) * z)
            if term.covariance.size:
                values, vectors = np.linalg.eigh(term.covariance)
                z = (vectors * np.sqrt(np.maximum(values, 1e-12))) @ z
            effect = sd * z + (term.mean if term.mean.size else 0.0)
            eta = eta + _contribution(term, pm.Deterministic(f"effect_{k}", effect))
        if inverted is None:
            loglik = pt.sum(design.y * eta - design.n * pt.softplus(eta))
        else:
            groups = inverted.groups
            rate = pt.dot(groups.A.toarray(), pt.sigmoid(eta))
            gap = groups.z - pt.log(rate) + pt.log1p(-rate)
            loglik = -0.5 * pt.dot(gap, pt.dot(groups.W, gap))
        pm.Potential("log_posterior", prior + loglik)
    return model


def _share_position(phi: Floats, mixing: Mixing) -> Floats:
    """Return where a spatial share stands on the scale it is sampled on: inverse of `_share`."""
    if mixing.prior != "pc":
        return np.asarray(np.log(phi) - np.log1p(-phi))
    a, b = mixing.stretch()
    log_rest = np.log1p(-np.minimum(phi, 1 - 1e-12))  # a share that rounds to 1 has its place too
    distance = (np.sqrt(a**2 - 4 * b * log_rest) - a) / (2 * b)
    return np.asarray(np.log(np.expm1(mixing.rate * distance)))


def _share(x: Any, mixing: Mixing) -> tuple[Any, Any, Any]:
    """Return the spatial share at x, what it leaves to independence, and the log prior of x.

    A flat prior makes x the logit of the share. Penalised complexity is exponential in the distance
    d from independence: x is (nearly) the logit of its distribution function, so that the prior of
    x is close to a logistic law on both sides. In the logit of the share the same prior has a tail
    of the length of d squared, in which chains get lost.
    """
    import pytensor.tensor as pt

    if mixing.prior != "pc":
        return pt.sigmoid(x), pt.sigmoid(-x), -pt.softplus(x) - pt.softplus(-x)
    a, b = mixing.stretch()
    step = pt.softplus(x) / mixing.rate
    log_rest = -step * (a + b * step)
    share, rest = -pt.expm1(log_rest), pt.exp(log_rest)
    # d^2 = sum [phi (v - 1) - log(1 + phi (v - 1))]; density rate exp(-rate d) |dd / dphi|. Along
    # eigenvalues at 0 the logarithm is that of what is left, known whatever its size.
    null = mixing.values < NULL
    lost, excess = int(null.sum()), mixing.values[~null] - 1
    inside = 1 + share * excess
    square = pt.sum(share * excess - pt.log(inside)) - lost * (share + log_rest)
    slope = rest * pt.sum(excess - excess / inside) + lost * share  # of d^2, times rest
    # A difference of near equals as phi goes to 0: below 1e-5 its first term is all of it.
    small, total = share < 1e-5, float((excess**2).sum() + lost)
    square = pt.switch(small, 0.5 * share**2 * total, square)
    slope = pt.switch(small, share * total, slope)
    distance = pt.sqrt(square)
    # What is left of |dphi / dx| once rest has gone into the slope.
    stretched = pt.log(a + 2 * b * step) - pt.softplus(-x)
    return share, rest, -mixing.rate * distance + pt.log(slope / distance) + stretched


def _contribution(term: Term, effect: Any) -> Any:
    import pytensor.tensor as pt

    # Level -1 points at an extra effect of zero.
    padded = pt.concatenate([effect, np.zeros(1)]) if (term.index < 0).any() else effect
    part = padded[np.where(term.index < 0, term.size, term.index)]
    return part * term.value if term.value.size else part


def _require_converged(tree: DataTree) -> tuple[float, float]:
    import arviz as az

    posterior = tree["posterior"].to_dataset()
    names = [v for v in map(str, posterior.data_vars) if v.startswith(("effect_", "sd_", "share_"))]
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
            hint="divergences: raise sampler.target_accept or tighten the prior scales; else double"
            " sampler.draws",
        )
    return rhat, ess


def _extreme(statistic: Any, pick: Any) -> float:
    dataset = statistic.to_dataset() if hasattr(statistic, "to_dataset") else statistic
    return float(pick(float(pick(np.ravel(dataset[v].to_numpy()))) for v in dataset.data_vars))


def collect(tree: DataTree, design: Design) -> tuple[Floats, Floats]:
    """Return effects and hyperparameters, chains one after the other."""
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
        effects[:, place] = flat(f"effect_{k}")
    return effects, sds
