"""Readers on real files: what they give is what the files say, added up another way."""

import pandas as pd
import pytest

from inegnum.data.importers import read_file, to_margins
from inegnum.data.survey import load_survey
from shared import shared

pytestmark = pytest.mark.shared
ROUEN = ("data", "known_truth", "rp2013_base_ic_evol_struct_pop_seine_maritime_iris.csv")


def test_a_real_base_by_iris() -> None:
    path = shared(*ROUEN)
    read = read_file(path)
    assert (read.kind, read.year, read.level) == ("population", 2013, "iris")
    assert read.table["geo"].nunique() == 1072
    raw = pd.read_csv(path, dtype={"iris": str}).set_index("iris")
    margins = to_margins([read]).set_index("geo")
    for name, column in (
        ("population", "P13_POP"),
        ("age_75p", "P13_POP75P"),
        ("women", "P13_POPF"),
        ("cs7", "C13_POP15P_CS7"),
        ("persons_15p", "C13_POP15P"),
    ):
        assert margins[name].to_dict() == raw[column].to_dict(), name
    # Persons of 15+ of the complementary exploitation against population less 0-14 of the main
    # one: they differ by sampling, less than 1 % over the department.
    adults = margins["population"].sum() - margins["age_0_14"].sum()
    assert abs(margins["persons_15p"].sum() / adults - 1) < 0.01
    assert margins[["bac", "enrolled_18_24"]].isna().all(axis=None)


def test_real_income_files() -> None:
    communes = read_file(shared("data", "census", "filosofi2021_communes_france.csv.gz"))
    bordeaux = communes.table[communes.table["geo"] == "33063"].set_index("variable")["value"]
    assert (bordeaux["MED"], bordeaux["TP60"]) == (24870, 17.0)
    masked = communes.table[communes.table["status"] != ""]
    assert masked["value"].isna().all()
    assert len(masked) > 100_000
    iris = read_file(
        shared("data", "census", "filosofi2021_iris_revenu_declare_bordeaux_metropole.csv")
    )
    assert (iris.year, iris.level, iris.table["geo"].nunique()) == (2021, "iris", 272)
    mixed = read_file(shared("data", "census", "filosofi2019_disp_france_reg_dep_epci.csv"))
    assert (mixed.year, mixed.level) == (2019, "mixed")


def test_a_real_base_of_living_alone() -> None:
    read = read_file(shared("data", "census", "rp2022_iris_15p_55p_vivant_seul_10villes.csv"))
    assert (read.year, read.level) == (2022, "iris")
    alone = read.table[(read.table["group"] == "alone") & (read.table["age_from"] == 80)]
    assert (alone["value"] >= 0).all()
    assert (alone["geo"].str[:5] == "33063").sum() == 88


def test_a_wave_as_published_gives_the_shipped_cells() -> None:
    read = read_file(shared("data", "credoc", "barometre_numerique_2022.csv.gz"))
    assert read.year == 2022
    for code in ("smartphone", "barrier_any", "fibre_or_cable"):
        own = read.table[read.table["indicator"] == code]
        shipped = load_survey(code, waves=[2022]).table
        assert own["n"].sum() == shipped["n"].sum()
        assert len(own) == len(shipped)
        # Shipped weights are rounded to four decimals, half a unit each: their sum moves by a
        # random walk of about 0.002, less than 0.05 in 4,000 respondents.
        assert own["wy"].sum() == pytest.approx(shipped["wy"].sum(), abs=0.05)
    assert "not_competent_admin" in read.unused
