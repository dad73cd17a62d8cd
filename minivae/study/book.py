"""Builds the chapters as a book: static HTML that needs no network, every cell run on the way."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from minivae.study.index import MATHS, render
from minivae.study.runner import StudyError, chapters

CONF = """
project = "minivae: from PCA to the VAE"
author = "minivae maintainers"
extensions = ["myst_nb", "minivae.study.mathml"]
myst_enable_extensions = ["dollarmath"]
myst_update_mathjax = False
html_math_renderer = "mathml"
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_ipywidgets_js = {{}}
nb_number_source_lines = False
html_theme = {theme!r}
html_title = project
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
suppress_warnings = ["myst.header", "myst.xref_missing"]
"""

CSS = """
.equation { display: flex; align-items: center; gap: 1rem; margin: 1rem 0; overflow-x: auto; }
.equation .formula { flex: 1; text-align: center; font-size: 1.12em; }
.equation .number { color: #555; }
figure { margin: 1rem 0; }
figcaption { font-size: 0.9em; color: #555; }
.cell_output table { font-variant-numeric: tabular-nums; }
@media print { .sidebar-drawer, .toc-drawer, nav { display: none; } }
"""

FRONT = """# From PCA to the variational autoencoder

This book follows one question: how does one get from "describe data by fewer numbers" to a
network that makes new data? Every claim on the way is run, measured and pictured, on real
handwritten digits. You need linear algebra and some Python.

Each chapter gives the idea, the equations, *the very function that computes them*, an experiment,
and exercises that `minivae study check` marks. A figure that is stated was measured when this page
was made; where a chapter claims a bound, missing it would have stopped the build.

```{{toctree}}
:maxdepth: 1
:caption: Chapters

{chapters}
```

```{{toctree}}
:maxdepth: 1
:caption: Reference

maths
equations
```
"""


def build_book(out: Path, only: Sequence[str] = ()) -> Path:
    """Build the book (or the chapters named in `only`) into `out`; returns its first page.

    Raises StudyError where a tool of the `study` extra is missing or a chapter fails.
    """
    for module in ("sphinx", "myst_nb", "latex2mathml"):
        if importlib.util.find_spec(module) is None:
            raise StudyError(f"the book needs {module}: pip install 'minivae[study]'")
    from sphinx.cmd.build import build_main

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        write_sources(source, only)
        # the notebooks' kernels are processes of their own and must find the same minivae
        paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
        surroundings = {**QUIET, "PYTHONPATH": paths}
        before = {name: os.environ.get(name) for name in surroundings}
        os.environ.update(surroundings)
        try:
            status = build_main(["-q", "-W", "--keep-going", "-b", "html", "-d",
                                 f"{folder}/doctrees", str(source), str(out)])  # fmt: skip
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
    if status != 0:
        raise StudyError(
            f"the book did not build; the lines above say why (Sphinx's exit {status})"
        )
    return out / "index.html"


# One thread per matrix product (small ones only wait for a second), and no debugger's warnings.
QUIET = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


def write_sources(source: Path, only: Sequence[str] = ()) -> None:
    """Lay out what Sphinx reads: the chapters, the mathematics, the index, and its settings."""
    source.mkdir(parents=True)
    names = []
    for each in chapters():
        if only and each.name not in only:
            continue
        names.append(each.path.stem)
        text = each.text.replace("../../MATHS.md", "maths.md")
        (source / each.path.name).write_text(text, encoding="utf-8")
    maths = re.sub(r"\[(`\w+`)\]\(([\w/]+\.py)\)", r"\1 in `\2`", MATHS.read_text(encoding="utf-8"))
    (source / "maths.md").write_text(maths, encoding="utf-8")
    (source / "equations.md").write_text(render(), encoding="utf-8")
    front = FRONT.format(chapters="\n".join(names))
    (source / "index.md").write_text(front, encoding="utf-8")
    theme = "furo" if importlib.util.find_spec("furo") else "alabaster"
    (source / "conf.py").write_text(CONF.format(theme=theme), encoding="utf-8")
    (source / "_static").mkdir()
    (source / "_static" / "book.css").write_text(CSS, encoding="utf-8")


OUTSIDE = re.compile(
    r"""<(?:script|img|iframe|audio|video|source|embed|object)\b[^>]*?\b(?:src|data)\s*=\s*["']?(?:https?:)?//"""
    r"""|<link\b[^>]*?rel=["']?(?:stylesheet|preload|icon|preconnect)[^>]*?href=["']?(?:https?:)?//"""
    r"""|<link\b[^>]*?href=["']?(?:https?:)?//[^>]*?rel=["']?(?:stylesheet|preload|icon|preconnect)"""
    r"""|@import\s+(?:url\()?["']?(?:https?:)?//|url\(\s*["']?(?:https?:)?//""",
    re.IGNORECASE,
)


def requests_made(folder: Path) -> list[str]:
    """Every place in the book's pages and styles that would fetch something from a server."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".html", ".css"):
            text = path.read_text(encoding="utf-8")
            found += [f"{path.name}: {m.group(0)[:120]}" for m in OUTSIDE.finditer(text)]
    return found
