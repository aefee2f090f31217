"""What `import inegnum` and `inegnum --help` may load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"
HEAVY = {
    "pymc",
    "pytensor",
    "arviz",
    "nutpie",
    "statsmodels",
    "numba",
    "altair",
    "matplotlib",
    "vl_convert",
    "geopandas",
    "shapely",
    "pyogrio",
    "jinja2",
    "great_tables",
    "sklearn",
}


def loaded_by(code: str) -> set[str]:
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    probe = f"import sys\n{code}\nprint('\\n'.join(sorted(m.split('.')[0] for m in sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, env=env, check=True
    )
    return set(done.stdout.split())


HELP = """
sys.argv = ['inegnum', '--help']
from inegnum.cli import main
try:
    main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize("code", ["import inegnum", HELP], ids=["import", "help"])
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert not loaded_by(code) & HEAVY


def test_the_probe_sees_what_is_loaded() -> None:
    assert "statsmodels" in loaded_by("import statsmodels")
