"""Read a release folder, and nothing else: the only way into pages and exports.

The folder is what ``inegnum run`` writes. Every file that is read must be listed in the manifest
with the hash of the bytes found; every table must hold the columns of its contract; a masked row
(class D) must hold no estimate. Anything else is refused with the file, the column and the row.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import pandas as pd

from inegnum.errors import ProvenanceError, PublicationError, nearest
from inegnum.estimates.change import CHANGE_COLUMNS, CHANGE_MASKED
from inegnum.estimates.families import FAMILY_COLUMNS, FAMILY_MASKED
from inegnum.estimates.merge import MERGED_COLUMNS
from inegnum.estimates.profiles import COLUMNS as GROUP_COLUMNS
from inegnum.estimates.profiles import MASKED as GROUP_MASKED
from inegnum.release.opened import checked, is_wide, manifest_of

__all__ = ["COLUMNS", "IndicatorNote", "Release", "Territory", "read_release"]

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "estimates.csv": (
        *("geo", "level", "name", "indicator", "universe", "year", "est", "lower", "upper", "prob"),
        *("se", "class", "basis", "method", "tier", "n", "N", "people", "people_lower"),
        *("people_upper", "gap_france", "gap_lower", "gap_upper", "p_above_metropolis", "reason"),
    ),
    "decomposition.csv": ("indicator", "step", "est", "delta", "lower", "upper"),
    "variants.csv": ("indicator", "variant", "label_fr", "label_en", "est", "lower", "upper"),
    "frame_margins.csv": ("geo", "margin", "level", "target", "achieved", "source", "year"),
}
# What an earlier release, or one without shapes, may lack.
OPTIONAL: Final[dict[str, tuple[str, ...]]] = {
    "profiles.csv": GROUP_COLUMNS,
    "merged.csv": MERGED_COLUMNS,
    "change.csv": CHANGE_COLUMNS,
    "families.csv": FAMILY_COLUMNS,
}
SHAPES: Final = "estimates.geojson"
MASKED: Final = (
    *("est", "lower", "upper", "se", "people", "people_lower", "people_upper"),
    *("gap_france", "gap_lower", "gap_upper"),
)
CODES: Final = {
    "level": ("france", "epci", "commune", "iris"),
    "class": ("A", "B", "C", "D"),
    "basis": ("direct", "model", "synthetic", "composite"),
}
MANIFEST: Final = (
    *("inegnum", "study", "seed", "engine", "inputs", "versions", "territory", "indicators"),
    *("variants", "reference", "verdicts", "tau", "outputs"),
)
TEXT: Final = ("geo", "source", "margin", "group", "year", "members", "reference")
_EMPTY: Final = (*MASKED, *GROUP_MASKED, *CHANGE_MASKED, *FAMILY_MASKED)


@dataclass(frozen=True, slots=True)
class Territory:
    """The whole a release is about."""

    code: str
    name: str
    level: str
    n_areas: int


@dataclass(frozen=True, slots=True)
class IndicatorNote:
    """What must be known to read the rates of an indicator, in both languages."""

    code: str
    family: str
    label_fr: str
    label_en: str
    wording: str
    universe: str
    denominator_fr: str
    denominator_en: str
    direction: int

    def label(self, language: str) -> str:
        """Return the short label."""
        return self.label_fr if language == "fr" else self.label_en

    def denominator(self, language: str) -> str:
        """Say who is counted in the denominator."""
        return self.denominator_fr if language == "fr" else self.denominator_en


@dataclass(frozen=True, slots=True)
class Release:
    """A release folder, checked.

    Attributes
    ----------
    path : Path
        The folder.
    estimates, decomposition, variants, frame_margins : DataFrame
        Tables, with the columns of `COLUMNS`; codes are text.
    profiles : DataFrame
        Rates by group of residents; no row when the release has none.
    merged : DataFrame
        Masked areas of a level taken together; no row when the release has none.
    change, families : DataFrame
        Since an earlier year; indicators of a family together. No row when the study asks for none.
    geometry : dict or None
        GeoJSON feature collection of the areas; None when the release has no shapes.
    manifest : dict
        As written.
    territory : Territory
        The whole.
    indicators : dict
        Indicator code to its note, in the manifest's order.
    """

    path: Path
    estimates: pd.DataFrame
    decomposition: pd.DataFrame
    variants: pd.DataFrame
    frame_margins: pd.DataFrame
    profiles: pd.DataFrame
    merged: pd.DataFrame
    change: pd.DataFrame
    families: pd.DataFrame
    geometry: dict[str, Any] | None
    manifest: Mapping[str, Any]
    territory: Territory
    indicators: dict[str, IndicatorNote]

    @property
    def prob(self) -> float:
        """Mass of the intervals."""
        return float(self.estimates["prob"].iloc[0])

    @property
    def simulated(self) -> bool:
        """Whether the manifest says the figures are simulated."""
        return bool(self.manifest["study"].get("simulated", False))

    def at(self, level: str, indicator: str) -> pd.DataFrame:
        """Return the rows of one level and one indicator, in alphabetical order of names."""
        table = self.estimates
        rows = table[(table["level"] == level) & (table["indicator"] == indicator)]
        return rows.sort_values("name", key=lambda s: s.map(sort_key)).reset_index(drop=True)

    def whole(self, indicator: str) -> pd.Series[Any]:
        """Return the row of the territory itself."""
        table = self.estimates
        rows = table[(table["geo"] == self.territory.code) & (table["indicator"] == indicator)]
        if len(rows) != 1:
            raise ProvenanceError(
                "the territory has no single row for an indicator",
                where=f"estimates.csv, {self.territory.code}, {indicator}",
                got=f"{len(rows)} rows",
                expected="1 row",
            )
        return rows.iloc[0]

    def draws(self) -> pd.DataFrame:
        """Read the joint draws: ``level, geo, indicator, draw, value``."""
        raw = checked(self.path, "draws.parquet", self.manifest["outputs"])
        return pd.read_parquet(io.BytesIO(raw))


def sort_key(name: object) -> str:
    """Return the alphabetical key of a French name: no accents, no case."""
    import unicodedata

    flat = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode()
    return flat.lower().replace("-", " ").replace("'", " ")


def read_release(path: Path) -> Release:
    """Read and check a release folder.

    Parameters
    ----------
    path : Path
        Folder written by ``inegnum run``.

    Raises
    ------
    ProvenanceError
        A file is missing, not listed in the manifest, changed since, or not of its contract.
    PublicationError
        A masked row still holds a figure, or bounds do not enclose their estimate.
    """
    manifest = _manifest(path)
    outputs = manifest["outputs"]
    tables = {name: _table(path, name, outputs) for name in COLUMNS}
    tables |= {
        name: _table(path, name, outputs) if name in outputs else pd.DataFrame(columns=columns)
        for name, columns in OPTIONAL.items()
    }
    estimates = tables["estimates.csv"]
    indicators = {
        code: _note(code, entry, path / "manifest.json")
        for code, entry in manifest["indicators"].items()
    }
    _check_codes(estimates, indicators)
    _check_values(estimates)
    _check_masked(tables["profiles.csv"], GROUP_MASKED, "profiles.csv")
    _check_masked(tables["merged.csv"], MASKED, "merged.csv")
    _check_masked(tables["change.csv"], CHANGE_MASKED, "change.csv")
    _check_masked(tables["families.csv"], FAMILY_MASKED, "families.csv")
    geometry = json.loads(checked(path, SHAPES, outputs)) if SHAPES in outputs else None
    territory = _record(Territory, manifest["territory"], "territory", path / "manifest.json")
    return Release(
        path=path,
        estimates=estimates,
        decomposition=tables["decomposition.csv"],
        variants=tables["variants.csv"],
        frame_margins=tables["frame_margins.csv"],
        profiles=tables["profiles.csv"],
        merged=tables["merged.csv"],
        change=tables["change.csv"],
        families=tables["families.csv"],
        geometry=geometry,
        manifest=manifest,
        territory=territory,
        indicators=indicators,
    )


def _manifest(path: Path) -> dict[str, Any]:
    manifest = manifest_of(path)
    if is_wide(manifest):
        raise PublicationError(
            "regions and all of France have a page of their own",
            where=str(path),
            got="a release of communes by department",
            expected="the release of one territory",
            hint="read report.html there (`inegnum report` writes it again, `inegnum diff` "
            "compares the tables of two); for a site, run a study of the territory that is wanted",
        )
    missing = [key for key in MANIFEST if key not in manifest]
    if missing:
        raise ProvenanceError(
            "the manifest lacks entries",
            where=str(path / "manifest.json"),
            got=", ".join(manifest),
            expected=", ".join(missing),
            hint="the release was written by another version: run `inegnum run` again",
        )
    return manifest


def _table(path: Path, name: str, outputs: Mapping[str, str]) -> pd.DataFrame:
    raw = checked(path, name, outputs)
    wanted = {**COLUMNS, **OPTIONAL}[name]
    # Empty reason is the empty string; elsewhere an empty field is a missing number.
    text: dict[str, type[str]] = {column: str for column in TEXT if column in wanted}
    table = pd.read_csv(
        io.BytesIO(raw),
        dtype=text,
        keep_default_na=False,
        na_values={c: [""] for c in _EMPTY},
    )
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        raise ProvenanceError(
            "a table of the release lacks columns",
            where=str(path / name),
            got=", ".join(table.columns),
            expected=", ".join(missing),
        )
    if name == "estimates.csv":
        for column in ("p_above_metropolis", "n", "N", "prob", *MASKED):
            table[column] = pd.to_numeric(table[column])
    return table


def _record[T](kind: type[T], entry: Mapping[str, Any], what: str, where: Path) -> T:
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    missing = [name for name in names if name not in entry]
    if missing:
        raise ProvenanceError(
            f"the manifest's {what} lacks entries",
            where=str(where),
            got=", ".join(entry),
            expected=", ".join(missing),
        )
    return kind(**{name: entry[name] for name in names})


def _note(code: str, entry: Mapping[str, Any], where: Path) -> IndicatorNote:
    return _record(IndicatorNote, {"code": code, **entry}, f"indicator {code}", where)


def _refuse_unknown(found: Iterable[object], allowed: Iterable[str], where: str) -> None:
    known = list(allowed)
    for value in found:
        if value not in known:
            raise ProvenanceError(
                "a table of the release holds an unknown code",
                where=where,
                got=str(value),
                expected=", ".join(known),
                hint=nearest(str(value), known),
            )


def _check_codes(estimates: pd.DataFrame, indicators: Mapping[str, IndicatorNote]) -> None:
    for column, allowed in CODES.items():
        _refuse_unknown(estimates[column].unique(), allowed, f"estimates.csv, {column}")
    _refuse_unknown(estimates["indicator"].unique(), indicators, "estimates.csv, indicator")
    twice = estimates.duplicated(["geo", "level", "indicator"])
    if twice.any():
        row = estimates[twice].iloc[0]
        raise ProvenanceError(
            "an area stands twice for one indicator",
            where=f"estimates.csv, {row['geo']}, {row['indicator']}",
        )


def _check_masked(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> None:
    masked = table[table["class"] == "D"]
    leaking = masked[list(columns)].notna().any(axis=1)
    if leaking.any():
        row = masked[leaking].iloc[0]
        what = row.get("indicator", row.get("family"))
        raise PublicationError(
            "a masked row still holds a figure",
            where=f"{where}, {row['geo']} {row.get('name', '')}, {what}",
            expected=f"empty {', '.join(columns)}",
            hint="class D is masked when the release is written",
        )


def _check_values(estimates: pd.DataFrame) -> None:
    _check_masked(estimates, MASKED, "estimates.csv")
    shown = estimates[estimates["class"] != "D"]
    inside = (
        (shown["lower"] >= 0)
        & (shown["lower"] <= shown["est"])
        & (shown["est"] <= shown["upper"])
        & (shown["upper"] <= 1)
    )
    if not inside.all():
        row = shown[~inside].iloc[0]
        raise PublicationError(
            "an estimate does not stand inside its interval",
            where=f"estimates.csv, {row['geo']} {row['name']}, {row['indicator']}",
            got=f"{row['lower']} <= {row['est']} <= {row['upper']}",
            expected="0 <= lower <= est <= upper <= 1",
            hint="rates are proportions; a row without figures is of class D",
        )
