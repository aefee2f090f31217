"""Territories resolve to communes; a wrong code is named with its neighbours."""

import pytest

from inegnum.data.areas import AREA_COLUMNS, load_areas
from inegnum.errors import InputError


def test_bordeaux_metropole_has_28_communes_two_of_them_in_small_urban_units() -> None:
    areas = load_areas(epci="243300316")
    assert len(areas) == 28
    assert list(areas.columns[: len(AREA_COLUMNS)]) == list(AREA_COLUMNS)
    small = areas.loc[areas["urban"] == "2k-20k", "name"].tolist()
    assert small == ["Ambès", "Saint-Louis-de-Montferrand"]
    assert (areas["urban"] == "100k+").sum() == 26
    # Published municipal population of Bordeaux, 2022.
    assert areas.set_index("geo").loc["33063", "population_2022"] == 265328


def test_codes_keep_their_zeros_and_letters() -> None:
    areas = load_areas(communes=["2A004", "01004"])
    assert areas["geo"].tolist() == ["01004", "2A004"]
    assert areas["region"].tolist() == ["84", "94"]
    assert set(load_areas(department="2B")["department"]) == {"2B"}


def test_wrong_codes_are_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="243300316 \\(Bordeaux Métropole\\)"):
        load_areas(epci="243300317")
    with pytest.raises(InputError, match="243300316"):
        load_areas(epci="bordeaux métropole")
    with pytest.raises(InputError, match="33063 \\(Bordeaux\\)"):
        load_areas(communes=["33603"])
    with pytest.raises(InputError, match="no department"):
        load_areas(department="330")
    with pytest.raises(InputError, match="no intercommunality"):
        load_areas(epci="")


def test_ambiguous_or_malformed_selections_are_refused() -> None:
    with pytest.raises(InputError, match="exactly one way"):
        load_areas()
    with pytest.raises(InputError, match="exactly one way"):
        load_areas(epci="243300316", department="33")
    with pytest.raises(InputError, match="twice"):
        load_areas(communes=["33063", "33063"])
    with pytest.raises(InputError, match="keep their zeros"):
        load_areas(communes=[33063])  # type: ignore[list-item]
    with pytest.raises(InputError, match="list of texts"):
        load_areas(communes="33063")
    with pytest.raises(InputError, match="empty"):
        load_areas(communes=[])
