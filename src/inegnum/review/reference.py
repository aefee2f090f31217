"""Rung 5: figures of a release beside figures published elsewhere.

Every published figure about a territory and an indicator of the release is either judged, read
beside, or refused, and says why. It is judged when its record calls it comparable, its year is
within one of the release's and its territory is the same; the gap is divided by the joint standard
error of both figures (rounding included). Partly comparable figures are shown with their known
difference and never judged; figures of another question are refused.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from inegnum.data import catalogue
from inegnum.provenance import require_role
from inegnum.review.release_files import estimates_of
from inegnum.review.rung import Rung
from inegnum.review.thresholds import judge
from inegnum.review.verdict import Verdict

__all__ = ["beside", "reference_rung"]

TABLE: Final = "published_figures"
# Published rates are printed in whole points: half a point either way, uniformly.
_ROUNDING: Final = 0.005 / np.sqrt(3)
# Design effect of a quota survey whose own is not published.
_DEFF: Final = 1.5


def _published_se(value: float, n: str) -> float:
    """Return the standard error of a published rate: sampling if its size is known, rounding."""
    digits = re.search(r"\d+", n.replace(" ", "").replace(",", ""))
    sampling = _DEFF * value * (1 - value) / int(digits.group()) if digits else 0.0
    return float(np.sqrt(sampling + _ROUNDING**2))


def beside(estimates: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Set each published figure beside the estimate of its territory and indicator.

    Parameters
    ----------
    estimates : DataFrame
        Table of a release.
    published : DataFrame
        Columns of the reference table ``published_figures``.

    Returns
    -------
    DataFrame
        One row a published rate of a territory of the release: ``geo, territory, indicator,
        counterpart, year, value, est, se, gap, z, reading`` (``judged``, ``beside`` or
        ``refused``), ``why_en, why_fr``. ``z`` is missing unless judged.
    """
    rows = []
    rates = published[published["unit"] == "rate"]
    areas = estimates[estimates["level"].isin(["france", "epci", "region"])]
    for figure in rates.to_dict("records"):
        # FRM is metropolitan France here and Corsica in NUTS: the level tells them apart.
        country = figure["level"] == "country"
        here = areas[areas["level"] == "france"] if country else _of(areas, figure)
        if here.empty:
            continue
        own = here[here["indicator"] == figure["counterpart"]]
        row = {k: figure[k] for k in ("geo", "territory", "indicator", "counterpart", "year")}
        row |= {"value": figure["value"], "est": np.nan, "se": np.nan, "z": np.nan}
        why = (figure["known_difference_en"], figure["known_difference_fr"])
        if figure["comparable"] == "no":
            rows.append(row | _reading("refused", *why))
            continue
        if own.empty or own["est"].isna().all():
            rows.append(row | _reading("refused", *_ABSENT))
            continue
        est, se, year = (float(own[c].iloc[0]) for c in ("est", "se", "year"))
        row |= {"est": est, "se": se}
        if figure["comparable"] == "partly":
            rows.append(row | _reading("beside", *why))
        elif abs(int(figure["year"]) - year) > 1:
            rows.append(row | _reading("beside", *_YEARS))
        else:
            spread = np.hypot(se, _published_se(float(figure["value"]), str(figure["n"])))
            row["z"] = abs(est - float(figure["value"])) / spread
            rows.append(row | _reading("judged", *why))
    columns = ["geo", "territory", "indicator", "counterpart", "year", "value", "est", "se"]
    table = pd.DataFrame(rows, columns=[*columns, "z", "reading", "why_en", "why_fr"])
    return table.assign(gap=table["est"] - table["value"])


def _of(areas: pd.DataFrame, figure: dict[Hashable, Any]) -> pd.DataFrame:
    """Return the rows of the figure's own territory."""
    own: pd.DataFrame = areas[(areas["geo"] == figure["geo"]) & (areas["level"] == figure["level"])]
    return own


_ABSENT: Final = (
    "The release does not estimate its counterpart there.",
    "La publication n'estime pas son équivalent sur ce territoire.",
)
_YEARS: Final = (
    "More than one year apart: read beside, not judged.",
    "Plus d'un an d'écart : à lire à côté, non jugé.",
)


def _reading(reading: str, why_en: str, why_fr: str) -> dict[str, str]:
    return {"reading": reading, "why_en": why_en, "why_fr": why_fr}


def _percent_fr(rate: float) -> str:
    return f"{100 * rate:.1f} %".replace(".", ",")


def reference_rung(release: Path) -> Rung:
    """Climb rung 5 on the figures of a release."""
    published, source = catalogue.table(TABLE)
    require_role([source], "validate", where="reference figures")
    table = beside(estimates_of(release), published)
    judged = table[table["reading"] == "judged"]
    verdicts = [
        judge(
            f"reference/{row['counterpart']}/{row['geo']}/{row['year']}",
            float(row["z"]),
            "reference_gap",
            en=f"{row['territory']}, {row['counterpart']}: {row['est']:.1%} here, "
            f"{row['value']:.1%} published ({row['year']}); gap in joint standard errors",
            fr=f"{row['territory']}, {row['counterpart']} : {_percent_fr(row['est'])} ici, "
            f"{_percent_fr(row['value'])} publié ({row['year']}) ; écart en erreurs-types "
            "conjointes",
            miss="warn",
        )
        for row in judged.to_dict("records")
    ]
    counts = table["reading"].value_counts()
    refused, near = int(counts.get("refused", 0)), int(counts.get("beside", 0))
    if not len(judged):
        verdicts.append(
            Verdict(
                "reference/none",
                "warn",
                0.0,
                1.0,
                "No published figure can judge this release.",
                "Aucun chiffre publié ne peut juger cette publication.",
            )
        )
    return Rung(
        5,
        "reference-figures",
        "Published figures: do the estimates agree with those that measure the same thing?",
        "Chiffres publiés : les estimations s'accordent-elles avec ceux qui mesurent la même "
        "chose ?",
        tuple(verdicts),
        {"reference": table},
        notes_en=(
            f"{len(judged)} figures judged, {near} read beside, {refused} refused; each says why.",
            "A gap is a reason to look, not proof of error on either side: it warns.",
        ),
        notes_fr=(
            f"{len(judged)} chiffres jugés, {near} à lire à côté, {refused} refusés ; chacun dit "
            "pourquoi.",
            "Un écart invite à chercher, il ne prouve d'erreur d'aucun côté : il avertit.",
        ),
        inputs={TABLE: source.sha256},
    )
