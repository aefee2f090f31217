"""Respondents become cells; what cannot be read is refused with its row and column."""

import numpy as np
import pandas as pd
import pytest

from inegnum.data.codebook import AXES
from inegnum.data.indicators import breaks, definition, definitions, indicator
from inegnum.data.survey import answers, collapse, load_profile, load_survey, recode
from inegnum.errors import InputError

OTHER = "Autre inactif"


def people() -> pd.DataFrame:
    """Return a minor, a student, a farmer and a retired person, online and by telephone."""
    return pd.DataFrame(
        {
            "ANNEE": ["2022", "2022", "2022", "2019"],
            "POND": ["1.5", "0.5", "2", "1"],
            "AGE6FUZ": ["12-17 ans", "18-24 ans", "25-39 ans", "70 ans et plus"],
            "SEXE": ["Femme", "Homme", "Femme", "Homme"],
            "DIPL5": ["12-17 ans", "BAC", "BEPC", "Non diplômé"],
            "PCS8EGO": [
                OTHER,
                OTHER,
                "Agri. exploitant, artisan, commerçant, chef d'entreprise",
                "Retraité",
            ],
            "SITUEMP": [
                "",
                "Étudiant qui travaille",
                "Exerce un emploi",
                "Retraité, retiré des affaires",
            ],
            "AGGLO5": [
                "Communes rurales",
                "Plus de 100 000 hab.",
                "Agglomération parisienne",
                "2 000 à 20 000 hab.",
            ],
            "REGION": ["Nouvelle Aquitaine", "Corse", "Ile de France", ""],
            "RECUEIL": ["CAWI", "CATI", "CAWI", ""],
            "SMARTPHO": ["Oui", "Non", "Oui", "[Nsp]"],
            "US_ADMI": ["Oui", "Non", "", "Oui"],
            "FREINWEB4": ["", "Oui", "Non", ""],
        }
    )


def test_minors_and_students_are_classes_of_their_own() -> None:
    keys = recode(people())
    assert keys["age"].tolist() == ["12-17", "18-24", "25-39", "70+"]
    assert keys["diploma"].tolist() == ["minor", "student", "below_bac", "none"]
    assert keys["occupation"].tolist() == ["minor", "student", "self_employed", "retired"]
    assert keys["urban"].tolist() == ["rural", "100k+", "paris", "2k-20k"]
    assert keys["region"].tolist() == ["75", "94", "11", ""]
    assert keys["mode"].tolist() == ["web", "phone", "web", "face_to_face"]
    assert keys["w"].tolist() == [1.5, 0.5, 2.0, 1.0]


def test_answers_follow_universe_and_denominator() -> None:
    raw = people()
    # Does not know: left out of ownership.
    assert answers(raw, "smartphone").tolist()[:3] == [1, 0, 1]
    assert np.isnan(answers(raw, "smartphone").iloc[3])
    # Not asked because not a user of internet: counts as no.
    assert answers(raw, "admin_online").tolist() == [1, 0, 0, 1]
    # 18+, not asked in 2019.
    assert answers(raw, "barrier_skills").isna().tolist() == [True, False, False, True]


def test_cells_hold_the_six_sums() -> None:
    raw = pd.concat([people().iloc[[2]]] * 2 + [people().iloc[[2]].assign(SMARTPHO="Non")])
    raw = raw.reset_index(drop=True)
    (cell,) = collapse(recode(raw), answers(raw, "smartphone")).to_dict("records")
    assert {k: cell[k] for k in ("n", "y", "w", "wy", "w2", "w2y")} == {
        "n": 3,
        "y": 2,
        "w": 6,
        "wy": 4,
        "w2": 12,
        "w2y": 8,
    }


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("POND", "-1", "column POND, row 1"),
        ("POND", "", "not positive"),
        ("POND", "nan", "not positive"),
        ("POND", "inf", "not positive"),
        ("POND", "0", "not positive"),
        ("ANNEE", "MMXXII", "column ANNEE, row 1"),
        ("AGE6FUZ", "18-24", "did you mean 18-24 ans"),
        ("DIPL5", "Bac", "got: 'Bac'"),
        ("DIPL5", "12-17 ans", "disagree on who is under 18"),
        ("PCS8EGO", "", "column PCS8EGO, row 1"),
        ("SITUEMP", "Etudiant", "unknown label"),
        ("AGGLO5", "Rural", "unknown label"),
        ("REGION", "", "column REGION, row 1"),
        ("RECUEIL", "", "column RECUEIL, row 1"),
        ("SEXE", "Fem.", "did you mean Femme"),
    ],
)
def test_bad_rows_are_named(column: str, value: str, message: str) -> None:
    raw = people()
    raw.loc[1, column] = value
    with pytest.raises(InputError, match=message):
        recode(raw)


def test_missing_columns_and_unknown_answers_are_refused() -> None:
    raw = people()
    with pytest.raises(InputError, match="AGGLO5"):
        recode(raw.drop(columns="AGGLO5"))
    with pytest.raises(InputError, match="RECUEIL"):
        recode(raw.drop(columns="RECUEIL"))
    with pytest.raises(InputError, match="no respondents"):
        recode(raw.iloc[:0])
    with pytest.raises(InputError, match="SMARTPHO"):
        answers(raw.drop(columns="SMARTPHO"), "smartphone")
    raw.loc[2, "SMARTPHO"] = "oui"
    with pytest.raises(InputError, match="did you mean Oui"):
        answers(raw, "smartphone")
    with pytest.raises(InputError, match="did you mean smartphone"):
        answers(raw, "smartfone")


def test_a_face_to_face_wave_needs_no_region_nor_mode() -> None:
    old = people().iloc[[3]].drop(columns=["REGION", "RECUEIL"])
    assert recode(old)[["region", "mode"]].to_numpy().tolist() == [["", "face_to_face"]]


def test_the_input_is_left_alone() -> None:
    raw = people()
    before = raw.copy(deep=True)
    recode(raw)
    answers(raw, "smartphone")
    pd.testing.assert_frame_equal(raw, before)


def test_registry_covers_four_families_and_two_waves() -> None:
    known = definitions()
    assert len({d.indicator.code for d in known}) == len(known) >= 12
    families = pd.Series([d.indicator.family for d in known]).value_counts()
    assert set(families.index) == {"uses", "ease", "equipment", "connection"}
    both = [d for d in known if {2020, 2022} <= set(d.waves)]
    assert len(both) >= 12
    for d in known:
        assert len(d.waves) == len(set(d.waves)), d.indicator.code
        assert d.indicator.wording.startswith("wording inferred: ")
        assert ("12" in d.indicator.denominator_fr) == (d.indicator.universe == "12+")
        # Who is in the denominator is said of non-users, or of what stands for them.
        assert any(
            word in d.indicator.denominator_fr
            for word in ("internaute", "sans internet fixe", "jamais d'outils numériques")
        )


def test_breaks_are_known() -> None:
    assert [b.after for b in breaks("computer_home", 2022, 2020)] == [2022]
    assert [b.after for b in breaks("abandon", 2019, 2022)] == [2020, 2020, 2022]
    assert breaks("smartphone", 2016, 2019) == ()
    with pytest.raises(InputError, match="not asked in this wave"):
        definition("barrier_any").measure(2019)
    assert indicator("barrier_any").direction == -1


def test_shipped_cells_use_the_codebook() -> None:
    for d in definitions():
        cells = load_survey(d.indicator.code)
        assert tuple(sorted(cells.table["wave"].unique())) == d.waves
        assert cells.source.licence == "ODbL-1.0"
        ages = {"12-17", *AXES["age"].levels[2:]}
        assert set(cells.table["age"]) <= (
            ages if d.indicator.universe == "12+" else ages - {"12-17"}
        )
        for axis in ("sex", "diploma", "occupation", "urban", "mode"):
            assert set(cells.table[axis]) <= set(AXES[axis].levels)
        assert set(cells.table["region"]) <= {"", *AXES["region"].levels}
        assert (cells.table["y"] <= cells.table["n"]).all()
    with pytest.raises(InputError, match="no respondents"):
        load_survey("barrier_any", waves=[2019])


def test_the_profile_counts_everyone_once() -> None:
    table, source = load_profile()
    assert table.groupby("wave")["n"].sum().to_dict() == {
        2016: 2313,
        2017: 2209,
        2018: 2214,
        2019: 2259,
        2020: 4029,
        2022: 4184,
    }
    assert source.role == "fit"
    # Telephone share of the weights of rural people and of large agglomerations, 2022: the
    # confounding documented with the data.
    last = table[table["wave"] == 2022]
    share = last.assign(phone=last["w"] * (last["mode"] == "phone")).groupby("urban")
    phone = (share["phone"].sum() / share["w"].sum()).round(3).to_dict()
    assert 0.23 < phone["rural"] < 0.25
    assert 0.03 < phone["100k+"] < 0.04


def test_design_effects_are_those_published() -> None:
    assert load_survey("computer_home", waves=[2020]).deff() == pytest.approx(1.37, abs=0.005)
    assert load_survey("computer_home", waves=[2022]).deff() == pytest.approx(1.17, abs=0.005)
