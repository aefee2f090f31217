"""Execute every notebook from top to bottom in a fresh kernel; fail on the first error."""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Run them all and say how long each took."""
    names = sys.argv[1:]
    found = [Path(name) for name in names] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    for path in found:
        start = time.monotonic()
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(
            notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}
        )
        try:
            client.execute()
        except CellExecutionError as error:
            raise SystemExit(f"{path.name} failed:\n{error}") from None
        print(f"{path.name}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
