"""From sums by department and intercommunality to every level above the commune, draw by draw.

Levels are sums of the same numbers, so they agree in every draw: a department is the sum of the
intercommunalities' parts inside it, a region that of its departments, France that of its regions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.data import catalogue
from inegnum.data.areas import department_names
from inegnum.data.codebook import REGION
from inegnum.data.survey import load_survey
from inegnum.estimates.table import AreaDraws, tabulate
from inegnum.study.scale.partition import COLUMNS, arrays
from inegnum.study.scale.run import WideRun

__all__ = ["Sums", "commune_table", "direct_regions", "level_draws", "level_sums", "level_table"]

Floats = npt.NDArray[np.float64]

# Respondents below which a linearised standard error means nothing (Corsica has eight).
_FEWEST = 30
LEVELS = ("france", "region", "department", "epci")


@dataclass(frozen=True, slots=True)
class Sums:
    """Persons of one indicator by area of every level above the commune.

    Attributes
    ----------
    areas : DataFrame of A rows
        ``level, geo``, France first.
    yes, persons : ndarray of shape (A, S)
    """

    areas: pd.DataFrame
    yes: Floats
    persons: Floats


def level_sums(done: WideRun, code: str) -> Sums:
    """Sum the parts of one indicator; France is its sum only when the territory is France."""
    found: dict[tuple[str, str], list[Floats]] = {}
    regions = dict(_regions_of_departments())

    def add(level: str, geo: str, yes: Floats, persons: Floats) -> None:
        held = found.setdefault((level, geo), [np.zeros_like(yes), np.zeros_like(persons)])
        held[0] += yes
        held[1] += persons

    for name in done.departments:
        data = done.figures.known(f"{name}.npz")
        part = arrays(data, "epci", f"{code}.yes", f"{code}.persons")
        for i, epci in enumerate(part["epci"]):
            pair = part[f"{code}.yes"][i], part[f"{code}.persons"][i]
            add("epci", str(epci), *pair)
            add("department", name, *pair)
    for name in done.departments:
        add("region", regions[name], *found["department", name])
    if done.study.territory.france:
        for region in sorted({regions[name] for name in done.departments}):
            add("france", "FR", *found["region", region])
    else:
        national = done.fits[code].national
        everyone = float(done.national.persons(done.fits[code].indicator.universe).sum())
        add("france", "FR", national * everyone, np.full(len(national), everyone))
    keys = sorted(found, key=lambda key: (LEVELS.index(key[0]), key[1]))
    return Sums(
        pd.DataFrame(keys, columns=["level", "geo"]),
        np.stack([found[key][0] for key in keys]),
        np.stack([found[key][1] for key in keys]),
    )


def _regions_of_departments() -> list[tuple[str, str]]:
    communes, _ = catalogue.table("communes")
    pairs = communes[["department", "region"]].drop_duplicates()
    return list(pairs.itertuples(index=False, name=None))


def level_draws(done: WideRun, code: str, sums: Sums, places: pd.DataFrame) -> AreaDraws:
    """Return joint draws of the levels of one indicator.

    Parameters
    ----------
    done : WideRun
    code : str
    sums : Sums
    places : DataFrame
        Of `area_places`.
    """
    fitted = done.fits[code]
    asked = _respondents(code, fitted.year)
    areas = sums.areas.merge(places, on=["level", "geo"], how="left", validate="one_to_one")
    france = areas["level"] == "france"
    areas["basis"] = np.where(france, "direct", "model")
    areas["method"] = np.where(france, "survey", "mrp")
    # The survey says in which region a person was asked, and nothing finer.
    areas["n"] = np.where(
        france,
        int(fitted.direct.n),
        areas["geo"].map(asked).where(areas["level"] == "region", 0).fillna(0).astype(int),
    )
    return AreaDraws(
        fitted.indicator,
        areas,
        (sums.yes / sums.persons).T,
        sums.persons.T,
        fitted.national,
        whole=0,
    )


def level_table(done: WideRun, drawn: AreaDraws) -> pd.DataFrame:
    """Return the rows of the levels of one indicator, columns of the commune tables."""
    study = done.study
    table = tabulate(drawn, year=study.year, prob=study.quality.prob, limits=study.quality.limits())
    table = table.rename(columns={"p_above_metropolis": "p_above_france"})
    kept = {name: drawn.areas[name].to_numpy() for name in ("department", "region", "epci")}
    return table.assign(**kept, urban="")[list(COLUMNS)]


def commune_table(done: WideRun, columns: list[str]) -> pd.DataFrame:
    """Return some columns of every commune's rows."""
    import io

    parts = [
        pd.read_parquet(io.BytesIO(done.figures.known(f"{name}.parquet")), columns=columns)
        for name in done.departments
    ]
    return pd.concat(parts, ignore_index=True)


def area_places(communes: pd.DataFrame) -> pd.DataFrame:
    """Return name, place and tier of every area above the commune.

    Parameters
    ----------
    communes : DataFrame
        ``geo, department, region, epci, tier, N`` of one indicator.

    Returns
    -------
    DataFrame
        ``level, geo, name, department, region, epci, tier``; an intercommunality stands in the
        department where most of its persons live, and every area has the tier of most of them.
    """
    known, _ = catalogue.table("communes")
    epci = known[["epci", "epci_name"]].drop_duplicates()
    # By level: 75 is a region and a department.
    names = {
        "france": {"FR": "France"},
        "region": dict(zip(REGION.levels, REGION.en, strict=True)),
        "department": department_names(),
        "epci": dict(epci.itertuples(index=False, name=None)),
    }
    everyone = communes.assign(france="FR")
    parts = []
    for level in LEVELS:
        column = "france" if level == "france" else level
        main = _largest(everyone, column, list(dict.fromkeys([column, "region", "department"])))
        tier = _largest(everyone, column, [column, "tier"])
        part = {"geo": main[column], "region": main["region"], "department": main["department"]}
        table = pd.DataFrame(part).assign(level=level, epci="", tier=tier["tier"])
        parts.append(table.assign(name=table["geo"].map(names[level])))
    places = pd.concat(parts, ignore_index=True)
    places.loc[places["level"] == "epci", "epci"] = places["geo"]
    places.loc[places["level"].isin(["france", "region"]), "department"] = ""
    places.loc[places["level"] == "france", "region"] = ""
    return places


def _largest(communes: pd.DataFrame, column: str, keys: list[str]) -> pd.DataFrame:
    """Return, for each value of a column, the combination of keys that most persons live under."""
    sums = communes.groupby(keys)["N"].sum().reset_index()
    sums = sums.sort_values([column, "N"]).drop_duplicates(column, keep="last")
    return sums.reset_index(drop=True)


def _respondents(code: str, year: int) -> dict[str, int]:
    asked = load_survey(code).waves(year).table.groupby("region")["n"].sum()
    return {str(region): int(n) for region, n in asked.items()}


def direct_regions(done: WideRun, estimates: pd.DataFrame) -> pd.DataFrame:
    """Return the survey's own rate of each region beside the model's.

    Returns
    -------
    DataFrame
        ``indicator, region, name, n, direct, direct_se, direct_lower, direct_upper, est, lower,
        upper, z``: gap in direct standard errors, missing below `_FEWEST` respondents.
    """
    from inegnum.estimators.evidence import direct_rate

    rows = []
    for code, fitted in done.fits.items():
        cells = load_survey(code).waves(fitted.year).table
        regions = (estimates["level"] == "region") & (estimates["indicator"] == code)
        for row in estimates[regions].to_dict("records"):
            own = cells[cells["region"] == row["geo"]]
            if own["n"].sum() < 2:
                continue
            rate = direct_rate(own)
            half = 1.96 * rate.se
            rows.append(
                {
                    "indicator": code,
                    "region": row["geo"],
                    "name": row["name"],
                    "n": int(rate.n),
                    "direct": rate.rate,
                    "direct_se": rate.se,
                    "direct_lower": rate.rate - half,
                    "direct_upper": rate.rate + half,
                    "est": row["est"],
                    "lower": row["lower"],
                    "upper": row["upper"],
                    "z": (row["est"] - rate.rate) / rate.se if rate.n >= _FEWEST else np.nan,
                }
            )
    return pd.DataFrame(rows)
