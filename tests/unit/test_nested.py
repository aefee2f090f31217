import numpy as np
import pytest
from scipy.stats import multivariate_normal

from inegnum.errors import InputError
from inegnum.numerics.nested import fit_nested, nested_deviance


def _layout(rng: np.random.Generator, regions: int, groups: int, areas: int):
    region_of_group = rng.integers(0, regions, groups)
    region_of_group[:regions] = np.arange(regions)
    group = rng.integers(0, groups, areas)
    group[:groups] = np.arange(groups)
    return group, region_of_group, np.exp(rng.normal(0, 1, areas))


def test_deviance_is_the_restricted_likelihood_of_the_dense_covariance() -> None:
    rng = np.random.default_rng(3)
    group, region_of_group, size = _layout(rng, 4, 9, 40)
    e = rng.standard_normal(40)
    sds = np.array([0.1, 0.2, 0.15, 0.3])
    region = region_of_group[group]
    dense = (
        np.diag(sds[2] ** 2 + sds[3] ** 2 / size)
        + sds[1] ** 2 * (group[:, None] == group)
        + sds[0] ** 2 * (region[:, None] == region)
    )
    # Restricted likelihood: contrasts orthogonal to the mean, up to a constant.
    contrasts = np.linalg.svd(np.ones((1, 40)))[2][1:]

    def restricted(scale: float) -> float:
        return -2 * multivariate_normal.logpdf(
            contrasts @ e, np.zeros(39), contrasts @ (scale**2 * dense) @ contrasts.T
        )

    def ours(scale: float) -> float:
        return nested_deviance(np.log(scale * sds), e, group, region_of_group, size)

    # The constant cancels in a difference; rounding alone remains.
    assert ours(1.0) - ours(1.7) == pytest.approx(restricted(1.0) - restricted(1.7), rel=1e-9)


def test_components_are_recovered_within_their_own_error() -> None:
    truth = np.array([0.15, 0.2, 0.12, 0.25])
    inside = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        group, region_of_group, size = _layout(rng, 12, 300, 2500)
        e = (
            truth[0] * rng.standard_normal(12)[region_of_group[group]]
            + truth[1] * rng.standard_normal(300)[group]
            + np.sqrt(truth[2] ** 2 + truth[3] ** 2 / size) * rng.standard_normal(2500)
        )
        found = fit_nested(e, group, region_of_group, size)
        gap = (found.mean - np.log(truth)) / np.sqrt(np.diag(found.covariance))
        inside.append(np.abs(gap) < 1.96)
    # 80 intervals at 95 %: fewer than 68 hits has probability below 1e-4 (binomial).
    assert np.sum(inside) >= 68


def test_without_sizes_areas_deviate_alike() -> None:
    rng = np.random.default_rng(5)
    group, region_of_group, _ = _layout(rng, 5, 40, 400)
    found = fit_nested(rng.normal(0, 0.3, 400), group, region_of_group)
    np.testing.assert_array_equal(found.sd_area(np.array([0.1, 10.0])), np.exp(found.mean[2]))
    drawn = found.draw(50, rng)
    assert (drawn[:, 3] == 0).all()
    assert (drawn[:, :3] > 0).all()


def test_two_regions_do_not_identify_a_region_component() -> None:
    with pytest.raises(InputError, match="variance components"):
        fit_nested(np.ones(4), np.array([0, 1, 2, 3]), np.array([0, 0, 1, 1]))
