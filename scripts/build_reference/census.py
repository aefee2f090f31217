"""Census margins of communes: occupation 2022; ages, schooling, diploma 2018, 2012; income."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scripts.build_reference.geography import INSEE
from scripts.build_reference.sources import read_text
from scripts.build_reference.writing import integer, number, text, write_table

from inegnum.data.catalogue import Column, Record
from inegnum.provenance import Source

LICENCE = "etalab-2.0"
GEO = text("geo", "commune code", "code de la commune")
CS = {
    "cs1": ("farmers", "agriculteurs exploitants"),
    "cs2": ("craftsmen, shopkeepers, company heads", "artisans, commerçants, chefs d'entreprise"),
    "cs3": ("managers", "cadres et professions intellectuelles supérieures"),
    "cs4": ("intermediate occupations", "professions intermédiaires"),
    "cs5": ("employees", "employés"),
    "cs6": ("workers", "ouvriers"),
    "cs7": ("retired", "retraités"),
    "cs8": ("others without occupation", "autres personnes sans activité professionnelle"),
}
# Column of the tidy table: (column of the producer's file, English, French).
RP = {
    "population": ("pop_tot", "persons", "population"),
    "age_0_14": ("pop_0_14", "aged 0 to 14", "0 à 14 ans"),
    "age_15_29": ("pop_15_29", "aged 15 to 29", "15 à 29 ans"),
    "age_18_24": ("pop_18_24", "aged 18 to 24", "18 à 24 ans"),
    "age_75p": ("pop_75p", "aged 75 and over", "75 ans et plus"),
    "women": ("pop_femmes", "women of all ages", "femmes de tous âges"),
    "active": ("pop_act_15p", "in the labour force, 15+", "actifs de 15 ans et plus"),
    "unemployed": ("pop_chom", "unemployed, 15+", "chômeurs de 15 ans et plus"),
    "enrolled_18_24": ("pop_scol_18_24", "enrolled, 18 to 24", "scolarisés de 18 à 24 ans"),
    "not_enrolled_15p": (
        "pop_non_scol_15p",
        "no longer enrolled, 15+",
        "non scolarisés de 15 ans et plus",
    ),
}
DIPLOMAS = {
    "bepc": ("pop_dipl_bepc", "BEPC, brevet", "BEPC, brevet"),
    "cap_bep": ("pop_dipl_capbep", "CAP, BEP", "CAP, BEP"),
    "bac": ("pop_dipl_bac", "baccalauréat", "baccalauréat"),
}
DWELLINGS = {
    "dwellings": ("log_rp", "main residences", "résidences principales"),
    "social_rented": ("log_hlm", "let in social housing", "louées en HLM"),
    "flats": ("log_appart", "flats", "appartements"),
}
NO_CODE = {
    "en": "Communes merged or split since the census keep the code of the census's geography.",
    "fr": "Les communes fusionnées ou scindées depuis gardent le code de la géographie du "
    "recensement.",
}


def build(shared: Path, out: Path) -> None:
    write_table(occupation_2022(shared), _occupation_record(), out)
    for year in (2018, 2012):
        write_table(census(shared, year), _census_record(year), out)
    write_table(income(shared), _income_record(), out)
    write_table(iris(shared), _iris_record(), out)


def numbers(columns: pd.Series) -> pd.Series:
    """Read a column as numbers: ``s``, ``nd`` and empty are missing; decimal commas are points."""
    cleaned = columns.str.replace(",", ".").where(~columns.isin(["", "s", "nd"]), None)
    return pd.to_numeric(cleaned)


def occupation_2022(shared: Path) -> pd.DataFrame:
    """Return everyone 15+ by occupation, every commune."""
    raw = read_text(shared, "census/rp2022_pop15p_csp8_communes_france.csv.gz")
    table = pd.DataFrame({"geo": raw["code_commune"], "persons_15p": numbers(raw["pop15p"])})
    for code in CS:
        table[code] = numbers(raw[f"pop15p_{code}"]).fillna(0.0)
    # An absent class is an empty one, not a suppressed one: with zeros the rows add up.
    gap = (table[list(CS)].sum(axis=1) - table["persons_15p"]).abs()
    if gap.max() > 4:  # eight counts rounded to the unit
        raise ValueError(f"occupations do not add up to the total, by up to {gap.max()}")
    return table.round(0)


def _occupation_record() -> Record:
    return insee_record(
        "census_occupation_2022",
        "Population de 15 ans ou plus par catégorie socioprofessionnelle, communes (RP2022)",
        "15+",
        "RP2022",
        "https://www.insee.fr/fr/statistiques/8581810",
        "Eight occupations as published; absent classes written as zero after checking that rows "
        "add up to the published total within rounding.",
        (
            GEO,
            integer("persons_15p", "persons 15+", "personnes de 15 ans et plus"),
            *(integer(code, *labels) for code, labels in CS.items()),
        ),
        (
            (
                "Complementary exploitation: a quarter of households below 10,000 inhabitants, two "
                "fifths of addresses above; small counts move in steps of about five.",
                "cs8 holds pupils and students without a job; apprentices are in cs5 and cs6.",
            ),
            (
                "Exploitation complémentaire : un quart des ménages sous 10 000 habitants, deux "
                "cinquièmes des adresses au-dessus ; les petits effectifs vont de cinq en cinq.",
                "cs8 contient les élèves et étudiants sans emploi ; les apprentis en cs5 et cs6.",
            ),
        ),
        geo_vintage="COG 2025",
        extension="parquet",
    )


def census(shared: Path, year: int) -> pd.DataFrame:
    """Return the main margins of communes over 2,000 inhabitants."""
    raw = read_text(shared, f"census/rp{year}_communes_2000hab.csv.gz")
    kept = {
        name: numbers(raw[column]) for name, (column, *_) in (RP | DIPLOMAS | DWELLINGS).items()
    }
    table = pd.DataFrame({"geo": raw["code_insee"], **kept})
    if year == 2018:
        table["none"] = numbers(raw["pop_dipl_aucun"])
        table["bac2"] = numbers(raw["pop_dipl_sup2"])
        table["bac3_4"] = numbers(raw["pop_dipl_sup34"])
        table["bac5"] = numbers(raw["pop_dipl_sup"])
        told = table[["none", "bepc", "cap_bep", "bac", "bac2", "bac3_4", "bac5"]].sum(axis=1)
        if ((told - table["not_enrolled_15p"]).abs() > 0.5).any():
            raise ValueError("diplomas of 2018 do not add up to persons no longer enrolled")
    else:
        # The certificat d'études is not a column of the 2012 file: it is what is missing.
        table["bac2"] = numbers(raw["pop_dipl_bac2"])
        table["bac3p"] = numbers(raw["pop_dipl_sup"])
        known = table[["bepc", "cap_bep", "bac", "bac2", "bac3p"]].sum(axis=1)
        table["none"] = table["not_enrolled_15p"] - known
    return table.round(1)


def _census_record(year: int) -> Record:
    higher = {
        2018: (
            ("bac2", "bac + 2", "bac + 2"),
            ("bac3_4", "bac + 3 or 4", "bac + 3 ou 4"),
            ("bac5", "bac + 5 or more", "bac + 5 ou plus"),
        ),
        2012: (
            ("bac2", "bac + 2", "bac + 2"),
            ("bac3p", "beyond bac + 2", "au-delà de bac + 2"),
        ),
    }[year]
    columns = (
        GEO,
        *(number(name, en, fr) for name, (_, en, fr) in RP.items()),
        *(number(name, en, fr) for name, (_, en, fr) in DIPLOMAS.items()),
        *(number(name, en, fr) for name, (_, en, fr) in DWELLINGS.items()),
    )
    extra = {
        2018: "",
        2012: " No diploma or CEP is the total less the other levels (the CEP is not a column).",
    }
    last = {
        # Order of the data frame: none precedes the higher levels in 2018 and follows in 2012.
        2018: (number("none", "no diploma or CEP", "sans diplôme ou CEP"), *_numbers(higher)),
        2012: (*_numbers(higher), number("none", "no diploma or CEP", "sans diplôme ou CEP")),
    }
    return insee_record(
        f"census_{year}",
        f"Recensement {year}, communes de plus de 2 000 habitants : âge, scolarité, diplôme, "
        "activité, logement",
        "all; diplomas: 15+ no longer enrolled",
        f"RP{year}",
        "https://www.insee.fr/fr/statistiques/zones/5397441",
        f"Counts as published, rounded to 0.1.{extra[year]}",
        columns + last[year],
        (
            (
                "Communes over 2,000 inhabitants only; ages between 30 and 74 are a residual.",
                "Diplomas are those of people of 15 and over no longer enrolled.",
                NO_CODE["en"],
            ),
            (
                "Communes de plus de 2 000 habitants seulement ; les 30-74 ans sont un reste.",
                "Les diplômes sont ceux des personnes de 15 ans et plus non scolarisées.",
                NO_CODE["fr"],
            ),
        ),
        geo_vintage="COG of the census" if year == 2012 else "COG 2021",
        extension="parquet",
    )


def _numbers(columns: tuple[tuple[str, str, str], ...]) -> tuple[Column, ...]:
    return tuple(number(*column) for column in columns)


def income(shared: Path) -> pd.DataFrame:
    """Return income and poverty 2021 with persons in rented dwellings 2022."""
    money = read_text(shared, "census/filosofi2021_communes_france.csv.gz")
    rented = read_text(
        shared, "census/rp2022_population_locataires_pauvrete_communes_france.csv.gz"
    )
    table = pd.DataFrame(
        {
            "geo": money["CODGEO"],
            "households": numbers(money["NBMENFISC21"]),
            "median": numbers(money["MED21"]),
            "poverty": numbers(money["TP6021"]) / 100,
        }
    )
    housed = numbers(rented["total_loc_et_prop"])
    tenants = pd.DataFrame(
        {
            "geo": rented["code_commune"],
            "tenants": (numbers(rented["total_locataires"]) / housed.where(housed > 0)).round(4),
        }
    )
    return table.merge(tenants, on="geo", how="outer")


def _income_record() -> Record:
    return insee_record(
        "income_2021",
        "Revenus et pauvreté des communes (Filosofi 2021), part de locataires (RP2022)",
        "persons in fiscal households",
        "Filosofi 2021, RP2022",
        "https://www.insee.fr/fr/statistiques/7756729",
        "Percentages turned into proportions; secret or masked values are missing.",
        (
            GEO,
            number("households", "fiscal households", "ménages fiscaux"),
            number(
                "median",
                "median disposable income per consumption unit, euros a year",
                "médiane du revenu disponible par unité de consommation, euros par an",
            ),
            number("poverty", "share below 60 % of the median", "part sous 60 % de la médiane"),
            number(
                "tenants",
                "share of persons in rented dwellings",
                "part des personnes en logement loué",
            ),
        ),
        (
            ("A missing poverty rate is masked by the producer (statistical secret), never zero.",),
            ("Un taux de pauvreté absent est masqué (secret statistique), jamais nul.",),
        ),
        geo_vintage="COG 2022",
        extension="parquet",
    )


def iris(shared: Path) -> pd.DataFrame:
    """Return ages and living alone by IRIS of ten cities."""
    raw = read_text(shared, "census/rp2022_iris_15p_55p_vivant_seul_10villes.csv")
    return pd.DataFrame(
        {
            "geo": raw["IRIS"],
            "city": raw["ville"],
            "persons_15p": numbers(raw["P22_POP15P"]).round(1),
            "persons_55p": numbers(raw["P22_POP55P"]).round(1),
            "alone_55p": numbers(raw["P22_POP55P_PSEUL"]).round(1),
            "alone_80p": numbers(raw["P22_POP80P_PSEUL"]).round(1),
        }
    )


def _iris_record() -> Record:
    return insee_record(
        "iris_2022",
        "Personnes de 15 et 55 ans et plus, vivant seules, IRIS de dix villes (RP2022)",
        "15+",
        "RP2022",
        "https://www.insee.fr/fr/statistiques/8581810",
        "Counts as published, rounded to 0.1.",
        (
            text("geo", "IRIS code", "code IRIS"),
            text("city", "city", "ville"),
            number("persons_15p", "persons 15+", "personnes de 15 ans et plus"),
            number("persons_55p", "persons 55+", "personnes de 55 ans et plus"),
            number("alone_55p", "55+ living alone", "55 ans et plus vivant seuls"),
            number("alone_80p", "80+ living alone", "80 ans et plus vivant seuls"),
        ),
        (
            ("Ten cities only; Bordeaux has its 88 IRIS, the rest of its métropole none.",),
            ("Dix villes seulement ; Bordeaux a ses 88 IRIS, le reste de sa métropole aucun.",),
        ),
        geo_vintage="IRIS 2022",
        extension="parquet",
    )


def insee_record(
    name: str,
    title: str,
    universe: str,
    vintage: str,
    address: str,
    transformation: str,
    columns: tuple[Column, ...],
    caveats: tuple[tuple[str, ...], tuple[str, ...]],
    *,
    geo_vintage: str = "",
    extension: str = "csv",
) -> Record:
    """Return the record of a table of persons INSEE publishes; caveats in English, then French."""
    return Record(
        Source(
            name=name,
            producer=INSEE,
            title=title,
            universe=universe,
            vintage=vintage,
            geo_vintage=geo_vintage,
            unit="persons",
            licence=LICENCE,
            address=address,
            role="fit",
            sha256="",
            transformation=transformation,
        ),
        file=f"{name}.{extension}",
        rows=0,
        columns=columns,
        caveats_en=caveats[0],
        caveats_fr=caveats[1],
    )
