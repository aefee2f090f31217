"""The documentation builds without a warning and its examples run."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from shared import ROOT

DOCS = ROOT / "docs"
BLOCK = re.compile(r"^ *```python\n(.*?)^ *```", re.S | re.M)
PAGES = [page for page in sorted(DOCS.glob("*.md")) if BLOCK.search(page.read_text("utf-8"))]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path) -> None:
    names: dict[str, object] = {}
    for at, source in enumerate(BLOCK.findall(page.read_text("utf-8"))):
        exec(compile(textwrap.dedent(source), f"{page.name}, block {at + 1}", "exec"), names)


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reference" / "api" / "inegnum.release.site.html").is_file()


def test_pages_with_examples_are_found() -> None:
    assert {"tutorial", "methods", "from-r", "new-territory"} <= {page.stem for page in PAGES}
