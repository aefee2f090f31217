from __future__ import annotations

import numpy as np
import pytest

from inegnum.errors import InputError
from inegnum.estimators.result import COLUMNS, AreaEstimates, ErrorLaw, area_table, compare
from inegnum.review.verdict import Verdict, verdict_table, worst


def _estimates(est: list[float], law: ErrorLaw | None = None) -> AreaEstimates:
    import pandas as pd

    values = np.array(est)
    mse = None if law is None else law.mse
    table = area_table([f"g{i}" for i in range(len(est))], values, mse=mse, law=law)
    return AreaEstimates(table, pd.DataFrame(), {}, "test", law=law)


def test_draws_carry_the_shared_error() -> None:
    # cov = factor factor' + diag(rest); here 0.01 and 0.04 with a shared part of 0.008.
    factor = np.array([[0.08], [0.1]])
    law = ErrorLaw(np.array([0.5, 0.6]), np.array([0.01, 0.04]), factor)
    values = _estimates([0.5, 0.6], law).draws(200_000, seed=1).values
    cov = np.cov(values.T)
    # 200,000 draws: a variance is known to sqrt(2/S) = 0.3 %, five of these is 1.6 %.
    np.testing.assert_allclose(np.diag(cov), [0.01, 0.04], rtol=0.016)
    assert cov[0, 1] == pytest.approx(0.008, abs=5 * 0.02 / np.sqrt(200_000))


def test_same_seed_same_draws_and_order_of_items() -> None:
    law = ErrorLaw(np.zeros(3), np.ones(3), link="logit")
    e = _estimates([0.5, 0.5, 0.5], law)
    assert (e.draws(5, seed=3).values == e.draws(5, seed=3).values).all()
    assert e.draws(5).items["geo"].tolist() == ["g0", "g1", "g2"]
    assert ((e.draws(500).values > 0) & (e.draws(500).values < 1)).all()


def test_interval_is_transformed_with_its_link() -> None:
    law = ErrorLaw(np.array([0.0]), np.array([1.0]), link="logit")
    lower, upper = law.interval(0.95)
    assert lower[0] == pytest.approx(1 / (1 + np.exp(1.959963984540054)), rel=1e-12)
    assert lower[0] + upper[0] == pytest.approx(1.0, rel=1e-12)


def test_no_mse_no_draws() -> None:
    with pytest.raises(InputError, match="no uncertainty"):
        _estimates([0.5]).draws(10)


def test_negative_mse_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="g1"):
        area_table(["g0", "g1"], np.zeros(2), mse=np.array([1.0, -1.0]))


def test_factor_larger_than_mse_is_refused() -> None:
    with pytest.raises(InputError, match="exceeds"):
        ErrorLaw(np.zeros(1), np.array([0.01]), np.array([[0.2]]))


def test_unknown_column_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError, match="gamma"):
        area_table(["a"], np.zeros(1), columns={"gama": [1.0]})


def test_compare_keeps_areas_of_both_and_never_fills() -> None:
    a, b = _estimates([0.5, 0.6]), _estimates([0.55, 0.6, 0.7])
    both = compare(a, b)
    assert len(both) == 3
    assert both["difference"].tolist()[0] == pytest.approx(0.05)
    assert np.isnan(both["a"].iloc[2])
    assert list(a.table.columns) == list(COLUMNS)


def test_worst_and_table_of_verdicts() -> None:
    v = [Verdict("a", "warn", 2.0, 1.0, "x", "y"), Verdict("b", "pass", 0.0, 1.0, "x", "y")]
    assert worst(v) == "warn"
    assert worst([]) == "pass"
    assert verdict_table(v)["status"].tolist() == ["warn", "pass"]
    with pytest.raises(InputError):
        Verdict("a", "ok", 1.0, 1.0, "", "")  # type: ignore[arg-type]
