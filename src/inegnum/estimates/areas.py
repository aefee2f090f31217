"""From the result of any small-area estimator to the table that leaves the library.

A map, an export, a release page read `Estimates`; every estimator returns `AreaEstimates`. Here one
becomes the other: joint draws of the areas, the territory as their sum by persons, draw by draw,
and the national rate beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from inegnum.data.types import Indicator
from inegnum.errors import InputError
from inegnum.estimates.benchmark import Target
from inegnum.estimates.quality import QualityLimits
from inegnum.estimates.table import AreaDraws, Estimates, combine
from inegnum.estimators.result import AreaEstimates
from inegnum.provenance import Source

__all__ = ["estimates_from_areas"]

Floats = npt.NDArray[np.float64]
_PLACES = ("geo", "level", "name", "persons")


def estimates_from_areas(
    estimates: AreaEstimates,
    places: pd.DataFrame,
    *,
    indicator: Indicator,
    national: Target,
    year: int,
    sources: Sequence[Source] = (),
    whole: tuple[str, str] = ("whole", "Territory"),
    tier: str = "T4",
    limits: QualityLimits | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Estimates:
    """Bring the rates of any estimator into the published form.

    Parameters
    ----------
    estimates : AreaEstimates
        Rates with an MSE.
    places : DataFrame
        ``geo, level, name, persons`` of every area of the table (persons of the universe).
    indicator : Indicator
        What the rates are of.
    national : Target
        Rate of France and its standard error.
    year : int
    sources : sequence of Source
    whole : tuple of str
        Code and name of the territory as a whole.
    tier : str
        Evidence, for instance ``"T4"``: local direct estimates.
    limits : QualityLimits, optional
    draws, seed : int
        Joint draws of the areas.

    Returns
    -------
    Estimates
        Rows of France, of the whole and of each area.

    Raises
    ------
    InputError
        No MSE, estimates that are no rates, an area without place or persons.

    Examples
    --------
    >>> from inegnum.data.indicators import indicator
    >>> from inegnum.estimators.area import AreaData, fay_herriot
    >>> y = np.array([0.80, 0.90, 0.84, 0.87])
    >>> data = AreaData(y, np.ones((4, 1)), np.full(4, 0.0004), np.array(list("abcd"), object))
    >>> places = pd.DataFrame({"geo": list("abcd"), "level": "commune", "name": list("ABCD"),
    ...                        "persons": [9e3, 4e3, 2e4, 7e3]})
    >>> published = estimates_from_areas(
    ...     fay_herriot(data), places, indicator=indicator("smartphone"),
    ...     national=Target(0.87, 0.006), year=2022)
    >>> published.table["level"].tolist()
    ['france', 'epci', 'commune', 'commune', 'commune', 'commune']
    """
    lacking = [column for column in _PLACES if column not in places.columns]
    if lacking:
        raise InputError("places lack columns", got=", ".join(lacking), expected=", ".join(_PLACES))
    table = estimates.table
    est = table["est"].to_numpy(np.float64)
    if not ((est >= 0) & (est <= 1)).all():
        raise InputError(
            "estimates are no rates",
            where=estimates.method,
            got=f"from {est.min():.4g} to {est.max():.4g}",
            hint="a rate is a proportion; fit on the logit or arcsine scale to keep it in 0-1",
        )
    joined = places.set_index("geo").reindex(table["geo"])
    absent = joined["persons"].isna().to_numpy()
    if absent.any() or not (joined["persons"] > 0).all():
        raise InputError(
            "an area has no place or nobody in the universe",
            where=", ".join(table.loc[absent, "geo"].head().astype(str)) or "persons",
            hint="places needs one row an area, with persons above zero",
        )
    drawn = _rates(estimates, draws, seed)
    persons = joined["persons"].to_numpy(np.float64)
    share = persons / persons.sum()
    rng = np.random.default_rng([seed, 1])
    france = _near(national.value, national.se, draws, rng)
    n = table["n"].to_numpy(np.float64)
    areas = pd.DataFrame(
        {
            "geo": ["FR", whole[0], *table["geo"]],
            "level": ["france", "epci", *joined["level"]],
            "name": ["France", whole[1], *joined["name"]],
            "tier": tier,
            "basis": ["direct", "model", *table["basis"]],
            "method": ["survey", *[estimates.method] * (len(table) + 1)],
            "n": [np.nan, float(np.nansum(n)) if np.isfinite(n).any() else np.nan, *n],
        }
    )
    rates = np.column_stack([france, drawn @ share, drawn])
    people = np.concatenate([[np.nan, persons.sum()], persons])
    people[0] = persons.sum()  # France's persons are not known here; only its rate is shown
    one = AreaDraws(
        indicator, areas, rates, np.broadcast_to(people, rates.shape).copy(), france, whole=1
    )
    result = combine([one], tuple(sources), year=year, limits=limits)
    france_row = result.table["level"] == "france"
    blank = ["N", "people", "people_lower", "people_upper"]
    result.table.loc[france_row, blank] = np.nan
    return result


def _rates(estimates: AreaEstimates, draws: int, seed: int) -> Floats:
    """Joint draws of the areas within 0-1, shape (S, m).

    A law that is normal on the scale of rates can leave 0-1 where an area is uncertain: it is then
    carried by the logit, with the same point and the delta method's spread.
    """
    values = estimates.draws(draws, seed=seed).values
    out = ((values < 0) | (values > 1)).any(axis=0)
    if not out.any():
        return np.asarray(values)
    est = np.clip(estimates.table["est"].to_numpy(np.float64)[out], 1e-6, 1 - 1e-6)
    step = (values[:, out] - est) / (est * (1 - est))
    moved = values.copy()
    # Beyond twenty logits a rate is 0 or 1 to nine digits.
    moved[:, out] = expit(logit(est) + np.clip(step, -20, 20))
    return np.asarray(moved)


def _near(value: float, se: float, size: int, rng: np.random.Generator) -> Floats:
    """Draw a rate around its value, on the logit scale when it has an error."""
    if not 0 < value < 1:
        raise InputError("the national rate lies outside 0-1", where="national", got=value)
    spread = se / (value * (1 - value))
    return np.asarray(expit(logit(value) + spread * rng.standard_normal(size)))
