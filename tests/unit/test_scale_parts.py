"""Pieces of work, files of finished departments, the national anchor, and where work runs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from tests.unit.test_blocks import posterior

from inegnum.data.areas import department_names
from inegnum.errors import BenchmarkError, MissingDependencyError, ProvenanceError, StudyError
from inegnum.estimators.blocks import Posterior
from inegnum.review.run_checks import regions_agree
from inegnum.study.scale.executor import each
from inegnum.study.scale.partition import arrays, packed
from inegnum.study.scale.plan import BLOCK, blocks, departments, left_out, pieces
from inegnum.study.scale.run import national_shifts
from inegnum.study.scale.store import Store
from inegnum.study.spec import Scale, Territory, load_study

FRANCE = Territory(france=True)


def test_every_commune_of_metropolitan_france_stands_in_one_block() -> None:
    names = departments(FRANCE, 2022)
    assert len(names) == 96
    assert sorted(names) == sorted(department_names())
    found = [
        geo for name in ("2A", "75", "62") for b in blocks(name, 2022, "own") for geo in b["geo"]
    ]
    assert len(found) == len(set(found)) == 124 + 1 + 887
    assert max(len(b) for b in blocks("62", 2022, "own")) <= BLOCK
    gone = left_out(FRANCE, 2022)
    # COG 2025: 34,746 communes of metropolitan France, 34,728 with occupations and population.
    assert len(gone) == 18
    assert (gone["reason_en"] == "nobody lives there").sum() == 6
    assert not gone["reason_fr"].isna().any()


@pytest.mark.parametrize("count", [1, 2, 7, 96, 500])
def test_pieces_hold_every_department_once(count: int) -> None:
    names = departments(FRANCE, 2022)
    cut = pieces(names, 2022, count)
    assert [name for piece in cut for name in piece] == list(names)
    assert len(cut) <= min(count, len(names))


def test_a_part_that_is_torn_changed_or_unsealed_is_absent(tmp_path: Path) -> None:
    store = Store(tmp_path / "parts")
    assert store.get("33.npz") is None
    store.keep("33.npz", b"whole")
    assert store.has("33.npz")
    assert store.known("33.npz") == b"whole"
    (store.folder / "33.npz").write_bytes(b"who")
    assert not store.has("33.npz")
    with pytest.raises(ProvenanceError, match=r"33\.npz"):
        store.known("33.npz")
    store.keep("33.npz", b"whole")
    (store.folder / "33.npz.sha256").unlink()
    assert not store.has("33.npz")
    store.keep("2A.npz", b"other")
    assert sorted(p.name for p in store.folder.glob(".*")) == []


def test_packed_arrays_have_the_same_bytes_each_time() -> None:
    values = {"a": np.arange(3.0), "b": np.array(["x", "yz"])}
    assert packed(values) == packed(dict(values))
    assert arrays(packed(values), "b")["b"].tolist() == ["x", "yz"]


def _sums_of(store: Store, one: Posterior, nodes: np.ndarray, offset: float) -> None:
    """Keep two departments of known logits, far from the target by `offset` on the logit."""
    rng = np.random.default_rng(5)
    for name, persons in (("2A", 1e6), ("2B", 4e6)):
        spread = rng.normal(scale=0.3, size=(len(one), 30))
        base = logit(one.national)[:, None] + spread + offset
        weight = rng.dirichlet(np.ones(30)) * persons
        yes = np.stack([expit(base + node) @ weight for node in nodes])
        people = np.full((1, len(one)), persons)
        store.keep(f"{name}.npz", packed({"yes": yes[None], "persons": people}))
        store.keep(f"{name}.known", packed({"base": base, "weight": weight}))


def test_the_national_shift_brings_the_sum_to_the_national_rate(tmp_path: Path) -> None:
    one, store = posterior(), Store(tmp_path)
    nodes = np.array([-0.3, -0.15, 0.0, 0.15, 0.3])
    _sums_of(store, one, nodes, 0.1)
    shift = national_shifts((one,), store, ("2A", "2B"), nodes)
    yes, persons = np.zeros(len(one)), 0.0
    for name in ("2A", "2B"):
        held = arrays(store.known(f"{name}.known"))
        yes += expit(held["base"] + shift[0][:, None]) @ held["weight"]
        persons += held["weight"].sum()
    # A polynomial of degree 4 through a function this smooth: 1e-7 is six persons in France.
    np.testing.assert_allclose(yes / persons, one.national, rtol=0, atol=1e-7)
    assert np.abs(shift).max() > 0.05


def test_communes_too_far_from_the_national_rate_stop_the_run(tmp_path: Path) -> None:
    one, store = posterior(), Store(tmp_path)
    nodes = np.array([-0.3, -0.15, 0.0, 0.15, 0.3])
    _sums_of(store, one, nodes, 0.8)
    with pytest.raises(BenchmarkError, match="smartphone"):
        national_shifts((one,), store, ("2A", "2B"), nodes)


def _double(job: int, item: int) -> int:
    return job * item


def test_work_comes_back_whole_from_processes() -> None:
    assert sorted(each(_double, 2, [1, 2, 3], workers=1)) == [2, 4, 6]


def test_a_scheduler_without_dask_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError, match=r"inegnum\[scale\]"):
        list(each(_double, 2, [1], scheduler="local"))


def test_dask_is_not_imported_unless_asked_for() -> None:
    import subprocess

    code = (
        "import sys, inegnum.cli, inegnum.study.scale.folder\n"
        "print([m for m in ('dask', 'distributed') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"partitions": 0}, "scale.partitions"),
        ({"workers": -1}, "scale.workers"),
        ({"scheduler": "somewhere"}, "scale.scheduler"),
    ],
)
def test_a_scale_out_of_range_is_refused(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(StudyError, match=named):
        Scale(**wrong)  # type: ignore[arg-type]


def test_a_territory_is_france_or_regions_and_nothing_else() -> None:
    with pytest.raises(StudyError, match="one way"):
        Territory(france=True, department="33")
    with pytest.raises(StudyError, match="no region"):
        Territory(regions=("95",))
    with pytest.raises(StudyError, match="twice"):
        Territory(regions=("94", "94"))
    study = load_study(Path(__file__).parents[2] / "models" / "france-2022.toml")
    assert study.territory.wide
    assert study.scale.on("local", 2) == Scale(scheduler="local", workers=2)
    assert study.scale.on(None, None) == study.scale


def test_regions_far_from_their_direct_rates_are_a_warning() -> None:
    near = pd.Series([0.3, -1.2, 0.8, 1.9, -0.4])
    assert regions_agree("smartphone", near).status == "pass"
    # One region at 4.3 standard errors: 18.5 + 6 beyond the 99 % point of 5 degrees, 15.1.
    far = regions_agree("smartphone", pd.concat([near[:4], pd.Series([-4.3])]))
    assert far.status == "warn"
    assert "4.3" in far.sentence_en
    assert "4,3" in far.sentence_fr
