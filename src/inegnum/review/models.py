"""Checks of an area-level model: what it leaves unexplained, and what it explains too well.

    normality       Shapiro-Wilk on standardised residuals
    leverage        largest weight of one area in the coefficients
    agreement       Brown's test: sum (direct - model)^2 / (D + mse) against chi-square(m)
    slope           truth on model, from direct estimates: 1 when unbiased along the scale
    over-shrinkage  spread of the estimates plus their MSE, against the spread of the truth
    spatial         Moran's I of the residuals, by permutation

A transformed model is judged on its own scale.

Limits
    Brown's test treats direct and model estimates as independent: it is lenient, since they share
    data. Every check is of the set of areas, none vouches for one area.

References
----------
    Brown, Chambers, Heady and Heasman (2001), Statistics Canada Symposium; Ghosh (1992)
    doi:10.2307/2290287 (over-shrinkage); Moran (1950) doi:10.2307/2332142; Shapiro and Wilk (1965)
    doi:10.2307/2333709.

Must match R ``emdi::compare`` (Brown's test).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from inegnum.errors import InputError
from inegnum.estimators.area.inputs import AreaData
from inegnum.estimators.area.proximity import checked_proximity
from inegnum.estimators.error_law import Link, from_rate_scale
from inegnum.estimators.result import AreaEstimates
from inegnum.review.verdict import Status, Verdict

__all__ = [
    "agreement",
    "criteria_table",
    "leverage",
    "model_verdicts",
    "normality",
    "over_shrinkage",
    "slope",
    "spatial",
    "standardised_residuals",
]

Floats = npt.NDArray[np.float64]

# One check in a hundred of a true model warns, five in a thousand never stop a release.
P_LIMIT: Final = 0.01
LEVERAGE_LIMIT: Final = 6.0  # times p / m; a normal covariate reaches four in a hundred areas
SHRINKAGE_LIMIT: Final = 0.7  # a third of the spread of the truth lost
SLOPE_LIMIT: Final = 3.0  # standard errors from one


def _on_model_scale(estimates: AreaEstimates) -> pd.DataFrame:
    """Areas with direct estimate and MSE: ``geo, est, mse, direct, D, gamma`` where the model is.

    A transformed model is judged on its own scale.
    """
    t = estimates.table
    used = t[["est", "mse", "direct", "direct_se"]].notna().all(axis=1).to_numpy()
    if int(used.sum()) < 3:
        raise InputError(
            "a model needs at least three areas with direct estimate and MSE to be checked",
            where=estimates.method,
            got=int(used.sum()),
        )
    law = estimates.law
    columns = {name: t[name].to_numpy(np.float64) for name in ("est", "mse", "direct", "gamma")}
    columns["D"] = t["direct_se"].to_numpy(np.float64) ** 2
    if law is not None and law.link != "identity":
        columns["est"], columns["mse"] = law.center, law.mse
        columns["D"] = _variance_there(estimates, columns["gamma"], law.link)
        columns["direct"] = from_rate_scale(columns["direct"], law.link)
    # An area observed at 0 or 1 has no place on a logit: it is left out of the checks.
    finite = np.isfinite(columns["direct"]) & np.isfinite(columns["D"])
    frame = pd.DataFrame({"geo": t["geo"].to_numpy(object), **columns})
    return frame[used & finite].reset_index(drop=True)


def _variance_there(estimates: AreaEstimates, gamma: Floats, link: Link) -> Floats:
    """Return sampling variances on the scale of the model, shape (m,).

    Where the method weighs direct estimates, ``D = sigma2_u (1 - gamma) / gamma``; elsewhere the
    delta method at the direct estimate.
    """
    y = estimates.table["direct"].to_numpy(np.float64)
    D = estimates.table["direct_se"].to_numpy(np.float64) ** 2
    sigma2 = float(estimates.variance.get("sigma2_u", 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = {"log": y, "logit": y * (1 - y), "arcsin": 2 * np.sqrt(y * (1 - y))}[link]
        return np.asarray(np.where(gamma > 0, sigma2 * (1 - gamma) / gamma, D / slope**2))


def _columns(estimates: AreaEstimates, *names: str) -> list[Floats]:
    frame = _on_model_scale(estimates)
    return [frame[name].to_numpy(np.float64) for name in names]


def standardised_residuals(estimates: AreaEstimates) -> Floats:
    """Return (direct - synthetic) over its standard deviation, where there is a direct estimate.

    Since ``direct - est = (1 - gamma)(direct - synthetic)`` and ``D / (1 - gamma)`` is the variance
    of the latter, this is ``(direct - est) / sqrt(D (1 - gamma))``; where a method gives no gamma,
    ``mse / D`` stands for it.
    """
    direct, est, D, mse, gamma = _columns(estimates, "direct", "est", "D", "mse", "gamma")
    gamma = np.where(np.isnan(gamma), np.minimum(mse / D, 0.99), gamma)
    return np.asarray((direct - est) / np.sqrt(D * (1 - gamma)))


def _status(*, bad: bool) -> Status:
    return "warn" if bad else "pass"


def normality(estimates: AreaEstimates) -> Verdict:
    """Test the standardised residuals for normality."""
    from scipy.stats import shapiro

    p = float(shapiro(standardised_residuals(estimates)).pvalue)
    bad = p < P_LIMIT
    return Verdict(
        "normality",
        _status(bad=bad),
        p,
        P_LIMIT,
        f"Residuals {'are not' if bad else 'may be'} normal (Shapiro-Wilk p = {p:.3f})"
        + ("; prefer a bootstrap MSE, a transformation or the robust estimator." if bad else "."),
        f"Les résidus {'ne sont pas normaux' if bad else 'peuvent être normaux'} "
        f"(Shapiro-Wilk, p = {p:.3f})"
        + (
            " ; préférer une EQM bootstrap, une transformation ou l'estimateur robuste."
            if bad
            else "."
        ),
    )


def leverage(estimates: AreaEstimates, data: AreaData) -> Verdict:
    """Find the area that weighs most in the coefficients, as a multiple of p / m."""
    frame = _on_model_scale(estimates)
    place = {geo: i for i, geo in enumerate(data.geo)}
    X = data.X[[place[geo] for geo in frame["geo"]]]
    total = float(estimates.variance.get("sigma2_u", 0.0)) + frame["D"].to_numpy(np.float64)
    Q = np.linalg.qr(X / np.sqrt(total)[:, None])[0]
    h = np.einsum("ij,ij->i", Q, Q) * len(X) / data.p
    top, area = float(h.max()), str(frame["geo"].iloc[int(h.argmax())])
    bad = top > LEVERAGE_LIMIT
    return Verdict(
        "leverage",
        _status(bad=bad),
        top,
        LEVERAGE_LIMIT,
        f"Area {area} weighs {top:.1f} times the average in the coefficients"
        + ("; fit without it to see what changes." if bad else "."),
        f"La zone {area} pèse {top:.1f} fois la moyenne dans les coefficients"
        + (" ; ajuster sans elle pour voir ce qui change." if bad else "."),
    )


def agreement(estimates: AreaEstimates) -> Verdict:
    """Test whether model and direct estimates differ by more than their errors (Brown)."""
    from scipy.special import chdtrc

    direct, est, D, mse = _columns(estimates, "direct", "est", "D", "mse")
    W = float(np.sum((direct - est) ** 2 / (D + mse)))
    p = float(chdtrc(len(est), W))
    bad = p < P_LIMIT
    return Verdict(
        "agreement",
        _status(bad=bad),
        W,
        float(len(est)),
        f"Model and direct estimates {'differ by more than' if bad else 'agree within'} their "
        f"errors (Brown W = {W:.1f} for {len(est)} areas, p = {p:.3f}).",
        f"Modèle et estimations directes {'diffèrent de plus que' if bad else 'concordent à'} "
        f"leurs erreurs (Brown, W = {W:.1f} pour {len(est)} zones, p = {p:.3f}).",
    )


def slope(estimates: AreaEstimates) -> Verdict:
    """Regress the truth on the model's estimates: a slope far from one is bias along the scale.

    Direct estimates stand for the truth, less the part ``gamma D`` of their covariance with the
    estimates that is their own sampling error.
    """
    direct, est, D, mse, gamma = _columns(estimates, "direct", "est", "D", "mse", "gamma")
    own = np.where(np.isnan(gamma), mse, gamma * D)
    w = 1 / (D + mse)
    centre = est - np.average(est, weights=w)
    spread = float(w @ centre**2)
    if spread == 0:
        raise InputError("all estimates are equal: no slope", where=estimates.method)
    b = float((w * centre) @ direct - w @ own) / spread
    error = float(1 / np.sqrt(spread))
    bad = abs(b - 1) > SLOPE_LIMIT * error
    return Verdict(
        "slope",
        _status(bad=bad),
        b,
        SLOPE_LIMIT * error,
        f"The truth rises by {b:.2f} (+-{error:.2f}) for one of the model"
        + (": the model is biased along its scale." if bad else "."),
        f"La vérité croît de {b:.2f} (+-{error:.2f}) pour un du modèle"
        + (" : le modèle est biaisé le long de son échelle." if bad else "."),
    )


def over_shrinkage(estimates: AreaEstimates) -> Verdict:
    """Compare the spread of the estimates, plus their MSE, with the spread of the truth.

    ``var(truth) = var(direct) - mean(D)`` and, for a good predictor, ``var(est) + mean(mse)``. When
    the direct estimates show no spread beyond their errors the check passes.
    """
    direct, est, D, mse = _columns(estimates, "direct", "est", "D", "mse")
    truth = float(direct.var(ddof=1) - np.mean(D))
    error = float(direct.var(ddof=1)) * np.sqrt(2 / (len(direct) - 1))
    ratio = float(est.var(ddof=1) + mse.mean()) / truth if truth > 2 * error else 1.0
    bad = ratio < SHRINKAGE_LIMIT
    return Verdict(
        "over-shrinkage",
        _status(bad=bad),
        ratio,
        SHRINKAGE_LIMIT,
        f"Estimates and their errors hold {100 * ratio:.0f} % of the variance between areas"
        + (": the map is flatter than the territory." if bad else "."),
        f"Les estimations et leurs erreurs portent {100 * ratio:.0f} % de la variance entre zones"
        + (" : la carte est plus plate que le territoire." if bad else "."),
    )


def spatial(estimates: AreaEstimates, W: Any, *, permutations: int = 999, seed: int = 0) -> Verdict:
    """Moran's I of the residuals, with a one-sided permutation p-value."""
    geo = estimates.table["geo"].to_numpy(object)
    W = checked_proximity(W, geo)
    used = estimates.table[["est", "mse", "direct", "direct_se"]].notna().all(axis=1).to_numpy()
    inside = W[used][:, used]
    r = standardised_residuals(estimates)
    r = r - r.mean()
    scale = len(r) / float(inside.sum()) / float(r @ r)
    found = scale * float(r @ (inside @ r))
    rng = np.random.default_rng(seed)
    shuffled = np.array([rng.permutation(r) for _ in range(permutations)])
    null = scale * np.einsum("bi,ib->b", shuffled, inside @ shuffled.T)
    p = (1 + int((null >= found).sum())) / (permutations + 1)
    bad = p < P_LIMIT
    return Verdict(
        "spatial",
        _status(bad=bad),
        found,
        float(np.quantile(null, 1 - P_LIMIT)),
        f"Residuals {'resemble' if bad else 'do not resemble'} those of neighbours "
        f"(Moran I = {found:.2f}, p = {p:.3f})" + ("; try the spatial model." if bad else "."),
        f"Les résidus {'ressemblent' if bad else 'ne ressemblent pas'} à ceux des voisins "
        f"(I de Moran = {found:.2f}, p = {p:.3f})"
        + (" ; essayer le modèle spatial." if bad else "."),
    )


def model_verdicts(
    estimates: AreaEstimates, data: AreaData, W: Any | None = None
) -> tuple[Verdict, ...]:
    """Run every check; the spatial one when a proximity is given.

    Parameters
    ----------
    estimates : AreaEstimates
        With an MSE.
    data : AreaData
        What it was fitted on.
    W : ndarray, sparse array or DataFrame, optional
        Row-standardised proximity of the areas of the table.
    """
    found = (
        normality(estimates),
        leverage(estimates, data),
        agreement(estimates),
        slope(estimates),
        over_shrinkage(estimates),
    )
    return found if W is None else (*found, spatial(estimates, W))


def criteria_table(models: Mapping[str, AreaEstimates]) -> pd.DataFrame:
    """Return ``model, loglik, AIC, BIC, KIC``, the lowest KIC first.

    Models are comparable when they are fitted on the same areas and the same scale; REML and ML
    log-likelihoods are both those of the full model.

    Raises
    ------
    InputError
        A model has no likelihood.
    """
    without = [name for name, e in models.items() if "KIC" not in e.criteria]
    if without:
        raise InputError("a model has no likelihood to compare", where=", ".join(without))
    rows = [{"model": name, **e.criteria} for name, e in models.items()]
    return pd.DataFrame(rows).sort_values("KIC", ignore_index=True)
