"""The posterior of either engine as an ArviZ DataTree, log-likelihood included.

Leave-one-out
    A row is a cell: everybody of one wave, age, sex, diploma, occupation, urban size and region.
    Its pseudo log-likelihood is y*eta - n*log(1 + e^eta), y and n effective counts; the binomial
    coefficient, free of the parameters, is left out. ``az.loo`` therefore estimates how well a
    cell is predicted from all others, in effective answers. It compares models of the same rows;
    it is not a density of data, and means nothing across different counts or surveys.

References
----------
    Vehtari, Gelman & Gabry 2017, doi:10.1007/s11222-016-9696-4 (PSIS-LOO).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from inegnum.errors import InputError, MissingDependencyError
from inegnum.estimators.spec import FACTORS
from inegnum.numerics.latent import Term

if TYPE_CHECKING:
    from xarray import DataTree

    from inegnum.estimators.engine import Estimated

__all__ = ["to_datatree"]

Floats = npt.NDArray[np.float64]
CHAINS: Final = 4


def to_datatree(found: Estimated, *, draws: int, seed: int) -> DataTree:
    """Build the DataTree; independent draws are dealt to four chains, sampled ones keep theirs.

    Parameters
    ----------
    found : Estimated
    draws : int
        Of the laplace engine, in all: a multiple of four. A sampled posterior gives all it has.
    seed : int
    """
    try:
        import arviz as az
    except ImportError as error:
        raise MissingDependencyError(
            "a DataTree needs ArviZ",
            expected="the extra `nuts`",
            hint="pip install 'inegnum[nuts]'",
        ) from error
    if draws < CHAINS or draws % CHAINS:
        raise InputError(
            "draws are dealt to four chains", where="draws", got=draws, expected="a multiple of 4"
        )
    sampled = getattr(found.posterior, "tree", None)
    if sampled is None:
        drawn = found.draw(draws, np.random.default_rng(seed))
        effects, sds = drawn.effects, drawn.sds
    else:
        effects, sds = found.posterior.effects, found.posterior.sds  # type: ignore[attr-defined]
    dims: dict[str, list[str]] = {}
    coords: dict[str, Any] = {"row": np.arange(len(found.rows.y))}
    posterior: dict[str, Floats] = {}
    for k, (term, place) in enumerate(zip(found.design.terms, found.design.slices, strict=True)):
        posterior[term.name] = _chains(effects[:, place])
        dims[term.name] = [f"{term.name} level"]
        coords[f"{term.name} level"] = _levels(term, found.rows.waves)
        if term.learned:
            posterior[f"sd {term.name}"] = _chains(sds[:, k])
    eta = found.design.maps.predictor(effects.T).T + found.design.offset
    loglik = found.design.y * eta - found.design.n * np.logaddexp(0.0, eta)
    by_row = {"y": ["row"], "n": ["row"]}
    tree: DataTree = az.from_dict(
        {
            "posterior": posterior,
            "log_likelihood": {"y": _chains(loglik)},
            "observed_data": {"y": found.design.y},
            "constant_data": {
                "n": found.design.n,
                **{f"code {name}": code for name, code in found.rows.codes.items()},
            },
        },
        coords=coords,
        dims=dims | by_row | {f"code {name}": ["row"] for name in found.rows.codes},
    )
    tree.attrs.update(inference_library="inegnum", engine="laplace" if sampled is None else "nuts")
    if sampled is not None:
        tree["sample_stats"] = sampled["sample_stats"]
    return tree


def _chains(values: Floats) -> Floats:
    """Return draws (S, ...) as (chains, draws, ...): chains were laid one after the other."""
    return np.asarray(values.reshape(CHAINS, -1, *values.shape[1:]))


def _levels(term: Term, waves: tuple[int, ...]) -> list[Any]:
    """Return names of the levels of a term, numbers where it is not made of the codebook's."""
    names = FACTORS | {"wave": tuple(map(str, waves))}
    parts = term.name.split(":")
    if not all(part in names for part in parts):
        return list(range(term.size))
    levels = [""]
    for part in parts:
        levels = [f"{done}:{one}" if done else one for done in levels for one in names[part]]
    return levels if len(levels) == term.size else list(range(term.size))
