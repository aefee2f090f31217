"""Prior and posterior predictive checks, and what ArviZ reads."""

from dataclasses import replace

import arviz as az
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from inegnum.data.survey import load_survey
from inegnum.errors import InputError
from inegnum.estimators.engine import estimate
from inegnum.estimators.evidence import evidence_rows
from inegnum.estimators.predictive import posterior_predictive, prior_predictive
from inegnum.estimators.spec import ModelSpec, TermSpec
from inegnum.review.run_checks import predictive

SPEC = ModelSpec(
    waves=(2022,), terms=(TermSpec("age", 1.0, "rw"), TermSpec("diploma", 1.0)), intercept=1.5
)


@pytest.fixture(scope="module")
def rows():
    return evidence_rows(load_survey("smartphone").waves(2022), counts="effective")


@pytest.fixture(scope="module")
def found(rows):
    return estimate(SPEC, rows, rng=np.random.default_rng(1))


def test_priors_say_little_of_a_rate_and_something_of_gaps(rows):
    table = prior_predictive(SPEC, rows, draws=4000).set_index("rate")
    # An intercept of sd 1.5 and two blocks: nearly symmetric around one half, wide.
    assert table.loc["all", "median"] == pytest.approx(0.5, abs=0.03)
    assert table.loc["all", "lower"] < 0.12
    assert table.loc["all", "upper"] > 0.88
    assert (table["lower"] <= table["median"]).all()
    assert (table["median"] <= table["upper"]).all()
    narrow = replace(SPEC, terms=(TermSpec("age", 0.1, "rw"), TermSpec("diploma", 1.0)))
    tighter = prior_predictive(narrow, rows, draws=4000).set_index("rate")
    assert tighter.loc["gap age", "upper"] < 0.5 * table.loc["gap age", "upper"]


def test_the_prior_of_one_row_is_its_closed_form(rows):
    """Without learned sds a logit is normal: quantiles of the rate follow."""
    spec = replace(SPEC, terms=(TermSpec("sex", 0.5, learned=False),))
    row = rows.codes["sex"][0]
    table = prior_predictive(spec, rows, draws=20_000).set_index("rate")
    name = f"sex {('women', 'men')[row]}"
    sd = np.sqrt(1.5**2 + 0.5**2)
    # 20,000 draws know a 5 % quantile of a normal to 0.015 sd.
    assert table.loc[name, "lower"] == pytest.approx(expit(-1.645 * sd), abs=0.01)


def test_a_model_that_fits_is_not_accused(found):
    table = posterior_predictive(found)
    assert len(table) == 26
    assert (table["lower"] <= table["predicted"]).all()
    verdict = predictive("smartphone", table)
    assert verdict.status == "pass"
    assert verdict.found <= 1


def test_a_model_without_age_is_caught(rows):
    blind = replace(SPEC, terms=(TermSpec("sex", 0.5, learned=False),))
    table = posterior_predictive(estimate(blind, rows, rng=np.random.default_rng(1)))
    verdict = predictive("smartphone", table)
    assert verdict.status == "warn"
    assert verdict.found > 10
    old = table[(table["age"] == "70+") & (table["diploma"] == "none")].iloc[0]
    assert old["observed"] < old["lower"]


@pytest.mark.slow
def test_predictive_probabilities_are_uniform_when_the_model_is_true(found):
    """Answers drawn from the posterior itself: their p is uniform, for groups of all sizes."""
    rng = np.random.default_rng(5)
    logits = found.draw(60, rng).logits()
    whole = replace(found.rows, n=np.round(found.rows.n))
    p = []
    for eta in logits:
        y = rng.binomial(whole.n.astype(int), expit(eta)).astype(float)
        repeated = replace(found, rows=replace(whole, y=y))
        p.append(posterior_predictive(repeated, draws=300, smallest=30)["p"])
    values = pd.concat(p).dropna()
    # 60 x 18 correlated values: a tenth within 0.04, a half within 0.07.
    assert (values < 0.1).mean() == pytest.approx(0.1, abs=0.04)
    assert (values < 0.5).mean() == pytest.approx(0.5, abs=0.07)


def test_small_groups_are_shown_and_not_judged(found):
    table = posterior_predictive(found, smallest=50.0)
    assert table.loc[table["n"] < 50, "p"].isna().all()
    assert table.loc[table["n"] >= 50, "p"].notna().all()
    with pytest.raises(InputError, match="unknown factor"):
        posterior_predictive(found, by=("income",))


def test_arviz_reads_the_posterior(found):
    tree = found.to_datatree(draws=800, seed=3)
    again = found.draw(800, np.random.default_rng(3))
    age = tree["posterior"]["age"]
    assert age.dims == ("chain", "draw", "age level")
    np.testing.assert_allclose(
        age.to_numpy().reshape(800, -1), again.block("age"), err_msg="draws were reordered"
    )
    summary = az.summary(tree, var_names=["sd age", "diploma"], round_to="none")
    assert list(summary.index[:2]) == ["sd age", "diploma[student]"]
    assert (summary["r_hat"] < 1.02).all()  # draws are independent


def test_loo_prefers_the_model_with_age(rows, found):
    with_age = az.loo(found.to_datatree(draws=800))
    blind = replace(SPEC, terms=(TermSpec("sex", 0.5, learned=False),))
    without = az.loo(estimate(blind, rows, rng=np.random.default_rng(1)).to_datatree(draws=800))
    assert with_age.n_data_points == len(rows.y)
    assert (with_age.pareto_k < 0.7).all()
    # Hundreds of units of log score, tens of standard errors.
    assert with_age.elpd - without.elpd > 200
    # The exact elpd of the pseudo-likelihood cannot exceed its in-sample value.
    eta = found.draw(800, np.random.default_rng(0)).logits()
    inside = (rows.y * eta - rows.n * np.logaddexp(0, eta)).mean(axis=0).sum()
    assert with_age.elpd < inside


def test_chains_are_four(found):
    with pytest.raises(InputError, match="multiple of 4"):
        found.to_datatree(draws=10)
