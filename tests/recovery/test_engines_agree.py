"""The fast engine at its defaults against stored long NUTS runs of the same models."""

import json
from pathlib import Path

import numpy as np
import pytest

from reference_cases import CASES

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
# Monte-Carlo error of a 2.5 % quantile in posterior sds, times sqrt(effective draws).
QUANTILE = np.sqrt(0.025 * 0.975) / 0.0584


@pytest.mark.parametrize(
    "name",
    [
        "sparse",
        "areas",
        "bym2",
        "fusion",
        "margins",
        pytest.param("smartphone", marks=pytest.mark.slow),
        pytest.param("rare", marks=pytest.mark.slow),
    ],
)
def test_means_sds_and_interval_ends(name):
    reference = json.loads((GOLDEN / f"posterior_{name}.json").read_text(encoding="utf-8"))
    keys = ("mean", "sd", "lower", "upper", "mcse", "ess")
    mean, sd, lower, upper, mcse, ess = (np.array(reference[k]) for k in keys)
    assert reference["rhat"] <= 1.01
    assert reference["ess_min"] >= 400
    case = CASES[name]()
    assert list(case.names) == reference["names"]
    draws = 8000
    rates = case.approximate(draws)
    gap = np.abs(rates.mean(axis=0) - mean) / sd
    assert (gap <= 0.1 + 4 * np.hypot(mcse / sd, 1 / np.sqrt(draws))).all()
    # An sd is known to 1/sqrt(2 ess) by each side.
    noise = 4 * np.sqrt(0.5 / ess + 0.5 / draws)
    assert (np.abs(rates.std(axis=0) / sd - 1) <= 0.05 + noise).all()
    ends = 4 * QUANTILE * np.sqrt(1 / ess + 1 / draws)
    for q, bound in ((0.025, lower), (0.975, upper)):
        assert (np.abs(np.quantile(rates, q, axis=0) - bound) / sd <= 0.15 + ends).all()


def test_every_case_has_its_reference():
    missing = [name for name in CASES if not (GOLDEN / f"posterior_{name}.json").exists()]
    assert not missing, f"run scripts/reference_posteriors.py for {missing}"
