"""Models whose posterior both engines must agree on; long NUTS runs of them are stored.

Quantities are rates: sums over rows of weights times the logistic of the linear predictor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import expit

from inegnum.data.survey import load_survey
from inegnum.draws import Draws
from inegnum.estimators.evidence import evidence_rows
from inegnum.estimators.fusion import LocalSurvey, fuse
from inegnum.estimators.margins_only import (
    cells_of,
    composition_of,
    inverted_rates,
    margins_of,
)
from inegnum.estimators.spec import FACTORS, ModelSpec
from inegnum.estimators.terms import blocks
from inegnum.numerics.bym2 import bym2_mixing
from inegnum.numerics.inversion import Inverted
from inegnum.numerics.laplace import integrate
from inegnum.numerics.latent import Design, Term, build_design
from simulated import SOURCE


@dataclass(frozen=True)
class Case:
    """A design and rates of interest: `weights` is (Q, R), rows of shares over the R rows.

    NUTS samples the posterior of `design`. The fast engine does the same unless `fast` says how it
    gets there by another road. Published rates are the evidence when there is an `inverted`.
    """

    design: Design
    weights: np.ndarray
    names: tuple[str, ...]
    fast: Callable[[Case, int], np.ndarray] | None = None
    inverted: Inverted | None = None

    def approximate(self, draws: int) -> np.ndarray:
        """Return draws of the rates by the fast engine at its defaults, shape (S, Q)."""
        if self.fast is not None:
            return self.fast(self, draws)
        if self.inverted is not None:
            return self.rates(self.inverted.draw(draws, np.random.default_rng(2))[0])
        found = integrate(self.design, rng=np.random.default_rng(1), points=ModelSpec().points)
        return self.rates(found.draw(draws, np.random.default_rng(2))[0])

    def rates(self, effects: np.ndarray) -> np.ndarray:
        """Return draws of the rates, shape (S, Q)."""
        out = np.empty((len(effects), len(self.names)))
        for part in np.array_split(np.arange(len(effects)), max(1, len(effects) // 200)):
            eta = self.design.X @ effects[part].T + self.design.offset[:, None]
            out[part] = (self.weights @ expit(eta)).T
        return out


def _survey(code: str, waves: tuple[int, ...], keep: int | None = None) -> Case:
    # The long runs on record were made of these terms; a term the model gained since is not theirs.
    terms = tuple(term for term in ModelSpec().terms if term.factors != "wave:region")
    spec = ModelSpec(waves=waves, year=waves[-1], terms=terms)
    cells = load_survey(code).waves(*waves)
    rows = evidence_rows(cells, counts="effective")
    codes, y, n, w = dict(rows.codes), rows.y, rows.n, rows.w
    if keep is not None:  # a small survey: some levels hold no respondent, or no "yes"
        at = np.sort(np.random.default_rng(11).choice(len(y), keep, replace=False))
        codes = {name: code[at] for name, code in codes.items()}
        y, n, w = y[at], n[at], w[at]
    rows = type(rows)(codes, y, n, w, rows.waves)
    design = build_design(y, n, blocks(spec, rows))
    last = codes["wave"] == len(rows.waves) - 1
    weights, names = [w * last], ["all"]
    for factor in ("age", "diploma", "urban", "region"):
        for level in range(int(codes[factor].max()) + 1):
            at = last & (codes[factor] == level)
            if at.any():
                weights.append(w * at)
                names.append(f"{factor} {level}")
    stacked = np.stack(weights)
    return Case(design, stacked / stacked.sum(axis=1, keepdims=True), tuple(names))


def _areas() -> Case:
    """A hundred areas, half of them with fewer than twenty respondents, one without any."""
    rng = np.random.default_rng(12)
    areas, people = 100, rng.choice([8, 15, 30, 60], 100)
    people[0] = 0
    area = np.repeat(np.arange(areas), people)
    R = len(area)
    age, job = rng.integers(0, 6, R), rng.integers(0, 7, R)
    true = rng.normal(0, 0.4, areas)
    eta = -1.5 + np.linspace(-1, 1, 6)[age] + rng.normal(0, 0.3, 7)[job] + true[area]
    y = (rng.random(R) < expit(eta)).astype(float)
    # Rows of weight 1 for every area so that the one without respondents has a rate too.
    every = np.arange(areas)
    index = {
        "area": np.concatenate([area, every]),
        "age": np.concatenate([age, np.full(areas, 2)]),
        "job": np.concatenate([job, np.full(areas, 3)]),
    }
    n = np.concatenate([np.ones(R), np.zeros(areas)])
    terms = (
        Term("one", np.zeros(R + areas, dtype=np.int64), 1, 1.5, learned=False),
        Term("age", index["age"], 6, 1.0),
        Term("job", index["job"], 7, 1.0),
        Term("area", index["area"], areas, 1.0),
    )
    design = build_design(np.concatenate([y, np.zeros(areas)]), n, terms)
    weights = np.zeros((areas + 1, R + areas))
    weights[np.arange(areas), R + every] = 1.0
    weights[areas, R:] = 1 / areas
    return Case(design, weights, (*(f"area {a}" for a in every), "all"))


def _bym2() -> Case:
    """Sixty areas on a lattice, spatial and not, seen through respondents of six ages."""
    rng = np.random.default_rng(41)
    rows, columns = 6, 10
    areas = rows * columns
    line = [np.eye(k, k=1) + np.eye(k, k=-1) for k in (rows, columns)]
    W = np.kron(line[0], np.eye(columns)) + np.kron(np.eye(rows), line[1])
    mixing = bym2_mixing(W)
    smooth = mixing.vectors @ (np.sqrt(mixing.values) * rng.normal(size=areas))
    true = 0.6 * (np.sqrt(0.7) * smooth + np.sqrt(0.3) * rng.normal(size=areas))
    people = rng.choice([10, 20, 40, 80], areas)
    people[0] = 0
    every, ages = np.arange(areas), np.arange(6)
    # A row is everybody of one age in one area, then one of nobody for the rate of each area.
    n = rng.multinomial(1, np.full(6, 1 / 6), people.sum())
    n = np.add.reduceat(np.vstack([n, np.zeros(6, dtype=int)]), np.cumsum(people) - people)
    n[people == 0] = 0
    rate = expit(-0.5 + np.linspace(-1, 1, 6)[ages] + true[:, None])
    y = rng.binomial(n, rate).ravel().astype(float)
    n, R = n.ravel().astype(float), areas * 6
    index = np.concatenate([np.repeat(every, 6), every])
    ages = np.concatenate([np.tile(ages, areas), np.full(areas, 2)])
    terms = (
        Term("one", np.zeros(R + areas, dtype=np.int64), 1, 1.5, learned=False),
        Term("age", ages, 6, 1.0),
        Term("area", index, areas, 1.0, mixing=mixing),
    )
    nothing = np.zeros(areas)
    design = build_design(np.concatenate([y, nothing]), np.concatenate([n, nothing]), terms)
    weights = np.zeros((areas + 1, R + areas))
    weights[every, R + every] = 1.0
    weights[areas, R:] = 1 / areas
    return Case(design, weights, (*(f"area {a}" for a in every), "all"))


def _fusion() -> Case:
    """Twelve communes seen by a national survey, then by a local one that answers a little high."""
    rng = np.random.default_rng(31)
    areas, R = 12, 800
    every = np.arange(areas)
    area, age = rng.integers(0, areas, R), rng.integers(0, 6, R)
    true = 1.0 + rng.normal(0, 0.4, areas)
    y = (rng.random(R) < expit(true[area] + np.linspace(-1, 1, 6)[age])).astype(float)
    n_local = np.array([0, 40, 60, 60, 80, 100, 100, 150, 200, 200, 300, 400], dtype=float)
    at_age = 2
    rate = expit(true + np.linspace(-1, 1, 6)[at_age] + 0.2)
    y_local = rng.binomial(n_local.astype(int), rate).astype(float)
    index = np.concatenate([area, every, every])
    silent = np.full(R + areas, -1)
    terms = (
        Term("one", np.zeros(len(index), dtype=np.int64), 1, 1.5, learned=False),
        Term("age", np.concatenate([age, np.full(2 * areas, at_age)]), 6, 1.0),
        Term("area", index, areas, 0.5),
        Term("mode", np.concatenate([silent, np.zeros(areas, dtype=np.int64)]), 1, 0.15, False),
    )
    nothing = np.zeros(areas)
    design = build_design(
        np.concatenate([y, nothing, y_local]), np.concatenate([np.ones(R), nothing, n_local]), terms
    )
    weights = np.zeros((areas + 1, len(index)))
    weights[every, R + every] = 1.0
    weights[areas, R : R + areas] = 1 / areas
    return Case(design, weights, (*(f"area {a}" for a in every), "all"), _fused)


def _margins() -> Case:
    """One-way rates of smartphones in whole percentages, the microdata hidden."""
    cells = load_survey("smartphone").waves(2022)
    spec = ModelSpec(waves=(2022,), year=2022, history=())
    spec = replace(spec, terms=spec.without("wave"))
    factors = ("age", "sex", "diploma", "occupation", "urban", "region")
    table = margins_of(cells, factors, rounding=0.01)
    rows, masks, N = cells_of([table], composition_of(cells), table.indicator)
    rng = np.random.default_rng(1)
    inverted = inverted_rates(spec, [table], (rows, masks, N), None, rng, composed=True)
    # Published groups, then some the publication does not cross.
    levels = {"age": "70+", "diploma": "none", "urban": "100k+"}
    old, none, large = (rows.codes[f] == FACTORS[f].index(x) for f, x in levels.items())
    weights = np.vstack([masks, old & none, old & ~none, large & old]) * N
    names = (*(f"group {g}" for g in range(len(masks))), "old, none", "old, some", "old, large")
    weights /= weights.sum(axis=1, keepdims=True)
    return Case(inverted.design, weights, names, inverted=inverted)


def _fused(case: Case, draws: int) -> np.ndarray:
    """National survey first, then the local one by Matheron's rule."""
    whole, areas = case.design, len(case.names) - 1
    first = len(whole.y) - areas
    local_n, local_y = whole.n[first:], whole.y[first:]
    national = build_design(whole.y[:first], whole.n[:first], [_cut(t, first) for t in whole.terms])
    found = integrate(national, rng=np.random.default_rng(1), points=ModelSpec().points)
    effects, _ = found.draw(draws, np.random.default_rng(2))
    rates = expit(national.X @ effects.T).T[:, first - areas :]
    geo = [f"a{j}" for j in range(areas)]
    items = pd.DataFrame({"geo": [*geo, "all"], "level": ["commune"] * areas + ["epci"]})
    items = items.assign(indicator="i", universe="12+", persons=[1.0] * areas + [float(areas)])
    seen = local_n > 0
    table = pd.DataFrame({"geo": geo, "n": local_n}).assign(rate=local_y / np.maximum(local_n, 1))
    survey = LocalSurvey(table[seen], "i", "12+", SOURCE, deff=1.0, offset_sd=0.15)
    joint = Draws(np.column_stack([rates, rates.mean(axis=1)]), items)
    return fuse(joint, survey, seed=3).draws.values


def _cut(term: Term, first: int) -> Term:
    return Term(term.name, term.index[:first], term.size, term.scale, term.learned)


CASES = {
    "smartphone": lambda: _survey("smartphone", (2020, 2022)),
    "rare": lambda: _survey("no_device", (2020, 2022)),
    "sparse": lambda: _survey("smartphone", (2022,), keep=250),
    "areas": _areas,
    "bym2": _bym2,
    "fusion": _fusion,
    "margins": _margins,
}
