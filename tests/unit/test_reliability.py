"""The fast engine judged on each rate: what it accepts, what it refuses, and that it says so."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from inegnum.data.areas import load_areas
from inegnum.data.frames.build import build_frame, national_frame
from inegnum.data.survey import load_survey
from inegnum.errors import ConvergenceError
from inegnum.estimators import engine
from inegnum.estimators.evidence import evidence_rows
from inegnum.estimators.multilevel import fit
from inegnum.estimators.reliability import judged_table, require_reliable
from inegnum.estimators.spec import ModelSpec, TermSpec
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Term, build_design
from inegnum.numerics.psis import judge


def alone(y, n, scale):
    """One effect, one row: its exact posterior is a one-dimensional integral."""
    term = Term("one", np.zeros(1, dtype=np.int64), 1, scale, learned=False)
    return build_design(np.array([y]), np.array([n]), (term,))


def exact_mean(y, n, scale):
    x = np.linspace(-60, 60, 200_001)
    log_density = y * x - n * np.logaddexp(0, x) - 0.5 * (x / scale) ** 2
    p = np.exp(log_density - log_density.max())
    return p @ expit(x) / p.sum()


def test_ratios_are_those_of_the_exact_density():
    design = alone(3.0, 10.0, 1.0)
    posterior = integrate(design, rng=np.random.default_rng(0))
    effects, eta, log_ratio = posterior.weighed(4000, np.random.default_rng(1))
    np.testing.assert_allclose(eta[:, 0], effects[:, 0])
    weight = np.exp(log_ratio)
    # Reweighted, the draws give the exact mean: 4,000 draws of sd 0.11 know it to 0.002.
    assert weight @ expit(eta[:, 0]) / weight.sum() == pytest.approx(
        exact_mean(3.0, 10.0, 1.0), abs=0.006
    )
    # The evidence in the ratio's constant is Laplace's: close to the truth, not far off.
    assert abs(np.log(weight.mean())) < 0.05


def test_a_flat_prior_and_unanimous_answers_are_refused():
    """Three of three answer yes under a prior of sd 9: the posterior is a long ramp, not a bell."""
    posterior = integrate(alone(3.0, 3.0, 9.0), rng=np.random.default_rng(0))
    _, eta, log_ratio = posterior.weighed(400, np.random.default_rng(1))
    found = judge(log_ratio, expit(eta))
    assert found.fails().all()
    with pytest.raises(ConvergenceError, match="on_khat = 'nuts'"):
        require_reliable(judged_table(["a rate"], found), where="here")


def test_equal_ratios_never_fail_and_a_heavy_tail_does():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1000, 1))
    assert not judge(np.zeros(1000), x).fails().any()
    # Approximation of half the sd of a normal: the ratio grows as exp(3 x^2 / 8 x 4).
    narrow = rng.normal(0, 0.5, (1000, 1))
    assert judge(1.5 * narrow[:, 0] ** 2, narrow).fails().all()


def test_a_dimension_that_does_not_matter_does_not_condemn_a_rate():
    """Joint ratios of wild tail, independent of the rate: its own marginal ratio stays flat."""
    rng = np.random.default_rng(3)
    # 4,000 draws in bins of five tame a ratio of log sd 0.6.
    found = judge(0.6 * rng.normal(size=4000), rng.normal(size=(4000, 1)))
    assert not found.fails().any()
    assert found.share[0] > 0.9


def test_areas_and_survey_rates_are_judged_in_a_fit():
    survey = load_survey("smartphone")
    national = national_frame(draws=5, seed=1)
    found = fit(replace(ModelSpec(), draws=200), survey, national=national, seed=1)
    table = found.diagnostics.reliability
    assert set(table["reading"]) == {"pooled", "equalised"}
    assert table["reliable"].all()
    # Both engines are held to 0.1 sd; the fast one is well inside on a survey of 8,000.
    assert table["shift"].abs().max() < 0.05
    areas = found.reliability(national)
    assert len(areas) == 2 * len(national.areas)
    communes = build_frame(load_areas(communes=["33063", "33249"]), draws=0, seed=1)
    assert found.logits(communes, seed=1)
    spoiled = replace(found.evidence[0], weighed=_spoiled(found.evidence[0].weighed))
    with pytest.raises(ConvergenceError, match="areas, smartphone"):
        replace(found, evidence=(spoiled,)).logits(communes, seed=1)


def _spoiled(weighed):
    """Ratios that tilt one effect of everybody: what a wrong approximation would show."""
    intercept = weighed.effects[:, 0]
    return replace(weighed, log_ratio=3 * (intercept - intercept.mean()) / intercept.std())


def _hopeless():
    rows = evidence_rows(load_survey("smartphone").waves(2022), counts="effective")
    kept = np.flatnonzero(rows.y >= 0.999 * rows.n)[:3]
    codes = {name: code[kept] for name, code in rows.codes.items()}
    return replace(rows, codes=codes, y=rows.n[kept], n=rows.n[kept], w=rows.w[kept])


def test_the_engine_is_never_changed_silently(monkeypatch):
    spec = ModelSpec(intercept=9.0, terms=(TermSpec("sex", 9.0, learned=False),))
    rows = _hopeless()
    with pytest.raises(ConvergenceError, match="does not represent some rates"):
        engine.estimate(spec, rows, rng=np.random.default_rng(0))
    asked = []
    monkeypatch.setattr(engine, "sampled", lambda design, spec, rng: asked.append(design))
    found = engine.estimate(replace(spec, on_khat="nuts"), rows, rng=np.random.default_rng(0))
    assert len(asked) == 1
    assert "sampled by NUTS instead" in found.switched
