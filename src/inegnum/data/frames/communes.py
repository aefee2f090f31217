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
from inegnum.data.frames.ages import region_ages
from inegnum.data.frames.atoms import (
    AGES,
    LOCAL_AGES,
    age_groups,
    children_to_profiles,
    shape_of,
    status_groups,
    to_local,
)
from inegnum.data.frames.predict import (
    N_Z,
    draw_occupation,
    draw_shares,
    links,
    margin_noise,
    predict,
    shares_of,
    years_old,
    z_of,
)
from inegnum.data.frames.strata import (
    common_drift,
    department_effect,
    department_tables,
    drifted,
    keyed,
)
from inegnum.data.margins import CommuneMargins
from inegnum.errors import ConvergenceError
from inegnum.numerics.ipf import Margin, axis_margin, ipf
from inegnum.numerics.ipf_crossed import collapse

__all__ = ["Targets", "children", "commune_tables", "commune_targets"]

Floats = npt.NDArray[np.float64]

# Margins of a commune are met to one person in a hundred thousand.
_TOL = 1e-5
# Share of a commune's draws that may be impossible before something else must be wrong.
_IMPOSSIBLE = 0.2
# Persons of 15+ up to which it says nothing: none of these communes is published.
_HAMLET = 200.0
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
    flat = _seeds(margins, draws, seed, ages).reshape((1 + draws) * len(margins.areas), -1)
    # A cell the department does not have may exist in one of its communes: keep it open.
    flat = np.maximum(flat / flat.sum(axis=1, keepdims=True), 1e-9)
    # Ages and status never cross sex and occupation, and most ages share a group.
    of_cell, gathered = collapse(_margins(margins.persons, targets, ages), (0, 2))
    order = np.argsort(of_cell, kind="stable")
    starts = np.searchsorted(of_cell[order], np.arange(of_cell.max() + 1))
    coarse = np.add.reduceat(flat[:, order], starts, axis=1)
    fit = ipf(
        coarse.reshape(-1, *gathered[0].groups.shape),
        gathered,
        tol=_TOL,
        max_iterations=500,
        unmet="nan",
    )
    flat *= (fit.fitted.reshape(coarse.shape) / coarse).take(of_cell, axis=1)
    tables = flat.reshape(1 + draws, len(margins.areas), *shape_of(ages))
    return _possible(tables, margins), targets


def _possible(tables: Floats, margins: CommuneMargins) -> Floats:
    """Replace draws whose margins no population can have by the next draw that one can.

    In a hamlet, independent draws of occupation and age may ask for more retired people than there
    are old ones, and often do. Leaving such draws out is drawing from what is possible. Above
    `_HAMLET` persons they are rare, and many of them mean margins that contradict each other.
    """
    bad = np.isnan(tables[:, :, 0, 0, 0, 0])
    often = bad[1:].sum(axis=0) > _IMPOSSIBLE * max(len(bad) - 1, 1)
    hopeless = bad[0] | (often & (margins.persons > _HAMLET))
    if len(bad) > 1:
        hopeless |= bad[1:].all(axis=0)
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
    geos = [str(geo) for geo in margins.areas["geo"]]
    rngs = [keyed(seed, "commune", geo) for geo in geos]
    drawn = draw_occupation(margins, rngs, draws)
    occupation = np.concatenate([margins.occupation[None], drawn])
    normal = np.stack([rng.normal(size=(draws, N_Z)) for rng in rngs], axis=1)
    z = np.empty((1 + draws, len(geos), N_Z))
    seen, unseen = np.flatnonzero(margins.observed), np.flatnonzero(~margins.observed)
    if len(seen):
        z[:, seen] = _observed_z(margins.take(seen), normal[:, seen])
    if len(unseen):
        z[:, unseen] = _predicted_z(
            margins.take(unseen),
            occupation[:, unseen],
            _effects(margins.areas["department"].to_numpy()[unseen], margins.year, draws, seed),
            normal[:, unseen],
        )
    age, status, women = shares_of(z)
    status = drifted(status, common_drift(margins.year, draws, seed))
    both = np.stack([women, 1 - women], axis=-1)
    for i in map(int, unseen):
        # A commune is finite: its shares differ from what is expected of a commune like it.
        rng, n = keyed(seed, "finite", geos[i]), float(margins.persons[i])
        for shares in (age, status, both):
            shares[1:, i] = draw_shares(shares[1:, i], n, rng)
    status[..., 0] = np.minimum(status[..., 0], 0.95 * age[..., 1])
    status /= status.sum(axis=-1, keepdims=True)
    return Targets(occupation, age, status, both[..., 0])


def _effects(departments: npt.NDArray[np.object_], year: int, draws: int, seed: int) -> Floats:
    """Return the deviation of each commune's department, (1 + F, A, 9)."""
    known = {d: department_effect(str(d), year, draws, seed) for d in set(departments)}
    return np.stack([known[d] for d in departments], axis=1)


def _observed_z(margins: CommuneMargins, normal: Floats) -> Floats:
    """Return log ratios of observed margins (1 + F, A, 9), moved by standard normals (F, A, 9)."""
    z = z_of(margins.age, margins.status, margins.women)
    sd = margin_noise().sd(years_old(margins), margins.persons)
    return np.concatenate([z[None], z + normal * sd])


def _predicted_z(
    margins: CommuneMargins, occupation: Floats, effect: Floats, normal: Floats
) -> Floats:
    """Return predicted log ratios (1 + F, A, 9), moved by standard normals (F, A, 9)."""
    fitted = links(margins.year)
    z = predict(margins, fitted, occupation) + effect
    # Links were learned above 2,000 inhabitants: below, a commune ages as the smallest of those.
    aged = margin_noise().drift(years_old(margins), np.maximum(margins.persons, 1700.0))
    spread = np.linalg.cholesky(fitted.within + aged[:, :, None] * np.eye(N_Z))
    z[1:] += np.einsum("fak,ajk->faj", normal, spread)
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
