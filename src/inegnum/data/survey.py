"""The Baromètre du numérique: from respondents to cells of one indicator.

`recode` maps a respondent file onto the codebook, `answers` reads one indicator, `collapse` sums
both into cells. The package ships the cells (`load_survey`), never respondents: one indicator at a
time, so that no row links two answers of a person. The source is public (ODbL 1.0) and a cell may
hold a single respondent.

Limits: 12-17 is one class of age, diploma and occupation; students of 18 and over are one class of
diploma and occupation (``SITUEMP``), whatever the diploma they hold already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.codebook import MODE
from inegnum.data.indicators import Measure, definition, definitions
from inegnum.data.types import CELL_KEYS, CELL_SUMS, SurveyCells
from inegnum.errors import InputError, nearest
from inegnum.provenance import Source

__all__ = ["answers", "collapse", "columns", "load_profile", "load_survey", "recode"]

CELLS: Final = "barometre_cells"
PROFILE: Final = "barometre_profile"
# Interviews were face to face until 2019; the columns below exist since then only.
FIRST_MIXED_MODE_WAVE: Final = 2020

_AGE: Final = {
    "12-17 ans": "12-17",
    "18-24 ans": "18-24",
    "25-39 ans": "25-39",
    "40-59 ans": "40-59",
    "60-69 ans": "60-69",
    "70 ans et plus": "70+",
}
_SEX: Final = {"Femme": "women", "Homme": "men"}
# The producer's "BEPC" holds CAP and BEP too, as its weight (a third of respondents) shows.
_DIPLOMA: Final = {
    "12-17 ans": "minor",
    "Non diplômé": "none",
    "BEPC": "below_bac",
    "BAC": "bac",
    "Diplômé du supérieur": "higher",
}
_OCCUPATION: Final = {
    "Agri. exploitant, artisan, commerçant, chef d'entreprise": "self_employed",
    "Cadre et profession intellectuelle supérieure": "manager",
    "Profession Intermédiaire": "intermediate",
    "Employé": "employee",
    "Ouvrier": "worker",
    "Retraité": "retired",
    "Personne au foyer": "inactive",
    "Autre inactif": "inactive",
}
_STUDENT: Final = {
    "Étudiant ou élève, sans activité professionnelle": True,
    "Étudiant qui travaille": True,
    "Aide un membre de sa famille, sans rémunération": False,
    "Chômeur (ayant déjà travaillé)": False,
    "Exerce un emploi": False,
    "Invalide ou malade de longue durée": False,
    "Recherche un premier emploi": False,
    "Reste au foyer sans chercher d'emploi": False,
    "Retraité, retiré des affaires": False,
    "": False,
}
_URBAN: Final = {
    "Communes rurales": "rural",
    "2 000 à 20 000 hab.": "2k-20k",
    "20 000 à 100 000 hab.": "20k-100k",
    "Plus de 100 000 hab.": "100k+",
    "Agglomération parisienne": "paris",
}
_REGION: Final = {
    "Ile de France": "11",
    "Centre Val de Loire": "24",
    "Bourgogne Franche Comté": "27",
    "Normandie": "28",
    "Hauts de France": "32",
    "Grand Est": "44",
    "Pays de la Loire": "52",
    "Bretagne": "53",
    "Nouvelle Aquitaine": "75",
    "Occitanie": "76",
    "Auvergne Rhone Alpes": "84",
    "PACA": "93",
    "Corse": "94",
}
_MODE: Final = {"CAWI": "web", "CATI": "phone"}

_ALWAYS: Final = (
    "ANNEE",
    "POND",
    "AGE6FUZ",
    "SEXE",
    "DIPL5",
    "PCS8EGO",
    "SITUEMP",
    "AGGLO5",
)
_SINCE_2020: Final = ("REGION", "RECUEIL")


def recode(raw: pd.DataFrame) -> pd.DataFrame:
    """Map respondents of the Baromètre onto the codebook.

    Parameters
    ----------
    raw : DataFrame
        One row per respondent, the producer's columns and labels.

    Returns
    -------
    DataFrame
        Same rows and index: ``wave, age, sex, diploma, occupation, urban, region, mode`` and
        weight ``w``. Region is ``""`` and mode ``"face_to_face"`` before 2020.

    Raises
    ------
    InputError
        A column is missing, a label unknown, a weight missing, infinite or not positive, or age
        and diploma disagree on who is under 18. The message names the row and the column.
    """
    _require(raw, _ALWAYS)
    if raw.empty:
        raise InputError("the survey has no respondents", where="survey")
    wave = _waves(raw["ANNEE"])
    out = pd.DataFrame({"wave": wave}, index=raw.index)
    out["age"] = _mapped(raw, "AGE6FUZ", _AGE)
    out["sex"] = _mapped(raw, "SEXE", _SEX)
    minor = out["age"] == "12-17"
    student = _mapped(raw, "SITUEMP", _STUDENT).astype(bool) & ~minor
    diploma = _mapped(raw, "DIPL5", _DIPLOMA)
    _same(minor, diploma == "minor", "AGE6FUZ and DIPL5 disagree on who is under 18")
    occupation = _mapped(raw, "PCS8EGO", _OCCUPATION)
    out["diploma"] = diploma.mask(student, "student")
    out["occupation"] = occupation.mask(student, "student").mask(minor, "minor")
    out["urban"] = _mapped(raw, "AGGLO5", _URBAN)
    mixed = wave >= FIRST_MIXED_MODE_WAVE
    out["region"], out["mode"] = "", MODE.levels[0]
    if mixed.any():
        _require(raw, _SINCE_2020)
        out.loc[mixed, "region"] = _mapped(raw.loc[mixed], "REGION", _REGION)
        out.loc[mixed, "mode"] = _mapped(raw.loc[mixed], "RECUEIL", _MODE)
    out["w"] = _weights(raw["POND"])
    return out


def columns() -> tuple[str, ...]:
    """Return every column of the producer's file that `recode` and `answers` may read.

    Examples
    --------
    >>> "SMARTPHO" in columns()
    True
    """
    measures = (measure for known in definitions() for measure in known.measures)
    read = (column for measure in measures for column in measure.columns())
    return tuple(dict.fromkeys((*_ALWAYS, *_SINCE_2020, *read)))


def answers(raw: pd.DataFrame, code: str) -> pd.Series:
    """Read one indicator: 1 yes, 0 no, NaN outside its universe, its waves, or left out.

    Parameters
    ----------
    raw : DataFrame
        One row per respondent, the producer's columns and labels.
    code : str
        Indicator of the registry.

    Raises
    ------
    InputError
        A column is missing or an answer is not in the registry; row and column are named.
    """
    known = definition(code)
    _require(raw, ("ANNEE", "AGE6FUZ"))
    wave = _waves(raw["ANNEE"])
    inside = pd.Series(True, index=raw.index)
    if known.indicator.universe == "18+":
        inside = _mapped(raw, "AGE6FUZ", _AGE) != "12-17"
    out = pd.Series(np.nan, index=raw.index, name=code)
    for measure in known.measures:
        rows = inside & wave.isin(measure.waves)
        if rows.any():
            out.loc[rows] = _read(raw.loc[rows], measure)
    return out


def collapse(keys: pd.DataFrame, y: pd.Series) -> pd.DataFrame:
    """Sum respondents into cells.

    Parameters
    ----------
    keys : DataFrame
        As `recode` returns it.
    y : Series
        As `answers` returns it, same index.

    Returns
    -------
    DataFrame
        One row per cell that holds a respondent, columns ``CELL_KEYS`` and ``CELL_SUMS``.
    """
    kept = keys.assign(y=y).dropna(subset=["y"])
    sums = kept.assign(
        n=1,
        y=kept["y"].astype("int64"),
        wy=kept["w"] * kept["y"],
        w2=kept["w"] ** 2,
        w2y=kept["w"] ** 2 * kept["y"],
    )
    grouped = sums.groupby(list(CELL_KEYS), observed=True, sort=True)[list(CELL_SUMS)]
    return grouped.sum().reset_index()


def load_survey(indicator: str, *, waves: Iterable[int] | None = None) -> SurveyCells:
    """Return the cells of one indicator that come with the package.

    Parameters
    ----------
    indicator : str
        Code of the registry.
    waves : iterable of int, optional
        Waves to keep; all where the question exists otherwise.

    Raises
    ------
    InputError
        The indicator is unknown, or a wave did not ask the question.

    Examples
    --------
    >>> round(100 * load_survey("smartphone", waves=[2022]).rate(), 1)
    87.2
    """
    known = definition(indicator)
    table, source = catalogue.table(CELLS, where={"indicator": indicator})
    half = table.drop(columns="indicator").rename(columns={"answer": "y"})
    kept = SurveyCells(_unfold(half), known.indicator, source)
    return kept if waves is None else kept.waves(*waves)


def load_profile() -> tuple[pd.DataFrame, Source]:
    """Return respondents and weights by wave and by every key of the cells, no answer attached.

    Returns
    -------
    DataFrame
        Keys ``wave, age, sex, diploma, occupation, urban, region, mode`` and sums ``n, w``.
    Source
        The survey, of role fit.
    """
    return catalogue.table(PROFILE)


def _unfold(half: pd.DataFrame) -> pd.DataFrame:
    """Turn rows by cell and answer (n, w, w2) into rows by cell with the six sums."""
    yes = half["y"]
    sums = half.assign(
        y=half["n"] * yes, wy=half["w"] * yes, w2y=half["w2"] * yes, n=half["n"].astype("int64")
    )
    grouped = sums.groupby(list(CELL_KEYS), observed=True, sort=True)[list(CELL_SUMS)]
    return grouped.sum().reset_index()


def _read(raw: pd.DataFrame, measure: Measure) -> pd.Series:
    _require(raw, measure.columns())
    known = {
        **dict.fromkeys(measure.yes, 1.0),
        **dict.fromkeys(measure.no, 0.0),
        **dict.fromkeys(measure.missing, np.nan),
    }
    y = _mapped(raw, measure.variable, known).astype(float)
    for column in measure.also:
        y = y * _mapped(raw, column, known).astype(float)
    if measure.asked:
        y = y.mask(_text(raw[measure.asked]).isin(measure.asked_missing))
    return y


def _require(raw: pd.DataFrame, columns: Sequence[str]) -> None:
    absent = [column for column in columns if column not in raw.columns]
    if absent:
        raise InputError(
            "the survey lacks columns",
            where="survey",
            got=f"{len(raw.columns)} columns",
            expected=", ".join(absent),
            hint=nearest(absent[0], map(str, raw.columns)),
        )


def _text(values: pd.Series) -> pd.Series:
    return values.astype(object).where(values.notna(), "").astype(str)


def _at(raw: pd.Series | pd.DataFrame, bad: pd.Series, column: str) -> str:
    """Say where the first bad row stands: its line in the file if rows are numbered from 0."""
    rows = raw.index[bad.to_numpy()]
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    return f"column {column}, row {rows[0]}{more}"


def _mapped(raw: pd.DataFrame, column: str, levels: Mapping[str, object]) -> pd.Series:
    """Map labels, refusing the first that is not known."""
    labels = _text(raw[column])
    bad = ~labels.isin(list(levels))
    if bad.any():
        label = labels[bad].iloc[0]
        raise InputError(
            "unknown label",
            where=_at(raw, bad, column),
            got=repr(label),
            expected=", ".join(repr(level) for level in levels),
            hint=nearest(label, levels) if label else "fill in the value, or leave the row out",
        )
    return labels.map(dict(levels))


def _waves(values: pd.Series) -> pd.Series:
    wave = pd.to_numeric(values, errors="coerce")
    bad = wave.isna() | (wave % 1 != 0)
    if bad.any():
        raise InputError(
            "a wave is not a year",
            where=_at(values, bad, "ANNEE"),
            got=repr(values[bad].iloc[0]),
            expected="a year such as 2022",
        )
    return wave.astype("int64")


def _weights(values: pd.Series) -> pd.Series:
    w = pd.to_numeric(values, errors="coerce").astype("float64")
    bad = ~(w.gt(0) & w.lt(np.inf))
    if bad.any():
        raise InputError(
            "a weight is missing, not a number, or not positive",
            where=_at(values, bad, "POND"),
            got=repr(values[bad].iloc[0]),
            expected="a positive number",
            hint="a respondent with no weight cannot represent anyone: leave the row out",
        )
    return w


def _same(a: pd.Series, b: pd.Series, what: str) -> None:
    if (a != b).any():
        raise InputError(what, where=_at(a, a != b, "DIPL5"), expected="12-17 ans in both or none")
