"""What is done to a chapter on its way into the book: folded code, linked equations, a notebook."""

from __future__ import annotations

import ast
import json

import pytest

from minivae.study import runner
from minivae.study.display import table_html

pytest.importorskip("ziamath")
from minivae.study.book.fold import folded, stretches
from minivae.study.book.links import linked
from minivae.study.book.notebook import notebook_of, write_notebook


@pytest.mark.parametrize("chapter", runner.chapters(), ids=lambda c: c.name)
def test_folding_changes_no_statement_and_no_order(chapter):
    again = runner.Chapter(chapter.name, chapter.title, chapter.path, folded(chapter.text))
    codes = [
        "\n".join(runner.OPTION.sub("", c.code) for c in each.cells) for each in (chapter, again)
    ]
    assert ast.dump(ast.parse(codes[0])) == ast.dump(ast.parse(codes[1]))


def test_only_imports_and_showing_are_folded():
    code = "import a\n# why\nx = 1\npicture(x)\ntable(\n  x)\nstate('w', x)\n# end\n"
    assert [fold for fold, _ in stretches(code)] == [True, False, True, False, False]
    assert stretches(code)[1][1].startswith("# why")
    filled = (
        "rows = []\nfor x in y:\n    rows.append(x)\ntable(rows)\nfor x in y:\n    z.append(x)\n"
    )
    assert [fold for fold, _ in stretches(filled)] == [True, False]


def test_mentions_become_links_but_not_within_links_formulas_and_titles():
    body = '<h1>E5</h1><p>By (E5) and E99, <a href="x">E5</a> <svg><title>E5</title></svg></p>'
    text = linked(body + '<pre># <span class="c1">(E5)</span></pre>', frozenset({5}), "a.html")
    assert text.count('<a class="eq" href="maths.html#e5">E5</a>') == 2
    assert "<h1>E5</h1>" in text and "E99," in text
    assert 'href="#e5"' in linked("<p>E5</p>", frozenset({5}), "maths.html")


@pytest.mark.parametrize("chapter", runner.chapters(), ids=lambda c: c.name)
def test_every_chapter_is_a_notebook(chapter, tmp_path):
    path = write_notebook(chapter, tmp_path / "chapter.ipynb")
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.read(path, as_version=4))
    codes = [c for c in notebook_of(chapter)["cells"] if c["cell_type"] == "code"]
    assert len(codes) == len(chapter.cells)
    written = path.read_text(encoding="utf-8")
    assert "{admonition}" not in written and "{code-cell}" not in written
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    assert "".join(first["source"]).startswith(f"# {chapter.title}")


def test_a_long_name_in_a_table_may_be_broken_and_nowhere_else():
    text = linked(
        "<p>a_b</p><table><td><code>sample_weight</code> ops/x.py</td></table>a/b", frozenset()
    )
    assert text.startswith("<p>a_b</p>") and text.endswith("a/b")
    assert "sample_<wbr>weight</code> ops/<wbr>x.py" in text


def test_a_measured_table_is_escaped_and_its_caption_s_code_set_as_code():
    text = table_html(["a", "b < c"], [["1", "<2>"]], "by `minivae study full price`, x < y")
    assert "<th>b &lt; c</th>" in text and "<td>&lt;2&gt;</td>" in text
    assert "by <code>minivae study full price</code>, x &lt; y" in text
    assert text.index("<figcaption>") < text.index('"measured-frame"')  # it does not scroll away
