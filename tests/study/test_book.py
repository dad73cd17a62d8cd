"""The book: maths without a script, pages without a request, and a build of one chapter."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from minivae.study import index, runner

pytest.importorskip("latex2mathml")
pytest.importorskip("ziamath")
from minivae.study import book
from minivae.study.book.mathml import to_mathml


@pytest.mark.parametrize("equation", index.equations(), ids=lambda e: f"E{e.number}")
def test_every_equation_becomes_mathml(equation):
    formula, number = to_mathml(equation.latex + rf" \tag{{E{equation.number}}}", block=True)
    assert number == f"(E{equation.number})"
    ElementTree.fromstring(re.sub(r"&(?!#|amp;|lt;|gt;)", "&amp;", formula))


def test_all_inline_maths_is_understood():
    for text in [index.MATHS.read_text(encoding="utf-8"), *(c.text for c in runner.chapters())]:
        prose = re.sub(r"\$\$.*?\$\$|```.*?```", "", text, flags=re.DOTALL)
        for latex in re.findall(r"\$([^$]+)\$", prose):
            to_mathml(latex, block=False)


def test_what_is_not_understood_is_an_error():
    with pytest.raises(ValueError, match="does not understand"):
        to_mathml(r"\nosuch x", block=True)


@pytest.mark.parametrize(
    ("page", "count"),
    [
        ('<script async src="https://x.org/a.js"></script>', 1),
        ('<img alt="a" src="//x.org/a.png">', 1),
        ('<link rel="stylesheet" href="http://x.org/a.css">', 1),
        ("<style>@import url(https://x.org/a.css)</style>", 1),
        ("<style>a { background: url('https://x.org/a.png') }</style>", 1),
        ('<a href="https://x.org">a link is not a request</a>', 0),
        ('<script src="_static/a.js"></script><img src="data:image/png;base64,AA">', 0),
    ],
)
def test_a_request_is_noticed(tmp_path, page, count):
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    assert len(book.requests_made(tmp_path)) == count


def test_the_sources_are_complete(tmp_path):
    book.write_sources(tmp_path / "source")
    front = (tmp_path / "source" / "index.md").read_text(encoding="utf-8")
    for chapter in runner.chapters():
        assert chapter.path.stem in front
        assert (tmp_path / "source" / chapter.path.name).is_file()
    assert "](ops/" not in (tmp_path / "source" / "maths.md").read_text(encoding="utf-8")
    assert "window.EQUATIONS" in (tmp_path / "source/_static/equations.js").read_text("utf-8")
    assert (tmp_path / "source/extra/play.html").is_file()
