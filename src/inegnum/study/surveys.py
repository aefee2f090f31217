"""The survey section of a study: a survey of the territory joined to the national one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from inegnum.data.own_survey import read_own_survey
from inegnum.errors import InputError, StudyError
from inegnum.estimates.local import FEWEST_SHOWN, Local, direct_rates
from inegnum.estimates.table import Estimates
from inegnum.provenance import Source, sha256_file

__all__ = [
    "FLOOR",
    "LocalChoice",
    "Surveys",
    "codebook_source",
    "local_figures",
    "local_mapping",
    "local_tables",
    "read_local",
]

# Statistical disclosure: fewer respondents of a level are not counted aloud.
FLOOR = 11


@dataclass(frozen=True, slots=True)
class LocalChoice:
    """The territory's own survey, joined to the national model.

    Attributes
    ----------
    file, codebook : str
        CSV of respondents and TOML that says what its columns are (`data.own_codebook`), beside the
        study.
    offset_mean, offset_sd : float
        Logit difference with the national survey (mode, year, wording): mean and sd of its prior.
    """

    file: str
    codebook: str
    offset_mean: float = 0.0
    offset_sd: float = 0.15

    def __post_init__(self) -> None:
        if self.offset_sd < 0:
            raise StudyError(
                "an sd is not negative", where="survey.local.offset_sd", got=self.offset_sd
            )


@dataclass(frozen=True, slots=True)
class Surveys:
    """What is joined to the national survey: nothing, or a survey of the territory."""

    local: LocalChoice | None = None


def read_local(choice: LocalChoice, indicators: Sequence[str]) -> Local:
    """Read the survey a study names.

    Raises
    ------
    InputError
        The survey has no place, does not say of which year its communes are, or measures none of
        the study's indicators.
    """
    survey = read_own_survey(Path(choice.file), Path(choice.codebook))
    # Named as the study names it: that is how its hash is looked for again.
    source = replace(survey.source, name=Path(choice.file).name)
    if (survey.table["geo"] == "").all():
        raise InputError(
            "the survey has no places",
            where=choice.codebook,
            expected="geo = the column of commune codes",
            hint="without places it says nothing of where its respondents live",
        )
    if not source.geo_vintage:
        raise InputError(
            "the survey does not say which communes its codes are",
            where=f"{choice.codebook}, source",
            expected='geo_vintage = "COG 2025", the year of the official geographic code',
        )
    known = set(survey.table["indicator"])
    if not known & set(indicators):
        raise InputError(
            "the survey measures none of the study's indicators",
            where=choice.codebook,
            got=", ".join(sorted(known)),
            expected=", ".join(indicators),
        )
    return Local(replace(survey, source=source), choice.offset_mean, choice.offset_sd)


def codebook_source(choice: LocalChoice) -> Source:
    """Return the codebook as a source, with its hash."""
    return Source(
        name=Path(choice.codebook).name,
        producer="given with the study",
        title="codebook of the local survey",
        universe="levels",
        vintage="",
        unit="levels",
        licence="",
        sha256=sha256_file(Path(choice.codebook)),
        role="fit",
    )


def local_tables(local: Local, estimates: Estimates) -> dict[str, pd.DataFrame]:
    """Return what a release says of the survey: levels and what they became, rates side by side."""
    return {"local_mapping": local_mapping(local), "local_survey": local_figures(local, estimates)}


def local_mapping(local: Local) -> pd.DataFrame:
    """Return every level of the survey and what it became; counts under `FLOOR` are not told."""
    mapping = local.survey.mapping.copy()
    mapping["n"] = mapping["n"].astype("float64").where(mapping["n"] >= FLOOR).astype("Int64")
    return mapping


def local_figures(local: Local, estimates: Estimates) -> pd.DataFrame:
    """Return the survey's own rates beside the joint figures.

    Columns ``indicator, geo, name, n, direct, est, lower, upper, share_local``; a direct rate of
    fewer than `FEWEST_SHOWN` respondents is not shown, a joint figure of class D neither.
    """
    table = estimates.table
    parts = []
    for code in table["indicator"].unique():
        if not local.has(str(code)):
            continue
        direct = direct_rates(local, str(code)).set_index("geo")
        rows = table[(table["indicator"] == code) & table["geo"].isin(direct.index)]
        n = direct["n"].reindex(rows["geo"]).to_numpy(dtype=np.int64)
        rate = direct["rate"].reindex(rows["geo"]).to_numpy(dtype=np.float64)
        kept = rows[["indicator", "geo", "name", "est", "lower", "upper", "share_local"]]
        parts.append(kept.assign(n=n, direct=np.where(n >= FEWEST_SHOWN, rate, np.nan)))
    names = ["indicator", "geo", "name", "n", "direct", "est", "lower", "upper", "share_local"]
    return pd.DataFrame(pd.concat(parts, ignore_index=True)[names])
