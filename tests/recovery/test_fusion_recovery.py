"""Local surveys drawn from the census frame of Bordeaux Métropole, truth drawn from the model.

Truth: one joint draw of the national model on the 28 communes, area deviations and frame held.
Survey: respondents of each commune drawn from its persons, answering by their own rate, with a
mode offset drawn from its prior.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from inegnum import build_frame
from inegnum.data import catalogue
from inegnum.data.codebook import profiles
from inegnum.data.frames.build import national_frame
from inegnum.data.survey import load_survey
from inegnum.data.types import SurveyCells
from inegnum.estimators.fusion import LocalSurvey, fuse
from inegnum.estimators.local_cells import fuse_cells
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec, ModeReadings, Tau

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world():
    communes, _ = catalogue.table("communes")
    frame = build_frame(communes[communes["epci"] == "243300316"].reset_index(drop=True))
    spec = ModelSpec(
        history=(), mode=ModeReadings(1.0, 0.0, 0.0), tau=Tau(log_sd=0.0), draws=2000, points=16
    )
    survey = load_survey("smartphone")
    found = fit(spec, survey, national=national_frame(), seed=1)
    return found, frame, found.logits(frame, seed=2)


def local_survey(world, s: int, n: int, offset: float, rng) -> tuple[SurveyCells, np.ndarray]:
    """Return a survey of n respondents in proportion to persons, and the true rates."""
    found, frame, (profile, area, N, _) = world
    mask = frame.mask(found.indicator.universe)
    eta = profile[s][None, :] + area[s][:, None]
    truth = (N * expit(eta)).sum(axis=1) / N.sum(axis=1)
    pick = rng.choice(N.size, n, p=(N / N.sum()).ravel())
    a, k = np.divmod(pick, N.shape[1])
    d = profiles()[mask].reset_index(drop=True).iloc[k].reset_index(drop=True)
    d["age"] = d["age"].replace({"12-14": "12-17", "15-17": "12-17"})
    d["geo"] = frame.areas["geo"].to_numpy()[a]
    d = d.assign(wave=2022, urban="100k+", region="75", mode="phone", n=1.0, w=1.0, w2=1.0)
    d["y"] = (rng.random(n) < expit(eta[a, k] + offset)).astype(float)
    d["wy"] = d["w2y"] = d["y"]
    keys = [c for c in d.columns if c not in {"n", "y", "w", "wy", "w2", "w2y"}]
    sums = d.groupby(keys, as_index=False)[["n", "y", "w", "wy", "w2", "w2y"]].sum()
    whole = float(N.sum(axis=1) @ truth / N.sum())
    return SurveyCells(sums, found.indicator, found.sources[0]), np.append(truth, whole)


def test_cells_and_rates_cover_the_truth_and_have_the_width_that_5000_interviews_buy(world):
    found, frame, _ = world
    rng = np.random.default_rng(7)
    modelled = found.predict(frame, seed=2)
    hit, rank = [], []
    for _ in range(30):
        s = int(rng.integers(2000))
        cells, truth = local_survey(world, s, 5000, 0.15 * rng.standard_normal(), rng)
        # A seed of its own: the truth is a draw of seed 2, its deviations another's.
        after = fuse_cells(found, frame, cells, seed=int(rng.integers(1 << 30)))
        lower, upper = after.draws.interval()
        hit.append((lower <= truth) & (truth <= upper))
        rank.append((after.draws.values < truth).mean(axis=0))
    hit = np.array(hit)
    # 30 metropolises and 840 communes at 95 %; communes of a survey share its offset: a standard
    # error of 2 points for the communes (measured across surveys), 4 for the metropolis.
    assert hit[:, :28].mean() > 0.95 - 3 * 0.02
    assert hit[:, 28].mean() > 0.95 - 3 * 0.04
    assert abs(np.array(rank)[:, :28].mean() - 0.5) < 0.06

    # Widths of METHODS, section 7: one mode, deff 1.5, around 90 %.
    cells, truth = local_survey(world, 0, 5000, 0.0, rng)
    t = cells.table.copy()
    t["w2"] *= 1.5  # Kish's deff of every commune becomes 1.5
    noisy = SurveyCells(t, cells.indicator, cells.source)
    same = fuse_cells(found, frame, noisy, offset_sd=0.0, seed=3)
    half = 0.5 * np.subtract(*same.draws.interval()[::-1])
    before = 0.5 * np.subtract(*modelled.interval()[::-1])
    assert 0.007 < half[28] < 0.013  # "metropolis 1.0"
    persons = frame.persons("12+")
    middle = np.argsort(persons)[7:21]  # the middle half of the communes
    assert 0.02 < np.median(half[middle]) < 0.045  # "commune 3.6", of 180 respondents
    assert (half[:28] < before[:28]).all()
    assert same.share_local[28] > 0.8
    # With an offset of mode the metropolis cannot be known better than the offset: said, not hid.
    free = fuse_cells(found, frame, noisy, offset_sd=0.15, seed=3)
    wide = 0.5 * np.subtract(*free.draws.interval()[::-1])
    assert wide[28] > 1.3 * half[28]

    # Rates by commune instead of cells: the same information but composition.
    sums = t.groupby("geo")[["n", "w", "wy"]].sum().reset_index()
    table = pd.DataFrame({"geo": sums["geo"], "rate": sums["wy"] / sums["w"], "n": sums["n"]})
    code, source = found.indicator.code, found.sources[0]
    rates = LocalSurvey(table, code, "12+", source, deff=1.5, offset_sd=0.0)
    direct = fuse(replace(modelled), rates, seed=3)
    other = 0.5 * np.subtract(*direct.draws.interval()[::-1])
    assert np.abs(direct.draws.point - same.draws.point).max() < 0.03
    assert 0.8 < other[28] / half[28] < 1.25
