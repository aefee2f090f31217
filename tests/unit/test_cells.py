"""Cells of more possible combinations than a table would hold, against a plain group-by."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from inegnum.errors import InputError
from inegnum.numerics.cells import Cells, collapse


def _some(n: int, size: int, variables: int, kinds: int) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(5)
    at = rng.integers(0, kinds, n)
    codes = [rng.integers(0, size, kinds)[at] for _ in range(variables)]
    return codes, rng.uniform(0.5, 2.0, n)


def _table(codes: list[np.ndarray] | tuple[np.ndarray, ...], d: np.ndarray) -> pd.Series:
    names = list(range(len(codes)))
    return pd.DataFrame(dict(zip(names, codes, strict=True)) | {"d": d}).groupby(names)["d"].sum()


# 300^3: 27 bits, one key. 8^25: 75 bits, two keys. 2^16 of 5 variables: 80 bits, sizes unlike.
@pytest.mark.parametrize(("size", "variables"), [(300, 3), (8, 25), (65_536, 5)])
def test_cells_are_those_of_a_group_by(size, variables):
    codes, d = _some(300_000, size, variables, 4000)
    d[:1000] = 0.0
    cells = collapse(codes, [size] * variables, d)
    expected = _table(codes, d)
    expected = expected[expected > 0]
    pd.testing.assert_series_equal(_table(cells.codes, cells.d), expected, rtol=1e-12)
    # Every unit gets the value of its own cell: the cell's weight, so squares add up by cell.
    own = cells.expand(cells.d, np.ones(d.size), np.empty(d.size))
    by_row = expected.reindex(pd.MultiIndex.from_arrays(codes)).fillna(0.0).to_numpy()
    np.testing.assert_allclose(own, by_row, rtol=1e-12)
    np.testing.assert_allclose(cells.sums(d), cells.d, rtol=1e-12)


def test_memory_is_that_of_the_cells_and_one_tile():
    def peak(n: int) -> int:
        codes, d = _some(n, 300, 3, 4000)
        keyed = np.empty(n)
        tracemalloc.start()
        collapse(codes, [300] * 3, d, keyed=keyed).expand(np.ones(4000), d, keyed)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    small, large = peak(200_000), peak(1_600_000)
    # Keys of all rows would add 11 MB; how tiles are cut moves the peak by one array of a tile.
    assert abs(large - small) < 3_000_000


def test_codes_and_weights_out_of_range_are_refused():
    codes, d = _some(1000, 300, 3, 50)
    codes[1][7] = 300
    with pytest.raises(InputError, match="out of range"):
        collapse(codes, [300] * 3, d)
    codes[1][7], d[3] = 0, -1.0
    with pytest.raises(InputError, match="negative"):
        collapse(codes, [300] * 3, d)


def test_small_and_large_tables_give_the_same_cells():
    codes, d = _some(5000, 8, 4, 600)
    # A variable of one level, said to have many, sends the same units the other way.
    dense = collapse(codes, [8] * 4, d)
    looked_up = collapse([*codes, np.zeros(5000, dtype=int)], [8, 8, 8, 8, 1 << 15], d)

    def rows(cells: Cells) -> pd.Series:
        return _table(cells.codes[:4], cells.d)

    pd.testing.assert_series_equal(rows(dense), rows(looked_up), rtol=1e-12)
