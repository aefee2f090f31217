"""Documentation of inegnum, built by ``sphinx-build -W docs site/docs``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))
sys.path.insert(0, str(HERE))

from dictionary import write_dictionary  # noqa: E402
from docutils import nodes  # noqa: E402
from docutils.utils.math.latex2mathml import tex2mathml  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx.writers.html5 import HTML5Translator  # noqa: E402

import inegnum  # noqa: E402

project = "inegnum"
author = "the inegnum project"
version = release = inegnum.__version__
language = "en"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
# Single letters name arrays here, as in the papers: a bare `p` is no link.
suppress_warnings = ["ref.python", "toc.not_included"]
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
templates_path = ["templates"]
exclude_patterns = ["build", "site"]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"inegnum {version}"
html_show_sphinx = False
html_show_copyright = False


def keep_layout(*told: object) -> None:
    """Show what follows a module's first line as it is written: formulas stand in columns there.

    Sphinx calls with the application, what is documented, its name, the object, options, lines.
    """
    what, lines = told[1], told[5]
    assert isinstance(lines, list)
    if what == "module" and lines:
        rest = lines[1:]
        lines[:] = [lines[0].replace("*", "\\*").replace("|", "\\|").replace("_", "\\_"), ""]
        if any(line.strip() for line in rest):
            lines += ["::", "", *[f"   {line}" for line in rest], ""]


def inline_math(writer: HTML5Translator, node: nodes.math) -> None:
    """Write a formula as MathML, which browsers draw by themselves, without a connection."""
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def displayed_math(writer: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on its own line."""
    formula = tex2mathml(node.astext(), as_block=True)
    writer.body.append(f'<div class="math">{formula}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Install the hook and the writer of formulas."""
    app.connect("autodoc-process-docstring", keep_layout)
    app.add_html_math_renderer("mathml", (inline_math, None), (displayed_math, None))


write_dictionary(HERE / "reference" / "dictionary.md")
