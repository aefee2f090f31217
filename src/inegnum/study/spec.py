"""The study file: what is estimated, for whom, from what, how, and how it is shown.

A study is a TOML file, parsed strictly: an unknown key is refused with the nearest known name.
Nothing is read from elsewhere, so that a study, its inputs and a seed name one set of bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from inegnum.data.codebook import REGION
from inegnum.data.strict import into, read_toml
from inegnum.errors import StudyError, nearest
from inegnum.estimates.retract import Retraction
from inegnum.estimators.spec import ModelSpec, Sampler
from inegnum.provenance import sha256_bytes
from inegnum.study.computing import Scale
from inegnum.study.publication import Change, Publication
from inegnum.study.surveys import Surveys

__all__ = [
    "Change",
    "FrameChoice",
    "Publication",
    "Scale",
    "Study",
    "Territory",
    "files_of",
    "load_study",
    "located",
    "parse_study",
]

_LEVELS = ("epci", "commune", "iris")
_LATER = ("retractions", "change", "families")


@dataclass(frozen=True, slots=True)
class Territory:
    """Whose figures these are: one of an EPCI, a department, communes, regions or all of France.

    Attributes
    ----------
    epci, department : str, optional
        Codes, as text.
    communes : tuple of str
        Codes, for a territory that is neither.
    regions : tuple of str
        Codes of whole regions of metropolitan France.
    france : bool
        Every commune of metropolitan France, Corsica included.
    name : str
        Name of the whole; the EPCI's own unless given.
    levels : tuple of {"epci", "commune", "iris"}
        What is published: the whole (``epci``, whatever it is) and its communes, and IRIS where
        margins by IRIS are known.
    urban : {"metropole", "own"}
        Urban-size class of communes: that of the whole, or their own.
    geojson : str
        File of the areas' shapes, beside the study; the package has those of eight metropolises.
    geojson_code : str
        Property of that file that holds the codes.
    geojson_year : int
        Year of the communes of that file (1 January), when it is known: a commune that changed
        since is then refused.
    """

    epci: str | None = None
    department: str | None = None
    communes: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    france: bool = False
    name: str = ""
    levels: tuple[Literal["epci", "commune", "iris"], ...] = ("epci", "commune")
    urban: Literal["metropole", "own"] = "metropole"
    geojson: str = ""
    geojson_code: str = "geo"
    geojson_year: int = 0

    def __post_init__(self) -> None:
        ways = ("epci", "department", "communes", "regions", "france")
        given = [key for key in ways if getattr(self, key)]
        if len(given) != 1:
            raise StudyError(
                "a territory is defined in one way",
                where="territory",
                got=", ".join(given) or "nothing",
                expected="exactly one of epci, department, communes, regions, france",
            )
        if self.levels not in (_LEVELS[:2], _LEVELS):
            raise StudyError(
                "levels go down from the whole, without a gap",
                where="territory.levels",
                got=", ".join(self.levels) or "none",
                expected='["epci", "commune"] or ["epci", "commune", "iris"]',
            )
        unknown = [code for code in self.regions if code not in REGION.levels]
        if unknown:
            raise StudyError(
                "no region of metropolitan France has this code",
                where="territory.regions",
                got=", ".join(unknown),
                expected=", ".join(REGION.levels),
                hint=nearest(unknown[0], REGION.levels),
            )
        if len(set(self.regions)) != len(self.regions):
            raise StudyError("a region stands twice", where="territory.regions", got=self.regions)
        if self.wide and self.levels != _LEVELS[:2]:
            raise StudyError(
                "regions and all of France are estimated by commune, not by IRIS",
                where="territory.levels",
                got=", ".join(self.levels),
                expected="nothing: communes, EPCI, departments and regions are always given",
                hint="name bases of IRIS in frame.imports for finer frames of communes; IRIS "
                "themselves are estimated by a study of an EPCI or a department",
            )

    @property
    def wide(self) -> bool:
        """Whether communes are too many for one table: regions, or all of France."""
        return self.france or bool(self.regions)


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """What the census frame is made of, beside what the package knows of every commune.

    Attributes
    ----------
    draws : int
        Frames drawn, so that frame error reaches the interval.
    imports : tuple of str
        Census files, as INSEE publishes them or tidied by ``inegnum import``, beside the study.
    events : str
        INSEE's file of events of communes, for files older than those the package knows.
    """

    draws: int = 50
    imports: tuple[str, ...] = ()
    events: str = ""

    def __post_init__(self) -> None:
        if not 2 <= self.draws <= 1000:
            raise StudyError(
                "too few or too many frames", where="frame.draws", got=self.draws, expected="2-1000"
            )
        names = [Path(name).name for name in self.imports]
        if len(set(names)) < len(names):
            raise StudyError(
                "two imported files have one name",
                where="frame.imports",
                got=", ".join(sorted({name for name in names if names.count(name) > 1})),
                hint="a release names its inputs by file name: rename one",
            )


@dataclass(frozen=True, slots=True)
class Study:
    """A whole study.

    Attributes
    ----------
    name, title_fr, title_en : str
    year : int
        Year the figures are about.
    seed : int
    indicators : tuple of str
        Codes of the registry, in the order of publication.
    territory, frame, model, quality, scale, survey : sections
    change : Change, optional
        An earlier year to compare with.
    families : bool
        Whether the indicators of each family of two or more are also drawn together.
    languages : tuple of {"fr", "en"}
    retractions : tuple of Retraction

    Examples
    --------
    >>> from inegnum.study.folder import find_study
    >>> study = find_study("bordeaux-metropole-2022")
    >>> study.territory.epci, study.year
    ('243300316', 2022)
    """

    name: str
    title_fr: str
    title_en: str
    year: int
    seed: int
    indicators: tuple[str, ...]
    territory: Territory
    languages: tuple[Literal["fr", "en"], ...] = ("fr", "en")
    frame: FrameChoice = field(default_factory=FrameChoice)
    model: ModelSpec = field(default_factory=ModelSpec)
    quality: Publication = field(default_factory=Publication)
    scale: Scale = field(default_factory=Scale)
    survey: Surveys = field(default_factory=Surveys)
    change: Change | None = None
    families: bool = False
    retractions: tuple[Retraction, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", self.name):
            raise StudyError(
                "a study's name is made of lower-case letters, digits and hyphens",
                where="name",
                got=self.name,
            )
        if not 0 <= self.seed < 2**32:
            raise StudyError("a seed is a whole number", where="seed", got=self.seed)
        twice = {code for code in self.indicators if self.indicators.count(code) > 1}
        if twice or not self.indicators:
            raise StudyError(
                "each indicator is named once, and one at least",
                where="indicators",
                got=f"named twice: {', '.join(sorted(twice))}" if twice else "none",
            )
        if (self.change or self.families) and self.territory.wide:
            raise StudyError(
                "regions and all of France have neither changes nor families",
                where="change, families",
                hint="run a study of the territory that is wanted",
            )
        if self.change is not None:
            self.change.require_of(self.year, self.indicators)
        if not self.languages:
            raise StudyError("a report needs a language", where="languages", expected="fr, en")

    def to_dict(self) -> dict[str, Any]:
        """Return the study as plain values, ready for a manifest: files by their name alone."""
        named = _with_files(self, lambda path: Path(path).name)
        plain: dict[str, Any] = json.loads(json.dumps(asdict(named)))
        # A study that asks for none of these keeps the hash it always had.
        if self.scale.communes == Scale().communes:
            del plain["scale"]["communes"]
        if self.model.sampler == Sampler():
            del plain["model"]["sampler"]
        plain["retractions"] = [
            {key: value for key, value in one.items() if key != "level" or value}
            for one in plain["retractions"]
        ]
        return {k: v for k, v in plain.items() if k not in _LATER or v}

    def sha256(self) -> str:
        """Return the hash of the study's content, whatever the layout of its file."""
        return sha256_bytes(json.dumps(self.to_dict(), sort_keys=True).encode())


def load_study(path: str | Path) -> Study:
    """Read and check a study file.

    Parameters
    ----------
    path : str or Path
        A TOML file.

    Raises
    ------
    InputError
        The file is absent, is not TOML, or holds an unknown key or a value out of range.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import inegnum as ing
    >>> from inegnum.study.new import new_study
    >>> with TemporaryDirectory() as folder:
    ...     path = new_study("243500139", year=2022, out=Path(folder) / "rennes.toml")
    ...     study = ing.load_study(path)
    >>> study.territory.epci
    '243500139'
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StudyError(
            "the study file does not exist",
            where=str(path),
            expected="a TOML file",
            hint="write one with `inegnum new --epci CODE --year 2022 --out study.toml`",
        ) from None
    except OSError as error:
        raise StudyError("the study file cannot be read", where=str(path), got=error) from error
    study = parse_study(data, where=str(path))
    # A path in a study is read from where the study stands, wherever the command runs.
    return located(study, path.parent)


def located(study: Study, folder: Path) -> Study:
    """Return the study with the files it names looked for in `folder`."""
    return _with_files(study, lambda path: str(folder / path))


def files_of(study: Study) -> list[str]:
    """Return the path of every file the study names."""
    found: list[str] = []

    def keep(path: str) -> str:
        found.append(path)
        return path

    _with_files(study, keep)
    return found


def _with_files(study: Study, place: Callable[[str], str]) -> Study:
    """Return the study with every file it names put through `place`."""

    def put(path: str) -> str:
        return place(path) if path else ""

    frame, local = study.frame, study.survey.local
    if local is not None:
        local = replace(local, file=put(local.file), codebook=put(local.codebook))
    model = study.model
    if model.area is not None and model.area.shapes:
        model = replace(model, area=replace(model.area, shapes=put(model.area.shapes)))
    return replace(
        study,
        model=model,
        survey=Surveys(local),
        territory=replace(study.territory, geojson=put(study.territory.geojson)),
        frame=replace(frame, imports=tuple(map(put, frame.imports)), events=put(frame.events)),
    )


def parse_study(data: bytes, *, where: str = "study") -> Study:
    """Parse the bytes of a study file; `where` names it in messages."""
    return into(Study, read_toml(data, where=where), where=where)
