"""What a multilevel model is made of, apart from how it is computed.

A `ModelSpec` is the same object whatever the engine; a study file writes it in TOML. Defaults rest
on design grounds; what was known when they were chosen is said in ``docs/decisions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from inegnum.data.codebook import AGE, DIPLOMA, OCCUPATION, REGION, SEX, URBAN
from inegnum.errors import StudyError, nearest
from inegnum.estimators.sampler import Sampler

__all__ = [
    "COMPONENTS",
    "FACTORS",
    "Anchor",
    "AreaEffects",
    "ModeReadings",
    "ModelSpec",
    "Sampler",
    "Tau",
    "TermSpec",
    "parse_spec",
]

# Levels as the model sees them. People under 18 are known by their age only (their diploma and
# occupation say the same thing again), students by their diploma class only: a level left out here
# has no effect of its own in that factor.
FACTORS: Final[dict[str, tuple[str, ...]]] = {
    "age": ("12-17", *AGE.levels[2:]),
    "sex": SEX.levels,
    "diploma": DIPLOMA.levels[1:],
    "occupation": OCCUPATION.levels[2:],
    "urban": URBAN.levels,
    "region": REGION.levels,
}
_PERSONAL: Final = ("age", "sex", "diploma", "occupation")

Component = Literal["sampling", "frame", "transport", "mode", "anchor"]
COMPONENTS: Final[tuple[Component, ...]] = ("sampling", "frame", "transport", "mode", "anchor")


@dataclass(frozen=True, slots=True)
class TermSpec:
    """A block of effects.

    Attributes
    ----------
    factors : str
        One factor, or two joined by a colon (``"age:diploma"``, ``"wave:urban"``).
    scale : float
        Scale of the half-normal prior of the sd (logit), or the sd itself when not `learned`.
    structure : {"iid", "rw", "ar1"}
        Prior dependence between neighbouring levels.
    learned : bool
        Whether the sd is estimated.
    """

    factors: str
    scale: float
    structure: Literal["iid", "rw", "ar1"] = "iid"
    learned: bool = True

    def __post_init__(self) -> None:
        parts = self.factors.split(":")
        allowed = [*FACTORS, "wave"]
        for part in parts:
            if part not in allowed:
                raise StudyError(
                    "unknown factor in a model term",
                    where=f"terms, {self.factors}",
                    got=part,
                    expected=", ".join(allowed),
                    hint=nearest(part, allowed),
                )
        geographic = [part for part in parts if part in ("urban", "region")]
        if len(parts) > 2 or len(set(parts)) != len(parts):
            raise StudyError(
                "a term has one factor, or two different ones",
                where="terms",
                got=self.factors,
                expected="for instance age:diploma",
            )
        if geographic and len(parts) == 2 and "wave" not in parts:
            raise StudyError(
                "a term may not cross a personal factor with a geographic one",
                where="terms",
                got=self.factors,
                expected="terms within persons, within geography, or by wave",
                hint="age x urban size is confounded with interview mode in the survey",
            )
        if self.structure != "iid" and len(parts) == 2:
            raise StudyError(
                "an ordered structure applies to one factor",
                where=f"terms, {self.factors}",
                got=self.structure,
                expected="iid",
            )
        if not 0 < self.scale < 10:
            raise StudyError(
                "a prior scale is a positive number of logits",
                where=f"terms, {self.factors}",
                got=self.scale,
                expected="between 0 and 10",
            )


@dataclass(frozen=True, slots=True)
class Tau:
    """Prior of the sd of area deviations, learned on other data.

    Attributes
    ----------
    metro : float
        Deviation shared by the communes of a metropolis.
    commune : float
        Deviation of a commune given its metropolis.
    iris : float
        Deviation of an IRIS given its commune.
    log_sd : float
        Sd of log(tau) around these medians. Four census pseudo-targets, given what the model knows
        (age, diploma, occupation, urban size), have a total deviation of 0.20 in the median, spread
        by 0.40 in its log for a fifth one: the upper end, 0.44, is the one of 0.27 and 0.25.
    factor : float
        Multiplies all three (0.5 and 2 are the published sensitivities).
    structure : {"iid", "bym2"}
        Whether the deviations of neighbouring communes of a metropolis resemble each other; the sd
        of each is the same either way.
    phi : float
        Share of their variance that is spatial (bym2).
    prior : {"stated", "learned"}
        Whether the sds and `log_sd` are those above, or those learned for each indicator
        (`learned_tau`), which then replace them.
    origin : str
        Where the medians come from.
    """

    metro: float = 0.20
    commune: float = 0.18
    iris: float = 0.22
    log_sd: float = 0.25
    factor: float = 1.0
    structure: Literal["iid", "bym2"] = "iid"
    phi: float = 0.5
    prior: Literal["stated", "learned"] = "stated"
    origin: str = (
        "census pseudo-targets of 5,323 communes: metropolis 0.20, commune 0.27 in all, IRIS 0.35"
        " in all (extrapolated); socio-economic, not digital; compatible with the regions of the"
        " Baromètre, which do not identify it"
    )

    def __post_init__(self) -> None:
        if min(self.metro, self.commune, self.iris, self.log_sd) < 0 or self.factor <= 0:
            raise StudyError("sds of area deviations cannot be negative", where="tau", got=self)
        if not 0 <= self.phi <= 1:
            raise StudyError("a spatial share lies between 0 and 1", where="tau, phi", got=self.phi)


@dataclass(frozen=True, slots=True)
class AreaEffects:
    """Effects of the areas that respondents are known to live in: regions, communes.

    Attributes
    ----------
    structure : {"iid", "bym2"}
        Independent, or partly spatial on the graph of areas that touch.
    phi : {"pc", "uniform"}
        Prior of the spatial share: penalised complexity with P(phi < 1/2) = 2/3, or flat.
    scale : float
        Scale of the half-normal prior of the communes' sd; that of the regions is their term's.
    communes : tuple of str
        Communes with an effect, with respondents or without; those of the survey unless given.
    shapes : str
        GeoJSON of the communes; the package has those of eight metropolises.
    shapes_code : str
        Property of that file that holds the codes.
    """

    structure: Literal["iid", "bym2"] = "iid"
    phi: Literal["pc", "uniform"] = "pc"
    scale: float = 0.3
    communes: tuple[str, ...] = ()
    shapes: str = ""
    shapes_code: str = "geo"

    def __post_init__(self) -> None:
        if not 0 < self.scale < 10:
            raise StudyError(
                "a prior scale is a positive number of logits",
                where="area, scale",
                got=self.scale,
                expected="between 0 and 10",
            )
        if len(set(self.communes)) != len(self.communes):
            raise StudyError("a commune is named twice", where="area, communes")


@dataclass(frozen=True, slots=True)
class ModeReadings:
    """How much of the posterior goes to each reading of the urban gradient.

    Telephone interviews, aimed at people far from digital, are unevenly spread over urban sizes;
    the gradient of the last wave mixes the two. The published interval is a mixture.

    Attributes
    ----------
    pooled : float
        The gradient as pooled over waves, wave deviations shrunk.
    held : float
        The gradient held at its value in the earlier waves.
    equalised : float
        All effects once phone interviews weigh the same in every urban size and region, within age.
    """

    pooled: float = 0.5
    held: float = 0.25
    equalised: float = 0.25

    def __post_init__(self) -> None:
        parts = (self.pooled, self.held, self.equalised)
        if min(parts) < 0 or abs(sum(parts) - 1) > 1e-9:
            raise StudyError(
                "weights of the mode readings must be shares",
                where="mode",
                got=parts,
                expected="three numbers of sum 1",
            )


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the national frame must reproduce.

    Attributes
    ----------
    to : {"survey", "none"}
        The survey's own national rate, drawn jointly with the coefficients, or nothing.
    limit : float
        Logit shift beyond which the anchor is refused.
    """

    to: Literal["survey", "none"] = "survey"
    limit: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.limit <= 1:
            raise StudyError(
                "the limit of the anchor is a logit shift",
                where="anchor, limit",
                got=self.limit,
                expected="between 0 and 1",
            )


_TERMS: Final = (
    TermSpec("wave", 1.0, learned=False),
    TermSpec("age", 1.0, "rw"),
    TermSpec("sex", 0.5, learned=False),
    TermSpec("diploma", 1.0),
    TermSpec("occupation", 0.5),
    TermSpec("urban", 0.5),
    TermSpec("region", 0.3),
    TermSpec("age:diploma", 0.3),
    TermSpec("age:sex", 0.3),
    TermSpec("wave:age", 0.3),
    TermSpec("wave:diploma", 0.3),
    TermSpec("wave:urban", 0.3),
    TermSpec("wave:region", 0.3),
)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A multilevel logit of an indicator.

    Attributes
    ----------
    year : int
        Year the rates are about: the national rate of its wave is the anchor.
    waves : tuple of int
        Waves pooled; the effects of the latest one not after `year` are predicted.
    history : tuple of int
        Earlier waves that inform the urban gradient only (empty: none).
    terms : tuple of TermSpec
    intercept : float
        Prior sd of the intercept.
    counts : {"effective", "unweighted"}
        Effective counts by the indicator's design effect, or raw counts with the weighting
        variables in the model.
    tau : Tau
    area : AreaEffects, optional
        Effects of the communes of a local survey, and structure of those of the regions. Without
        it regions are independent and places of residence below the region are not used.
    mode : ModeReadings
    anchor : Anchor
    engine : {"laplace", "nuts"}
    on_khat : {"error", "nuts"}
        What to do when the fast engine does not represent a rate of the survey: stop, or sample by
        NUTS and say so. Never a silent switch.
    sampler : Sampler
        Length and acceptance of the chains (nuts).
    draws : int
        Joint draws given out.
    points : int
        Support points of the sds (laplace).

    Examples
    --------
    >>> spec = ModelSpec(waves=(2022,), history=(), tau=Tau(factor=2.0))
    >>> [term.factors for term in spec.terms][:4]
    ['wave', 'age', 'sex', 'diploma']
    """

    year: int = 2022
    waves: tuple[int, ...] = (2020, 2022)
    history: tuple[int, ...] = (2016, 2017, 2018, 2019)
    terms: tuple[TermSpec, ...] = _TERMS
    intercept: float = 1.5
    counts: Literal["effective", "unweighted"] = "effective"
    tau: Tau = field(default_factory=Tau)
    area: AreaEffects | None = None
    mode: ModeReadings = field(default_factory=ModeReadings)
    anchor: Anchor = field(default_factory=Anchor)
    engine: Literal["laplace", "nuts"] = "laplace"
    on_khat: Literal["error", "nuts"] = "error"
    sampler: Sampler = field(default_factory=Sampler)
    draws: int = 2000
    points: int = 32

    def __post_init__(self) -> None:
        names = [term.factors for term in self.terms]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise StudyError("a term stands twice", where="terms", got=", ".join(sorted(twice)))
        if not any(set(name.split(":")) & set(_PERSONAL) for name in names):
            raise StudyError("the model has no personal factor", where="terms", got=names)
        if not self.waves:
            raise StudyError("no wave is pooled", where="waves", expected="one wave or more")
        if set(self.history) & set(self.waves):
            raise StudyError(
                "a wave is evidence once",
                where="history",
                got=sorted(set(self.history) & set(self.waves)),
                expected="waves that are not pooled already",
            )
        if not 200 <= self.draws <= 100_000:
            raise StudyError("too few or too many draws", where="draws", got=self.draws)
        if not 16 <= self.points <= 2000:
            raise StudyError("too few or too many support points", where="points", got=self.points)

    def without(self, *factors: str) -> tuple[TermSpec, ...]:
        """Return the terms in which none of these factors stands."""
        return tuple(t for t in self.terms if not set(t.factors.split(":")) & set(factors))


def parse_spec(table: Mapping[str, Any], *, where: str = "model") -> ModelSpec:
    """Read a `ModelSpec` from the ``[model]`` table of a study file.

    Raises
    ------
    InputError
        A key is unknown, or a value cannot be used.

    Examples
    --------
    >>> parse_spec({"year": 2022, "waves": [2022], "tau": {"factor": 2.0}}).tau.factor
    2.0
    """
    from inegnum.data.strict import into

    return into(ModelSpec, table, where=where)
