"""Multilevel regression and poststratification side by side with NUTS: CPU time, one run.

    python benchmarks/mrp.py [--quick] [--only NAME]      one thread: OMP_NUM_THREADS=1

Each line reads ``NAME ratio=... target=... ok|short | detail``; a ratio above its target is what is
wanted: how many times less CPU than the peer, or, for lines that end in ``_limit``, than the limit.

Model of the comparison: Bernoulli logit, intercept, sex, an area covariate, varying intercepts of
age (8), diploma (5), occupation (8) and area (100); 121 + 3 effects and four sds. `--quick` runs
NUTS short (its cost is CPU of sampling, compilation left out, scaled to 4,000 effective draws of
the worst area rate) and leaves PyMC's default and the largest problems out.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.special import expit

from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Design, Term, build_design
from inegnum.numerics.poststratify import poststratify

SIZES = {"age": 8, "diploma": 5, "occupation": 8, "area": 100}
DRAWS = 4000


def survey(n: int) -> tuple[Design, dict[str, np.ndarray]]:
    """Draw respondents; return the design of distinct cells, and the respondents themselves."""
    rng = np.random.default_rng(424242)
    x = rng.normal(size=100)
    effects = {
        "age": np.linspace(-1.2, 1.6, 8),
        "diploma": np.linspace(0.9, -0.9, 5),
        "occupation": rng.normal(0, 0.35, 8),
        "area": 0.35 * rng.normal(size=100) + 0.25 * x,
    }
    codes = {name: rng.integers(0, size, n) for name, size in SIZES.items()}
    sex = rng.integers(0, 2, n)
    eta = -2.1 + 0.15 * sex + sum(effects[name][codes[name]] for name in SIZES)
    y = (rng.random(n) < expit(eta)).astype(float)
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
    design = build_design(np.bincount(inverse, y), np.bincount(inverse).astype(float), terms)
    return design, {**codes, "sex": sex, "y": y, "x": x}


def cpu(work: Callable[[], Any], repeats: int) -> float:
    """Return the median CPU time of `repeats` runs, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        gc.collect()
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def claim(name: str, ratio: float, target: float, detail: str) -> None:
    """Write one line."""
    state = "ok" if ratio >= target else "short"
    sys.stdout.write(f"{name} ratio={ratio:.2f} target={target:g} {state} | {detail}\n")
    sys.stdout.flush()


def laplace(n: int, repeats: int) -> float:
    """Return CPU seconds of build, integration and 4,000 independent draws."""
    design, _ = survey(n)
    y, counts, terms = design.y, design.n, design.terms
    del design, _

    def work() -> None:
        fresh = build_design(y, counts, terms)
        rng = np.random.default_rng(1)
        integrate(fresh, rng=rng).draw(DRAWS, rng)

    return cpu(work, repeats)


def area_ess(rates: np.ndarray) -> float:
    """Return the smallest bulk ESS over areas of rates (chains, draws, areas)."""
    import arviz as az

    return min(float(az.ess(rates[:, :, j])) for j in range(rates.shape[2]))


def area_rates(logits: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Poststratify draws of effects to the areas, all profiles alike (S, 100)."""
    profile = logits["one"][:, None] + np.zeros((1, 1))
    for name in ("age", "diploma", "occupation"):
        profile = (profile[:, :, None] + logits[name][:, None, :]).reshape(len(profile), -1)
    area = logits["area"] + logits["x"][:, None] * x
    counts, persons = poststratify(profile, area, np.ones((100, profile.shape[1])))
    return counts / persons


def our_nuts(n: int, draws: int, tune: int) -> tuple[float, float]:
    """Return CPU seconds of sampling and effective draws of the worst area, engine "nuts"."""
    from inegnum.estimators import nuts

    design, data = survey(n)
    model = nuts.compiled(design, rng=np.random.default_rng(1))
    nuts.walk(model, draws=5, tune=5, seed=1)
    start = time.process_time()
    tree = nuts.walk(model, draws=draws, tune=tune, seed=1)
    seconds = time.process_time() - start
    effects, _ = nuts.collect(tree, design)
    at = dict(zip([t.name for t in design.terms], design.slices, strict=True))
    parts = {name: effects[:, at[name]] for name in (*SIZES,)}
    parts |= {name: effects[:, at[name]][:, 0] for name in ("one", "x")}
    rates = area_rates(parts, data["x"])
    return seconds, area_ess(rates.reshape(4, -1, 100))


def pymc_model(data: dict[str, np.ndarray], zero_sum: bool) -> Any:
    """Write the model as PyMC's users do, respondent by respondent."""
    import pymc as pm

    with pm.Model() as model:
        eta = pm.Normal("one", 0, 1.5) + pm.Normal("sex", 0, 1) * data["sex"]
        slope = pm.Normal("x", 0, 1)
        for name, size in SIZES.items():
            sd = pm.HalfNormal(f"sd_{name}", 1.0)
            z = (
                pm.ZeroSumNormal(f"z_{name}", 1.0, shape=size)
                if zero_sum
                else pm.Normal(f"z_{name}", 0, 1, shape=size)
            )
            effect = pm.Deterministic(name, sd * z)
            eta = eta + effect[data[name]]
        eta = eta + slope * data["x"][data["area"]]
        pm.Bernoulli("y", logit_p=eta, observed=data["y"])
    return model


def pymc_nuts(n: int, draws: int, tune: int, zero_sum: bool) -> tuple[float, float]:
    """Return CPU seconds of sampling and effective draws of the worst area, PyMC and nutpie."""
    import nutpie

    _, data = survey(n)
    model = nutpie.compile_pymc_model(pymc_model(data, zero_sum), backend="numba")
    nutpie.sample(model, draws=5, tune=5, chains=1, seed=1, progress_bar=False)
    start = time.process_time()
    tree = nutpie.sample(
        model, draws=draws, tune=tune, chains=4, cores=1, seed=1, progress_bar=False
    )
    seconds = time.process_time() - start
    posterior = tree["posterior"].to_dataset()
    parts = {
        name: posterior[name].to_numpy().reshape(4 * draws, -1) for name in (*SIZES, "one", "x")
    }
    parts |= {name: parts[name][:, 0] for name in ("one", "x")}
    rates = area_rates(parts, data["x"])
    return seconds, area_ess(rates.reshape(4, -1, 100))


def against_nuts(quick: bool) -> None:
    """Compare 4,000 effective draws at n = 5,000, and the two NUTS."""
    tune, draws = (150, 100) if quick else (1000, 1000)
    ours = laplace(5000, 3)
    seconds, ess = pymc_nuts(5000, draws, tune, zero_sum=True)
    scaled = seconds * DRAWS / ess
    how = f"{tune} + {draws} draws of 4 chains: {seconds:.1f} s for {ess:.0f} effective"
    claim(
        "laplace_vs_cheapest_nuts",
        scaled / ours,
        100,
        f"{ours:.3f} s for {DRAWS} independent draws; PyMC + nutpie, zero-sum, {how},"
        f" scaled to {DRAWS}",
    )
    if quick:
        return
    theirs, their_ess = pymc_nuts(5000, draws, tune, zero_sum=False)
    own, own_ess = our_nuts(5000, draws, tune)
    claim(
        "engine_nuts_vs_pymc_default",
        (own_ess / own) / (their_ess / theirs),
        1.5,
        f"area ESS per CPU s {own_ess / own:.1f} against {their_ess / theirs:.1f} (nutpie, which"
        f" PyMC picks when installed); {own_ess:.0f} in {own:.1f} s, {their_ess:.0f} in"
        f" {theirs:.1f} s",
    )


def kernel(cells: int, draws: int) -> None:
    """Time poststratification, compilation left out; chunked, exponentials included."""
    K = 640
    rng = np.random.default_rng(2)
    profile, area = rng.normal(size=(draws, K)), rng.normal(size=(draws, cells // K))
    N = rng.gamma(1.0, 1.0, size=(cells // K, K))
    ns = 1e9 * cpu(lambda: poststratify(profile, area, N), 5) / (cells * draws)
    claim(f"poststratify_{cells}_limit", 0.4 / ns, 1, f"{ns:.3f} CPU ns a cell and draw ({draws})")


def ten_indicators() -> None:
    """Fit ten indicators and predict 28 communes and their metropolis.

    Counted: from cells in memory to draws, with every reading of the urban gradient, the prior of
    the gradient from earlier waves, the anchor, the judgement of the engine. Not counted: reading
    files and building frames, which are shared.
    """
    from inegnum.data.areas import load_areas
    from inegnum.data.frames.build import build_frame, national_frame
    from inegnum.data.survey import load_survey
    from inegnum.estimators.multilevel import fit
    from inegnum.estimators.spec import ModelSpec

    codes = ("smartphone", "internet_daily", "admin_online", "admin_difficulty", "computer_home")
    codes += ("tablet", "fixed_internet", "social_network", "barrier_skills", "purchase_online")
    frame = build_frame(load_areas(epci="243300316"), draws=20, seed=1)
    national = national_frame(draws=20, seed=1)
    surveys = [load_survey(code) for code in codes]
    fit(ModelSpec(), surveys[0], national=national, seed=1).predict(frame, seed=2)
    start = time.process_time()
    for cells in surveys:
        fit(ModelSpec(), cells, national=national, seed=1).predict(frame, seed=2)
    seconds = time.process_time() - start
    claim(
        "ten_indicators_limit",
        8 / seconds,
        1,
        f"{seconds:.1f} CPU s on one core: ten fits, three readings each, 28 communes, 2,000 draws",
    )


def large() -> None:
    """Time 100,000 respondents."""
    seconds = laplace(100_000, 1)
    claim("laplace_100k_limit", 3 / seconds, 1, f"{seconds:.2f} s for {DRAWS} draws")


def memory() -> None:
    """Report the largest size of the process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    claim("memory_limit", 500 / peak, 1, f"{peak:.0f} MB at most, before any peer is loaded")


def main() -> None:
    """Run what was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pymc").setLevel(logging.ERROR)
    works: dict[str, Callable[[], None]] = {
        "kernel_small": lambda: kernel(64_000, 1000),
        "kernel": lambda: kernel(1_024_000, 100),
        "kernel_large": lambda: kernel(12_800_000, 20),
        "large": large,
        "ten": ten_indicators,
        "memory": memory,
        "nuts": lambda: against_nuts(given.quick),
    }
    for name, work in works.items():
        if given.only in name:
            work()


if __name__ == "__main__":
    main()
