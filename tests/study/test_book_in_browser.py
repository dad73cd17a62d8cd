"""A book of two chapters, built and opened: everything fits, can be read, leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("sphinx")
pytest.importorskip("myst_nb")
pytest.importorskip("sphinx_copybutton")
pytest.importorskip("ziamath")
from minivae.study import book
from tests.chromium import FAINT_TEXT, TOO_WIDE, needs_chromium, open_page

# Sphinx and myst-parser warn each other of their own future; that is not the book's fault.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]
PAGES = ("index", "02_principal_components", "03_autoencoders", "maths", "equations")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("book") / "book"
    return book.build_book(folder, only=["principal-components", "autoencoders"]).parent


def test_the_chapters_are_there_and_ask_for_nothing(built):
    text = (built / "02_principal_components.html").read_text(encoding="utf-8")
    assert "principal_axes" in text and "data:image/png;base64" in text and "<svg" in text
    assert "claim: at most 1e-10 ✓" in text and 'class="measured"' not in text
    assert 'class="measured"' in (built / "03_autoencoders.html").read_text(encoding="utf-8")
    assert (built / "02_principal_components.ipynb").is_file()
    assert book.requests_made(built) == []


def test_every_link_within_the_book_leads_somewhere(built):
    lost = []
    for page in built.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r'href="([^"#:]*#?[^":]*)"', text):
            name, _, anchor = unquote(target.split("?")[0]).partition("#")
            file = built / name if name else page
            if not file.exists():
                lost.append((page.name, target))
                continue
            anchored = anchor and file.suffix == ".html" and name != "play.html"
            if anchored and f'id="{anchor}"' not in file.read_text(encoding="utf-8"):
                lost.append((page.name, target))
    assert lost == []


@needs_chromium
@pytest.mark.parametrize("name", PAGES)
def test_pages_fit_and_can_be_read(built, tmp_path, name):
    with open_page(built / f"{name}.html", tmp_path / "profile") as page:
        for width in (390, 820, 1300):
            for theme in ("light", "dark"):
                page.look(width, dark=theme == "dark")
                page.run(f"document.body.dataset.theme = '{theme}'")
                assert page.run("document.documentElement.scrollWidth") <= width
                assert page.run(TOO_WIDE.replace("body *", "article *")) == []
                assert page.run(FAINT_TEXT.replace("body *", "article *")) == []
        raw = page.run(RAW)
        assert raw == []
        assert page.errors == []


# Paragraphs that show a table's pipes, or a formula's dollars, as they were typed.
RAW = """[...document.querySelectorAll('article p, article td, article li')]
  .map((e) => e.textContent).filter((text) => /\\|\\s*-{3}|\\$[^$]+\\$|\\\\[a-z]+\\{/.test(text))"""


@needs_chromium
def test_an_equation_shows_where_one_points_at_its_number(built, tmp_path):
    with open_page(built / "02_principal_components.html", tmp_path / "profile") as page:
        page.run("document.querySelector('article a.eq').focus()")
        assert page.run("document.getElementById('equation-shown').hidden") is False
        assert page.run("document.querySelectorAll('#equation-shown svg').length") == 1
