"""F4 against F3: communes whose margins are observed, built again as if they were not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inegnum.data.codebook import profiles
from inegnum.data.frames import communes as frame_communes
from inegnum.data.frames import strata as frame_strata
from inegnum.data.frames.atoms import to_profiles
from inegnum.data.frames.communes import commune_tables
from inegnum.data.frames.predict import Links, fit_links
from inegnum.data.margins import CommuneMargins, commune_margins

pytestmark = pytest.mark.slow

DEPARTMENTS = ("17", "35", "46")
DRAWS = 80


def _hidden(margins: CommuneMargins) -> CommuneMargins:
    nothing = {name: getattr(margins, name) * np.nan for name in ("age", "status", "women")}
    return replace(margins, **nothing)


def test_imputed_draws_cover_observed_communes(monkeypatch: pytest.MonkeyPatch) -> None:
    everyone = commune_margins(2022)
    away = ~everyone.areas["department"].isin(DEPARTMENTS).to_numpy()
    usable = everyone.observed & (everyone.population < 50_000)
    blind = fit_links(everyone, usable & away)

    def unseen(_: int) -> Links:
        return blind

    tested = everyone.at(
        everyone.areas.loc[~away & everyone.observed & (everyone.population < 8000), "geo"].tolist()
    )
    observed, _ = commune_tables(tested, DRAWS, 6)
    monkeypatch.setattr(frame_communes, "links", unseen)
    monkeypatch.setattr(frame_strata, "links", unseen)
    imputed, _ = commune_tables(_hidden(tested), DRAWS, 6)
    table = profiles()
    f3, f4 = to_profiles(observed), to_profiles(imputed)
    found = {}
    for column, level in (("age", "70+"), ("diploma", "none"), ("diploma", "higher")):
        chosen = (table[column] == level).to_numpy()
        truth = f3[0][:, chosen].sum(axis=1) / f3[0].sum(axis=1)
        own = f3[1:][..., chosen].sum(axis=2) / f3[1:].sum(axis=2)
        drawn = f4[1:][..., chosen].sum(axis=2) / f4[1:].sum(axis=2)
        point = f4[0][:, chosen].sum(axis=1) / f4[0].sum(axis=1)
        lower, upper = np.quantile(drawn, [0.025, 0.975], axis=0)
        found[level] = {
            "coverage": float(((lower <= truth) & (truth <= upper)).mean()),
            "half-width": float((upper - lower).mean() / 2),
            "rmse": float(np.sqrt(np.mean((point - truth) ** 2))),
            "sd of communes": float(truth.std()),
            "ratio of sds": float(np.median(drawn.std(axis=0) / own.std(axis=0))),
        }
    assert len(tested.areas) > 150
    for level, result in found.items():
        # Nominal 0.95. The observed margins are four years old themselves, which the draws count
        # and the comparison does not show: more than nominal is expected, less than 0.9 is not.
        assert result["coverage"] >= 0.90, (level, found)
        assert result["ratio of sds"] > 1.3, (level, found)
        # And imputing is worth something: better than giving every commune the mean.
        assert result["rmse"] < 0.8 * result["sd of communes"], (level, found)
