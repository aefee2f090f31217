"""The loader gives the rates already published, group by group.

``published/credoc_rates_by_group_2019_2020_2022.csv`` holds 25 indicators by 13 groupings, rounded
to 0.01 point. What cannot be compared, and why:

- ``distrust_internet`` is not in the registry: its base is people with fixed internet at home, who
  have no census frame;
- ``fibre_or_cable`` is published among people with fixed internet; the registry counts everyone.
  It is compared here after restricting to them, from respondents only;
- from the shipped cells, groupings the codebook does not keep (age in other classes, household
  size, housing, living standard, ZEAT, employment status) and those it changes on purpose
  (diploma and occupation, where students are a class of their own).
"""

from functools import cache

import pandas as pd
import pytest

from inegnum.data.indicators import definitions
from inegnum.data.survey import _AGE, _REGION, _SEX, _URBAN, answers, columns, load_survey, recode
from shared import ROOT, shared

# The published rates carry two decimals of a point: 0.005 of rounding, within the 0.05 allowed.
TOLERANCE = 0.05
RAW_COLUMN = {
    "age6": "AGE6FUZ",
    "sex": "SEXE",
    "diploma": "DIPL5",
    "pcs8": "PCS8EGO",
    "agglo5": "AGGLO5",
    "region": "REGION",
    "zeat": "ZEAT",
    "housing": "TYPLOG2",
    "household_size": "NBPERS5",
    "living_standard": "TYPOSQT",
    "occupation": "SITUEMP",
}
AGE5 = [(12, "12-17"), (18, "18-29"), (30, "30-44"), (45, "45-59"), (60, "60-74"), (75, "75+")]
CELL_COLUMN = {"age6": "age", "sex": "sex", "agglo5": "urban", "region": "region"}
LABELS = {"age6": _AGE, "sex": _SEX, "agglo5": _URBAN, "region": _REGION}
CODES = {d.indicator.code for d in definitions()}


@cache
def published() -> pd.DataFrame:
    return pd.read_csv(shared("data", "published", "credoc_rates_by_group_2019_2020_2022.csv"))


@cache
def respondents() -> pd.DataFrame:
    path = shared("data", "credoc", "barometre_numerique_2007_2022_full.csv.gz")
    used = [*columns(), "AGE", "ZEAT", "TYPLOG2", "NBPERS5", "TYPOSQT"]
    raw = pd.read_csv(path, dtype=str, keep_default_na=False, usecols=used)
    raw = raw[raw["ANNEE"].isin(["2019", "2020", "2022"])].reset_index(drop=True)
    age = raw["AGE"].astype(int)
    raw["age5"] = ""
    for first, label in AGE5:
        raw.loc[age >= first, "age5"] = label
    raw["total"] = "Ensemble"
    return raw


def rates(groups: list[pd.Series], y: pd.Series, w: pd.Series) -> dict[object, tuple[float, int]]:
    """Return percent and respondents by group."""
    kept = y.notna()
    sums = (
        pd.DataFrame({"n": 1, "w": w, "wy": w * y})[kept].groupby([g[kept] for g in groups]).sum()
    )
    return {key: (100 * row.wy / row.w, int(row.n)) for key, row in sums.iterrows()}


def differing(code: object, printed: pd.DataFrame, found: dict) -> list[tuple[object, ...]]:
    """Return the published rows that `found` does not reproduce, respondents included."""
    rows = printed[["year", "group_level", "rate_percent", "n_sample"]].itertuples(index=False)
    return [
        (code, *row, found[(row.year, row.group_level)])
        for row in rows
        if abs(found[(row.year, row.group_level)][0] - row.rate_percent) > TOLERANCE
        or found[(row.year, row.group_level)][1] != row.n_sample
    ]


@pytest.mark.shared
def test_every_group_from_respondents() -> None:
    raw = respondents()
    keys = recode(raw)
    wrong = []
    compared = 0
    for code, rows in published().groupby("indicator"):
        if code not in CODES:
            assert code == "distrust_internet"
            continue
        y = answers(raw, str(code))
        if code == "fibre_or_cable":
            y = y.where(raw["INTERNET"] == "Oui")
        for variable, printed in rows.groupby("group_variable"):
            column = RAW_COLUMN.get(str(variable), str(variable))
            found = rates([keys["wave"], raw[column]], y, keys["w"])
            wrong += differing(code, printed, found)
            compared += len(printed)
    assert wrong == []
    # All rows of the file but those of the indicator without a frame.
    assert compared == int((published()["indicator"] != "distrust_internet").sum())
    assert compared > 3700


@pytest.mark.shared
def test_every_group_the_codebook_keeps_from_shipped_cells() -> None:
    wrong = []
    compared = 0
    for code, rows in published().groupby("indicator"):
        if code not in CODES - {"fibre_or_cable"}:
            continue
        cells = load_survey(str(code)).table
        for variable, printed in rows.groupby("group_variable"):
            if variable != "total" and variable not in CELL_COLUMN:
                continue
            by = ["wave", CELL_COLUMN.get(str(variable), "wave")]
            sums = cells.groupby(list(dict.fromkeys(by)))[["n", "w", "wy"]].sum()
            labels = {level: label for label, level in LABELS.get(str(variable), {}).items()}
            found = {
                (key[0], labels[key[1]]) if variable != "total" else (key, "Ensemble"): (
                    100 * row.wy / row.w,
                    int(row.n),
                )
                for key, row in sums.iterrows()
                if variable == "total" or key[1] in labels
            }
            wrong += differing(code, printed, found)
            compared += len(printed)
    assert wrong == []
    assert compared == 1258


@pytest.mark.shared
def test_rates_published_by_the_producer() -> None:
    """36 figures the producer printed (whole points): an outside check on the answers chosen."""
    printed = pd.read_csv(shared("data", "published", "credoc_checks_against_published.csv"))
    printed = printed[printed["indicator"].isin(CODES) & (printed["group_variable"] == "total")]
    printed = printed[printed["group_level"] == "Ensemble"]
    # The file gives fibre among people with fixed internet.
    printed = printed[printed["indicator"] != "fibre_or_cable"]
    assert len(printed) >= 20
    for row in printed.itertuples():
        found = 100 * load_survey(row.indicator, waves=[row.year]).rate()
        # Whole points, some read off a text written before the data were final: within 1 point.
        assert abs(found - row.published_percent) < 1.0, (row.indicator, row.year, found)


def test_no_respondent_file_is_shipped() -> None:
    names = {path.name for path in (ROOT / "data" / "reference").iterdir()}
    assert not any("respond" in name or "raw" in name for name in names)
