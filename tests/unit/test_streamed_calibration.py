"""Numeric margins and households in chunks: the weights that calibration in memory gives."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from inegnum.errors import CalibrationError, InputError
from inegnum.estimators.calibration import Household, Logit, Margin, calibrate
from inegnum.estimators.calibration.chunks import calibrate_chunks
from inegnum.estimators.calibration.dask_frames import calibrate_dask
from inegnum.estimators.calibration.parquet import calibrate_parquet
from inegnum.estimators.calibration.streamed import StreamedCalibration

# The same Newton steps on sums taken in another order; margins are not nearly collinear.
SAME = 1e-11


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 6, 900)
    home = np.repeat(rng.permutation(900), sizes)
    n = home.size
    return pd.DataFrame(
        {
            "home": home,
            "sex": rng.choice(["F", "M"], n),
            "age": rng.integers(0, 4, n).astype(np.int8),
            "income": np.exp(rng.normal(7, 0.5, n)),
            "region": np.repeat(rng.integers(0, 3, 900), sizes),
            "d": np.repeat(np.exp(rng.normal(0, 0.3, 900)), sizes),
        }
    )


@pytest.fixture(scope="module")
def persons(people) -> list[Margin]:
    N = 1.1 * people["d"].sum()
    return [
        Margin("sex", {"F": 0.52 * N, "M": 0.48 * N}),
        Margin("age", dict(enumerate(N * np.array([0.24, 0.26, 0.22, 0.28])))),
        Margin((), 1.15 * float(people["income"] @ people["d"]), value="income"),
    ]


@pytest.fixture(scope="module")
def both(people, persons) -> list[Margin]:
    H = 1.05 * people.drop_duplicates("home")["d"].sum()
    return [*persons, Margin("region", {0: H / 3, 1: H / 3, 2: H / 3}, per="household")]


def cut(people: pd.DataFrame, rows: int):
    return lambda: (people.iloc[i : i + rows] for i in range(0, len(people), rows))


@pytest.mark.parametrize("distance", ["raking", "linear", "sinh", Logit(0.3, 3.0)])
@pytest.mark.parametrize("rows", [397, 5000])
def test_numeric_margins(people, persons, distance, rows):
    expected = calibrate(people, persons, weights="d", distance=distance)
    fit = calibrate_chunks(cut(people, rows), persons, weights="d", distance=distance)
    assert isinstance(fit, StreamedCalibration)
    np.testing.assert_allclose(fit.weigh(people), expected.weights, rtol=SAME)
    assert (fit.notes, fit.rows) == (expected.notes, len(people))
    table, known = fit.table(), expected.table()
    pd.testing.assert_frame_equal(table[["margin", "level"]], known[["margin", "level"]])
    for column in ("total", "before", "after"):
        np.testing.assert_allclose(table[column], known[column], rtol=SAME)
    assert table["miss"].max() < 1e-10


@pytest.mark.parametrize("kind", ["households", "persons"])
# Households are cut between chunks of 97 rows, and larger than chunks of 2.
@pytest.mark.parametrize("rows", [2, 97, 5000])
def test_households(people, both, kind, rows):
    if rows == 2:
        people = people.iloc[: int(np.flatnonzero(people["home"].diff())[60])]
        firsts = people.drop_duplicates("home")
        both = [
            Margin("sex", (people.groupby("sex")["d"].sum() * 1.05)),
            Margin("region", firsts.groupby("region")["d"].sum(), per="household"),
        ]
    home = Household("home", distance=kind)
    expected = calibrate(people, both, weights="d", household=home)
    fit = calibrate_chunks(cut(people, rows), both, weights="d", household=home)
    w = fit.weigh(people)
    np.testing.assert_allclose(w, expected.weights, rtol=SAME)
    assert pd.Series(w).groupby(people["home"].to_numpy()).nunique().max() == 1


def test_soft_margins_zero_totals_and_equal_weights(people, persons):
    soft = [
        Margin("sex", persons[0].by_level, se=30.0),
        Margin((), persons[2].sum(), value="income", cost=10.0),
    ]
    zero = [
        Margin("age", {0: 0.0, 1: 900.0, 2: 900.0, 3: 900.0}),
        Margin((), 900.0 * 3 * 1100.0, value="income"),
    ]
    for margins, weights in ((soft, "d"), (zero, "d"), (zero, None), (persons, None)):
        expected = calibrate(people, margins, weights=weights)
        fit = calibrate_chunks(cut(people, 300), margins, weights=weights)
        np.testing.assert_allclose(fit.weigh(people), expected.weights, rtol=SAME, atol=1e-12)
        assert fit.notes == expected.notes


def test_parquet_file_with_households_over_batches(people, both, tmp_path):
    source, out = tmp_path / "people.parquet", tmp_path / "out.parquet"
    people.to_parquet(source, row_group_size=211)
    calibrate_parquet(source, both, out, weights="d", household="home", rows=400)
    got = pd.read_parquet(out)
    expected = calibrate(people, both, weights="d", household="home")
    pd.testing.assert_frame_equal(got.drop(columns="weight"), pd.read_parquet(source))
    np.testing.assert_allclose(got["weight"], expected.weights, rtol=SAME)
    record = json.loads((tmp_path / "out.parquet.json").read_text("utf-8"))
    assert record["rows"] == len(people)
    # Reached by the weights written, households counted once.
    for total in record["totals"]:
        assert total["reached"] == pytest.approx(total["asked"], rel=1e-10)
    assert record["weights"]["sum"] == pytest.approx(got["weight"].sum(), rel=1e-12)


def test_dask_frame_of_whole_households(people, both, persons):
    import dask
    import dask.dataframe as dd

    expected = calibrate(people, both, weights="d", household="home").weights
    starts = np.flatnonzero(people["home"].diff())
    edges = [0, int(starts[200]), int(starts[600]), len(people) - 1]
    with dask.config.set(scheduler="threads", **{"dataframe.convert-string": False}):
        frame = dd.from_pandas(people, npartitions=1).repartition(divisions=edges)
        weighted, fit = calibrate_dask(frame, both, weights="d", household="home")
        np.testing.assert_allclose(weighted.compute()["weight"], expected, rtol=SAME)
        assert fit.rows == len(people)
        two = int(np.flatnonzero(people["home"].diff().eq(0))[500])
        split = dd.from_pandas(people, npartitions=1).repartition(
            divisions=[0, two, len(people) - 1]
        )
        with pytest.raises(InputError, match="rows of a household are apart"):
            calibrate_dask(split, both, weights="d", household="home")
        plain, _ = calibrate_dask(frame, persons, weights="d")
        np.testing.assert_allclose(
            plain.compute()["weight"], calibrate(people, persons, weights="d").weights, rtol=SAME
        )


def test_refusals(people, persons, both):
    shuffled = people.sample(frac=1.0, random_state=1)
    with pytest.raises(InputError, match="rows of a household are apart"):
        calibrate_chunks(cut(shuffled, 50), both, weights="d", household="home")
    far = [persons[0], Margin((), 1e9, value="income")]
    with pytest.raises(CalibrationError, match=r"logit distance\): cause not investigated"):
        calibrate_chunks(cut(people, 500), far, weights="d", distance=Logit(0.5, 2.0))
    gap = people.assign(income=people["income"].where(np.arange(len(people)) != 777))
    with pytest.raises(InputError, match=r"rows \[77\] of the chunk that starts at row 700"):
        calibrate_chunks(cut(gap, 100), persons, weights="d")
    asked = [Margin("sex", {"F": 5.0, "M": 5.0, "X": 1.0}), persons[2]]
    with pytest.raises(CalibrationError, match="sex = X: no unit of the sample"):
        calibrate_chunks(cut(people, 100), asked, weights="d")
    # The same column in two margins whose totals disagree.
    twice = people.assign(again=2 * people["income"])
    asked = [persons[2], Margin((), 2.1 * persons[2].sum(), value="again")]
    with pytest.raises(CalibrationError, match="imply"):
        calibrate_chunks(cut(twice, 100), asked, weights="d")
    with pytest.raises(InputError, match="all initial weights are zero"):
        calibrate_chunks(cut(people.assign(d=0.0), 100), persons, weights="d")
    with pytest.raises(InputError, match="no rows"):
        calibrate_chunks(lambda: [], persons, weights="d")
