"""Two releases side by side: causes, certainty, and what cannot be compared."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from inegnum.errors import InputError
from inegnum.release.diff import causes_of, change_of
from inegnum.release.diff_page import write_difference
from release.synthetic import write_release

MANIFEST = {
    "inegnum": "0.1.0",
    "study": {"name": "a", "seed": 1, "model": {"tau": {"metro": 0.2}, "draws": 2000}},
    "inputs": [{"name": "cells", "sha256": "aa"}],
    "versions": {"numpy": "2.0"},
    "seed": 1,
}


def test_causes_are_told_apart() -> None:
    assert causes_of(MANIFEST, MANIFEST) == ()
    new = copy.deepcopy(MANIFEST)
    new["study"]["model"]["tau"]["metro"] = 0.3
    new["study"]["name"] = "b"  # how it is called is no cause
    new["inputs"].append({"name": "frame", "sha256": "bb"})
    new["versions"]["numpy"] = "2.1"
    new["seed"] = 2
    # A newer file in place of an older one is data; where the work ran is nothing.
    new["study"] |= {"frame": {"imports": ["new.csv"]}, "scale": {"workers": 8}}
    new["study"]["model"]["area"] = {"shapes": "new.geojson"}
    found = {(cause.kind, cause.what): (cause.old, cause.new) for cause in causes_of(MANIFEST, new)}
    assert found == {
        ("data", "frame"): ("absent", "bb"),
        ("model", "model.tau.metro"): ("0.2", "0.3"),
        ("software", "numpy"): ("2.0", "2.1"),
        ("seed", "seed"): ("1", "2"),
    }


def test_withdrawals_of_a_department_and_of_a_region_of_one_code_are_two_causes() -> None:
    one = {"indicator": "smartphone", "geo": "93", "date": "2026-11-26", "reason_en": "a"}
    new = MANIFEST | {"retractions": [{**one, "level": k} for k in ("department", "region")]}
    found = [cause.what for cause in causes_of(MANIFEST, new)]
    assert found == ["smartphone, 93, department", "smartphone, 93, region"]


def test_interval_of_a_change_is_that_of_two_independent_normals() -> None:
    rng = np.random.default_rng(5)
    old, new = 0.50 + 0.02 * rng.standard_normal(4000), 0.53 + 0.01 * rng.standard_normal(4000)
    found = change_of(old, new)
    sd = np.hypot(0.02, 0.01)
    # Monte-Carlo error of a 2.5 % quantile of 4,000 draws: about 0.03 sd of the difference.
    assert found["lower"] == pytest.approx(0.03 - 1.96 * sd, abs=0.0025)
    assert found["upper"] == pytest.approx(0.03 + 1.96 * sd, abs=0.0025)
    assert found["p_change"] == pytest.approx(norm.cdf(0.03 / sd), abs=0.02)
    assert found["beyond_monte_carlo"]


def test_another_seed_alone_is_not_a_change() -> None:
    rng = np.random.default_rng(6)
    one, two = 0.5 + 0.02 * rng.standard_normal((2, 2000))
    assert not change_of(one, two)["beyond_monte_carlo"]


def test_the_page_of_a_difference_stands_alone(tmp_path: Path) -> None:
    old, new = (write_release(tmp_path / str(seed), seed=seed) for seed in (11, 12))
    page = write_difference(old, new, tmp_path / "changes.html", language="en").read_text()
    assert "What changed" in page
    assert page.count("<tr>") > 5
    assert '<link rel="stylesheet"' not in page
    assert "{{" not in page
    with pytest.raises(InputError, match="cannot be written"):
        write_difference(old, new, tmp_path / "no" / "changes.html")


def test_a_coarse_grid_of_pairs_moves_bounds_by_a_hundredth_of_the_interval() -> None:
    rng = np.random.default_rng(3)
    old, new = rng.normal(0.80, 0.02, 1000), rng.normal(0.83, 0.03, 1000)
    fine, coarse = change_of(old, new), change_of(old, new, grid=200)
    width = float(fine["upper"]) - float(fine["lower"])
    for name in ("lower", "upper"):
        assert abs(float(fine[name]) - float(coarse[name])) < 0.01 * width
    assert abs(float(fine["p_change"]) - float(coarse["p_change"])) < 0.002
    assert fine["lower"] != coarse["lower"]
