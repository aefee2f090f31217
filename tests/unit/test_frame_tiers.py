"""Frames from joints and of parts of communes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from inegnum.data.areas import load_areas
from inegnum.data.codebook import profiles
from inegnum.data.frames.build import build_frame
from inegnum.data.frames.given import MARGIN_COLUMNS
from inegnum.data.frames.iris import iris_margins
from inegnum.data.frames.joint import frame_from_joint
from inegnum.data.frames.tiers import refine_frame
from inegnum.data.frames.within import occupation_multipliers
from inegnum.data.margins import CommuneMargins, commune_margins
from inegnum.errors import FrameError, InputError, IsolationError, MarginError
from inegnum.provenance import Source

GEO = "33063"
SOURCE = Source(
    name="given",
    producer="a test",
    title="made up",
    universe="15+",
    vintage="2022",
    unit="persons",
    licence="etalab-2.0",
    sha256="",
    role="fit",
)
BANDS = ((15, 29), (30, 44), (45, 59), (60, 74), (75, 120))


def _margins(geo: str = GEO, scale: float = 1.0, year: int = 2022) -> pd.DataFrame:
    """Return sex x age and occupation of one area, as INSEE's local tables give them."""
    women = np.array([38_000, 28_000, 21_000, 18_000, 14_000]) * scale
    men = np.array([36_000, 29_000, 20_000, 15_000, 9_000]) * scale
    rows = [
        (geo, "sex x age", first, last, sex, "", "", count, year)
        for sex, counts in (("women", women), ("men", men))
        for (first, last), count in zip(BANDS, counts, strict=True)
    ]
    work = {
        "self_employed": 8_000,
        "manager": 52_000,
        "intermediate": 39_000,
        "employee": 31_000,
        "worker": 14_000,
        "retired": 37_000,
        "inactive": 47_000,
    }
    rows += [(geo, "occupation", 15, 120, "", "", o, n * scale, year) for o, n in work.items()]
    return pd.DataFrame(rows, columns=list(MARGIN_COLUMNS))


def _areas(*geos: str) -> pd.DataFrame:
    return pd.DataFrame({"geo": list(geos), "commune": [GEO] * len(geos)})


def test_a_published_joint_is_met_and_makes_the_tier_f2() -> None:
    frame = refine_frame(_areas(GEO), _margins(), (SOURCE,), draws=8, seed=1)
    assert frame.areas["tier"].tolist() == ["F2"]
    report = frame.report[frame.report["margin"] == "sex x age"]
    np.testing.assert_allclose(report["achieved"], report["target"], atol=0.5)
    table = profiles()
    seventy = frame.N[0, (table["age"] == "70+").to_numpy() & (table["sex"] == "women").to_numpy()]
    assert 14_000 < seventy.sum() < 14_000 + 18_000
    assert frame.persons("15+")[0] == pytest.approx(_margins()["persons"].iloc[:10].sum(), rel=1e-5)
    assert frame.draws[:, 0].sum(axis=1).std() > 0
    assert frame.sources[-1] is SOURCE


def test_what_no_margin_says_stays_the_communes() -> None:
    commune = build_frame(load_areas(communes=[GEO]))
    own = commune.report
    ages = own[own["margin"] == "age"]["target"].to_numpy()
    given = pd.DataFrame(
        [(GEO, "age", 15, 120, "", "", "", ages.sum(), 2022)], columns=list(MARGIN_COLUMNS)
    )
    frame = refine_frame(_areas(GEO), given, (SOURCE,))
    # A margin that says nothing new changes nothing: only the tolerance of two fits.
    np.testing.assert_allclose(frame.N, commune.N, rtol=2e-3, atol=1.0)
    assert frame.areas["tier"].tolist() == ["F3"]


def test_parts_of_a_commune_get_their_own_margins_and_its_associations() -> None:
    margins = pd.concat([_margins("330630101", 0.01), _margins("330630102", 0.02)])
    frame = refine_frame(_areas("330630101", "330630102"), margins, (SOURCE,))
    assert frame.areas["level"].tolist() == ["iris", "iris"]
    assert frame.persons("15+")[1] == pytest.approx(2 * frame.persons("15+")[0], rel=1e-5)
    # 12-14 follow the commune's ratio to persons of 15 and over.
    assert frame.persons("12+")[0] > frame.persons("15+")[0]


def test_older_margins_grow_with_the_commune() -> None:
    now = refine_frame(_areas(GEO), _margins(), (SOURCE,))
    then = refine_frame(_areas(GEO), _margins(year=2018), (SOURCE,))
    communes = load_areas(communes=[GEO]).iloc[0]
    growth = communes["population_2022"] / communes["population_2018"]
    assert then.persons("15+")[0] / now.persons("15+")[0] == pytest.approx(growth, rel=1e-5)


def test_a_suppressed_cell_leaves_its_margin_out_and_says_so() -> None:
    margins = _margins()
    margins.loc[margins["occupation"] == "worker", "persons"] = np.nan
    frame = refine_frame(_areas(GEO), margins, (SOURCE,))
    left = frame.report[frame.report["margin"] == "occupation"]
    assert left["reason"].tolist() == ["left out: a cell is suppressed"]
    assert "occupation" not in frame.areas["observed"][0]


def test_margins_a_little_apart_are_reconciled_and_far_apart_refused() -> None:
    margins = _margins()
    work = margins["margin"] == "occupation"
    margins.loc[work, "persons"] *= 1.04
    frame = refine_frame(_areas(GEO), margins, (SOURCE,))
    report = frame.report[frame.report["margin"] == "occupation"]
    np.testing.assert_allclose(report["target"], report["published"] / 1.04, rtol=1e-9)
    margins.loc[work, "persons"] *= 1.5
    with pytest.raises(MarginError, match=r"33063: sex x age and occupation"):
        refine_frame(_areas(GEO), margins, (SOURCE,))


def test_odd_margins_are_refused() -> None:
    margins = _margins()
    with pytest.raises(InputError, match="cuts ages"):
        refine_frame(_areas(GEO), margins.assign(last_age=33), (SOURCE,))
    with pytest.raises(InputError, match="unknown level of occupation"):
        refine_frame(_areas(GEO), margins.replace("worker", "workers"), (SOURCE,))
    with pytest.raises(MarginError, match="no margin counts everyone"):
        refine_frame(_areas(GEO), margins[margins["sex"] == "women"], (SOURCE,))
    with pytest.raises(MarginError, match="same persons"):
        refine_frame(_areas(GEO), pd.concat([margins, margins.head(1)]), (SOURCE,))
    with pytest.raises(InputError, match="lacks columns"):
        refine_frame(_areas(GEO), margins.drop(columns="year"), (SOURCE,))
    validate = Source(**{**{f: getattr(SOURCE, f) for f in SOURCE.__slots__}, "role": "validate"})
    with pytest.raises(IsolationError):
        refine_frame(_areas(GEO), margins, (validate,))


def _joint() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(5)
    rows = []
    for geo in ("A", "B"):
        records = rng.poisson(3.0, len(profiles()))
        rows.append(profiles().assign(geo=geo, records=records, persons=2.5 * records))
    areas = pd.DataFrame(
        {
            "geo": ["A", "B"],
            "level": "commune",
            "name": ["a", "b"],
            "region": "75",
            "urban": "rural",
            "epci": "",
        }
    )
    return areas, pd.concat(rows)


def test_the_joint_file_is_the_frame_and_its_draws_follow_the_records() -> None:
    areas, joint = _joint()
    frame = frame_from_joint(areas, joint, (SOURCE,), year=2021, draws=400, seed=2)
    np.testing.assert_allclose(frame.N.sum(axis=1), joint.groupby("geo")["persons"].sum())
    np.testing.assert_allclose(frame.draws.sum(axis=2), np.tile(frame.N.sum(axis=1), (400, 1)))
    assert frame.areas["tier"].tolist() == ["F1", "F1"]
    # Relative sd of a cell of n records is near 1 / sqrt(n); 400 draws give it to 4 %, and the
    # fixed total takes a little away.
    records = joint["records"].to_numpy().reshape(2, -1)
    usual = records >= 3
    relative = frame.draws.std(axis=0)[usual] / frame.N[usual]
    np.testing.assert_allclose(np.mean(relative * np.sqrt(records[usual])), 1.0, atol=0.05)


def test_joint_rows_outside_the_codebook_are_refused() -> None:
    areas, joint = _joint()
    with pytest.raises(InputError, match="not a profile"):
        frame_from_joint(areas, joint.replace("worker", "workers"), (SOURCE,), year=2021)
    with pytest.raises(InputError, match="missing or negative"):
        frame_from_joint(areas, joint.assign(persons=-1.0), (SOURCE,), year=2021)


def test_iris_of_bordeaux_differ_by_age_and_add_up_to_the_city() -> None:
    areas, margins, sources = iris_margins(GEO)
    frame = refine_frame(areas, margins, sources)
    assert len(frame.areas) == len(areas) == 88
    assert set(frame.areas["tier"]) == {"F4"}
    city = build_frame(load_areas(communes=[GEO]))
    # IRIS come from the main exploitation, occupations of the city from the complementary one.
    assert frame.persons("15+").sum() == pytest.approx(city.persons("15+")[0], rel=0.02)
    old = (profiles()["age"].isin(["60-69", "70+"])).to_numpy()
    share = frame.N[:, old].sum(axis=1) / frame.persons("15+")
    assert share.min() < 0.6 * share.max()
    with pytest.raises(FrameError, match="no IRIS"):
        iris_margins("33281")


def test_multipliers_of_occupations_make_up_the_commune() -> None:
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.full(7, 5.0), size=40)
    persons = np.array([900.0, 2500.0, 1800.0, 400.0])
    m = occupation_multipliers(shares, persons, rng)
    w = persons / persons.sum()
    np.testing.assert_allclose(np.einsum("i,fio->fo", w, m), 1.0, atol=1e-9)
    np.testing.assert_allclose(np.einsum("fo,fio->fi", shares, m), 1.0, atol=1e-3)
    assert m.std() > 0.15


def test_iris_without_occupations_depart_from_their_commune_in_draws_only() -> None:
    areas, margins, sources = iris_margins(GEO)
    some = areas["geo"].head(12)
    margins = margins[margins["geo"].isin(some)]
    frame = refine_frame(areas.head(12), margins, sources, draws=20, seed=3)
    managers = (profiles()["occupation"] == "manager").to_numpy()
    share = frame.draws[:, :, managers].sum(axis=2) / frame.draws.sum(axis=2)
    point = frame.N[:, managers].sum(axis=1) / frame.N.sum(axis=1)
    # Log sd 0.65 between IRIS (census); the ages of an IRIS take a part of it back.
    assert np.log(share).std(axis=0).mean() > 0.25
    assert point.std() < 0.05
    # Together they still are the commune: no drift of the mean.
    whole = (share * frame.draws.sum(axis=2)).sum(axis=1) / frame.draws.sum(axis=(1, 2))
    assert abs(whole.mean() - np.average(point, weights=frame.N.sum(axis=1))) < 0.02


def _hidden(margins: CommuneMargins) -> CommuneMargins:
    """Return the same communes as if they had fewer than 2,000 inhabitants: occupation only."""
    return replace(
        margins,
        age=np.full_like(margins.age, np.nan),
        status=np.full_like(margins.status, np.nan),
        women=np.full_like(margins.women, np.nan),
        published=margins.published.assign(
            **dict.fromkeys(margins.published.select_dtypes("number").columns, np.nan)
        ),
    )


def test_the_same_communes_are_wider_under_f4_than_under_f3(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Eight communes of 2,000 to 110,000 inhabitants, in towns and villages.
    geos = ["33063", "33281", "33550", "35047", "17300", "17028", "01244", "2A001"]
    asked = load_areas(communes=geos)
    f3 = build_frame(asked, draws=60, seed=4)
    everyone = commune_margins(2022)
    monkeypatch.setattr("inegnum.data.frames.build.commune_margins", lambda year: _hidden(everyone))
    f4 = build_frame(asked, draws=60, seed=4)
    assert set(f3.areas["tier"]) == {"F3"}
    assert set(f4.areas["tier"]) == {"F4"}
    # What margins of the census say of both is the same: persons and occupations.
    np.testing.assert_allclose(f4.persons("15+"), f3.persons("15+"), rtol=1e-4)

    # The frame's part of an interval: rates by profile held fixed, persons drawn. Rates as unequal
    # by age and diploma as those of the survey, or equal to a share of the composition itself.
    table = profiles()
    steep = np.where(table["age"].isin(["60-69", "70+"]), 0.6, 0.95)
    steep = steep - np.where(table["diploma"].isin(["none", "below_bac"]), 0.2, 0.0)
    for rate in (steep, (table["age"] == "70+").to_numpy(), (table["diploma"] == "higher")):
        sd = [
            (f.draws @ np.asarray(rate, float) / f.draws.sum(axis=2)).std(axis=0, ddof=1)
            for f in (f3, f4)
        ]
        # 60 draws know an sd to 9 %, a ratio to 13 %: 1.5 is four of these above equality.
        assert (sd[1] > 1.5 * sd[0]).all(), (rate, sd[1] / sd[0])
