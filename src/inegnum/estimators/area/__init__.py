"""Area-level models: one direct estimate and one sampling variance an area."""

from inegnum.estimators.area.bayes import bayes_fay_herriot
from inegnum.estimators.area.bym2 import bym2_fay_herriot
from inegnum.estimators.area.composition import composition_fay_herriot
from inegnum.estimators.area.criteria import bootstrap_criteria
from inegnum.estimators.area.fay_herriot import fay_herriot
from inegnum.estimators.area.inputs import AreaData
from inegnum.estimators.area.internal import self_benchmarked
from inegnum.estimators.area.measurement import measurement_error_fay_herriot
from inegnum.estimators.area.multivariate import multivariate_fay_herriot
from inegnum.estimators.area.proximity import row_standardise
from inegnum.estimators.area.rates import rate_fay_herriot
from inegnum.estimators.area.robust import robust_fay_herriot
from inegnum.estimators.area.select import choose_covariates
from inegnum.estimators.area.smoothing import smooth_variances
from inegnum.estimators.area.spacetime import space_time_fay_herriot
from inegnum.estimators.area.spatial import spatial_fay_herriot
from inegnum.estimators.area.transform import Transform

__all__ = [
    "AreaData",
    "Transform",
    "bayes_fay_herriot",
    "bootstrap_criteria",
    "bym2_fay_herriot",
    "choose_covariates",
    "composition_fay_herriot",
    "fay_herriot",
    "measurement_error_fay_herriot",
    "multivariate_fay_herriot",
    "rate_fay_herriot",
    "robust_fay_herriot",
    "row_standardise",
    "self_benchmarked",
    "smooth_variances",
    "space_time_fay_herriot",
    "spatial_fay_herriot",
]
