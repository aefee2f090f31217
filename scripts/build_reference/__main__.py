"""Build every reference table: ``python -m scripts.build_reference [--check] [--only NAME ...]``.

Each module below offers ``build(shared: Path, out: Path) -> None``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from scripts.build_reference import (
    answer_correlation,
    census,
    census_seeds,
    events,
    geography,
    iris_spread,
    labour_force,
    learned_tau,
    published,
    shapes,
    supply,
    survey,
    survey_seeds,
)
from scripts.build_reference.checking import differences
from scripts.build_reference.sources import ROOT, shared_data

MODULES = (
    survey,
    geography,
    events,
    census,
    labour_force,
    iris_spread,
    census_seeds,
    survey_seeds,
    shapes,
    supply,
    published,
    learned_tau,
    answer_correlation,
)


def build_all(out: Path, only: list[str]) -> None:
    shared = shared_data()
    for module in MODULES:
        if not only or module.__name__.rsplit(".", 1)[-1] in only:
            module.build(shared, out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is committed")
    parser.add_argument("--only", nargs="*", default=[], help="modules to run")
    options = parser.parse_args()
    committed = ROOT / "data" / "reference"
    if not options.check:
        committed.mkdir(parents=True, exist_ok=True)
        build_all(committed, options.only)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        build_all(Path(folder), options.only)
        found = differences(Path(folder), committed, partial=bool(options.only))
    for line in found:
        sys.stderr.write(line + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
