"""Seine-Maritime 2013: every commune's ages, sexes and occupations are known (INSEE, base-ic).

What the frame claims without seeing them is compared with them. Of this file the package holds how
far IRIS depart from their commune in occupations (`iris_occupation_spread`), nothing else; the
census year differs from that of the links, so their level (not their pattern) is moved by the mean
over large communes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from inegnum.data import catalogue
from inegnum.data.codebook import profiles
from inegnum.data.frames.atoms import LOCAL_AGES, LOCAL_SHAPE, OCCUPATIONS, age_groups, to_local
from inegnum.data.frames.communes import _predicted_z
from inegnum.data.frames.imported import imported_margins
from inegnum.data.frames.predict import (
    N_Z,
    draw_occupation,
    draw_shares,
    links,
    predict,
    shares_of,
    z_of,
)
from inegnum.data.frames.strata import department_effect, department_tables, keyed
from inegnum.data.frames.tiers import refine_frame
from inegnum.data.frames.within import occupation_multipliers
from inegnum.data.importers import read_file
from inegnum.data.margins import CommuneMargins
from inegnum.numerics.ipf import Margin, axis_margin, ipf
from shared import shared

pytestmark = [pytest.mark.shared, pytest.mark.slow]

DRAWS = 300


@dataclass(frozen=True)
class Truth:
    counts: pd.DataFrame
    margins: CommuneMargins  # occupations only: ages, schooling, diploma, sex are hidden
    age: np.ndarray
    women: np.ndarray
    small: np.ndarray


@pytest.fixture(scope="module")
def truth() -> Truth:
    path = shared("data", "known_truth", "rp2013_base_ic_evol_struct_pop_seine_maritime_iris.csv")
    raw = pd.read_csv(path, dtype=str)
    numeric = [c for c in raw.columns if c.startswith(("P13", "C13"))]
    counts = raw[numeric].apply(pd.to_numeric).groupby(raw["COM"]).sum()
    communes = catalogue.table("communes")[0].set_index("geo")
    known = counts.index.isin(communes.index) & (counts["C13_POP15P"] > 0)
    counts = counts[known]
    persons = (counts["P13_POP"] - counts["P13_POP0014"]).to_numpy()
    age = np.column_stack(
        [
            counts["P13_POP1529"] - counts["P13_POP1824"],
            counts["P13_POP1824"],
            persons - counts["P13_POP1529"] - counts["P13_POP75P"],
            counts["P13_POP75P"],
        ]
    )
    eight = counts[[f"C13_POP15P_CS{i}" for i in range(1, 9)]].to_numpy(float)
    seven = np.column_stack([eight[:, 0] + eight[:, 1], eight[:, 2:]])
    adults = [f"P13_F{band}" for band in ("1529", "3044", "4559", "6074", "75P")]
    n = len(counts)
    areas = communes.loc[counts.index].rename_axis("geo").reset_index()
    margins = CommuneMargins(
        areas,
        2018,
        counts["P13_POP"].to_numpy(float),
        persons.astype(float),
        counts["P13_POP0014"].to_numpy(float),
        seven / seven.sum(axis=1, keepdims=True),
        np.full((n, 4), np.nan),
        np.full((n, 6), np.nan),
        np.full(n, np.nan),
        pd.DataFrame(index=range(n)),
    )
    return Truth(
        counts.reset_index(drop=True),
        margins,
        age / persons[:, None],
        counts[adults].sum(axis=1).to_numpy() / persons,
        counts["P13_POP"].to_numpy() < 2000,
    )


def test_draws_of_communes_below_the_learned_sizes_cover_their_truth(truth: Truth) -> None:
    """F4: ages and sex from occupation alone, below 2,000 inhabitants where links extrapolate."""
    fitted = links(2018)
    no_schooling = np.full((len(truth.age), 6), 1 / 6)
    error = z_of(truth.age, no_schooling, truth.women) - predict(truth.margins, fitted)
    shift = (error - fitted.effect("76")[0])[~truth.small].mean(axis=0)
    shift[3:8] = 0.0  # schooling and diploma are not known here
    effect = department_effect("76", 2018, DRAWS, 11)
    covered: dict[str, list[bool]] = {"75+": [], "18-24": [], "women": []}
    sizes = []
    for i in np.flatnonzero(truth.small):
        one = truth.margins.at([truth.margins.areas["geo"][i]])
        rng, n = keyed(11, one.areas["geo"][0]), float(one.persons[0])
        drawn = np.concatenate([one.occupation[None], draw_occupation(one, [rng], DRAWS)])
        normal = rng.normal(size=(DRAWS, 1, N_Z))
        z = _predicted_z(one, drawn, effect[:, None], normal)[:, 0]
        age, _, women = shares_of(z + shift)
        age = draw_shares(age[1:], n, rng)
        women = draw_shares(np.stack([women[1:], 1 - women[1:]], axis=-1), n, rng)[:, 0]
        sizes.append(n)
        for name, draws, value in (
            ("75+", age[:, 3], truth.age[i, 3]),
            ("18-24", age[:, 1], truth.age[i, 1]),
            ("women", women, truth.women[i]),
        ):
            lower, upper = np.quantile(draws, [0.025, 0.975])
            covered[name].append(bool(lower <= value <= upper))
    assert len(sizes) > 600
    usual = np.array(sizes) >= 150  # below, the frame is masked from publication
    rate = {name: np.array(hit)[usual].mean() for name, hit in covered.items()}
    # Nominal 0.95; 530 communes of one department share an extrapolation error, hence the room.
    assert rate["75+"] > 0.89
    assert rate["18-24"] > 0.91
    assert rate["women"] > 0.93


def test_sixties_are_told_apart_from_thirties_by_occupation_and_the_very_old(truth: Truth) -> None:
    """F3: only 30-74 is a margin; 60-74 must come from cs7, 75+ and the department's joint."""
    large = np.flatnonzero(truth.counts["P13_POP"] >= 2000)
    urban = truth.margins.areas["urban"][large]
    seeds = to_local(department_tables("76", "28", 2022, 0, 0))[0]
    index = [("rural", "2k-20k", "20k-100k", "100k+", "paris").index(u) for u in urban]
    persons = truth.margins.persons[large][:, None]
    women = np.stack([truth.women[large], 1 - truth.women[large]], axis=1)
    groups = np.broadcast_to(age_groups(LOCAL_AGES)[:, None, None, None], LOCAL_SHAPE)
    occupation = truth.margins.occupation[large]
    margins = [
        Margin("age", groups, truth.age[large] * persons),
        axis_margin("sex", LOCAL_SHAPE, (1,), women * persons),
        axis_margin("occupation", LOCAL_SHAPE, (3,), occupation * persons),
    ]
    fitted = ipf(np.maximum(seeds[index], 1e-9), margins, tol=1e-8).fitted
    sixties = [LOCAL_AGES.index(60), LOCAL_AGES.index(70)]
    mine = fitted[:, sixties].sum(axis=(1, 2, 3, 4)) / persons[:, 0]
    census = truth.counts["P13_POP6074"].to_numpy()[large] / persons[:, 0]
    # Level apart (nine years), the pattern: what one would get from 30-74 in proportion is worse.
    of_rest = census.sum() / truth.age[large, 2].sum()
    proportional = truth.age[large, 2] * of_rest
    error = (mine - census) - (mine - census).mean()
    naive = (proportional - census) - (proportional - census).mean()
    assert np.corrcoef(mine, census)[0, 1] > 0.85
    assert error.std() < 0.6 * naive.std()
    # Women among the old: sex is a margin of all ages only.
    old = fitted[:, LOCAL_AGES.index(75)].sum(axis=(2, 3))
    share = old[:, 0] / old.sum(axis=1)
    known = (truth.counts["P13_F75P"] / truth.counts["P13_POP75P"]).to_numpy()[large]
    assert np.abs(share - known).mean() < 0.04
    # Occupation by sex, never published by margin: managers and workers.
    for k, code in ((1, "CS3"), (4, "CS6"), (6, "CS8")):
        both = fitted[:, :, :, :, k].sum(axis=(1, 3))
        women_in = both[:, 0].sum() / both.sum()
        census_in = (
            truth.counts[f"C13_F15P_{code}"][large].sum()
            / truth.counts[f"C13_POP15P_{code}"][large].sum()
        )
        assert abs(women_in - census_in) < 0.05, code


def test_rouen_by_iris_finds_the_sex_of_occupations_it_was_not_told() -> None:
    """F2: sex x age and occupation are given by IRIS; occupation x sex is hidden and known."""
    path = shared("data", "known_truth", "rp2013_base_ic_evol_struct_pop_seine_maritime_iris.csv")
    raw = pd.read_csv(path, dtype=str)
    raw = raw[raw["COM"] == "76540"].set_index("iris")
    numeric = [c for c in raw.columns if c.startswith(("P13", "C13"))]
    counts = raw[numeric].apply(pd.to_numeric)
    counts = counts[counts["C13_POP15P"] > 500]
    areas, margins, sources = imported_margins([read_file(path)])
    # Told less than the file says: occupation without sex.
    work = margins["margin"] == "occupation x sex"
    both = margins[work].groupby(["geo", "occupation", "first_age", "last_age", "year"])["persons"]
    hidden = both.sum().reset_index().assign(margin="occupation", sex="", status="")
    margins = pd.concat([margins[~work], hidden])
    areas = areas[areas["geo"].isin(counts.index)].sort_values("geo")
    counts = counts.loc[areas["geo"]]
    frame = refine_frame(areas, margins, sources, draws=20, seed=4)
    assert set(frame.areas["tier"]) == {"F2"}
    table = profiles()
    women = (table["sex"] == "women").to_numpy()
    for name, code, limit in (
        ("manager", "CS3", 0.06),
        ("employee", "CS5", 0.06),
        ("worker", "CS6", 0.07),
    ):
        held = (table["occupation"] == name).to_numpy()
        mine = frame.N[:, held & women].sum(axis=1) / frame.N[:, held].sum(axis=1)
        known = (counts[f"C13_F15P_{code}"] / counts[f"C13_POP15P_{code}"]).to_numpy()
        size = counts[f"C13_POP15P_{code}"].to_numpy()
        # Weighted by size: an IRIS holds about 200 persons of a class, of a sample of 2 in 5.
        assert np.average(np.abs(mine - known), weights=size) < limit, name


def test_draws_of_iris_cover_the_occupations_nobody_tells() -> None:
    """F4: the spread is learned on the other communes of the department, Rouen is hidden."""
    from scripts.build_reference.iris_spread import FILE, spread

    table = spread(shared("data"), leave_out="76540")
    matrix = table.pivot_table(index="occupation", columns="with", values="covariance")
    matrix = matrix.loc[list(OCCUPATIONS), list(OCCUPATIONS)].to_numpy()
    values, vectors = np.linalg.eigh(matrix)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    raw = pd.read_csv(shared("data", *FILE.split("/")), dtype=str)
    raw = raw[raw["COM"] == "76540"]
    eight = raw[[f"C13_POP15P_CS{i}" for i in range(1, 9)]].apply(pd.to_numeric).to_numpy(float)
    counts = np.column_stack([eight[:, 0] + eight[:, 1], eight[:, 2:]])
    counts = counts[counts.sum(axis=1) >= 500]
    persons = counts.sum(axis=1)
    shares = counts.sum(axis=0) / persons.sum()
    drawn = occupation_multipliers(
        np.tile(shares, (DRAWS, 1)), persons, np.random.default_rng(3), spread=root
    )
    # What the census sees of an IRIS is a sample of a quarter of its households.
    rng = np.random.default_rng(4)
    seen = (persons / 6).astype(int)
    p = drawn * shares / (drawn * shares).sum(axis=2, keepdims=True)
    observed = rng.multinomial(seen, p) / seen[:, None]
    lower, upper = np.quantile(observed, [0.025, 0.975], axis=0)
    truth = counts / persons[:, None]
    covered = ((lower <= truth) & (truth <= upper)).mean(axis=0)
    # 37 IRIS an occupation, of one city that may differ from the others; nominal 0.95.
    assert len(truth) == 37
    assert covered.min() > 0.80
    assert covered.mean() > 0.90
    # Without the spread they would not be covered: managers of an IRIS are not those of the city.
    still = rng.multinomial(seen, np.tile(shares, (DRAWS, len(seen), 1))) / seen[:, None]
    lower, upper = np.quantile(still, [0.025, 0.975], axis=0)
    assert ((lower <= truth) & (truth <= upper)).mean(axis=0)[1] < 0.5
