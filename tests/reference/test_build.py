"""The committed reference tables are those the producers' files give."""

import os
import subprocess
import sys

import pytest

from shared import ROOT, shared


@pytest.mark.shared
def test_a_fresh_build_gives_the_committed_bytes() -> None:
    shared("data", "README.md")
    done = subprocess.run(
        [sys.executable, "-m", "scripts.build_reference", "--check"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
