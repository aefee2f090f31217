"""Which areas touch: the graph that spatial effects live on.

Shapes are read by `geometry`, neighbours found by shapely; a gap of about a metre between two
drawings of one boundary still counts as touching. Two areas that share a point only (queen
contiguity) are neighbours.

Limits: a river or a strait separates as far as the shapes say. Regions need no shapes: their
boundaries are written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from inegnum.data.codebook import REGION
from inegnum.data.geometry import geometry
from inegnum.errors import InputError, MissingDependencyError

__all__ = ["contiguity", "region_contiguity"]

# Degrees: a metre or so, the rounding of coordinates written with five decimals.
_GAP: Final = 1e-5

# Land boundaries of the thirteen regions of metropolitan France since 2016, each pair once.
_REGIONS: Final = {
    "11": ("24", "27", "28", "32", "44"),
    "24": ("27", "28", "52", "75", "84"),
    "27": ("44", "84"),
    "28": ("32", "52", "53"),
    "32": ("44",),
    "52": ("53", "75"),
    "75": ("76", "84"),
    "76": ("84", "93"),
    "84": ("93",),
    "94": (),
}


def contiguity(geos: Sequence[str], *, own: Path | None = None, code: str = "geo") -> pd.DataFrame:
    """Return the contiguity of areas from their shapes.

    Parameters
    ----------
    geos : sequence of K str
        Codes of communes or IRIS, or of regions (two characters).
    own : Path, optional
        GeoJSON of the territory; the package has the communes of eight metropolises.
    code : str
        Property of that file that holds the codes.

    Returns
    -------
    DataFrame of shape (K, K)
        1 where two areas touch, 0 elsewhere and on the diagonal; labelled by code both ways.

    Raises
    ------
    InputError
        An area has no shape, stands twice, or its shape is not valid.
    MissingDependencyError
        shapely is not installed.

    Examples
    --------
    >>> bool(contiguity(["33063", "33281"]).loc["33063", "33281"])  # Bordeaux, Mérignac
    True
    """
    geos = [str(geo) for geo in geos]
    repeated = sorted({geo for geo in geos if geos.count(geo) > 1})
    if repeated:
        raise InputError("an area stands twice in a graph", got=", ".join(repeated[:5]))
    if own is None and geos and set(geos) <= set(REGION.levels):
        return region_contiguity().loc[geos, geos]
    try:
        from shapely import STRtree
        from shapely.geometry import shape
    except ImportError as error:
        raise MissingDependencyError(
            "neighbours are found by shapely",
            expected="the extra `report`",
            hint="pip install 'inegnum[report]'",
        ) from error
    features = geometry(geos, own=own, code=code)["features"]
    shapes = [shape(feature["geometry"]) for feature in features]
    odd = [geo for geo, one in zip(geos, shapes, strict=True) if one.is_empty or not one.is_valid]
    if odd:
        raise InputError(
            "shapes are empty or cross themselves",
            where=str(own or "shapes of the package"),
            got=", ".join(odd[:5]),
            hint="repair the file, for instance with shapely.make_valid",
        )
    one, other = STRtree(shapes).query(shapes, predicate="dwithin", distance=_GAP)
    W = np.zeros((len(geos), len(geos)))
    W[one, other] = 1.0
    np.fill_diagonal(W, 0.0)
    return pd.DataFrame(W, index=geos, columns=geos)


def region_contiguity() -> pd.DataFrame:
    """Return the contiguity of the regions, in the order of the codebook; Corsica has none.

    Examples
    --------
    >>> int(region_contiguity().loc["94"].sum())
    0
    """
    levels = list(REGION.levels)
    W = pd.DataFrame(0.0, index=levels, columns=levels)
    for region, others in _REGIONS.items():
        for other in others:
            W.loc[region, other] = W.loc[other, region] = 1.0
    return W
