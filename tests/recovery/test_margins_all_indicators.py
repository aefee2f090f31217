"""Every indicator: microdata hidden, published-like rates kept, the metropolis found again.

One-way tables as a producer prints them: whole percentages, but a tenth of a point where the
national rate is under 10 %; two-way tables always to a tenth of a point. The interactions come from
the other waves where there are any. Compared without area deviations, which are drawn alike
whatever the evidence.

Rare rates need their decimal. A quarter of the group rates of `no_device` lie under 1.7 %, where
half a point is nearly a third of the rate or more: whole percentages move its metropolis by half a
point, nearly one posterior sd; a tenth of a point, or exact rates, by 0.1 sd. It is the rounded
values, not what goes unpublished: exact rates without the two groups that round to 0 move it by
0.1 sd too. That reading is held to its own expectation below, not left out.
"""

from dataclasses import replace

import numpy as np
import pytest

from inegnum import build_frame
from inegnum.data import catalogue
from inegnum.data.frames.build import national_frame
from inegnum.data.indicators import definitions
from inegnum.data.survey import load_survey
from inegnum.estimators.interactions import comparable_waves, learn_interactions
from inegnum.estimators.margins_only import composition_of, fit_margins, margins_of
from inegnum.estimators.multilevel import fit
from inegnum.estimators.spec import ModelSpec, ModeReadings

pytestmark = pytest.mark.slow

# 2,000 draws put sqrt(2 / 2000) = 0.03 sd of error on a difference and 2 % on a ratio of sds.
SPEC = ModelSpec(history=(), draws=2000, mode=ModeReadings(1.0, 0.0, 0.0))
ONE_WAY = ("age", "sex", "diploma", "occupation", "urban", "region")
TWO_WAY = (*ONE_WAY, "age:diploma", "age:sex")
WHOLE, TENTH = 0.01, 0.001
RARE = 0.10
WHOLE_RARE = "one-way, rare in whole percentages"


def _tables(cells):
    """Yield a name, factors and the unit of rounding of each publication of an indicator."""
    rare = margins_of(cells, ()).total().rate < RARE
    yield "one-way", ONE_WAY, TENTH if rare else WHOLE
    yield "one-way, exact", ONE_WAY, 0.0
    yield "two-way", TWO_WAY, TENTH
    if rare:
        yield WHOLE_RARE, ONE_WAY, WHOLE


@pytest.fixture(scope="module")
def gaps():
    """Differences to the full answer by indicator: metropolis in points and in posterior sds."""
    communes, _ = catalogue.table("communes")
    frame = build_frame(communes[communes["epci"] == "243300316"].reset_index(drop=True))
    national, kept = national_frame(), ("sampling", "anchor")
    found = {name: [] for name in (*LIMITS, WHOLE_RARE)}
    for known in definitions():
        wave = max(known.waves)
        survey = load_survey(known.indicator.code)
        cells, spec = survey.waves(wave), replace(SPEC, waves=(wave,), year=wave)
        full = fit(spec, cells, national=national, seed=1).predict(frame, seed=2, components=kept)
        earlier = comparable_waves(known.indicator.code, wave)
        prior = learn_interactions(spec, survey.waves(*earlier), seed=1) if earlier else None
        who = composition_of(cells)
        for name, factors, rounding in _tables(cells):
            hidden = fit_margins(
                spec,
                [margins_of(cells, factors, rounding=rounding)],
                national=national,
                seed=1,
                composition=who,
                interactions=prior,
            ).predict(frame, seed=2, components=kept)
            gap = float(hidden.point[-1] - full.point[-1])
            ratio = float(hidden.se()[-1] / full.se()[-1])
            found[name].append((known.indicator.code, gap, gap / full.se()[-1], ratio))
    return found


# Largest difference in points beside its Monte-Carlo error, and in posterior sds. Rates in whole
# percentages: an average of rates, each rounded by up to half a unit, moves by no more than that.
# Two-way: 0 to 0.3 point, as the method has it (measured 0.19). Exact one-way rates lose the
# interactions, which other waves give back in part (measured 0.37).
LIMITS = {"one-way": (WHOLE / 2, 0.7), "one-way, exact": (0.004, 0.3), "two-way": (0.003, 0.3)}


@pytest.mark.parametrize("name", list(LIMITS))
def test_the_metropolis_is_that_of_the_microdata(gaps, name):
    table, (points, sds) = gaps[name], LIMITS[name]
    assert len(table) == len(definitions())
    gap, scaled, ratio = (np.abs([row[i] for row in table]) for i in (1, 2, 3))
    assert np.median(gap) < 0.002, table
    error = gap / scaled * np.sqrt(2 / SPEC.draws)
    assert (gap < points + 3 * error).all(), table
    assert scaled.max() < sds, table
    assert 0.85 < ratio.min() < ratio.max() < 1.2, table


def test_rare_rates_in_whole_percentages_are_off_by_their_rounding_and_say_so(gaps):
    table = gaps[WHOLE_RARE]
    assert {row[0] for row in table} == {"abandon", "no_device", "barrier_access"}
    gap, scaled, ratio = (np.abs([row[i] for row in table]) for i in (1, 2, 3))
    # An average of rates, each rounded by up to half a unit, moves by no more than that; 0.1 point
    # more for the Monte-Carlo error of a difference.
    assert gap.max() < WHOLE / 2 + 0.001, table
    # Within one of the sds that the reader of whole percentages is given, wider than the full ones
    # where rounding matters (measured 1.28 for `no_device`).
    assert (scaled / ratio).max() < 1, table
    assert 1.1 < ratio[[row[0] for row in table].index("no_device")] < 1.5, table
