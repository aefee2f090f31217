"""Models whose posterior both engines must agree on; long NUTS runs of them are stored.

Quantities are rates: sums over rows of weights times the logistic of the linear predictor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from inegnum.data.survey import load_survey
from inegnum.estimators.evidence import evidence_rows
from inegnum.estimators.spec import ModelSpec
from inegnum.estimators.terms import blocks
from inegnum.numerics.latent import Design, Term, build_design


@dataclass(frozen=True)
class Case:
    """A design and rates of interest: `weights` is (Q, R), rows of shares over the R rows."""

    design: Design
    weights: np.ndarray
    names: tuple[str, ...]

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


CASES = {
    "smartphone": lambda: _survey("smartphone", (2020, 2022)),
    "rare": lambda: _survey("no_device", (2020, 2022)),
    "sparse": lambda: _survey("smartphone", (2022,), keep=250),
    "areas": _areas,
}
