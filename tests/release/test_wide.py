"""Regions through the path of all France: same figures wherever, however often it is stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from inegnum.data.areas import load_areas
from inegnum.errors import InputError, PublicationError, StudyError
from inegnum.estimates.retract import Retraction
from inegnum.estimators.spec import Anchor
from inegnum.release.diff import compare_releases
from inegnum.release.diff_page import write_difference
from inegnum.release.read import read_release
from inegnum.release.report import build_report
from inegnum.review.ladder import validate
from inegnum.study import run, run_to_folder
from inegnum.study.rerun import rerun
from inegnum.study.scale import recompute
from inegnum.study.scale import run as wide
from inegnum.study.scale.folder import _require_known, wide_to_folder
from inegnum.study.scale.levels import level_sums
from inegnum.study.scale.partition import compute
from inegnum.study.scale.shapes import wide_shapes
from inegnum.study.spec import Scale, Study, Territory, parse_study

pytestmark = pytest.mark.slow

PAGES = ("report.html", "report.en.html")
STUDY = b"""
name = "corse-2022"
title_fr = "Corse 2022"
title_en = "Corsica 2022"
year = 2022
seed = 5
indicators = ["internet_daily", "smartphone"]
[territory]
regions = ["94"]
[frame]
draws = 4
[model]
draws = 200
[quality]
variants = false
"""


@pytest.fixture(scope="module")
def study() -> Study:
    return parse_study(STUDY)


@pytest.fixture(scope="module")
def release(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wide") / "corse"
    wide_to_folder(study, Scale(partitions=1, workers=1), out)
    assert not out.with_name(".corse.parts").exists()
    return out


def outputs(release: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((release / "manifest.json").read_text("utf-8"))["outputs"]
    return found


def test_a_release_holds_every_commune_once_by_department(release: Path) -> None:
    held = pd.read_parquet(release / "communes")
    communes = load_areas(department="2A")["geo"].tolist()
    of_2a = held[held["department"] == "2A"]
    for code in ("internet_daily", "smartphone"):
        assert sorted(of_2a.loc[of_2a["indicator"] == code, "geo"]) == communes
    assert set(held["tier"]) == {"F3", "F4"}
    masked = held["class"] == "D"
    assert masked.any()
    assert held.loc[masked, ["est", "lower", "se", "people", "gap_france"]].isna().all().all()
    assert held.loc[masked, "p_above_france"].notna().all()
    few = held["N"] < 200
    assert (held.loc[few, "reason"] == "few_persons").all()
    table = pd.read_csv(release / "estimates.csv", dtype={"geo": str})
    assert table.groupby("level")["geo"].nunique().to_dict() == {
        "france": 1,
        "region": 1,
        "department": 2,
        "epci": 19,
    }
    assert set(table.loc[table["level"] == "department", "name"]) == {"Corse-du-Sud", "Haute-Corse"}
    assert table.loc[table["level"] == "region", "name"].unique().tolist() == ["Corse"]
    listed = {path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file()}
    assert listed - set(outputs(release)) == {"manifest.json", "timings.json"}


def test_figures_do_not_depend_on_pieces_and_processes(
    study: Study, release: Path, tmp_path: Path
) -> None:
    wide_to_folder(study, Scale(partitions=2, workers=2), tmp_path / "corse")
    assert outputs(tmp_path / "corse") == outputs(release)


def test_a_run_killed_while_it_writes_starts_again_from_the_last_department(
    study: Study, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study.toml").write_bytes(STUDY)
    code = """
import os, signal, sys
from inegnum.study import run_to_folder
from inegnum.study.scale.store import Store
keep = Store.keep
def dying(self, name, data):
    if name == "2B.npz":
        (self.folder / name).write_bytes(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    keep(self, name, data)
Store.keep = dying
run_to_folder(sys.argv[1], sys.argv[2], workers=1)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "study.toml"), str(tmp_path / "corse")]
    died = subprocess.run(command, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL
    assert not (tmp_path / "corse").exists()
    asked = []
    each = wide.each

    def watched(function, job, items, **where):  # type: ignore[no-untyped-def]
        asked.extend(items)
        return each(function, job, items, **where)

    monkeypatch.setattr(wide, "each", watched)
    wide_to_folder(study, Scale(workers=1), tmp_path / "corse")
    assert [piece.departments for piece in asked] == [("2B",)]
    assert outputs(tmp_path / "corse") == outputs(release)


def test_a_worker_lost_by_a_dask_cluster_changes_nothing(
    study: Study, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    dead = tmp_path / "dead"

    def lethal(job, piece):  # type: ignore[no-untyped-def]
        if "2B" in piece.departments and not dead.exists():
            dead.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return compute(job, piece)

    monkeypatch.setattr(wide, "compute", lethal)
    wide_to_folder(study, Scale(scheduler="local", workers=2), tmp_path / "corse")
    assert int(dead.read_text()) != os.getpid()
    assert outputs(tmp_path / "corse") == outputs(release)


def test_a_commune_is_recomputed_to_the_byte(release: Path) -> None:
    held = pd.read_parquet(release / "communes" / "2A.parquet")
    small = held.loc[held["reason"] == "few_persons", "geo"].iloc[0]
    for commune in ("2A004", small):
        again = recompute(release, commune)
        kept = held[held["geo"] == commune].reset_index(drop=True)
        assert len(kept) == 2
        for column in kept.columns:
            found, expected = again.table[column], kept[column]
            if expected.dtype.kind in "fi":
                assert found.to_numpy().tobytes() == expected.to_numpy().tobytes(), column
            else:
                assert found.tolist() == expected.tolist(), column
    ajaccio = recompute(release, "2A004")
    shown = held[held["geo"] == "2A004"]["est"].to_numpy()
    np.testing.assert_array_equal(ajaccio.draws.values.mean(axis=0), shown)
    with pytest.raises(InputError, match="not in the release"):
        recompute(release, "33063")


def test_levels_are_sums_of_the_same_draws(study: Study, release: Path, tmp_path: Path) -> None:
    done = wide.run_wide(study, Scale(workers=1), tmp_path)
    sums = level_sums(done, "smartphone")
    level = sums.areas["level"]
    for values in (sums.yes, sums.persons):
        region = values[level == "region"][0]
        # The same numbers added in another order.
        np.testing.assert_allclose(values[level == "department"].sum(axis=0), region, rtol=1e-12)
        np.testing.assert_allclose(values[level == "epci"].sum(axis=0), region, rtol=1e-12)
    # One intercommunality from its communes, each recomputed from the release.
    held = pd.read_parquet(release / "communes")
    epci = held.groupby("epci")["geo"].nunique().idxmin()
    communes = held.loc[held["epci"] == epci, "geo"].unique()
    yes = np.zeros(study.model.draws)
    for commune in communes:
        one = recompute(release, str(commune))
        yes += one.draws.values[:, 1] * one.persons[:, 1]
    at = (sums.areas["geo"] == epci) & (level == "epci")
    np.testing.assert_allclose(sums.yes[at][0], yes, rtol=1e-12)


def test_the_ordinary_path_gives_the_same_figures_up_to_its_draws(
    study: Study, tmp_path: Path
) -> None:
    """Other generators of deviations, so other draws: equal within their Monte-Carlo error."""
    S = 2000
    many = replace(study, model=replace(study.model, draws=S), indicators=("smartphone",))
    done = wide.run_wide(many, Scale(workers=1), tmp_path)
    communes = pd.read_parquet(done.figures.folder / "2A.parquet").set_index("geo")
    ordinary = run(
        replace(many, territory=Territory(department="2A", urban="metropole")), jobs=1
    ).estimates.table.set_index("geo")
    both = communes.index[communes["est"].notna() & (communes["N"] >= 200)]
    both = both[ordinary.loc[both, "est"].notna()]
    assert len(both) > 30
    a, b = communes.loc[both], ordinary.loc[both]
    gap = (a["est"] - b["est"]).abs() / (a["se"] * np.sqrt(2 / S))
    # 4.5 sd over some forty communes; the recentring differs by less than 0.02 of a point.
    assert gap.max() < 4.5
    # The log of an sd from S draws has a standard error of 1 / sqrt(2 S); two of them, 4.5 sd.
    assert np.abs(np.log(a["se"] / b["se"])).max() < 4.5 / np.sqrt(S)
    np.testing.assert_allclose(a["N"], b["N"], rtol=1e-9)


def test_communes_of_france_add_up_to_the_national_rate(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Corsica standing for France: the anchor must move it, and must hold in every draw."""
    monkeypatch.setattr(wide, "departments", lambda *_: ("2A", "2B"))
    # Corsica is not France: some draws need more than the limit of a real run.
    model = replace(study.model, anchor=Anchor(limit=1.0))
    france = replace(study, territory=Territory(france=True), model=model)
    done = wide.run_wide(france, Scale(workers=1), tmp_path)
    for i, (code, fitted) in enumerate(done.fits.items()):
        sums = level_sums(done, code)
        rate = sums.yes[0] / sums.persons[0]
        # Nodes half a logit apart; at a real run's spacing the gap is 1e-8.
        np.testing.assert_allclose(rate, fitted.national, rtol=0, atol=5e-5)
        assert np.abs(done.job.shifts[i, 0]).max() > 0.01


def squares(codes: list[str], path: Path, *, code: str = "insee") -> Path:
    """Write squares side by side, one an area: a file in the layout of official outlines."""
    features = []
    for i, geo in enumerate(codes):
        x, y = 8.5 + 0.02 * (i % 40), 41.4 + 0.02 * (i // 40)
        ring = [[x, y], [x + 0.02, y], [x + 0.02, y + 0.02], [x, y + 0.02], [x, y]]
        features.append(
            {
                "type": "Feature",
                "properties": {code: geo, "nom": f"Place {geo}"},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
        )
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    return path


def communes_of_corsica() -> list[str]:
    found = [load_areas(department=name) for name in ("2A", "2B")]
    return pd.concat(found).sort_values("epci")["geo"].tolist()


@pytest.fixture(scope="module")
def drawn(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same release with shapes, two withdrawals and tables for French Excel."""
    folder = tmp_path_factory.mktemp("drawn")
    squares(communes_of_corsica(), folder / "corse.geojson")
    text = STUDY.decode().replace(
        "[frame]", 'geojson = "corse.geojson"\ngeojson_code = "insee"\n[frame]'
    )
    text += '[scale]\ncommunes = ["parquet", "csv-fr"]\n'
    for geo, indicator in (("2A004", "smartphone"), ("2B", "internet_daily")):
        text += (
            f'[[retractions]]\nindicator = "{indicator}"\ngeo = "{geo}"\ndate = "2026-11-26"\n'
            'reason_fr = "Une caserne comptée deux fois."\nreason_en = "A barracks, twice."\n'
        )
    (folder / "corse.toml").write_text(text, "utf-8")
    run_to_folder(folder / "corse.toml", folder / "drawn", workers=1)
    return folder / "drawn"


def test_outlines_of_communes_make_a_map_of_intercommunalities(drawn: Path) -> None:
    table = pd.read_csv(drawn / "estimates.csv", dtype={"geo": str})
    epci = set(table.loc[table["level"] == "epci", "geo"])
    shapes = json.loads((drawn / "estimates.geojson").read_text("utf-8"))["features"]
    assert {one["properties"]["geo"] for one in shapes} == epci
    one = shapes[0]["properties"]
    row = table[(table["geo"] == one["geo"]) & (table["indicator"] == "smartphone")].iloc[0]
    assert one["smartphone_est"] == pytest.approx(row["est"])
    for page in PAGES:
        text = (drawn / page).read_text("utf-8")
        assert text.count('<path id="g') == len(epci)
        # One shape an indicator, patterns of classes C and D apart.
        assert len(re.findall(r'<use href="#g\d{9}" class="', text)) == 2 * len(epci)
        assert text.count("<figure>") == 2
    inputs = json.loads((drawn / "manifest.json").read_text("utf-8"))["inputs"]
    assert "corse.geojson" in {one["name"] for one in inputs}


def test_what_is_withdrawn_leaves_every_file(release: Path, drawn: Path) -> None:
    before, after = (pd.read_parquet(path / "communes" / "2A.parquet") for path in (release, drawn))
    gone = (after["geo"] == "2A004") & (after["indicator"] == "smartphone")
    assert after.loc[gone, ["class", "reason"]].to_numpy().tolist() == [["D", "retracted"]]
    assert after.loc[gone, ["est", "lower", "people", "p_above_france"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(before[~gone], after[~gone])
    table = pd.read_csv(drawn / "estimates.csv", dtype={"geo": str})
    rows = table[(table["geo"] == "2B") & (table["indicator"] == "internet_daily")]
    assert rows["reason"].tolist() == ["retracted"]
    assert rows["est"].isna().all()
    draws = pd.read_parquet(drawn / "draws.parquet")
    here = draws[draws["geo"] == "2B"]
    assert set(here["indicator"]) == {"smartphone"}
    one = recompute(drawn, "2A004")
    again = one.table.set_index("indicator")
    assert list(one.draws.items["indicator"]) == ["internet_daily"]
    assert one.draws.values.shape[1] == 1
    assert again.loc["smartphone", "reason"] == "retracted"
    assert np.isnan(again.loc["smartphone", "est"])
    assert not np.isnan(again.loc["internet_daily", "est"])
    page = (drawn / "report.html").read_text("utf-8")
    assert "Ajaccio" in page
    assert page.count("Une caserne comptée deux fois.") == 2
    assert "A barracks, twice." in (drawn / "report.en.html").read_text("utf-8")


def test_two_wide_releases_are_compared_by_level(
    release: Path, drawn: Path, tmp_path: Path
) -> None:
    found = compare_releases(release, drawn, language="fr")
    table = found.table.set_index(["geo", "indicator"])
    assert table.loc[("2B", "internet_daily"), "status"] == "retracted"
    assert set(table["status"]) >= {"both", "retracted"}
    both = table[table["status"] == "both"]
    assert (both["change"] == 0).all()
    assert not both["beyond_monte_carlo"].any()
    kinds = {cause.kind for cause in found.causes}
    assert kinds == {"data", "retraction"}
    assert "caserne" in found.causes[-1].new
    with pytest.raises(PublicationError, match="inegnum diff"):
        write_difference(release, drawn, tmp_path / "page.html")


def test_communes_come_in_the_formats_asked_for(drawn: Path) -> None:
    french = pd.read_csv(
        drawn / "communes" / "2A-excel-fr.csv",
        sep=";",
        decimal=",",
        encoding="utf-8-sig",
        dtype={"geo": str},
    )
    table = pd.read_parquet(drawn / "communes" / "2A.parquet")
    assert french["geo"].tolist() == table["geo"].tolist()
    np.testing.assert_allclose(french["est"], table["est"])
    book = pd.read_excel(drawn / "estimates.xlsx", dtype={"geo": str})
    levels = pd.read_csv(drawn / "estimates.csv", dtype={"geo": str})
    assert book["geo"].tolist() == levels["geo"].tolist()


def test_a_page_is_written_again_from_its_folder(drawn: Path, tmp_path: Path) -> None:
    for page, language in zip(PAGES, ("fr", "en"), strict=True):
        again = build_report(drawn, language=language, out=tmp_path / page)
        assert again.read_bytes() == (drawn / page).read_bytes()


def test_a_release_with_shapes_runs_again_from_where_they_stand(drawn: Path) -> None:
    assert rerun(drawn, files=drawn.parent) == []
    (lost,) = rerun(drawn, files=drawn.parent / "elsewhere")
    assert "corse.geojson" in lost


@pytest.mark.parametrize("level", ["epci", "department", "region"])
def test_the_level_a_file_holds_is_drawn(study: Study, level: str, tmp_path: Path) -> None:
    areas = pd.concat(load_areas(department=name) for name in ("2A", "2B"))
    codes = sorted(areas[level].unique())
    path = squares(codes, tmp_path / "shapes.geojson")
    territory = replace(study.territory, geojson=str(path), geojson_code="insee")
    found = wide_shapes(replace(study, territory=territory))
    assert found is not None
    assert found[0] == level
    assert [one["properties"]["geo"] for one in found[1]["features"]] == codes


def test_shapes_that_lack_an_area_stop_the_run_before_the_work(
    study: Study, tmp_path: Path
) -> None:
    path = squares(communes_of_corsica()[1:], tmp_path / "shapes.geojson")
    territory = replace(study.territory, geojson=str(path), geojson_code="insee")
    with pytest.raises(InputError, match="359 of 360") as caught:
        wide_to_folder(replace(study, territory=territory), Scale(workers=1), tmp_path / "out")
    assert communes_of_corsica()[0] in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["shapes.geojson"]


def test_a_code_of_two_levels_is_withdrawn_with_its_level(study: Study, tmp_path: Path) -> None:
    paca = replace(study, territory=Territory(regions=("93",)))
    one = Retraction("smartphone", "93", "2026-11-26", "Base erronée.", "The frame was wrong.")
    # 93 is a region of the study, and a department outside it.
    _require_known(replace(paca, retractions=(one,)))
    both = replace(study, territory=Territory(regions=("93", "11")), retractions=(one,))
    with pytest.raises(StudyError, match="names one area"):
        _require_known(both)
    _require_known(replace(both, retractions=(replace(one, level="region"),)))
    with pytest.raises(StudyError, match="names one area"):
        _require_known(replace(both, retractions=(replace(one, level="epci"),)))
    with pytest.raises(StudyError, match="can be withdrawn"):
        _require_known(replace(both, retractions=(replace(one, geo="33063"),)))


def test_pages_of_one_territory_refuse_a_wide_release(release: Path) -> None:
    with pytest.raises(PublicationError, match="a page of their own"):
        read_release(release)


def test_a_wide_release_has_a_page_in_each_language_and_passes_its_checks(release: Path) -> None:
    french, english = ((release / name).read_text("utf-8") for name in PAGES)
    assert '<html lang="fr">' in french
    assert "Corse-du-Sud" in french
    assert "internet" in english
    assert "nan" not in french.lower().split()
    verdicts = json.loads((release / "manifest.json").read_text("utf-8"))["verdicts"]
    assert {v["check"] for v in verdicts} >= {"isolation", "anchor:smartphone", "masked"}
    assert not [v for v in verdicts if v["status"] == "fail"]
    assert not [v for v in validate(release).verdicts if v.status == "fail"]


def test_a_wide_release_runs_again_to_the_same_bytes(release: Path) -> None:
    assert rerun(release / "manifest.json") == []


def base_of_iris(persons: dict[str, int]) -> str:
    """Return INSEE's base of IRIS of 2022 for a few of them: sex by age, all of one shape."""
    shares = {"0014": 15, "1529": 18, "3044": 20, "4559": 20, "6074": 18, "75P": 9}
    lines = []
    for iris, total in persons.items():
        cells: dict[str, float] = {"P22_POP": total, "P22_POPH": total / 2, "P22_POPF": total / 2}
        for band, share in shares.items():
            cells[f"P22_POP{band}"] = total * share / 100
            cells |= {f"P22_{sex}{band}": total * share / 200 for sex in "HF"}
        if not lines:
            lines.append(";".join(["IRIS", "COM", *cells]))
        lines.append(";".join([iris, iris[:5], *map(str, cells.values())]))
    return "\n".join(lines) + "\n"


def test_bases_of_iris_make_finer_frames_of_communes(
    study: Study, release: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base-ic-evol-struct-pop-2022.CSV"
    # Ajaccio in two IRIS, and a commune too small to be cut.
    known = {"2A0040101": 40_000, "2A0040102": 31_000, "2A0010000": 620}
    base.write_text(base_of_iris(known), "utf-8")
    named = replace(study, frame=replace(study.frame, imports=(str(base),)))
    run_to_folder(named, tmp_path / "corse", workers=1)
    before, after = (
        pd.read_parquet(path / "communes").set_index(["geo", "indicator"]).sort_index()
        for path in (release, tmp_path / "corse")
    )
    given = ["2A001", "2A004"]
    assert set(before.loc[given, "tier"]) == {"F3"}
    assert set(after.loc[given, "tier"]) == {"F2"}
    others = before.index[~before.index.get_level_values("geo").isin(given)]
    pd.testing.assert_frame_equal(before.loc[others], after.loc[others])
    ajaccio = ("2A004", "smartphone")
    assert after.loc[ajaccio, "N"] != before.loc[ajaccio, "N"]
    manifest = json.loads((tmp_path / "corse" / "manifest.json").read_text("utf-8"))
    assert base.name in {one["name"] for one in manifest["inputs"]}
    # The file is not in the release, so that its communes cannot be made again from it.
    with pytest.raises(InputError, match="not in the release"):
        recompute(tmp_path / "corse", "2A004")


def test_neighbourhoods_of_a_wide_territory_are_refused_with_the_way_out() -> None:
    with pytest.raises(StudyError, match=r"frame\.imports"):
        Territory(france=True, levels=("epci", "commune", "iris"))
