"""Communes are followed from one vintage to another, or the join is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from inegnum.data import catalogue
from inegnum.data.vintages import (
    Event,
    follow,
    read_events,
    require_same_vintage,
    shipped_events,
    to_vintage,
)
from inegnum.errors import InputError

# A in B in 2020, B renumbered C in 2022, D split into D and E in 2021.
EVENTS = (
    Event("01001", "01002", 2020),
    Event("01002", "01002", 2020),
    Event("01002", "01003", 2022),
    Event("01004", "01004", 2021),
    Event("01004", "01005", 2021),
    Event("01006", "", 2021),
)
OFFICIAL = """MOD,DATE_EFF,TYPECOM_AV,COM_AV,TNCC_AV,NCC_AV,TYPECOM_AP,COM_AP,TNCC_AP,NCC_AP
32,2022-01-01,COM,02054,0,BAZOCHES SUR VESLES,COM,02054,0,BAZOCHES ET SAINT THIBAUT
32,2022-01-01,COM,02695,0,SAINT THIBAUT,COM,02054,0,BAZOCHES ET SAINT THIBAUT
32,2022-01-01,COM,02695,0,SAINT THIBAUT,COMD,02695,0,SAINT THIBAUT
10,2022-01-01,COM,09207,0,MONTGAILLARD,COM,09207,0,MONTGAILHARD
50,2021-01-01,COM,27676,4,TROIS LACS,COM,27058,4,TROIS LACS
31,2019-03-15,COM,14472,0,NOYERS,COM,14475,0,NOYERS MISSY
"""


def table(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["geo", "n"])


def test_codes_are_followed_through_several_events() -> None:
    held = follow(["01001", "01002", "01009"], since=2019, until=2022, events=EVENTS)
    assert held == {"01001": ("01003",), "01002": ("01003",), "01009": ("01009",)}
    assert follow(["01001"], since=2020, until=2022, events=EVENTS) == {"01001": ("01001",)}
    assert follow(["01004"], since=2020, until=2021, events=EVENTS)["01004"] == ("01004", "01005")
    with pytest.raises(InputError, match="forward in time"):
        follow(["01001"], since=2022, until=2019, events=EVENTS)
    with pytest.raises(InputError, match="successor of a commune is not known"):
        follow(["01006"], since=2020, until=2021, events=EVENTS)


def test_counts_add_up_and_a_missing_one_stays_missing() -> None:
    old = table(("01001", 3.0), ("01002", 4.0), ("01009", 5.0))
    new = to_vintage(old, counts=["n"], since=2019, until=2022, events=EVENTS)
    assert new.to_dict("list") == {"geo": ["01003", "01009"], "n": [7.0, 5.0]}
    assert new["n"].sum() == old["n"].sum()
    masked = table(("01001", np.nan), ("01002", 4.0))
    assert to_vintage(masked, counts=["n"], since=2019, until=2022, events=EVENTS)["n"].isna().all()


def test_a_split_commune_is_refused() -> None:
    with pytest.raises(InputError, match="01004 into 01004, 01005"):
        to_vintage(table(("01004", 1.0)), counts=["n"], since=2020, until=2021, events=EVENTS)


def test_arrondissements_become_their_city_once() -> None:
    old = table(("75101", 1.0), ("75120", 2.0), ("13201", 4.0), ("69381", 8.0), ("69123", 0.0))
    with pytest.raises(InputError, match="whole and by arrondissement"):
        to_vintage(old, counts=["n"], since=2023, until=2025)
    whole = to_vintage(old[:4], counts=["n"], since=2023, until=2025).set_index("geo")["n"]
    assert whole.to_dict() == {"13055": 4.0, "69123": 8.0, "75056": 3.0}


def test_the_official_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "v_mvt_commune_2022.csv"
    path.write_text(OFFICIAL)
    events = read_events(path)
    assert Event("02695", "02054", 2022) in events
    # Neither a new name nor a delegated commune moves anyone; the host keeps its code.
    assert {event.before for event in events} == {"02695", "27676", "14472"}
    # In March 2019: first seen in the vintage of 1 January 2020.
    assert Event("14472", "14475", 2020) in events
    old = table(("02695", 1.0), ("02054", 2.0), ("27676", 3.0))
    new = to_vintage(old, counts=["n"], since=2020, until=2022, events=events)
    assert new.set_index("geo")["n"].to_dict() == {"02054": 3.0, "27058": 3.0}
    path.write_text(OFFICIAL.replace("2021-01-01", "2021"))
    with pytest.raises(InputError, match="line 6, column DATE_EFF"):
        read_events(path)
    path.write_text("CODGEO,A\n01001,1\n")
    with pytest.raises(InputError, match="not INSEE's file of events"):
        read_events(path)


def test_shipped_events_lead_to_communes_that_exist() -> None:
    known = set(catalogue.table("communes")[0]["geo"])
    events = shipped_events()
    assert {event.after for event in events} - {""} <= known
    assert {event.year for event in events} <= {2024, 2025}
    # Renumbered: same name, new code.
    assert {e.after for e in events if e.before == "49069"} == {"49126"}
    # Rollainville: no name tells where it went, so it is not guessed.
    with pytest.raises(InputError, match="commune_events_2025"):
        follow(["88393"], since=2023, until=2025, events=events)


def test_shipped_events_do_not_reach_further_back() -> None:
    with pytest.raises(InputError, match="from 2023 to 2025"):
        to_vintage(table(("01001", 1.0)), counts=["n"], since=2018, until=2025)


def test_a_silent_join_across_vintages_is_refused() -> None:
    communes, income = catalogue.source("communes"), catalogue.source("income_2021")
    with pytest.raises(InputError, match="two geographic vintages meet"):
        require_same_vintage(communes, income, where="test")
    require_same_vintage(communes, communes, where="test")
    require_same_vintage(communes, catalogue.source("published_rates_tic"), where="test")
