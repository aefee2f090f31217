"""Digital mediation in Gironde: places, France services, digital advisers' hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from scripts.build_reference.geography import communes
from scripts.build_reference.sources import plain, read_text
from scripts.build_reference.writing import integer, number, text, write_table

from inegnum.data.catalogue import Column, Record
from inegnum.provenance import Source

YES = {"Oui": 1, "Non": 0, "oui": 1, "non": 0}


def build(shared: Path, out: Path) -> None:
    gironde = communes(shared).query("department == '33'")[["geo", "name", "epci"]]
    places = _places(shared, gironde)
    version = json.loads((shared / "supply/schema_lieux_mediation_numerique.json").read_text())
    write_table(places, _places_record(version["version"]), out)
    write_table(_france_services(shared, gironde), _france_services_record(), out)
    write_table(_advisers(shared, gironde), _advisers_record(), out)


def _places(shared: Path, gironde: pd.DataFrame) -> pd.DataFrame:
    raw = read_text(shared, "supply/lieux_mediation_numerique_gironde.csv")
    codes = {plain(name): geo for name, geo in zip(gironde["name"], gironde["geo"], strict=True)}
    geo = raw["commune"].map(lambda name: codes.get(plain(name), ""))
    return pd.DataFrame(
        {
            "name": raw["lieu"].str.strip(),
            "kind": raw["type_structure"],
            "geo": geo,
            "commune": raw["commune"],
            "epci": geo.map(dict(zip(gironde["geo"], gironde["epci"], strict=True))).fillna(""),
            "address": raw["adresse_postale"],
            "latitude": raw["lat"].astype(float),
            "longitude": raw["lon"].astype(float),
            "services": raw["services"],
            "equipment": raw["equipements"],
            "mediator": raw["presence_d_un_mediateur"].map(YES),
            "drop_in": raw["proposition_de_permanence"].map(YES),
            "website": raw["site_internet"],
            "updated": pd.to_datetime(raw["derniere_maj"], format="%d/%m/%Y").dt.strftime(
                "%Y-%m-%d"
            ),
        }
    )


def _france_services(shared: Path, gironde: pd.DataFrame) -> pd.DataFrame:
    raw = read_text(shared, "supply/france_services_gironde.csv")
    return pd.DataFrame(
        {
            "name": raw["lib_fs"],
            "kind": raw["format_fs_anct"],
            "geo": raw["insee_com"],
            "commune": raw["lib_com"],
            "epci": _epci(raw["insee_com"], gironde),
            "address": raw["adresse"] + ", " + raw["code_postal"],
            "latitude": raw["latitude"].astype(float),
            "longitude": raw["longitude"].astype(float),
            "itinerant": raw["itinerance"].map(YES),
            "labelled": raw["labellisation"].map(_label_date),
        }
    )


def _label_date(label: str) -> str:
    """Return the ISO date at the end of "Espace labellisé 01/01/2020", empty without one."""
    day = label.rsplit(" ", 1)[-1]
    parts = day.split("/")
    return "-".join(reversed(parts)) if len(parts) == 3 else ""


def _advisers(shared: Path, gironde: pd.DataFrame) -> pd.DataFrame:
    raw = read_text(shared, "supply/conseillers_numeriques_structures_gironde.csv")
    names = dict(zip(gironde["geo"], gironde["name"], strict=True))
    return pd.DataFrame(
        {
            "name": raw["structure"].str.split().str.join(" "),
            "siret": raw["siret"],
            "geo": raw["code_insee"],
            "commune": raw["code_insee"].map(names).fillna(""),
            "epci": _epci(raw["code_insee"], gironde),
            "posts": raw["nb_attribues"].astype(int),
            "hired": raw["nb_recrutes"].astype(int),
            "in_training": raw["nb_en_formation"].astype(int),
            "trained": raw["nb_formes"].astype(int),
            "france_services": raw["label_france_services"]
            .map({"oui": "yes", "non": "no"})
            .fillna(""),
        }
    )


def _epci(geo: pd.Series, gironde: pd.DataFrame) -> pd.Series:
    return geo.map(dict(zip(gironde["geo"], gironde["epci"], strict=True))).fillna("")


GEO: tuple[Column, ...] = (
    text("geo", "commune code", "code de la commune"),
    text("commune", "commune as named by the producer", "commune telle que nommée"),
    text("epci", "intercommunality code", "SIREN de l'EPCI"),
)
POINT: tuple[Column, ...] = (
    text("address", "postal address", "adresse postale"),
    number("latitude", "latitude, WGS 84", "latitude, WGS 84"),
    number("longitude", "longitude, WGS 84", "longitude, WGS 84"),
)


def _source(name: str, producer: str, title: str, vintage: str, unit: str) -> Source:
    return Source(
        name=name,
        producer=producer,
        title=title,
        universe="Gironde",
        vintage=vintage,
        geo_vintage="COG 2025",
        unit=unit,
        licence="etalab-2.0",
        address="https://www.data.gouv.fr",
        sha256="",
        role="validate",
        transformation="Columns renamed, dates in ISO form, intercommunality joined by code.",
    )


def _places_record(version: str) -> Record:
    return Record(
        _source(
            "mediation_places",
            "Bordeaux Métropole et Département de la Gironde",
            "Lieux de médiation numérique en Gironde",
            "mises à jour 2019-2024",
            "places",
        ),
        file="mediation_places.csv",
        rows=0,
        columns=(
            text("name", "place", "lieu"),
            text("kind", "kind of structure", "type de structure"),
            *GEO,
            *POINT,
            text("services", "services, separated by /", "services, séparés par /"),
            text("equipment", "equipment, separated by /", "équipements, séparés par /"),
            integer("mediator", "1 if a mediator is present", "1 si un médiateur est présent"),
            integer("drop_in", "1 if drop-in sessions", "1 si des permanences"),
            text("website", "website", "site internet"),
            text("updated", "date of last update", "date de dernière mise à jour"),
        ),
        caveats_en=(
            f"The file predates the national standard ({version}): it has no identifier, and "
            "services are not in the standard's words.",
            "Nine records in ten were last updated in 2021 or before: a place may have closed.",
            "Commune codes come from names; supply is not need, and a list is not a census.",
        ),
        caveats_fr=(
            f"Le fichier est antérieur au standard national ({version}) : pas d'identifiant, et "
            "les services n'en suivent pas la nomenclature.",
            "Neuf fiches sur dix datent de 2021 ou avant : un lieu a pu fermer.",
            "Les codes des communes viennent des noms ; l'offre n'est pas le besoin, et une liste "
            "n'est pas un recensement.",
        ),
    )


def _france_services_record() -> Record:
    return Record(
        _source(
            "france_services",
            "Agence nationale de la cohésion des territoires (ANCT)",
            "Espaces France services en Gironde",
            "labellisations 2020 et suivantes",
            "places",
        ),
        file="france_services.csv",
        rows=0,
        columns=(
            text("name", "place", "lieu"),
            text("kind", "fixed or itinerant", "lieu fixe ou itinérant"),
            *GEO,
            *POINT,
            integer("itinerant", "1 if itinerant", "1 si itinérant"),
            text("labelled", "date of the label", "date de labellisation"),
        ),
        caveats_en=("The date of the extraction is not given by the file.",),
        caveats_fr=("La date d'extraction ne figure pas dans le fichier.",),
    )


def _advisers_record() -> Record:
    return Record(
        _source(
            "digital_advisers",
            "Agence nationale de la cohésion des territoires (ANCT)",
            "Structures accueillant des conseillers numériques en Gironde",
            "non datée",
            "structures",
        ),
        file="digital_advisers.csv",
        rows=0,
        columns=(
            text("name", "host structure", "structure d'accueil"),
            text("siret", "SIRET", "SIRET"),
            *GEO,
            integer("posts", "posts granted", "postes attribués"),
            integer("hired", "advisers hired", "conseillers recrutés"),
            integer("in_training", "in training", "en formation"),
            integer("trained", "trained", "formés"),
            text("france_services", "yes, no, empty if not known", "yes, no, vide si inconnu"),
        ),
        caveats_en=("Hosts, not places of work: an adviser may serve several communes.",),
        caveats_fr=(
            "Structures d'accueil et non lieux d'exercice : un conseiller peut servir plusieurs "
            "communes.",
        ),
    )
