"""Robust nested error regression against R rsae 0.3 (landsat data)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.estimators.unit.bhf import bhf
from inegnum.estimators.unit.inputs import AreaMeans, UnitSample
from inegnum.estimators.unit.reading import read_means, read_sample
from inegnum.estimators.unit.robust import robust_bhf
from inegnum.numerics.robust_bhf import decorrelate, projected_effects, scale_equations
from shared import shared

pytestmark = pytest.mark.shared
CASES = [(which, k) for which in ("clean", "all") for k in ("1.5", "2")]


def _expected(name: str) -> np.ndarray:
    table = pd.read_csv(shared("golden", "rsae_landsat_robust", f"expected_{name}.csv"))
    return table.iloc[:, 1:].to_numpy(np.float64).squeeze()


def _landsat(which: str) -> tuple[UnitSample, AreaMeans]:
    data = pd.read_csv(shared("golden", "data", "rsae_landsat.csv"))
    if which == "clean":
        data = data[~data["outlier"]]
    sample = read_sample("HACorn ~ PixelsCorn + PixelsSoybeans", data, area="CountyName")
    means = pd.read_csv(shared("golden", "data", "rsae_landsat_means.csv")).rename(
        columns={"MeanPixelsCorn": "PixelsCorn", "MeanPixelsSoybeans": "PixelsSoybeans"}
    )
    return sample, read_means(sample, means, area="CountyName_row")


@pytest.mark.parametrize("which", ["clean", "all"])
def test_maximum_likelihood_matches(which: str) -> None:
    sample, means = _landsat(which)
    est = bhf(sample, AreaMeans(means.geo, means.X), method="ML", mse="none")
    # rsae's own stopping rule leaves 5e-6 in the variances
    np.testing.assert_allclose(est.coefficients["beta"], _expected(f"fix_{which}_ml"), rtol=5e-6)
    s2e, s2u = _expected(f"var_{which}_ml")
    assert est.variance["sigma2_e"] == pytest.approx(s2e, rel=2e-5)
    assert est.variance["sigma2_u"] == pytest.approx(s2u, rel=2e-5)
    np.testing.assert_allclose(est.table["est"], _expected(f"pred_{which}_ml")[:, 2], rtol=2e-6)


@pytest.mark.parametrize(("which", "k"), CASES)
def test_rsaes_parameters_satisfy_our_variance_equations_and_predictor(which: str, k: str) -> None:
    sample, means = _landsat(which)
    design, K = sample.design(), float(k)
    beta = _expected(f"fix_{which}_huber{k}")
    s2e, s2u = _expected(f"var_{which}_huber{k}")
    d = s2u / s2e
    r = decorrelate(sample.y - sample.X @ beta, design.area, design.n_i, d) / np.sqrt(s2e)
    # rsae was run to 1e-9
    np.testing.assert_allclose(scale_equations(r, design.area, design.n_i, d, K), 1.0, rtol=1e-8)
    u = projected_effects(r, design.area, design.n_i, (s2u, s2e), K)
    prediction = _expected(f"pred_{which}_huber{k}")
    at = sample.positions(means.geo)
    np.testing.assert_allclose(u[at], prediction[:, 0], rtol=1e-10)
    np.testing.assert_allclose(means.X @ beta, prediction[:, 1], rtol=1e-12)


@pytest.mark.parametrize(("which", "k"), CASES)
def test_rsaes_coefficients_solve_another_equation_than_the_published_one(
    which: str, k: str
) -> None:
    """Its code weights the response once per covariate (rsae.f90, drsaebeta): known difference."""
    sample, _ = _landsat(which)
    design, K = sample.design(), float(k)
    beta = _expected(f"fix_{which}_huber{k}")
    s2e, s2u = _expected(f"var_{which}_huber{k}")

    def root(v: np.ndarray) -> np.ndarray:
        return decorrelate(v, design.area, design.n_i, s2u / s2e)

    yt, Xt = root(sample.y), np.stack([root(x) for x in sample.X.T], 1)
    r = (yt - Xt @ beta) / np.sqrt(s2e)
    w = np.minimum(1.0, K / np.abs(r))
    size = np.abs(Xt).T @ np.abs(yt)
    published = np.abs(Xt.T @ (w * (yt - Xt @ beta)) / size)
    coded = np.abs(Xt.T @ (w ** ((design.p + 1) / 2) * yt - w * (Xt @ beta)) / size)
    assert coded.max() < 1e-9
    assert published.max() > 1e-3


@pytest.mark.parametrize(("which", "k"), CASES)
def test_ours_solves_the_published_equation_and_stays_close(which: str, k: str) -> None:
    sample, means = _landsat(which)
    est = robust_bhf(sample, means, k=float(k), predictor="projected")
    prediction = _expected(f"pred_{which}_huber{k}")
    # same data, same bounds, a slightly different weighting: within a quarter of sigma_e (12)
    assert np.abs(est.table["est"] - prediction[:, 2]).max() < 3.0
