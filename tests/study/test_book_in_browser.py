"""The book, laid out and opened, two chapters run: all fits, can be read, leads somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("sphinx")
pytest.importorskip("myst_nb")
pytest.importorskip("sphinx_copybutton")
pytest.importorskip("ziamath")
from minivae.study import book, runner
from tests.chromium import FAINT_TEXT, TOO_WIDE, needs_chromium, open_page

# Sphinx and myst-parser warn each other of their own future; that is not the book's fault.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]
CHAPTERS = tuple(each.path.stem for each in runner.chapters())


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Two chapters, run: what they measured stands on the page."""
    folder = tmp_path_factory.mktemp("book") / "book"
    return book.build_book(folder, ["dimensionality-reduction", "principal-components"]).parent


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory) -> Path:
    """All chapters, none run: every word, formula and line of code."""
    return book.build_book(tmp_path_factory.mktemp("words") / "book", run=False).parent


def test_the_chapters_are_there_and_ask_for_nothing(built):
    text = (built / "02_principal_components.html").read_text(encoding="utf-8")
    assert "principal_axes" in text and "data:image/png;base64" in text and "<svg" in text
    assert "claim: at most 1e-10 ✓" in text and 'class="measured"' not in text
    first = (built / "01_dimensionality_reduction.html").read_text(encoding="utf-8")
    assert 'class="measured"' in first
    assert (built / "02_principal_components.ipynb").is_file()
    assert book.requests_made(built) == []
    assert [path.name for path in built.parent.iterdir()] == [built.name]  # nothing lies beside it


def test_every_link_within_the_book_leads_somewhere(laid_out):
    lost = []
    for page in laid_out.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r'href="([^"#:]*#?[^":]*)"', text):
            name, _, anchor = unquote(target.split("?")[0]).partition("#")
            file = laid_out / name if name else page
            if not file.exists():
                lost.append((page.name, target))
                continue
            anchored = anchor and file.suffix == ".html" and name != "play.html"
            if anchored and f'id="{anchor}"' not in file.read_text(encoding="utf-8"):
                lost.append((page.name, target))
    assert lost == []


def test_imports_and_what_only_shows_are_folded_and_each_chapter_is_a_notebook(laid_out):
    for name in CHAPTERS:
        text = (laid_out / f"{name}.html").read_text(encoding="utf-8")
        assert "show code" in text and f'href="{name}.ipynb" download' in text
        assert json.loads((laid_out / f"{name}.ipynb").read_text(encoding="utf-8"))["nbformat"] == 4


@needs_chromium
@pytest.mark.parametrize("name", ["index", *CHAPTERS, "maths", "equations"])
def test_pages_fit_and_can_be_read(laid_out, tmp_path, name):
    look_at(laid_out / f"{name}.html", tmp_path)


@needs_chromium
@pytest.mark.parametrize("name", CHAPTERS[:2])
def test_measured_pages_fit_and_can_be_read(built, tmp_path, name):
    look_at(built / f"{name}.html", tmp_path)


def look_at(file: Path, folder: Path) -> None:
    """Nothing sticks out or is faint at three widths in two themes; no raw table or formula."""
    with open_page(file, folder / "profile") as page:
        for width in (390, 820, 1300):
            for theme in ("light", "dark"):
                page.look(width, dark=theme == "dark")
                page.run(f"document.body.dataset.theme = '{theme}'")
                assert page.run("document.documentElement.scrollWidth") <= width
                assert page.run(TOO_WIDE.replace("body *", "article *")) == []
                assert page.run(FAINT_TEXT.replace("body *", "article *")) == []
                assert page.run(CUT_FORMULAS) == []
                assert page.run(SQUEEZED) == []
            assert width < 1300 or page.run(CUT_CODE) == []
        assert page.run(RAW) == []
        assert page.errors == []


# Formulas in the text that reach beyond the window, where the page itself would have to scroll.
CUT_FORMULAS = """[...document.querySelectorAll('article .formula-inline')]
  .filter((e) => !e.closest('table') && e.getBoundingClientRect().right > innerWidth)
  .map((e) => e.dataset.latex)"""

# A line of code that would have to be scrolled to be read, in a window that has room for it.
CUT_CODE = """[...document.querySelectorAll('article .highlight pre')]
  .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent.slice(0, 60))"""

# Pictures too small for the words in them, columns of the layout pushed aside.
SQUEEZED = """[...document.querySelectorAll('article figure img')]
  .filter((e) => e.getBoundingClientRect().width < 0.5 * e.naturalWidth)
  .map((e) => e.alt.slice(0, 30))
  .concat(innerWidth > 1200 && document.querySelector('.main').getBoundingClientRect().left < 250
    ? ['the contents'] : [])"""

# Paragraphs that show a table's pipes, or a formula's dollars, as they were typed.
RAW = """[...document.querySelectorAll('article p, article td, article li')]
  .map((e) => e.textContent).filter((text) => /\\|\\s*-{3}|\\$[^$]+\\$|\\\\[a-z]+\\{/.test(text))"""


@needs_chromium
def test_an_equation_shows_where_one_points_at_its_number(laid_out, tmp_path):
    with open_page(laid_out / "02_principal_components.html", tmp_path / "profile") as page:
        page.run("document.querySelector('article a.eq').focus()")
        assert page.run("document.getElementById('equation-shown').hidden") is False
        assert page.run("document.querySelectorAll('#equation-shown svg').length") == 1
