"""`inegnum new`: from codes to a study that runs, and what the message says when it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inegnum.cli import app
from inegnum.data.areas import load_areas
from inegnum.errors import InputError
from inegnum.review.run_checks import survey_gap
from inegnum.study.new import new_study
from inegnum.study.pipeline import areas_of, run
from inegnum.study.spec import load_study

RUNNER = CliRunner()


@pytest.mark.parametrize(
    "options",
    [["--communes", "33063,33249"], ["--communes", "33249", "--communes", "33063"]],
)
def test_a_list_of_communes_becomes_a_study(options: list[str], tmp_path: Path) -> None:
    out = tmp_path / "two.toml"
    said = RUNNER.invoke(app, ["new", *options, "--out", str(out)])
    assert said.exit_code == 0, said.output
    study = load_study(out)
    assert study.territory.communes == ("33063", "33249")
    assert study.territory.name == "Bordeaux, Lormont"
    assert study.name == "bordeaux-lormont-2022"
    assert list(areas_of(study)["name"]) == ["Bordeaux", "Lormont"]


@pytest.mark.parametrize(
    ("year", "wave", "status"),
    [(2018, 2020, "warn"), (2020, 2020, "pass"), (2021, 2020, "pass"), (2023, 2022, "pass")],
)
def test_rates_are_those_of_the_latest_wave_the_year_has_seen(
    year: int, wave: int, status: str, tmp_path: Path
) -> None:
    study = load_study(new_study("243300316", year=year, out=tmp_path / "study.toml"))
    assert (study.year, study.model.year) == (year, wave)
    told = survey_gap(study.model.year, study.year)
    assert told.status == status
    assert str(wave) in told.sentence_fr
    assert str(year) in told.sentence_fr


def test_the_order_of_communes_changes_nothing(tmp_path: Path) -> None:
    one = new_study(["33063", "33249"], kind="communes", out=tmp_path / "a.toml")
    two = new_study(["33249", "33063"], kind="communes", out=tmp_path / "b.toml")
    assert load_study(one).sha256() == load_study(two).sha256()
    other = new_study(["33063", "33039"], kind="communes", out=tmp_path / "c.toml")
    assert load_study(other).seed != load_study(one).seed


def test_many_communes_are_counted_in_the_name(tmp_path: Path) -> None:
    codes = list(load_areas(epci="243300316")["geo"])
    study = load_study(new_study(codes, kind="communes", out=tmp_path / "study.toml"))
    assert study.territory.name == "28 communes"
    assert study.territory.communes == tuple(codes)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (["33063", "33366999"], ["no commune has this code", "33366999", "did you mean"]),
        (["33603"], ["33063 (Bordeaux)"]),
        (["lormont"], ["33249 (Lormont)"]),
        (["33603", "35999"], ["for 33603,", "for 35999,"]),
        (["33063", "33063"], ["a commune stands twice", "33063"]),
        (["97105"], ["metropolitan France", "97105 (Basse-Terre)", "Corsica (2A, 2B) included"]),
        (["33063", "97502"], ["metropolitan France", "97502, overseas"]),
    ],
)
def test_wrong_communes_are_named(codes: list[str], words: list[str], tmp_path: Path) -> None:
    out = tmp_path / "study.toml"
    with pytest.raises(InputError) as caught:
        new_study(codes, kind="communes", out=out)
    for word in words:
        assert word in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize(
    ("kind", "code"), [("department", "974"), ("department", "988"), ("epci", "249740119")]
)
def test_overseas_territories_are_outside_the_survey(kind: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the survey covers metropolitan France only"):
        new_study(code, kind=kind, out=tmp_path / "study.toml")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [[], ["--epci", "243300316", "--communes", "33063"], ["--communes", ""]]
)
def test_one_way_to_name_a_territory(options: list[str], tmp_path: Path) -> None:
    said = RUNNER.invoke(app, ["new", *options, "--out", str(tmp_path / "study.toml")])
    assert said.exit_code != 0
    assert not (tmp_path / "study.toml").exists()


@pytest.mark.slow
def test_corsica_runs_and_says_that_hardly_anyone_answered_there(tmp_path: Path) -> None:
    corsica = load_study(new_study(["2A004"], kind="communes", out=tmp_path / "ajaccio.toml"))
    gironde = load_study(new_study(["33281"], kind="communes", out=tmp_path / "merignac.toml"))
    ajaccio, merignac = (
        run(
            replace(
                study,
                indicators=("smartphone",),
                frame=replace(study.frame, draws=4),
                model=replace(study.model, draws=1000, history=()),
                quality=replace(study.quality, variants=False),
            ),
            jobs=1,
        )
        for study in (corsica, gironde)
    )
    said = {verdict.check: verdict for verdict in ajaccio.verdicts}
    assert said["region:smartphone"].status == "warn"
    # Respondents of Corsica in the waves of 2020 and 2022 together: so few that the region's
    # deviation is its prior.
    assert 0 < said["region:smartphone"].found < 50
    assert "Corse" in said["region:smartphone"].sentence_fr
    assert not [v for v in merignac.verdicts if v.check.startswith("region:")]
    width = [
        float(done.estimates.row(geo, "smartphone")["se"])
        for done, geo in ((ajaccio, "2A004"), (merignac, "33281"))
    ]
    # 0.031 against 0.022 when written; the error of an sd of 1,000 draws is 2 %.
    assert width[0] > 1.15 * width[1]
