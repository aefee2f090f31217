"""A small country whose truth is known: survey cells by wave, a national frame, a metropolis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from inegnum.data.codebook import REGION, URBAN, profiles
from inegnum.data.types import Frame, Indicator, SurveyCells
from inegnum.provenance import Source

SOURCE = Source(
    "simulated", "nobody", "simulated", "12+", "2022", "persons", "none", "0" * 64, "fit"
)
INDICATOR = Indicator(
    "smartphone", "equipment", "smartphone", "smartphone", "simulated", "12+", "all", "tous", 1
)


@dataclass(frozen=True)
class Country:
    """Logits by profile, urban size and region; shares; the survey drawn from them."""

    profile: np.ndarray
    urban: np.ndarray
    region: np.ndarray
    national: Frame
    metropolis: Frame
    survey: SurveyCells

    def rates(self, frame: Frame, deviation: np.ndarray | float = 0.0) -> np.ndarray:
        """Return the true rate of each area."""
        u = frame.areas["urban"].map({v: i for i, v in enumerate(URBAN.levels)}).to_numpy()
        r = frame.areas["region"].map({v: i for i, v in enumerate(REGION.levels)}).to_numpy()
        area = self.urban[u] + self.region[r] + deviation
        p = expit(area[:, None] + self.profile[None, :])
        return (frame.N * p).sum(axis=1) / frame.N.sum(axis=1)


def country(
    seed: int = 0, *, waves: tuple[int, ...] = (2018, 2019, 2020, 2022), n: int = 3000
) -> Country:
    """Draw a country: effects, frames and `n` respondents a wave."""
    rng = np.random.default_rng(seed)
    table = profiles()
    levels = {c: {v: i for i, v in enumerate(table[c].unique())} for c in table.columns}
    slopes = {"age": (1.0, -2.2), "diploma": (-0.4, 0.9), "occupation": (-0.2, 0.3)}
    profile = 1.6 + 0.1 * (table["sex"] == "men").to_numpy()
    for column, (low, high) in slopes.items():
        effect = np.linspace(low, high, len(levels[column]))
        profile = profile + effect[table[column].map(levels[column]).to_numpy()]
    urban, region = np.linspace(-0.2, 0.2, 5), rng.normal(0, 0.1, 13)
    pairs = [(u, r) for u in range(5) for r in range(13) if (u == 4) == (r == 0) or u < 4]
    base = rng.gamma(1.0, 1.0, len(table)) * 4e4
    tilt = np.exp(rng.normal(0, 0.2, (len(pairs), len(table))))
    areas = pd.DataFrame(pairs, columns=["u", "r"])
    areas = _areas(areas, "stratum", [f"{u}-{r}" for u, r in pairs], "")
    national = Frame(areas, base * tilt, (SOURCE,), 2022)
    local = _areas(
        pd.DataFrame({"u": [3] * 6, "r": [8] * 6}),
        "commune",
        [f"330{i:02d}" for i in range(6)],
        "243300316",
    )
    N = base / 60 * np.exp(rng.normal(0, 0.3, (6, len(table))))
    frames = N * rng.gamma(400.0, 1 / 400.0, (5, *N.shape))
    metropolis = Frame(local, N, (SOURCE,), 2022, frames)
    cells = _survey(rng, table, (profile, urban, region), national, (waves, n))
    return Country(profile, urban, region, national, metropolis, cells)


def _areas(codes: pd.DataFrame, level: str, geo: list[str], epci: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "geo": geo,
            "level": level,
            "name": geo,
            "region": [REGION.levels[r] for r in codes["r"]],
            "urban": [URBAN.levels[u] for u in codes["u"]],
            "tier": "F1",
            "epci": epci,
        }
    )


def _survey(rng, table, effects, national, design) -> SurveyCells:
    profile, urban, region = effects
    waves, n = design
    share = (national.N / national.N.sum()).ravel()
    parts = []
    for wave in waves:
        at = rng.choice(len(share), n, p=share)
        area, who = np.divmod(at, len(table))
        u = national.areas["urban"].map({v: i for i, v in enumerate(URBAN.levels)})
        r = national.areas["region"].map({v: i for i, v in enumerate(REGION.levels)})
        u, r = u.to_numpy()[area], r.to_numpy()[area]
        eta = profile[who] + urban[u] + region[r] - 0.1 * (2022 - wave)
        d = table.iloc[who].reset_index(drop=True)
        d["age"] = d["age"].replace({"12-14": "12-17", "15-17": "12-17"})
        d["urban"] = [URBAN.levels[k] for k in u]
        d["region"] = [REGION.levels[k] for k in r] if wave >= 2020 else ""
        phone = rng.random(n) < np.where(u == 0, 0.3, 0.1)
        d["mode"] = np.where(phone, "phone", "web") if wave >= 2020 else "face_to_face"
        d["wave"], d["n"] = wave, 1.0
        d["y"] = (rng.random(n) < expit(eta)).astype(float)
        d["w"] = rng.gamma(9.0, 1 / 9.0, n)
        d["wy"], d["w2"], d["w2y"] = d["w"] * d["y"], d["w"] ** 2, d["w"] ** 2 * d["y"]
        parts.append(d)
    keys = ["wave", "age", "sex", "diploma", "occupation", "urban", "region", "mode"]
    cells = pd.concat(parts).groupby(keys, as_index=False)[["n", "y", "w", "wy", "w2", "w2y"]].sum()
    return SurveyCells(cells, INDICATOR, SOURCE)
