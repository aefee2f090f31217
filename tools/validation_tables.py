"""Write the tables of the validation results into the documents that quote them.

`--check` writes nothing and fails when a document is out of date.
"""

import sys
from pathlib import Path

from inegnum.review.markdown import fill
from inegnum.review.record import recorded

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("docs/validation.md", "README.md")


def main() -> None:
    """Fill every block of results, or say which document is stale."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name in DOCUMENTS:
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = fill(before, recorded())
        if after != before:
            stale.append(name)
            if not check:
                path.write_text(after, encoding="utf-8")
    print(("stale: " if check else "written: ") + (", ".join(stale) or "none"))
    raise SystemExit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
