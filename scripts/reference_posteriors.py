"""Run NUTS long on the reference cases and store what the fast engine must reproduce.

Usage: python scripts/reference_posteriors.py CASE [DRAWS]. Writes tests/golden/posterior_CASE.json:
mean, sd, 95 % bounds and their Monte-Carlo errors by rate, with the run's own diagnostics.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from inegnum.estimators.nuts import sample  # noqa: E402
from reference_cases import CASES  # noqa: E402


def main(name: str, draws: int) -> None:
    """Sample one case and write its file."""
    import arviz as az

    case = CASES[name]()
    found = sample(
        case.design,
        rng=np.random.default_rng(20221),
        draws=draws,
        target_accept=0.99,
        inverted=case.inverted,
        progress=True,
    )
    rates = case.rates(found.effects)
    chains = rates.reshape(4, -1, rates.shape[1])
    ess = np.array([float(az.ess(chains[:, :, q])) for q in range(rates.shape[1])])
    rhat = max(float(az.rhat(chains[:, :, q])) for q in range(rates.shape[1]))
    lower, upper = np.quantile(rates, [0.025, 0.975], axis=0)
    record = {
        "case": name,
        "sampler": "PyMC NUTS (nutpie), 4 chains",
        "draws": len(rates),
        "rhat": found.rhat,
        "ess_min": found.ess,
        "rhat_rates": rhat,
        "divergences": int(found.tree["sample_stats"]["diverging"].sum()),
        "names": list(case.names),
        "mean": rates.mean(axis=0).round(8).tolist(),
        "sd": rates.std(axis=0, ddof=1).round(8).tolist(),
        "lower": lower.round(8).tolist(),
        "upper": upper.round(8).tolist(),
        "mcse": (rates.std(axis=0, ddof=1) / np.sqrt(ess)).round(10).tolist(),
        "ess": ess.round(0).tolist(),
    }
    path = ROOT / "tests" / "golden" / f"posterior_{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2500)
