"""A Sphinx extension: LaTeX becomes MathML when the book is built, so no script is needed."""

from __future__ import annotations

import re
from typing import Any

TAG = re.compile(r"\\tag\{(?P<tag>[^}]*)\}")


def to_mathml(latex: str, block: bool) -> tuple[str, str]:
    """The MathML of a formula, and its number (E5) where it has one.

    Raises ValueError where a command was not understood, instead of printing it to the page.
    """
    from latex2mathml.converter import convert

    tag = TAG.search(latex)
    source = TAG.sub("", latex).strip()
    found = convert(source, display="block" if block else "inline")
    if "\\" in found:
        raise ValueError(f"latex2mathml does not understand all of: {source}")
    return found, "" if tag is None else f"({tag['tag']})"


def _inline(translator: Any, node: Any) -> None:
    from docutils.nodes import SkipNode

    translator.body.append(to_mathml(node.astext(), block=False)[0])
    raise SkipNode


def _block(translator: Any, node: Any) -> None:
    from docutils.nodes import SkipNode

    formula, number = to_mathml(node.astext(), block=True)
    anchor = f' id="{number.strip("()").lower()}"' if number else ""
    translator.body.append(
        f'<div class="equation"{anchor}><div class="formula">{formula}</div>'
        f'<div class="number">{number}</div></div>'
    )
    raise SkipNode


def setup(app: Any) -> dict[str, Any]:
    """Register the renderer with Sphinx under the name "mathml"."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
