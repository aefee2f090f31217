"""The one codebook: what the survey and the census are both mapped onto.

A *profile* is one cell of age x sex x diploma x occupation. Three classes sit outside the crossing,
because neither the survey nor the census fills it for them: people of 12-14 and 15-17 (no diploma,
no occupation), and students of 18 and over (modelled as a class of their own: census diploma
margins cover people no longer enrolled).

The census knows eight occupations; farmers (cs1) and the self-employed (cs2) are one class in the
survey, "personne au foyer" and "autre inactif" one class in the census, so seven remain.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import pandas as pd

from inegnum.errors import InputError, UniverseError, nearest

__all__ = [
    "AGE",
    "AXES",
    "DIPLOMA",
    "MODE",
    "OCCUPATION",
    "REGION",
    "SEX",
    "UNIVERSES",
    "URBAN",
    "Axis",
    "Universe",
    "ages_of",
    "profiles",
]

Universe = Literal["12+", "15+", "18+"]
UNIVERSES: Final[tuple[Universe, ...]] = ("12+", "15+", "18+")


@dataclass(frozen=True, slots=True)
class Axis:
    """A variable and its levels, in order.

    Attributes
    ----------
    name : str
        Column name everywhere.
    levels : tuple of str
        Codes, in their natural order.
    en, fr : tuple of str
        Labels, level by level.
    ordered : bool
        Whether neighbours resemble each other (random-walk priors).
    """

    name: str
    levels: tuple[str, ...]
    en: tuple[str, ...]
    fr: tuple[str, ...]
    ordered: bool = False

    def code(self, level: str) -> int:
        """Return the position of `level`, or say which one was meant."""
        try:
            return self.levels.index(level)
        except ValueError:
            raise InputError(
                f"unknown level of {self.name}",
                got=level,
                expected=", ".join(self.levels),
                hint=nearest(level, self.levels),
            ) from None

    def label(self, level: str, language: Literal["fr", "en"] = "fr") -> str:
        """Return the label of `level` in `language`."""
        return (self.fr if language == "fr" else self.en)[self.code(level)]


SEX: Final = Axis("sex", ("women", "men"), ("women", "men"), ("femmes", "hommes"))
# 12-14 and 15-17 are one class (12-17) in the survey; the census frame keeps them apart so that
# universes 12+, 15+ and 18+ are sums of cells.
AGE: Final = Axis(
    "age",
    ("12-14", "15-17", "18-24", "25-39", "40-59", "60-69", "70+"),
    ("12 to 14", "15 to 17", "18 to 24", "25 to 39", "40 to 59", "60 to 69", "70 and over"),
    (
        "12 à 14 ans",
        "15 à 17 ans",
        "18 à 24 ans",
        "25 à 39 ans",
        "40 à 59 ans",
        "60 à 69 ans",
        "70 ans et plus",
    ),
    ordered=True,
)
DIPLOMA: Final = Axis(
    "diploma",
    ("minor", "student", "none", "below_bac", "bac", "higher"),
    (
        "under 18",
        "student",
        "no diploma",
        "below baccalauréat (BEPC, CAP, BEP)",
        "baccalauréat",
        "higher education",
    ),
    (
        "moins de 18 ans",
        "étudiant",
        "sans diplôme ou CEP",
        "BEPC, CAP ou BEP",
        "baccalauréat",
        "diplôme du supérieur",
    ),
    ordered=True,
)
OCCUPATION: Final = Axis(
    "occupation",
    (
        "minor",
        "student",
        "self_employed",
        "manager",
        "intermediate",
        "employee",
        "worker",
        "retired",
        "inactive",
    ),
    (
        "under 18",
        "student",
        "farmer, craftsman, shopkeeper, company head",
        "manager, higher intellectual occupation",
        "intermediate occupation",
        "employee",
        "worker",
        "retired",
        "other not in the labour force",
    ),
    (
        "moins de 18 ans",
        "étudiant",
        "agriculteur, artisan, commerçant, chef d'entreprise",
        "cadre ou profession intellectuelle supérieure",
        "profession intermédiaire",
        "employé",
        "ouvrier",
        "retraité",
        "autre personne sans activité professionnelle",
    ),
)
URBAN: Final = Axis(
    "urban",
    ("rural", "2k-20k", "20k-100k", "100k+", "paris"),
    (
        "rural commune",
        "urban unit of 2,000 to 20,000",
        "urban unit of 20,000 to 100,000",
        "urban unit over 100,000",
        "urban unit of Paris",
    ),
    (
        "commune rurale",
        "unité urbaine de 2 000 à 20 000 habitants",
        "unité urbaine de 20 000 à 100 000 habitants",
        "unité urbaine de plus de 100 000 habitants",
        "unité urbaine de Paris",
    ),
    ordered=True,
)
MODE: Final = Axis(
    "mode",
    ("face_to_face", "web", "phone"),
    ("face to face", "online (CAWI)", "telephone (CATI)"),
    ("face-à-face", "en ligne (CAWI)", "téléphone (CATI)"),
)
_REGIONS: Final = {
    "11": "Île-de-France",
    "24": "Centre-Val de Loire",
    "27": "Bourgogne-Franche-Comté",
    "28": "Normandie",
    "32": "Hauts-de-France",
    "44": "Grand Est",
    "52": "Pays de la Loire",
    "53": "Bretagne",
    "75": "Nouvelle-Aquitaine",
    "76": "Occitanie",
    "84": "Auvergne-Rhône-Alpes",
    "93": "Provence-Alpes-Côte d'Azur",
    "94": "Corse",
}
# Codes are INSEE's (COG since 2016), text as everywhere.
REGION: Final = Axis("region", tuple(_REGIONS), tuple(_REGIONS.values()), tuple(_REGIONS.values()))
AXES: Final[dict[str, Axis]] = {
    axis.name: axis for axis in (SEX, AGE, DIPLOMA, OCCUPATION, URBAN, REGION, MODE)
}

_FIRST_AGE: Final[dict[str, str]] = {"12+": "12-14", "15+": "15-17", "18+": "18-24"}


def ages_of(universe: str) -> tuple[str, ...]:
    """Return the age levels that make up `universe`.

    Examples
    --------
    >>> ages_of("18+")[0]
    '18-24'
    """
    if universe not in _FIRST_AGE:
        raise UniverseError(
            "unknown universe",
            got=universe,
            expected=", ".join(UNIVERSES),
            hint="figures of different universes are never compared or combined",
        )
    return AGE.levels[AGE.code(_FIRST_AGE[universe]) :]


@cache
def profiles() -> pd.DataFrame:
    """Return every profile, one row each: ``age``, ``sex``, ``diploma``, ``occupation``.

    Order is fixed (age, then sex, then diploma, then occupation), so that position along the
    profile axis of a `Frame` is a stable key.

    Examples
    --------
    >>> profiles().query("diploma == 'minor'").shape[0]
    4
    """
    rows: list[tuple[str, str, str, str]] = []
    for age, sex in itertools.product(AGE.levels, SEX.levels):
        if age in ("12-14", "15-17"):
            rows.append((age, sex, "minor", "minor"))
            continue
        rows.append((age, sex, "student", "student"))
        rows.extend(
            (age, sex, diploma, occupation)
            for diploma in DIPLOMA.levels[2:]
            for occupation in OCCUPATION.levels[2:]
        )
    return pd.DataFrame(rows, columns=["age", "sex", "diploma", "occupation"])
