"""CPU seconds of the multilevel engines and of poststratification.

Usage: python benchmarks/mrp.py [--quick | --nuts]. One thread: set OMP_NUM_THREADS=1.

Model of the peers' comparison: Bernoulli logit, intercept, two fixed effects, varying intercepts of
age (8), diploma (5), occupation (8) and area (100). `--quick` leaves out the two largest problems;
`--nuts` adds NUTS on the first, minutes long. Writes one JSON line a measure to stdout.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Design, Term, build_design
from inegnum.numerics.poststratify import poststratify

SIZES = {"age": 8, "diploma": 5, "occupation": 8, "area": 100}
DRAWS = 4000


def survey(n: int) -> Design:
    """Draw respondents and collapse them to distinct cells."""
    rng = np.random.default_rng(424242)
    x = rng.normal(size=100)
    area = 0.35 * rng.normal(size=100) + 0.25 * x
    effects = {
        "age": np.linspace(-1.2, 1.6, 8),
        "diploma": np.linspace(0.9, -0.9, 5),
        "occupation": rng.normal(0, 0.35, 8),
        "area": area,
    }
    codes = {name: rng.integers(0, size, n) for name, size in SIZES.items()}
    sex = rng.integers(0, 2, n)
    eta = -2.1 + 0.15 * sex + sum(effects[name][codes[name]] for name in SIZES)
    y = rng.random(n) < expit(eta)
    key = sex
    for name, size in SIZES.items():
        key = key * size + codes[name]
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    one = np.zeros(len(first), dtype=np.int64)
    terms = [
        Term("one", one, 1, 1.5, learned=False),
        Term("sex", one, 1, 1.0, learned=False, value=sex[first].astype(float)),
        Term("x", one, 1, 1.0, learned=False, value=x[codes["area"][first]]),
        *(Term(name, codes[name][first], size, 1.0) for name, size in SIZES.items()),
    ]
    return build_design(
        np.bincount(inverse, y.astype(float)), np.bincount(inverse).astype(float), terms
    )


def cpu(work: Callable[[], Any], repeats: int) -> float:
    """Return the median CPU time of `repeats` runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def report(measure: str, **figures: float) -> None:
    """Write one measure."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    record = {"measure": measure, **{k: round(v, 4) for k, v in figures.items()}}
    sys.stdout.write(json.dumps({**record, "peak_gb": round(peak, 2)}) + "\n")
    sys.stdout.flush()


def laplace(n: int) -> None:
    """Time build, integration and 4,000 independent draws."""

    def work() -> None:
        design = survey_of[n]
        rng = np.random.default_rng(1)
        integrate(design, rng=rng).draw(DRAWS, rng)

    survey_of = {n: survey(n)}
    report(f"laplace n={n}", cpu_s=cpu(work, 3), draws=DRAWS)


def kernel(cells: int, draws: int) -> None:
    """Time poststratification, compilation left out."""
    K = 640
    rng = np.random.default_rng(2)
    profile, area = rng.normal(size=(draws, K)), rng.normal(size=(draws, cells // K))
    N = rng.gamma(1.0, 1.0, size=(cells // K, K))
    seconds = cpu(lambda: poststratify(profile, area, N), 3)
    report(f"poststratify {cells} cells x {draws}", cpu_ns=1e9 * seconds / (cells * draws))


def ten_indicators() -> None:
    """Fit ten indicators and predict 28 communes: all three readings of the gradient."""
    from inegnum.data.areas import load_areas
    from inegnum.data.frame import build_frame, national_frame
    from inegnum.data.survey import load_survey
    from inegnum.estimators.multilevel import fit
    from inegnum.estimators.spec import ModelSpec

    codes = ("smartphone", "internet_daily", "admin_online", "admin_difficulty", "computer_home")
    codes += ("tablet", "fixed_internet", "social_network", "barrier_skills", "purchase_online")
    frame = build_frame(load_areas(epci="243300316"), draws=20, seed=1)
    national = national_frame(draws=20, seed=1)
    surveys = [load_survey(code) for code in codes]

    def work() -> None:
        for cells in surveys:
            fit(ModelSpec(), cells, national=national, seed=1).predict(frame, seed=2)

    report("ten indicators x 28 communes", cpu_s=cpu(work, 1))


def nuts() -> None:
    """Time NUTS on the first problem."""
    from inegnum.estimators.nuts import sample

    design = survey(5000)
    start = time.process_time()
    found = sample(design, rng=np.random.default_rng(1), draws=2000)
    report("nuts n=5000", cpu_s=time.process_time() - start, ess=found.ess)


def main(arguments: list[str]) -> None:
    """Run what was asked."""
    poststratify(np.zeros((40, 640)), np.zeros((40, 1000)), np.ones((1000, 640)))  # compile
    laplace(5000)
    kernel(64_000, 1000)
    kernel(1_024_000, 100)
    ten_indicators()
    if "--quick" not in arguments:
        laplace(100_000)
        kernel(12_800_000, 20)
    if "--nuts" in arguments:
        nuts()


if __name__ == "__main__":
    main(sys.argv[1:])
