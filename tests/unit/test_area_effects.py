"""Effects of areas that respondents live in, and spatial deviations of those without any."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from inegnum.data import catalogue
from inegnum.data.codebook import profiles
from inegnum.data.contiguity import contiguity
from inegnum.data.types import Frame, SurveyCells
from inegnum.errors import FrameError, InputError, StudyError
from inegnum.estimators.deviations import area_deviations
from inegnum.estimators.evidence import evidence_rows
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import (
    Anchor,
    AreaEffects,
    ModelSpec,
    ModeReadings,
    Tau,
    parse_spec,
)
from inegnum.estimators.terms import blocks
from inegnum.numerics.bym2 import spatial_covariance
from simulated import country

# Communes of the package's shapes around Bordeaux; the last one gives no respondent.
COMMUNES = ("33063", "33281", "33522", "33039", "33318", "33069", "33004", "33013")
LOCAL = ModelSpec(
    year=2023,
    waves=(2023,),
    history=(),
    mode=ModeReadings(1.0, 0.0, 0.0),
    anchor=Anchor("none"),
    area=AreaEffects("bym2", communes=COMMUNES),
    draws=800,
    points=32,
)


@pytest.fixture(scope="module")
def world():
    return country(2)


@pytest.fixture(scope="module")
def communes(world):
    areas = pd.concat([world.metropolis.areas.iloc[:1]] * len(COMMUNES), ignore_index=True)
    areas = areas.assign(geo=COMMUNES, name=COMMUNES)
    N = world.metropolis.N[:1] * np.linspace(0.5, 2, len(COMMUNES))[:, None]
    return Frame(areas, N, world.metropolis.sources, 2022)


DEVIATION = np.array([0.4, 0.5, 0.3, 0.2, -0.4, -0.5, -0.3, 0.4])


def local_survey(world, n: int = 4000, seed: int = 0) -> SurveyCells:
    """Respondents of every commune but the last, on the world's own profiles."""
    rng = np.random.default_rng(seed)
    table = profiles()
    who = rng.choice(len(table), n, p=world.metropolis.N[0] / world.metropolis.N[0].sum())
    at = rng.integers(0, len(COMMUNES) - 1, n)
    eta = world.profile[who] + world.urban[3] + world.region[8] + DEVIATION[at]
    d = table.iloc[who].reset_index(drop=True)
    d["age"] = d["age"].replace({"12-14": "12-17", "15-17": "12-17"})
    d["urban"] = world.metropolis.areas["urban"].iloc[0]
    d["region"] = world.metropolis.areas["region"].iloc[0]
    d["mode"], d["wave"], d["n"], d["w"] = "phone", 2023, 1.0, 1.0
    d["geo"] = np.array(COMMUNES)[at]
    d["y"] = (rng.random(n) < expit(eta)).astype(float)
    d["wy"], d["w2"], d["w2y"] = d["y"], 1.0, d["y"]
    keys = ["wave", "age", "sex", "diploma", "occupation", "urban", "region", "mode", "geo"]
    sums = d.groupby(keys, as_index=False)[["n", "y", "w", "wy", "w2", "w2y"]].sum()
    return SurveyCells(sums, world.survey.indicator, world.survey.source)


@pytest.fixture(scope="module")
def fitted(world):
    return fit(LOCAL, local_survey(world), national=world.national, seed=1)


def test_effects_of_communes_are_recovered_and_a_silent_one_is_wide(world, communes, fitted):
    draws = fitted.predict(communes, seed=2)
    truth = world.rates(communes, DEVIATION)
    z = (draws.point[:8] - truth) / draws.se()[:8]
    assert np.abs(z).max() < 3.5
    # 33013 has no respondent.
    assert draws.se()[7] > 2 * np.median(draws.se()[:7])
    spread = fitted.coefficients.commune.mean(axis=0)
    assert np.corrcoef(spread[:7], DEVIATION[:7])[0, 1] > 0.95
    shares = fitted.diagnostics.sds.set_index("term")
    assert 0 < shares.loc["commune, spatial share", "mean"] < 1
    # Without transport the respondents' word stays.
    kept = fitted.predict(communes, seed=2, components=("sampling",))
    assert np.ptp(kept.point[:7]) > 0.5 * np.ptp(truth[:7])


def test_the_block_of_communes_is_spatial_when_asked(world):
    rows = evidence_rows(local_survey(world), counts="unweighted", area=LOCAL.area)
    term = blocks(LOCAL, rows)[-1]
    assert term.name == "commune"
    assert term.mixing is not None
    C = np.linalg.inv(term.mixing.precision(0.8))
    S = spatial_covariance(contiguity(COMMUNES).to_numpy())
    np.testing.assert_allclose(C, 0.2 * np.eye(8) + 0.8 * S, atol=1e-10)
    plain = replace(LOCAL, area=replace(LOCAL.area, structure="iid"))
    assert blocks(plain, rows)[-1].mixing is None


def test_areas_beyond_the_survey_are_refused_by_name(world, communes, fitted):
    areas = communes.areas.assign(geo=[*COMMUNES[:-1], "33999"])
    with pytest.raises(FrameError, match="33999"):
        fitted.predict(Frame(areas, communes.N, communes.sources, 2022), seed=1)
    few = replace(LOCAL.area, communes=COMMUNES[:3])
    with pytest.raises(InputError, match="without an effect"):
        evidence_rows(local_survey(world), counts="unweighted", area=few)


def test_regions_on_their_graph(world):
    spec = ModelSpec(
        waves=(2020, 2022),
        history=(),
        mode=ModeReadings(1.0, 0.0, 0.0),
        area=AreaEffects("bym2"),
        draws=400,
        points=16,
    )
    found = fit(spec, world.survey, national=world.national, seed=1)
    assert found.coefficients.region.shape == (400, 13)
    terms = set(found.diagnostics.sds["term"])
    assert {"region", "region, spatial share"} <= terms
    gap = found.coefficients.region - found.coefficients.region.mean(axis=1, keepdims=True)
    truth = world.region - world.region.mean()
    assert np.abs((gap.mean(axis=0) - truth) / gap.std(axis=0)).max() < 3.5


def test_spatial_deviations_keep_their_sd(world):
    geos = catalogue.table("communes")[0].query("epci == '243300316'")["geo"].tolist()
    areas = pd.concat([world.metropolis.areas.iloc[:1]] * len(geos), ignore_index=True)
    N = np.repeat(world.metropolis.N[:1], len(geos), axis=0)
    communes = Frame(areas.assign(geo=geos), N, world.metropolis.sources, 2022)
    spec = replace(
        LOCAL,
        year=2022,
        waves=(2022,),
        area=None,
        tau=Tau(metro=0.0, log_sd=0.0, structure="bym2", phi=0.9),
        draws=4000,
    )
    found = fit(spec, world.survey, national=world.national, seed=1)
    part = found.coefficients
    alone, _ = area_deviations(communes, part, found.spec, np.random.default_rng(3))
    # sd of an sd from 4,000 draws is 1.1 %.
    np.testing.assert_allclose(alone.std(axis=0), 0.18, rtol=0.05)
    R = np.corrcoef(alone.T)
    W = contiguity(geos).to_numpy() == 1
    assert len(geos) == 28
    assert R[W].mean() > 0.15
    assert R[~W & ~np.eye(28, dtype=bool)].mean() < 0


def test_toml_is_strict_and_says_what_is_wrong():
    spec = parse_spec(
        {
            "area": {"structure": "bym2", "phi": "uniform", "communes": ["33063"]},
            "tau": {"structure": "bym2", "phi": 0.3},
        }
    )
    assert spec.area == AreaEffects("bym2", "uniform", communes=("33063",))
    assert spec.tau.structure == "bym2"
    with pytest.raises(InputError, match="shapes"):
        parse_spec({"area": {"shape": "x.geojson"}})
    with pytest.raises(InputError, match="structure"):
        parse_spec({"area": {"structure": "bym"}})
    with pytest.raises(StudyError, match="spatial share"):
        Tau(phi=1.5)
    with pytest.raises(StudyError, match="prior scale"):
        AreaEffects(scale=0.0)
    with pytest.raises(StudyError, match="twice"):
        AreaEffects(communes=("33063", "33063"))
