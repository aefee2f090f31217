"""Rung 5 on the method: regions estimated from the whole survey beside published regional figures.

The model of a release is fitted for each indicator that a regional figure names as its counterpart,
and gives every region of metropolitan France. NUTS 1 regions are those of 2016; a former region
(NUTS 2) is estimated where it is a region still, and refused where it was merged: the frame does
not cut a region. What may be judged is decided by `inegnum.review.reference.beside`.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import numpy as np
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.codebook import REGION
from inegnum.data.frames.build import national_frame
from inegnum.data.survey import load_survey
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec
from inegnum.provenance import require_role
from inegnum.review.folds import Runner
from inegnum.review.leave_region_out import YEAR, region_rates
from inegnum.review.reference import TABLE, beside
from inegnum.review.rung import Rung
from inegnum.review.thresholds import judge
from inegnum.review.verdict import Verdict

__all__ = ["published_rung", "regional_figures", "regional_fold"]

# Codes of Eurostat for the regions of 2016 and for the former regions that did not change.
_NUTS1: Final = dict(
    zip(
        ("FR1", "FRB", "FRC", "FRD", "FRE", "FRF", "FRG", "FRH", "FRI", "FRJ", "FRK", "FRL", "FRM"),
        ("11", "24", "27", "28", "32", "44", "52", "53", "75", "76", "84", "93", "94"),
        strict=True,
    )
)
_NUTS2: Final = {
    "FR10": "11",
    "FRB0": "24",
    "FRG0": "52",
    "FRH0": "53",
    "FRL0": "93",
    "FRM0": "94",
}
_WHY_NOT: Final = {
    "merged": (
        "A former region merged in 2016: the frame does not cut the present one.",
        "Ancienne région fusionnée en 2016 : le cadre ne découpe pas la région actuelle.",
    ),
    "overseas": (
        "Overseas: the survey covers metropolitan France.",
        "Outre-mer : l'enquête couvre la France métropolitaine.",
    ),
    "ages": (
        "Of an age group: regions are estimated for all ages.",
        "D'une tranche d'âge : les régions sont estimées tous âges confondus.",
    ),
}


def regional_fold(indicator: str) -> pd.DataFrame:
    """Estimate one indicator in every region.

    Returns
    -------
    DataFrame
        ``level, geo, indicator, year, est, se``, one row a region.
    """
    national = national_frame(year=YEAR)
    found = fit(ModelSpec(), load_survey(indicator), national=national, seed=5)
    rows = []
    for region in REGION.levels:
        rates = region_rates(found, national, region)
        rows.append({"geo": region, "est": rates.mean(), "se": rates.std(ddof=1)})
    return pd.DataFrame(rows).assign(level="region", indicator=indicator, year=found.year)


def regional_figures(published: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the regional rates under the codes of the regions, and those that have none here.

    Parameters
    ----------
    published : DataFrame
        Columns of the reference table ``published_figures``.

    Returns
    -------
    tuple of DataFrame
        Figures of present regions, columns as `published`; the others with ``why_en, why_fr``.
    """
    rates = published[
        (published["unit"] == "rate") & published["level"].isin(["region", "nuts1", "nuts2"])
    ]
    known = {("nuts1", k): v for k, v in _NUTS1.items()}
    known |= {("nuts2", k): v for k, v in _NUTS2.items()}
    known |= {("region", code): code for code in REGION.levels}
    keys = list(zip(rates["level"], rates["geo"], strict=True))
    codes = pd.Series([known.get(key, "") for key in keys], index=rates.index)
    part = rates["universe"].map(_is_age_group)
    away = rates[(codes == "") | part]
    overseas = away["geo"].str.startswith("FRY") | away["level"].eq("region")
    why = np.select([part[away.index], overseas], ["ages", "overseas"], "merged")
    refused = away.assign(
        reading="refused",
        why_en=[_WHY_NOT[one][0] for one in why],
        why_fr=[_WHY_NOT[one][1] for one in why],
    )
    here = (codes != "") & ~part
    return rates[here].assign(geo=codes[here], nuts=rates["level"], level="region"), refused


def _is_age_group(universe: str) -> bool:
    """Whether a universe leaves out adults: it starts after 18 or ends before 74."""
    ages = re.match(r"(\d+)(?:\+|-(\d+))", universe)
    return ages is not None and (int(ages[1]) > 18 or int(ages[2] or 99) < 74)


def published_rung(runner: Runner, level: Literal["quick", "full"]) -> Rung:
    """Climb rung 5 on the regions of the whole survey."""
    del level
    published, source = catalogue.table(TABLE)
    require_role([source], "validate", where="reference figures")
    here, refused = regional_figures(published)
    counterparts = here.loc[here["comparable"] != "no", "counterpart"].dropna().unique()
    known = {s.name: s.sha256 for s in catalogue.sources() if s.role == "fit"}
    estimates = runner.run(
        "published",
        regional_fold,
        [(code,) for code in sorted(map(str, counterparts))],
        inputs=" ".join(known.values()),
    )
    table = beside(estimates, here)
    table = pd.concat([table, refused[[c for c in table.columns if c in refused]]])
    judged = table[table["reading"] == "judged"]
    verdicts = [
        judge(
            f"published/{row['counterpart']}/{row['geo']}/{row['year']}",
            float(row["z"]),
            "reference_gap",
            en=f"{row['territory']}, {row['counterpart']}: gap in joint standard errors",
            fr=f"{row['territory']}, {row['counterpart']} : écart en erreurs-types conjointes",
            miss="warn",
        )
        for row in judged.to_dict("records")
    ]
    verdicts += _rank_verdicts(table)
    counts = table["reading"].value_counts()
    near, no = int(counts.get("beside", 0)), int(counts.get("refused", 0))
    return Rung(
        5,
        "published-regions",
        "Published figures: do the regions agree with what others publish of them?",
        "Chiffres publiés : les régions s'accordent-elles avec ce que d'autres en publient ?",
        tuple(verdicts),
        {"published": table.reset_index(drop=True)},
        notes_en=(
            f"{len(judged)} figures judged, {near} read beside, {no} refused; each says why.",
            "Regions are those of the whole survey: their respondents are in the fit, the "
            "published figures never are. Eurostat's rates are of 16-74 year-olds, three years "
            "earlier, with an error of two to three points: their order is compared, not their "
            "level.",
            "INSEE's illectronisme counts people without a basic skill and those who did not use "
            "internet in the year; the survey has no such question, so every region is refused.",
        ),
        notes_fr=(
            f"{len(judged)} chiffres jugés, {near} à lire à côté, {no} refusés ; chacun dit "
            "pourquoi.",
            "Les régions sont celles de l'enquête entière : leurs répondants sont dans "
            "l'ajustement, les chiffres publiés jamais. Les taux d'Eurostat portent sur les "
            "16-74 ans, trois ans plus tôt, avec une erreur de deux à trois points : on compare "
            "leur ordre, non leur niveau.",
            "L'illectronisme de l'INSEE compte les personnes sans compétence de base et celles qui "
            "n'ont pas utilisé internet dans l'année ; l'enquête n'a pas cette question : toutes "
            "les régions sont refusées.",
        ),
        inputs={TABLE: source.sha256},
    )


def _rank_verdicts(table: pd.DataFrame) -> list[Verdict]:
    """Compare the order of regions with that of figures read beside, latest year of each."""
    found = []
    for code, rows in table[table["reading"] == "beside"].groupby("counterpart"):
        last = rows[rows["year"] == rows["year"].max()].drop_duplicates("geo")
        if len(last) < MIN_REGIONS:
            continue
        found.append(
            judge(
                f"published/order-{code}",
                float(last["est"].corr(last["value"], method="spearman")),
                "order_beside",
                en=f"{code}: rank correlation of {len(last)} regions with those published "
                f"({int(last['year'].iloc[0])})",
                fr=f"{code} : corrélation des rangs de {len(last)} régions avec ceux publiés "
                f"({int(last['year'].iloc[0])})",
                miss="warn",
            )
        )
    return found


# Fewer regions have no order to speak of.
MIN_REGIONS: Final = 8
