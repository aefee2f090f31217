"""Every indicator: microdata hidden, published-like rates kept, the metropolis found again.

One-way tables in whole percentages, as published; one-way and two-way tables to 0.1 point. The
interactions come from the other waves where there are any. Compared without area deviations, which
are drawn alike whatever the evidence.
"""

from dataclasses import replace

import numpy as np
import pytest

from inegnum import build_frame
from inegnum.data import catalogue
from inegnum.data.frame import national_frame
from inegnum.data.indicators import definitions
from inegnum.data.survey import load_survey
from inegnum.estimators.interactions import comparable_waves, learn_interactions
from inegnum.estimators.margins_only import composition_of, fit_margins, margins_of
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec, ModeReadings

pytestmark = pytest.mark.slow

SPEC = ModelSpec(history=(), draws=1000, mode=ModeReadings(1.0, 0.0, 0.0), points=64)
ONE_WAY = ("age", "sex", "diploma", "occupation", "urban", "region")
TABLES = {"one-way": (ONE_WAY, 0.01), "two-way": ((*ONE_WAY, "age:diploma", "age:sex"), 0.001)}


@pytest.fixture(scope="module")
def gaps():
    """Differences to the full answer by indicator: metropolis in points and in posterior sds."""
    communes, _ = catalogue.table("communes")
    frame = build_frame(communes[communes["epci"] == "243300316"].reset_index(drop=True))
    national, kept = national_frame(), ("sampling", "anchor")
    found = {name: [] for name in TABLES}
    for known in definitions():
        wave = max(known.waves)
        survey = load_survey(known.indicator.code)
        cells, spec = survey.waves(wave), replace(SPEC, waves=(wave,), year=wave)
        full = fit(spec, cells, national=national, seed=1).predict(frame, seed=2, components=kept)
        earlier = comparable_waves(known.indicator.code, wave)
        prior = learn_interactions(spec, survey.waves(*earlier), seed=1) if earlier else None
        for name, (factors, rounding) in TABLES.items():
            hidden = fit_margins(
                spec,
                [margins_of(cells, factors, rounding=rounding)],
                national=national,
                seed=1,
                composition=composition_of(cells),
                interactions=prior,
            ).predict(frame, seed=2, components=kept)
            gap = float(hidden.point[-1] - full.point[-1])
            ratio = float(hidden.se()[-1] / full.se()[-1])
            found[name].append((known.indicator.code, gap, gap / full.se()[-1], ratio))
    return found


LIMITS = {"one-way": (0.006, 0.7), "two-way": (0.007, 0.45)}


@pytest.mark.parametrize("name", list(TABLES))
def test_the_metropolis_is_that_of_the_microdata(gaps, name):
    table, (points, sds) = gaps[name], LIMITS[name]
    assert len(table) == len(definitions())
    gap, scaled, ratio = (np.abs([row[i] for row in table]) for i in (1, 2, 3))
    # Measured over the 24 indicators; the Monte-Carlo error of a difference is a tenth of an sd.
    assert np.median(gap) < 0.003, table
    assert gap.max() < points, table
    assert scaled.max() < sds, table
    assert 0.85 < ratio.min() < ratio.max() < 1.25, table
