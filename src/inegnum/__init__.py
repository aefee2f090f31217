"""Local statistics on digital inequality: calibration, small areas, honest uncertainty.

The verbs and nouns of the package, each loaded when first used, so that importing it stays light.

>>> import inegnum as ing
>>> survey = ing.load_survey("smartphone")
>>> round(survey.waves(2022).rate(), 3)
0.872
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from inegnum.data.areas import load_areas as load_areas
    from inegnum.data.frames.build import build_frame as build_frame
    from inegnum.data.frames.build import national_frame as national_frame
    from inegnum.data.frames.tiers import refine_frame as refine_frame
    from inegnum.data.importers import read_file as read_file
    from inegnum.data.indicators import definitions as definitions
    from inegnum.data.own_survey import read_own_survey as read_own_survey
    from inegnum.data.survey import load_survey as load_survey
    from inegnum.data.types import Frame as Frame
    from inegnum.data.types import SurveyCells as SurveyCells
    from inegnum.draws import Draws as Draws
    from inegnum.estimates.areas import estimates_from_areas as estimates_from_areas
    from inegnum.estimates.estimate import estimate as estimate
    from inegnum.estimates.table import Estimates as Estimates
    from inegnum.estimators.area import bayes_fay_herriot as bayes_fay_herriot
    from inegnum.estimators.area import bym2_fay_herriot as bym2_fay_herriot
    from inegnum.estimators.area import fay_herriot as fay_herriot
    from inegnum.estimators.area import rate_fay_herriot as rate_fay_herriot
    from inegnum.estimators.area import spatial_fay_herriot as spatial_fay_herriot
    from inegnum.estimators.calibration import Calibration as Calibration
    from inegnum.estimators.calibration import Logit as Logit
    from inegnum.estimators.calibration import Margin as Margin
    from inegnum.estimators.calibration import Truncated as Truncated
    from inegnum.estimators.calibration import calibrate as calibrate
    from inegnum.estimators.calibration import rake as rake
    from inegnum.estimators.calibration.parquet import calibrate_parquet as calibrate_parquet
    from inegnum.estimators.decompose import decompose as decompose
    from inegnum.estimators.design import survey_design as survey_design
    from inegnum.estimators.fusion import fuse as fuse
    from inegnum.estimators.margins_only import fit_margins as fit_margins
    from inegnum.estimators.multilevel import Fit as Fit
    from inegnum.estimators.multilevel import fit as fit
    from inegnum.estimators.replication import replicate as replicate
    from inegnum.estimators.spec import ModelSpec as ModelSpec
    from inegnum.estimators.unit.bayes import bayes_bhf as bayes_bhf
    from inegnum.estimators.unit.bhf import bhf as bhf
    from inegnum.estimators.unit.ebp import ebp as ebp
    from inegnum.estimators.unit.pseudo import pseudo_eblup as pseudo_eblup
    from inegnum.estimators.unit.reading import read_census as read_census
    from inegnum.estimators.unit.reading import read_means as read_means
    from inegnum.estimators.unit.reading import read_sample as read_sample
    from inegnum.estimators.unit.robust import robust_bhf as robust_bhf
    from inegnum.estimators.variants import variants as variants
    from inegnum.estimators.weighting import raked_rate as raked_rate
    from inegnum.release.figures import dot_chart as dot_chart
    from inegnum.release.figures import map_chart as map_chart
    from inegnum.release.site import publish as publish
    from inegnum.review.ladder import validate as validate
    from inegnum.study import Study as Study
    from inegnum.study import load_study as load_study
    from inegnum.study import run as run

_WHERE = {
    "Calibration": "estimators.calibration",
    "Draws": "draws",
    "Estimates": "estimates.table",
    "Fit": "estimators.multilevel",
    "Frame": "data.types",
    "Logit": "estimators.calibration",
    "Margin": "estimators.calibration",
    "ModelSpec": "estimators.spec",
    "Study": "study",
    "SurveyCells": "data.types",
    "Truncated": "estimators.calibration",
    "bayes_bhf": "estimators.unit.bayes",
    "bayes_fay_herriot": "estimators.area",
    "bhf": "estimators.unit.bhf",
    "build_frame": "data.frames.build",
    "bym2_fay_herriot": "estimators.area",
    "calibrate": "estimators.calibration",
    "calibrate_parquet": "estimators.calibration.parquet",
    "decompose": "estimators.decompose",
    "definitions": "data.indicators",
    "dot_chart": "release.figures",
    "ebp": "estimators.unit.ebp",
    "estimate": "estimates.estimate",
    "estimates_from_areas": "estimates.areas",
    "fay_herriot": "estimators.area",
    "fit": "estimators.multilevel",
    "fit_margins": "estimators.margins_only",
    "fuse": "estimators.fusion",
    "load_areas": "data.areas",
    "load_study": "study",
    "load_survey": "data.survey",
    "map_chart": "release.figures",
    "national_frame": "data.frames.build",
    "pseudo_eblup": "estimators.unit.pseudo",
    "publish": "release.site",
    "rake": "estimators.calibration",
    "raked_rate": "estimators.weighting",
    "rate_fay_herriot": "estimators.area",
    "read_census": "estimators.unit.reading",
    "read_file": "data.importers",
    "read_means": "estimators.unit.reading",
    "read_own_survey": "data.own_survey",
    "read_sample": "estimators.unit.reading",
    "refine_frame": "data.frames.tiers",
    "replicate": "estimators.replication",
    "robust_bhf": "estimators.unit.robust",
    "run": "study",
    "spatial_fay_herriot": "estimators.area",
    "survey_design": "estimators.design",
    "validate": "review.ladder",
    "variants": "estimators.variants",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
