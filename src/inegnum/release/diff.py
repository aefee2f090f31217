"""What changed between two releases, how surely, and why.

The two releases are compared figure by figure from their joint draws. Their draws are taken as
independent given the data; when both rest on the same survey the shared part of the error cancels
in truth and not here, so the interval of a change is wide rather than narrow (said in the page).
Of regions and all of France, the levels above the commune are compared: the draws of communes are
not in the release. A change is told apart from Monte-Carlo noise, and its causes are read off the
manifests: data (an input's hash), model (a key of the study), software (a version), seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError
from inegnum.release.opened import is_wide, manifest_of
from inegnum.release.read import Release, read_release
from inegnum.release.read_wide import WideRelease, read_wide
from inegnum.release.text import Language

__all__ = ["COLUMNS", "Cause", "Difference", "compare_releases"]

Kind = Literal["data", "model", "software", "seed", "retraction"]
KEYS: Final = ["level", "geo", "indicator"]
COLUMNS: Final = (
    *("level", "geo", "name", "indicator", "status", "old_est", "new_est", "change"),
    *("lower", "upper", "p_change", "beyond_monte_carlo", "old_class", "new_class"),
)
# Sections of the study that are not the model: what is asked for, how it is shown, where it runs.
_PRESENTATION: Final = (
    *("name", "title_fr", "title_en", "languages", "seed", "retractions", "scale"),
    *("change", "families"),  # tables of their own: no rate moves with them
)
# Files the study names: they stand among the inputs, with their hashes, as data.
_FILES: Final = (
    *("frame.imports", "frame.events", "survey.local.file", "survey.local.codebook"),
    *("territory.geojson", "territory.geojson_code", "territory.geojson_year"),
    *("model.area.shapes", "model.area.shapes_code"),
)
# Pairs of quantiles a figure; fewer where figures are many (all of France: 5,000), which moves a
# bound of the interval by a hundredth of its width.
_GRID: Final = 1000
_COARSE: Final = 200
_FEW: Final = 2000
_Z: Final = 3.0  # three Monte-Carlo standard errors: a false alarm in 400 figures


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that differs between the two manifests."""

    kind: Kind
    what: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Two releases side by side.

    Attributes
    ----------
    table : DataFrame
        One row a figure of either release, columns `COLUMNS`. ``p_change`` is the probability that
        the rate moved in the direction shown; ``status`` is ``both``, ``new``, ``gone``,
        ``masked`` (shown in one release at most) or ``retracted`` (withdrawn in the new one).
    causes : tuple of Cause
        Empty when the releases are the same run.
    """

    table: pd.DataFrame
    causes: tuple[Cause, ...]

    @property
    def attribution(self) -> str:
        """Say which kinds of cause a change can come from: one kind, or several mixed."""
        kinds = sorted({cause.kind for cause in self.causes})
        return "none" if not kinds else "+".join(kinds)


def compare_releases(old: Path, new: Path, *, language: Language = "en") -> Difference:
    """Compare two release folders.

    Parameters
    ----------
    old, new : Path
    language : {"fr", "en"}
        Of the reasons of withdrawals.

    Raises
    ------
    ProvenanceError
        A folder is not a release, or was changed since it was written.
    InputError
        The releases are about different territories.
    """
    before, after = _opened(old), _opened(new)
    codes = [str(release.manifest["territory"]["code"]) for release in (before, after)]
    if codes[0] != codes[1]:
        raise InputError(
            "the releases are about different territories",
            got=" and ".join(codes),
            expected="two releases of one territory",
        )
    return Difference(_table(before, after), causes_of(before.manifest, after.manifest, language))


def _opened(path: Path) -> Release | WideRelease:
    return read_wide(path) if is_wide(manifest_of(path)) else read_release(path)


def _table(before: Release | WideRelease, after: Release | WideRelease) -> pd.DataFrame:
    kept = [*KEYS, "name", "est", "class", "reason"]
    merged = before.estimates[kept].merge(
        after.estimates[kept], on=KEYS, how="outer", suffixes=("_old", "_new"), indicator=True
    )
    merged["name"] = merged["name_new"].fillna(merged["name_old"])
    merged = merged.rename(
        columns={
            "est_old": "old_est",
            "est_new": "new_est",
            "class_old": "old_class",
            "class_new": "new_class",
        }
    )
    shown = merged["old_est"].notna() & merged["new_est"].notna()
    side = merged["_merge"].astype(str)
    merged["status"] = np.select(
        [
            merged["reason_new"] == "retracted",
            side == "left_only",
            side == "right_only",
            ~shown,
        ],
        ["retracted", "gone", "new", "masked"],
        "both",
    )
    merged["change"] = merged["new_est"] - merged["old_est"]
    for column in ("lower", "upper", "p_change"):
        merged[column] = np.nan
    merged["beyond_monte_carlo"] = pd.array([pd.NA] * len(merged), dtype="boolean")
    old_draws, new_draws = _by_figure(before), _by_figure(after)
    both = np.flatnonzero(merged["status"] == "both")
    grid = _GRID if len(both) <= _FEW else _COARSE
    for at in both:
        level, geo, indicator = merged.loc[at, KEYS]
        key = (str(level), str(geo), str(indicator))
        found = change_of(old_draws[key], new_draws[key], grid=grid)
        for column, value in found.items():
            merged.loc[at, column] = value
    return merged[list(COLUMNS)].sort_values(["indicator", "level", "geo"], ignore_index=True)


def _by_figure(
    release: Release | WideRelease,
) -> dict[tuple[str, str, str], npt.NDArray[np.float64]]:
    draws = release.draws()
    grouped = draws.groupby(KEYS, observed=True, sort=False)["value"]
    found = {}
    for (level, geo, indicator), values in grouped:
        found[str(level), str(geo), str(indicator)] = values.to_numpy()
    return found


def change_of(
    old: npt.NDArray[np.float64], new: npt.NDArray[np.float64], *, grid: int = 1000
) -> dict[str, float | bool]:
    """Return interval and probability of ``new - old`` from independent draws of each.

    All pairs of draws enter: the distribution of the difference is the convolution of the two,
    whose quantiles are read from its histogram of pairs on a thinned grid of `grid` by `grid`.
    """
    at = (np.arange(grid) + 0.5) / grid
    thin_old, thin_new = np.quantile(old, at), np.quantile(new, at)
    pairs = (thin_new[:, None] - thin_old[None, :]).ravel()
    lower, upper = np.quantile(pairs, [0.025, 0.975])
    up = float((pairs > 0).mean() + (pairs == 0).mean() / 2)
    noise = np.sqrt(old.var(ddof=1) / old.size + new.var(ddof=1) / new.size)
    return {
        "lower": float(lower),
        "upper": float(upper),
        "p_change": max(up, 1 - up),
        "beyond_monte_carlo": bool(abs(new.mean() - old.mean()) > _Z * noise),
    }


def causes_of(
    old: Mapping[str, Any], new: Mapping[str, Any], language: Language = "en"
) -> tuple[Cause, ...]:
    """Return what differs between two manifests, data first; reasons in one language."""
    causes = []
    old_inputs = {item["name"]: str(item["sha256"])[:12] for item in old["inputs"]}
    new_inputs = {item["name"]: str(item["sha256"])[:12] for item in new["inputs"]}
    causes += _differing("data", old_inputs, new_inputs)
    causes += _differing("model", _flat(old["study"]), _flat(new["study"]))
    versions = [{**m["versions"], "inegnum": m["inegnum"]} for m in (old, new)]
    causes += _differing("software", *versions)
    causes += _differing("seed", {"seed": old["seed"]}, {"seed": new["seed"]})
    causes += _differing("retraction", *(_withdrawn(m, language) for m in (old, new)))
    return tuple(causes)


def _differing(kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Cause]:
    return [
        Cause(kind, name, str(old.get(name, "absent")), str(new.get(name, "absent")))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _withdrawn(manifest: Mapping[str, Any], language: Language) -> dict[str, str]:
    """Return the day and reason of each withdrawal by indicator, area and level if it has one."""
    return {
        ", ".join(
            filter(None, (one["indicator"], one["geo"], one.get("level", "")))
        ): f"{one['date']}: {one[f'reason_{language}']}"
        for one in manifest.get("retractions", [])
    }


def _flat(study: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the study's keys as dotted names, those of presentation and of files left out."""
    flat: dict[str, Any] = {}
    for key, value in study.items():
        if not prefix and key in _PRESENTATION:
            continue
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif f"{prefix}{key}" not in _FILES:
            flat[f"{prefix}{key}"] = value
    return flat
