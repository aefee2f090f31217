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
# Pages whose examples stand alone, from first block to last.
PAGES = ("tutorial", "new-territory", "stability", "pages", "methods", "models", "from-r")


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_the_examples_of_a_page_run(name: str) -> None:
    names: dict[str, object] = {}
    blocks = BLOCK.findall((DOCS / f"{name}.md").read_text("utf-8"))
    assert blocks
    for at, source in enumerate(blocks):
        exec(compile(textwrap.dedent(source), f"{name}.md, block {at + 1}", "exec"), names)


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
    for page in tmp_path.rglob("*.html"):
        # Nothing is fetched to read a page: formulas are MathML.
        fetched = re.findall(
            r"<(?:script|link|img)[^>]*(?:src|href)=\"(https?:[^\"]*)", page.read_text()
        )
        assert fetched == [], page.name
    assert "<math" in (tmp_path / "methods.html").read_text("utf-8")
