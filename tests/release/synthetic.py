"""A release folder of simulated figures, to develop and test pages.

Nothing here describes a real place: areas, rates and draws come from a random generator, the
territory is called "Métropole simulée" and the manifest says ``simulated``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from inegnum.estimates.change import CHANGE_COLUMNS, CHANGE_MASKED
from inegnum.estimates.families import FAMILY_COLUMNS
from inegnum.estimates.profiles import COLUMNS
from inegnum.estimates.profiles import GROUPS as PROFILE_GROUPS

NAMES = (
    *("Aubeterre", "Boisclair", "Champ-d'Or", "L'Écluse", "Fontvieille", "Grand-Port"),
    *(
        "Hautes-Terres",
        "Île-Neuve",
        "Montjoie",
        "Saint-Élie-sur-Loue",
        "Trois-Moulins",
        "Valserres",
    ),
)
INDICATORS: dict[str, tuple[str, str, str, str, float, int]] = {
    # code: family, label_fr, label_en, universe, national rate, direction
    "internet_daily": ("uses", "Internet tous les jours", "Internet every day", "12+", 0.82, 1),
    "admin_online": ("uses", "Démarches en ligne", "Online procedures", "12+", 0.71, 1),
    # The longest short name of the registry: it must fit the narrowest window.
    "admin_difficulty": ("ease", "Besoin d'aide", "Need help", "18+", 0.25, -1),
    "smartphone": ("equipment", "Smartphone", "Smartphone", "12+", 0.872, 1),
    "no_device": ("equipment", "Aucun équipement", "No device", "12+", 0.065, -1),
    "fixed_internet": ("connection", "Internet fixe à domicile", "Fixed internet", "12+", 0.85, 1),
}
STEPS = ("france", "age", "diploma", "occupation", "urban", "region", "area")
VARIANTS = (
    ("wave_2020", "Vague 2020 seule", "2020 wave only"),
    ("wave_2022", "Vague 2022 seule", "2022 wave only"),
    ("mode_equal", "Part du téléphone égalisée", "Phone share equalised"),
    ("no_urban", "Sans taille d'agglomération", "Without urban size"),
    ("tau_half", "tau divisé par 2", "tau halved"),
    ("tau_double", "tau multiplié par 2", "tau doubled"),
    ("raking", "Calage sur marges", "Raking"),
)
GROUPS = {
    "age": ("15-17 and 25-29", "18-24", "30-74", "75+"),
    "schooling and diploma": (
        *("enrolled 18-24", "enrolled, other ages", "none", "below_bac", "bac", "higher"),
    ),
    "occupation": (
        *("self_employed", "manager", "intermediate", "employee", "worker", "retired"),
        "inactive",
    ),
}
DRAWS = 400


def grid_geometry() -> dict[str, Any]:
    """Twelve four-sided areas that share their borders, near the centre of France."""
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.arange(5), np.arange(4), indexing="ij")
    jitter = rng.uniform(-0.25, 0.25, size=(2, 5, 4))
    lon, lat = 2.4 + 0.05 * (x + jitter[0]), 47.0 + 0.035 * (y + jitter[1])
    features = []
    for k, name in enumerate(NAMES):
        i, j = divmod(k, 3)
        ring = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1), (i, j)]
        coordinates = [[[float(lon[a, b]), float(lat[a, b])] for a, b in ring]]
        features.append(
            {
                "type": "Feature",
                "properties": {"geo": f"990{k + 1:02d}", "name": name},
                "geometry": {"type": "Polygon", "coordinates": coordinates},
            }
        )
    return {"type": "FeatureCollection", "features": features}


def halves(geometry: dict[str, Any]) -> dict[str, Any]:
    """Cut each four-sided area in two neighbourhoods, west and east."""
    features = []
    for feature in geometry["features"]:
        a, b, c, d, _ = np.array(feature["geometry"]["coordinates"][0])
        low, high = (a + b) / 2, (d + c) / 2
        for k, ring in enumerate(([a, low, high, d, a], [low, b, c, high, low])):
            inside = feature["properties"]
            place = {"geo": f"{inside['geo']}010{k + 1}", "name": f"{inside['name']} {k + 1}"}
            shape = {"type": "Polygon", "coordinates": [[list(map(float, x)) for x in ring]]}
            features.append({"type": "Feature", "properties": place, "geometry": shape})
    return {"type": "FeatureCollection", "features": features}


def real_geometry(path: Path) -> dict[str, Any]:
    """The same release on the outlines of real communes (for looking at the pages)."""
    raw = json.loads(path.read_text("utf-8"))
    for feature in raw["features"]:
        inside = feature["properties"]
        feature["properties"] = {"geo": inside["code"], "name": inside["nom"]}
    return {"type": "FeatureCollection", "features": raw["features"]}


def grade(est: float, lower: float, upper: float) -> str:
    """Class of METHODS section 10, from the interval alone."""
    half = (upper - lower) / 2
    relative = half / min(est, 1 - est)
    for name, width, share in (("A", 0.03, 0.35), ("B", 0.06, 0.7), ("C", 0.10, 1.2)):
        if half <= width and relative <= share:
            return name
    return "D"


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def simulate(
    geometry: dict[str, Any], seed: int, *, iris: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Estimates and draws of every level and indicator, simulated."""
    rng = np.random.default_rng(seed)
    places = [(f["properties"]["geo"], f["properties"]["name"]) for f in geometry["features"]]
    persons = np.round(rng.lognormal(9.4, 0.9, len(places)))
    persons[-1] = 150  # one area under the floor of 200 persons
    rows: list[dict[str, Any]] = []
    draws: list[pd.DataFrame] = []
    for code, (_, _, _, universe, national, _) in INDICATORS.items():
        logit = np.log(national / (1 - national))
        france = _sigmoid(logit + rng.normal(0, 0.04, DRAWS))
        shared = rng.normal(0.35, 0.15, (DRAWS, 1))
        centre = rng.normal(0, 0.25, len(places))
        spread = rng.uniform(0.1, 0.4, len(places))
        local = _sigmoid(logit + shared + centre + rng.normal(0, spread, (DRAWS, len(places))))
        metro = local @ persons / persons.sum()
        columns = [("france", "FR", "France", france, 5.6e7)]
        columns += [("epci", "990000000", "Métropole simulée", metro, persons.sum())]
        columns += [
            ("commune", geo, name, local[:, k], persons[k]) for k, (geo, name) in enumerate(places)
        ]
        if iris:
            below = [f["properties"] for f in halves(geometry)["features"]]
            logits = rng.normal(logit, 0.3, len(below)) + rng.normal(0, 0.4, (DRAWS, len(below)))
            columns += [
                ("iris", place["geo"], place["name"], _sigmoid(logits[:, k]), 2000.0)
                for k, place in enumerate(below)
            ]
        for level, geo, name, values, N in columns:
            row = _row(values, france, metro if level in ("commune", "iris") else None, float(N))
            rows.append(
                {"geo": geo, "level": level, "name": name, "indicator": code}
                | {"universe": universe, "year": 2022, "prob": 0.95}
                | {"basis": "direct" if level == "france" else "model", "method": "simulated"}
                | {"tier": "T1", "n": 4184 if level == "france" else 0}
                | row
            )
            if row["class"] != "D":
                draws.append(
                    pd.DataFrame(
                        {"level": level, "geo": geo, "indicator": code}
                        | {"draw": np.arange(DRAWS, dtype=np.int32), "value": values}
                    )
                )
    return pd.DataFrame(rows), pd.concat(draws, ignore_index=True)


def _row(
    values: np.ndarray, france: np.ndarray, metro: np.ndarray | None, N: float
) -> dict[str, Any]:
    est = float(values.mean())
    lower, upper = np.quantile(values, [0.025, 0.975])
    gap = values - france
    few = N < 200
    name = "D" if few else grade(est, float(lower), float(upper))
    row: dict[str, Any] = {
        "est": est,
        "lower": lower,
        "upper": upper,
        "se": values.std(ddof=1),
        "N": N,
        "people": est * N,
        "people_lower": lower * N,
        "people_upper": upper * N,
        "gap_france": gap.mean(),
        "gap_lower": np.quantile(gap, 0.025),
        "gap_upper": np.quantile(gap, 0.975),
    }
    if name == "D":
        row |= {key: None for key in row if key != "N"}
    row["class"] = name
    row["reason"] = "" if name != "D" else "few_persons" if few else "width"
    row["p_above_metropolis"] = None if metro is None else float((values > metro).mean())
    return row


def side_tables(estimates: pd.DataFrame, seed: int) -> dict[str, pd.DataFrame]:
    """Decomposition, variants and frame margins, simulated."""
    rng = np.random.default_rng(seed + 1)
    decomposition, variants = [], []
    for code in INDICATORS:
        whole = estimates[(estimates["level"] == "epci") & (estimates["indicator"] == code)]
        level = INDICATORS[code][4]
        for step in STEPS:
            delta = 0.0 if step == "france" else float(rng.normal(0.004, 0.01))
            level += delta
            decomposition.append((code, step, level, delta, delta - 0.008, delta + 0.008))
        centre = float(whole["est"].fillna(0.5).iloc[0])
        for name, fr, en in VARIANTS:
            est = float(np.clip(centre + rng.normal(0, 0.01), 0.02, 0.98))
            variants.append((code, name, fr, en, est, max(est - 0.03, 0.0), min(est + 0.03, 1.0)))
    persons = estimates[estimates["level"] == "commune"].groupby("geo", sort=False)["N"].max()
    margins = []
    for geo, N in persons.items():
        for margin, levels in GROUPS.items():
            counts = rng.dirichlet(np.full(len(levels), 8.0)) * N
            margins += [
                (geo, margin, level, count, count, "RP simulé", "2022")
                for level, count in zip(levels, counts, strict=True)
            ]
    return {
        "decomposition.csv": pd.DataFrame(
            decomposition, columns=["indicator", "step", "est", "delta", "lower", "upper"]
        ),
        "variants.csv": pd.DataFrame(
            variants,
            columns=["indicator", "variant", "label_fr", "label_en", "est", "lower", "upper"],
        ),
        "frame_margins.csv": pd.DataFrame(
            margins, columns=["geo", "margin", "level", "target", "achieved", "source", "year"]
        ),
    }


def group_rates(estimates: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Rates of groups of residents, simulated: spread around the area's own."""
    rng = np.random.default_rng(seed + 2)
    keys = [(margin, group) for margin, groups in PROFILE_GROUPS.items() for group in groups]
    rows: list[dict[str, Any]] = []
    for area in estimates[estimates["level"].isin(["epci", "commune"])].to_dict("records"):
        for margin, group in keys:
            N = float(area["N"]) / len(PROFILE_GROUPS[margin])
            row = {key: area[key] for key in ("indicator", "level", "geo", "prob")}
            row |= {"margin": margin, "group": group, "n": 300, "N": N}
            row["p_above_area"] = float(rng.uniform())
            hidden = area["class"] == "D" or rng.uniform() < 0.1
            reason = "area_masked" if area["class"] == "D" else "width"
            row |= {"class": "D" if hidden else "B", "reason": reason if hidden else ""}
            est = float(np.clip((area["est"] or 0.5) + rng.normal(0, 0.08), 0.06, 0.94))
            values = {"est": est, "lower": est - 0.05, "upper": est + 0.05}
            for name, share in (("people", est), ("without", 1 - est)):
                values |= {name: share * N, f"{name}_lower": (share - 0.05) * N}
                values[f"{name}_upper"] = (share + 0.05) * N
            rows.append(row | ({} if hidden else values))
    return pd.DataFrame(rows)[list(COLUMNS)]


def manifest_of(tables: dict[str, pd.DataFrame], n_areas: int, seed: int) -> dict[str, Any]:
    """Manifest of a simulated release, without its output hashes."""
    source = {
        "name": "simulated_survey",
        "producer": "Personne",
        "title": "Enquête simulée",
        "vintage": "2022",
        "geo_vintage": "2023",
        "universe": "12+",
        "unit": "respondents and weights",
        "licence": "CC0-1.0",
        "address": "https://example.org/simulated",
        "sha256": "0" * 64,
        "role": "fit",
        "transformation": "drawn at random",
    }
    reference = {
        "indicator": "smartphone",
        "territory": "Métropole simulée",
        "value": 0.94,
        "year": 2022,
        "mode": "telephone",
        "universe": "unknown",
        "n": 5000,
        "source_title": "Chiffre simulé",
        "address": "https://example.org/figure",
        "comparable": False,
        "known_difference_fr": "Téléphone ; âge minimal inconnu.",
        "known_difference_en": "Telephone; minimum age unknown.",
    }
    return {
        "inegnum": "0.0.0",
        "study": {"title": "Étude simulée", "year": 2022, "simulated": True},
        "seed": seed,
        "engine": "simulated",
        "inputs": [
            source,
            {**source, "name": "census", "title": "Recensement simulé", "unit": "persons"},
        ],
        "versions": {"numpy": np.__version__},
        "territory": {
            "code": "990000000",
            "name": "Métropole simulée",
            "level": "epci",
            "n_areas": n_areas,
        },
        "indicators": {
            code: {
                "family": family,
                "label_fr": fr,
                "label_en": en,
                "wording": "wording inferred: simulated",
                "universe": universe,
                "denominator_fr": "tous les habitants, internautes ou non",
                "denominator_en": "all residents, internet users or not",
                "direction": direction,
            }
            for code, (family, fr, en, universe, _, direction) in INDICATORS.items()
        },
        "variants": tables["variants.csv"].to_dict("records"),
        "reference": [reference, {**reference, "value": 0.93, "year": 2023}],
        "verdicts": [
            {
                "check": "anchor:smartphone",
                "status": "pass",
                "found": 0.08,
                "limit": 0.2,
                "sentence_fr": "Le calage national déplace peu le modèle.",
                "sentence_en": "The national anchor hardly moves the model.",
            },
            {
                "check": "year_gap",
                "status": "warn",
                "found": 4,
                "limit": 2,
                "sentence_fr": "Quatre ans séparent l'enquête du recensement.",
                "sentence_en": "Four years part the survey from the census.",
            },
        ],
        "tau": {
            code: {
                "prior_fr": "demi-normale, 0,20",
                "prior_en": "half-normal, 0.20",
                "origin": "drawn at random",
                "posterior_median": 0.18,
                "lower": 0.08,
                "upper": 0.31,
            }
            for code in INDICATORS
        },
        "indicator_notes": {"smartphone": ["2020: not asked"]},
        "outputs": {},
    }


def families(estimates: pd.DataFrame) -> pd.DataFrame:
    """Families of two indicators: figures of the right shape, one area masked."""
    rows = []
    for family in ("uses", "equipment"):
        members = [code for code, entry in INDICATORS.items() if entry[0] == family]
        areas = estimates[estimates["level"].isin(["epci", "commune"])].drop_duplicates("geo")
        for at, area in enumerate(areas.to_dict("records")):
            grade = "D" if at == 2 else "C" if at == 3 else "A"
            shown = np.nan if grade == "D" else 1.0
            rows.append(
                {key: area[key] for key in ("level", "geo", "name", "year", "prob", "tier")}
                | {"family": family, "indicators": 2, "members": " ".join(members)}
                | {"universe": "12+", "basis": "model", "method": "simulated"}
                | {"gap": 0.02 * shown, "lower": -0.01 * shown, "upper": 0.05 * shown}
                | {"class": grade, "reason": "width" if grade == "D" else ""}
                | {"reference": "FR" if area["level"] == "epci" else "990000000"}
                | {"p_less_favoured": 0.3, "p_less_all": 0.1, "p_less_none": 0.5}
                | {"less": 0.6 * shown, "less_lower": 0.0 * shown, "less_upper": 2.0 * shown}
            )
    return pd.DataFrame(rows)[list(FAMILY_COLUMNS)]


def changes(estimates: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Changes since 2020: rates of the release less a drawn step; a break for one indicator."""
    kept = estimates["level"].isin(["france", "epci", "commune"])
    table = estimates[kept & (estimates["indicator"] != "no_device")].reset_index(drop=True)
    step = np.random.default_rng(seed).normal(0.02, 0.01, len(table))
    table["since"], table["after"], table["change"] = 2020, table["est"], step
    table["before"] = table["after"] - step
    table["lower"], table["upper"], table["p_up"] = step - 0.02, step + 0.02, 0.9
    table.loc[table["class"] == "D", list(CHANGE_MASKED)] = np.nan
    table["comparable"] = table["indicator"] != "admin_online"
    for language, said in (("en", "The question changed."), ("fr", "La question a changé.")):
        table[f"warning_{language}"] = np.where(table["comparable"], "", said)
    return table[list(CHANGE_COLUMNS)]


def write_release(
    path: Path,
    *,
    geometry: dict[str, Any] | None = None,
    seed: int = 7,
    drawn: bool = True,
    iris: bool = False,
) -> Path:
    """Write a simulated release folder; without shapes unless `drawn`, with two IRIS a commune."""
    path.mkdir(parents=True, exist_ok=True)
    shapes = geometry or grid_geometry()
    estimates, draws = simulate(shapes, seed, iris=iris)
    tables = {"estimates.csv": estimates, **side_tables(estimates, seed)}
    tables["profiles.csv"] = group_rates(estimates, seed)
    tables["families.csv"] = families(estimates)
    tables["change.csv"] = changes(estimates, seed)
    for name, table in tables.items():
        table.to_csv(path / name, index=False)
    estimates.to_parquet(path / "estimates.parquet", index=False)
    estimates.to_excel(path / "estimates.xlsx", index=False)
    draws.to_parquet(path / "draws.parquet", index=False)
    if drawn:
        below = halves(shapes)["features"] if iris else []
        collection = {**shapes, "features": [*shapes["features"], *below]}
        (path / "estimates.geojson").write_text(json.dumps(collection), "utf-8")
    manifest = manifest_of(tables, len(shapes["features"]), seed)
    manifest["change"] = {
        "since": 2020,
        "left_out": {"no_device": {"fr": "La question a changé.", "en": "The question changed."}},
        "national": {"smartphone": {"as_collected": 0.03, "telephone_held": 0.02}},
    }
    manifest["outputs"] = {file.name: _hash(file) for file in sorted(path.iterdir())}
    (path / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False), "utf-8")
    return path


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def rehash(path: Path) -> None:
    """Write the manifest's hashes again after a test changed a file on purpose."""
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    manifest["outputs"] = {name: _hash(path / name) for name in manifest["outputs"]}
    (path / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def write_places(path: Path) -> Path:
    """Write three places of mediation in the national standard (only the columns used)."""
    head = "id,nom,commune,code_postal,code_insee,adresse,latitude,longitude,services,date_maj"
    services = "Aide aux démarches administratives|Accès internet"
    rows = [
        f"1,Médiathèque,Aubeterre,99000,99001,1 rue Haute,47.02,2.42,{services},2024-01-15",
        "2,Maison de quartier,Boisclair,99000,99002,2 rue Basse,47.05,2.43,Ateliers,2019-03-01",
        "3,Bus itinérant,Montjoie,99000,,place du Marché,,,,2023-09-30",
    ]
    path.write_text("\n".join([head, *rows]) + "\n", "utf-8")
    return path
