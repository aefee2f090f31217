import numpy as np
import pytest
from scipy.special import expit

from inegnum.errors import InputError
from inegnum.estimators.ecological import (
    Areas,
    Calibrated,
    CategoryRates,
    area_effects,
    learn,
    predict,
    survey,
)

ALPHA = np.array([-2.0, -0.5, 0.5])
SLOPES = np.array([0.15, -0.1])
SDS = (0.08, 0.12, 0.1, 0.12)


def world(seed: int, n: int = 2000) -> Areas:
    """Areas that follow the model exactly."""
    rng = np.random.default_rng(seed)
    region = rng.integers(0, 12, n)
    group = region * 20 + rng.integers(0, 20, n)
    shares = rng.dirichlet([4.0, 4.0, 4.0], n)
    x = rng.standard_normal((n, 2))
    persons = 5000 * np.exp(rng.normal(0, 0.8, n))
    e = (
        SDS[0] * rng.standard_normal(12)[region]
        + SDS[1] * rng.standard_normal(240)[group]
        + np.sqrt(SDS[2] ** 2 + SDS[3] ** 2 * 5000 / persons) * rng.standard_normal(n)
    )
    logits = ALPHA + (x @ SLOPES + e)[:, None]
    y = (shares * expit(logits)).sum(axis=1)
    return Areas(y, shares, x, persons, group, region)


def test_area_effects_make_the_rates_exact() -> None:
    areas = world(0, 300)
    logits = np.tile(np.array([-3.0, 0.0, 2.0]), (300, 1))
    e = area_effects(areas.shares, logits, areas.y)
    back = (areas.shares * expit(logits + e[:, None])).sum(axis=1)
    # Newton stops at 1e-10 by its own criterion.
    np.testing.assert_allclose(back, areas.y, atol=1e-10)


def test_rates_slopes_and_deviations_are_recovered() -> None:
    learned = learn(world(1, 4000), CategoryRates(), n=4000)
    # Ecological rates of 4,000 areas; the priors and the curvature move them by hundredths.
    np.testing.assert_allclose(learned.coefficients[:3], ALPHA, atol=0.12)
    np.testing.assert_allclose(learned.coefficients[3:], SLOPES, atol=0.02)
    assert learned.variances.sd_group == pytest.approx(SDS[1], rel=0.2)
    sd = learned.variances.sd_area(np.array([1.0]))[0]
    assert sd == pytest.approx(np.hypot(SDS[2], SDS[3]), rel=0.1)


@pytest.mark.parametrize("hidden", [0, 5])
def test_intervals_hold_the_truth_only_with_deviations(hidden: int) -> None:
    areas = world(2, 6000)
    learned = learn(areas.take(areas.region != hidden), CategoryRates(), n=4000)
    target = areas.take(areas.region == hidden)
    coefficients = survey(learned, 500, np.random.default_rng(3))
    shares = {}
    for name, deviations in (
        ("with", learned.variances.draw(500, np.random.default_rng(4))),
        ("without", np.empty((0, 4))),
    ):
        drawn = predict(
            learned,
            target,
            CategoryRates(),
            coefficients=coefficients,
            deviations=deviations,
            rng=np.random.default_rng(5),
        )
        lower, upper = np.quantile(drawn, [0.025, 0.975], axis=0)
        shares[name] = np.mean((lower <= target.y) & (target.y <= upper))
    # One region shares one deviation: its coverage scatters by several points around 95 %.
    assert shares["with"] > 0.85
    assert shares["without"] < shares["with"] - 0.15


def test_the_posterior_of_a_survey_is_calibrated() -> None:
    learned = learn(world(6), CategoryRates(), n=1500)
    p = len(learned.coefficients)
    hits = np.zeros(p)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        lower, upper = np.quantile(survey(learned, 400, rng), [0.05, 0.95], axis=0)
        hits += (lower <= learned.coefficients) & (learned.coefficients <= upper)
    # 200 intervals at 90 %: three binomial standard errors are 6 points; the prior's pull on
    # category rates may take a little more.
    assert (hits / 200 > 0.80).all()


def test_calibration_reproduces_a_linear_world() -> None:
    areas = world(7, 1000)
    rates = np.array([0.2, 0.5, 0.8])
    linear = Areas(
        areas.shares @ rates, areas.shares, areas.x, areas.persons, areas.group, areas.region
    )
    found = Calibrated().fit(linear)
    # Least squares on an exact relation: rounding only.
    np.testing.assert_allclose(found, [*rates, 0.0, 0.0], atol=1e-10)


def test_a_region_learned_from_is_not_predicted() -> None:
    areas = world(8, 500)
    learned = learn(areas, CategoryRates(), n=4000)
    with pytest.raises(InputError, match="learned from"):
        predict(
            learned,
            areas,
            CategoryRates(),
            coefficients=survey(learned, 10, np.random.default_rng(0)),
            deviations=np.empty((0, 4)),
            rng=np.random.default_rng(0),
        )


def test_a_rate_of_zero_is_refused() -> None:
    areas = world(9, 50)
    y = areas.y.copy()
    y[3] = 0.0
    with pytest.raises(InputError, match="strictly between"):
        Areas(y, areas.shares, areas.x, areas.persons, areas.group, areas.region)
