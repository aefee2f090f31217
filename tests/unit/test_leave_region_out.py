import numpy as np
import pytest

from inegnum.errors import InputError
from inegnum.review.leave_region_out import JUDGES, REGIONS, moment_tau, region_fold


def test_moment_tau_recovers_the_spread_between_regions() -> None:
    rng = np.random.default_rng(1)
    variances = rng.uniform(0.005, 0.02, (4000, 12))
    residuals = rng.normal(0.3, np.sqrt(0.15**2 + variances))
    found = np.array([moment_tau(r, v) for r, v in zip(residuals, variances, strict=True)])
    # The truncated moment is nearly unbiased on the variance; 4,000 draws know it to 1 %, the
    # truncation at zero adds a few per cent.
    assert np.mean(found**2) == pytest.approx(0.15**2, rel=0.06)


def test_two_regions_have_no_spread() -> None:
    with pytest.raises(InputError, match="too few regions"):
        moment_tau(np.zeros(2), np.ones(2))


@pytest.mark.slow
def test_a_region_is_predicted_without_its_respondents(monkeypatch) -> None:
    from inegnum.data.types import SurveyCells
    from inegnum.review import leave_region_out

    honest = region_fold("53", "smartphone").set_index(["judge", "method"])
    load = leave_region_out.load_survey

    def tampered(indicator: str) -> SurveyCells:
        cells = load(indicator)
        inside = cells.table["region"] == "53"
        wrong = cells.table.assign(
            **{
                y: cells.table[y].where(~inside, cells.table[all_] - cells.table[y])
                for y, all_ in (("y", "n"), ("wy", "w"), ("w2y", "w2"))
            }
        )
        return SurveyCells(wrong, cells.indicator, cells.source)

    # Every answer of the hidden region is reversed: the judge moves, no prediction does.
    monkeypatch.setattr(leave_region_out, "load_survey", tampered)
    reversed_ = region_fold("53", "smartphone").set_index(["judge", "method"])
    for judge in JUDGES:
        now, before = reversed_["truth"].loc[judge].iloc[0], honest["truth"].loc[judge].iloc[0]
        assert now == pytest.approx(1 - before)
    np.testing.assert_array_equal(reversed_["est"], honest["est"])
    assert "94" not in REGIONS
