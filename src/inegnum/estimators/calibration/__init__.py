"""Calibration of survey weights: margins in, weights and their state out."""

from inegnum.estimators.calibration.calibrate import (
    calibrate,
    generalised_calibration,
    poststratify_weights,
    rake,
    tightest_bounds,
)
from inegnum.estimators.calibration.diagnostics import Diagnostics
from inegnum.estimators.calibration.margins import Margin, as_margins, proportions, read_calmar
from inegnum.estimators.calibration.result import Calibration
from inegnum.estimators.calibration.system import Household
from inegnum.numerics.distances import Distance, Linear, Logit, Raking, Sinh, Truncated

__all__ = [
    "Calibration",
    "Diagnostics",
    "Distance",
    "Household",
    "Linear",
    "Logit",
    "Margin",
    "Raking",
    "Sinh",
    "Truncated",
    "as_margins",
    "calibrate",
    "generalised_calibration",
    "poststratify_weights",
    "proportions",
    "rake",
    "read_calmar",
    "tightest_bounds",
]
