"""Figures that judge and figures that feed never meet."""

import pytest

from inegnum.data import catalogue
from inegnum.data.indicators import definitions
from inegnum.errors import IsolationError
from inegnum.provenance import require_role


def test_no_figure_stands_in_both_tables() -> None:
    judged, judge = catalogue.table("published_figures")
    fit, evidence = catalogue.table("published_rates_tic")
    assert (judge.role, evidence.role) == ("validate", "fit")
    key = ["indicator", "year", "geo", "universe"]
    totals = fit[fit["group_variable"] == "total"]
    both = set(map(tuple, judged[key].to_numpy())) & set(map(tuple, totals[key].to_numpy()))
    assert both == set()
    # The pair that would meet: INSEE's rate of metropolitan France is evidence, regions judge.
    assert ("illectronisme", 2019, "METRO", "15+") in set(map(tuple, totals[key].to_numpy()))
    # Waves of the Baromètre up to 2022 are evidence too: none of their printed rates judges.
    national = judged[judged["kind"] == "national survey"]
    assert national["year"].min() > 2022


def test_a_fit_refuses_what_judges() -> None:
    with pytest.raises(IsolationError, match="published_figures"):
        require_role([catalogue.source("published_figures")], "fit", where="test")


def test_the_local_figures_are_there_with_what_is_not_known() -> None:
    judged, _ = catalogue.table("published_figures")
    local = judged[(judged["geo"] == "243300316") & (judged["indicator"] == "smartphone")]
    local = local.set_index("year")
    assert local["value"].to_dict() == {2022: 0.94, 2023: 0.93}
    assert local["comparable"].to_dict() == {2022: "partly", 2023: "yes"}
    assert "borne d'âge" in local.loc[2023, "known_difference_fr"]
    assert local.loc[2023, "mode"] == "telephone"
    procedures = judged[
        (judged["geo"] == "243300316") & (judged["indicator"] == "admin_difficulty")
    ]
    assert procedures["comparable"].tolist() == ["no"]


def test_every_figure_can_be_read() -> None:
    judged, _ = catalogue.table("published_figures")
    codes = {d.indicator.code for d in definitions()}
    assert set(judged["counterpart"]) <= {"", *codes}
    assert set(judged["comparable"]) == {"yes", "partly", "no"}
    assert (judged.loc[judged["comparable"] != "no", "counterpart"] != "").all()
    for column in ("known_difference_en", "known_difference_fr", "mode", "source", "universe"):
        assert (judged[column] != "").all(), column
    rates = judged[judged["unit"] == "rate"]
    assert rates["value"].between(0, 1).all()
    # One figure has no page: the observatory's estimator.
    assert judged.loc[judged["address"] == "", "kind"].tolist() == ["observatory estimator"]
    # 3 years x (27 former regions, 13 NUTS1 regions, France), as Eurostat publishes them.
    assert (judged["kind"] == "Eurostat regional estimate").sum() == 123


def test_rates_to_fit_carry_their_rounding() -> None:
    fit, _ = catalogue.table("published_rates_tic")
    assert set(fit["rounding"]) == {0.01, 0.001}
    steps = fit["value"] / fit["rounding"]
    assert (steps - steps.round()).abs().max() < 1e-9
    key = ["indicator", "year", "geo", "universe", "group_variable", "group_level"]
    assert not fit.duplicated(key).any()


def test_mediation_supply_is_tidy() -> None:
    places, source = catalogue.table("mediation_places")
    assert (len(places), (places["epci"] == "243300316").sum()) == (347, 176)
    assert places["geo"].str.fullmatch(r"33\d{3}").all()
    assert places["updated"].str.fullmatch(r"20\d\d-\d\d-\d\d").all()
    assert places["longitude"].between(-1.3, 0.4).all()
    assert "v1.0.2" in catalogue.record("mediation_places").caveats_fr[0]
    for name, rows in (("france_services", 42), ("digital_advisers", 53)):
        table, _ = catalogue.table(name)
        assert len(table) == rows
        assert (table["epci"] != "").all()
    assert source.role == "validate"
