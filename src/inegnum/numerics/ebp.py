"""Empirical best prediction of any indicator from a transformed nested error regression.

Given the sample, the transformed response of a census unit is normal: mean ``x' beta + u_hat`` and
two independent errors, what is left of its area effect (shared by the area) and its own. Indicators
are averaged over L simulated censuses. Those that are means over units (mean, head count, poverty
gap) need no simulation: their expectation is an integral of one normal variable, in closed form
after a log or no transformation and by Gauss-Legendre quadrature otherwise.

References
----------
Molina and Rao (2010), doi:10.1002/cjs.10051; Molina (2019), doi:10.18637/jss.v091.i07 [emdi];
Correa, Molina and Rao (2012), census EB.

Matches R ``sae::ebBHF`` and ``emdi::ebp`` within Monte-Carlo error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.numerics.indicators import ADDITIVE, Custom, evaluate
from inegnum.numerics.transformations import Transformation

__all__ = ["Layout", "Predictive", "expected_additive", "make_layout", "simulate"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
# values held at once by one domain's simulations
_BLOCK = 2_000_000
_NODES = 32
# beyond 8.5 standard deviations a normal variable has mass 2e-17
_REACH = 8.5


@dataclass(frozen=True, slots=True)
class Layout:
    """Census rows sorted by domain, then area.

    Attributes
    ----------
    order : ndarray of shape (R,)
        Position of each sorted row in the census.
    area : ndarray of shape (R,)
        Area of each sorted row, 0 to A - 1.
    w : ndarray of shape (R,)
        Weight of each sorted row.
    starts : ndarray of shape (D + 1,)
        First sorted row of each domain, and R.
    """

    order: Ints
    area: Ints
    w: Floats
    starts: Ints


@dataclass(frozen=True, slots=True)
class Predictive:
    """Normal law of the transformed responses of the census given the sample.

    Attributes
    ----------
    mu : ndarray of shape (R,)
        Mean of each sorted row.
    sd_area : ndarray of shape (A,)
        What is left of the area effects.
    sd_unit : float
        Unit error.
    """

    mu: Floats
    sd_area: Floats
    sd_unit: float


def make_layout(area: Ints, domain: Ints, w: Floats, D: int) -> Layout:
    """Sort census rows by domain and area.

    Parameters
    ----------
    area, domain : ndarray of shape (R,)
        Area (random effect) and domain (output) of each row.
    w : ndarray of shape (R,)
        Weights.
    D : int
        Number of domains, none empty.
    """
    order = np.lexsort((area, domain)).astype(np.int64)
    starts = np.searchsorted(domain[order], np.arange(D + 1)).astype(np.int64)
    return Layout(order, area[order], w[order], starts)


def simulate(
    layout: Layout,
    law: Predictive,
    transformation: Transformation,
    lam: float,
    names: Sequence[str | Custom],
    *,
    threshold: float | None,
    L: int,
    rng: np.random.Generator,
    known: tuple[Floats, ...] | None = None,
) -> Floats:
    """Average indicators of L simulated censuses, shape (D, K).

    Parameters
    ----------
    layout, law, transformation, lam
        Census, its law on the transformed scale, and the way back.
    names : sequence of K str or Custom
        Indicators.
    threshold : float, optional
        Poverty line.
    L : int
        Simulated censuses.
    rng : Generator
        Source of randomness.
    known : tuple of D ndarray, optional
        Observed responses of each domain, appended to its simulated ones with weight 1.
    """
    D = len(layout.starts) - 1
    area_noise = law.sd_area * rng.standard_normal((L, len(law.sd_area)))
    out = np.empty((D, len(names)))
    for d in range(D):
        rows = slice(layout.starts[d], layout.starts[d + 1])
        size = layout.starts[d + 1] - layout.starts[d]
        block = max(1, int(_BLOCK // max(size, 1)))
        total = np.zeros(len(names))
        for start in range(0, L, block):
            stop = min(start + block, L)
            t = rng.standard_normal((stop - start, size))
            t *= law.sd_unit
            t += law.mu[rows]
            areas = layout.area[rows]
            alone = areas[0] == areas[-1]
            t += area_noise[start:stop, areas[:1] if alone else areas]
            y, w = transformation.backward(t, lam), layout.w[rows]
            if known is not None:
                seen = np.broadcast_to(known[d], (len(y), len(known[d])))
                y, w = np.hstack([y, seen]), np.concatenate([w, np.ones(len(known[d]))])
            total += evaluate(y, w, names, threshold, interpolate=True).sum(axis=1)
        out[d] = total / L
    return out


def expected_additive(
    layout: Layout,
    law: Predictive,
    transformation: Transformation,
    lam: float,
    names: Sequence[str],
    *,
    threshold: float | None,
    known: tuple[Floats, ...] | None = None,
) -> Floats:
    """Return the exact expectation of indicators that are means over units, shape (D, K).

    Parameters
    ----------
    layout, law, transformation, lam, threshold, known
        As for `simulate`.
    names : sequence of K str
        Among ``mean, head_count, poverty_gap``.
    """
    sd = np.sqrt(law.sd_area[layout.area] ** 2 + law.sd_unit**2)
    D = len(layout.starts) - 1
    domain = np.repeat(np.arange(D), np.diff(layout.starts))
    size = np.bincount(domain, layout.w, D)
    out = np.empty((D, len(names)))
    for k, name in enumerate(names):
        value = _unit_expectation(law.mu, sd, transformation, lam, name, threshold)
        sums = np.bincount(domain, layout.w * value, D)
        if known is None:
            out[:, k] = sums / size
            continue
        counts = np.array([len(y) for y in known])
        seen = [
            evaluate(y[None], np.ones(len(y)), [name], threshold)[0, 0] * len(y) if len(y) else 0.0
            for y in known
        ]
        out[:, k] = (sums + np.array(seen)) / (size + counts)
    return out


def _unit_expectation(
    mu: Floats,
    sd: Floats,
    transformation: Transformation,
    lam: float,
    name: str,
    threshold: float | None,
) -> Floats:
    """Return E h(y) of each unit, ``T(y) ~ N(mu, sd^2)``, shape (R,)."""
    from scipy.special import ndtr

    logarithmic = transformation.name in ("log", "log-shift")
    shift = lam if transformation.name == "log-shift" else transformation.shift
    if name == "mean":
        if transformation.name == "none":
            return mu
        if logarithmic:
            return np.exp(mu + sd**2 / 2) - shift
        return _quadrature(mu, sd, transformation, lam, None)
    if threshold is None or name not in ADDITIVE:
        raise AssertionError(f"{name} is not an additive indicator with a poverty line")
    z = _line(transformation, lam, threshold)
    d = (z - mu) / sd
    if name == "head_count":
        return np.asarray(ndtr(d))
    if transformation.name == "none":
        density = np.exp(-(d**2) / 2) / np.sqrt(2 * np.pi)
        return np.asarray(((threshold - mu) * ndtr(d) + sd * density) / threshold)
    if logarithmic:
        part = np.exp(mu + sd**2 / 2) * ndtr(d - sd)
        return np.asarray(((threshold + shift) * ndtr(d) - part) / threshold)
    return _quadrature(mu, sd, transformation, lam, threshold)


def _line(transformation: Transformation, lam: float, threshold: float) -> float:
    """Return the transformed poverty line; minus infinity when nothing can lie below it."""
    shift = lam if transformation.name == "log-shift" else transformation.shift
    if transformation.name != "none" and threshold + shift <= 0:
        return -np.inf
    return float(transformation.forward(np.array([threshold]), lam)[0])


def _quadrature(
    mu: Floats, sd: Floats, transformation: Transformation, lam: float, threshold: float | None
) -> Floats:
    """Integrate y, or (1 - y/threshold)+, against the normal density of each unit, shape (R,).

    The part below the least value the family can reach is a point mass.
    """
    from scipy.special import ndtr

    floor = transformation.floor(lam)
    low = np.maximum(mu - _REACH * sd, floor)
    high = mu + _REACH * sd
    if threshold is not None:
        high = np.minimum(high, _line(transformation, lam, threshold))
    high = np.maximum(high, low)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = (high - low) / 2
    total = np.zeros_like(mu)
    for node, weight in zip(nodes, weights, strict=True):
        t = low + half * (node + 1)
        y = transformation.backward(t, lam)
        value = y if threshold is None else 1.0 - y / threshold
        total += weight * value * np.exp(-(((t - mu) / sd) ** 2) / 2)
    total *= half / (sd * np.sqrt(2 * np.pi))
    if np.isfinite(floor):
        least = -transformation.shift
        mass = least if threshold is None else max(0.0, 1.0 - least / threshold)
        total += mass * ndtr((floor - mu) / sd)
    return total
