"""LaTeX as MathML: for those who listen to the page, and to refuse what is not understood."""

from __future__ import annotations

import re

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
