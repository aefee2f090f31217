"""The same indicator under other defensible choices, side by side.

None is promoted for its local figure: the default stands in `ModelSpec`, the others are published
next to it. Readings of the urban gradient and tau need no new fit; waves, terms and
counts do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final, Literal

import numpy as np
import pandas as pd

from inegnum.data.types import Frame, SurveyCells
from inegnum.errors import BenchmarkError, InputError
from inegnum.estimators.learned_tau import resolved
from inegnum.estimators.multilevel import Fit, fit
from inegnum.estimators.readings import READINGS
from inegnum.estimators.spec import COMPONENTS, Anchor, Component, ModelSpec, ModeReadings, Tau

__all__ = ["components", "refits", "variants"]

# A variant is read against the default, not published: its Monte-Carlo error (a twentieth of a
# standard deviation, a tenth at the ends of the interval) is far below what is compared.
REFIT_DRAWS: Final = 500


def variants(
    fitted: Fit, survey: SurveyCells, frame: Frame, *, national: Frame, seed: int
) -> pd.DataFrame:
    """Return the estimate of every item of `frame` under every variant.

    Parameters
    ----------
    fitted : Fit
        The default, already fitted.
    survey, frame, national, seed
        As given to `fit` and `Fit.predict`.

    Returns
    -------
    DataFrame
        ``variant, geo, level, est, lower, upper, shift, drift, note`` (95 %); a variant that cannot
        be had has missing figures and a note that says why.

    Examples
    --------
    >>> import inegnum as ing
    >>> france = ing.national_frame(year=2022)
    >>> spec = ing.ModelSpec(waves=(2022,), history=(), draws=400)
    >>> survey = ing.load_survey("smartphone")
    >>> fit = ing.fit(spec, survey, national=france, seed=1)
    >>> frame = ing.build_frame(ing.load_areas(communes=["33063"]), year=2022)
    >>> found = ing.variants(fit, survey, frame, national=france, seed=1)
    >>> found["variant"].unique()[:3].tolist()
    ['default', 'urban gradient pooled', 'urban gradient equalised']
    """
    parts = [_rows("default", fitted, frame, seed)]
    for r, reading in enumerate(READINGS):
        if (fitted.reading == r).any():
            parts.append(_rows(f"urban gradient {reading}", _only(fitted, r), frame, seed))
    for factor in (0.5, 2.0):
        tau = replace(fitted.spec.tau, factor=factor * fitted.spec.tau.factor)
        changed = replace(fitted, spec=replace(fitted.spec, tau=tau))
        parts.append(_rows(f"tau x {factor:g}", changed, frame, seed))
    second = _other_tau(fitted)
    if second is not None:
        changed = replace(fitted, spec=replace(fitted.spec, tau=second))
        parts.append(_rows(f"tau {second.prior}", changed, frame, seed))
    still = tuple(c for c in COMPONENTS if c != "transport")
    parts.append(_rows("no area deviation", fitted, frame, seed, still))
    for name, other in refits(fitted.spec, survey):
        spec = replace(other, draws=min(other.draws, REFIT_DRAWS))
        try:
            found = fit(spec, survey, national=national, seed=seed)
        except BenchmarkError as error:
            parts.append(pd.DataFrame({"variant": [name], "note": [error.what]}))
        else:
            parts.append(_rows(name, found, frame, seed))
    return pd.concat(parts, ignore_index=True)


def _other_tau(fitted: Fit) -> Tau | None:
    """Return the prior of tau the fit does not use, stated or learned; none if never learned."""
    own = fitted.spec.tau
    if own.prior == "learned":
        return Tau(factor=own.factor, structure=own.structure, phi=own.phi)
    try:
        return resolved(replace(own, prior="learned"), fitted.indicator.code)
    except InputError:
        return None


def refits(spec: ModelSpec, survey: SurveyCells) -> Iterator[tuple[str, ModelSpec]]:
    """Yield the variants that need a fit of their own, each with the pooled gradient only.

    Compare them with ``urban gradient pooled``, from which they differ by one choice.
    """
    one = replace(spec, mode=ModeReadings(1.0, 0.0, 0.0))
    yield "without urban size", replace(one, terms=spec.without("urban"))
    yield "without region", replace(one, terms=spec.without("region"))
    other: Literal["effective", "unweighted"] = (
        "unweighted" if spec.counts == "effective" else "effective"
    )
    yield f"{other} counts", replace(one, counts=other)
    if spec.history:
        yield "without earlier waves", replace(one, history=())
    waves = [wave for wave in spec.waves if (survey.table["wave"] == wave).any()]
    if len(waves) > 1:
        for wave in waves:
            yield f"wave {wave} only", replace(one, waves=(wave,))
    if spec.anchor.to == "survey":
        yield "not anchored", replace(one, anchor=Anchor("none", spec.anchor.limit))


def components(fitted: Fit, frame: Frame, *, seed: int) -> pd.DataFrame:
    """Return, by item, the sd of the rate with each component of uncertainty alone, and together.

    Columns: ``geo, level``, one per component, and ``all``; squares of the parts add up to that of
    the whole as far as components do not interact.
    """
    whole = fitted.predict(frame, seed=seed)
    alone = {c: fitted.predict(frame, seed=seed, components=(c,)).se() for c in COMPONENTS}
    return whole.items[["geo", "level"]].assign(**alone, all=whole.se())


def _only(fitted: Fit, reading: int) -> Fit:
    """Keep the draws of one reading, each repeated to keep their number."""
    at = np.resize(np.flatnonzero(fitted.reading == reading), len(fitted.reading))
    return replace(
        fitted,
        coefficients=fitted.coefficients.take(at),
        reading=fitted.reading[at],
        national=fitted.national[at],
        shift=fitted.shift[at],
        shift_drawn=fitted.shift_drawn[at],
    )


def _rows(
    name: str, found: Fit, frame: Frame, seed: int, kept: Collection[Component] = COMPONENTS
) -> pd.DataFrame:
    draws = found.predict(frame, seed=seed, components=kept)
    lower, upper = draws.interval()
    table = draws.items[["geo", "level"]].copy()
    table.insert(0, "variant", name)
    return table.assign(
        est=draws.point,
        lower=lower,
        upper=upper,
        shift=found.diagnostics.shift,
        drift=found.diagnostics.drift,
        note="; ".join(found.diagnostics.notes),
    )
