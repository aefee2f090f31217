"""How far IRIS depart from their commune in occupations: Seine-Maritime, census of 2013."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scripts.build_reference.geography import INSEE
from scripts.build_reference.writing import number, text, write_table

from inegnum.data.catalogue import Record
from inegnum.data.frames.atoms import OCCUPATIONS
from inegnum.data.frames.within import SPREAD
from inegnum.provenance import Source

FILE = "known_truth/rp2013_base_ic_evol_struct_pop_seine_maritime_iris.csv"
FEWEST = 500  # persons of 15 and over: below, the count is mostly sampling noise
CITY = 5  # IRIS: an IRIS of a commune of two is half of what it is compared with
# One household in four answers the long form; households of 1.5 persons answer together.
PERSONS_BEHIND = 1 / (4 * 1.5)


def build(shared: Path, out: Path) -> None:
    write_table(spread(shared), _record(), out)


def spread(shared: Path, leave_out: str = "") -> pd.DataFrame:
    """Return covariances of log ratios, IRIS over commune, net of sampling, weighted by persons."""
    raw = pd.read_csv(shared / FILE, dtype=str)
    raw = raw[(raw["iris"].str[5:] != "0000") & (raw["COM"] != leave_out)]
    eight = raw[[f"C13_POP15P_CS{i}" for i in range(1, 9)]].apply(pd.to_numeric).to_numpy(float)
    counts = np.column_stack([eight[:, 0] + eight[:, 1], eight[:, 2:]])
    large = counts.sum(axis=1) >= FEWEST
    counts, commune = counts[large], raw["COM"].to_numpy()[large]
    iris = pd.Series(commune).map(pd.Series(commune).value_counts()).to_numpy()
    counts, commune, iris = counts[iris >= CITY], commune[iris >= CITY], iris[iris >= CITY]
    persons = counts.sum(axis=1)
    of_commune = pd.DataFrame(counts).groupby(commune).transform("sum").to_numpy()
    expected = of_commune / of_commune.sum(axis=1, keepdims=True)
    smoothed = (counts + 0.5) / (persons[:, None] + 0.5 * counts.shape[1])
    z = np.log(smoothed) - np.log(expected)
    seen = persons * PERSONS_BEHIND
    noise = np.average(1 / (seen[:, None] * expected), axis=0, weights=persons)
    # The commune holds the IRIS itself: a deviation from it is that much too small.
    z = z * np.sqrt(iris / (iris - 1))[:, None]
    net = np.cov(z, rowvar=False, aweights=persons) - np.diag(noise)
    values, vectors = np.linalg.eigh(net)
    net = (vectors * np.maximum(values, 0.0)) @ vectors.T
    rows = [
        (a, b, round(float(net[i, j]), 4))
        for i, a in enumerate(OCCUPATIONS)
        for j, b in enumerate(OCCUPATIONS)
    ]
    return pd.DataFrame(rows, columns=["occupation", "with", "covariance"])


def _record() -> Record:
    return Record(
        Source(
            name=SPREAD,
            producer=INSEE,
            title="Écart des IRIS à leur commune, par profession, Seine-Maritime",
            universe="15+",
            vintage="RP2013",
            unit="covariance of log ratios",
            licence="etalab-2.0",
            address="https://www.insee.fr/fr/statistiques/2386737",
            sha256="",
            role="fit",
            transformation=(
                "Covariances over IRIS of 500 persons of 15 and over at least, in communes of five "
                "or more, of the log of the share of an occupation in the IRIS over its share in "
                "the commune; sampling variance of the complementary exploitation taken off; "
                "brought to the nearest matrix without a negative eigenvalue."
            ),
        ),
        file=f"{SPREAD}.csv",
        rows=0,
        columns=(
            text("occupation", "occupation", "profession (code anglais)"),
            text("with", "other occupation", "autre profession (code anglais)"),
            number("covariance", "covariance of log ratios", "covariance des rapports en log"),
        ),
        caveats_en=("One department, 2013: assumed to hold for IRIS of other cities.",),
        caveats_fr=("Un seul département, 2013 : supposé valoir pour les IRIS d'autres villes.",),
    )
