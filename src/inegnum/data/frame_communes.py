"""Tables of communes: the department's table of their urban class, fitted to their own margins.

Point first, then draws, everywhere: arrays start with an axis of length 1 + F. See `frame` for the
model; a table may be asked for over `LOCAL_AGES` (what communes publish) or over `AGES` (when finer
margins are to follow).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inegnum.data.codebook import REGION, URBAN
from inegnum.data.frame_ages import region_ages
from inegnum.data.frame_atoms import (
    AGES,
    LOCAL_AGES,
    age_groups,
    children_to_profiles,
    shape_of,
    status_groups,
    to_local,
)
from inegnum.data.frame_predict import (
    draw_occupation,
    draw_shares,
    links,
    margin_noise,
    predict,
    shares_of,
    years_old,
    z_of,
)
from inegnum.data.frame_strata import (
    common_drift,
    department_effect,
    department_tables,
    drifted,
    keyed,
)
from inegnum.data.margins import CommuneMargins
from inegnum.errors import ConvergenceError
from inegnum.numerics.ipf import Margin, axis_margin, ipf

__all__ = ["Targets", "children", "commune_tables", "commune_targets"]

Floats = npt.NDArray[np.float64]

# Margins of a commune are met to one person in a hundred thousand.
_TOL = 1e-5
# Share of a commune's draws that may be impossible before something else must be wrong.
_IMPOSSIBLE = 0.2
# Variance of the share of children in small communes, times population (see `margins`).
_CHILD_NOISE = 0.62


@dataclass(frozen=True, slots=True)
class Targets:
    """Margins of A communes as shares of persons of 15+: point first, then draws, (B, A, ...)."""

    occupation: Floats
    age: Floats
    status: Floats
    women: Floats


def commune_tables(
    margins: CommuneMargins, draws: int, seed: int, *, ages: tuple[int, ...] = LOCAL_AGES
) -> tuple[Floats, Targets]:
    """Return the tables of communes and the margins they were fitted to.

    Returns
    -------
    ndarray of shape (1 + F, A, len(ages), 2, 5, 7)
        Persons of 15 and over.
    Targets
        Margins, as shares.

    Raises
    ------
    ConvergenceError
        The margins of a commune cannot all be met.
    """
    targets = commune_targets(margins, draws, seed)
    flat = _seeds(margins, draws, seed, ages).reshape(-1, *shape_of(ages))
    scale = flat.sum(axis=(1, 2, 3, 4), keepdims=True)
    # A cell the department does not have may exist in one of its communes: keep it open.
    flat = np.maximum(flat / scale, 1e-9)
    fit = ipf(
        flat, _margins(margins.persons, targets, ages), tol=_TOL, max_iterations=500, unmet="nan"
    )
    tables = fit.fitted.reshape(1 + draws, len(margins.areas), *shape_of(ages))
    return _possible(tables, margins), targets


def _possible(tables: Floats, margins: CommuneMargins) -> Floats:
    """Replace draws whose margins no population can have by the next draw that one can.

    In a hamlet, independent draws of occupation and age may ask for more retired people than there
    are old ones. Leaving such draws out is drawing from what is possible.
    """
    bad = np.isnan(tables[:, :, 0, 0, 0, 0])
    hopeless = bad[0] | (bad[1:].sum(axis=0) > _IMPOSSIBLE * max(len(bad) - 1, 1))
    if hopeless.any():
        raise ConvergenceError(
            "the margins of a commune cannot all be met",
            where=", ".join(margins.areas["geo"][hopeless].head()),
            got=f"{int(bad[:, hopeless].sum())} of {len(bad) * int(hopeless.sum())} tables unmet",
            expected=f"the point, and all but {_IMPOSSIBLE:.0%} of draws",
            hint="leave the commune out, or report it: its published margins contradict each other",
        )
    kept = tables.copy()
    for draw, commune in np.argwhere(bad):
        good = np.flatnonzero(~bad[1:, commune]) + 1
        after = good[good > draw]
        kept[draw, commune] = tables[after[0] if len(after) else good[0], commune]
    return kept


def _seeds(margins: CommuneMargins, draws: int, seed: int, ages: tuple[int, ...]) -> Floats:
    """Return each commune's department table of its urban class."""
    found = np.empty((1 + draws, len(margins.areas), *shape_of(ages)))
    for (department, region), rows in margins.areas.groupby(["department", "region"]):
        tables = department_tables(str(department), str(region), margins.year, draws, seed)
        if ages != AGES:
            tables = to_local(tables)
        classes = [URBAN.code(u) for u in rows["urban"]]
        found[:, rows.index.to_numpy()] = tables[:, classes]
    return found


def commune_targets(margins: CommuneMargins, draws: int, seed: int) -> Targets:
    """Return point margins and their draws."""
    occupation = np.empty((1 + draws, len(margins.areas), 7))
    z = np.empty((1 + draws, len(margins.areas), 9))
    effects = {
        d: department_effect(d, margins.year, draws, seed)
        for d in margins.areas["department"].unique()
    }
    for i, area in enumerate(margins.areas.itertuples()):
        one = margins.at([str(area.geo)])
        rng = keyed(seed, "commune", str(area.geo))
        occupation[0, i] = one.occupation[0]
        occupation[1:, i] = draw_occupation(one, rng, draws)[:, 0]
        if one.observed[0]:
            z[:, i] = _observed_z(one, draws, rng)
        else:
            z[:, i] = _predicted_z(one, occupation[:, [i]], effects[area.department], rng)
    age, status, women = shares_of(z)
    status = drifted(status, common_drift(margins.year, draws, seed))
    for i in map(int, np.flatnonzero(~margins.observed)):
        # A commune is finite: its shares differ from what is expected of a commune like it.
        rng, n = keyed(seed, "finite", margins.areas["geo"][i]), float(margins.persons[i])
        age[1:, i] = draw_shares(age[1:, i], n, rng)
        status[1:, i] = draw_shares(status[1:, i], n, rng)
        both = np.stack([women[1:, i], 1 - women[1:, i]], axis=-1)
        women[1:, i] = draw_shares(both, n, rng)[:, 0]
    status[..., 0] = np.minimum(status[..., 0], 0.95 * age[..., 1])
    status /= status.sum(axis=-1, keepdims=True)
    return Targets(occupation, age, status, women)


def _observed_z(one: CommuneMargins, draws: int, rng: np.random.Generator) -> Floats:
    z = z_of(one.age[0], one.status[0], one.women[0])
    sd = margin_noise().sd(years_old(one), one.persons)[0]
    return np.concatenate([z[None], z + rng.normal(size=(draws, len(z))) * sd])


def _predicted_z(
    one: CommuneMargins, occupation: Floats, effect: Floats, rng: np.random.Generator
) -> Floats:
    fitted = links(one.year)
    z = predict(one, fitted, occupation)[:, 0] + effect
    # Links were learned above 2,000 inhabitants: below, a commune ages as the smallest of those.
    aged = margin_noise().drift(years_old(one), np.maximum(one.persons, 1700.0))[0]
    spread = np.linalg.cholesky(fitted.within + np.diag(aged))
    z[1:] += rng.normal(size=(len(z) - 1, len(spread))) @ spread.T
    return np.asarray(z)


def _margins(persons: Floats, targets: Targets, ages: tuple[int, ...]) -> list[Margin]:
    """Return the margins of every commune and draw, flattened over both."""
    shape = shape_of(ages)
    cells = np.indices(shape)
    counts = np.broadcast_to(persons, targets.women.shape)[..., None]
    women = np.stack([targets.women, 1 - targets.women], axis=-1)

    def flat(shares: Floats) -> Floats:
        return (shares * counts).reshape(-1, shares.shape[-1])

    return [
        Margin("age", age_groups(ages)[cells[0]], flat(targets.age)),
        axis_margin("sex", shape, (1,), flat(women)),
        Margin(
            "schooling and diploma",
            status_groups(ages)[cells[0], cells[2]],
            flat(targets.status),
        ),
        axis_margin("occupation", shape, (3,), flat(targets.occupation)),
    ]


def children(margins: CommuneMargins, draws: int, seed: int) -> Floats:
    """Return persons of 12 to 14 in their profiles, (1 + F, A, 294)."""
    shares = region_ages(margins.year).child_share
    at = [REGION.code(r) for r in margins.areas["region"]]
    persons = margins.children[:, None] * shares[at]
    usual = np.maximum(margins.children / margins.population, 0.05)
    relative = np.minimum(np.sqrt(_CHILD_NOISE / margins.population) / usual, 0.5)
    noise = np.ones((1 + draws, len(at)))
    for i, geo in enumerate(margins.areas["geo"]):
        shape = 1 / relative[i] ** 2
        noise[1:, i] = keyed(seed, "children", geo).gamma(shape, 1 / shape, size=draws)
    drawn = persons * noise[..., None]
    return children_to_profiles(drawn[..., 0], drawn[..., 1])
