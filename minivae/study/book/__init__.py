"""Builds the chapters as a book: static HTML that needs no network, every cell run on the way."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from minivae.explore.closed import asset
from minivae.play import page
from minivae.study.book.fold import folded
from minivae.study.book.links import script_of_equations
from minivae.study.book.notebook import with_how_to_check, write_notebook
from minivae.study.index import MATHS, render
from minivae.study.runner import Chapter, StudyError, chapters

CONF = """
project = "minivae: from PCA to the VAE"
author = "minivae maintainers"
extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "minivae.study.book.formulas",
    "minivae.study.book.links",
]
myst_enable_extensions = ["dollarmath"]
myst_update_mathjax = False
html_math_renderer = "outlines"
nb_execution_mode = {execution!r}
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_ipywidgets_js = {{}}
nb_number_source_lines = False
nb_code_prompt_show = "show code"
nb_code_prompt_hide = "hide code"
html_theme = {theme!r}
html_title = project
html_static_path = ["_static"]
html_extra_path = ["extra"]
html_css_files = ["book.css"]
html_js_files = ["equations.js", "book.js"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
suppress_warnings = ["myst.header", "myst.xref_missing"]
"""

FRONT = """# From PCA to the variational autoencoder

This book follows one question: how does one get from "describe data by fewer numbers" to a
network that makes new data? Every claim on the way is run, measured and pictured, on real
handwritten digits. You need linear algebra, derivatives, a little probability and some Python.

Each chapter gives the idea, the equations, *the very function that computes them*, an experiment,
and exercises that `minivae study check` marks. A figure that is stated was measured when this page
was made, or recorded by the command beside it; where a chapter claims a bound, missing it would
have stopped the build.

Beside the chapters stands <a href="play.html">a VAE that trains in your browser</a>, to play with.

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


def build_book(out: Path, only: Sequence[str] = (), *, run: bool = True) -> Path:
    """Build the book (or the chapters named in `only`) into `out`; returns its first page.

    run: whether the chapters' cells are run; without it the text alone is laid out. Raises
    StudyError where a tool of the `study` extra is missing or a chapter fails.
    """
    for module in ("sphinx", "myst_nb", "sphinx_copybutton", "latex2mathml", "ziamath"):
        if importlib.util.find_spec(module) is None:
            raise StudyError(f"the book needs {module}: pip install 'minivae[study]'")
    from sphinx.cmd.build import build_main

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source, pages = Path(folder) / "source", f"{folder}/built/html"
        write_sources(source, only, run=run)
        # the notebooks' kernels are processes of their own and must find the same minivae
        paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
        surroundings = {**QUIET, "PYTHONPATH": paths, "IPYTHONDIR": own_profile(Path(folder))}
        before = {name: os.environ.get(name) for name in surroundings}
        os.environ.update(surroundings)
        try:
            status = build_main(["-q", "-W", "--keep-going", "-b", "html", "-d",
                                 f"{folder}/doctrees", str(source), pages])  # fmt: skip
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        if status == 0:  # what is made beside the pages on the way stays behind
            shutil.copytree(pages, out, dirs_exist_ok=True)
    if status != 0:
        raise StudyError(
            f"the book did not build; the lines above say why (Sphinx's exit {status})"
        )
    return out / "index.html"


def own_profile(folder: Path) -> str:
    """A folder of IPython's settings: the reader's own must not change what is measured, and a
    kernel's warnings of how it is reached are nothing to the reader."""
    profile = folder / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    settings = "c = get_config()\nc.IPKernelApp.log_level = 40\n"
    (profile / "ipython_kernel_config.py").write_text(settings, encoding="utf-8")
    return str(profile.parent)


# One thread per matrix product (small ones only wait for a second), and no debugger's warnings.
QUIET = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


def write_sources(source: Path, only: Sequence[str] = (), *, run: bool = True) -> None:
    """Lay out what Sphinx reads: the chapters, the mathematics, the index, and its settings."""
    extra = source / "extra"
    extra.mkdir(parents=True)
    names = []
    for each in chapters():
        if only and each.name not in only:
            continue
        names.append(each.path.stem)
        text = folded(each.text.replace("../../MATHS.md", "maths.md"))
        (source / each.path.name).write_text(with_links(each, text), encoding="utf-8")
        write_notebook(each, extra / f"{each.path.stem}.ipynb")
    maths = re.sub(r"\[(`\w+`)\]\(([\w/]+\.py)\)", r"\1 in `\2`", MATHS.read_text(encoding="utf-8"))
    (source / "maths.md").write_text(maths, encoding="utf-8")
    (source / "equations.md").write_text(render(), encoding="utf-8")
    front = FRONT.format(chapters="\n".join(names))
    (source / "index.md").write_text(front, encoding="utf-8")
    theme = "furo" if importlib.util.find_spec("furo") else "alabaster"
    conf = CONF.format(theme=theme, execution="force" if run else "off")
    (source / "conf.py").write_text(conf, encoding="utf-8")
    (source / "_static").mkdir()
    static = source / "_static"
    for name in ("book.css", "book.js"):
        (static / name).write_text(asset("minivae.study.book", name), encoding="utf-8")
    (static / "equations.js").write_text(script_of_equations(), encoding="utf-8")
    (extra / "play.html").write_text(page(), encoding="utf-8")


# What the page of `minivae play` shows for a chapter: words, and the settings of its link.
LIVING = {
    "variational-autoencoders": ("a VAE on digits, from its first update", "data=digits"),
    "regularisation": (
        "a VAE on a ring whose KL hardly counts; then turn β up",
        "data=ring&beta=0.01",
    ),
    "neural-networks": ("one datum's gradients, and a bug to find", "data=digits&bug=draw-half"),
}


def with_links(chapter: Chapter, text: str) -> str:
    """The chapter with what belongs to it beneath its title: the notebook, the living figure."""
    links = [
        f'<a href="{chapter.path.stem}.ipynb" download>Download this chapter as a notebook</a>'
    ]
    if chapter.name in LIVING:
        words, settings = LIVING[chapter.name]
        links.append(f'<a href="play.html#{settings}">Play with it: {words}</a>')
    text = with_how_to_check(chapter.name, text)
    title = f"# {chapter.title}\n"
    bar = f'\n<div class="chapter-links">{" ".join(links)}</div>\n'
    return text.replace(title, title + bar, 1)


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
