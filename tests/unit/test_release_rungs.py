"""Rungs 5 and 8 on small releases built here."""

import json

import numpy as np
import pandas as pd
import pytest

from inegnum.data import catalogue
from inegnum.errors import InputError, ProvenanceError
from inegnum.provenance import sha256_file
from inegnum.review import validate
from inegnum.review.figures import changes
from inegnum.review.reference import beside

DRAWS = 400


def estimates(**changed: object) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "level": ["france", "epci", "commune"],
            "geo": ["FRM", "243300316", "33063"],
            "indicator": "smartphone",
            "year": 2022,
            "est": [0.872, 0.91, 0.92],
            "lower": [0.86, 0.87, 0.86],
            "upper": [0.884, 0.945, 0.96],
            "se": [0.006, 0.019, 0.025],
            "class": ["A", "B", "C"],
            "reason": "",
        }
    )
    return table.assign(**changed)


def release(folder, table: pd.DataFrame, notes: str = ""):
    folder.mkdir()
    table.to_csv(folder / "estimates.csv", index=False)
    pd.DataFrame({"draw": np.arange(DRAWS, dtype="int32")}).to_parquet(folder / "draws.parquet")
    known = catalogue.source("communes")
    manifest = {
        "inputs": [{"name": known.name, "role": known.role, "sha256": known.sha256}],
        "outputs": {
            name: sha256_file(folder / name) for name in ("estimates.csv", "draws.parquet")
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    if notes:
        (folder / "release_notes.toml").write_text(notes)
    return folder


def test_monte_carlo_noise_is_not_a_change() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        runs = rng.normal(0.9, 0.02, (2, DRAWS, 300))
        tables = [
            pd.DataFrame(
                {
                    "level": "commune",
                    "geo": [f"{i:05d}" for i in range(300)],
                    "indicator": "x",
                    "est": run.mean(axis=0),
                    "lower": np.quantile(run, 0.025, axis=0),
                    "upper": np.quantile(run, 0.975, axis=0),
                    "se": run.std(axis=0, ddof=1),
                    "class": "A",
                }
            )
            for run in runs
        ]
        # 45,000 comparisons in all at four standard errors: about three by chance.
        assert len(changes(*tables, (DRAWS, DRAWS))) <= 3


def test_a_moved_figure_is_listed_with_its_size() -> None:
    # 0.019 over 20 is 0.00095; two runs differ by sqrt(2) of it: a point is 7.4 errors.
    moved = estimates(est=[0.872, 0.90, 0.92])
    found = changes(moved, estimates(), (DRAWS, DRAWS))
    assert found[["geo", "figure"]].to_numpy().tolist() == [["243300316", "est"]]
    assert found["errors"].iloc[0] == pytest.approx(0.01 / (0.019 / 20 * np.sqrt(2)))


def test_a_figure_that_disappears_is_a_change() -> None:
    masked = estimates(est=[0.872, 0.91, np.nan])
    assert changes(masked, estimates(), (DRAWS, DRAWS))["geo"].tolist() == ["33063"]
    assert "33063" in set(changes(estimates().iloc[:2], estimates(), (DRAWS, DRAWS))["geo"])


def test_a_jump_of_class_is_a_change_and_a_step_is_not() -> None:
    step = estimates(**{"class": ["B", "B", "C"]})
    jump = estimates(**{"class": ["C", "B", "C"]})
    assert changes(step, estimates(), (DRAWS, DRAWS)).empty
    assert changes(jump, estimates(), (DRAWS, DRAWS))["figure"].tolist() == ["class"]


def test_a_change_fails_until_a_note_explains_it(tmp_path) -> None:
    old = release(tmp_path / "old", estimates())
    moved = estimates(est=[0.872, 0.90, 0.92])
    assert validate(release(tmp_path / "new", moved), against=old, only=(8,)).status == "fail"
    notes = f"""
reference = "{sha256_file(old / "estimates.csv")}"
[[explained]]
indicator = "smartphone"
level = "epci"
reason_en = "Census margins of 2019."
reason_fr = "Marges du recensement 2019."
"""
    explained = release(tmp_path / "explained", moved, notes)
    assert validate(explained, against=old, only=(8,)).status == "pass"
    # Notes written against another reference explain nothing.
    stale = release(tmp_path / "stale", moved, notes.replace('reference = "', 'reference = "0'))
    assert validate(stale, against=old, only=(8,)).status == "fail"
    empty = release(tmp_path / "empty", moved, notes.replace("Census margins of 2019.", ""))
    with pytest.raises(InputError, match="says nothing"):
        validate(empty, against=old, only=(8,))


def test_without_a_reference_the_rung_says_it_was_not_climbed(tmp_path) -> None:
    assert validate(release(tmp_path / "new", estimates()), only=(8,)).status == "warn"


def test_estimates_that_are_not_those_of_the_manifest_are_refused(tmp_path) -> None:
    folder = release(tmp_path / "new", estimates())
    estimates(est=[0.9, 0.9, 0.9]).to_csv(folder / "estimates.csv", index=False)
    with pytest.raises(ProvenanceError, match="not the one that was recorded"):
        validate(folder, only=(5,))


def test_published_figures_are_judged_read_or_refused() -> None:
    published, _ = catalogue.table("published_figures")
    table = beside(estimates(), published).set_index(["geo", "indicator", "year"])
    local = table.loc[("243300316", "smartphone", 2023)]
    assert local["reading"] == "judged"
    # 93 % of about 5,000 (design effect 1.5, printed in whole points) against 91 +- 1.9.
    spread = np.sqrt(0.019**2 + 1.5 * 0.93 * 0.07 / 5000 + 0.005**2 / 3)
    assert local["z"] == pytest.approx(0.02 / spread)
    assert table.loc[("243300316", "smartphone", 2022), "reading"] == "beside"
    refused = table.loc[("243300316", "admin_difficulty", 2023)]
    assert refused["reading"] == "refused"
    assert "questions differ" in refused["why_en"]
    # FRM is Corsica in NUTS: its figures are not France's.
    assert "Corse (NUTS1)" not in set(table["territory"])


def test_a_distant_year_is_not_judged() -> None:
    published, _ = catalogue.table("published_figures")
    table = beside(estimates(year=2020), published).set_index(["geo", "indicator", "year"])
    assert table.loc[("243300316", "smartphone", 2023), "reading"] == "beside"


def test_a_release_far_from_its_reference_warns(tmp_path) -> None:
    far = release(tmp_path / "far", estimates(est=[0.872, 0.80, 0.92]))
    found = [v for v in validate(far, only=(5,)).verdicts if "243300316" in v.check]
    assert [v.status for v in found] == ["warn"]
