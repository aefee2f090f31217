"""One posterior, any block of communes: shared deviations, and rates against the plain formula."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from inegnum.data.areas import load_areas
from inegnum.data.codebook import REGION, URBAN, profiles
from inegnum.data.frames.build import build_frame
from inegnum.data.indicators import indicator
from inegnum.data.types import Frame
from inegnum.estimators.blocks import Posterior, block_counts
from inegnum.estimators.spec import Tau
from inegnum.estimators.terms import Coefficients
from inegnum.numerics.poststratify import recentring

S = 40


def posterior(draws: int = S, tau: Tau | None = None) -> Posterior:
    rng = np.random.default_rng(8)
    part = Coefficients(
        1.0 + rng.normal(size=(draws, len(profiles()))),
        0.3 * rng.normal(size=(draws, len(URBAN.levels))),
        0.2 * rng.normal(size=(draws, len(REGION.levels))),
    )
    return Posterior(indicator("smartphone"), part, np.full(draws, 0.8), tau or Tau(), 12)


@pytest.fixture(scope="module")
def frame() -> Frame:
    # Three intercommunalities of two departments and two urban classes.
    codes = ["24256", "24037", "33063", "33281", "33039", "33138", "33005"]
    return build_frame(load_areas(communes=codes), draws=3, seed=2, report=False)


def test_counts_are_those_of_the_plain_formula(frame: Frame) -> None:
    one, mask = posterior(), frame.mask("12+")
    shifts = np.stack([np.zeros(S), np.full(S, 0.2)])
    counts, persons = block_counts(one, frame, shifts)
    metro, commune = one.sds()
    part = one.coefficients
    for a, area in enumerate(frame.areas.to_dict("records")):
        level = (
            part.urban[:, URBAN.code(area["urban"])] + part.region[:, REGION.code(area["region"])]
        )
        profile = part.profile[:, mask]
        profile = profile + recentring(profile + level[:, None], metro**2 + commune**2)
        level = level + metro * one.standard("metro", pd.Series([area["epci"]]))[:, 0]
        level = level + commune * one.standard("commune", pd.Series([area["geo"]]))[:, 0]
        N = frame.draws[np.arange(S) % 3, a][:, mask]
        for q in range(2):
            expected = (N * expit(profile + (level + shifts[q])[:, None])).sum(axis=1)
            # Sums of 290 terms in another order.
            np.testing.assert_allclose(counts[q, :, a], expected, rtol=1e-11)
        np.testing.assert_allclose(persons[:, a], N.sum(axis=1), rtol=1e-12)


def test_an_intercommunality_has_one_deviation_wherever_it_is_computed() -> None:
    one = posterior()
    here = one.standard("metro", pd.Series(["243300316", "200069193"]))
    there = one.standard("metro", pd.Series(["200069193", "243300316", "200069193"]))
    np.testing.assert_array_equal(there, here[:, [1, 0, 1]])
    other = Posterior(indicator("tablet"), one.coefficients, one.national, one.tau, one.seed)
    assert (other.standard("metro", pd.Series(["243300316"])) != here[:, :1]).all()
    # A commune and an intercommunality of one code would not share theirs either.
    assert (one.standard("commune", pd.Series(["243300316"])) != here[:, :1]).all()


def test_communes_do_not_share_deviations_and_have_the_sd_of_the_prior() -> None:
    one = posterior(400, Tau(metro=0.2, commune=0.3, log_sd=0.0))
    metro, commune = one.sds()
    np.testing.assert_allclose(metro, 0.2)
    np.testing.assert_allclose(commune, 0.3)
    drawn = one.standard("commune", pd.Series([f"{i:05d}" for i in range(300)]))
    # 120,000 normals: their variance is known to 0.4 %, a correlation of 400 pairs to 0.05.
    assert abs(drawn.var() - 1) < 0.02
    together = np.corrcoef(drawn.T)[np.triu_indices(300, 1)]
    assert abs(together.mean()) < 0.001
    assert np.abs(together).max() < 0.3  # 5 sd of 0.05 over 45,000 pairs is 0.25


def test_a_block_twice_gives_the_same_bytes(frame: Frame) -> None:
    first, _ = block_counts(posterior(), frame, np.zeros((1, S)))
    again, _ = block_counts(posterior(), frame, np.zeros((1, S)))
    assert first.tobytes() == again.tobytes()
