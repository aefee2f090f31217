"""Official files become one shape; what is odd is refused with its line and column.

Fixtures keep INSEE's column conventions. Real files are met in `test_importers_real.py`.
"""

import gzip
import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from inegnum.data.importers import read_file, to_margins
from inegnum.data.importers.census_bases import decode
from inegnum.data.importers.reading import open_raw, year_in_name
from inegnum.errors import InputError

POPULATION = """IRIS;COM;TYP_IRIS;LAB_IRIS;P18_POP;P18_POP0014;P18_POP1529;P18_POP3044;P18_POP4559;\
P18_POP6074;P18_POP75P;P18_POP1824;P18_POPH;P18_POPF;P18_POP_IMM;C18_POP15P;C18_POP15P_CS1;\
C18_POP15P_CS2;C18_POP15P_CS3;C18_POP15P_CS4;C18_POP15P_CS5;C18_POP15P_CS6;C18_POP15P_CS7;\
C18_POP15P_CS8
010040101;01004;H;1;100.5;20.5;20;20;20;10;10;8;50;50.5;3;80;0;5;10;15;20;10;15;5
2A0040102;2A004;A;1;10;2;2;2;2;1;1;1;4;6;0;8;0;0;1;1;2;2;1;1
"""
DIPLOMAS = """IRIS;COM;P18_POP1824;P18_SCOL1824;P18_NSCOL15P;P18_NSCOL15P_DIPLMIN;\
P18_NSCOL15P_BEPC;\
P18_NSCOL15P_CAPBEP;P18_NSCOL15P_BAC;P18_NSCOL15P_SUP2;P18_NSCOL15P_SUP34;P18_NSCOL15P_SUP5;\
P18_HNSCOL15P;P18_FNSCOL15P
010040101;01004;8;5;70;10;5;20;15;8;7;5;30;40
2A0040102;2A004;1;0;7;1;1;1;1;1;1;1;3;4
"""
ACTIVITY = """CODGEO;LIBGEO;P18_POP1564;P18_ACT1564;P18_INACT1564;P18_ACTOCC1564;P18_CHOM1564;\
C18_ACT1564_CS3
01004;Ambérieu;60;45;15;40;5;10
"""
HOUSEHOLDS = """IRIS;COM;C18_MEN;C18_MENPSEUL;C18_MENHSEUL;C18_MENFSEUL;C18_MENSFAM;C18_MENFAM;\
P18_POP80P_PSEUL;P18_POP80P
010040101;01004;40;15;6;9;1;24;4;7
"""


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def one(table: pd.DataFrame, **cell: object) -> float:
    for column, value in cell.items():
        table = table[table[column] == value]
    (found,) = table["value"]
    return float(found)


def test_column_names_say_who_is_counted() -> None:
    women = decode("F15P_CS6")
    assert women is not None
    assert (women["sex"], women["age_from"], women["occupation"]) == ("women", 15, "cs6")
    school = decode("HSCOL1517")
    assert school is not None
    assert (school["group"], school["sex"], school["age_to"]) == ("enrolled", "men", 17)
    alone = decode("POP80P_PSEUL")
    assert alone is not None
    assert (alone["group"], alone["age_from"], alone["age_to"]) == ("alone", 80, 120)
    inactive = decode("AINACT1564")
    assert inactive is not None
    assert inactive["group"] == "other_inactive"
    assert decode("POP_ETR") is None
    assert year_in_name("base-ic-logement-20181.csv") is None


def test_population_by_iris(tmp_path: Path) -> None:
    read = read_file(write(tmp_path, "base-ic-evol-struct-pop-2018.CSV", POPULATION))
    assert (read.kind, read.year, read.level, read.unused) == (
        "population",
        2018,
        "iris",
        ("P18_POP_IMM",),
    )
    assert one(read.table, geo="2A0040102", sex="women", occupation="", group="") == 6
    assert one(read.table, geo="010040101", occupation="cs5") == 20
    assert set(read.table.loc[read.table["occupation"] != "", "sample"]) == {"complementary"}


def test_four_bases_make_one_line_of_margins(tmp_path: Path) -> None:
    files = [
        read_file(write(tmp_path, f"base-ic-{name}-2018.csv", text))
        for name, text in (("evol", POPULATION), ("diplomes", DIPLOMAS), ("menages", HOUSEHOLDS))
    ]
    assert [file.kind for file in files] == ["population", "diplomas", "households"]
    margins = to_margins(files).set_index("geo").loc["010040101"]
    assert margins["population"] == 100.5
    assert (margins["age_18_24"], margins["enrolled_18_24"]) == (8, 5)
    assert (margins["not_enrolled_15p"], margins["cap_bep"], margins["bac5"]) == (70, 20, 5)
    assert (margins["persons_15p"], margins["cs3"], margins["women"]) == (80, 10, 50.5)
    activity = read_file(write(tmp_path, "base-cc-emploi-2018.csv", ACTIVITY))
    assert (activity.kind, activity.level) == ("activity", "commune")
    with pytest.raises(InputError, match="one level"):
        to_margins([*files, activity])
    with pytest.raises(InputError, match="no file"):
        to_margins([])


def test_the_classes_of_2022_are_read_as_before(tmp_path: Path) -> None:
    groups = ("11_21", "12_22", "13_23", "14_24", "15_25", "16_26", "32", "40")
    text = POPULATION.replace("18_", "22_")
    for i, group in enumerate(groups, 1):
        text = text.replace(f"POP15P_CS{i}", f"POP15P_STAT_GSEC{group}")
    # Bases of 2022 carry older years for comparison: they are left aside.
    text = text.replace("P22_POP_IMM", "P16_POP")
    new = read_file(write(tmp_path, "base-ic-evol-struct-pop-2022.CSV", text))
    old = read_file(write(tmp_path, "base-ic-evol-struct-pop-2018.CSV", POPULATION))
    pd.testing.assert_frame_equal(new.table, old.table)
    assert (new.year, new.unused) == (2022, ("P16_POP",))
    with pytest.raises(InputError, match="line 2, column C22_POP15P"):
        read_file(write(tmp_path, "base-ic-a-2022.csv", text.replace("80;0;5;10", "80;0;5;99")))


def test_two_files_that_disagree_are_refused(tmp_path: Path) -> None:
    a = read_file(write(tmp_path, "base-ic-a-2018.csv", POPULATION))
    other = DIPLOMAS.replace("01004;8;5", "01004;9.5;5")
    b = read_file(write(tmp_path, "base-ic-b-2018.csv", other))
    with pytest.raises(InputError, match="age_18_24, 010040101"):
        to_margins([a, b])


@pytest.mark.parametrize("wrap", ["zip", "gz", "latin", "comma", "xlsx", "titles"])
def test_the_file_is_read_however_it_is_packed(tmp_path: Path, wrap: str) -> None:
    name = "base-ic-diplomes-formation-2018"
    if wrap == "zip":
        path = tmp_path / f"{name}_csv.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{name}.CSV", DIPLOMAS)
            archive.writestr(f"meta_{name}.CSV", "COD_VAR;LIB_VAR\nIRIS;x\n")
    elif wrap == "gz":
        path = tmp_path / f"{name}.csv.gz"
        path.write_bytes(gzip.compress(DIPLOMAS.encode()))
    elif wrap == "latin":
        text = DIPLOMAS.replace("IRIS;COM;", "IRIS;COM;LIBIRIS;")
        text = text.replace("01004;8", "01004;Île d'été;8").replace("2A004;1", "2A004;B;1")
        path = write(tmp_path, f"{name}.csv", text, "cp1252")
    elif wrap == "comma":
        path = write(tmp_path, f"{name}.csv", "\ufeff" + DIPLOMAS.replace(";", ","))
    elif wrap == "titles":
        path = write(tmp_path, f"{name}.csv", "Diplômes - 2018\nMise en ligne\n\n" + DIPLOMAS)
    else:
        path = tmp_path / f"{name}.xlsx"
        raw = pd.read_csv(io.StringIO(DIPLOMAS), sep=";", dtype=str)
        raw.to_excel(path, index=False, startrow=5)
    read = read_file(path)
    assert read.year == 2018
    assert one(read.table, geo="010040101", diploma="bac") == 15


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("010040101;01004;H", "10040101;01004;H", "dropped its zero: 010040101"),
        ("010040101;01004;H", "010040101;01005;H", "not in its commune"),
        ("2A0040102;2A004", "010040101;01004", "stands twice"),
        ("2A0040102;2A004", "2C0040102;2C004", "line 3, column IRIS"),
        (";10;2;2;", ";-10;2;2;", r"line 3, column P18_POP\b"),
        (";10;2;2;", ";s;2;2;", "got: 's'"),
        (";10;2;2;", ";;2;2;", "not a count"),
        ("100.5;20.5;20;20", "100.5;20.5;25;20", "parts do not make their total"),
        ("80;0;5;10;15", "80;0;5;90;15", "line 2, column C18_POP15P"),
        ("2;2;1;1\n", "2;2;1\n", "line 3"),
        ("2;2;1;1\n", "2;2;1;1;7\n", "fields"),
        ("P18_POP0014", "P18_POP", "a column stands twice"),
        ("IRIS;COM", "AREA;TOWN", "no header"),
    ],
)
def test_odd_lines_are_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in POPULATION
    text = POPULATION.replace(before, after, 1)
    with pytest.raises(InputError, match=message):
        read_file(write(tmp_path, "base-ic-evol-struct-pop-2018.csv", text))


def test_rounded_parts_may_miss_by_their_rounding(tmp_path: Path) -> None:
    # Eight parts and a total, each rounded to the unit: 4.5 at most.
    rounded = POPULATION.replace("100.5;20.5", "100;20").replace("50;50.5", "50;50")
    near = rounded.replace("80;0;5;10", "84;0;5;10")
    assert read_file(write(tmp_path, "base-ic-a-2018.csv", near)).year == 2018
    far = rounded.replace("80;0;5;10", "85;0;5;10")
    with pytest.raises(InputError, match="parts do not make their total"):
        read_file(write(tmp_path, "base-ic-a-2018.csv", far))


def test_names_and_archives_that_lie_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2017 in the name, 2018 in the columns"):
        read_file(write(tmp_path, "base-ic-evol-struct-pop-2017.csv", POPULATION))
    two = tmp_path / "two.zip"
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.csv", POPULATION)
        archive.writestr("b.csv", POPULATION)
    with pytest.raises(InputError, match="exactly one table"):
        read_file(two)
    short = tmp_path / "short.zip"
    short.write_bytes(two.read_bytes()[:200])
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_file(short)
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(POPULATION.encode())[:-20])
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_file(cut)
    with pytest.raises(InputError, match="cannot be read"):
        read_file(tmp_path / "none.csv")
    with pytest.raises(InputError, match="does not know this file"):
        read_file(write(tmp_path, "other.csv", "CODGEO;A\n01004;1\n"))
    with pytest.raises(InputError, match="no rows"):
        read_file(write(tmp_path, "empty.csv", POPULATION.splitlines()[0] + "\n"))
    with pytest.raises(InputError, match="xls"):
        read_file(write(tmp_path, "old.xls", "x"))
    assert (
        open_raw(two.with_name("cut.csv.gz").with_suffix(".csv").parent / "other.csv").first_line
        == 2
    )


LONG = """NIVGEO;CODGEO;LIBGEO;SEXE;AGED100;NB
COM;01004;Ambérieu;1;000;10,5
COM;01004;Ambérieu;2;000;9.25
COM;01004;Ambérieu;2;100;1
ARM;75101;Paris 1er;1;034;80
"""
WIDE = "CODGEO;LIBGEO;AGEQ65015_DIPL_19A_SEXE1;AGEQ65065_DIPL_19G_SEXE2\n01004;Ambérieu;3;4,5\n"


def test_long_and_wide_tables(tmp_path: Path) -> None:
    long = read_file(write(tmp_path, "BTT_TD_POP1B_2020.csv", LONG))
    assert (long.kind, long.year) == ("table", 2020)
    assert one(long.table, geo="01004", sex="women", age_from=0) == 9.25
    assert one(long.table, geo="01004", age_from=100, age_to=120) == 1
    assert set(long.table["level"]) == {"commune", "arrondissement"}
    wide = read_file(write(tmp_path, "BTX_TD_FOR2_2020.csv", WIDE))
    assert one(wide.table, age_from=15, age_to=19, diploma="none", sex="men") == 3
    assert one(wide.table, age_from=65, age_to=120, diploma="bac5", sex="women") == 4.5
    assert set(wide.table["group"]) == {"not_enrolled"}
    pop6 = WIDE.replace("DIPL_19A", "CS1_81").replace("DIPL_19G", "CS1_88")
    occupation = read_file(write(tmp_path, "BTX_TD_POP6_2020.csv", pop6)).table
    assert set(occupation["occupation"]) == {"cs1", "cs8"}
    assert set(occupation["sample"]) == {"complementary"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LONG.replace("2;100", "2;101"), "line 4, column AGED100"),
        (LONG.replace("SEXE", "SEX"), "did you mean SEXE"),
        (LONG.replace("2;100;1", "2;000;1"), "a cell stands twice"),
        (LONG.replace("9.25", "x"), "line 3, column NB"),
        (LONG.replace("ARM;", "DEP;"), "unknown geographic level"),
        (LONG.replace("COM;01004;Ambérieu;1", "COM;1004;Ambérieu;1"), "dropped its zero: 01004"),
        (WIDE.replace("DIPL_19G_SEXE2", "IMMI1_SEXE2"), "not made of variables"),
    ],
)
def test_odd_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_file(write(tmp_path, "BTT_TD_POP1B_2020.csv", text))


def test_a_table_without_a_year_needs_one(tmp_path: Path) -> None:
    path = write(tmp_path, "pop1b.csv", LONG)
    with pytest.raises(InputError, match="year of the table is not known"):
        read_file(path)
    assert read_file(path, year=2020).year == 2020


DETAIL = """CANTVILLE;NUMMI;AGED;AGEREV;CS1;DEPT;DIPL;ETUD;IPONDI;IRIS;SEXE;TACT
0104;1;30;029;3;01;18;2;2.5;010040101;1;11
0104;2;30;029;3;01;18;2;1,5;010040101;1;11
0104;3;20;019;8;01;14;1;4;ZZZZZZZZZ;2;22
0104;4;16;015;8;01;12;1;3;ZZZZZZZZZ;2;22
0104;5;11;010;8;01;ZZ;1;9;ZZZZZZZZZ;2;22
3399;6;81;080;7;33;11;2;1;ZZZZZZZZZ;2;21
"""


@pytest.mark.parametrize("form", ["csv", "zip", "parquet"])
def test_the_detail_file_gives_joint_counts(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, "FD_INDCVI_2019.csv", DETAIL)
    if form == "zip":
        path = tmp_path / "RP2019_INDCVI_csv.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("FD_INDCVI_2019.csv", DETAIL)
            archive.writestr("Varmod_INDCVI_2019.csv", "COD_VAR;LIB\n")
    elif form == "parquet":
        path = tmp_path / "FD_INDCVI_2019.parquet"
        pd.read_csv(io.StringIO(DETAIL), sep=";", dtype=str).to_parquet(path)
    read = read_file(path)
    assert (read.kind, read.year) == ("detail", 2019)
    rows = read.table.set_index(["geo", "age", "diploma", "occupation"])
    manager = rows.loc[("010040101", "25-39", "higher", "manager")]
    assert (manager["n"], manager["N"], manager["N2"]) == (2, 4.0, 8.5)
    assert manager["sex"] == "men"
    # 20 at the end of the year, 19 at the last birthday: the survey's age is the latter.
    assert rows.loc[("0104", "18-24", "student", "student"), "N"] == 4
    assert rows.loc[("0104", "15-17", "minor", "minor"), "N"] == 3
    assert rows.loc[("3399", "70+", "none", "retired"), "N"] == 1
    assert "9 persons under 12" in read.notes[0]
    kept = read_file(path, departments=("33",)).table
    assert kept["geo"].tolist() == ["3399"]
    with pytest.raises(InputError, match="no person of the departments"):
        read_file(path, departments=("35",))


def test_the_detail_file_of_2022_names_groups(tmp_path: Path) -> None:
    text = DETAIL.replace(";CS1;", ";STAT_GSEC;")
    for age, old, new in (("029", "3", "13"), ("019", "8", "40"), ("080", "7", "32")):
        text = text.replace(f";{age};{old};", f";{age};{new};")
    text = text.replace(";015;8;", ";015;40;").replace(";010;8;", ";010;ZZ;")
    new = read_file(write(tmp_path, "RP2022_indcvi.csv", text))
    old = read_file(write(tmp_path, "FD_INDCVI_2019.csv", DETAIL))
    pd.testing.assert_frame_equal(new.table, old.table)
    assert new.year == 2022


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("2.5;0100", "-2.5;0100", "line 2, column IPONDI"),
        ("3399;6;81;080;7", "3399;6;81;080;9", "line 7, column CS1"),
        ("33;11;2", "33;ZZ;2", "line 7, column DIPL"),
        (";ETUD;", ";ETUDE;", "expected: ETUD"),
        (";DIPL;", ";DIPLOME;", "DIPL or DIPL_15"),
        ("2;1;ZZZZZZZZZ;2;21", "2;1;ZZZZZZZZZ;3;21", "column SEXE"),
        ("2;21\n", "2;21;5\n", "fields"),
    ],
)
def test_an_odd_person_is_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in DETAIL
    with pytest.raises(InputError, match=message):
        read_file(write(tmp_path, "FD_INDCVI_2019.csv", DETAIL.replace(before, after)))


FILOSOFI = (
    "CODGEO;LIBGEO;NBMENFISC21;MED21;TP6021\n01004;Ambérieu;6000;21500,5;18,0\n01007;A;s;nd;s\n"
)


def test_masked_income_is_missing_and_says_why(tmp_path: Path) -> None:
    read = read_file(write(tmp_path, "cc_filosofi_2021_COM.csv", FILOSOFI))
    assert (read.kind, read.year) == ("income", 2021)
    rows = read.table.set_index(["geo", "variable"])
    assert rows.loc[("01004", "MED"), "value"] == 21500.5
    assert rows.loc[("01007", "MED"), "status"] == "not_available"
    assert rows.loc[("01007", "TP60"), "status"] == "secret"
    assert rows.loc[["01007"], "value"].isna().all()
    with pytest.raises(InputError, match="line 2, column TP6021"):
        read_file(write(tmp_path, "f.csv", FILOSOFI.replace("18,0", "18 %")))
