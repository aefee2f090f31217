"""Renew the pinned, hashed requirements; no index address is written."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bootstrap import ROOT, find_uv

OPTIONS = [
    "--generate-hashes",
    "--universal",
    "--python-version=3.12",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-header",
    "--no-annotate",
    "--upgrade",
    "--quiet",
]


def main() -> None:
    """Compile the three files."""
    uv = find_uv()
    folder = ROOT / "requirements"
    targets = {
        "uv.txt": [str(folder / "uv.in")],
        "run.txt": ["pyproject.toml", "--all-extras"],
        "dev.txt": ["pyproject.toml", "--all-extras", "--group", "dev"],
    }
    for name, sources in targets.items():
        command = [uv, "pip", "compile", *OPTIONS, *sources, "-o", str(folder / name)]
        subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
