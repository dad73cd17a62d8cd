"""Formulas as SVG outlines, set when the book is built: the same in every browser, no font asked.

A Sphinx extension. Each formula is drawn in the text's own colour; its MathML stands beside, out of
sight, for those who listen to the page, and its LaTeX for those who copy it.
"""

from __future__ import annotations

import html
import re
from functools import cache
from typing import Any, NamedTuple

from minivae.study.book.mathml import TAG, to_mathml

SIZE = 18.0  # of the font, in SVG units; the page scales it to its own text
WIDE = 17.0  # in em: a formula in the text that is wider may not fit into a line of a phone
LEFT_ALONE = re.compile(
    r'(<span class="formula-inline wide"[^>]*><svg.*?</svg>)'
    r'(<span class="spoken">.*?</span></span>)([.,;:]+)',
    re.DOTALL,
)
VIEW = re.compile(r'<svg [^>]*?viewBox="([-\d. ]+)"[^>]*>')


class Drawn(NamedTuple):
    """An SVG element's inside, and its box (left, top, width, height) around the baseline."""

    inside: str
    box: tuple[float, float, float, float]

    def svg(self) -> str:
        """The element, sized in the text's em and standing on its baseline."""
        left, top, width, height = self.box
        below = -(height + top) / SIZE  # what hangs under the baseline, which is y = 0
        return (
            f'<svg class="formula-svg" aria-hidden="true" viewBox="{left:.2f} {top:.2f} '
            f'{width:.2f} {height:.2f}" style="width:{width / SIZE:.3f}em;'
            f'height:{height / SIZE:.3f}em;vertical-align:{below:.3f}em">{self.inside}</svg>'
        )


@cache
def drawn(latex: str, block: bool) -> Drawn:
    """A formula's outlines. Raises ValueError where a command is not understood."""
    import ziafont
    import ziamath

    to_mathml(latex, block)  # refuses what it does not know, where ziamath would print it
    ziamath.config.svg2 = False  # plain paths: no names that two formulas could share
    ziafont.config.precision = 2
    apart = latex.replace("P_{", "P_{{}")  # or the index would be tucked under P's bowl, onto it
    text = ziamath.Latex(apart, size=SIZE, color="currentColor", inline=not block).svg()
    found = VIEW.search(text)
    if found is None:
        raise ValueError(f"ziamath drew nothing for: {latex}")
    left, top, width, height = (float(v) for v in found[1].split())
    inside = text[found.end() : text.rindex("</svg>")]
    inside = re.sub(r'(fill|stroke)="black"', r'\1="currentColor"', inside)  # bars come in black
    return Drawn(inside, (left, top, width, height))


def inline_html(latex: str) -> str:
    """A formula within a line of text."""
    spoken, _ = to_mathml(latex, block=False)
    said = html.escape(latex, quote=True)
    picture = drawn(latex, False)
    wide = " wide" if picture.box[2] > WIDE * SIZE else ""
    return (
        f'<span class="formula-inline{wide}" data-latex="{said}">{picture.svg()}'
        f'<span class="spoken">{spoken}</span></span>'
    )


def block_html(latex: str) -> str:
    r"""A displayed formula, in pieces that may stand beneath each other on a narrow page.

    The pieces are what \qquad and \quad keep apart. A number \tag{E5} becomes the anchor e5.
    """
    spoken, number = to_mathml(latex, block=True)
    source = TAG.sub("", latex).strip()
    pieces = "".join(f"<span>{drawn(piece, True).svg()}</span>" for piece in pieces_of(source))
    name = number.strip("()").lower()
    anchor = f' id="{name}"' if name else ""
    link = f'<a class="number" href="#{name}">{number}</a>' if name else ""
    said = html.escape(source, quote=True)
    return (
        f'<div class="equation"{anchor} data-latex="{said}"><div class="pieces">{pieces}</div>'
        f'<span class="spoken">{spoken}</span>{link}</div>'
    )


def pieces_of(latex: str) -> list[str]:
    r"""The formula cut at each \quad and \qquad that stands in no bracket of its own."""
    pieces = [""]
    for part in re.split(r"(\\q?quad(?![a-zA-Z]))", latex):
        if re.fullmatch(r"\\q?quad", part) and balanced(pieces[-1]):
            pieces.append("")
        else:
            pieces[-1] += part
    return [piece.strip() for piece in pieces if piece.strip()]


def balanced(latex: str) -> bool:
    r"""Whether every { has its }, and every \left or \begin its end."""
    opened = latex.count("{") - latex.count(r"\{")
    closed = latex.count("}") - latex.count(r"\}")
    sides = latex.count(r"\left") - latex.count(r"\leftarrow") == latex.count(r"\right") - (
        latex.count(r"\rightarrow")
    )
    return opened == closed and sides and latex.count(r"\begin") == latex.count(r"\end")


def _inline(translator: Any, node: Any) -> None:
    from docutils.nodes import SkipNode

    translator.body.append(inline_html(node.astext()))
    raise SkipNode


def _block(translator: Any, node: Any) -> None:
    from docutils.nodes import SkipNode

    translator.body.append(block_html(node.astext()))
    raise SkipNode


def with_its_stop(body: str) -> str:
    """The page's HTML; a wide formula, a line of its own on a phone, takes along what ends it."""
    return LEFT_ALONE.sub(r"\1\3\2", body)


def _page(app: Any, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if "body" in context:
        context["body"] = with_its_stop(context["body"])


def setup(app: Any) -> dict[str, Any]:
    """Register the renderer with Sphinx under the name "outlines"."""
    app.add_html_math_renderer("outlines", (_inline, None), (_block, None))
    app.connect("html-page-context", _page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
