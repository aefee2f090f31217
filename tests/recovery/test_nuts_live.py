"""NUTS as installed here, against its own stored long run: a library that changes is seen."""

import json
from pathlib import Path

import numpy as np
import pytest

from inegnum.estimators.engine import Estimated
from inegnum.estimators.evidence import Rows
from inegnum.estimators.nuts import ESS, RHAT, sample, walk
from reference_cases import CASES

az = pytest.importorskip("arviz")

pytestmark = pytest.mark.slow
STORED = Path(__file__).resolve().parents[1] / "golden" / "posterior_bym2.json"
# Monte-Carlo error of a 2.5 % quantile in posterior sds, times sqrt(effective draws).
QUANTILE = np.sqrt(0.025 * 0.975) / 0.0584


@pytest.fixture(scope="module")
def case():
    return CASES["bym2"]()


@pytest.fixture(scope="module")
def found(case):
    return sample(case.design, rng=np.random.default_rng(3), draws=1500, target_accept=0.99)


def _effective(chains, **how):
    return np.array([float(az.ess(chains[:, :, q], **how)) for q in range(chains.shape[2])])


def test_the_stored_run_is_found_again(case, found):
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    keys = ("mean", "sd", "lower", "upper", "ess")
    mean, sd, lower, upper, ess = (np.array(stored[k]) for k in keys)
    rates = case.rates(found.effects)
    chains = rates.reshape(4, -1, rates.shape[1])
    # One posterior, two runs: nothing but Monte-Carlo error, four of it. Chains that turn back know
    # a mean better than a spread: each statistic has its own effective draws, and those of the
    # stored run, on record for means only, are halved for the others.
    noise = 4 * np.sqrt(1 / ess + 1 / _effective(chains, method="mean"))
    assert (np.abs(rates.mean(axis=0) - mean) / sd <= noise).all()
    noise = 4 * np.sqrt(2 / ess + 1 / _effective(chains, method="sd")) / np.sqrt(2)
    assert (np.abs(rates.std(axis=0) / sd - 1) <= noise).all()
    for q, bound in ((0.025, lower), (0.975, upper)):
        own = _effective(chains, method="quantile", prob=q)
        gap = np.abs(np.quantile(rates, q, axis=0) - bound) / sd
        assert (gap <= 4 * QUANTILE * np.sqrt(2 / ess + 1 / own)).all()
    assert found.rhat <= RHAT
    assert found.ess >= ESS


def test_arviz_reads_sampled_chains_in_their_order(case, found):
    design = case.design
    codes = {term.name: term.index for term in design.terms[1:]}
    rows = Rows(codes, design.y, design.n, design.n, (2022,))
    tree = Estimated(rows, design, found).to_datatree()
    assert tree.attrs["engine"] == "nuts"
    area = tree["posterior"]["area"].to_numpy()
    assert area.shape == (4, 1500, 60)
    np.testing.assert_array_equal(area.reshape(-1, 60), found.effects[:, design.slices[2]])
    assert int(tree["sample_stats"]["diverging"].sum()) == 0
    eta = design.X @ found.effects[1500] + design.offset  # first draw of the second chain
    expected = design.y * eta - design.n * np.logaddexp(0, eta)
    np.testing.assert_allclose(tree["log_likelihood"]["y"].to_numpy()[1, 0], expected)
    # Chains that were cut and glued elsewhere would not agree with each other.
    assert float(az.rhat(tree["posterior"]["sd age"].to_numpy())) < RHAT


def test_a_bar_is_shown_on_terminals_only(monkeypatch):
    import nutpie

    asked = []
    monkeypatch.setattr(nutpie, "sample", lambda model, **given: asked.append(given))
    for terminal in (True, False):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        walk(None, draws=1, tune=1, seed=1)
    walk(None, draws=1, tune=1, seed=1, progress=True)
    assert [one["progress_bar"] for one in asked] == [True, False, True]
