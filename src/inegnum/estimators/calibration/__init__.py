"""Calibration of survey weights: margins in, weights and their state out."""

from inegnum.estimators.calibration.calibrate import (
    calibrate,
    generalised_calibration,
    poststratify_weights,
    rake,
    tightest_bounds,
)
from inegnum.estimators.calibration.diagnostics import Diagnostics
from inegnum.estimators.calibration.margin_tables import proportions, read_calmar
from inegnum.estimators.calibration.margins import Margin, as_margins
from inegnum.estimators.calibration.result import Calibration
from inegnum.estimators.calibration.system import Household
from inegnum.estimators.calibration.trim import trim, trim_weights
from inegnum.numerics.distances import (
    Distance,
    Likelihood,
    Linear,
    Logit,
    Neyman,
    Raking,
    Sinh,
    Truncated,
)

__all__ = [
    "Calibration",
    "Diagnostics",
    "Distance",
    "Household",
    "Likelihood",
    "Linear",
    "Logit",
    "Margin",
    "Neyman",
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
    "trim",
    "trim_weights",
]
