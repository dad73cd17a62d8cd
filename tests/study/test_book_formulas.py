"""Formulas as outlines: every one is drawn, in whole pieces, beside its MathML and LaTeX."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from minivae.study import index

pytest.importorskip("latex2mathml")
pytest.importorskip("ziamath")
from minivae.study.book.formulas import (
    block_html,
    drawn,
    inline_html,
    pieces_of,
    with_its_stop,
)


@pytest.mark.parametrize("equation", index.equations(), ids=lambda e: f"E{e.number}")
def test_every_equation_is_drawn_in_the_text_s_colour(equation):
    text = block_html(equation.latex + rf" \tag{{E{equation.number}}}")
    assert f'id="e{equation.number}"' in text and f"(E{equation.number})</a>" in text
    assert len(re.findall("<svg", text)) == len(pieces_of(equation.latex))
    assert "<text" not in text and "font-family" not in text  # outlines: no font is asked for
    assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', text)) <= {"currentColor", "none"}
    ElementTree.fromstring(text.replace("&nbsp;", " ").replace("&InvisibleTimes;", ""))


def test_a_root_covers_all_that_stands_under_it():
    """E41's root: its bar is as long as the fraction beneath it, in the SVG's own numbers."""
    alone = drawn(r"\frac{\sigma_{1j}\sigma_{2j}}{\bar\sigma_j^2}", True).box
    rooted = drawn(r"\sqrt{\frac{\sigma_{1j}\sigma_{2j}}{\bar\sigma_j^2}}", True).box
    assert rooted[2] > alone[2] and rooted[3] > alone[3]


def test_pieces_are_cut_only_where_nothing_is_open():
    assert pieces_of(r"a = b, \qquad c = d") == ["a = b,", "c = d"]
    assert pieces_of(r"\left( a \quad b \right) \quad c") == [r"\left( a \quad b \right)", "c"]
    assert pieces_of(r"\text{a \quad b}") == [r"\text{a \quad b}"]
    assert pieces_of(r"x \leftarrow y, \quad z") == [r"x \leftarrow y,", "z"]


def test_a_line_s_formula_stands_on_the_line():
    deep, flat = inline_html(r"\mu_j"), inline_html("x")
    depth = [float(re.search(r"vertical-align:(-?[\d.]+)em", text)[1]) for text in (deep, flat)]
    assert depth[0] < depth[1] <= 0


def test_what_is_not_understood_stops_the_build():
    with pytest.raises(ValueError, match="does not understand"):
        inline_html(r"\nosuch x")


def test_a_wide_formula_takes_along_the_stop_that_ends_it():
    wide = inline_html(
        r"\mathbb{E}_q[\log p(x\mid z)] - \mathrm{KL}(q \Vert p(z)) + \mathrm{KL}(q \Vert p)"
    )
    text = with_its_stop(f"<p>So {wide}, and {inline_html('x')}.</p>")
    assert text.index("</svg>,<span") < text.index(" and ")
    assert text.endswith("</span></span>.</p>")  # a short one stays in its line


def test_an_index_does_not_touch_the_letter_it_stands_at():
    def beside(letter: str) -> float:
        return drawn(letter + "_{jj}", False).box[2] - drawn(letter, False).box[2]

    assert beside("P") > 0.8 * beside("W")
