"""Local cells: exact where everything is normal, and refused where they cannot be used."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.special import expit

from inegnum.data.codebook import profiles
from inegnum.data.types import SurveyCells
from inegnum.errors import InputError, IsolationError, PublicationError
from inegnum.estimators.local_cells import _effective, _updated, fuse_cells
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec, ModeReadings
from simulated import country


@pytest.fixture(scope="module")
def world():
    return country(4)


@pytest.fixture(scope="module")
def fitted(world):
    spec = ModelSpec(history=(), draws=1500, points=16, mode=ModeReadings(1.0, 0.0, 0.0))
    return fit(spec, world.survey, national=world.national, seed=1)


def cells(world, geos, n=400, rate=0.8) -> SurveyCells:
    """One adult profile in every commune."""
    who = profiles().iloc[40]
    rows = [
        {
            "geo": geo, **who.to_dict(), "wave": 2022, "urban": "100k+", "region": "75",
            "mode": "phone", "n": float(n), "y": rate * n, "w": float(n), "wy": rate * n,
            "w2": float(n), "w2y": rate * n,
        }
        for geo in geos
    ]  # fmt: skip
    return SurveyCells(pd.DataFrame(rows), world.survey.indicator, world.survey.source)


def test_it_is_the_posterior_of_a_linear_model():
    """Counts so many that the likelihood is normal: the textbook update of mean and covariance."""
    rng = np.random.default_rng(1)
    prior = np.array([[0.5, 0.2, 0.0], [0.2, 0.4, 0.0], [0.0, 0.0, 0.02]])
    S = 40_000
    state = rng.multivariate_normal([0.3, 0.1, 0.0], prior, S)
    H = csr_array(np.array([[1.0, 0, 1], [0, 1, 1]]))
    n = np.array([4e4, 2e4])
    y = n * expit(np.array([0.5, -0.2]))
    moved = _updated(state, H, y, n, rng)
    p = y / n
    V = np.diag(1 / (n * p * (1 - p)))
    D = H.toarray()
    gain = prior @ D.T @ np.linalg.inv(D @ prior @ D.T + V)
    z = np.array([0.5, -0.2])
    # Covariances of 40,000 draws: 1 % of a variance, 0.005 sd on a mean.
    np.testing.assert_allclose(
        moved.mean(axis=0), [0.3, 0.1, 0] + gain @ (z - D @ [0.3, 0.1, 0]), atol=0.01
    )
    np.testing.assert_allclose(np.cov(moved.T), prior - gain @ D @ prior, atol=0.003)


def test_a_surveyed_commune_moves_most_and_all_add_up(world, fitted):
    frame = world.metropolis
    geos = frame.areas["geo"].tolist()
    before = fitted.predict(frame, seed=2)
    after = fuse_cells(fitted, frame, cells(world, geos[:2], rate=0.5), seed=2)
    shift = after.draws.point - before.point
    assert shift[:2].max() < -0.02  # answers far below the model's rate
    assert after.share_local[:2].min() > after.share_local[2:6].max() > 0
    assert after.draws.items["level"].iloc[-1] == "epci"
    # The metropolis is the sum of its communes in every draw.
    persons = after.draws.items["persons"].to_numpy()
    assert after.draws.values[:, :6] @ persons[:6] / persons[6] == pytest.approx(
        after.draws.values[:, 6],
        abs=2e-3,  # mean persons for those of each frame draw
    )
    again = fuse_cells(fitted, frame, cells(world, geos[:2], rate=0.5), seed=2)
    np.testing.assert_array_equal(again.draws.values, after.draws.values)


def test_respondents_who_agree_with_the_model_only_narrow_it(world, fitted):
    frame = world.metropolis
    geos = frame.areas["geo"].tolist()
    eta = fitted.logits(frame, seed=2)
    p = float(expit(eta[0][:, 40] + eta[1][:, 0]).mean())
    before = fitted.predict(frame, seed=2)
    after = fuse_cells(fitted, frame, cells(world, geos[:1], rate=p), offset_sd=0.0, seed=2)
    assert abs(after.draws.point[0] - before.point[0]) < 0.5 * before.se()[0]
    assert after.draws.se()[0] < before.se()[0]


def test_effective_counts_compare_weights_within_a_commune_only(world):
    two = cells(world, ["33000", "33001"], n=100).table
    two.loc[1, ["w", "wy"]] *= 50  # sampled fifty times less: still a hundred respondents
    two.loc[1, ["w2", "w2y"]] *= 50**2
    n, y = _effective(two)
    np.testing.assert_allclose(n, 100)
    np.testing.assert_allclose(y, 80)


def test_what_cannot_be_fused_is_refused(world, fitted):
    frame = world.metropolis
    geos = frame.areas["geo"].tolist()
    good = cells(world, geos[:1])
    with pytest.raises(InputError, match="33999"):
        fuse_cells(fitted, frame, cells(world, ["33999"]), seed=1)
    without = SurveyCells(good.table.drop(columns="geo"), good.indicator, good.source)
    with pytest.raises(InputError, match="no places"):
        fuse_cells(fitted, frame, without, seed=1)
    other = SurveyCells(good.table, replace(good.indicator, code="tablet"), good.source)
    with pytest.raises(InputError, match="another indicator"):
        fuse_cells(fitted, frame, other, seed=1)
    kept = SurveyCells(good.table, good.indicator, replace(good.source, role="validate"))
    with pytest.raises(IsolationError):
        fuse_cells(fitted, frame, kept, seed=1)
    odd = SurveyCells(good.table.assign(diploma="doctor"), good.indicator, good.source)
    with pytest.raises(InputError, match="doctor"):
        fuse_cells(fitted, frame, odd, seed=1)
    with pytest.raises(PublicationError, match="single national total"):
        fuse_cells(replace(fitted, tier="T3"), frame, good, seed=1)
    with pytest.raises(InputError, match="sd is not negative"):
        fuse_cells(fitted, frame, good, offset_sd=-0.1, seed=1)


def test_the_update_meets_the_exact_posterior_where_curvature_bends():
    """One profile of few respondents: rates against quadrature, where the mode alone misses."""
    mean, sd, n, y = 2.5, 0.7, 12.0, 9.0
    grid = np.linspace(-3, 8, 20_001)
    density = np.exp(-0.5 * ((grid - mean) / sd) ** 2 + y * grid - n * np.log1p(np.exp(grid)))
    density /= density.sum()
    exact = float(density @ expit(grid))
    spread = float(np.sqrt(density @ (expit(grid) - exact) ** 2))
    rng = np.random.default_rng(2)
    state = np.column_stack([mean + sd * rng.standard_normal(60_000), rng.standard_normal(60_000)])
    moved = _updated(state, csr_array(np.array([[1.0, 0.0]])), np.array([y]), np.array([n]), rng)
    rates = expit(moved[:, 0])
    # A normal law of a skew posterior: 0.05 sd; the mode and its curvature are 0.07 sd away.
    assert rates.mean() == pytest.approx(exact, abs=0.05 * spread)
    assert rates.std() == pytest.approx(spread, rel=0.05)


def test_a_local_survey_flat_over_profiles_does_not_land_below_both_sources():
    """Many thin cells, one rate in all: expected counts must be those of the survey on the mean.

    The exact posterior meets E(sum n p) = sum y - E(u) / tau^2 along any prior direction u of sd
    tau (its score has mean zero). Matching at the mode gave rates under the survey's and the
    model's alike: p is concave above one half, and its mean lower than at the mean logit.
    """
    rng = np.random.default_rng(3)
    K, tau = 40, 0.5
    centre = np.linspace(0.5, 4.0, K)
    u = tau * rng.standard_normal((20_000, 1))
    state = np.hstack([centre + 0.6 * rng.standard_normal((20_000, K)), u])
    H = csr_array(np.hstack([np.eye(K), np.ones((K, 1))]))
    n = np.full(K, 25.0)
    model = float(expit(state[:, :K] + u).mean())
    flat = np.full(K, model) * n  # the same rate in every cell as the model has in all
    moved = _updated(state, H, flat, n, rng)
    p = expit(moved[:, :K] + moved[:, K:])
    wanted = flat.sum() - moved[:, K].mean() / tau**2
    # Sums of 1,000 expected counts: 20,000 draws and their covariance know them to 1.
    assert (p @ n).mean() == pytest.approx(wanted, abs=2.0)
