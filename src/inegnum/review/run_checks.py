"""Checks a release carries: each looks at one figure of the run and says what it means.

Limits are arguments with a reason, not constants of the code that computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd
from scipy.special import bdtr, chdtri

from inegnum.errors import StudyError
from inegnum.review.verdict import Verdict

__all__ = [
    "anchor_shift",
    "fast_engine",
    "geography",
    "masked_share",
    "national_sum",
    "predictive",
    "raking_agreement",
    "region_respondents",
    "regions_agree",
    "require_publishable",
    "survey_gap",
    "year_gap",
]

Status = Literal["pass", "warn", "fail"]


def require_publishable(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Return the verdicts of a run, or refuse the release when one of them fails.

    Raises
    ------
    StudyError
        A check that no release may fail has failed.
    """
    failed = [verdict for verdict in verdicts if verdict.status == "fail"]
    if failed:
        raise StudyError(
            "a check that no release may fail has failed",
            where=", ".join(verdict.check for verdict in failed),
            got=failed[0].sentence_en,
        )
    return tuple(verdicts)


def _status(found: float, limit: float) -> Status:
    return "pass" if found <= limit else "warn"


def anchor_shift(code: str, shift: float, *, limit: float = 0.2) -> Verdict:
    """Judge the national anchor: beyond 0.2 logit the categories deserve a look (METHODS 9)."""
    return Verdict(
        f"anchor:{code}",
        _status(abs(shift), limit),
        shift,
        limit,
        f"One national shift of {shift:+.2f} logit brings the census frame to the survey's rate.",
        f"Un décalage national de {_fr(shift, '+.2f')} logit ramène le cadre censitaire au taux "
        "de l'enquête.",
    )


def national_sum(code: str, gap: float, shift: float, *, limit: float = 1e-6) -> Verdict:
    """Require that communes add up to the national rate; 1e-6 is sixty persons in France."""
    return Verdict(
        f"national:{code}",
        "pass" if gap <= limit else "fail",
        gap,
        limit,
        f"All communes add up to the national rate in every draw, to {gap:.0e}; a second shift of "
        f"{shift:+.3f} logit on average brings them there.",
        "Toutes les communes s'additionnent au taux national dans chaque tirage, à "
        f"{_fr(gap, '.0e')} près ; un second décalage de {_fr(shift, '+.3f')} logit en moyenne "
        "les y amène.",
    )


def regions_agree(code: str, z: pd.Series, *, level: float = 0.99) -> Verdict:
    """Compare regions with the survey's own rates.

    Were the model's rates the true ones, the squared gaps in direct standard errors would add up to
    a chi-square; beyond its 99 % point is a warning.

    Parameters
    ----------
    z : Series
        Gap of each region with enough respondents, in standard errors of its direct rate.
    """
    found, limit = float((z**2).sum()), float(chdtri(len(z), 1 - level))
    inside = int((z.abs() <= 1.96).sum())
    return Verdict(
        f"regions:{code}",
        _status(found, limit),
        found,
        limit,
        f"The survey's own interval holds the model's rate in {inside} regions of {len(z)}; the "
        f"largest gap is {z.abs().max():.1f} direct standard errors.",
        f"L'intervalle direct de l'enquête contient le taux modélisé dans {inside} régions sur "
        f"{len(z)} ; le plus grand écart est de {_fr(float(z.abs().max()), '.1f')} erreurs types.",
    )


def region_respondents(code: str, region: str, n: int, *, limit: int = 50) -> Verdict | None:
    """Warn of a region hardly anyone answered from: its deviation is mostly its prior.

    With the usual spread of regions (0.1 to 0.2 logit) and rates near 80 %, 50 respondents weigh a
    quarter of what is known of a region's deviation at most. None when there are more.
    """
    if n >= limit:
        return None
    return Verdict(
        f"region:{code}",
        "warn",
        float(n),
        float(limit),
        f"{n} respondents live in the region {region}: how it differs from others of the same "
        "composition is an assumption of the model, widened accordingly, hardly an observation.",
        f"{n} personnes enquêtées habitent la région {region} : son écart aux autres à composition "
        "égale est une hypothèse du modèle, élargie en conséquence, à peine une observation.",
    )


def fast_engine(code: str, table: pd.DataFrame, *, limit: float = 0.1) -> Verdict:
    """Judge the fast engine on the survey's own rates (`estimators.reliability`).

    Parameters
    ----------
    table : DataFrame
        ``rate, khat, share, shift, reliable``.
    limit : float
        Posterior sds by which a mean may be off: the tolerance of the comparison with NUTS.
    """
    off, khat = float(table["shift"].abs().max()), float(table["khat"].max())
    rates = table["rate"].nunique()
    return Verdict(
        f"integration:{code}",
        "pass" if off <= limit and table["reliable"].all() else "warn",
        off,
        limit,
        f"The fast engine against the exact posterior, on {rates} rates of the survey: means within"
        f" {off:.2f} posterior standard deviation, tail shape of the ratios at most {khat:.2f}.",
        f"Le calcul rapide comparé à la loi a posteriori exacte, sur {rates} taux de l'enquête :"
        f" moyennes à {_fr(off, '.2f')} écart-type a posteriori près, indice de queue des rapports"
        f" d'au plus {_fr(khat, '.2f')}.",
    )


def predictive(code: str, table: pd.DataFrame) -> Verdict:
    """Judge a posterior predictive table (`estimators.predictive`), group by group.

    One group in twenty leaves its 95 % interval by chance alone; the limit is what chance exceeds
    once in a hundred (binomial). The posterior has seen these answers, so that a good model stays
    well below.
    """
    judged = table["p"].dropna()
    outside = int((judged < 0.05).sum())
    limit = next(k for k in range(len(judged) + 1) if bdtr(k, len(judged), 0.05) >= 0.99)
    return Verdict(
        f"predictive:{code}",
        _status(outside, limit),
        float(outside),
        float(limit),
        f"The survey repeated by the model, by age and diploma: {outside} of {len(judged)} groups"
        f" outside their 95 % interval (at most {limit} by chance).",
        f"L'enquête répétée par le modèle, par âge et diplôme : {outside} groupes sur"
        f" {len(judged)} hors de leur intervalle à 95 % (au plus {limit} par hasard).",
    )


def raking_agreement(
    code: str, model: float, raked: float, *, because_en: str, because_fr: str, limit: float = 0.02
) -> Verdict:
    """Compare model and raking; more than 2 points apart must be explained by covariates."""
    gap = model - raked
    points = _fr(100 * abs(gap), ".1f")
    side_en, side_fr = ("above", "au-dessus") if gap > 0 else ("below", "au-dessous")
    return Verdict(
        f"raking:{code}",
        _status(abs(gap), limit),
        gap,
        limit,
        f"The model stands {100 * abs(gap):.1f} points {side_en} raking. {because_en}".strip(),
        f"Le modèle est {points} point(s) {side_fr} du calage. {because_fr}".strip(),
    )


def year_gap(year: int, census: int, *, limit: int = 2) -> Verdict:
    """Say how far apart the population's year and the census are; beyond two is a warning."""
    gap = abs(year - census)
    return Verdict(
        "year-gap",
        _status(gap, limit),
        gap,
        limit,
        f"The population is that of {year}, the oldest census margins of {census}, scaled to it.",
        f"La population est celle de {year}, les marges censitaires les plus anciennes de "
        f"{census}, mises à son échelle.",
    )


def survey_gap(survey: int, year: int, *, limit: int = 1) -> Verdict:
    """Say how far apart the wave the rates are about and the study's year are."""
    gap = abs(survey - year)
    return Verdict(
        "survey-year",
        _status(gap, limit),
        gap,
        limit,
        f"The answers are those of {survey}, the population that of {year}.",
        f"Les réponses sont celles de {survey}, la population celle de {year}.",
    )


def geography(changed: Sequence[str]) -> Verdict:
    """Name the communes that changed since the margins of 2018, whose rates are those of a part."""
    found = float(len(changed))
    told = "; ".join(changed[:10])
    return Verdict(
        "geography",
        _status(found, 0.0),
        found,
        0.0,
        "No commune of the territory is known to have changed since the margins of 2018, nor does "
        "its population jump: they join by code."
        if not changed
        else f"Communes changed since the margins of 2018, or seem to have, so that these "
        f"may be those of a part: {told}.",
        "Aucune commune du territoire n'a changé depuis les marges de 2018, à notre connaissance, "
        "et aucune population n'y fait de saut : elles se joignent par code."
        if not changed
        else "Des communes ont changé depuis les marges de 2018, ou semblent l'avoir fait : ces "
        f"marges sont peut-être celles d'une partie. {told}.",
    )


def masked_share(table: pd.DataFrame, *, limit: float = 0.5) -> Verdict:
    """Say which share of the commune figures is masked."""
    communes = table[table["level"] == "commune"]
    share = float((communes["class"] == "D").mean()) if len(communes) else 0.0
    return Verdict(
        "masked",
        _status(share, limit),
        share,
        limit,
        f"{100 * share:.0f} % of the commune figures are too uncertain to be shown.",
        f"{100 * share:.0f} % des chiffres communaux sont trop incertains pour être montrés.",
    )


def _fr(value: float, form: str) -> str:
    return format(value, form).replace(".", ",")
