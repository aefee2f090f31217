"""Empirical best prediction: integrals against quadrature and simulation, seeds, threads, input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from inegnum.errors import InputError
from inegnum.estimators.unit.ebp import EbpOptions, ebp
from inegnum.estimators.unit.inputs import Census, UnitSample
from inegnum.numerics.ebp import Predictive, expected_additive, make_layout, simulate
from inegnum.numerics.indicators import Custom
from inegnum.numerics.transformations import Transformation

FAMILIES = [
    (Transformation("none"), 0.0, 3.0, 0.8),
    (Transformation("log"), 0.0, 1.0, 0.5),
    (Transformation("log", shift=1.5), 0.0, 1.4, 0.5),
    (Transformation("box-cox"), 0.5, 2.0, 0.7),
    (Transformation("box-cox"), 0.5, -0.5, 0.9),  # a fifth of the mass below the floor at -2
    (Transformation("dual"), 0.4, 1.0, 0.5),
    (Transformation("log-shift"), 2.0, 1.5, 0.3),
]


def _world(seed: int = 0) -> tuple[UnitSample, Census]:
    rng = np.random.default_rng(seed)
    m = 12
    area = np.repeat(np.arange(m), rng.integers(3, 9, m))
    effects = 0.25 * rng.normal(size=m + 1)
    x = rng.normal(size=len(area))
    y = np.exp(1 + 0.4 * x + effects[area] + 0.4 * rng.normal(size=len(area)))
    sample = UnitSample.from_arrays(
        y, np.column_stack([np.ones(len(x)), x]), [f"{i:02d}" for i in area]
    )
    # one area more than was sampled
    rows = np.repeat(np.arange(m + 1), 40)
    X = np.column_stack([np.ones(len(rows)), rng.normal(size=len(rows))])
    geo = tuple(f"{i:02d}" for i in range(m + 1))
    return sample, Census(geo, rows, X, np.ones(len(rows)))


@pytest.mark.parametrize(("family", "lam", "mu", "sd"), FAMILIES)
@pytest.mark.parametrize("name", ["mean", "head_count", "poverty_gap"])
def test_integrals_match_adaptive_quadrature(
    family: Transformation, lam: float, mu: float, sd: float, name: str
) -> None:
    line = 2.2
    layout = make_layout(np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1), 1)
    law = Predictive(np.array([mu]), np.array([0.6 * sd]), 0.8 * sd)
    ours = expected_additive(layout, law, family, lam, [name], threshold=line)[0, 0]

    def value(t: float) -> float:
        y = float(family.backward(np.array([t]), lam)[0])
        figure = {"mean": y, "head_count": float(y < line), "poverty_gap": max(0.0, 1 - y / line)}
        return figure[name] * float(norm.pdf(t, mu, sd))

    kinks = sorted({float(family.forward(np.array([line]), lam)[0]), max(family.floor(lam), -9.0)})
    expected = quad(value, mu - 9 * sd, mu + 9 * sd, points=kinks, limit=400, epsabs=1e-12)[0]
    assert ours == pytest.approx(expected, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize(("family", "lam", "mu", "sd"), FAMILIES)
def test_integrals_match_simulation_within_its_error(
    family: Transformation, lam: float, mu: float, sd: float
) -> None:
    rng = np.random.default_rng(1)
    R, L = 60, 4000
    area, domain = np.repeat([0, 1, 2], 20), np.repeat([0, 0, 1], 20)
    layout = make_layout(area, domain, rng.uniform(1, 3, R), 2)
    law = Predictive(mu + 0.3 * rng.normal(size=R), sd * np.array([0.5, 0.3, 0.6]), 0.8 * sd)
    names = ("mean", "head_count", "poverty_gap")
    known = (np.array([1.0, 5.0]), np.array([2.0]))
    arguments = {"threshold": 2.2, "known": known}
    exact = expected_additive(layout, law, family, lam, names, **arguments)
    runs = np.array(
        [
            simulate(layout, law, family, lam, names, L=L // 8, rng=rng, **arguments)
            for _ in range(8)
        ]
    )
    error = runs.std(axis=0, ddof=1) / np.sqrt(8)
    # Student with 7 degrees of freedom, six figures and seven families: 6.5 is a 1e-4 event each
    assert (np.abs(runs.mean(axis=0) - exact) < 6.5 * error + 1e-12).all()


def test_exact_and_simulated_options_agree() -> None:
    sample, census = _world()
    arguments = {"transformation": "log", "threshold": 2.0}
    exact = ebp(sample, census, **arguments).to_frame()
    drawn = ebp(sample, census, **arguments, options=EbpOptions(L=3000, exact=False)).to_frame()
    # the spread of a head count over draws is below .15 an area: .15 / sqrt(3000) x 4.5
    assert (exact["head_count"] - drawn["head_count"]).abs().max() < 0.0125


def test_predicts_like_the_normal_eblup_without_transformation() -> None:
    from inegnum.estimators.unit.bhf import bhf

    sample, census = _world()
    mean = ebp(sample, census, transformation="none", indicators=("mean",))["mean"]
    means = census.means()
    same = bhf(sample, type(means)(means.geo, means.X), mse="none")
    np.testing.assert_allclose(mean.table["est"], same.table["est"], rtol=1e-12)


def test_results_do_not_depend_on_workers_and_repeat_with_the_seed() -> None:
    sample, census = _world()
    names = ("mean", "gini", "median")
    results = [
        ebp(
            sample,
            census,
            indicators=names,
            options=EbpOptions(L=5, B=6, seed=3, workers=workers, progress=False),
        )
        for workers in (1, 3, 1)
    ]
    for what in ("est", "mse"):
        frames = [r.to_frame(what) for r in results]  # type: ignore[arg-type]
        assert frames[0].equals(frames[1])
        assert frames[0].equals(frames[2])
    other = ebp(sample, census, indicators=names, options=EbpOptions(L=5, B=6, seed=4))
    assert not results[0].to_frame("mse").equals(other.to_frame("mse"))


def test_area_without_sample_is_synthetic_and_less_certain() -> None:
    sample, census = _world()
    table = ebp(sample, census, threshold=2.0, options=EbpOptions(B=40))["mean"].table
    assert table["basis"].iloc[-1] == "synthetic"
    assert table["n"].iloc[-1] == 0
    assert table["mse"].iloc[-1] > table["mse"].iloc[:-1].median()


def test_domains_add_up_from_areas() -> None:
    sample, census = _world()
    domain = (census.area >= 6).astype(np.int64)
    coarse = Census(census.geo, census.area, census.X, census.count, ("south", "north"), domain)
    fine = ebp(sample, census, threshold=2.0).to_frame()
    both = ebp(sample, coarse, threshold=2.0).to_frame()
    for name in ("mean", "head_count", "poverty_gap"):
        # forty rows an area: the mean of the areas is the mean of the rows
        assert both[name][0] == pytest.approx(fine[name][:6].mean(), rel=1e-9)
        assert both[name][1] == pytest.approx(fine[name][6:].mean(), rel=1e-9)


def test_respondents_beside_the_census_are_counted_as_they_are() -> None:
    sample, census = _world()
    small = Census(("00",), np.zeros(1, np.int64), census.X[:1], np.ones(1))
    options = EbpOptions(sampled="appended")
    with_them = ebp(sample, small, transformation="log", threshold=2.0, options=options)
    without = ebp(sample, small, transformation="log", threshold=2.0)
    y = sample.y[sample.area == 0]
    expected = (y.sum() + without["mean"].table["est"][0]) / (len(y) + 1)
    assert with_them["mean"].table["est"][0] == pytest.approx(expected, rel=1e-12)


def test_cells_with_counts_are_units_repeated() -> None:
    sample, census = _world()
    cells = Census(census.geo, census.area, census.X, 1.0 + np.arange(len(census.area)) % 3)
    at = np.repeat(np.arange(len(census.area)), cells.count.astype(int))
    units = Census(census.geo, census.area[at], census.X[at], np.ones(len(at)))
    one = ebp(sample, cells, threshold=2.0).to_frame()
    two = ebp(sample, units, threshold=2.0).to_frame()
    np.testing.assert_allclose(one.iloc[:, 1:], two.iloc[:, 1:], rtol=1e-10)


def test_custom_indicator_is_reported_under_its_name() -> None:
    sample, census = _world()
    top = Custom("top", lambda y, w: y[:, -1])
    result = ebp(sample, census, indicators=("q90", top), options=EbpOptions(L=20))
    assert (result["top"].table["est"] > result["q90"].table["est"]).all()
    with pytest.raises(InputError, match="did you mean top"):
        result["topp"]


def test_intervals_of_shares_stay_between_zero_and_one() -> None:
    sample, census = _world()
    table = ebp(sample, census, threshold=1.2, options=EbpOptions(B=30))["head_count"].table
    assert ((table["lower"] >= 0) & (table["upper"] <= 1)).all()
    assert (table["lower"] < table["est"]).all()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"threshold": None}, "poverty line"),
        ({"threshold": -1.0}, "poverty line"),
        ({"indicators": ("mean", "mean")}, "twice"),
        ({"indicators": ("gini_",)}, "did you mean gini"),
        ({"indicators": ()}, "no indicator"),
        ({"transformation": "boxcox", "threshold": 1.0}, "did you mean box-cox"),
    ],
)
def test_bad_requests_are_refused(arguments: dict[str, object], match: str) -> None:
    sample, census = _world()
    with pytest.raises(InputError, match=match):
        ebp(sample, census, **arguments)  # type: ignore[arg-type]


def test_bad_options_are_refused() -> None:
    for change in ({"L": 0}, {"B": -1}, {"workers": 0}, {"bootstrap": "wilde"}):
        with pytest.raises(InputError):
            EbpOptions(**change)  # type: ignore[arg-type]


def test_census_with_other_covariates_or_missing_values_is_refused() -> None:
    sample, census = _world()
    with pytest.raises(InputError, match="same covariates"):
        ebp(sample, Census(census.geo, census.area, census.X[:, :1], census.count), threshold=1.0)
    broken = census.X.copy()
    broken[3, 1] = np.nan
    with pytest.raises(InputError, match="missing in the census"):
        Census(census.geo, census.area, broken, census.count)
    with pytest.raises(InputError, match="without rows"):
        Census((*census.geo, "99"), census.area, census.X, census.count)


def test_area_in_two_domains_cannot_take_respondents_beside_the_census() -> None:
    sample, census = _world()
    domain = np.arange(len(census.area)) % 2
    split = Census(census.geo, census.area, census.X, census.count, ("a", "b"), domain)
    with pytest.raises(InputError, match="two domains"):
        ebp(sample, split, threshold=2.0, options=EbpOptions(sampled="appended"))
