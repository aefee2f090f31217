"""Why a published figure and an estimate of the package may differ, kind by kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Difference:
    """What is known before looking at any estimate.

    `kind` and `indicator` select the figures ("" for every indicator of the kind); the first
    match counts.
    """

    kind: str
    indicator: str
    counterpart: str
    comparable: Literal["yes", "partly", "no"]
    mode: str
    en: str
    fr: str

    def about(self, indicator: str, registry: set[str]) -> Difference:
        """Return the difference for one indicator ("same" stands for its own code)."""
        if self.counterpart != "same":
            return self
        if indicator in registry:
            return replace(self, counterpart=indicator)
        return replace(
            self,
            counterpart="",
            comparable="no",
            en="No counterpart in the registry.",
            fr="Pas d'équivalent dans le registre.",
        )


PHONE = "telephone"
NOT_STATED = "not stated"
LOCAL = "local survey"
DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "observatory estimator",
        "",
        "same",
        "partly",
        "modelled from the national survey",
        "An estimate, not an observation: it depends on the national survey of 2022, where urban "
        "size is confounded with the mode of interview. No interval and no age bound published.",
        "Une estimation et non une observation : elle dépend de l'enquête nationale de 2022, où "
        "la taille d'agglomération se confond avec le mode de recueil. Ni intervalle ni borne "
        "d'âge publiés.",
    ),
    Difference(
        LOCAL,
        "smartphone",
        "smartphone",
        "yes",
        PHONE,
        "Telephone only, one year later, lower age bound not visible.",
        "Téléphone seul, un an plus tard, borne d'âge inférieure non visible.",
    ),
    Difference(
        LOCAL,
        "computer",
        "computer_home",
        "no",
        PHONE,
        "The national question changed in 2020 and 2022: 61 % then 89 %.",
        "La question nationale a changé en 2020 et en 2022 : 61 % puis 89 %.",
    ),
    Difference(
        LOCAL,
        "no_equipment",
        "no_device",
        "partly",
        PHONE,
        "The list of equipment is not known and may be longer than smartphone, computer, tablet.",
        "La liste d'équipements n'est pas connue ; elle peut dépasser smartphone, ordinateur et "
        "tablette.",
    ),
    Difference(
        LOCAL,
        "admin_difficulty",
        "admin_difficulty",
        "no",
        PHONE,
        "The questions differ: being in difficulty (25 %) is not wanting help when something "
        "proves difficult (54 % nationally).",
        "Les questions diffèrent : être en difficulté (25 %) n'est pas souhaiter de l'aide face à "
        "une difficulté (54 % en France).",
    ),
    Difference(
        LOCAL,
        "",
        "",
        "no",
        PHONE,
        "No counterpart in the national survey.",
        "Pas d'équivalent dans l'enquête nationale.",
    ),
    Difference(
        "INSEE regional estimate",
        "",
        "",
        "no",
        "mixed",
        "Illectronisme (INSEE, 15+) is not asked in the Baromètre; regional and sub-regional "
        "values are modelled by INSEE from its national survey of 2019, so they are not "
        "independent of national rates of that survey.",
        "L'illectronisme (INSEE, 15 ans et plus) n'est pas mesuré par le Baromètre ; les valeurs "
        "régionales et infra-régionales sont modélisées par l'INSEE à partir de son enquête "
        "nationale de 2019 : elles ne sont pas indépendantes des taux nationaux de cette enquête.",
    ),
    Difference(
        "Eurostat regional estimate",
        "internet_daily",
        "internet_daily",
        "partly",
        "mixed",
        "People aged 16 to 74 rather than 12 and over; daily use over the last three months; "
        "former regions; years when the Baromètre was face to face.",
        "Personnes de 16 à 74 ans et non de 12 ans et plus ; usage quotidien au cours des trois "
        "derniers mois ; anciennes régions ; années où le Baromètre était en face-à-face.",
    ),
    Difference(
        "regional survey",
        "internet_user",
        "internet_user",
        "partly",
        NOT_STATED,
        "Adults, or an age group; connected in the last three months or declared user.",
        "Adultes, ou tranche d'âge ; connexion au cours des trois derniers mois ou usage déclaré.",
    ),
    Difference(
        "regional survey",
        "",
        "",
        "no",
        NOT_STATED,
        "A typology of the survey's own, without counterpart.",
        "Une typologie propre à l'enquête, sans équivalent.",
    ),
    Difference(
        "national survey",
        "fibre_or_cable",
        "fibre_or_cable",
        "no",
        "online and telephone",
        "Published among people with fixed internet; the registry counts everyone.",
        "Publié parmi les personnes ayant internet fixe ; le registre compte tout le monde.",
    ),
    Difference(
        "national survey",
        "",
        "same",
        "yes",
        "online and telephone",
        "Printed in whole points, some through a relay; later editions are not in the package.",
        "Imprimé en points entiers, parfois par un relais ; les éditions suivantes ne sont pas "
        "dans le paquet.",
    ),
    Difference(
        "INSEE survey",
        "",
        "",
        "no",
        "mixed",
        "Overseas departments, 15 and over: outside the territory of the Baromètre.",
        "Départements d'outre-mer, 15 ans et plus : hors du territoire du Baromètre.",
    ),
    Difference(
        "index",
        "",
        "",
        "no",
        "none",
        "A score of communes, not a rate of persons.",
        "Un score de communes et non un taux de personnes.",
    ),
)
