"""IPF against R mipfp 3.2.1."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inegnum.errors import MarginError
from inegnum.numerics.ipf import axis_margin, ipf
from shared import shared

pytestmark = pytest.mark.shared


def _array(case: str, name: str) -> np.ndarray:
    table = pd.read_csv(shared("golden", case, f"expected_{name}.csv"))
    axes = [c for c in table.columns if c != "value"]
    shape = tuple(int(table[c].max()) for c in axes)
    array = np.empty(shape)
    array[tuple(table[c].to_numpy() - 1 for c in axes)] = table["value"]
    return array


def test_mipfp_two_and_three_axes() -> None:
    two = [
        axis_margin("1", (2, 2), (0,), np.array([30.0, 70.0])),
        axis_margin("2", (2, 2), (1,), np.array([50.0, 50.0])),
    ]
    # 1e-8 relative: the stated precision of the exact cases.
    np.testing.assert_allclose(
        ipf(np.ones((2, 2)), two).fitted, _array("mipfp_2d_3d", "xhat2"), rtol=1e-8
    )
    seed = _array("mipfp_2d_3d", "seed3")
    v1 = pd.read_csv(shared("golden", "mipfp_2d_3d", "expected_target_v1.csv"))["v"].to_numpy()
    three = [
        axis_margin("1", seed.shape, (0,), v1),
        axis_margin("23", seed.shape, (1, 2), _array("mipfp_2d_3d", "target_v23")),
    ]
    np.testing.assert_allclose(ipf(seed, three).fitted, _array("mipfp_2d_3d", "xhat3"), rtol=1e-8)


def test_what_mipfp_rescales_in_silence_is_refused_here() -> None:
    reference = _array("mipfp_inconsistent_margins", "result")
    assert reference.sum() == pytest.approx(1.0)  # mipfp turned counts into probabilities
    margins = [
        axis_margin("1", (2, 2), (0,), np.array([30.0, 71.0])),
        axis_margin("2", (2, 2), (1,), np.array([50.0, 50.0])),
    ]
    with pytest.raises(MarginError, match=r"101.*100"):
        ipf(np.ones((2, 2)), margins)
