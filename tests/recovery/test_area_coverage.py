"""Coverage of the area-level intervals, as the table of docs/coverage-area.md says it.

The bounds of a case are those it was measured at, with up to 300 replicates; here 10 to 40, so the
found coverage may leave them by its own Monte-Carlo error (four of these).
"""

from __future__ import annotations

import sys

import pytest

from shared import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
from coverage_area import CASES, Case, coverage

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_coverage(case: Case) -> None:
    found, error, _ = coverage(case, min(40, case.most // 4), seed=7)
    assert case.low - 4 * error <= found <= case.high + 4 * error
