"""Climb the validation ladder at the quick level; fail only on what is worse than on record.

What falls short today stands in `docs/validation/quick.json` and is published as such: a failing
check on record does not stop a change, a check that got worse does.
"""

import sys
import tempfile
from pathlib import Path

from inegnum.review.ladder import validate, worsened

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "validation" / "quick.json"


def main() -> None:
    """Say each check's status, then what got worse."""
    with tempfile.TemporaryDirectory() as name:
        ladder = validate(level="quick", out=Path(name))
    for verdict in ladder.verdicts:
        print(f"{verdict.status:<5} {verdict.check}: {verdict.sentence_en}")
    worse = worsened(ladder, RECORD)
    for line in worse:
        print(f"worse than on record: {line}", file=sys.stderr)
    raise SystemExit(1 if worse else 0)


if __name__ == "__main__":
    main()
