"""Frames of other territories than the one they were made for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.data.areas import load_areas
from inegnum.data.codebook import profiles
from inegnum.data.frames.build import build_frame
from inegnum.data.margins import commune_margins
from inegnum.errors import InputError

RENNES, LA_ROCHELLE = "243500139", "241700434"
# CC Causses et Vallée de la Dordogne (Lot): 75 communes, nearly all below 2,000 inhabitants.
RURAL = "200066371"


@pytest.mark.parametrize("epci", [RENNES, LA_ROCHELLE, RURAL])
def test_any_intercommunality_meets_its_margins(epci: str) -> None:
    frame = build_frame(load_areas(epci=epci), draws=5, seed=1)
    report = frame.report
    persons = report.groupby(["geo", "margin"])["target"].transform("sum")
    assert ((report["target"] - report["achieved"]).abs() <= 1.01e-5 * persons).all()
    tiers = set(frame.areas["tier"])
    assert tiers <= {"F3", "F4"}
    small = commune_margins(2022).at(frame.areas["geo"].tolist()).population < 1_900
    assert (frame.areas["tier"].to_numpy()[small] == "F4").all()
    assert np.isfinite(frame.draws).all()


def test_a_rural_frame_is_wider_than_an_observed_one() -> None:
    rural = build_frame(load_areas(epci=RURAL), draws=60, seed=1)
    observed = build_frame(load_areas(communes=["35238", "35047", "35051"]), draws=60, seed=1)
    assert (rural.areas["tier"] == "F4").mean() > 0.8
    for column, level in (("age", "70+"), ("diploma", "none"), ("diploma", "higher")):
        chosen = (profiles()[column] == level).to_numpy()
        spread = [
            (f.draws[..., chosen].sum(axis=2) / f.draws.sum(axis=2)).std(axis=0)
            for f in (rural, observed)
        ]
        assert np.median(spread[0]) > 1.5 * np.median(spread[1])


def test_young_cities_and_old_countryside_look_like_themselves() -> None:
    rennes = build_frame(load_areas(communes=["35238"]))
    rural = build_frame(load_areas(epci=RURAL))
    table = profiles()

    def share(frame, mask) -> float:
        return float(frame.N[:, mask].sum() / frame.N.sum())

    students = (table["diploma"] == "student").to_numpy()
    old = (table["age"] == "70+").to_numpy()
    assert share(rennes, students) > 0.15
    assert share(rural, students) < 0.03
    assert share(rural, old) > 0.22
    assert share(rennes, old) < 0.14


def test_overseas_communes_are_refused_with_a_reason() -> None:
    with pytest.raises(InputError, match=r"without census margins(.|\n)*overseas"):
        build_frame(pd.DataFrame({"geo": ["97411"]}))


def test_uninhabited_communes_are_refused_with_a_reason() -> None:
    # Villages destroyed in 1916 have a code and nobody.
    with pytest.raises(InputError, match=r"55039(.|\n)*uninhabited"):
        build_frame(load_areas(communes=["55039"]))
