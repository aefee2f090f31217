"""Checks of models: each passes on the model it was made for and warns on the flaw it is for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import chi2

from inegnum.errors import InputError
from inegnum.estimators.area import AreaData, Transform, fay_herriot, row_standardise
from inegnum.estimators.result import AreaEstimates
from inegnum.review.models import (
    agreement,
    criteria_table,
    leverage,
    model_verdicts,
    normality,
    over_shrinkage,
    slope,
    spatial,
    standardised_residuals,
)

SIDE = 12
M = SIDE * SIDE
line = sparse.diags_array([np.ones(SIDE - 1)] * 2, offsets=[-1, 1])
one = sparse.eye_array(SIDE)
W = row_standardise(sparse.kron(line, one) + sparse.kron(one, line))


def simulate(effect: np.ndarray | None = None, seed: int = 11) -> AreaData:
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(M), rng.normal(size=M)])
    D = rng.uniform(0.01, 0.04, M)
    u = rng.normal(0, 0.2, M) if effect is None else effect
    return AreaData(X @ [0.5, 0.1] + u + rng.normal(size=M) * np.sqrt(D), X, D)


def test_a_true_model_passes_every_check() -> None:
    data = simulate()
    verdicts = model_verdicts(fay_herriot(data), data, W)
    assert [v.status for v in verdicts] == ["pass"] * 6
    assert len({v.check for v in verdicts}) == 6
    assert all(v.sentence_en and v.sentence_fr for v in verdicts)


def test_residuals_are_standard_normal() -> None:
    data = simulate()
    est = fay_herriot(data)
    s = est.variance["sigma2_u"]
    direct = (data.y - est.table["synthetic"]) / np.sqrt(s + data.D)
    np.testing.assert_allclose(standardised_residuals(est), direct, rtol=1e-9, atol=1e-12)


def test_normality_warns_on_heavy_tails() -> None:
    tails = np.random.default_rng(1).standard_t(2, M) * 0.3
    assert normality(fay_herriot(simulate(tails))).status == "warn"


def test_leverage_names_the_area() -> None:
    data = simulate()
    X = data.X.copy()
    X[17, 1] = 40.0
    odd = AreaData(data.y, X, data.D)
    verdict = leverage(fay_herriot(odd), odd)
    assert verdict.status == "warn"
    assert "Area 18" in verdict.sentence_en


def shifted(est: AreaEstimates, values: np.ndarray) -> AreaEstimates:
    return replace(est, table=est.table.assign(est=values))


def test_brown_is_a_chi_square_and_warns_on_bias() -> None:
    est = fay_herriot(simulate())
    t = est.table
    by_hand = float((((t["direct"] - t["est"]) ** 2) / (t["direct_se"] ** 2 + t["mse"])).sum())
    assert agreement(est).found == pytest.approx(by_hand, rel=1e-12)
    assert agreement(est).status == "pass"
    biased = agreement(shifted(est, t["est"].to_numpy() + 0.3))
    assert biased.status == "warn"
    assert biased.found > chi2.ppf(0.99, M)


def test_slope_and_over_shrinkage_warn_on_a_flat_map() -> None:
    est = fay_herriot(simulate())
    values = est.table["est"].to_numpy()
    flat = shifted(est, values.mean() + 0.3 * (values - values.mean()))
    flat = replace(flat, table=flat.table.assign(gamma=0.3 * est.table["gamma"]))
    assert slope(flat).status == "warn"
    assert slope(flat).found > 2
    assert slope(est).found == pytest.approx(1.0, abs=0.3)
    assert over_shrinkage(flat).status == "warn"
    assert over_shrinkage(est).found == pytest.approx(1.0, abs=0.2)


def test_moran_sees_a_spatial_pattern() -> None:
    rng = np.random.default_rng(3)
    v = np.linalg.solve(np.eye(M) - 0.9 * W.toarray(), rng.normal(size=M) * 0.2)
    verdict = spatial(fay_herriot(simulate(v)), W)
    assert verdict.status == "warn"
    assert verdict.found > verdict.limit


def test_moran_by_hand() -> None:
    est = fay_herriot(simulate())
    r = standardised_residuals(est)
    r = r - r.mean()
    by_hand = M / W.sum() * (r @ W.toarray() @ r) / (r @ r)
    assert spatial(est, W).found == pytest.approx(by_hand, rel=1e-12)


def test_criteria_table_orders_models_and_refuses_those_without() -> None:
    data = simulate()
    small = AreaData(data.y, data.X[:, :1], data.D)
    fits = {"one": fay_herriot(small, method="ml"), "two": fay_herriot(data, method="ml")}
    table = criteria_table(fits)
    assert table["model"].tolist()[0] == "two"
    assert table["KIC"].is_monotonic_increasing
    with pytest.raises(InputError, match="no likelihood"):
        criteria_table({"x": replace(fits["one"], criteria={})})


@pytest.mark.parametrize("link", ["logit", "arcsin"])
def test_a_transformed_model_is_judged_on_its_own_scale(link: str) -> None:
    rng = np.random.default_rng(5)
    n = rng.integers(60, 200, M)
    x = rng.normal(size=M)
    theta = 1 / (1 + np.exp(-(0.3 + 0.4 * x + rng.normal(0, 0.4, M))))
    y = np.clip(rng.binomial(n, theta), 1, n - 1) / n
    sizes = n.astype(float) if link == "arcsin" else np.empty(0)
    # On purpose a variance of the target's scale that is not the model's (its bound, 1/4n).
    D = 0.25 / n if link == "arcsin" else y * (1 - y) / n
    data = AreaData(y, np.column_stack([np.ones(M), x]), D)
    est = fay_herriot(data, transform=Transform(link, "corrected", sizes))
    found = {v.check: v for v in model_verdicts(est, data)}
    assert [v.status for v in found.values()] == ["pass"] * 5
    assert found["slope"].found == pytest.approx(1.0, abs=0.25)
    assert found["over-shrinkage"].found == pytest.approx(1.0, abs=0.2)
    # Brown's W has m degrees of freedom; D is what the transformation gave.
    expected = 0.25 / n if link == "arcsin" else 1 / (n * y * (1 - y))
    s = est.variance["sigma2_u"]
    np.testing.assert_allclose(est.table["gamma"], s / (s + expected), rtol=1e-9)


def test_too_few_areas() -> None:
    est = fay_herriot(simulate(), mse="none")
    with pytest.raises(InputError, match="three areas"):
        normality(est)
