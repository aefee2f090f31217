"""From a model specification to the blocks of a latent Gaussian, and back to coefficients.

The engine sees blocks of effects; prediction sees, for one wave, a logit by profile (intercept
included), a logit by urban size and a logit by region. Both engines meet here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inegnum.data.codebook import profiles
from inegnum.data.contiguity import contiguity, region_contiguity
from inegnum.estimators.evidence import Rows, encode
from inegnum.estimators.spec import FACTORS, AreaEffects, ModelSpec, TermSpec
from inegnum.numerics.bym2 import bym2_mixing
from inegnum.numerics.gmrf import ar1_covariance, random_walk_covariance
from inegnum.numerics.latent import Term

__all__ = [
    "AR1_RHO",
    "Coefficients",
    "GradientPrior",
    "blocks",
    "coefficients",
    "graph",
    "joined",
    "used_terms",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

AR1_RHO = 0.8


@dataclass(frozen=True, slots=True)
class GradientPrior:
    """The urban gradient as earlier waves leave it.

    Attributes
    ----------
    mean : ndarray of shape (U,)
    covariance : ndarray of shape (U, U)
    waves : tuple of int
    """

    mean: Floats
    covariance: Floats
    waves: tuple[int, ...]

    def draw(self, S: int, rng: np.random.Generator) -> Floats:
        """Return draws of the gradient, shape (S, U)."""
        return np.asarray(rng.multivariate_normal(self.mean, self.covariance, S, method="eigh"))


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Draws of the linear predictor of one wave, in the parts prediction needs.

    Attributes
    ----------
    profile : ndarray of shape (S, K)
        Intercept, wave and personal effects of each profile of the codebook.
    urban : ndarray of shape (S, 5)
    region : ndarray of shape (S, 13)
    commune : ndarray of shape (S, A)
        Effects of the communes the respondents are known to live in; A = 0 unless places are used.
    communes : tuple of str
        Their codes.
    """

    profile: Floats
    urban: Floats
    region: Floats
    commune: Floats = field(default_factory=lambda: np.empty((0, 0)))
    communes: tuple[str, ...] = ()

    def take(self, at: Ints) -> Coefficients:
        """Return these draws, in this order."""
        commune = self.commune[at] if self.communes else self.commune
        return Coefficients(
            self.profile[at], self.urban[at], self.region[at], commune, self.communes
        )

    def held(self, groups: Ints) -> Coefficients:
        """Return every draw replaced by the mean of its group, given as one label a draw."""
        still = self.take(np.arange(len(groups)))
        for group in np.unique(groups):
            at = groups == group
            for part in (still.profile, still.urban, still.region, still.commune):
                if part.size:
                    part[at] = part[at].mean(axis=0)
        return still


def joined(parts: Sequence[Coefficients]) -> Coefficients:
    """Return the draws of several fits of one model, one after the other."""
    profile, urban, region, commune = (
        np.concatenate([getattr(p, name) for p in parts])
        for name in ("profile", "urban", "region", "commune")
    )
    return Coefficients(profile, urban, region, commune, parts[0].communes)


def used_terms(spec: ModelSpec, rows: Rows) -> tuple[TermSpec, ...]:
    """Return the terms that the evidence can inform.

    No wave term when there is one wave, no term of the region when no row has one.
    """
    one_wave = len(rows.waves) == 1
    known = [t for t in spec.terms if not (one_wave and "wave" in t.factors.split(":"))]
    nowhere = (rows.codes["region"] < 0).all()
    return tuple(t for t in known if not (nowhere and "region" in t.factors.split(":")))


def _sizes(waves: int) -> dict[str, int]:
    return {name: len(levels) for name, levels in FACTORS.items()} | {"wave": waves}


def _index(term: TermSpec, codes: Mapping[str, Ints], sizes: Mapping[str, int]) -> Ints:
    """Return the level of a term by row; -1 as soon as one of its factors is silent."""
    parts = term.factors.split(":")
    index = codes[parts[0]]
    for part in parts[1:]:
        other = codes[part]
        index = np.where((index < 0) | (other < 0), -1, index * sizes[part] + other)
    return index


def _covariance(term: TermSpec, size: int) -> Floats:
    if term.structure == "rw":
        return random_walk_covariance(size)
    if term.structure == "ar1":
        return ar1_covariance(size, AR1_RHO)
    return np.empty((0, 0))


def blocks(
    spec: ModelSpec, rows: Rows, *, gradient: GradientPrior | None = None
) -> tuple[Term, ...]:
    """Return the intercept and every term of the model as blocks of effects.

    With a `gradient`, the urban block takes it as its prior instead of a learned sd.
    """
    sizes = _sizes(len(rows.waves))
    R = len(rows.y)
    out = [Term("intercept", np.zeros(R, dtype=np.int64), 1, spec.intercept, learned=False)]
    for term in used_terms(spec, rows):
        size = int(np.prod([sizes[part] for part in term.factors.split(":")]))
        index = _index(term, rows.codes, sizes)
        if term.factors == "urban" and gradient is not None:
            out.append(Term("urban", index, size, 1.0, False, gradient.covariance, gradient.mean))
            continue
        if term.factors == "region" and spec.area is not None and spec.area.structure == "bym2":
            mixing = bym2_mixing(region_contiguity().to_numpy(), spec.area.phi)
            out.append(Term("region", index, size, term.scale, mixing=mixing))
            continue
        covariance = _covariance(term, size)
        out.append(Term(term.factors, index, size, term.scale, term.learned, covariance))
    if spec.area is not None and rows.communes:
        index, K = rows.codes["commune"], len(rows.communes)
        communes = Term("commune", index, K, spec.area.scale)
        if spec.area.structure == "bym2":
            found = bym2_mixing(graph(rows.communes, spec.area), spec.area.phi)
            communes = replace(communes, mixing=found)
        out.append(communes)
    return tuple(out)


def graph(communes: Sequence[str], area: AreaEffects | None) -> Floats:
    """Return the contiguity of communes (A, A), from the shapes the specification names."""
    area = area or AreaEffects()
    own = Path(area.shapes) if area.shapes else None
    return contiguity(communes, own=own, code=area.shapes_code).to_numpy(dtype=np.float64)


@cache
def _profile_codes() -> dict[str, Ints]:
    """Return the level of each profile of the codebook in each factor: the same for every fit."""
    return encode(profiles().assign(urban="", region=""))


def coefficients(effects: Floats, spec: ModelSpec, rows: Rows, *, wave: int) -> Coefficients:
    """Add the effects of one wave up to profiles, urban sizes and regions.

    Parameters
    ----------
    effects : ndarray of shape (S, P)
        Draws in the order of `blocks`.
    """
    at = rows.waves.index(wave)
    sizes = _sizes(len(rows.waves))
    known = _profile_codes()
    K = len(known["age"])
    persons = {**known, "wave": np.full(K, at, dtype=np.int64)}
    S = len(effects)
    profile = np.repeat(effects[:, :1], K, axis=1)
    parts = {name: np.zeros((S, sizes[name])) for name in ("urban", "region")}
    start = 1
    for term in used_terms(spec, rows):
        names = term.factors.split(":")
        size = int(np.prod([sizes[part] for part in names]))
        block = effects[:, start : start + size]
        start += size
        place = next((name for name in ("urban", "region") if name in names), None)
        if place is None:
            _add(profile, block, _index(term, persons, sizes))
        else:
            levels = np.arange(sizes[place])
            codes = {place: levels, "wave": np.full(len(levels), at)}
            _add(parts[place], block, _index(term, codes, sizes))
    found = Coefficients(profile, parts["urban"], parts["region"])
    if not rows.communes:
        return found
    return replace(found, commune=effects[:, start:], communes=rows.communes)


def _add(out: Floats, block: Floats, index: Ints) -> None:
    has = index >= 0
    out[:, has] += block[:, index[has]]
