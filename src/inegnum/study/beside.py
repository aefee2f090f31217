"""What a release prints beside its figures, in words: variants, published figures, tau."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np
import pandas as pd

from inegnum.data import catalogue
from inegnum.estimators.spec import Tau
from inegnum.release.text import phrases
from inegnum.study.pipeline import Run

__all__ = ["labelled_variants", "own_urban_class", "published_beside", "tau_note"]

_COLUMNS: Final = ["indicator", "variant", "label_fr", "label_en", "est", "lower", "upper", "note"]
PUBLISHED: Final = "published_figures"


def labelled_variants(done: Run) -> pd.DataFrame:
    """Return every variant of the territory's rates, raking included, named in both languages."""
    code, _ = done.whole
    model = done.table("variants")
    raking = done.table("raking")
    raking = raking.assign(variant="raking " + raking["respondents"], note="")
    parts = [raking]
    if len(model):
        whole = (model["geo"] == code) | model["geo"].isna()
        parts.insert(0, model[whole & (model["variant"] != "default")])
    table = pd.concat(parts, ignore_index=True)
    # Rows of an indicator together, in the study's order.
    order = {name: i for i, name in enumerate(done.indicators)}
    table = table.sort_values("indicator", key=lambda s: s.map(order), kind="stable")
    for language in ("fr", "en"):
        table[f"label_{language}"] = [_label(name, language) for name in table["variant"]]
    table["variant"] = [_slug(name) for name in table["variant"]]
    table["note"] = table["note"].fillna("")
    return table[_COLUMNS].reset_index(drop=True)


def own_urban_class(done: Run) -> pd.DataFrame:
    """Return both treatments of the communes whose own urban class is not the territory's.

    Columns ``indicator, geo, name, urban, urban_own``, then the estimate and interval with the
    territory's class (``est, lower, upper``) and with the commune's own (``own_*``). Rows masked in
    the estimates stay masked here.
    """
    shown = done.estimates.table.set_index(["indicator", "geo"])
    frames = done.frames
    rows = []
    model = done.table("variants")
    if len(model) and frames.own_urban is not None:
        urban = frames.territory.areas.set_index("geo")["urban"]
        urban_own = frames.own_urban.areas.set_index("geo")["urban"]
        kept = model[(model["variant"] == "own urban class") & (model["level"] == "commune")]
        for row in kept.to_dict("records"):
            published = shown.loc[(row["indicator"], row["geo"])]
            masked = published["class"] == "D"
            bounds = ("est", "lower", "upper")
            rows.append(
                {
                    "indicator": row["indicator"],
                    "geo": row["geo"],
                    "name": published["name"],
                    "urban": urban[row["geo"]],
                    "urban_own": urban_own[row["geo"]],
                    **{key: published[key] for key in bounds},
                    **{f"own_{key}": np.nan if masked else row[key] for key in bounds},
                }
            )
    columns = ["indicator", "geo", "name", "urban", "urban_own", "est", "lower", "upper"]
    return pd.DataFrame(rows, columns=[*columns, "own_est", "own_lower", "own_upper"])


def _slug(name: str) -> str:
    return name.replace(" x ", "_x").replace(".", "_").replace(" ", "_")


def _label(name: str, language: str) -> str:
    words = phrases(language)
    head, _, rest = name.partition(" ")
    if head == "wave":
        return words["variant.wave_only"].format(wave=rest.removesuffix(" only"))
    return words[f"variant.{_slug(name)}"]


def published_beside(code: str, indicators: Collection[str]) -> list[dict[str, Any]]:
    """Return figures of the territory published elsewhere: read beside, never fitted."""
    table, _ = catalogue.table(PUBLISHED)
    rows = table[(table["geo"] == code) & table["counterpart"].isin(list(indicators))]
    return [
        {
            "indicator": row["counterpart"],
            "territory": row["territory"],
            "value": row["value"],
            "year": int(row["year"]),
            "mode": row["mode"],
            "universe": row["universe"],
            "n": row["n"],
            "source_title": row["source"],
            "address": row["address"],
            "comparable": row["comparable"] != "no",
            "known_difference_fr": row["known_difference_fr"],
            "known_difference_en": row["known_difference_en"],
        }
        for row in rows.to_dict("records")
    ]


def tau_note(tau: Tau) -> dict[str, Any]:
    """Return the prior of the area deviations in words, with its median and 95 % bounds.

    Nobody of the territory was interviewed, so nothing moves this prior: what is printed is the
    prior itself, its origin, and the total deviation of a commune.
    """
    total = float(np.hypot(tau.metro, tau.commune)) * tau.factor
    spread = np.exp(1.96 * tau.log_sd)
    values = {
        "metro": tau.metro * tau.factor,
        "commune": tau.commune * tau.factor,
        "total": total,
    }
    return {
        "prior_fr": phrases("fr")["variant.tau_prior"].format(**_written(values, "fr")),
        "prior_en": phrases("en")["variant.tau_prior"].format(**_written(values, "en")),
        "origin": tau.origin,
        "posterior_median": total,
        "lower": total / float(spread),
        "upper": total * float(spread),
    }


def _written(values: dict[str, float], language: str) -> dict[str, str]:
    words = phrases(language)
    return {name: words.decimal(value) for name, value in values.items()}
