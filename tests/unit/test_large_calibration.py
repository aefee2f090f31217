"""Files, chunks and Dask frames get the weights they would get in memory."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inegnum.errors import CalibrationError, InputError, ProvenanceError
from inegnum.estimators.calibration import Logit, Margin, calibrate, rake
from inegnum.estimators.calibration.chunks import calibrate_chunks
from inegnum.estimators.calibration.dask_frames import calibrate_dask
from inegnum.estimators.calibration.parquet import calibrate_parquet

# Sums of the same terms in another order.
SAME = 1e-11
MARGINS = {
    "sex": {"F": 5200.0, "M": 4800.0},
    ("age", "diploma"): {(a, d): 1000.0 + 100 * a + 37 * d for a in range(4) for d in range(2)},
}
MARGINS["sex"] = {
    k: v * sum(MARGINS["age", "diploma"].values()) / 1e4 for k, v in MARGINS["sex"].items()
}


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    rng = np.random.default_rng(9)
    n = 5000
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "sex": rng.choice(["F", "M"], n, p=[0.6, 0.4]),
            "age": rng.integers(0, 4, n).astype(np.int8),
            "diploma": rng.integers(0, 2, n),
            "d": np.exp(rng.normal(0, 0.4, n)),
            "said": rng.choice(["yes", "no", None], n),
        }
    )


@pytest.fixture
def file(people, tmp_path):
    people.to_parquet(tmp_path / "people.parquet", row_group_size=1700)
    return tmp_path / "people.parquet"


@pytest.mark.parametrize("distance", ["raking", "linear", Logit(0.2, 5.0)])
@pytest.mark.parametrize("rows", [1, 700, 10_000])
def test_file_and_memory_agree(people, file, distance, rows, tmp_path):
    if rows == 1:
        people = people.iloc[:60]
        people.to_parquet(file)
    people = people.assign(d=people["d"] * sum(MARGINS["sex"].values()) / people["d"].sum())
    people.to_parquet(file, row_group_size=1700)
    expected = calibrate(people, MARGINS, weights="d", distance=distance)
    out = tmp_path / "out.parquet"
    fit = calibrate_parquet(file, MARGINS, out, weights="d", distance=distance, rows=rows)
    got = pd.read_parquet(out)
    pd.testing.assert_frame_equal(got.drop(columns="weight"), pd.read_parquet(file))
    own, source = pq.read_schema(out), pq.read_schema(file)
    assert [own.field(f.name).type for f in source] == source.types
    np.testing.assert_allclose(got["weight"], expected.weights, rtol=SAME, atol=1e-9)
    assert fit.n_eff == pytest.approx(expected.diagnostics().n_eff, rel=1e-9)
    assert fit.calibration.rows == len(people)


def test_record_says_what_was_reached_by_the_weights_written(people, file, tmp_path):
    out = tmp_path / "out.parquet"
    calibrate_parquet(file, MARGINS, out, weights="d", rows=999)
    record = json.loads((tmp_path / "out.parquet.json").read_text("utf-8"))
    got = pd.read_parquet(out)
    assert record["rows"] == len(people)
    assert record["source"][0]["file"] == "people.parquet"
    assert record["weights"]["largest"] == got["weight"].max()
    by = {(t["margin"], tuple(t["level"])): t for t in record["totals"]}
    assert len(by) == 10
    women = by["sex", ("F",)]
    assert women["asked"] == MARGINS["sex"]["F"]
    assert women["reached"] == pytest.approx(got["weight"][got["sex"] == "F"].sum(), rel=1e-12)
    corner = by["age*diploma", ("3", "1")]
    assert corner["reached"] == pytest.approx(1337.0, rel=1e-12)


def test_folder_of_files_and_equal_weights(people, tmp_path):
    source = tmp_path / "parts"
    source.mkdir()
    for i, part in enumerate(np.array_split(np.arange(len(people)), 3)):
        people.iloc[part].to_parquet(source / f"part-{i}.parquet")
    calibrate_parquet(source, MARGINS, tmp_path / "out.parquet", rows=800)
    got = pd.read_parquet(tmp_path / "out.parquet")
    np.testing.assert_array_equal(got["id"], people["id"])
    np.testing.assert_allclose(got["weight"], rake(people, MARGINS).weights, rtol=SAME)
    # Equal weights that add up to the population also for a distance that sees their scale.
    fit = calibrate_chunks(lambda: [people], MARGINS, distance="linear")
    expected = calibrate(people, MARGINS, distance="linear").weights
    np.testing.assert_allclose(fit.weigh(people), expected, rtol=SAME)


def test_nothing_is_left_of_a_failure(people, file, tmp_path):
    out = tmp_path / "out.parquet"
    people.assign(sex=people["sex"].where(people["id"] != 4321)).to_parquet(file)
    with pytest.raises(InputError, match=r"missing values\n.*rows \[321\].*starts at row 4000"):
        calibrate_parquet(file, MARGINS, out, weights="d", rows=1000)
    people.assign(d=people["d"].where(people["id"] != 4999, -1.0)).to_parquet(file)
    with pytest.raises(InputError, match=r"not negative\n.*rows \[999\].*starts at row 4000"):
        calibrate_parquet(file, MARGINS, out, weights="d", rows=1000)
    people.to_parquet(file)
    with pytest.raises(CalibrationError, match="sex = X: no unit of the sample"):
        calibrate_parquet(
            file, {"sex": {"F": 5.0, "M": 5.0, "X": 1.0}}, out, weights="d", rows=1000
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["people.parquet"]


def test_a_failure_while_writing_leaves_the_earlier_file(people, file, tmp_path, monkeypatch):
    out = tmp_path / "out.parquet"
    calibrate_parquet(file, MARGINS, out, weights="d")
    before = out.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_batch", full)
    with pytest.raises(OSError, match="No space"):
        calibrate_parquet(file, MARGINS, out, weights="d", replace=True)
    assert out.read_bytes() == before
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".parquet", ".parquet"]


def test_refusals(people, file, tmp_path):
    out = tmp_path / "out.parquet"
    with pytest.raises(InputError, match="no margin counts the population"):
        calibrate_parquet(file, [Margin((), 5.0, value="d")], out)
    with pytest.raises(InputError, match="which rows make one is not said"):
        calibrate_parquet(file, [Margin("sex", {"F": 1.0, "M": 1.0}, per="household")], out)
    lower = np.full(len(people), 0.5)
    with pytest.raises(InputError, match="same bounds for all units"):
        calibrate_chunks(lambda: [people], {"d": 5.0}, weights="d", distance=Logit(lower, 2.0))
    with pytest.raises(InputError, match="did you mean sex"):
        calibrate_parquet(file, {"sexe": {"F": 1.0}}, out)
    with pytest.raises(InputError, match="already has a column"):
        calibrate_parquet(file, MARGINS, out, name="d")
    with pytest.raises(InputError, match="replace its own source"):
        calibrate_parquet(file, MARGINS, file, replace=True)
    with pytest.raises(InputError, match="no Parquet file"):
        calibrate_parquet(tmp_path / "absent.parquet", MARGINS, out)
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(InputError, match="not a Parquet file"):
        calibrate_parquet(tmp_path / "text.parquet", MARGINS, out)
    calibrate_parquet(file, MARGINS, out)
    with pytest.raises(InputError, match="already a file of this name"):
        calibrate_parquet(file, MARGINS, out)
    with pytest.raises(InputError, match="all initial weights are zero"):
        calibrate_chunks(lambda: [people.assign(d=0.0)], MARGINS, weights="d")
    with pytest.raises(InputError, match="no rows"):
        calibrate_chunks(lambda: [], MARGINS)


def test_source_that_changes_between_readings(people, file, tmp_path, monkeypatch):
    from inegnum.estimators.calibration import parquet

    plain, readings = parquet._batches, []

    def shrinking(*arguments: object):
        readings.append(1)
        for batch in plain(*arguments):
            yield batch if len(readings) == 1 else batch.slice(0, batch.num_rows - 1)

    monkeypatch.setattr(parquet, "_batches", shrinking)
    with pytest.raises(ProvenanceError, match="changed while it was read"):
        calibrate_parquet(file, MARGINS, tmp_path / "out.parquet", weights="d")
    assert not (tmp_path / "out.parquet").exists()
    fit = calibrate_chunks(lambda: [people[people["sex"] == "F"]], {"sex": {"F": 10.0, "M": 0.0}})
    with pytest.raises(InputError, match="the first reading did not"):
        fit.weigh(people)


def test_chunk_of_weight_zero(people):
    nobody = people.assign(d=0.0)
    fit = calibrate_chunks(lambda: [nobody, people], MARGINS, weights="d")
    assert (fit.weigh(nobody) == 0).all()
    np.testing.assert_allclose(
        fit.weigh(people), rake(people, MARGINS, weights="d").weights, rtol=SAME
    )


def test_text_coded_differently_from_batch_to_batch(people, tmp_path):
    # Dictionaries of row groups hold their own categories in their own order.
    table = pa.Table.from_pandas(people)
    with pq.ParquetWriter(tmp_path / "people.parquet", table.schema) as writer:
        for start in (0, 1, 2, 2500):
            stop = {0: 1, 1: 2, 2: 2500, 2500: 5000}[start]
            writer.write_table(table.slice(start, stop - start))
    calibrate_parquet(tmp_path / "people.parquet", MARGINS, tmp_path / "o.parquet", weights="d")
    got = pd.read_parquet(tmp_path / "o.parquet")["weight"]
    np.testing.assert_allclose(got, rake(people, MARGINS, weights="d").weights, rtol=SAME)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_dask_frame(people, scheduler):
    import dask
    import dask.dataframe as dd

    expected = rake(people, MARGINS, weights="d").weights
    with dask.config.set(scheduler=scheduler, **{"dataframe.convert-string": False}):
        frame = dd.from_pandas(people, npartitions=7)
        weighted, fit = calibrate_dask(frame, MARGINS, weights="d")
        got = weighted.compute()
        parts = [frame.partitions[i].compute() for i in range(7)]
        with pytest.raises(InputError, match="did you mean sex"):
            calibrate_dask(frame, {"sexe": {"F": 1.0}})
    np.testing.assert_allclose(got["weight"], expected, rtol=SAME)
    assert weighted.dtypes["weight"] == np.float64
    # Partitions are added up in their order: the same bytes as chunk after chunk.
    chunked = calibrate_chunks(lambda: parts, MARGINS, weights="d")
    np.testing.assert_array_equal(got["weight"], chunked.weigh(people))
    assert fit.rows == 5000
