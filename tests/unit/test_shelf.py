"""Every estimator of the shelf gives the same object: compare, benchmark, check, publish, export.

Twenty-eight areas bear the codes of the communes of Bordeaux Métropole, so that the map is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import inegnum as ing
from inegnum.data.indicators import indicator
from inegnum.errors import InputError
from inegnum.estimates.areas import estimates_from_areas
from inegnum.estimates.benchmark import Target, benchmark_draws, benchmark_estimates
from inegnum.estimators.area import (
    AreaData,
    Transform,
    bayes_fay_herriot,
    bym2_fay_herriot,
    composition_fay_herriot,
    fay_herriot,
    measurement_error_fay_herriot,
    multivariate_fay_herriot,
    rate_fay_herriot,
    robust_fay_herriot,
    row_standardise,
    space_time_fay_herriot,
    spatial_fay_herriot,
)
from inegnum.estimators.composite import composite
from inegnum.estimators.result import COLUMNS, AreaEstimates, ErrorLaw, area_table, compare
from inegnum.estimators.synthetic import poststratified_synthetic
from inegnum.estimators.unit.bayes import bayes_bhf
from inegnum.estimators.unit.bhf import bhf
from inegnum.estimators.unit.ebp import EbpOptions, ebp
from inegnum.estimators.unit.inputs import AreaMeans, Census, UnitSample
from inegnum.estimators.unit.pseudo import pseudo_eblup
from inegnum.estimators.unit.robust import robust_bhf
from inegnum.release.bundle import Bundle, write_bundle
from inegnum.review.models import (
    agreement,
    model_verdicts,
    normality,
    over_shrinkage,
    slope,
)
from inegnum.review.verdict import verdict_table


@cache
def places() -> pd.DataFrame:
    table = ing.load_areas(epci="243300316")
    return pd.DataFrame(
        {
            "geo": table["geo"],
            "level": "commune",
            "name": table["name"],
            "persons": table["population_2022"].astype(float) * 0.85,
        }
    )


M = 28
RNG = np.random.default_rng(33)
X = np.column_stack([np.ones(M), RNG.normal(size=M)])
THETA = expit(1.2 + 0.3 * X[:, 1] + RNG.normal(0, 0.25, M))
N = RNG.integers(40, 120, M).astype(float)
Y = np.clip(RNG.binomial(N.astype(int), THETA) / N, 0.05, 0.95)
D = Y * (1 - Y) / N
LINE = np.eye(M, k=1) + np.eye(M, k=-1)


def codes() -> np.ndarray:
    return places()["geo"].to_numpy(object)


def data() -> AreaData:
    return AreaData(Y, X, D, codes(), n=N)


def units() -> tuple[UnitSample, AreaMeans, Census]:
    rng = np.random.default_rng(5)
    area = np.repeat(np.arange(M), 12)
    x = rng.normal(size=len(area))
    y = THETA[area] + 0.05 * x + rng.normal(0, 0.15, len(area))
    covariates = np.column_stack([np.ones(len(area)), x])
    sample = UnitSample.from_arrays(
        np.clip(y, 0.02, None), covariates, codes()[area], weights=rng.uniform(1, 3, len(area))
    )
    means = AreaMeans(sample.geo, np.column_stack([np.ones(M), np.zeros(M)]))
    census_area = np.repeat(np.arange(M), 40)
    census = Census(
        sample.geo,
        census_area,
        np.column_stack([np.ones(M * 40), rng.normal(size=M * 40)]),
        np.ones(M * 40),
    )
    return sample, means, census


def _synthetic() -> AreaEstimates:
    rng = np.random.default_rng(2)
    people = pd.DataFrame({"y": rng.integers(0, 2, 80).astype(float), "age": ["a", "b"] * 40})
    persons = pd.DataFrame({"a": rng.integers(50, 200, M), "b": 100}, index=codes())
    return poststratified_synthetic(people, persons, y="y", cell="age")


def _measured() -> AreaEstimates:
    C = np.zeros((M, 2, 2))
    C[:, 1, 1] = 0.05
    return measurement_error_fay_herriot(data(), C)


def _over_time() -> AreaEstimates:
    rng = np.random.default_rng(4)
    areas = np.repeat(codes(), 2)
    y = np.repeat(Y, 2) + rng.normal(0, 0.02, 2 * M)
    rows = AreaData(
        y, np.repeat(X, 2, axis=0), np.repeat(D, 2), np.array([f"{a} {t}" for a, t in zip(
            areas, np.tile([2021, 2022], M), strict=True)], dtype=object)
    )  # fmt: skip
    est = space_time_fay_herriot(rows, areas, periods=np.tile([0.0, 1.0], M), model="S")
    last = est.table.iloc[1::2].reset_index(drop=True).assign(geo=codes())
    law = est.law
    assert law is not None
    return AreaEstimates(
        last, est.coefficients, est.variance, est.method,
        law=ErrorLaw(law.center[1::2], law.mse[1::2], law.factor[1::2]),
    )  # fmt: skip


def _two() -> AreaEstimates:
    V = np.zeros((M, 2, 2))
    V[:, 0, 0], V[:, 1, 1] = D, D
    V[:, 0, 1] = V[:, 1, 0] = 0.3 * D
    other = AreaData(np.clip(Y + 0.02 * X[:, 1], 0.05, 0.95), X, D, codes())
    return multivariate_fay_herriot([data(), other], V, names=["a", "b"], model="diagonal")["a"]


def _composition() -> AreaEstimates:
    rng = np.random.default_rng(9)
    z = np.stack([rng.dirichlet([8, 5, 4]) for _ in range(M)])
    V = (np.einsum("mi,ij->mij", z, np.eye(3)) - np.einsum("mi,mj->mij", z, z))[:, :2, :2] / 80
    shares = [AreaData(z[:, k], X, V[:, k, k].copy(), codes(), n=N) for k in range(2)]
    return composition_fay_herriot(shares, V, names=["a", "b", "c"])["a"]


def _direct() -> AreaEstimates:
    law = ErrorLaw(Y, D)
    table = area_table(codes(), Y, mse=D, law=law, columns={"basis": "direct", "n": N})
    return AreaEstimates(table, pd.DataFrame(), {}, "direct", law=law)


def _shelf() -> dict[str, Callable[[], AreaEstimates]]:
    def logit(**kind: object) -> AreaEstimates:
        return fay_herriot(data(), transform=Transform("logit"), **kind)  # type: ignore[arg-type]

    return {
        "direct": _direct,
        "synthetic": _synthetic,
        "composite": lambda: composite(data(), fay_herriot(data()), mse_synthetic=0.002),
        "fay_herriot": lambda: fay_herriot(data()),
        "fay_herriot logit": logit,
        "fay_herriot logit jackknife": lambda: logit(mse="jackknife"),
        "fay_herriot bootstrap interval": lambda: logit(
            method="amrl", mse="bootstrap", interval="bootstrap", replicates=400
        ),
        "fay_herriot arcsin": lambda: fay_herriot(
            data(), transform=Transform("arcsin", n_eff=N)
        ),
        "spatial": lambda: spatial_fay_herriot(data(), row_standardise(LINE)),
        "bym2": lambda: bym2_fay_herriot(data(), LINE, transform=Transform("logit")),
        "rates binomial": lambda: rate_fay_herriot(data(), n_eff=N),
        "rates beta": lambda: rate_fay_herriot(data(), likelihood="beta"),
        "space-time": _over_time,
        "robust": lambda: robust_fay_herriot(data()),
        "measurement error": _measured,
        "multivariate": _two,
        "composition": _composition,
        "bayes": lambda: bayes_fay_herriot(data()),
        "bhf": lambda: bhf(*units()[:2]),
        "bhf bootstrap": lambda: bhf(*units()[:2], mse="bootstrap", B=40),
        "bayes_bhf": lambda: bayes_bhf(*units()[:2]),
        "pseudo": lambda: pseudo_eblup(*units()[:2]),
        "robust_bhf": lambda: robust_bhf(*units()[:2], B=5),
        "ebp head count": lambda: ebp(
            units()[0], units()[2], transformation="log", indicators=("head_count",),
            threshold=0.6, options=EbpOptions(L=10, B=10, progress=False),
        )["head_count"],
    }  # fmt: skip


@cache
def fitted(name: str) -> AreaEstimates:
    return _shelf()[name]()


@pytest.mark.parametrize("name", list(_shelf()))
def test_one_object_whatever_the_estimator(name: str, tmp_path: Path) -> None:
    est = fitted(name)
    table = est.table
    assert list(table.columns) == list(COLUMNS)
    assert set(table["geo"]) == set(codes())
    assert (table["lower"] <= table["est"]).all()
    assert (table["est"] <= table["upper"]).all()
    assert (table["se"] >= 0).all()

    both = compare(est, fitted("fay_herriot"), _direct())
    assert len(both) == M
    assert both["direct"].notna().all()
    assert both["difference"].notna().all()

    weights = places().set_index("geo").loc[table["geo"], "persons"].to_numpy()
    target = Target(float(np.average(table["est"], weights=weights)) + 0.01, 0.01)
    for method in ("logit", "ratio", "difference", "mse", "soft"):
        moved, shift = benchmark_estimates(est, weights, target, method=method)
        whole = float(np.average(moved.table["est"], weights=weights))
        assert whole == pytest.approx(shift.after, abs=1e-9)
        if method != "soft":
            assert whole == pytest.approx(target.value, abs=1e-9)
        assert "benchmarked" in moved.notes[-1]

    assert est.law is not None
    if est.law.link != "identity":
        raw, _ = benchmark_draws(est.draws(200), weights, target)
        whole = raw.values @ (weights / weights.sum())
        assert whole.mean() == pytest.approx(target.value, abs=0.005)

    published = estimates_from_areas(
        est,
        places(),
        indicator=indicator("smartphone"),
        national=Target(0.87, 0.006),
        year=2022,
        whole=("243300316", "Bordeaux Métropole"),
        draws=400,
    )
    t = published.table
    assert len(t) == M + 2
    shown = t[(t["level"] == "commune") & (t["class"] != "D")]
    mine = table.set_index("geo").loc[shown["geo"]]
    # 400 draws: a mean is known to a twentieth of its se; the logit carries a normal law that
    # leaves 0-1 with a bias of its own, of the order of se squared.
    gap = np.abs(shown["est"].to_numpy() - mine["est"].to_numpy())
    assert (gap <= 0.25 * mine["se"].to_numpy() + 1e-9).all()
    assert "<svg" in ing.map_chart(published, "smartphone").text
    assert "<svg" in ing.dot_chart(published, "smartphone").text
    write_bundle(Bundle(published, {"title": "shelf"}), tmp_path)
    back = pd.read_csv(tmp_path / "estimates.csv", dtype={"geo": str})
    assert len(back) == M + 2
    assert back.loc[back["class"] == "D", "est"].isna().all()


AREA_LEVEL = (
    "fay_herriot", "fay_herriot logit", "spatial", "bym2", "rates binomial", "robust",
    "measurement error", "multivariate", "bayes",
)  # fmt: skip


@pytest.mark.parametrize("name", AREA_LEVEL)
def test_checks_run_on_every_area_level_model(name: str) -> None:
    verdicts = model_verdicts(fitted(name), data(), row_standardise(LINE))
    found = verdict_table(verdicts)
    assert found["check"].tolist() == [
        "normality", "leverage", "agreement", "slope", "over-shrinkage", "spatial",
    ]  # fmt: skip
    assert found["found"].notna().all()


@pytest.mark.parametrize("name", ["bhf", "bayes_bhf", "pseudo", "robust_bhf"])
def test_checks_against_direct_estimates_run_at_unit_level(name: str) -> None:
    est = fitted(name)
    for check in (normality, agreement, slope, over_shrinkage):
        verdict = check(est)
        assert np.isfinite(verdict.found)
        assert verdict.sentence_fr != verdict.sentence_en


def test_what_cannot_be_published_is_refused() -> None:
    est = fitted("fay_herriot")
    common = {"indicator": indicator("smartphone"), "national": Target(0.87), "year": 2022}
    with pytest.raises(InputError, match="no place"):
        estimates_from_areas(est, places().iloc[1:], **common)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="lack columns"):
        estimates_from_areas(est, places().drop(columns="persons"), **common)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no uncertainty"):
        estimates_from_areas(fay_herriot(data(), mse="none"), places(), **common)  # type: ignore[arg-type]
    incomes = AreaData(1000 * Y, X, 1e6 * D, codes())
    with pytest.raises(InputError, match="no rates"):
        estimates_from_areas(fay_herriot(incomes), places(), **common)  # type: ignore[arg-type]
