"""How far calibration moved the weights: an object to read, print or plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Diagnostics", "diagnose"]

Floats = npt.NDArray[np.float64]
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What calibration did to the weights.

    Attributes
    ----------
    n : int
        Units.
    n_eff, deff : float
        Kish's effective sample size ``(sum w)^2 / sum w^2`` and design effect ``n / n_eff``.
    deff_initial : float
        The same design effect before calibration.
    quantiles : Series
        Quantiles of g = w/d.
    extremes : DataFrame
        The five smallest and five largest g: ``row, initial, weight, g``.
    margins : DataFrame
        One row a total (see `Calibration.table`).
    by_margin : DataFrame
        One row a margin: ``margin, largest_gap, largest_miss, share``; the first row is the
        margin that costs most.
    negative : int
        Units with a negative weight.
    g : ndarray of shape (n,)
        Every ratio, for the plot.
    """

    n: int
    n_eff: float
    deff: float
    deff_initial: float
    quantiles: pd.Series
    extremes: pd.DataFrame
    margins: pd.DataFrame
    by_margin: pd.DataFrame
    negative: int
    g: Floats

    def __str__(self) -> str:
        q, worst = self.quantiles, self.by_margin.iloc[0]
        lines = [
            f"{self.n} units, effective {self.n_eff:.0f} (design effect {self.deff:.3f},"
            f" {self.deff_initial:.3f} before)",
            f"g: {q[0.0]:.3f} to {q[1.0]:.3f}, half of them within {q[0.25]:.3f} and {q[0.75]:.3f}",
            f"costliest margin: {worst['margin']} ({worst['share']:.0%} of the distance, largest"
            f" gap before {worst['largest_gap']:.1%})",
            f"largest miss: {self.margins['miss'].max():.1e}",
        ]
        if self.negative:
            lines.append(f"{self.negative} weights are negative")
        return "\n".join(lines)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the distribution of g with its bounds, and return the axes."""
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise MissingDependencyError(
                "plots need matplotlib", hint="pip install 'inegnum[report]'"
            ) from error
        if ax is None:
            _, ax = plt.subplots(figsize=(6, 3), layout="constrained")
        ax.hist(self.g, bins=min(60, max(10, int(np.sqrt(self.n)))), color="#2b6c8f")
        ax.axvline(1.0, color="#b4552d", linewidth=1)
        ax.set_xlabel("g = calibrated / initial weight")
        ax.set_ylabel("units")
        ax.set_title(f"n = {self.n}, effective {self.n_eff:.0f}", loc="left", fontsize="medium")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        return ax


def kish(w: Floats) -> float:
    """Return Kish's design effect of unequal weights, ``n sum w^2 / (sum w)^2``."""
    return float(w.size * np.dot(w, w) / w.sum() ** 2)


def diagnose(weights: Floats, initial: Floats, g: Floats, margins: pd.DataFrame) -> Diagnostics:
    """Summarise calibrated weights against the initial ones."""
    order = np.argsort(g, kind="stable")
    at = np.unique(np.concatenate([order[:5], order[-5:]]))
    at = at[np.argsort(g[at], kind="stable")]
    extremes = pd.DataFrame({"row": at, "initial": initial[at], "weight": weights[at], "g": g[at]})
    scale = margins["total"].abs().where(margins["total"] != 0, 1.0)
    gaps = margins.assign(gap=(margins["before"] - margins["total"]).abs() / scale)
    by_margin = (
        gaps.groupby("margin", sort=False)
        .agg(largest_gap=("gap", "max"), largest_miss=("miss", "max"), share=("share", "sum"))
        .reset_index()
        .sort_values("share", ascending=False, ignore_index=True)
    )
    deff = kish(weights)
    return Diagnostics(
        n=int(weights.size),
        n_eff=weights.size / deff,
        deff=deff,
        deff_initial=kish(np.asarray(initial)),
        quantiles=pd.Series(np.quantile(g, _QUANTILES), index=list(_QUANTILES), name="g"),
        extremes=extremes,
        margins=margins,
        by_margin=by_margin,
        negative=int((weights < 0).sum()),
        g=g,
    )
