"""A territory's own survey enters through its codebook, and nothing is guessed."""

from pathlib import Path

import pandas as pd
import pytest

from inegnum.data.codebook import AXES
from inegnum.data.own_survey import level_mapping, read_own_survey
from inegnum.data.survey import _AGE, _OCCUPATION, _REGION, _SEX, _URBAN, load_survey
from inegnum.errors import InputError, UniverseError
from shared import shared

SURVEY = """insee;age;sexe;dipl;prof;poids;q12;q20
33063;16;2;x;x;1,5;1;1
33063;20;1;3;etu;1;2;1
33063;45;1;4;3;2;1;2
33039;82;2;1;7;0.5;9;2
33039;45;1;4;3;1;2;1
33039;30;9;4;3;1;1;1
"""
CODEBOOK = """year = 2023
mode = "phone"
weight = "poids"
geo = "insee"

[source]
name = "own"
producer = "P"
title = "T"
universe = "12+"
vintage = "2023"
unit = "respondents and weights"
licence = "etalab-2.0"
sha256 = ""
role = "fit"

[[axes]]
axis = "age"
column = "age"
years = true
[[axes]]
axis = "sex"
column = "sexe"
levels = ["1 = men", "2 = women"]
left_out = ["9"]
[[axes]]
axis = "diploma"
column = "dipl"
levels = ["1 = none", "3 = bac", "4 = higher", "x = minor"]
[[axes]]
axis = "occupation"
column = "prof"
levels = ["etu = student", "3 = manager", "7 = retired", "x = minor"]

[[answers]]
indicator = "smartphone"
column = "q12"
yes = ["1"]
no = ["2"]
missing = ["9"]
[[answers]]
indicator = "barrier_any"
column = "q20"
yes = ["1"]
no = ["2"]
"""


def files(folder: Path, survey: str = SURVEY, codebook: str = CODEBOOK) -> tuple[Path, Path]:
    (folder / "own.csv").write_text(survey)
    (folder / "own.toml").write_text(codebook)
    return folder / "own.csv", folder / "own.toml"


def test_respondents_become_cells_by_place(tmp_path: Path) -> None:
    own = read_own_survey(*files(tmp_path))
    areas = own.by_area("smartphone").set_index("geo")
    # 33039: one does not know, one is left out for want of a sex.
    assert areas["n"].to_dict() == {"33039": 1, "33063": 3}
    assert areas.loc["33063", ["y", "w", "wy", "w2"]].tolist() == [2, 4.5, 3.5, 7.25]
    cells = own.cells("smartphone").table.set_index("age")
    assert cells.loc["12-17", "diploma"] == "minor"
    assert cells.loc["18-24", ["diploma", "occupation"]].tolist() == ["student", "student"]
    manager = cells.loc["40-59"]
    assert (manager["n"], manager["y"], manager["w"], manager["w2"]) == (2, 1, 3.0, 5.0)
    # 18+ in a survey of 12+: the 16-year-old is not in the base.
    assert set(own.cells("barrier_any").table["age"]) == {"18-24", "40-59", "70+"}
    assert own.source.sha256
    assert set(own.table["mode"]) == {"phone"}


def test_the_mapping_lists_every_level(tmp_path: Path) -> None:
    survey, codebook = files(tmp_path, SURVEY.replace("33039;82;2;1;7", "33039;82;2;7;7"))
    mapping = level_mapping(survey, codebook).set_index(["column", "value"])
    assert mapping.loc[("dipl", "7"), ["status", "n"]].tolist() == ["unmatched", 1]
    assert mapping.loc[("sexe", "9"), "status"] == "left out"
    assert mapping.loc[("age", "45"), ["becomes", "n"]].tolist() == ["40-59", 2]
    assert mapping.loc[("q12", "1"), "becomes"] == "smartphone: yes"
    assert mapping.groupby("column")["n"].sum().eq(6).all()
    with pytest.raises(InputError, match="dipl '7': 1 respondents"):
        read_own_survey(survey, codebook)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('levels = ["1 = men"', 'levels = ["1 = man"', "did you mean men"),
        ('axis = "sex"', 'axis = "gender"', "unknown axis"),
        ('column = "sexe"', 'column = "sex"', "did you mean SEXE"),
        ('indicator = "smartphone"', 'indicator = "smartfone"', "did you mean smartphone"),
        ("years = true", "", "either levels or ages"),
        ('missing = ["9"]', "", "q12 '9': 1 respondents"),
        ('mode = "phone"', 'mode = "telephone"', "did you mean phone"),
        ('weight = "poids"', 'wieght = "poids"', "did you mean weight"),
        ('producer = "P"\n', "", "add producer"),
    ],
)
def test_mistakes_in_the_codebook_are_named(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in CODEBOOK
    with pytest.raises(InputError, match=message):
        read_own_survey(*files(tmp_path, codebook=CODEBOOK.replace(before, after, 1)))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("45;1;4;3;2;1;2", "45;1;4;3;0;1;2", "line 4, column poids"),
        ("45;1;4;3;2;1;2", "45;1;4;3;;1;2", "line 4, column POIDS"),
        ("33039;82", "3039;82", "line 5, column INSEE"),
        ("33039;82;2;1;7;0.5;9;2", "33039;82;2;1;7;0.5;9", "line 5"),
        ("33039;82", "33039;forty", "age 'forty'"),
    ],
)
def test_odd_respondents_are_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in SURVEY
    with pytest.raises(InputError, match=message):
        read_own_survey(*files(tmp_path, SURVEY.replace(before, after, 1)))


def test_universes_do_not_mix(tmp_path: Path) -> None:
    adults = CODEBOOK.replace('universe = "12+"', 'universe = "18+"')
    with pytest.raises(UniverseError, match="survey 18\\+, indicator 12\\+"):
        read_own_survey(*files(tmp_path, codebook=adults))
    only_adults = adults.replace("smartphone", "barrier_skills")
    with pytest.raises(UniverseError, match="16 years"):
        read_own_survey(*files(tmp_path, codebook=only_adults))
    ageless = CODEBOOK.replace('[[axes]]\naxis = "age"\ncolumn = "age"\nyears = true\n', "")
    with pytest.raises(UniverseError, match="no age to tell"):
        read_own_survey(*files(tmp_path, codebook=ageless))


def test_what_the_survey_does_not_have_is_said(tmp_path: Path) -> None:
    start = CODEBOOK.index('[[axes]]\naxis = "occupation"')
    short = CODEBOOK[:start] + CODEBOOK[CODEBOOK.index("[[answers]]") :]
    own = read_own_survey(*files(tmp_path, codebook=short.replace('geo = "insee"\n', "")))
    with pytest.raises(InputError, match="got: occupation"):
        own.cells("smartphone")
    with pytest.raises(InputError, match="no places"):
        own.by_area("smartphone")
    with pytest.raises(InputError, match="does not have this indicator"):
        own.cells("tablet")


@pytest.mark.shared
def test_the_national_survey_through_a_codebook_gives_the_shipped_cells(tmp_path: Path) -> None:
    """The two ways in agree: same answers, same levels, same sums."""
    raw = pd.read_csv(
        shared("data", "credoc", "barometre_numerique_2022.csv.gz"),
        dtype=str,
        keep_default_na=False,
    )
    raw.loc[raw["SITUEMP"].str.contains("tudiant"), "PCS8EGO"] = "student"
    raw.loc[raw["AGE6FUZ"] == "12-17 ans", "DIPL5"] = "12-17 ans"
    used = ["AGE6FUZ", "SEXE", "DIPL5", "PCS8EGO", "AGGLO5", "REGION", "POND", "SMARTPHO"]
    raw[used].to_csv(tmp_path / "own.csv", index=False)
    diploma = {
        "12-17 ans": "minor",
        "Non diplômé": "none",
        "BEPC": "below_bac",
        "BAC": "bac",
        "Diplômé du supérieur": "higher",
    }
    axes = {
        "age": ("AGE6FUZ", _AGE),
        "sex": ("SEXE", _SEX),
        "diploma": ("DIPL5", diploma),
        "occupation": ("PCS8EGO", {**_OCCUPATION, "student": "student"}),
        "urban": ("AGGLO5", _URBAN),
        "region": ("REGION", _REGION),
    }
    assert set(axes) <= set(AXES)
    head = CODEBOOK[: CODEBOOK.index("[[axes]]")].replace('geo = "insee"\n', "")
    text = head.replace("2023", "2022").replace('"poids"', '"POND"')
    for axis, (column, levels) in axes.items():
        listed = ", ".join(f'"{value} = {level}"' for value, level in levels.items())
        text += f'[[axes]]\naxis = "{axis}"\ncolumn = "{column}"\nlevels = [{listed}]\n'
    text += (
        '[[answers]]\nindicator = "smartphone"\ncolumn = "SMARTPHO"\nyes = ["Oui"]\nno = ["Non"]\n'
    )
    (tmp_path / "own.toml").write_text(text)
    own = read_own_survey(tmp_path / "own.csv", tmp_path / "own.toml").cells("smartphone").table
    keys = ["age", "sex", "diploma", "occupation", "urban", "region"]
    shipped = load_survey("smartphone", waves=[2022]).table
    a, b = (t.groupby(keys)[["n", "y", "w", "wy"]].sum() for t in (own, shipped))
    assert a.index.equals(b.index)
    assert (a[["n", "y"]] == b[["n", "y"]]).all(axis=None)
    # Shipped weights are rounded to four decimals: half a unit for each respondent of a cell.
    assert ((a["w"] - b["w"]).abs() <= 0.5e-4 * a["n"] + 1e-9).all()


def test_cells_keep_their_places_on_request(tmp_path: Path) -> None:
    own = read_own_survey(*files(tmp_path))
    table = own.cells("smartphone", places=True).table
    assert table.groupby("geo")["n"].sum().to_dict() == {"33039": 1, "33063": 3}
    assert "geo" not in own.cells("smartphone").table
    unplaced = CODEBOOK.replace('geo = "insee"\n', "")
    nowhere = read_own_survey(*files(tmp_path, codebook=unplaced))
    with pytest.raises(InputError, match="no place"):
        nowhere.cells("smartphone", places=True)
