"""Tables that cross dimensions: ages by region, age x occupation, age x diploma, schooling.

They give the frame its interactions; communes give it their totals.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scripts.build_reference.census import insee_record
from scripts.build_reference.sources import read_text
from scripts.build_reference.writing import integer, number, text, write_table

from inegnum.data.catalogue import Column, Record
from inegnum.data.codebook import REGION

SEXES = {"Ensemble": "both", "Hommes": "men", "Femmes": "women", "Homme": "men", "Femme": "women"}
OCCUPATIONS = {
    "Agriculteurs exploitants": "cs1",
    "Artisans, commerçants, chefs d'entreprise": "cs2",
    "Cadres et professions intellectuelles supérieures": "cs3",
    "Professions intermédiaires": "cs4",
    "Employés": "cs5",
    "Ouvriers": "cs6",
    "Retraités": "cs7",
    "Autres personnes sans activité professionnelle": "cs8",
}
EMPLOYED = {
    "Agriculteurs": "self_employed",
    "Artisans, commerçants et chefs d'entreprise": "self_employed",
    "Cadres": "manager",
    "Professions intermédiaires": "intermediate",
    "Employés": "employee",
    "Ouvriers": "worker",
}
DIPLOMAS = {
    "Aucun diplôme ou certificat d'études primaires": "none",
    "BEPC, brevet des collèges, DNB": "below_bac",
    "CAP, BEP ou équivalent": "below_bac",
    "Baccalauréat, brevet professionnel ou équivalent": "bac",
    "Diplôme de l'enseignement supérieur de niveau bac + 2": "higher",
    "Diplôme de l'enseignement supérieur de niveau bac + 3 ou bac + 4": "higher",
    "Diplôme de l'enseignement supérieur de niveau bac + 5 ou plus": "higher",
}
CENSUS_AGES = {
    "15 à 19 ans": (15, 19),
    "20 à 24 ans": (20, 24),
    "25 à 39 ans": (25, 39),
    "40 à 54 ans": (40, 54),
    "55 à 64 ans": (55, 64),
    "65 ans ou plus": (65, 120),
}
SCHOOL_AGES = {
    "11 à 14 ans": (11, 14),
    "15 à 17 ans": (15, 17),
    "18 à 24 ans": (18, 24),
    "25 à 29 ans": (25, 29),
    "30 ans ou plus": (30, 120),
}
# Age x occupation of Bordeaux's attraction area judges the frame, so it never feeds it.
HELD_OUT = "AAV2020-006"
AGE_COLUMNS = (
    integer("first_age", "first year of age", "premier âge"),
    integer("last_age", "last year of age, 120 if open", "dernier âge, 120 si ouvert"),
)
SEX = text("sex", "women, men or both", "women (femmes), men (hommes) ou both (ensemble)")


def build(shared: Path, out: Path) -> None:
    write_table(region_ages(shared), _region_ages_record(), out)
    write_table(department_ages(shared), _department_ages_record(), out)
    write_table(age_occupation(shared), _age_occupation_record(), out)
    write_table(age_diploma(shared), _age_diploma_record(), out)
    write_table(schooling(shared), _schooling_record(), out)
    write_table(employment(shared), _employment_record(), out)


def _transcribed(shared: Path) -> pd.DataFrame:
    return read_text(shared, "census/insee_tables_transcribed.csv")


def region_ages(shared: Path) -> pd.DataFrame:
    raw = read_text(shared, "census/estim_pop_region_sexe_age5_2013_2020.csv")
    codes = {name: code for code, name in zip(REGION.levels, REGION.fr, strict=True)}
    codes["Centre-Val-de-Loire"] = codes["Centre-Val de Loire"]
    kept = raw[raw["territoire"].isin(codes) & (raw["sexe"] != "Ensemble")]
    bounds = kept["age"].str.replace("95+", "95-120", regex=False).str.split("-", expand=True)
    return pd.DataFrame(
        {
            "year": pd.to_numeric(kept["annee"]),
            "region": kept["territoire"].map(codes),
            "sex": kept["sexe"].map(SEXES),
            "first_age": pd.to_numeric(bounds[0]),
            "last_age": pd.to_numeric(bounds[1]),
            "persons": pd.to_numeric(kept["population"]),
        }
    )


def _region_ages_record() -> Record:
    return insee_record(
        "population_region_age",
        "Estimations de population par région, sexe et âge quinquennal",
        "all",
        "1 January 2013 to 1 January 2020",
        "https://www.insee.fr/fr/statistiques/1893198",
        "Metropolitan regions; both sexes left out (their sum).",
        (
            integer("year", "1 January of", "1er janvier de"),
            text("region", "region code", "code de la région"),
            SEX,
            *AGE_COLUMNS,
            number("persons", "persons", "personnes"),
        ),
        (
            ("Estimates, provisional for the last years; not census counts.",),
            ("Estimations, provisoires pour les dernières années ; non des comptages.",),
        ),
    )


def department_ages(shared: Path) -> pd.DataFrame:
    raw = read_text(shared, "census/estim_pop_departement_sexe_age5classes_2019.csv")
    raw = raw[raw["lib_dep"] != ""]
    ages = {
        "019ans": (0, 19),
        "2039ans": (20, 39),
        "4059ans": (40, 59),
        "6074ans": (60, 74),
        "75ansetplus": (75, 120),
    }
    parts = [
        pd.DataFrame(
            {
                "department": raw["dep"],
                "sex": SEXES[sex],
                "first_age": first,
                "last_age": last,
                "persons": pd.to_numeric(raw[f"{sex}_{label}"]),
            }
        )
        for sex in ("Homme", "Femme")
        for label, (first, last) in ages.items()
    ]
    return pd.concat(parts)


def _department_ages_record() -> Record:
    return insee_record(
        "population_department_age",
        "Estimations de population par département, sexe et grande classe d'âge",
        "all",
        "1 January 2019",
        "https://www.insee.fr/fr/statistiques/1893198",
        "Five age classes by sex; totals left out.",
        (
            text("department", "department code", "code du département"),
            SEX,
            *AGE_COLUMNS,
            number("persons", "persons", "personnes"),
        ),
        (("Estimates, not census counts.",), ("Estimations, non des comptages.",)),
    )


def age_occupation(shared: Path) -> pd.DataFrame:
    raw = _transcribed(shared)
    kept = raw[
        (raw["table_id"] == "POP6 V2")
        & (raw["geo_code"] != HELD_OUT)
        & raw["csp"].isin(OCCUPATIONS)
        & raw["age"].isin(CENSUS_AGES)
        & (raw["value"] != "")
    ]
    return _crossed(kept, kept["age"].map(CENSUS_AGES), occupation=kept["csp"].map(OCCUPATIONS))


def age_diploma(shared: Path) -> pd.DataFrame:
    raw = _transcribed(shared)
    kept = raw[
        (raw["table_id"] == "FOR2")
        & (raw["geo_code"] == "ZE2020-2402")
        & raw["diploma"].isin(DIPLOMAS)
        & raw["age"].isin(CENSUS_AGES)
        & (raw["sex"] == "Ensemble")
    ]
    table = _crossed(kept, kept["age"].map(CENSUS_AGES), diploma=kept["diploma"].map(DIPLOMAS))
    keys = [c for c in table.columns if c != "persons"]
    return table.groupby(keys, as_index=False)["persons"].sum()


def _crossed(kept: pd.DataFrame, ages: pd.Series, **extra: pd.Series) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "area": kept["geo_code"],
            "area_name": kept["geo_label"],
            "year": pd.to_numeric(kept["census_year"]),
            "sex": kept["sex"].map(SEXES),
            "first_age": ages.str[0],
            "last_age": ages.str[1],
            **extra,
            "persons": pd.to_numeric(kept["value"]),
        }
    )


def _crossed_columns(name: str, en: str, fr: str) -> tuple[Column, ...]:
    return (
        text("area", "area code", "code du territoire"),
        text("area_name", "area", "territoire"),
        integer("year", "census year", "année du recensement"),
        SEX,
        *AGE_COLUMNS,
        text(name, en, fr),
        number("persons", "persons", "personnes"),
    )


def _age_occupation_record() -> Record:
    return insee_record(
        "census_age_occupation",
        "Population de 15 ans ou plus par sexe, âge et catégorie socioprofessionnelle",
        "15+",
        "RP2017 to RP2021, see year",
        "https://www.insee.fr/fr/statistiques/7633074",
        "Cells of table POP6, transcribed; metropolitan France 2020 and a few areas whose panel of "
        "men is whole; women are both less men.",
        _crossed_columns("occupation", "cs1 to cs8", "cs1 à cs8"),
        (
            ("Metropolitan France: the panel of men stops at 39 years.",),
            ("France métropolitaine : le tableau des hommes s'arrête à 39 ans.",),
        ),
    )


def _age_diploma_record() -> Record:
    return insee_record(
        "census_age_diploma",
        "Population non scolarisée de 15 ans ou plus par âge et diplôme, zone d'emploi de Bourges",
        "15+, no longer enrolled",
        "RP2018",
        "https://www.insee.fr/fr/statistiques/2021053",
        "Cells of table FOR2, transcribed; BEPC and CAP-BEP gathered, higher levels gathered.",
        _crossed_columns("diploma", "highest diploma", "diplôme le plus élevé"),
        (
            ("One employment zone: gives the association of age and diploma, never a level.",),
            (
                "Une seule zone d'emploi : donne l'association de l'âge et du diplôme, jamais un "
                "niveau.",
            ),
        ),
    )


def schooling(shared: Path) -> pd.DataFrame:
    raw = _transcribed(shared)
    raw = raw[raw["geo_code"].isin(["FE-1", "REG-75", "EPCI-243500139", "COM-69123"])]
    raw = raw[pd.to_numeric(raw["census_year"], errors="coerce") >= 2018]
    ages = raw[raw["table_id"].str.startswith("FOR T1") & raw["age"].isin(SCHOOL_AGES)]
    what = {
        "FOR T1 population": "population",
        "FOR T1 population scolarisée": "enrolled",
        "FOR T1 part scolarisée": "enrolled_share",
    }
    schools = _measured(ages, ages["table_id"].map(what), ages["age"].map(SCHOOL_AGES))
    levels = raw[(raw["table_id"] == "FOR T2") & raw["diploma"].isin(DIPLOMAS)]
    shares = _measured(levels, levels["diploma"].map(DIPLOMAS) + "_share", None)
    keys = [c for c in shares.columns if c != "value"]
    shares = shares.groupby(keys, as_index=False)["value"].sum()
    # Where the higher levels were not seen, they are what is left of 100 %.
    wide = shares.pivot_table(index=keys[:-1], columns="measure", values="value")
    rest = ["none_share", "below_bac_share", "bac_share"]
    wide["higher_share"] = 1 - wide[rest].sum(axis=1)
    diplomas = wide.reset_index().melt(keys[:-1], var_name="measure", value_name="value")
    total = raw[raw["diploma"] == "Population non scolarisée de 15 ans ou plus"]
    counts = _measured(total, pd.Series("not_enrolled", index=total.index), None)
    return pd.concat([schools, diplomas.round(4), counts])


def _measured(kept: pd.DataFrame, measure: pd.Series, ages: pd.Series | None) -> pd.DataFrame:
    value = pd.to_numeric(kept["value"])
    return pd.DataFrame(
        {
            "area": kept["geo_code"],
            "area_name": kept["geo_label"],
            "year": pd.to_numeric(kept["census_year"]),
            "sex": kept["sex"].map(SEXES),
            "first_age": 15 if ages is None else ages.str[0],
            "last_age": 120 if ages is None else ages.str[1],
            "measure": measure,
            "value": value.where(kept["unit"] != "percent", value / 100).round(4),
        }
    )


def _schooling_record() -> Record:
    return insee_record(
        "census_schooling",
        "Scolarisation par âge et diplôme des personnes non scolarisées",
        "by age; diplomas: 15+ no longer enrolled",
        "RP2018 to RP2022, see year",
        "https://www.insee.fr/fr/statistiques/7633108",
        "Cells of tables FOR T1 and T2, transcribed; higher education is what is left of 100 %.",
        (
            text("area", "area code", "code du territoire"),
            text("area_name", "area", "territoire"),
            integer("year", "census year", "année du recensement"),
            SEX,
            *AGE_COLUMNS,
            text("measure", "what is measured", "grandeur"),
            number("value", "persons, or proportion", "personnes, ou proportion"),
        ),
        (("Rates are published to 0.1 point.",), ("Les taux sont publiés à 0,1 point près.",)),
    )


def employment(shared: Path) -> pd.DataFrame:
    """Return the share of women in each occupation, from shares of occupations in each sex."""
    raw = _transcribed(shared)
    kept = raw[
        (raw["table_id"] == "EEC CSP des personnes en emploi")
        & (raw["age"] == "15 ans ou plus en emploi")
        & (raw["unit"] == "percent")
    ]
    shares = kept.pivot_table(
        index="csp", columns="sex", values="value", aggfunc=lambda v: float(v.iloc[0])
    )
    main = shares.drop(index=["Ensemble", "Non renseigné"])
    main = main[~main.index.str.contains("qualifiés")]
    # both = w women + (1 - w) men for every occupation: least squares over them.
    gap = main["Femmes"] - main["Hommes"]
    women = float((gap * (main["Ensemble"] - main["Hommes"])).sum() / (gap**2).sum())
    five = main.rename(index=EMPLOYED).groupby(level=0).sum()
    return pd.DataFrame(
        {
            "occupation": five.index,
            "women": (women * five["Femmes"] / five["Ensemble"]).round(4).to_numpy(),
        }
    )


def _employment_record() -> Record:
    return insee_record(
        "employment_occupation_sex",
        "Part de femmes par catégorie socioprofessionnelle (enquête Emploi 2022)",
        "15+, in employment",
        "2022",
        "https://www.insee.fr/fr/statistiques/7456871",
        "From the shares of occupations among women, men and all; women's share of employment is "
        "the one that reconciles the three.",
        (
            text("occupation", "occupation, working classes", "profession, cinq classes"),
            number("women", "share of women", "part de femmes"),
        ),
        (
            ("Shares are published to 0.1 point; a survey, not the census.",),
            ("Parts publiées à 0,1 point près ; une enquête, non le recensement.",),
        ),
    )
