"""Open data of a release: the same figures in the forms people reuse, and their description.

CSV, Parquet and GeoJSON are the release's own files, byte for byte; ODS is the same table for
spreadsheets; ``melodi.csv`` has the columns of INSEE's Melodi (one observation a row, its status
and its confidentiality beside it); ``datapackage.json`` describes every table (Data Package v1).
Masked figures (class D) are empty everywhere, with status ``C``.
"""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pandas as pd

from inegnum.errors import MissingDependencyError
from inegnum.provenance import sha256_file
from inegnum.release.read import OPTIONAL, SHAPES, Release

__all__ = ["FIELDS", "GROUP_FIELDS", "MEANINGS", "write_downloads"]

COPIED: Final = ("estimates.csv", "estimates.parquet", "manifest.json")
TABLES: Final = ("decomposition.csv", "variants.csv", "frame_margins.csv")
NUMBERS: Final = (
    *("est", "lower", "upper", "prob", "se", "n", "N", "people", "people_lower", "people_upper"),
    *("gap_france", "gap_lower", "gap_upper", "p_above_metropolis", "delta", "target", "achieved"),
    *("without", "without_lower", "without_upper", "p_above_area"),
    *("before", "after", "change", "p_up", "indicators", "gap", "p_less_favoured"),
    *("less", "less_lower", "less_upper", "p_less_all", "p_less_none"),
)
# What each column of estimates.csv holds; also the data dictionary of the documentation.
FIELDS: Final[dict[str, str]] = {
    "geo": "Code of the area (INSEE commune code, SIREN of the intercommunality, FR), text",
    "level": "Geographic level: france, epci, commune or iris",
    "name": "Name of the area",
    "indicator": "Code of the indicator; its wording and denominator are in manifest.json",
    "universe": "Who the rate is about: 12+, 15+ or 18+",
    "year": "Year the rate refers to",
    "est": "Estimated rate, a proportion; empty when masked (class D)",
    "lower": "Lower bound of the interval",
    "upper": "Upper bound of the interval",
    "prob": "Mass of the interval",
    "se": "Standard error of the rate",
    "class": "Reliability, A (precise) to D (masked)",
    "basis": "What the figure rests on: direct, model, synthetic or composite",
    "method": "Method",
    "tier": "Tier of evidence (T1 microdata to T4 with local data)",
    "n": "Respondents of the area in the evidence",
    "N": "Persons of the universe in the area",
    "people": "Persons with the characteristic: est times N",
    "people_lower": "Lower bound of people",
    "people_upper": "Upper bound of people",
    "gap_france": "Rate minus the rate of France",
    "gap_lower": "Lower bound of the gap",
    "gap_upper": "Upper bound of the gap",
    "p_above_metropolis": "Probability of being above the whole territory; kept when masked",
    "reason": "Why the figure is masked: width, few_persons or retracted",
}

# Columns of profiles.csv that mean something else there.
GROUP_FIELDS: Final[dict[str, str]] = {
    "margin": "Axis of the groups: age, diploma (adults who left school) or occupation",
    "group": "Group of residents, a level of the axis",
    "est": "Modelled rate within the group, a proportion; empty when masked (class D)",
    "n": "Respondents of the group in the national survey: none was interviewed in the area",
    "N": "Persons of the group in the area",
    "people": "Persons of the group with the characteristic",
    "without": "Persons of the group without the characteristic",
    "without_lower": "Lower bound of without",
    "without_upper": "Upper bound of without",
    "p_above_area": "Probability that the group's rate is above that of the area; kept when masked",
    "reason": "Why the figure is masked: width, few_persons, few_respondents or area_masked",
}

# Columns of change.csv and families.csv, and what means something else there.
CHANGE_FIELDS: Final[dict[str, str]] = {
    "since": "Earlier wave",
    "year": "Later wave, that of the estimates",
    "before": "Rate of the earlier wave, a proportion; empty when masked (class D)",
    "after": "Rate of the later wave: est of the estimates",
    "change": "Difference of the two, a proportion",
    "lower": "Lower bound of the difference",
    "upper": "Upper bound of the difference",
    "p_up": "Probability that the rate rose; kept when masked",
    "class": "Reliability: the worst of both rates and of the difference",
    "comparable": "False across a break of mode or wording: the difference is then no change",
    "warning_en": "What broke, in English",
    "warning_fr": "What broke, in French",
}
FAMILY_FIELDS: Final[dict[str, str]] = {
    "family": "Family of indicators: uses, ease, equipment or connection",
    "indicators": "How many indicators",
    "members": "Their codes",
    "universe": "Who the rates are about",
    "gap": "Mean over the indicators of the gap to the rate of France, positive towards digital",
    "lower": "Lower bound of the mean gap",
    "upper": "Upper bound of the mean gap",
    "class": "Reliability of the mean gap, by its half-width",
    "reference": "Code of what the area is compared with: the territory, or FR for the territory",
    "p_less_favoured": "Probability that the mean gap is below that of the reference",
    "less": "Expected number of indicators on which the area is less favoured than the reference",
    "less_lower": "Lower bound of that number",
    "less_upper": "Upper bound of that number",
    "p_less_all": "Probability of all of them",
    "p_less_none": "Probability of none",
}
MEANINGS: Final = {
    "profiles.csv": FIELDS | GROUP_FIELDS,
    "change.csv": FIELDS | CHANGE_FIELDS,
    "families.csv": FIELDS | FAMILY_FIELDS,
}
_KEYS: Final = {
    "estimates.csv": ["level", "geo", "indicator"],
    "profiles.csv": ["level", "geo", "indicator", "margin", "group"],
    "change.csv": ["level", "geo", "indicator"],
    "families.csv": ["level", "geo", "family"],
}


def write_downloads(release: Release, folder: Path) -> list[str]:
    """Write every download and return the file names, in the order they are shown.

    Raises
    ------
    MissingDependencyError
        The writer of ODS files is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = [*TABLES, *(name for name in OPTIONAL if name in release.manifest["outputs"])]
    shapes = [SHAPES] if release.geometry is not None else []
    for name in (*COPIED, *shapes, *tables):
        shutil.copyfile(release.path / name, folder / name)
    _write_ods(release.estimates, folder / "estimates.ods")
    melodi(release).to_csv(folder / "melodi.csv", index=False, sep=";")
    names = ["estimates.csv", "melodi.csv", *tables]
    package = data_package(release, {name: folder / name for name in names})
    text = json.dumps(package, ensure_ascii=False, indent=1) + "\n"
    (folder / "datapackage.json").write_text(text, "utf-8")
    return [
        *("estimates.csv", "estimates.ods", "estimates.parquet", *shapes),
        *("melodi.csv", *tables, "manifest.json", "datapackage.json"),
    ]


def _write_ods(table: pd.DataFrame, path: Path) -> None:
    try:
        find_spec("odf.opendocument")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "OpenDocument tables need an optional package",
            got="odfpy is not installed",
            expected="odfpy",
            hint="install inegnum[report]",
        ) from error
    # The extension chooses the OpenDocument writer.
    table.to_excel(path, index=False, sheet_name="estimates")


def melodi(release: Release) -> pd.DataFrame:
    """Return the figures in the columns of INSEE's Melodi.

    Every measure of a figure is a row; rates are in percent (``UNIT_MEASURE`` PT) and counts in
    persons (PERS). ``OBS_STATUS`` is E for an estimate; ``CONF_STATUS`` is F (free) or C (masked).
    """
    measures = (
        ("RATE", "est", "PT", 100.0),
        ("RATE_LOWER", "lower", "PT", 100.0),
        ("RATE_UPPER", "upper", "PT", 100.0),
        ("PERSONS", "people", "PERS", 1.0),
    )
    objects = {"france": "FRANCE", "epci": "EPCI", "commune": "COM", "iris": "IRIS"}
    rows = release.estimates
    parts = [
        pd.DataFrame(
            {
                "GEO": rows["geo"],
                "GEO_OBJECT": rows["level"].map(objects),
                "INEGNUM_INDICATOR": rows["indicator"].str.upper(),
                "AGE": rows["universe"].map({"12+": "Y_GE12", "15+": "Y_GE15", "18+": "Y_GE18"}),
                "INEGNUM_MEASURE": name,
                "TIME_PERIOD": rows["year"],
                "FREQ": "A",
                "UNIT_MEASURE": unit,
                "OBS_VALUE": (rows[column] * factor).round(1 if unit == "PT" else 0),
                "OBS_STATUS": "E",
                "CONF_STATUS": rows["class"].eq("D").map({True: "C", False: "F"}),
                "RELIABILITY": rows["class"],
            }
        )
        for name, column, unit, factor in measures
    ]
    return pd.concat(parts, ignore_index=True)


def data_package(release: Release, files: dict[str, Path]) -> dict[str, Any]:
    """Return the Data Package description of the tables."""
    licences = sorted({str(entry["licence"]) for entry in release.manifest["inputs"]})
    return {
        "name": f"inegnum-{release.territory.code.lower()}",
        "profile": "tabular-data-package",
        "title": f"Inégalités numériques, {release.territory.name} (estimations modélisées)",
        "version": str(release.manifest["inegnum"]),
        "licenses": [{"name": licence, "title": licence} for licence in licences],
        "sources": [
            {"title": f"{entry['producer']}, {entry['title']} ({entry['vintage']})"}
            | ({"path": entry["address"]} if entry["address"] else {})
            for entry in release.manifest["inputs"]
        ],
        "resources": [_resource(name, path) for name, path in files.items()],
    }


def _resource(name: str, path: Path) -> dict[str, Any]:
    delimiter = ";" if name == "melodi.csv" else ","
    head = pd.read_csv(path, sep=delimiter, nrows=0).columns
    schema: dict[str, Any] = {
        "fields": [_field(column, name) for column in head],
        "missingValues": [""],
    }
    if name in _KEYS:
        schema["primaryKey"] = _KEYS[name]
    return {
        "name": name.removesuffix(".csv"),
        "path": name,
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": path.stat().st_size,
        "hash": f"sha256:{sha256_file(path)}",
        "dialect": {"delimiter": delimiter},
        "schema": schema,
    }


def _field(column: str, table: str) -> dict[str, str]:
    kind = "number" if column in (*NUMBERS, "OBS_VALUE") else "string"
    if column in ("year", "TIME_PERIOD"):
        kind = "string"
    meanings = MEANINGS.get(table, FIELDS)
    described = {"description": meanings[column]} if column in meanings else {}
    return {"name": column, "type": kind, **described}
