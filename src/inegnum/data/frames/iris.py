"""Margins of IRIS the package ships: persons of 15 and over, and of 55 and over, in ten cities.

Two counts an IRIS, no diploma, no occupation: everything else follows the commune. The frame says
so (tier F4, `observed`), and an IRIS differs from its commune only by its age. Fuller margins
(base-ic files) go to `refine_frame` the same way.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from inegnum.data import catalogue
from inegnum.data.frames.given import MARGIN_COLUMNS
from inegnum.errors import FrameError
from inegnum.provenance import Source

__all__ = ["SHIPPED", "iris_margins"]

SHIPPED: Final = "iris_2022"

_YEAR = 2022
_MARGIN = "age, 55 and over"


def iris_margins(commune: str) -> tuple[pd.DataFrame, pd.DataFrame, tuple[Source, ...]]:
    """Return areas, margins and sources of a city's IRIS, as `refine_frame` takes them.

    Parameters
    ----------
    commune : str
        Code of one of the ten cities whose IRIS are shipped.

    Raises
    ------
    FrameError
        No IRIS of this commune is shipped.

    Examples
    --------
    >>> areas, margins, sources = iris_margins("33063")
    >>> len(areas)
    88
    """
    table, source = catalogue.table(SHIPPED)
    own = table[(table["geo"].str[:5] == commune) & (table["persons_15p"] > 0)]
    if own.empty:
        raise FrameError(
            "no IRIS of this commune is shipped",
            got=commune,
            expected=f"a commune of {', '.join(sorted(table['city'].unique()))}",
            hint="give margins by IRIS to refine_frame",
        )
    young = own["persons_15p"] - own["persons_55p"]
    bands = [(15, 54, young), (55, 120, own["persons_55p"])]
    margins = pd.concat(
        [
            pd.DataFrame({"geo": own["geo"], "first_age": a, "last_age": b, "persons": persons})
            for a, b, persons in bands
        ]
    ).assign(margin=_MARGIN, sex="", status="", occupation="", year=_YEAR)
    areas = pd.DataFrame({"geo": own["geo"], "commune": commune}).reset_index(drop=True)
    return areas, margins[list(MARGIN_COLUMNS)].reset_index(drop=True), (source,)
