"""Area-level models: one direct estimate and one sampling variance an area."""

from inegnum.estimators.area.fay_herriot import fay_herriot
from inegnum.estimators.area.inputs import AreaData
from inegnum.estimators.area.proximity import row_standardise
from inegnum.estimators.area.spatial import spatial_fay_herriot
from inegnum.estimators.area.transform import Transform

__all__ = ["AreaData", "Transform", "fay_herriot", "row_standardise", "spatial_fay_herriot"]
